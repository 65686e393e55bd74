"""Group commit: lanes, bounds, isolation, the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from orgloop.core.deliveries.transition import Delivered
from orgloop.errors import JournalUnavailable, Overloaded
from orgloop.journal.sqlite import SqliteJournal, memory_journal, open_journal, open_reader
from orgloop.journal.sqlite.home import JOURNAL
from orgloop.journal.sqlite.store import WorkResult
from orgloop.journal.sqlite.writer import Lane, Writer, WriterSettings
from orgloop.journal.verbs.transaction import Work
from tests.journal.build import accept, claim, claim_one, enter, event, run_start, settle


class Groups:
    """A store that only notes which work travels together."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.threads: list[threading.Thread] = []
        self.is_untidy = False

    def run(self, group: list[Work]) -> list[WorkResult]:
        names = [work(None) for work in group]  # type: ignore[arg-type]
        self.groups.append(names)
        self.threads.append(threading.current_thread())
        return [WorkResult(name) for name in names]

    run_at_once = run

    def tidy(self) -> None:
        pass

    def close(self) -> None:
        self.groups.append(["closed"])


@asynccontextmanager
async def writer(groups: Groups, **settings: Any) -> AsyncGenerator[Writer]:
    made = Writer(groups, WriterSettings(**settings), lambda: None)  # type: ignore[arg-type]
    yield made
    await made.close()


def named(name: str) -> Work:
    return lambda _: name


@asynccontextmanager
async def small_journal(**settings: Any) -> AsyncGenerator[SqliteJournal]:
    opened = await memory_journal(project="p", clock=lambda: 0, settings=WriterSettings(**settings))
    yield opened
    await opened.close()


class TestLanes:
    async def test_all_of_one_turn_travels_together_and_what_ends_goes_first(self) -> None:
        groups = Groups()
        async with writer(groups) as made:
            accepts = [made.submit(named(f"accept{n}"), Lane.ACCEPT, rows=1) for n in range(2)]
            settles = [made.submit(named(f"settle{n}")) for n in range(2)]
            answers = await asyncio.gather(*accepts, *settles)
        assert answers == ["accept0", "accept1", "settle0", "settle1"]
        assert groups.groups == [["settle0", "settle1", "accept0", "accept1"], ["closed"]]

    async def test_what_ends_cannot_starve_what_comes(self) -> None:
        groups = Groups()
        async with writer(groups, group=6, urgent=4) as made:
            waiting = [made.submit(named("settle")) for _ in range(8)]
            waiting += [made.submit(named("accept"), Lane.ACCEPT, rows=1) for _ in range(5)]
            await asyncio.gather(*waiting)
        assert groups.groups[:3] == [["settle"] * 4 + ["accept"] * 2] * 2 + [["accept"]]

    @pytest.mark.parametrize(("ends", "comes"), [(3, 3), (1, 2), (0, 6)])
    async def test_no_more_comes_than_ends_but_for_a_few(self, ends: int, comes: int) -> None:
        groups = Groups()
        async with writer(groups, accepts=2) as made:
            waiting = [made.submit(named("settle")) for _ in range(ends)]
            waiting += [made.submit(named("accept"), Lane.ACCEPT, rows=1) for _ in range(6)]
            await asyncio.gather(*waiting)
        assert groups.groups[0] == ["settle"] * ends + ["accept"] * comes

    async def test_a_group_is_bounded_in_rows_but_takes_one_however_large(self) -> None:
        groups = Groups()
        async with writer(groups, group_rows=10) as made:
            rows = (50, 4, 4, 4, 4)
            await asyncio.gather(*(made.submit(named(str(r)), Lane.ACCEPT, rows=r) for r in rows))
        assert groups.groups[:2] == [["50"], ["4", "4", "4"]]

    async def test_work_whose_caller_left_in_time_is_not_done(self) -> None:
        groups = Groups()
        async with writer(groups) as made:
            left = made.submit(named("left"), Lane.ACCEPT, rows=1)
            stays = made.submit(named("stays"))
            left.cancel()
            await stays
            assert made.waiting == 0
        assert groups.groups[0] == ["stays"]


class TestCommitsOfTheLoop:
    """A small group of light work takes no hand-over to another thread."""

    @pytest.mark.parametrize(
        ("light", "of_the_loop"),
        [([True], True), ([True] * 3, True), ([True] * 4, False), ([True, False], False)],
    )
    async def test_a_small_group_of_light_work(self, light: list[bool], of_the_loop: bool) -> None:
        groups = Groups()
        async with writer(groups, here=3, here_seconds=60) as made:
            await asyncio.gather(*(made.submit(named("one"), light=one) for one in light))
        assert [thread is threading.current_thread() for thread in groups.threads] == [of_the_loop]

    async def test_after_a_slow_commit_the_next_one_is_handed_over(self) -> None:
        groups = Groups()
        async with writer(groups, here_seconds=-1) as made:
            for _ in range(2):
                await made.submit(named("one"), light=True)
                # The pause is as long as the commit, which took no time here.
                made._not_here_until *= 2
        assert [thread is threading.current_thread() for thread in groups.threads] == [True, False]

    async def test_a_long_log_is_copied_by_the_other_thread(self) -> None:
        class Long(Groups):
            def tidy(self) -> None:
                self.tidied.append(threading.current_thread())

            def __init__(self) -> None:
                super().__init__()
                self.is_untidy = True
                self.tidied: list[threading.Thread] = []

        groups = Long()
        async with writer(groups, here_seconds=60) as made:
            await made.submit(named("one"), light=True)
        assert groups.threads == [threading.current_thread()]
        [tidied] = groups.tidied
        assert tidied is not threading.current_thread()

    async def test_a_lock_of_another_program_does_not_stop_the_loop(self, home: Path) -> None:
        settings = WriterSettings(here_seconds=60)
        journal = await open_journal(home, project="p", clock=lambda: 0, settings=settings)
        other = apsw.Connection(str(home / JOURNAL))
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(enter(journal, "1"))
        for _ in range(10):
            await asyncio.to_thread(lambda: None)
        assert not waiting.done()
        other.execute("COMMIT")
        other.close()
        await waiting
        await journal.close()

    async def test_one_bad_item_fails_alone(self) -> None:
        async with small_journal(here_seconds=60) as journal:
            good, bad = event("1"), event("2")._replace(trace_id=None)  # type: ignore[arg-type]
            results = await asyncio.gather(
                accept(journal, good), accept(journal, bad), return_exceptions=True
            )
            assert [isinstance(one, Exception) for one in results] == [False, True]


