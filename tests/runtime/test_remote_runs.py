"""Runs that are jobs of another system: begun once, followed, called back, stopped, ended once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.errors import JournalUnavailable, NotFound, OrgLoopError, Overloaded, PluginError, Refused
from orgloop.plugin import (
    Completion,
    Delivered,
    HttpFailed,
    Inbound,
    Limited,
    NotBegun,
    Progress,
    Ref,
    Rejected,
    RemoteRun,
    Retry,
    Skipped,
    Throttled,
    Unavailable,
)
from orgloop.runtime.runs.remote import remote_holder
from orgloop.runtime.runs.remote.job_end import checked, from_bytes, to_bytes
from tests.runtime.engine import NOON, Engine, engine, turn, until
from tests.runtime.fakes import Elsewhere, Stage

PROJECT = """
defaults: {delivery: {retry: {max_attempts: 3, backoff: fixed, initial_delay: 10s}}}
sources: [{id: in, connector: receiver}]
actors: [{id: far, connector: CONNECTOR}, {id: taker, connector: taker}]
routes:
  - name: work
    when: {source: in, events: ["*"]}
    then: {actor: far, config: {session_key: "{{payload.key}}"}}
  - {name: told, when: {source: far, events: [actor.stopped]}, then: {actor: taker}}
"""
REMOTE = PROJECT.replace("CONNECTOR", "remote")
FINDABLE = PROJECT.replace("CONNECTOR", "findable")
CALLED = PROJECT.replace("CONNECTOR", "called")

DONE = Completion(
    phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="done", text="it is done", json={"n": 1}
)


def job(run: RemoteRun) -> Ref:
    return Ref(id=f"job:{run.id}", session_id="their-session")


def done(run: RemoteRun) -> Completion:
    assert run.ref == job(run)
    return DONE


def then(*answers: Any) -> Callable[[Any], Any]:
    """These answers, one after the other; an answer that can be called is asked for what it says."""
    left = list(answers)

    def answer(asked: Any) -> Any:
        one = left.pop(0)
        return one(asked) if callable(one) else one

    return answer


async def ended(it: Engine) -> Any:
    """The run, once it has ended with all that follows."""
    await it.delivered(2)
    (run,) = it.runs()
    types = [event.type for event in it.events()]
    assert types.count("actor.stopped") == 1
    assert it.runtime.runs.live == {}
    return run


async def test_a_job_is_begun_once_followed_and_ends_with_its_result(tmp_path: Path) -> None:
    say = Progress(text="half of it", cost_usd=0.5)
    elsewhere = Elsewhere(begins=job, follows=done, progress=[say])
    async with engine(tmp_path, REMOTE, Stage(elsewhere=elsewhere)) as it:
        await it.emit(7, key="k")
        run = await ended(it)
        assert elsewhere.asked == ["begin", "follow"]
        assert (run.outcome, run.reason, run.text) == ("success", "done", "it is done")
        assert (run.session_id, run.cost_usd, run.last_line) == ("their-session", 0.5, "half of it")
        assert run.is_remote
        assert not Path(run.run_dir).exists()
        began, stopped = [event for event in it.events() if event.source == "far"]
        assert (began.platform_event, stopped.platform_event) == ("session.started", "session.completed")
        assert stopped.document["payload"]["result"] == {"text": "it is done", "json": {"n": 1}}
        await it.emit(8, key="k")
        await it.delivered(4)
        assert it.stage.wakes["far"][1].session is not None
        assert it.stage.wakes["far"][1].session.id == "their-session"
        for mark in (it.stage.wakes["far"][0].marker, it.stage.wakes["far"][0].trailer):
            found = it.runtime._marker.find(mark or "")
            assert found is not None
            assert (found.run_id, found.actor) == (run.id, "far")


BEGINS = [
    (DONE, "delivered", "success"),
    (Delivered(detail="they have it"), "delivered", "delivered"),
    (Skipped(reason="nothing to do"), "dropped", "skipped"),
    (NotBegun(outcome=Retry(reason="500")), "pending", "not_started"),
    (NotBegun(outcome=Unavailable(reason="away")), "pending", "not_started"),
    (NotBegun(outcome=Throttled(until=NOON + 60_000, reason="429")), "pending", "not_started"),
    (NotBegun(outcome=Limited(account="a", until=NOON + 60_000)), "pending", "not_started"),
    (NotBegun(outcome=Rejected(reason="400")), "dead", "not_started"),
    (HttpFailed("no connection", sent=False), "pending", "not_started"),
    ("begun", "delivered", "connector_error"),
    (None, "delivered", "connector_error"),
    (NotBegun(outcome=Delivered()), "delivered", "connector_error"),  # type: ignore[arg-type]
    (replace(DONE, phase=Phase.STARTED), "delivered", "connector_error"),
    (replace(DONE, outcome="fine"), "delivered", "connector_error"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("answer", "state", "how"), BEGINS, ids=lambda it: ascii(it)[:40])
async def test_each_answer_to_begin_ends_the_run(tmp_path: Path, answer: Any, state: str, how: str) -> None:
    elsewhere = Elsewhere(begins=lambda _: answer)
    async with engine(tmp_path, REMOTE, Stage(elsewhere=elsewhere)) as it:
        await it.emit()
        await until(lambda: [run for run in it.runs() if run.ended_at is not None], "the end")
        (run,) = it.runs()
        assert (it.rows()[0].state, run.outcome if how == "success" else run.reason) == (state, how)
        began = how in ("success", "connector_error")
        assert [event.type for event in it.events()].count("actor.stopped") == began
        assert (run.outcome != "") == began
        assert elsewhere.asked == ["begin"]


LOST = HttpFailed("no answer", sent=True)
DOUBTS = [
    # connector, idempotent, what begin says, what find says, what is asked, outcome, reason
    ("remote", True, then(LOST, job), None, ["begin", "begin", "follow"], "success", "done"),
    ("remote", True, then(LOST, NotBegun(outcome=Unavailable(reason="away")), job), None,
     ["begin", "begin", "begin", "follow"], "success", "done"),
    ("remote", True, then(LOST, HttpFailed("no connection", sent=False), DONE), None,
     ["begin", "begin", "begin"], "success", "done"),
    ("remote", False, then(LOST), None, ["begin"], "unknown", "in_doubt"),
    ("remote", False, then(SystemExit(3)), None, ["begin"], "unknown", "in_doubt"),
    ("findable", False, then(LOST), job, ["begin", "find", "follow"], "success", "done"),
    ("findable", False, then(LOST), then(LOST, LOST, job), ["begin", *["find"] * 3, "follow"], "success",
     "done"),
    ("findable", False, then(LOST, job), then(None), ["begin", "find", "begin", "follow"], "success", "done"),
    ("findable", False, then(LOST), lambda _: DONE, ["begin", "find"], "success", "done"),
    ("findable", True, then(LOST), lambda _: "yes", ["begin", "find"], "unknown", "connector_error"),
]  # fmt: skip


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("connector", "again", "begins", "finds", "asked", "outcome", "reason"), DOUBTS)
async def test_what_may_have_begun_is_never_begun_twice(
    tmp_path: Path,
    connector: str,
    again: bool,
    begins: Any,
    finds: Any,
    asked: list[str],
    outcome: str,
    reason: str,
    crash: bool,
) -> None:
    first = Elsewhere(idempotent=again)
    answers = list(begins.__closure__[0].cell_contents)
    project = PROJECT.replace("CONNECTOR", connector)
    if crash:
        # The daemon ends while the first answer is awaited; the next one is in doubt from the beginning.
        async with engine(tmp_path, project, Stage(elsewhere=first), on_disk=True) as it:
            await it.emit()
            await until(lambda: first.asked, "the first request")
        answers, asked = answers[1:], asked[1:]
    elsewhere = Elsewhere(idempotent=again, begins=then(*answers), finds=_copy(finds), follows=done)
    async with engine(tmp_path, project, Stage(elsewhere=elsewhere), on_disk=True) as it:
        if not crash:
            await it.emit()
        while it.states() != ["delivered", "delivered"]:
            await it.pass_time(1)
        run = await ended(it)
        assert (run.outcome, run.reason, elsewhere.asked) == (outcome, reason, asked)
        if reason == "in_doubt" and not crash:
            assert run.text in ("no answer", "SystemExit: 3")


def _copy(script: Any) -> Any:
    """A list of answers is used up by one test."""
    closure = getattr(script, "__closure__", None)
    return then(*closure[0].cell_contents) if closure else script


async def test_a_deadline_ends_a_run_as_unknown_whatever_it_waits_for(tmp_path: Path) -> None:
    for elsewhere in (
        Elsewhere(timeout_s=60),
        Elsewhere(timeout_s=60, begins=lambda _: LOST),
        Elsewhere(timeout_s=60, begins=job),
        Elsewhere(timeout_s=60, begins=job, follows=lambda _: LOST),
    ):
        async with engine(tmp_path, REMOTE, Stage(elsewhere=elsewhere)) as it:
            await it.emit()
            await until(lambda one=elsewhere: one.asked, "the request")  # type: ignore[misc]
            for _ in range(59):
                await it.pass_time(1)
            assert it.states() == ["started"]
            assert elsewhere.asked.count("begin") < 8, "it asks less and less often"
            await it.pass_time(1)
            run = await ended(it)
            assert (run.outcome, run.reason) == ("unknown", "deadline")
            assert elsewhere.asked[-1] == "stop"


async def test_a_later_daemon_knows_until_when_an_answer_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_holder, "NOTE", 0.01)
    first, runs = Elsewhere(), list[RemoteRun]()
    async with engine(tmp_path, REMOTE, Stage(elsewhere=first), on_disk=True) as it:

        async def noted() -> int | None:
            (run,) = await it.journal.open_runs()
            return run.last_seen

        await it.emit()
        await until(lambda: first.asked, "the request")
        await it.pass_time(29)
        assert await noted() is None
        await it.pass_time(1)
        while await noted() is None:
            await it.pass_time(0)
        assert await noted() == NOON + 30_000
        clock = it.clock
    clock.ms += 5_000

    def begins(run: RemoteRun) -> Completion:
        runs.append(run)
        return DONE

    second = Elsewhere(begins=begins)
    async with engine(tmp_path, REMOTE, Stage(elsewhere=second), on_disk=True, clock=clock) as it:
        await ended(it)
    assert [(run.started_at, run.waited_until) for run in runs] == [(NOON, NOON + 30_000)]


async def test_a_run_whose_system_cannot_be_asked_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_holder, "NOTE", 0.01)
    elsewhere = Elsewhere(begins=lambda _: LOST)
    async with engine(tmp_path, REMOTE, Stage(elsewhere=elsewhere)) as it:
        await it.emit()
        # The pauses between two tries become longer than the time after which a wait is noted.
        while len(elsewhere.asked) < 7:
            await it.pass_time(8)
        await it.pass_time(31)
        await until(lambda: "cannot be queried" in it.runs()[0].last_line, "the note")
        for _ in range(50):
            await turn()
        (run,) = await it.journal.open_runs()
        assert run.last_seen is None


async def test_a_deadline_that_passed_while_no_daemon_ran_lets_the_result_count(tmp_path: Path) -> None:
    first, second = Elsewhere(begins=job, timeout_s=60), Elsewhere(follows=done)
    async with engine(tmp_path, REMOTE, Stage(elsewhere=first), on_disk=True) as it:
        await it.emit()
        await until(lambda: first.asked == ["begin", "follow"], "the run")
        clock = it.clock
    clock.ms += 3_600_000
    async with engine(tmp_path, REMOTE, Stage(elsewhere=second), on_disk=True, clock=clock) as it:
        run = await ended(it)
        assert (run.outcome, second.asked) == ("success", ["follow"])


async def test_a_run_whose_actor_is_another_kind_by_now_waits_for_one_of_its_own(tmp_path: Path) -> None:
    first, other, last = Elsewhere(begins=job), Stage(elsewhere=Elsewhere()), Elsewhere(follows=done)
    async with engine(tmp_path, REMOTE, Stage(elsewhere=first), on_disk=True) as it:
        await it.emit()
        await until(lambda: first.asked == ["begin", "follow"], "the run")
    async with engine(tmp_path, PROJECT.replace("CONNECTOR", "agent"), other, on_disk=True) as it:
        await until(lambda: "far" in it.stage.opened, "the other actor")
        await it.pass_time(60)
        assert (it.states(), other.elsewhere.asked) == (["started"], [])
    async with engine(tmp_path, REMOTE, Stage(elsewhere=last), on_disk=True) as it:
        run = await ended(it)
        assert (run.outcome, last.asked) == ("success", ["follow"])


async def test_a_stop_of_the_daemon_leaves_the_run_and_the_next_one_follows_it(tmp_path: Path) -> None:
    first, second = Elsewhere(begins=job), Elsewhere(follows=done)
    async with engine(tmp_path, REMOTE, Stage(elsewhere=first), on_disk=True) as it:
        await it.emit()
        await until(lambda: first.asked == ["begin", "follow"], "the run")
    assert "stop" not in first.asked
    async with engine(tmp_path, REMOTE, Stage(elsewhere=second), on_disk=True) as it:
        run = await ended(it)
        assert (run.outcome, second.asked) == ("success", ["follow"])
        assert [event.platform_event for event in it.events() if event.source == "far"] == [
            "session.started",
            "session.completed",
        ]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("answers", [False, True])
async def test_a_run_that_somebody_stops_ends_with_its_own_end_or_as_cancelled(
    tmp_path: Path, restarted: bool, answers: bool
) -> None:
    mine = Completion(phase=Phase.STOPPED, outcome=RunOutcome.CANCELLED, reason="by_request", text="stopped")
    first = Elsewhere(begins=job)
    later = Elsewhere(follows=(lambda _: mine) if answers else None)
    async with engine(tmp_path, REMOTE, Stage(elsewhere=first), on_disk=True) as it:
        await it.emit()
        await until(lambda: first.asked == ["begin", "follow"], "the run")
        (id,) = it.runtime.runs.live
        await it.runtime.runs.stop(id)
        if not restarted:
            await until(lambda: "stop" in first.asked, "the stop")
            if not answers:
                await until(lambda: 10.0 in it.clock.waits, "the grace")
                await it.pass_time(10)
                run = await ended(it)
                assert (run.outcome, run.reason) == ("cancelled", "requested")
            return
    async with engine(tmp_path, REMOTE, Stage(elsewhere=later), on_disk=True) as it:
        if not answers:
            await until(lambda: "stop" in later.asked and 10.0 in it.clock.waits, "the stop")
            await it.pass_time(10)
        run = await ended(it)
        assert (run.outcome, run.reason) == ("cancelled", "by_request" if answers else "requested")


async def test_a_run_elsewhere_counts_among_the_runs(tmp_path: Path) -> None:
    gate: list[Any] = []
    elsewhere = Elsewhere(begins=job, follows=lambda _: gate[0] if gate else LOST)
    project = REMOTE.replace("connector: remote}", "connector: remote, limits: {runs: 1}}")
    async with engine(tmp_path, project, Stage(elsewhere=elsewhere)) as it:
        await it.emit(1, key="a")
        await it.emit(2, key="b")
        await until(lambda: it.states() == ["started", "pending"], "the limit")
        gate.append(DONE)
        while it.states().count("delivered") < 4:
            await it.pass_time(1)
        assert elsewhere.asked.count("begin") == 2


def report(body: str = "x") -> Inbound:
    return Inbound(method="POST", headers={}, body=body.encode())


async def test_a_callback_is_on_disk_once_it_is_answered_and_ends_the_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = {
        "half": Progress(text="half of it"),
        "done": DONE,
        "other": replace(DONE, text="another end"),
        "bad": Refused("this is no report", status=422),
        "odd": "yes",
        "broken": ValueError("broken"),
    }

    def read(request: Inbound) -> Any:
        answer = reads[request.body.decode()]
        if isinstance(answer, Exception):
            raise answer
        return answer

    elsewhere = Elsewhere(begins=job, follows=lambda _: None, reads=read)
    async with engine(tmp_path, CALLED, Stage(elsewhere=elsewhere), on_disk=True) as it:
        await it.emit()
        await until(lambda: elsewhere.asked == ["begin", "follow"], "the run")
        (id,) = it.runtime.runs.live
        runs = it.runtime.runs
        assert await runs.called_back(id, report("half"))
        assert runs.live[id].last_line == "half of it"
        for body, error in (("bad", Refused), ("odd", OrgLoopError), ("broken", OrgLoopError)):
            with pytest.raises(error):
                await runs.called_back(id, report(body))
        called_back = it.journal.run_called_back

        async def refuse(*_: Any) -> bool:
            raise JournalUnavailable("the disk is full", hint="")

        monkeypatch.setattr(it.journal, "run_called_back", refuse)
        with pytest.raises(JournalUnavailable):
            await runs.called_back(id, report("done"))
        assert it.states() == ["started"], "nothing was taken"
        monkeypatch.setattr(it.journal, "run_called_back", called_back)
        # The daemon dies between the callback's row and the end of the run.
        monkeypatch.setattr(it.journal, "end_run", refuse)
        assert await runs.called_back(id, report("done"))
        assert not await runs.called_back(id, report("other"))
    later = Elsewhere(reads=read)
    async with engine(tmp_path, CALLED, Stage(elsewhere=later), on_disk=True) as it:
        run = await ended(it)
        assert (run.outcome, run.text) == ("success", "it is done")
        assert not await it.runtime.runs.called_back(id, report("other")), "it has ended"


async def test_only_who_knows_a_runs_secret_can_report_on_it(tmp_path: Path) -> None:
    elsewhere = Elsewhere(begins=job, reads=lambda _: DONE)
    async with engine(tmp_path, CALLED, Stage(elsewhere=elsewhere), start=False) as it:
        it.runtime.port = 4800
        await it.runtime.start()
        await it.emit(1, key="a")
        await it.emit(2, key="b")
        await until(lambda: len(elsewhere.callbacks) == 2, "the runs")
        first, second = (str(address).split("/")[-2:] for address in elsewhere.callbacks)
        assert elsewhere.callbacks[0] == f"http://127.0.0.1:4800/callback/{first[0]}/{first[1]}"
        it.runtime.runs.require_token(*first)
        for id, token in ((first[0], second[1]), (first[0], ""), (first[0], "ü"), ("run_1", first[1])):
            with pytest.raises(NotFound):
                it.runtime.runs.require_token(id, token)


async def test_a_report_on_a_run_whose_actor_is_not_open_yet_must_be_sent_again(tmp_path: Path) -> None:
    first = Elsewhere(begins=job)
    async with engine(tmp_path, CALLED, Stage(elsewhere=first), on_disk=True) as it:
        await it.emit()
        await until(lambda: "follow" in first.asked, "the run")
        (id,) = it.runtime.runs.live

    async def never() -> None:
        raise ConnectionError("not there")

    stage = Stage(opens={"far": never}, elsewhere=Elsewhere(reads=lambda _: DONE))
    async with engine(tmp_path, CALLED, stage, on_disk=True) as it:
        with pytest.raises(Overloaded):
            await it.runtime.runs.called_back(id, report())
        assert stage.elsewhere.asked == []
        del stage.opens["far"]
        await it.pass_time(1)
        await until(lambda: stage.elsewhere.asked, "its actor follows it")
        assert await it.runtime.runs.called_back(id, report())
        await ended(it)


async def test_a_replaced_actor_is_closed_after_its_runs(tmp_path: Path) -> None:
    gate: list[Any] = []
    elsewhere = Elsewhere(begins=job, follows=lambda _: gate[0] if gate else LOST)
    async with engine(tmp_path, REMOTE, Stage(elsewhere=elsewhere)) as it:
        await it.emit()
        await until(lambda: "follow" in elsewhere.asked, "the run")
        await it.apply(REMOTE.replace("connector: remote}", "connector: remote, config: {note: new}}"))
        await until(lambda: "far:new" in it.stage.opened, "its successor")
        assert it.stage.closed == []
        gate.append(DONE)
        while it.states() != ["delivered", "delivered"]:
            await it.pass_time(1)
        await until(lambda: it.stage.closed == ["far"], "its close")


def without_told(project: str) -> str:
    """Without the route that listens to the actor's runs."""
    return project[: project.index("  - {name: told")]


