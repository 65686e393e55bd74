"""The contract of a harness: one suite, and every coding agent is run through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgloop.core.events.session_lifecycle import Phase, RunOutcome, check, from_end
from orgloop.core.runs.environment import child_environment
from orgloop.plugin import (
    Completion,
    ExitInfo,
    Limited,
    NotBegun,
    Refused,
    Retry,
    Unavailable,
    WakeSession,
)
from orgloop.runner.turns import TurnWatcher
from orgloop.runtime.runs import completion
from tests.connectors.agents.recordings import RECORDINGS, WORDS, Output, Recording
from tests.connectors.doubles import NOON, wake

SUCCESS = (Phase.COMPLETED, RunOutcome.SUCCESS)
FAILURE = (Phase.FAILED, RunOutcome.FAILURE)
CANCELLED = (Phase.STOPPED, RunOutcome.CANCELLED)
LIMITS = {
    "total": "timeout_total",
    "silence": "timeout_silence",
    "output": "output_limit",
    "requested": "requested",
}
RUN = "run_0000000000000001"
SECRETS = ("GITHUB_TOKEN", "SLACK_BOT_TOKEN", "LINEAR_API_KEY", "AWS_SECRET_ACCESS_KEY", "ORGLOOP_API_TOKEN")

each = pytest.mark.parametrize("of", RECORDINGS, ids=lambda of: of.name)


def ended(of: Recording, *lines: Any, status: int | None = 0, **more: Any) -> Completion | NotBegun:
    """What the harness makes of the end of a run that wrote these lines."""
    stdout = Output(lines=lines).stdout
    fields: dict[str, Any] = {"stopped": None, "stdout": stdout, "stderr": "", "duration_s": 1.0}
    exit = ExitInfo(status=status, **{**fields, "ended_at": NOON, "session_id": of.session, **more})
    return of.actor().finish(exit)


def completed(of: Recording, *lines: Any, **more: Any) -> Completion:
    end = ended(of, *lines, **more)
    assert isinstance(end, Completion), end
    return end


def unpaid(of: Recording, output: Output, **more: Any) -> NotBegun:
    end = ended(of, *output.lines, status=output.status, stderr=output.stderr, **more)
    assert isinstance(end, NotBegun), end
    return end


def how(end: Completion) -> tuple[Phase, RunOutcome]:
    return end.phase, end.outcome


# The command line.


@each
def test_the_prompt_goes_in_on_standard_input_and_nowhere_else(of: Recording) -> None:
    spec = of.actor().start(wake(prompt="--help `rm -rf /`", run_id=RUN), None)
    assert spec.stdin == "--help `rm -rf /`"
    assert not any("rm -rf" in word for word in [*spec.argv, *spec.env.values()])
    for prompt in () if of.name == "process" else ("", " \n"):
        with pytest.raises(Refused):
            of.actor().start(wake(prompt=prompt, run_id=RUN), None)


@each
def test_a_session_is_taken_up_by_its_id(of: Recording) -> None:
    actor = of.actor()
    fresh = actor.start(wake(prompt="x", run_id=RUN), WakeSession(key="k"))
    again = actor.start(wake(prompt="x", run_id=RUN), WakeSession(key="k", id=of.session))
    at = [list(again.argv)[at : at + len(of.resumes)] for at in range(len(again.argv))]
    assert list(of.resumes) in at
    assert again.session_id == of.session
    assert again.env["ORGLOOP_SESSION_KEY"] == "k"
    assert of.session in " ".join(again.take_over)
    assert not any(of.session in word for word in fresh.argv)
    assert fresh == actor.start(wake(prompt="x", run_id=RUN), WakeSession(key="k"))


@each
def test_a_session_may_be_copied_if_the_harness_says_so(of: Recording) -> None:
    kind = of.connector.actor
    assert kind is not None
    assert kind.abilities is not None
    actor = of.actor()
    can = kind.abilities(kind.settings.model_validate({"cwd": "/", **of.config}))
    assert can.resume
    copy = actor.start(wake(prompt="x", run_id=RUN), WakeSession(key="k", id=of.session, fork=True))
    plain = actor.start(wake(prompt="x", run_id=RUN), WakeSession(key="k", id=of.session))
    assert any(of.session in word for word in copy.argv)
    assert (copy.argv != plain.argv) is can.fork
    assert (copy.session_id != of.session) is can.fork
    first = actor.start(wake(prompt="x", run_id=RUN), WakeSession(key="k", fork=True))
    assert first == actor.start(wake(prompt="x", run_id=RUN), WakeSession(key="k"))
    end = completed(of, *of.greets, *of.works, *of.ends)
    assert (end.context_tokens is not None) is can.context


@each
@pytest.mark.parametrize("name", ["--help", "-x", "", "a b", "../../etc", "x" * 300, "a\n--help"])
def test_what_is_no_name_of_a_session_is_not_handed_on(of: Recording, name: str) -> None:
    spec = of.actor().start(wake(prompt="x", run_id=RUN), WakeSession(key="k", id=name))
    assert name not in spec.argv
    assert not any(word.endswith(f"={name}") for word in spec.argv)
    assert spec.session_id != name


@each
def test_a_child_sees_no_variable_that_is_not_on_a_list(of: Recording) -> None:
    spec = of.actor().start(wake(prompt="x", run_id=RUN), None)
    environ = dict.fromkeys(SECRETS, "s3cret") | {"PATH": "/bin", "HOME": "/h"}
    child = child_environment(environ, spec.env_pass, spec.env)
    assert child["PATH"] == "/bin"
    assert not child.keys() & set(SECRETS)
    assert "s3cret" not in child.values()
    named = of.actor(env_pass=["GITHUB_TOKEN"]).start(wake(prompt="x", run_id=RUN), None)
    assert child_environment(environ, named.env_pass, named.env)["GITHUB_TOKEN"] == "s3cret"


@each
def test_settings_of_an_actor_have_no_place_in_a_route(of: Recording) -> None:
    with pytest.raises(Refused, match="timeout"):
        of.actor().start(wake(prompt="x", run_id=RUN, config={"timeout": "1s"}), None)


# What is shown while it works.


@each
def test_the_session_and_what_the_agent_says_are_shown(of: Recording) -> None:
    actor = of.actor()
    read = [actor.read(json.dumps(line)) for line in [*of.greets, *of.works, *of.ends]]
    shown = [one for one in read if one is not None]
    assert of.session in {one.session_id for one in shown}
    assert any("Looking." in (one.text or "") for one in shown)
    assert any(one.result for one in shown)
    greeting = [actor.read(json.dumps(line)) for line in of.greets]
    assert not any(one.alive for one in greeting if one is not None)
    assert any(one.alive for one in (actor.read(json.dumps(line)) for line in of.works) if one is not None)


@each
def test_the_runner_knows_the_result_among_the_lines(of: Recording, tmp_path: Path) -> None:
    turns = of.actor().start(wake(prompt="x", run_id=RUN), None).turns
    if turns is None:
        assert of.name == "opencode"
        return
    lines = [*of.greets, *of.works, *of.ends]
    file = tmp_path / "stdout"
    file.write_text(Output(lines=lines[:-1]).stdout)
    spec: Any = type("Spec", (), {})()
    spec.ends = [(name.encode(), text.encode()) for name, text in turns.ends]
    spec.begins = [(name.encode(), text.encode()) for name, text in turns.begins]
    spec.busy = tuple(word.encode() for word in turns.busy or ())
    with file.open("rb") as stream:
        watcher = TurnWatcher(spec, stream.fileno())
        watcher.look()
        assert not watcher.rests()
        with file.open("a") as more:
            more.write(Output(lines=lines[-1:]).stdout)
        watcher.look()
        assert watcher.rests()


# How it ends.


@each
@pytest.mark.parametrize("stopped", [*LIMITS, "result", "lost", None])
@pytest.mark.parametrize("status", [0, 1, 137, 143, 145, None])
def test_a_result_goes_before_what_stopped_a_run_and_its_exit_status(
    of: Recording, stopped: str | None, status: int | None
) -> None:
    end = completed(of, *of.greets, *of.works, *of.ends, status=status, stopped=stopped)
    assert (how(end), end.reason) == (SUCCESS, "success")
    assert (end.text, end.json, end.session_id) == (WORDS, {"decision": "approve"}, of.session)
    assert end.cost_usd == (None if of.cost is None else pytest.approx(of.cost))
    assert dict(end.tokens or {}) == of.tokens


@each
@pytest.mark.parametrize("status", [1, 2, 42, 127, 129, 130, 134, 137, 139, 143])
def test_without_a_result_the_exit_status_decides(of: Recording, status: int) -> None:
    end = completed(of, *of.greets, *of.works, status=status, stderr="it broke")
    assert (end.phase, end.outcome, end.reason) == from_end(status, None)
    assert "Looking." in end.text
    assert "it broke" in end.text


@each
def test_to_end_well_without_a_result_is_no_success(of: Recording) -> None:
    end = completed(of, *of.greets, *of.works)
    assert (end.phase, end.outcome, end.reason) == (Phase.STOPPED, RunOutcome.UNKNOWN, "no_result")


@each
@pytest.mark.parametrize("stopped", LIMITS)
def test_a_limit_of_the_run_cancels_it(of: Recording, stopped: str) -> None:
    end = completed(of, *of.greets, *of.works, status=143, stopped=stopped)
    assert (how(end), end.reason) == (CANCELLED, LIMITS[stopped])


@each
def test_a_run_that_wrote_nothing_until_its_limit_is_tried_again(of: Recording) -> None:
    end = ended(of, status=143, stopped="start")
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Retry)
    assert end.forget_session
    again = ended(of, status=143, stopped="start", resumed=True)
    assert isinstance(again, NotBegun)
    assert not again.forget_session


@each
def test_a_usage_limit_parks_the_account_until_it_is_over(of: Recording) -> None:
    end = unpaid(of, of.unpaid["limited"])
    assert isinstance(end.outcome, Limited)
    assert end.outcome.until > NOON


KINDS = {
    "login": Unavailable,
    "credit": Unavailable,
    "model": Unavailable,
    "option": Unavailable,
    "busy": Retry,
}


@each
@pytest.mark.parametrize("kind", KINDS)
def test_what_cost_nothing_is_tried_again_or_waits(of: Recording, kind: str) -> None:
    if kind not in of.unpaid:
        assert kind in ("credit", "model") or of.name == "process"
        return
    end = unpaid(of, of.unpaid[kind])
    assert type(end.outcome) is KINDS[kind]
    assert end.outcome.reason
    if kind == "busy":
        assert not end.session_fault


@each
def test_a_session_that_is_gone_is_forgotten_and_the_next_try_begins_another(of: Recording) -> None:
    end = unpaid(of, of.gone, resumed=True)
    assert end.forget_session
    assert isinstance(end.outcome, Retry)
    assert end.outcome.after_ms == 0


@each
@pytest.mark.parametrize("reason", ["usage_limit", "refusal", "error"])
def test_work_that_was_paid_for_fails_and_is_not_repeated(of: Recording, reason: str) -> None:
    if reason not in of.fails:
        assert of.name in ("claude-code", "codex", "process")
        return
    end = completed(of, *of.greets, *of.works, *of.fails[reason], status=1)
    assert (how(end), end.reason) == (FAILURE, reason)
    assert ("limit_until" in end.details) is (reason == "usage_limit")


# What it may write besides.

GARBAGE = [
    "",
    "Reading prompt from stdin...",
    "{",
    '{"type": "result"',
    "}{",
    "[1, 2]",
    "null",
    '"result"',
    "\x1b[2K\x1b[1G",
    "\0\0\0",
    '{"type": ["result"], "message": 7, "item": [], "data": null, "part": "x", "error": 1}',
    '{"type": "message_end", "message": {"role": "assistant", "content": 7, "usage": {"cost": []}}}',
    '{"type": "unknown.thing", "data": {"content": "never"}}',
    "\udc80 half a character",
    '{"type": "text", "x": "\\ud800"}',
    "{" * 5_000,
]


@each
def test_lines_that_are_no_lines_of_it_change_nothing(of: Recording) -> None:
    actor = of.actor()
    lines = [json.dumps(line) for line in [*of.greets, *of.works, *of.ends]]
    between = "\n".join(GARBAGE)
    stdout = "".join(f"{between}\n\x1b[0m{line}\n" for line in lines)
    end = completed(of, stdout=stdout)
    assert (how(end), end.text, end.session_id) == (SUCCESS, WORDS, of.session)
    for garbage in GARBAGE:
        actor.read(garbage)


@each
def test_a_line_may_be_huge_and_hold_any_character(of: Recording) -> None:
    word = "x" * 3_000_000 + "\ud800\u2028é"
    stdout = Output(lines=[*of.greets, *of.works, *of.ends]).stdout
    end = completed(of, stdout=stdout.replace("Looking.", json.dumps(word)[1:-1]))
    assert (how(end), end.text) == (SUCCESS, WORDS)


@each
def test_output_that_was_cut_at_its_beginning_is_judged_by_its_end(of: Recording) -> None:
    lines = [json.dumps(line) for line in [*of.works, *of.ends]]
    end = completed(of, stdout="\n".join([lines[0][7:], *lines[1:]]), result=lines[-1])
    assert (how(end), end.text) == (SUCCESS, WORDS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@each
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_no_line_breaks_it(of: Recording, data: st.DataObject) -> None:
    known = [*of.greets, *of.works, *of.ends]
    names = sorted({name for line in known for name in line} - {"type"})
    kinds = st.sampled_from([line["type"] for line in known])
    line = st.fixed_dictionaries({"type": kinds | JSON}, optional=dict.fromkeys(names, JSON))
    lines = data.draw(st.lists(line, max_size=4))
    for one in lines:
        of.actor().read(json.dumps(one))
    status = data.draw(st.integers(0, 255))
    assert isinstance(ended(of, *lines, status=status), Completion | NotBegun)


# The events of its runs.


@each
def test_its_events_keep_the_contract_of_the_lifecycle(of: Recording) -> None:
    facts = completion.RunFacts(
        run_id=RUN,
        delivery_id="dlv_1",
        route="r",
        actor="engineer",
        harness=of.actor().harness,
        session_id=of.session,
        cwd="/",
        started_at="2026-01-05T12:00:00.000Z",
    )
    begun = completion.started(facts)
    assert check(begun.payload, begun.type) == []
    assert begun.payload["lifecycle"]["dedupe_key"] == f"{of.name}:{of.session}:started"
    ends = [
        completed(of, *of.works, *of.ends),
        completed(of, *of.works, *of.fails["usage_limit"], status=1),
        completed(of, *of.works, status=139),
        completed(of, *of.works, status=143, stopped="total"),
        completed(of, *of.works),
    ]
    exit = ExitInfo(status=0, stopped=None, stdout="", stderr="", duration_s=1.0)
    for end in ends:
        draft = completion.stopped(facts, end, exit, "2026-01-05T12:00:01.000Z", None)
        assert check(draft.payload, draft.type) == []
        assert draft.type == "actor.stopped"
        assert draft.provenance["platform_event"] == f"session.{end.phase}"
        assert draft.payload["lifecycle"]["dedupe_key"] == f"{of.name}:{of.session}:{end.phase}"
        assert draft.key == RUN
