"""The journal on SQLite: every verb, group-committed by one writer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from orgloop.core.deliveries import delivery as core
from orgloop.core.deliveries.admission import LimitScope
from orgloop.core.deliveries.delivery import DeliveryPolicy, Move
from orgloop.core.deliveries.transition import Interrupted, Transition
from orgloop.journal.model import (
    Acceptance,
    Accepted,
    AppliedRow,
    ClaimedWake,
    Claims,
    ClaimWant,
    DaemonRow,
    Lease,
    OpenRun,
    ParkedRow,
    Prepared,
    RunBegun,
    RunEnd,
    RunStart,
    SessionRow,
    Settlement,
    SystemEntry,
    ToPrepare,
    Try,
)
from orgloop.journal.sqlite.connection import Location, file_place, journal_of, memory_place, open_writing
from orgloop.journal.sqlite.home import JOURNAL, HomeLock, make_home, make_journal, require_plain
from orgloop.journal.sqlite.mark_file import MarkFile
from orgloop.journal.sqlite.reader import SqliteReader
from orgloop.journal.sqlite.rows import session_row
from orgloop.journal.sqlite.store import Store, require_whole
from orgloop.journal.sqlite.writer import Lane, Writer, WriterSettings
from orgloop.journal.verbs import (
    accept,
    accounts,
    breakers,
    claim,
    on_busy,
    operate,
    pausing,
    remote_runs,
    runs,
    settle,
)
from orgloop.journal.verbs.apply import apply
from orgloop.journal.verbs.runs import Note
from orgloop.journal.verbs.transaction import Transaction, Work

T = TypeVar("T")

Clock = Callable[[], int]
"""Milliseconds since 1970."""

HERE: Final = Lease(worker="here")
"""A file's one writer. Nobody else could take over what it has claimed: its leases do not end."""

_EXPIRE_PAGE: Final = 200

_LIGHT_ROWS: Final = 8
_LIGHT_BYTES: Final = 64 * 1024
"""An accept of at most so much is light."""