class TestBounds:
    async def test_beyond_the_rows_that_may_wait_accepts_are_refused_at_once(self) -> None:
        async with small_journal(waiting_rows=5) as journal:
            first = asyncio.ensure_future(enter(journal, "1"))
            second = asyncio.ensure_future(enter(journal, "2"))
            await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
            with pytest.raises(Overloaded) as refused:
                await second
            assert refused.value.retry_after == 1
            await first
            await enter(journal, "3")
            assert journal.waiting == 0

    async def test_beyond_the_bytes_that_may_wait_accepts_are_refused(self) -> None:
        async with small_journal(waiting_bytes=100) as journal:
            large = event("1")._replace(document=b'"' + b"x" * 90 + b'"')
            results = await asyncio.gather(
                accept(journal, large), accept(journal, event("2")), return_exceptions=True
            )
            assert [type(result) for result in results] == [list, Overloaded]

    async def test_one_that_is_larger_than_the_bound_is_taken_when_nothing_waits(self) -> None:
        async with small_journal(waiting_rows=1) as journal:
            await accept(journal, *(event(str(n)) for n in range(10)))

    async def test_settling_is_never_refused(self) -> None:
        async with small_journal(waiting_rows=4) as journal:
            await enter(journal, "1")
            wake = await claim_one(journal)
            full = asyncio.ensure_future(enter(journal, "2"))
            settled = asyncio.ensure_future(settle(journal, wake, Delivered()))
            await asyncio.gather(full, settled)
            assert settled.result()

    async def test_how_much_waits_can_be_seen(self) -> None:
        async with small_journal(here=0) as journal:
            waiting = [asyncio.ensure_future(enter(journal, str(n))) for n in range(3)]
            await asyncio.wait(waiting, timeout=0)
            assert journal.waiting == 3
            await asyncio.gather(*waiting)
            assert journal.waiting == 0


class TestClose:
    async def test_what_waits_is_committed_first(self, journal: SqliteJournal) -> None:
        waiting = [asyncio.ensure_future(enter(journal, str(n))) for n in range(20)]
        await asyncio.wait(waiting, timeout=0)
        await journal.close()
        assert all(task.done() and task.exception() is None for task in waiting)

    async def test_it_may_be_closed_again_and_by_several(self, journal: SqliteJournal) -> None:
        await asyncio.gather(journal.close(), journal.close())
        await journal.close()

    async def test_one_who_stops_waiting_for_the_end_does_not_prevent_it(
        self, journal: SqliteJournal
    ) -> None:
        closing = asyncio.ensure_future(journal.close())
        await asyncio.wait({closing}, timeout=0)
        closing.cancel()
        await asyncio.wait({closing})
        await journal.close()

    async def test_nothing_is_taken_afterwards(self, journal: SqliteJournal) -> None:
        await journal.close()
        with pytest.raises(JournalUnavailable, match="closed"):
            await enter(journal, "1")
        with pytest.raises(JournalUnavailable):
            await claim(journal)

    async def test_a_last_note_is_written(self, home: Path) -> None:
        journal = await open_journal(home, project="p", clock=lambda: 0)
        await enter(journal, "1", runs=True)
        await journal.start_run(run_start(await claim_one(journal), "run_1"))
        await journal.note_run("run_1", last_line="bye", offset=3, at=1)
        await journal.close()
        reader = open_reader(home)
        run = reader.run("run_1")
        reader.close()
        assert run is not None
        assert run.last_line == "bye"


async def test_a_note_is_written_after_a_while_though_nothing_else_happens() -> None:
    async with small_journal(note_seconds=0.01) as journal:
        await enter(journal, "1", runs=True)
        await journal.start_run(run_start(await claim_one(journal), "run_1"))
        reader = journal.reader()
        # The group that follows an answer at once would take the note with it: let it pass.
        await asyncio.to_thread(reader.sources)
        await journal.note_run("run_1", last_line="hello", offset=3, at=1)
        async with asyncio.timeout(30):
            while (run := reader.run("run_1")) is None or not run.last_line:
                await asyncio.to_thread(reader.sources)
        reader.close()


async def test_a_journal_whose_loop_is_gone_holds_nothing_up() -> None:
    store = Groups()

    async def forget() -> Writer:
        return Writer(store, WriterSettings(), lambda: None)  # type: ignore[arg-type]

    made = await asyncio.to_thread(lambda: asyncio.run(forget()))
    made._inbox.put([named("late")])
    made._thread.join(30)
    assert store.groups == [["late"], ["closed"]]
