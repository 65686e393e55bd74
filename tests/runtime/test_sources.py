"""Sources at work: what they hand in, what fails, and that one never harms another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orgloop.errors import NotFound, Overloaded, Refused
from orgloop.journal.sqlite import SqliteJournal
from orgloop.plugin import Context, Inbound, Page, Received, TryLater
from tests.runtime.engine import NOON, Engine, engine, turn, until
from tests.runtime.fakes import FakeReceiver, Stage, draft

PROJECT = """
sources:
  - {id: polled, connector: poller, poll: {interval: 5m}}
  - {id: other, connector: poller, poll: {interval: 5m}}
actors: [{id: taker, connector: taker}]
routes:
  - {name: polled, when: {source: polled, events: ["*"]}, then: {actor: taker}}
  - {name: other, when: {source: other, events: ["*"]}, then: {actor: taker}}
"""


def row(it: Engine, source: str) -> object:
    return next((one for one in it.reader.sources() if one.source == source), None)


async def waits(it: Engine) -> None:
    """Return when both sources wait for their next poll."""
    await until(lambda: len(it.runtime.sources.next_polls) == 2, "the end of the polls")


class Script:
    """Pages or errors for the polls of one source, in turn; then nothing new."""

    def __init__(self, *answers: Page | BaseException) -> None:
        self.answers = list(answers)
        self.seen: list[str | None] = []

    async def poll(self, checkpoint: str | None) -> Page:
        self.seen.append(checkpoint)
        answer = self.answers.pop(0) if self.answers else Page()
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def test_events_and_checkpoint_commit_together_and_pages_follow_at_once(tmp_path: Path) -> None:
    script = Script(
        Page(events=[draft(1), draft(2)], checkpoint="a", more=True), Page(events=[draft(3)], checkpoint="b")
    )
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll})) as it:
        await it.delivered(3)
        assert it.stage.texts("taker") == [1, 2, 3]
        assert script.seen == [None, "a"]
        await until(lambda: "polled" in it.runtime.sources.next_polls, "the end of the poll")
        assert it.runtime.sources.next_polls["polled"] == NOON + 300_000
        await it.pass_time(300)
        await until(lambda: script.seen == [None, "a", "b"], "the next poll")


async def test_a_poll_whose_events_cannot_be_written_comes_again_from_its_checkpoint(
    tmp_path: Path,
) -> None:
    page = Page(events=[draft(1)], checkpoint="a")
    script = Script(page, page)
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll}), start=False) as it:
        take, failures = it.runtime.intake.take, [Overloaded("full", hint="")]

        async def refuse(*args: object, **more: object) -> object:
            if failures:
                raise failures.pop()
            return await take(*args, **more)  # type: ignore[arg-type]

        it.runtime.intake.take = refuse  # type: ignore[method-assign, assignment]
        await it.runtime.start()
        await until(lambda: it.clock.waits[:1] == [1.0], "the pause")
        assert row(it, "polled") is None or row(it, "polled").errors == 0, "it is not the source's fault"  # type: ignore[attr-defined]
        await it.pass_time(1)
        await it.delivered(1)
        assert script.seen == [None, None]


async def test_a_failing_source_shows_waits_longer_and_delays_no_other(tmp_path: Path) -> None:
    stuck = asyncio.Event()

    async def hang(checkpoint: str | None) -> Page:
        await stuck.wait()
        return Page()

    project = PROJECT.replace("{interval: 5m}", "{interval: 1s}", 1) + ""
    script = Script(*[ConnectionError("away")] * 4, Page(events=[draft(9)], checkpoint="z"))
    async with engine(tmp_path, project, Stage(polls={"polled": script.poll, "other": hang})) as it:
        for pause in (1, 2, 4, 8):
            await until(lambda p=pause: p in it.clock.waits, f"a pause of {pause} s: {it.clock.waits}")  # type: ignore[misc]
            await it.pass_time(pause)
        await it.delivered(1)
        assert it.stage.texts("taker") == [9]
        assert it.runtime.counters.errors["polled"] == 4
        await until(lambda: row(it, "polled").errors == 0, "health")  # type: ignore[attr-defined]
        stuck.set()


async def test_the_health_of_a_failing_source_is_in_the_journal(tmp_path: Path) -> None:
    script = Script(ConnectionError("away"), ConnectionError("away"))
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll})) as it:
        await until(lambda: row(it, "polled") is not None, "a row")
        found = row(it, "polled")
        assert (found.errors, found.error) == (1, "ConnectionError: away")  # type: ignore[attr-defined]
        await waits(it)
        await it.pass_time(300)
        await until(lambda: row(it, "polled").errors == 2, "the second failure")  # type: ignore[attr-defined]
        await waits(it)
        await it.pass_time(300)
        await until(lambda: row(it, "polled").errors == 0, "recovery")  # type: ignore[attr-defined]


async def test_a_poll_that_is_cancelled_from_within_has_failed_and_comes_again(tmp_path: Path) -> None:
    script = Script(asyncio.CancelledError(), Page(events=[draft(1)], checkpoint="a"))
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll})) as it:
        await until(lambda: len(it.runtime.sources.next_polls) == 2, "the failure")
        await it.pass_time(300)
        await it.delivered(1)


async def test_a_plugin_that_exits_has_failed_and_ends_nothing_else(tmp_path: Path) -> None:
    """`sys.exit` in a library of its own would otherwise end the daemon, without a word."""
    script, opens, listens = Script(SystemExit(3)), [SystemExit(4)], [SystemExit(5)]

    async def open() -> None:
        if opens:
            raise opens.pop()

    async def listen(ctx: Context) -> None:
        if listens:
            raise listens.pop()
        await asyncio.Event().wait()

    project = PROJECT.replace(
        "{id: other, connector: poller, poll: {interval: 5m}}", "{id: other, connector: listener}"
    )
    stage = Stage(polls={"polled": script.poll}, opens={"polled": open}, listens={"other": listen})
    async with engine(tmp_path, project, stage) as it:
        await until(lambda: row(it, "other") and row(it, "polled"), "both failures")
        assert row(it, "polled").error == "cannot be opened: SystemExit: 4"  # type: ignore[attr-defined]
        assert row(it, "other").error == "it called sys.exit"  # type: ignore[attr-defined]
        await it.pass_time(1)
        await until(lambda: row(it, "polled").errors == 2, "the failed poll")  # type: ignore[attr-defined]
        assert row(it, "polled").error == "SystemExit: 3"  # type: ignore[attr-defined]


async def test_a_poll_that_is_told_to_come_later_comes_then_and_has_not_failed(tmp_path: Path) -> None:
    told = TryLater(NOON + 90_000, "rate limit")
    script = Script(Page(checkpoint="a"), told, Page(events=[draft(1)], checkpoint="b"))
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll})) as it:
        await waits(it)
        await it.pass_time(300)
        await until(lambda: it.runtime.sources.later, "the wait")
        later = it.runtime.sources.later["polled"]
        # It was told so after its time: it still does not spin.
        assert (later.until, later.reason) == (NOON + 301_000, "rate limit")
        assert (row(it, "polled").errors, it.runtime.counters.errors["polled"]) == (0, 0)  # type: ignore[attr-defined]
        await it.pass_time(1)
        await it.delivered(1)
        assert script.seen == [None, "a", "a"]
        assert it.runtime.sources.later == {}


@pytest.mark.parametrize("until_", [10**30, "tomorrow", None, True, -5, float("nan")], ids=repr)
async def test_a_time_to_come_later_that_is_none_is_a_short_pause(tmp_path: Path, until_: int) -> None:
    script = Script(TryLater(until_, "x" * 100_000), Page(events=[draft(1)]))
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll})) as it:
        await until(lambda: it.runtime.sources.later, "the wait")
        later = it.runtime.sources.later["polled"]
        assert later.until == NOON + 1_000
        assert len(later.reason) < 10_000
        await it.pass_time(1)
        await it.delivered(1)


async def test_a_listener_that_is_told_to_come_later_listens_again_then(tmp_path: Path) -> None:
    calls: list[int] = []

    async def listen(ctx: Context) -> None:
        calls.append(it.clock.now())
        if len(calls) == 1:
            raise TryLater(NOON + 120_000, "too many connections")
        await asyncio.Event().wait()

    project = PROJECT.replace(
        "{id: other, connector: poller, poll: {interval: 5m}}", "{id: other, connector: listener}"
    )
    async with engine(tmp_path, project, Stage(listens={"other": listen}), start=False) as it:
        await it.runtime.start()
        await until(lambda: it.runtime.sources.later, "the wait")
        assert it.runtime.sources.later["other"].reason == "too many connections"
        assert it.runtime.counters.errors["other"] == 0
        for _ in range(2):
            await it.pass_time(59)
            assert len(calls) == 1
        await it.pass_time(2)
        await until(lambda: len(calls) == 2, "the second call")
        assert it.runtime.sources.later == {}


async def test_a_source_is_polled_only_by_the_worker_that_has_its_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads, asked = {"poll:other"}, set[str]()

    async def lead(_: SqliteJournal, role: str) -> bool:
        asked.add(role)
        return role in leads

    monkeypatch.setattr(SqliteJournal, "lead", lead)
    polled, other = Script(), Script()
    stage = Stage(polls={"polled": polled.poll, "other": other.poll})
    async with engine(tmp_path, PROJECT, stage) as it:
        await waits(it)
        assert (polled.seen, other.seen) == ([], [None])
        assert asked >= {"poll:polled", "poll:other"}
        leads.add("poll:polled")
        await it.pass_time(300)
        await until(lambda: polled.seen and len(other.seen) == 2, "the polls of both")


async def test_a_slow_poll_never_overlaps_itself(tmp_path: Path) -> None:
    gate = asyncio.Event()
    going: list[int] = []

    async def slow(checkpoint: str | None) -> Page:
        going.append(len(going))
        await gate.wait()
        return Page()

    async with engine(tmp_path, PROJECT, Stage(polls={"polled": slow})) as it:
        await until(lambda: going, "the poll")
        for _ in range(5):
            await it.pass_time(300)
        assert going == [0]
        gate.set()


@pytest.mark.parametrize("seconds", [2, 7_200])
async def test_a_source_that_knows_when_something_is_due_is_polled_then(tmp_path: Path, seconds: int) -> None:
    script = Script(Page(next_at=NOON + seconds * 1000))
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll})) as it:
        await until(lambda: "polled" in it.runtime.sources.next_polls, "the end of the poll")
        assert it.runtime.sources.next_polls["polled"] == NOON + seconds * 1000
        while (left := NOON + seconds * 1000 - it.clock.now()) > 1000:
            await it.pass_time(min(60, left / 1000 - 1))
            assert len(script.seen) == 1
        await it.pass_time(1)
        await until(lambda: len(script.seen) == 2, "the poll")


async def test_a_source_that_is_always_due_does_not_spin(tmp_path: Path) -> None:
    polls = []

    async def due(checkpoint: str | None) -> Page:
        polls.append(1)
        return Page(next_at=NOON)

    async with engine(tmp_path, PROJECT, Stage(polls={"polled": due})) as it:
        for _ in range(20):
            await turn()
        assert len(polls) == 1
        await it.pass_time(0.01)
        await until(lambda: len(polls) == 2, "the next poll")


async def test_a_source_that_has_more_of_nothing_does_not_spin(tmp_path: Path) -> None:
    script = Script(*[Page(more=True)] * 3, Page(events=[draft(1)], checkpoint="a"))
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll})) as it:
        for polls in (1, 2, 3):
            await until(lambda: 0.01 in it.clock.waits, "the shortest pause")
            assert len(script.seen) == polls
            await it.pass_time(0.01)
        await it.delivered(1)


async def test_a_clock_that_is_set_back_delays_no_poll(tmp_path: Path) -> None:
    script = Script()
    async with engine(tmp_path, PROJECT, Stage(polls={"polled": script.poll})) as it:
        await until(lambda: "polled" in it.runtime.sources.next_polls, "the end of the poll")
        for sleeper in list(it.clock._sleepers):
            sleeper.set_result(None)
        it.clock.ms -= 86_400_000
        await until(lambda: len(script.seen) == 2, "the next poll")


async def test_a_source_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    failures = [OSError("no disk"), OSError("no disk")]

    async def open() -> None:
        if failures:
            raise failures.pop()

    script = Script(Page(events=[draft(1)], checkpoint="a"))
    stage = Stage(opens={"polled": open}, polls={"polled": script.poll})
    async with engine(tmp_path, PROJECT, stage) as it:
        for pause in (1, 2):
            await until(lambda p=pause: p in it.clock.waits, f"a pause of {pause} s")  # type: ignore[misc]
            assert script.seen == []
            await it.pass_time(pause)
        await it.delivered(1)


async def test_a_listener_that_ends_or_breaks_is_called_again(tmp_path: Path) -> None:
    calls = []

    async def listen(ctx: Context) -> None:
        calls.append(1)
        await ctx.emit([draft(len(calls))])
        if len(calls) == 2:
            raise ConnectionError("closed")
        if len(calls) == 3:
            await asyncio.Event().wait()

    project = PROJECT.replace(
        "{id: polled, connector: poller, poll: {interval: 5m}}", "{id: polled, connector: listener}"
    )
    async with engine(tmp_path, project, Stage(listens={"polled": listen})) as it:
        for pause in (1, 2):
            await until(lambda p=pause: p in it.clock.waits, f"a pause of {pause} s")  # type: ignore[misc]
            await it.pass_time(pause)
        await it.delivered(3)
        assert it.stage.texts("taker") == [1, 2, 3]


HOOK = """
sources: [{id: in, connector: receiver}, {id: polled, connector: poller}]
actors: [{id: taker, connector: taker}]
routes: [{name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}]
"""
REQUEST = Inbound(method="POST", headers={}, body=b"hello")


async def test_a_request_waits_for_its_source_to_open(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with engine(tmp_path, HOOK, Stage(opens={"in": gate.wait})) as it:  # type: ignore[dict-item]
        asked = asyncio.create_task(it.runtime.inbound.receive("in", REQUEST))
        await turn()
        assert not asked.done()
        gate.set()
        _, (accepted,) = await asked
        await it.delivered(1)
        assert not accepted.duplicate


async def test_a_request_that_comes_before_the_sources_are_begun_waits_for_its_own(tmp_path: Path) -> None:
    """The port is open first, and GitHub does not send twice."""
    async with engine(tmp_path, HOOK, start=False) as it:
        asked = asyncio.create_task(it.runtime.inbound.receive("in", REQUEST))
        await turn()
        assert not asked.done()
        await it.runtime.start()
        _, (accepted,) = await asked
        await it.delivered(1)
        assert not accepted.duplicate


async def test_a_request_to_a_source_that_does_not_open_is_sent_away_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.runtime.intake.inbound.OPENS", 0.01)
    gate = asyncio.Event()
    async with engine(tmp_path, HOOK, Stage(opens={"in": gate.wait})) as it:  # type: ignore[dict-item]
        with pytest.raises(Overloaded, match="not open yet"):
            await it.runtime.inbound.receive("in", REQUEST)
        with pytest.raises(NotFound, match="accepts no webhooks"):
            await it.runtime.inbound.receive("polled", REQUEST)
        assert it.events() == []


async def test_a_request_that_its_source_hangs_over_is_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each such request holds a connection, and there are not many."""
    monkeypatch.setattr("orgloop.runtime.intake.inbound.RECEIVES", 0.01)

    async def hang(self: FakeReceiver, request: Inbound) -> Received:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(FakeReceiver, "receive", hang)
    async with engine(tmp_path, HOOK) as it:
        with pytest.raises(Refused, match="took too long") as raised:
            await it.runtime.inbound.receive("in", REQUEST)
        assert raised.value.status == 504


async def test_a_source_that_exits_over_a_request_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave(self: FakeReceiver, request: Inbound) -> Received:
        raise SystemExit(3)

    monkeypatch.setattr(FakeReceiver, "receive", leave)
    async with engine(tmp_path, HOOK) as it:
        with pytest.raises(RuntimeError, match=r"called sys\.exit"):
            await it.runtime.inbound.receive("in", REQUEST)


async def test_the_same_fact_a_second_time_is_answered_with_the_first(tmp_path: Path) -> None:
    async with engine(tmp_path, HOOK) as it:
        first = await it.emit(1, fact="review-1")
        assert await it.emit(2, fact="review-1") == first
        await it.delivered(1)
        assert it.stage.texts("taker") == [1]