class SqliteJournal:
    """All of `protocols.Journal`. Made by `open_journal` or `memory_journal`, used in one event loop."""

    def __init__(
        self, store: Store, clock: Clock, settings: WriterSettings, release: Callable[[], None] = lambda: None
    ) -> None:
        """`store` is open. `release` lets go of what guards it, once it is closed."""
        self._place = store.place
        self._clock = clock
        self._settings = settings
        self._release = release
        self.lease = HERE
        self._notes: dict[str, Note] = {}
        # A try that ends may then be of a route that has another name since its claim.
        self._has_renamed = False
        self._writer = Writer(store, settings, self._write_notes)

    @property
    def waiting(self) -> int:
        """How many accepts wait for their commit."""
        return self._writer.waiting

    def reader(self) -> SqliteReader:
        """A reader of this journal. Close it before the journal."""
        return SqliteReader(self._place)

    async def close(self) -> None:
        """Commit what waits, then close. Idempotent."""
        await self._writer.close()
        self._release()

    # accepting

    async def accept(self, acceptance: Acceptance) -> Sequence[Accepted]:
        """See `Accepting.accept`."""
        rows, size = accept.weight(acceptance)
        work = partial(accept.accept, acceptance=acceptance)
        answers: Sequence[Accepted] = await self._writer.submit(
            work, Lane.ACCEPT, rows=rows, size=size, light=rows <= _LIGHT_ROWS and size <= _LIGHT_BYTES
        )
        return answers

    async def checkpoint(self, source: str) -> str | None:
        """See `Accepting.checkpoint`."""
        return await self._run(lambda tx: accept.checkpoint(tx, source))

    async def polled(self, source: str, at: int, error: str) -> None:
        """See `Accepting.polled`."""
        await self._run(lambda tx: accept.polled(tx, source, at, error))

    # claiming

    async def claim(self, wants: Sequence[ClaimWant], now: int) -> Claims:
        """See `Claiming.claim`. A caller that is cancelled meanwhile gives its wakes back."""
        # A guard may look at many wakes before it lets one go.
        light = all(want.admit is None for want in wants)
        future = self._writer.submit(
            partial(claim.claim, wants=wants, now=now, lease=self.lease), light=light
        )
        try:
            claims: Claims = await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._give_back)
            raise
        return claims

    async def to_prepare(self, route: str, limit: int) -> Sequence[ToPrepare]:
        """See `Claiming.to_prepare`."""
        return await self._run(lambda tx: claim.to_prepare(tx, route, limit))

    # settling

    async def prepared(self, results: Sequence[Prepared], now: int) -> None:
        """See `Settling.prepared`."""
        await self._run(lambda tx: settle.prepared(tx, results, now))

    async def settle(self, settlement: Settlement) -> bool:
        """See `Settling.settle`."""
        work = settle.Settle(settlement, self._has_renamed)
        done: bool = await self._writer.submit(work, light=not settlement.wake.others)
        return done

    async def start_run(self, start: RunStart) -> bool:
        """See `Settling.start_run`."""
        return await self._run(lambda tx: runs.start_run(tx, start))

    async def note_run(
        self,
        run_id: str,
        *,
        last_line: str,
        offset: int,
        at: int,
        session_id: str | None = None,
        cost_usd: float | None = None,
        alive: bool = True,
        answered: bool = False,
        seen: bool = True,
    ) -> None:
        """See `Settling.note_run`. Written with the next group, or after `note_seconds`."""
        note = Note(
            last_line=last_line,
            offset=offset,
            at=at,
            session_id=session_id,
            cost_usd=cost_usd,
            alive=alive,
            answered=answered,
            seen_at=at if seen else None,
        )
        if not self._notes:
            asyncio.get_running_loop().call_later(self._settings.note_seconds, self._writer.plan)
        self._notes[run_id] = note.after(self._notes.get(run_id))

    async def run_begun(self, begun: RunBegun) -> bool:
        """See `Settling.run_begun`."""

        def write(tx: Transaction) -> bool:
            known = begun.ref is None or remote_runs.keep_ref(tx, begun)
            return known and runs.run_begun(tx, begun)

        return await self._run(write)

    async def run_called_back(self, run_id: str, result: bytes, at: int) -> bool:
        """See `Settling.run_called_back`."""
        return await self._run(lambda tx: remote_runs.called_back(tx, run_id, result, at))

    async def runs_to_cancel(self) -> Sequence[str]:
        """See `Settling.runs_to_cancel`."""
        return await self._run(lambda tx: on_busy.to_cancel(tx, self.lease.worker))

    async def stop_run(self, run_id: str, at: int) -> bool:
        """See `Settling.stop_run`."""
        return await self._run(lambda tx: remote_runs.stop(tx, run_id, at))

    async def session(self, actor: str, key: str) -> SessionRow | None:
        """See `Settling.session`."""
        row = await self._run(lambda tx: tx.one("session", (actor, key)))
        return session_row(row) if row is not None else None

    async def forget_session(self, actor: str, id: str, why: str, at: int) -> bool:
        """See `Settling.forget_session`."""
        return await self._run(lambda tx: bool(tx.rows("forget_session_id", (actor, id, why, at))))

    async def end_run(self, end: RunEnd) -> bool:
        """See `Settling.end_run`."""
        return await self._run(lambda tx: runs.end_run(tx, end))

    # operating

    async def recover(self, now: int) -> Mapping[str, int]:
        """See `Operating.recover`."""
        return await self._run(lambda tx: operate.recover(tx, now, self.lease.worker))

    async def set_back(self, now: int, by: int) -> None:
        """See `Operating.set_back`."""
        await self._run(lambda tx: operate.set_back(tx, now, by))

    async def park(self, account: str, until: int | None, reason: str, now: int) -> ParkedRow:
        """See `Operating.park`."""
        return await self._run(lambda tx: accounts.park(tx, account, until, reason, now))

    async def resume(self, account: str, now: int) -> bool:
        """See `Operating.resume`."""
        return await self._run(lambda tx: accounts.unpark(tx, account, now))

    async def pause(self, scope: LimitScope, until: int | None, by: str, now: int) -> None:
        """See `Operating.pause`."""
        await self._run(lambda tx: pausing.pause(tx, scope, until, by, now))

    async def unpause(self, scope: LimitScope, now: int) -> bool:
        """See `Operating.unpause`."""
        return await self._run(lambda tx: pausing.unpause(tx, scope, now))

    async def open_runs(self) -> Sequence[OpenRun]:
        """See `Operating.open_runs`."""
        return await self._run(lambda tx: runs.open_runs(tx, self.lease.worker))

    async def operate(self, delivery_id: str, transition: Transition, now: int) -> Move:
        """See `Operating.operate`."""
        return await self._run(lambda tx: operate.operate(tx, delivery_id, transition, now))

    async def apply(
        self,
        applied: AppliedRow,
        routes: Mapping[str, str],
        now: int,
        *,
        actors: Mapping[str, bool],
        changed: Collection[str] = (),
        closed: Collection[str] = (),
        bounded: Collection[str] = (),
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, int]:
        """See `Operating.apply`."""
        self._has_renamed = self._has_renamed or bool(renamed)
        work = partial(apply, applied=applied, routes=routes, actors=actors, changed=changed, now=now)
        return await self._run(partial(work, closed=closed, bounded=bounded, renamed=renamed))

    async def resume_actor(self, actor: str, now: int) -> bool:
        """See `Operating.resume_actor`."""
        return await self._run(lambda tx: breakers.resume(tx, actor, now))

    async def expire(self, now: int, held_before: int) -> int:
        """See `Operating.expire`."""
        total = 0
        while page := await self._run(lambda tx: operate.expire(tx, now, held_before, _EXPIRE_PAGE)):
            total += page
        return total

    async def prune(self, before: int, seen_before: int, limit: int) -> int:
        """See `Operating.prune`."""
        return await self._run(lambda tx: operate.prune(tx, before, seen_before, limit))

    async def lead(self, role: str) -> bool:
        """See `Operating.lead`. A file has one process that writes: it leads everywhere."""
        return True

    async def record(self, entries: Sequence[SystemEntry]) -> None:
        """See `Operating.record`."""
        await self._run(lambda tx: operate.record(tx, entries))

    async def beat(self, life: DaemonRow) -> None:
        """See `Operating.beat`."""
        await self._run(lambda tx: operate.beat(tx, life))

    async def _run(self, work: Callable[[Transaction], T]) -> T:
        result: T = await self._writer.submit(work)
        return result

    def _give_back(self, future: asyncio.Future[Claims]) -> None:
        """Nobody is there to wake what was claimed: it waits for its turn again."""
        if future.cancelled() or future.exception() is not None:
            return
        now = self._clock()
        for wake in future.result().wakes:
            settlement = _interrupted(wake, now)
            self._writer.post(settle.Settle(settlement, self._has_renamed))

    def _write_notes(self) -> Work | None:
        notes, self._notes = self._notes, {}
        if not notes:
            return None

        def write(tx: Transaction) -> None:
            for run_id, note in notes.items():
                runs.note_run(tx, run_id, note)

        return write


