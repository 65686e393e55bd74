"""The Codex actor: its command line, what its lines say, and what a run came to."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orgloop.connectors.agents.codex import connector
from orgloop.connectors.agents.codex.actor import CodexActor
from orgloop.connectors.agents.codex.classify_exit import CodexCli, classify_exit
from orgloop.connectors.agents.codex.doctor import TESTED
from orgloop.connectors.agents.codex.settings import LOGIN, CodexSettings, Price
from orgloop.connectors.agents.codex.stream import progress, tokens, transcript
from orgloop.connectors.agents.result import LIMIT_WAIT
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin import (
    CheckStatus,
    Completion,
    ExitInfo,
    Limited,
    NotBegun,
    Progress,
    Refused,
    Retry,
    Supervised,
    Unavailable,
    WakeSession,
)
from tests.connectors.doubles import NOON, FakeContext, as_context, wake

THREAD = "01a22c19-d7e2-7ea1-8b3f-7f0c9b1a9c1f"
STARTED = {"type": "thread.started", "thread_id": THREAD}
HARMLESS = {
    "type": "item.completed",
    "item": {"id": "item_0", "type": "error", "message": "Model metadata …"},
}
TURN = {"type": "turn.started"}
USAGE = {
    "input_tokens": 1000,
    "cached_input_tokens": 300,
    "cache_write_input_tokens": 100,
    "output_tokens": 50,
}
DONE = {"type": "turn.completed", "usage": USAGE}
PRICE = Price(input=1, cached_input=0.1, output=10)


def says(words: str) -> dict[str, Any]:
    return {"type": "item.completed", "item": {"id": "item_1", "type": "agent_message", "text": words}}


def fails(words: str) -> dict[str, Any]:
    return {"type": "turn.failed", "error": {"message": words}}


def lines(*each: Any) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in each)


def exit_of(*each: Any, status: int | None = 0, stopped: str | None = None, **more: Any) -> ExitInfo:
    fields: dict[str, Any] = {"stdout": lines(*each), "stderr": "", "duration_s": 1.0, "ended_at": NOON}
    return ExitInfo(**{**fields, "status": status, "stopped": stopped, **more})


def settings(**config: Any) -> CodexSettings:
    return CodexSettings.model_validate({"cwd": "/", **config})


# The command line.


def test_the_prompt_goes_in_and_a_session_is_taken_up() -> None:
    actor = CodexActor("engineer", settings())
    assert isinstance(actor, Supervised)
    fresh = actor.start(wake(prompt="Do it."), None)
    assert fresh.argv == ["codex", "exec", "--json", "--skip-git-repo-check", "--sandbox", "read-only", "-"]
    assert (fresh.stdin, fresh.session_id, fresh.take_over) == ("Do it.", None, ())
    assert fresh.turns is not None
    again = actor.start(wake(prompt="Do it."), WakeSession(key="k", id=THREAD))
    assert again.argv[-3:] == ["resume", THREAD, "-"]
    assert again.argv[:-3] == fresh.argv[:-1]
    assert (again.session_id, again.take_over) == (THREAD, ["codex", "resume", THREAD])
    assert actor.start(wake(prompt="x"), WakeSession(key="k")).session_id is None


def test_each_setting_is_an_option_before_the_subcommand() -> None:
    actor = CodexActor(
        "e",
        settings(sandbox="workspace-write", network=True, model="m", effort="high", profile="p", binary="cx"),
    )
    assert actor.start(wake(prompt="x"), WakeSession(key="k", id=THREAD)).argv == [
        *("cx", "exec", "--json", "--skip-git-repo-check", "--sandbox", "workspace-write", "--profile", "p"),
        *("--model", "m", "--config", 'model_reasoning_effort="high"'),
        *("--config", "sandbox_workspace_write.network_access=true", "resume", THREAD, "-"),
    ]


def test_the_network_is_an_option_of_one_sandbox() -> None:
    for sandbox in ("read-only", "danger-full-access"):
        spec = CodexActor("e", settings(sandbox=sandbox, network=True)).start(wake(prompt="x"), None)
        assert not any("network" in word for word in spec.argv)


def test_a_wake_with_nothing_to_say_is_refused() -> None:
    with pytest.raises(Refused):
        CodexActor("e", settings()).start(wake(prompt=" \n"), None)
    with pytest.raises(Refused, match="sandbox"):
        CodexActor("e", settings()).start(wake(prompt="x", config={"sandbox": "read-only"}), None)


async def test_the_login_is_that_of_the_environment(tmp_path: Path) -> None:
    for environment, account in (
        ({}, "login"),
        ({"CODEX_API_KEY": "a", "OPENAI_API_KEY": "b"}, "CODEX_API_KEY"),
        ({"OPENAI_API_KEY": "b", "CODEX_HOME": "/c"}, "OPENAI_API_KEY /c"),
        ({"CODEX_HOME": "/c"}, "login /c"),
    ):
        actor = CodexActor("e", settings())
        await actor.open(as_context(FakeContext(environment=environment)))
        spec = actor.start(wake(prompt="x"), WakeSession(key="k", id=THREAD))
        assert spec.account == account
        assert set(LOGIN) <= set(spec.env_pass)
        assert spec.take_over[-3:] == ["codex", "resume", THREAD]
        assert ("CODEX_HOME=/c" in spec.take_over) is ("/c" in account)


@pytest.mark.parametrize(
    "config",
    [
        {"sandbox": "none"},
        {"model": "--x"},
        {"effort": ""},
        {"effort": 'high"\nsandbox_mode="danger-full-access'},
        {"profile": "-p"},
        {"price": {"input": 1}},
        {"price": {"input": 0, "output": 1}},
        {"price": {"input": True, "output": 1}},
        {"max_turns": 3},
        {"binary": "-"},
    ],
)
def test_settings_that_cannot_work_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**config)


def test_settings_that_are_risky_or_do_nothing_warn(tmp_path: Path) -> None:
    assert settings().warnings() == {}
    assert settings(sandbox="danger-full-access").warnings().keys() == {"sandbox"}
    assert settings(network=True).warnings().keys() == {"network"}
    assert settings(sandbox="workspace-write", network=True).warnings() == {}
    assert settings(binary=str(tmp_path / "none")).missing().keys() == {"binary"}


# What its lines say.

LINES = [
    (STARTED, Progress(text="begun", session_id=THREAD, alive=False)),
    (HARMLESS, Progress(text="Model metadata …", alive=False)),
    (TURN, None),
    (says("Looks\nfine."), Progress(text="Looks fine.")),
    ({"type": "item.started", "item": {"type": "command_execution", "command": "git status"}},
     Progress(text="git status")),
    ({"type": "item.completed", "item": {"type": "file_change", "changes": [{"path": "a.py"}, 7]}},
     Progress(text="changes a.py")),
    ({"type": "item.completed", "item": {"type": "mcp_tool_call", "server": "s", "tool": "t"}},
     Progress(text="s t")),
    ({"type": "item.completed", "item": {"type": "web_search", "query": "q"}}, Progress(text="searches q")),
    ({"type": "item.completed", "item": {"type": "todo_list"}}, None),
    ({"type": "error", "message": "Reconnecting... 2/5"}, Progress(text="Reconnecting... 2/5", alive=False)),
    (fails("no"), Progress(text="no", alive=False, result=True)),
    (DONE, Progress(result=True)),
    ({"type": "something.new"}, None),
    ({"type": ["odd"], "item": 7}, None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "said"), LINES, ids=lambda it: str(it)[:40])
def test_a_line_says_what_goes_on(line: Any, said: Progress | None) -> None:
    assert progress(json.dumps(line)) == said
    assert progress(f"\x1b[0m{json.dumps(line)}") == said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["thread.started", "turn.started", "turn.completed", "turn.failed", "error", "item.completed"]
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["type", "item", "error", "usage", "message"]), JSON | KINDS))
)
def test_no_line_breaks_it(each: list[Any]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in each)
    for line in text.split("\n"):
        progress(line)
    end = classify_exit(ExitInfo(status=0, stopped=None, stdout=text, stderr="", duration_s=0.0))
    assert isinstance(end, Completion | NotBegun)


def test_cached_tokens_are_counted_once() -> None:
    assert tokens(USAGE) == {"input": 600, "output": 50, "cache_read": 300, "cache_creation": 100}
    assert tokens({"input_tokens": 1, "cached_input_tokens": 5}) == {
        "input": 0, "output": 0, "cache_read": 5, "cache_creation": 0
    }  # fmt: skip
    assert PRICE.of(tokens(USAGE)) == pytest.approx((700 * 1 + 300 * 0.1 + 50 * 10) / 1e6)
    assert Price(input=1, output=10).of(tokens(USAGE)) == pytest.approx((1000 * 1 + 50 * 10) / 1e6)


# What a run came to.


def test_a_turn_that_ended_is_the_result() -> None:
    words = 'Done.\n```json\n{"n": 1}\n```'
    exit = exit_of(STARTED, HARMLESS, TURN, says("Looking."), says(words), DONE)
    end = classify_exit(exit, CodexCli(price=PRICE))
    assert isinstance(end, Completion)
    assert (end.phase, end.outcome, end.reason) == (Phase.COMPLETED, RunOutcome.SUCCESS, "success")
    assert (end.text, end.json, end.session_id, end.turns) == (words, {"n": 1}, THREAD, 1)
    assert end.cost_usd == end.session_cost_usd == PRICE.of(tokens(USAGE))
    assert end.tokens == tokens(USAGE)
    plain = classify_exit(exit)
    assert isinstance(plain, Completion)
    assert plain.cost_usd is None


def test_what_a_session_has_used_is_not_what_a_run_has_used() -> None:
    end = classify_exit(exit_of(STARTED, TURN, says("x"), DONE, resumed=True), CodexCli(price=PRICE))
    assert isinstance(end, Completion)
    assert (end.cost_usd, end.tokens) == (None, None)
    assert end.session_cost_usd == PRICE.of(tokens(USAGE))
    assert end.details["session_tokens"] == tokens(USAGE)


@pytest.mark.parametrize("stopped", ["total", "silence", "result", "output", "lost", "requested", None])
def test_a_result_goes_before_what_stopped_the_run_and_its_exit_status(stopped: str | None) -> None:
    end = classify_exit(exit_of(STARTED, TURN, says("x"), DONE, status=137, stopped=stopped))
    assert isinstance(end, Completion)
    assert end.reason == "success"


def test_a_result_that_was_cut_off_counts() -> None:
    end = classify_exit(exit_of(says("x"), result=json.dumps(DONE)))
    assert isinstance(end, Completion)
    assert (end.reason, end.text) == ("success", "x")
    assert transcript("", json.dumps(DONE)).ended


def test_json_that_cannot_be_read_is_told() -> None:
    end = classify_exit(exit_of(TURN, says("```json\n{\n```"), DONE))
    assert isinstance(end, Completion)
    assert "json_error" in end.details


STOPS = [
    ({"stopped": "total"}, "timeout_total"),
    ({"stopped": "silence"}, "timeout_silence"),
    ({"stopped": "requested"}, "requested"),
    ({"status": 143}, "sigterm"),
    ({"status": 1}, "exit_code_1"),
    ({"status": 0}, "no_result"),
    ({"status": 139}, "sigsegv"),
]


@pytest.mark.parametrize(("how", "reason"), STOPS)
def test_a_run_without_a_result_ends_as_it_was_stopped(how: dict[str, Any], reason: str) -> None:
    end = classify_exit(exit_of(STARTED, TURN, says("Half of it."), **how))
    assert isinstance(end, Completion)
    assert (end.reason, end.text.startswith("Half of it.")) == (reason, True)
    assert end.outcome is not RunOutcome.SUCCESS


LIMIT = "You\u2019ve hit your usage limit. Upgrade to Pro (https://x.example) or try again at"
UNPAID = [
    (f"{LIMIT} Jan 6th, 2026 4:40 AM.", Limited, "usage limit"),
    (
        "unexpected status 401 Unauthorized: Incorrect API key provided, url: http://x",
        Unavailable,
        "codex login",
    ),
    ("Missing environment variable: `LOCAL_KEY`.", Unavailable, "LOCAL_KEY"),
    ("Quota exceeded. Check your plan and billing details.", Unavailable, "credit"),
    ("The requested model 'x' does not exist.", Unavailable, "`model`"),
    ("stream disconnected before completion: Connection refused (os error 111)", Unavailable, "refused"),
    ("We\u2019re currently experiencing high demand, which may cause temporary errors.", Retry, "demand"),
    ("exceeded retry limit, last status: 429 Too Many Requests", Retry, "429"),
    ("unexpected status 503 Service Unavailable", Retry, "503"),
]


@pytest.mark.parametrize(("words", "kind", "said"), UNPAID)
def test_a_turn_that_failed_before_a_model_answered_has_not_begun(words: str, kind: type, said: str) -> None:
    exit = exit_of(STARTED, HARMLESS, TURN, {"type": "error", "message": words}, fails(words), status=1)
    end = classify_exit(exit, CodexCli(account="login"))
    assert isinstance(end, NotBegun)
    assert type(end.outcome) is kind
    assert said in end.outcome.reason
    assert end.session_fault is not isinstance(end.outcome, Retry)
    assert end.forget_session
    midway = classify_exit(exit_of(STARTED, TURN, says("Begun."), fails(words), status=1))
    assert isinstance(midway, Completion)
    assert (midway.outcome, midway.text) == (RunOutcome.FAILURE, f"Begun.\n\n{words}")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (f"{LIMIT} 4:40 AM.", "usage_limit"),
        ("Incomplete response returned, reason: content_filter", "refusal"),
        ("unexpected status 401 Unauthorized", "authentication_failed"),
        ("unexpected status 500", "server_error"),
        ("something else", "error"),
    ],
)
def test_a_failure_midway_has_a_reason(words: str, reason: str) -> None:
    end = classify_exit(exit_of(TURN, says("x"), fails(words), status=1))
    assert isinstance(end, Completion)
    assert (end.phase, end.reason) == (Phase.FAILED, reason)
    assert ("limit_until" in end.details) is (reason == "usage_limit")


def test_what_nobody_knows_is_a_failure_of_the_run() -> None:
    end = classify_exit(exit_of(STARTED, TURN, fails("strange"), status=1))
    assert isinstance(end, Completion)
    assert (end.reason, end.text) == ("error", "strange")


@pytest.mark.parametrize(
    ("zone", "words", "until"),
    [
        ("UTC", "Jan 6th, 2026 4:40 AM", NOON + (16 * 60 + 40) * 60_000),
        ("Europe/Berlin", "Jan 6th, 2026 4:40 AM", NOON + (15 * 60 + 40) * 60_000),
        ("UTC", "January 6, 2026 12:00 AM", NOON + 12 * 3_600_000),
        ("UTC", "12:30 PM", NOON + 30 * 60_000),
        ("UTC", "11:30 AM", NOON + (23 * 60 + 30) * 60_000),
        ("UTC", "Jan 4th, 2026 4:40 AM", NOON + LIMIT_WAIT),
        ("UTC", "Jan 6th, 2036 4:40 AM", NOON + LIMIT_WAIT),
        ("UTC", "Xyz 6th, 2026 4:40 AM", NOON + LIMIT_WAIT),
        ("UTC", "soon", NOON + LIMIT_WAIT),
        ("UTC", "try again in 2 hours 10 minutes", NOON + 130 * 60_000),
        ("UTC", "try again in 3 days, 1 hour", NOON + 73 * 3_600_000),
        ("UTC", "Try again in 45 seconds", NOON + 45_000),
        ("UTC", "try again in 9999 days", NOON + LIMIT_WAIT),
        ("UTC", "try again in a while", NOON + LIMIT_WAIT),
    ],
)
def test_a_limit_is_over_when_it_says(
    monkeypatch: pytest.MonkeyPatch, zone: str, words: str, until: int
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        end = classify_exit(exit_of(TURN, fails(f"{LIMIT} {words}."), status=1))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Limited)
    assert end.outcome.until == until


SILENT = [
    ("Error: thread/resume failed: no rollout found for thread id 0199 (code -32600)", 1, Retry, True),
    ("error: unexpected argument '--x' found\n\nUsage: codex exec", 2, Unavailable, False),
    ("WARNING: proceeding, even though\nError: Not logged in", 1, Unavailable, False),
    ("codex: not found", 127, Unavailable, False),
    ("Error: out of luck", 1, Retry, False),
    ("the disk is full\nWARNING: proceeding, even though", 1, Retry, False),
    ("", 1, Retry, False),
    ("", 0, Retry, False),
]


@pytest.mark.parametrize(("stderr", "status", "kind", "forgets"), SILENT)
def test_a_cli_that_wrote_nothing_has_not_begun(stderr: str, status: int, kind: type, forgets: bool) -> None:
    exit = exit_of(status=status, stderr=stderr, resumed=True, session_id=THREAD)
    end = classify_exit(exit)
    assert isinstance(end, NotBegun)
    assert type(end.outcome) is kind
    assert end.forget_session is forgets
    assert "WARNING" not in end.outcome.reason


def test_a_model_that_is_waited_for_in_vain_has_not_begun() -> None:
    waits = {"type": "error", "message": "Reconnecting... waiting for network (Connection failed)"}
    end = classify_exit(exit_of(STARTED, TURN, waits, status=143, stopped="total"))
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    for exit in (
        exit_of(STARTED, TURN, waits, status=143, stopped="requested"),
        exit_of(STARTED, TURN, says("x"), waits, status=143, stopped="total"),
        exit_of(STARTED, TURN, status=143, stopped="total"),
    ):
        assert isinstance(classify_exit(exit), Completion)
    assert isinstance(classify_exit(exit_of(stopped="start", status=143)), NotBegun)
    over = classify_exit(exit_of(STARTED, TURN, waits, says("x"), status=143, stopped="total"))
    assert isinstance(over, Completion)
    assert over.text == "x"


# doctor


@pytest.mark.parametrize(
    ("script", "environment", "found"),
    [
        ("codex-cli 0.171.0", {}, {"cli": CheckStatus.OK, "login": CheckStatus.OK}),
        ("codex-cli 0.99.0", {}, {"cli": CheckStatus.WARNING, "login": CheckStatus.OK}),
        ("codex-cli 9.9.9", {}, {"cli": CheckStatus.WARNING, "login": CheckStatus.OK}),
        ("codex-cli 0.171.0", {"FAILS": "1"}, {"cli": CheckStatus.OK, "login": CheckStatus.WARNING}),
        ("codex-cli 0.171.0", {"FAILS": "1", "CODEX_API_KEY": "k"},
         {"cli": CheckStatus.OK, "login": CheckStatus.OK}),
        ("nonsense", {}, {"cli": CheckStatus.ERROR}),
        (None, {}, {"cli": CheckStatus.MISSING}),
    ],
)  # fmt: skip
async def test_doctor_asks_the_cli(
    tmp_path: Path, script: str | None, environment: dict[str, str], found: dict[str, CheckStatus]
) -> None:
    if script is not None:
        program = tmp_path / "codex"
        login = 'if [ -n "$FAILS" ]; then echo "Not logged in" >&2; exit 1; fi; echo "Logged in"'
        program.write_text(f'#!/bin/sh\nif [ "$1" = login ]; then {login}; else echo "{script}"; fi\n')
        program.chmod(0o755)
    ctx = as_context(FakeContext(environment={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment}))
    assert connector.setup.check is not None
    results = await connector.setup.check(settings(cwd=str(tmp_path), env_pass=["FAILS"]), ctx)
    assert {one.name: one.status for one in results} == {"cwd": CheckStatus.OK, **found}
    assert all(one.hint for one in results if one.status is not CheckStatus.OK)
    assert TESTED == (0, 171, 0)