@pytest.mark.parametrize(("note", "asked"), [("runs", ["begin", "follow"]), ("", [])])
async def test_its_settings_decide_whether_an_actor_has_runs(
    tmp_path: Path, note: str, asked: list[str]
) -> None:
    project = PROJECT.replace("CONNECTOR", f"either, config: {{note: '{note}'}}")
    project = project if note else without_told(project)
    stage = Stage(elsewhere=Elsewhere(begins=job, follows=done))
    async with engine(tmp_path, project, stage) as it:
        await it.emit()
        await it.delivered(2 if note else 1)
        assert (stage.elsewhere.asked, len(it.runs())) == (asked, len(asked) // 2)


async def test_an_actor_that_cannot_do_what_its_connector_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="it has no `deliver`"):
        async with engine(tmp_path, without_told(PROJECT.replace("CONNECTOR", "handless")), Stage()):
            pass


JSON_ENDS = [
    DONE,
    replace(DONE, tokens={"in": 1}, models={"m": {"x": 1.5}}, denied_tools=("Bash",), session_id="s"),
    Delivered(detail="they have it"),
    Skipped(reason="no"),
    NotBegun(outcome=Limited(account="a", until=1, reason="r"), forget_session=True),
    NotBegun(outcome=Retry(reason="r", known=False, after_ms=3)),
]


@pytest.mark.parametrize("end", JSON_ENDS, ids=lambda it: ascii(it)[:30])
def test_an_end_comes_back_from_its_row_as_it_was(end: Any) -> None:
    found = from_bytes(to_bytes(checked(end)))
    assert (found, type(found)) == (end, type(end))


def test_what_no_event_can_carry_is_left_out_of_an_end() -> None:
    huge = replace(
        DONE,
        text="x" * 10**7,
        json=["y" * 10**6],
        models={"m": object()},
        reason="\ud800",
        denied_tools=5,  # type: ignore[arg-type]
    )
    kept = checked(huge)
    assert isinstance(kept, Completion)
    assert (len(kept.text), kept.json, kept.models, kept.reason) == (100_000, None, None, "?")
    assert kept.denied_tools == ()
    assert from_bytes(to_bytes(kept)) == kept