async def open_journal(
    home: Path,
    *,
    project: str,
    clock: Clock,
    holder: str = "",
    settings: WriterSettings | None = None,
    vfs: str | None = None,
) -> SqliteJournal:
    """The home's journal, for writing. Creates home (0700) and file (0600), takes the lock, migrates, checks.

    `holder` says to others what holds it, such as `the daemon on port 4800`. `vfs` is SQLite's own
    word for how it reaches files; None is the usual one. Raises JournalLocked, JournalTooNew,
    JournalDamaged or JournalUnavailable.
    """
    make_home(home)
    lock = HomeLock(home, holder=holder, at=clock())
    try:
        path = make_journal(home)
        return await _open(file_place(path, vfs=vfs), project, clock, settings, lock.release)
    except BaseException:
        lock.release()
        raise


async def memory_journal(
    *, project: str, clock: Clock, settings: WriterSettings | None = None
) -> SqliteJournal:
    """A journal without a file, gone when it is closed. Read it with its own `reader()`."""
    place = memory_place(secrets.randbits(64))
    anchor = open_writing(place)
    return await _open(place, project, clock, settings, anchor.close)


def open_reader(home: Path) -> SqliteReader:
    """The home's journal, for reading, whether or not anybody writes. Raises NotFound if it has none."""
    return SqliteReader(journal_of(home))


def require_sound(home: Path) -> None:
    """Raise the JournalError with which a start would refuse the home's journal; change nothing."""
    path = home / JOURNAL
    require_plain(path)
    require_whole(file_place(path), MarkFile(path))


async def _open(
    place: Location, project: str, clock: Clock, settings: WriterSettings | None, release: Callable[[], None]
) -> SqliteJournal:
    settings = settings or WriterSettings()
    store = Store(place, project, checkpoint_pages=settings.log_pages)
    await asyncio.to_thread(store.open, check=True)
    return SqliteJournal(store, clock, settings, release)


def _interrupted(wake: ClaimedWake, now: int) -> Settlement:
    transition = Interrupted(crash=False)
    return Settlement(
        wake=wake,
        transition=transition,
        move=core.move(wake.facts, transition, DeliveryPolicy(), now, 0.0),
        at=now,
        tried=Try(began=now),
    )
