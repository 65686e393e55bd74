"""What is particular to one harness, beside what the conformance suite holds all to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orgloop.connectors.agents.heard import WHOLE
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin import (
    CheckStatus,
    Completion,
    Connector,
    ExitInfo,
    Limited,
    NotBegun,
    Retry,
    Unavailable,
    WakeSession,
)
from tests.connectors.agents.recordings import RECORDINGS, WORDS, Output, Recording
from tests.connectors.doubles import NOON, FakeContext, as_context, wake

OF = {one.name: one for one in RECORDINGS}
LOGGED = 'timestamp=x level=ERROR message="stream error" small={small} error.error="{said}"\n'


def end_of(name: str, *lines: Any, status: int | None = 0, **more: Any) -> Completion | NotBegun:
    fields: dict[str, Any] = {"stopped": None, "stdout": Output(lines=lines).stdout, "stderr": ""}
    exit = ExitInfo(status=status, duration_s=1.0, ended_at=NOON, **{**fields, **more})
    return OF[name].actor().finish(exit)


def completed(name: str, *lines: Any, **more: Any) -> Completion:
    end = end_of(name, *lines, **more)
    assert isinstance(end, Completion), end
    return end


@pytest.mark.parametrize(
    "told",
    [
        {"type": "abort", "data": {"reason": "user_initiated"}},
        {"type": "session.info", "data": {"infoType": "cancellation", "message": "cancelled"}},
    ],
)
def test_copilot_tells_of_a_stop_with_exit_code_0(told: dict[str, Any]) -> None:
    of = OF["copilot"]
    lines = [*of.works, told, of.ends[-1]]
    stopped = completed("copilot", *lines, status=143, stopped="requested")
    assert (stopped.outcome, stopped.reason) == (RunOutcome.CANCELLED, "requested")
    signalled = completed("copilot", *lines)
    assert (signalled.phase, signalled.outcome) == (Phase.STOPPED, RunOutcome.CANCELLED)


def test_copilot_names_what_was_not_allowed_and_counts_requests() -> None:
    of = OF["copilot"]
    start = {"type": "tool.execution_start", "data": {"toolCallId": "c", "toolName": "bash"}}
    denied = {"type": "tool.execution_complete", "data": {"toolCallId": "c", "error": {"code": "denied"}}}
    ended = {**of.ends[-1], "usage": {"premiumRequests": 3}}
    end = completed("copilot", *of.works, start, denied, *of.ends[:-1], ended)
    assert end.denied_tools == ("bash",)
    assert end.details["premium_requests"] == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [(145, Unavailable), (147, Unavailable), (173, Limited), (244, Retry), (247, Retry)],
)
def test_gemini_ends_with_a_part_of_an_http_status(status: int, kind: type) -> None:
    of = OF["gemini"]
    failed = {"type": "result", "status": "error", "error": {"message": '[API Error: {"error": "no"}]'}}
    end = end_of("gemini", *of.greets, failed, status=status)
    assert isinstance(end, NotBegun)
    assert type(end.outcome) is kind
    # Without a result it is a signal, as from any other program.
    assert completed("gemini", *of.greets, *of.works, status=143).reason == "sigterm"


@pytest.mark.parametrize(
    ("prompt", "read"), [("@a", r"\@a"), (r"\@a x@b.c", r"\\@a x\@b.c"), ("no sign", "no sign")]
)
def test_gemini_reads_no_file_that_an_event_names(prompt: str, read: str) -> None:
    spec = OF["gemini"].actor().start(wake(prompt=prompt, run_id="run_1"), None)
    assert spec.stdin == read


@pytest.mark.parametrize(
    ("said", "small", "kind"),
    [
        ("AI_APICallError: You have exceeded your rate limit", "false", Limited),
        ("AI_APICallError: Incorrect API key provided", "false", Unavailable),
        ("AI_RetryError: Cannot connect to API", "false", Unavailable),
        ("AI_APICallError: internal server error", "false", Retry),
        # The model that finds titles is none of ours.
        ("AI_APICallError: You have exceeded your rate limit", "true", Retry),
    ],
)
def test_opencode_says_in_its_log_what_it_waits_for(said: str, small: str, kind: type) -> None:
    stderr = LOGGED.format(small="true", said="x") + LOGGED.format(small=small, said=said)
    end = end_of("opencode", status=143, stopped="start", stderr=stderr)
    assert isinstance(end, NotBegun)
    assert type(end.outcome) is kind
    asked = end_of("opencode", status=143, stopped="requested", stderr=stderr)
    assert isinstance(asked, Completion)


def test_opencode_names_what_was_not_allowed() -> None:
    of = OF["opencode"]
    state = {"status": "error", "error": "The user rejected permission to use this specific tool call."}
    denied = {"type": "tool_use", "part": {"type": "tool", "tool": "bash", "state": state}}
    assert completed("opencode", *of.works, denied, *of.ends).denied_tools == ("bash",)


def test_opencode_says_in_its_log_why_its_server_failed() -> None:
    error = {"name": "UnknownError", "data": {"message": "Unexpected server error. Check server logs"}}
    line = {"type": "error", "sessionID": "ses_1", "error": error}
    log = 'level=ERROR message=failed error="ProviderModelNotFoundError: Model not found: a/b."\n'
    end = end_of("opencode", line, status=1, stderr=log)
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert "Model not found" in end.outcome.reason


@pytest.mark.parametrize("name", ["opencode", "pi"])
def test_a_cost_that_was_told_in_part_is_not_told(name: str) -> None:
    of = OF[name]
    stdout = Output(lines=[*of.works, *of.ends]).stdout
    whole, cut = (completed(name, stdout=stdout + "x" * size) for size in (0, WHOLE))
    assert whole.cost_usd == pytest.approx(of.cost)
    assert (cut.cost_usd, cut.tokens) == (None, None)
    spent = [one.spent for line in [*of.works, *of.ends] if (one := of.actor().read(json.dumps(line)))]
    assert sum(one[1] for one in spent if one is not None) == pytest.approx(of.cost)


def test_pi_does_not_begin_a_session_that_is_gone() -> None:
    spec = OF["pi"].actor().start(wake(prompt="x", run_id="run_1"), WakeSession(key="k", id="abc"))
    assert "--session-id" not in spec.argv


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("opencode", {"model": "a/b", "agent": "c", "effort": "high", "approve_all": True},
         ["--model", "a/b", "--agent", "c", "--variant", "high", "--auto"]),
        ("pi", {"tools": [], "exclude_tools": ["bash", "edit"], "model": "m", "effort": "low"},
         ["--no-approve", "--model", "m", "--thinking", "low", "--no-tools", "--exclude-tools", "bash,edit"]),
        ("pi", {"tools": ["read", "grep"], "trust_project": True}, ["--approve", "--tools", "read,grep"]),
        ("copilot", {"allowed_tools": ["write", "shell(git:*)"], "disallowed_tools": ["x"], "effort": "low"},
         ["--reasoning-effort=low", "--allow-tool=write", "--allow-tool=shell(git:*)", "--deny-tool=x"]),
        ("copilot", {"allow_all_tools": True, "max_ai_credits": 30},
         ["--max-ai-credits=30", "--allow-all-tools"]),
        ("gemini", {"approval_mode": "plan", "model": "m"}, ["--approval-mode", "plan", "--model", "m"]),
    ],
)  # fmt: skip
def test_each_setting_is_an_option(name: str, config: dict[str, Any], words: list[str]) -> None:
    spec = OF[name].actor(**config).start(wake(prompt="x", run_id="run_1"), None)
    assert list(spec.argv)[-len(words) :] == words


def test_permissions_of_opencode_go_into_a_variable() -> None:
    rules = {"bash": {"*": "deny", "git *": "allow"}, "edit": "allow"}
    spec = OF["opencode"].actor(permission=rules).start(wake(prompt="x", run_id="run_1"), None)
    assert json.loads(spec.env["OPENCODE_PERMISSION"]) == rules
    assert "OPENCODE_PERMISSION" not in OF["opencode"].actor().start(wake(prompt="x"), None).env


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("opencode", {"permission": {"bash": "maybe"}}),
        ("opencode", {"model": "--x"}),
        ("pi", {"tools": ["a,b"]}),
        ("pi", {"effort": "huge"}),
        ("copilot", {"max_ai_credits": 29}),
        ("copilot", {"max_ai_credits": True}),
        ("gemini", {"approval_mode": "all"}),
        ("gemini", {"max_budget_usd": 1}),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        OF[name].actor(**config)


@pytest.mark.parametrize(
    ("name", "config", "key"),
    [
        ("opencode", {"approve_all": True}, "approve_all"),
        ("copilot", {"allow_all_tools": True}, "allow_all_tools"),
        ("gemini", {"approval_mode": "yolo"}, "approval_mode"),
    ],
)
def test_what_lets_an_event_do_anything_is_doubted(name: str, config: dict[str, Any], key: str) -> None:
    kind = OF[name].connector.actor
    assert kind is not None
    assert kind.settings.model_validate({"cwd": "/", **config}).warnings().keys() == {key}
    assert kind.settings.model_validate({"cwd": "/"}).warnings() == {}


async def check(connector: Connector, binary: Path, **environment: str) -> dict[str, CheckStatus]:
    assert connector.actor is not None
    assert connector.setup.check is not None
    settings = connector.actor.settings.model_validate({"cwd": "/", "binary": str(binary)})
    ctx = as_context(FakeContext(environment={"PATH": "/usr/bin:/bin", **environment}))
    return {one.name: one.status for one in await connector.setup.check(settings, ctx)}


@pytest.mark.parametrize(
    "of", [OF[name] for name in ("opencode", "pi", "copilot", "gemini")], ids=lambda of: of.name
)
async def test_doctor_warns_of_a_version_that_was_not_verified(of: Recording, tmp_path: Path) -> None:
    verified = {"opencode": "1.18.33", "pi": "1.6.0", "copilot": "Copilot CLI 1.0.102.", "gemini": "0.61.0"}
    wanted = {
        verified[of.name]: CheckStatus.OK,
        "0.0.1": CheckStatus.WARNING,
        "99.0.0": CheckStatus.WARNING,
        "nonsense": CheckStatus.ERROR,
    }
    for number, (said, status) in enumerate(wanted.items()):
        program = tmp_path / f"cli{number}"
        program.write_text(f"#!/bin/sh\necho '{said}'\n")
        program.chmod(0o755)
        assert (await check(of.connector, program))["cli"] is status, said
    assert (await check(of.connector, tmp_path / "none"))["cli"] is CheckStatus.MISSING


def test_words_of_a_result_are_those_of_the_recordings() -> None:
    assert completed("gemini", *OF["gemini"].greets, *OF["gemini"].ends).text == WORDS
