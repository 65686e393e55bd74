"""Group commit: what waits is run in one transaction, and answered when that is on the disk.

The queues belong to the event loop's thread, the store to the writer's. One group is under way at a time.
It is handed over at the end of a turn of the loop, so that all that this turn brought travels together.
Each group costs the two threads one hand-over each way.

A small group of light work is committed by the loop itself, without a hand-over, as long as the disk is
quick: see `_commit_here`. A lock says which thread has the store.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from queue import SimpleQueue
from typing import Any, TypeVar

from orgloop.errors import JournalUnavailable, Overloaded
from orgloop.journal.sqlite.store import Store, WorkResult
from orgloop.journal.verbs.transaction import Work

_Answers = TypeVar("_Answers", Sequence[WorkResult], Sequence[WorkResult] | None)


class Lane(Enum):
    """Which queue. Urgent work ends what was begun; taking more in comes after it."""

    URGENT = auto()
    ACCEPT = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterSettings:
    """How much travels together, and how much may wait.

    `group` bounds a transaction's items; `urgent` how many of them may be urgent, so that accepts
    go on whatever ends. `accepts` may always travel with urgent work, and as many as there is of it:
    what is taken in must not outrun what is done. `group_rows` bounds the rows of its accepts.
    `waiting_rows` and `waiting_bytes` bound what waits to be accepted. `log_pages` of 4 KiB in the
    write-ahead log make the writer copy it into the file. `note_seconds` is how long a run's last
    line may wait. The loop commits groups of at most `here` items itself, as long as one takes at most
    `here_seconds`.
    """

    group: int = 256
    urgent: int = 192
    accepts: int = 16
    group_rows: int = 2_048
    waiting_rows: int = 20_000
    waiting_bytes: int = 64 * 1024 * 1024
    log_pages: int = 1_000
    note_seconds: float = 1.0
    here: int = 64
    here_seconds: float = 0.002


@dataclass(slots=True)
class _Item:
    work: Work
    lane: Lane
    future: asyncio.Future[Any]
    rows: int
    size: int
    light: bool


class Writer:
    """One thread that writes. Made and used in one event loop."""

    def __init__(self, store: Store, settings: WriterSettings, prelude: Callable[[], Work | None]) -> None:
        """`store` is open. `prelude` is asked at each group for what may go first, without an answer."""
        self._store = store
        self._settings = settings
        self._prelude = prelude
        self._loop = asyncio.get_running_loop()
        self._urgent: deque[_Item] = deque()
        self._accepts: deque[_Item] = deque()
        self._rows = 0
        self._bytes = 0
        self._waiting = 0
        self._under_way = False
        self._planned = False
        self._closed = False
        self._told = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._inbox: SimpleQueue[Sequence[Work] | None] = SimpleQueue()
        self._group: Sequence[_Item] = ()
        self._has_store = threading.Lock()
        self._not_here_until = 0.0
        self._ended = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="orgloop-journal", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many accepts wait for their commit."""
        return self._waiting

    def submit(
        self,
        work: Work,
        lane: Lane = Lane.URGENT,
        *,
        rows: int = 0,
        size: int = 0,
        light: bool = False,
    ) -> asyncio.Future[Any]:
        """Queue work. The future is done when it is on the disk.

        `light` work reads and writes a few rows, however large the journal is.
        Work whose future is cancelled before its group is made is not run. Raises Overloaded if too
        much waits in the accept lane, JournalUnavailable after `close`.
        """
        if self._closed:
            raise JournalUnavailable(
                f"{self._store.place.name} is closed", hint="OrgLoop is stopping; try again once it is back."
            )
        if lane is Lane.ACCEPT:
            self._make_room(rows, size)
        item = _Item(work, lane, self._loop.create_future(), rows, size, light)
        (self._urgent if lane is Lane.URGENT else self._accepts).append(item)
        self.plan()
        return item.future

    def post(self, work: Work) -> None:
        """Queue urgent work that nobody waits for. It is taken while `close` commits what waits, too."""
        self._urgent.append(_Item(work, Lane.URGENT, self._loop.create_future(), 0, 0, light=False))
        self.plan()

    def plan(self) -> None:
        """Have a group made at the end of this turn of the loop."""
        if not self._planned and not self._under_way:
            self._planned = True
            self._idle.clear()
            self._loop.call_soon(self._send)

    async def close(self) -> None:
        """Commit what waits, then close the store and end the thread. Idempotent."""
        self._closed = True
        self.plan()
        await self._idle.wait()
        if not self._told:
            self._told = True
            self._inbox.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def _make_room(self, rows: int, size: int) -> None:
        most = self._settings
        full = self._rows + rows > most.waiting_rows or self._bytes + size > most.waiting_bytes
        if full and self._waiting:
            raise Overloaded(
                f"{self._waiting} events wait to be written to {self._store.place.name}",
                hint="Send it again after a moment; it was not accepted.",
                retry_after=1,
            )
        self._waiting += 1
        self._rows += rows
        self._bytes += size

    def _send(self) -> None:
        """Make a group and hand it to the writer."""
        self._planned = False
        if self._told:
            self._idle.set()
            return
        settings = self._settings
        group: list[_Item] = []
        while self._urgent and len(group) < settings.urgent:
            self._take(self._urgent.popleft(), group)
        most = settings.group
        if group:
            most = min(most, len(group) + max(settings.accepts, len(group)))
        rows = 0
        while self._accepts and len(group) < most and rows < settings.group_rows:
            rows += self._accepts[0].rows
            self._take(self._accepts.popleft(), group)
        work = [item.work for item in group]
        first = self._prelude()
        if first is not None:
            work.insert(0, first)
        if not work:
            if self._urgent or self._accepts:
                self.plan()
            else:
                self._idle.set()
            return
        self._under_way = True
        self._group = group
        if first is not None or not self._commit_here(group, work):
            self._inbox.put(work)

    def _commit_here(self, group: Sequence[_Item], work: Sequence[Work]) -> bool:
        """Commit in the loop's own thread what takes less time than a hand-over; False if it may take longer.

        A disk that was slow gets at most a twentieth of the loop's time from then on.
        """
        settings = self._settings
        began = self._loop.time()
        if len(group) > settings.here or began < self._not_here_until or not all(one.light for one in group):
            return False
        if not self._has_store.acquire(blocking=False):
            return False
        try:
            answers = self._answers(work, self._store.run_at_once)
        finally:
            self._has_store.release()
        took = self._loop.time() - began
        if took > settings.here_seconds:
            self._not_here_until = began + 20 * took
        if answers is None:
            return False
        if self._store.is_untidy:
            self._inbox.put(())
        self._answer(answers)
        return True

    def _take(self, item: _Item, group: list[_Item]) -> None:
        if item.future.cancelled():
            self._leave(item)
        else:
            group.append(item)

    def _leave(self, item: _Item) -> None:
        if item.lane is Lane.ACCEPT:
            self._waiting -= 1
            self._rows -= item.rows
            self._bytes -= item.size

    def _answer(self, answers: Sequence[WorkResult]) -> None:
        """Tell everybody, then go on with what has come meanwhile."""
        group, self._group = self._group, ()
        for item, answer in zip(group, answers[len(answers) - len(group) :], strict=True):
            self._leave(item)
            if item.future.done():
                continue
            if answer.error is None:
                item.future.set_result(answer.value)
            else:
                item.future.set_exception(answer.error)
        self._under_way = False
        self.plan()

    def _run(self) -> None:
        """The writer's thread."""
        try:
            while (group := self._inbox.get()) is not None:
                with self._has_store:
                    if group:
                        answers = self._answers(group, self._store.run)
                        self._loop.call_soon_threadsafe(self._answer, answers)
                    self._store.tidy()
        except RuntimeError:
            # The loop is gone, and with it everybody who waited.
            if not self._loop.is_closed():
                raise
        self._store.close()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def _answers(self, group: Sequence[Work], run: Callable[[Sequence[Work]], _Answers]) -> _Answers:
        """A store keeps its errors to its answers. Should it not, nobody must wait for ever."""
        try:
            return run(group)
        except Exception as exc:
            return [WorkResult(error=exc)] * len(group)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
