"""What the end of a run comes to, and what its program said until then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orgloop.core.deliveries.delivery import Facts, State
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin import (
    Completion,
    ExitInfo,
    NotBegun,
    Progress,
    Retry,
    RunSpec,
    Unavailable,
    Wake,
    WakeSession,
)
from orgloop.runtime.runs.completion import by_exit_status
from orgloop.runtime.runs.local import run_directory
from orgloop.runtime.runs.local.local_run import LocalRun
from tests.runtime.engine import engine, until
from tests.runtime.fakes import FakeAgent, Note, Stage

PROJECT = """
defaults: {delivery: {retry: {max_attempts: 3, backoff: fixed, initial_delay: 10s}}}
sources: [{id: in, connector: receiver}]
actors: [{id: agent, connector: agent}, {id: taker, connector: taker}]
routes:
  - name: work
    when: {source: in, events: ["*"]}
    then: {actor: agent, config: {session_key: "{{payload.key}}"}}
  - {name: told, when: {source: agent, events: [actor.stopped]}, then: {actor: taker}}
"""

Program = Callable[[Wake, WakeSession | None], RunSpec]


def program(*argv: str) -> Program:
    return lambda *_: RunSpec(argv=argv, cwd="/")


def shell(script: str) -> Program:
    return program("sh", "-c", script)


def waits_for(gate: Path, then: str = "echo done") -> Program:
    """A program that goes on until `gate` exists."""
    return shell(f"while [ ! -e {gate} ]; do sleep 0.01; done; {then}")


def begun(directory: Path) -> LocalRun:
    """A run whose output is in there."""
    return LocalRun(
        run_id="run_1",
        directory=directory,
        facts=Facts(state=State.STARTED, accepted_at=0, age_from=0),
        lineage=None,  # type: ignore[arg-type]
        delivery_id="dlv_1",
        route="work",
        actor_id="agent",
        harness="fake",
        actor=FakeAgent(Stage(), "agent", Note()),
        session_id=None,
        resumed=False,
        cwd=None,
        started_at=0,
    )


@pytest.mark.parametrize(
    "result",
    [
        None,
        RuntimeError("broken"),
        Completion(phase=Phase.STARTED, outcome=RunOutcome.SUCCESS, reason=""),
        Completion(phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="", json={1, 2}),
        NotBegun(outcome=None),  # type: ignore[arg-type]
    ],
    ids=["nothing", "an exception", "not over", "no JSON", "no outcome"],
)
async def test_an_actor_that_cannot_read_an_end_leaves_it_to_the_exit_status(
    tmp_path: Path, result: Any
) -> None:
    def finish(exit: ExitInfo) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    program = shell("echo said; echo complained >&2; exit 4")
    stage = Stage(programs={"agent": program}, finishes={"agent": finish})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        await it.delivered(2)
        (run,) = it.runs()
        assert (run.outcome, run.reason, run.text) == ("failure", "exit_code_4", "said\ncomplained")
        delivery = it.reader.delivery(run.delivery_id)
        assert delivery is not None
        assert delivery.detail == "exit_code_4: complained"


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [("session_id", "\ud800", "?"), ("session_id", 7, "7"), ("cost_usd", "much", None)],
)
async def test_what_no_row_can_hold_does_not_keep_a_run_from_ending(
    tmp_path: Path, field: str, value: Any, kept: Any
) -> None:
    def finish(exit: ExitInfo) -> Completion:
        return Completion(phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="", **{field: value})

    async with engine(tmp_path, PROJECT, Stage(finishes={"agent": finish})) as it:
        await it.emit()
        await it.delivered(2)
        assert getattr(it.runs()[0], field) == kept


async def test_a_start_that_failed_for_a_reason_that_no_row_can_hold_is_tried_again(tmp_path: Path) -> None:
    odd = NotBegun(outcome=Retry(reason="\ud800", after_ms=2_000.5))  # type: ignore[arg-type]
    async with engine(tmp_path, PROJECT, Stage(finishes={"agent": lambda _: odd})) as it:
        await it.emit()
        await until(lambda: "not_started" in it.transitions(), "the end of the run")
        (row,) = it.rows()
        assert (row.state.value, row.attempts, row.detail) == ("pending", 1, "?")


async def test_text_that_is_no_unicode_does_not_keep_a_run_from_ending(tmp_path: Path) -> None:
    def finish(exit: ExitInfo) -> Completion:
        return Completion(
            phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="", text="a\ud800b", json={"ok": True}
        )

    async with engine(tmp_path, PROJECT, Stage(finishes={"agent": finish})) as it:
        await it.emit()
        await it.delivered(2)
        (run,) = it.runs()
        assert (run.outcome, run.text) == ("success", "a?b")
        assert run.completion["result"]["json"] == {"ok": True}


async def test_a_start_that_failed_before_any_work_is_tried_again_and_counted_once(tmp_path: Path) -> None:
    ends: list[Any] = [NotBegun(outcome=Retry(reason="busy")), NotBegun(outcome=Unavailable(reason="login"))]

    def finish(exit: ExitInfo) -> Any:
        done = Completion(phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="exit_code_0")
        return ends.pop(0) if ends else done

    async with engine(tmp_path, PROJECT, Stage(finishes={"agent": finish})) as it:
        await it.emit()
        for happened in (["started", "not_started"], ["started", "not_started"] * 2):
            await until(lambda h=happened: it.transitions(route="work") == h, str(happened))  # type: ignore[misc]
            await it.pass_time(31)
        await it.delivered(2)
        work = it.rows(route="work")[0]
        assert (work.attempts, work.failures) == (2, 1)
        assert [event.type for event in it.events()].count("actor.stopped") == 1


async def test_output_faster_than_it_is_looked_at_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(FakeAgent, "read", lambda _, line: lines.append(line))
    script = "yes 0123456789012345678901234567890123456789 | head -n 60000; echo the-last"
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": shell(script)})) as it:
        await it.emit()
        await it.delivered(2)
        assert (len(lines), lines[-1]) == (60_001, "the-last")


async def test_a_line_without_an_end_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.runtime.runs.local.local_run.LONGEST_LINE", 1 << 20)
    lines: list[str] = []
    monkeypatch.setattr(FakeAgent, "read", lambda _, line: lines.append(line))
    script = "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo after"
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": shell(script)})) as it:
        await it.emit()
        await it.delivered(2)
        assert lines == ["after"]


@pytest.mark.parametrize("end", ["", "\n"])
def test_output_that_is_one_endless_line_is_judged_by_its_end(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stdout").write_text("x" * 3000 + "the end" + end)
    assert run_directory.tail(tmp_path / "stdout", 1000) == "x" * 3000 + "the end" + end
    (tmp_path / "stdout").write_text("before\n" + "x" * 3000 + "\nthe end" + end)
    assert run_directory.tail(tmp_path / "stdout", 1000) == "x" * 3000 + "\nthe end" + end
    monkeypatch.setattr("orgloop.runtime.runs.local.run_directory.LONGEST_LINE", 500)
    assert run_directory.tail(tmp_path / "stdout", 1000).strip().endswith("the end")


async def test_the_last_line_is_known_at_the_end_with_or_without_a_newline(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": shell("echo first; printf last")})) as it:
        await it.emit()
        await it.delivered(2)
        assert it.runs()[0].last_line == "last"


async def test_what_a_run_told_of_its_cost_counts_if_its_end_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeAgent, "read", lambda _, line: Progress(text=line, cost_usd=float(line)))
    async with engine(tmp_path, PROJECT, Stage(programs={"agent": shell("echo 0.25; echo 0.5")})) as it:
        await it.emit()
        await it.delivered(2)
        assert it.runs()[0].cost_usd == 0.5
        (end,) = [event for event in it.events() if event.type == "actor.stopped"]
        assert end.document["payload"]["cost_usd"] == 0.5


async def test_a_long_line_is_left_out_by_the_next_daemon_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.runtime.runs.local.local_run.LONGEST_LINE", 1000)
    (tmp_path / "stdout").write_bytes(b"before\n" + b"x" * 3000)
    live = begun(tmp_path)
    live.take_in(1.0)
    assert (live.last_line, live.read_offset) == ("before", len("before\n"))
    with (tmp_path / "stdout").open("ab") as file:
        file.write(b"x" * 3000 + b"\nafter\n")
    live.take_in(1.0)
    assert (live.last_line, live.read_offset) == ("after", 6014)


async def test_a_variable_that_is_no_unicode_reaches_the_program_as_it_was(tmp_path: Path) -> None:
    def start(*_: Any) -> RunSpec:
        return RunSpec(
            argv=["sh", "-c", 'printf %s "$ODD" | od -An -tx1'], cwd="/", env={"ODD": "\udce9\U0001f600"}
        )

    async with engine(tmp_path, PROJECT, Stage(programs={"agent": start})) as it:
        await it.emit()
        await it.delivered(2)
        assert it.runs()[0].text.split() == ["e9", "f0", "9f", "98", "80"]


async def test_tools_that_were_not_allowed_are_in_the_event(tmp_path: Path) -> None:
    def finish(exit: ExitInfo) -> Completion:
        return Completion(
            phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="", denied_tools=("Bash",)
        )

    async with engine(tmp_path, PROJECT, Stage(finishes={"agent": finish})) as it:
        await it.emit()
        await it.delivered(2)
        (end,) = [event for event in it.events() if event.type == "actor.stopped"]
        assert end.document["payload"]["denied_tools"] == ["Bash"]


@pytest.mark.parametrize("alive", [False, True])
async def test_an_actor_whose_runs_never_begin_is_left_alone_for_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    def finish(exit: ExitInfo) -> NotBegun:
        return NotBegun(outcome=Unavailable(reason="not logged in"))

    monkeypatch.setattr("orgloop.runtime.runs.progress.NOTE", 0.0)
    monkeypatch.setattr("orgloop.runtime.runs.local.local_holder.LOOK", 0.02)
    monkeypatch.setattr(FakeAgent, "read", lambda _, line: Progress(text=line, alive=alive))
    stage = Stage(programs={"agent": shell("echo hello; sleep 0.2")}, finishes={"agent": finish})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        for tries in (1, 2, 3):
            await it.pass_time(31)
            await until(
                lambda n=tries: [row.tries for row in it.reader.pauses()] == [n],  # type: ignore[misc]
                f"probe {tries}",
            )


async def test_what_shows_no_work_leaves_its_actor_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, more = tmp_path / "gate", tmp_path / "more"
    ends: list[Any] = [NotBegun(outcome=Unavailable(reason="not logged in"))]
    monkeypatch.setattr("orgloop.runtime.runs.progress.NOTE", 0.0)
    monkeypatch.setattr("orgloop.runtime.runs.local.local_holder.LOOK", 0.02)
    monkeypatch.setattr(FakeAgent, "read", lambda _, line: Progress(text=line, alive=line == "work"))
    script = f"echo hello; while [ ! -e {more} ]; do sleep 0.01; done; echo work; "
    stage = Stage(
        programs={"agent": shell(script + f"while [ ! -e {gate} ]; do sleep 0.01; done")},
        finishes={"agent": lambda exit: ends.pop() if ends else by_exit_status(exit)},
    )
    more.touch()
    gate.touch()
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit()
        await until(lambda: it.reader.pauses(), "the pause")
        more.unlink()
        gate.unlink()
        await it.pass_time(31)
        live = it.runtime.runs.live
        await until(lambda: [one.last_line for one in live.values()] == ["hello"], "its first words")
        await it.journal.checkpoint("in")  # what was noted is written by then
        assert it.reader.pauses()
        more.touch()
        await until(lambda: not it.reader.pauses(), "the end of the pause")
        assert live
        gate.touch()
        await it.delivered(2)
