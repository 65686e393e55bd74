"""What a run of Claude Code came to."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from orgloop.connectors.agents.claude_code.classify_exit import ClaudeCli, classify_exit
from orgloop.connectors.agents.result import LIMIT_WAIT
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin import DAY, Completion, ExitInfo, Limited, NotBegun, Retry, Unavailable

FAILED = (Phase.FAILED, RunOutcome.FAILURE)
STOPPED = (Phase.STOPPED, RunOutcome.CANCELLED)
NOW = 1_800_000_000_000
LIMIT = {
    "type": "rate_limit_event",
    "rate_limit_info": {"status": "rejected", "resetsAt": 1795345072},
}
INIT = {"type": "system", "subtype": "init", "session_id": "s-1"}
ASKS = {
    "type": "tool_use",
    "name": "AskUserQuestion",
    "input": {"questions": [{"question": "Which one?"}, {"question": "And when?"}]},
}
MODELS = {
    "opus": {
        "inputTokens": 10,
        "outputTokens": 5,
        "cacheReadInputTokens": 3,
        "cacheCreationInputTokens": 2,
        "costUSD": 0.1,
        "contextWindow": 1000,
    },
    "haiku": {"inputTokens": 1, "outputTokens": 1, "costUSD": 0.02},
}


def result(**fields: Any) -> dict[str, Any]:
    usual = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 1, "session_id": "s-1"}
    return {**usual, "total_cost_usd": 0.12, "modelUsage": MODELS, **fields}


def unpaid(said: str, **fields: Any) -> dict[str, Any]:
    return result(is_error=True, result=said, total_cost_usd=0, modelUsage={}, **fields)


def assistant(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {
        "type": "assistant",
        "message": {"model": "opus", "content": content},
        "session_id": "s-1",
        **fields,
    }


def synthetic(text: str, error: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"type": "assistant", "message": {"model": "<synthetic>", "content": content}, "error": error}


def exit_info(*lines: dict[str, Any], status: int | None = 0, **fields: Any) -> ExitInfo:
    stdout = "\n".join(json.dumps(line) for line in lines)
    usual: dict[str, Any] = {"stopped": None, "stdout": stdout, "stderr": "", "duration_s": 1.0}
    return ExitInfo(status=status, **{**usual, **fields})


def completed(*lines: dict[str, Any], **fields: Any) -> Completion:
    end = classify_exit(exit_info(*lines, **fields), ClaudeCli(account="key"))
    assert isinstance(end, Completion), end
    return end


def not_begun(*lines: dict[str, Any], **fields: Any) -> NotBegun:
    end = classify_exit(exit_info(*lines, **fields), ClaudeCli(account="key"))
    assert isinstance(end, NotBegun), end
    return end


def test_a_success_carries_everything() -> None:
    end = completed(INIT, assistant("Done."), result(result="Done.", num_turns=3))
    assert end == Completion(
        phase=Phase.COMPLETED,
        outcome=RunOutcome.SUCCESS,
        reason="success",
        text="Done.",
        session_id="s-1",
        cost_usd=0.12,
        tokens={"input": 11, "output": 6, "cache_read": 3, "cache_creation": 2},
        turns=3,
        models={
            "opus": {"input": 10, "output": 5, "cache_read": 3, "cache_creation": 2, "cost_usd": 0.1},
            "haiku": {"input": 1, "output": 1, "cache_read": 0, "cache_creation": 0, "cost_usd": 0.02},
        },
    )


def test_structured_output_goes_before_a_block_in_the_text() -> None:
    said = 'I say\n```json\n{"a": 1}\n```'
    assert completed(result(result=said)).json == {"a": 1}
    assert completed(result(result=said, structured_output={"a": 2})).json == {"a": 2}
    assert completed(result(result="plain")).json is None


def test_the_last_of_several_results_counts_with_the_turns_of_all() -> None:
    first = result(result="started", total_cost_usd=5.05, num_turns=2)
    second = result(result="and done", total_cost_usd=5.555, num_turns=1)
    end = completed(INIT, first, INIT, second, {"type": "system", "subtype": "task_updated"})
    assert (end.text, end.cost_usd, end.turns) == ("and done", 5.555, 3)


def test_output_that_was_cut_at_its_beginning_is_judged_by_its_end() -> None:
    end = completed(stdout='t_id":"x"}\n' + json.dumps(result(result="Done.")))
    assert (end.reason, end.text) == ("success", "Done.")


def test_tools_that_were_not_allowed_are_named_once() -> None:
    calls = [{"tool_name": "Bash"}, {"tool_name": "Write"}, {"tool_name": "Bash"}]
    end = completed(result(result="Did what I could.", permission_denials=calls))
    assert (end.outcome, end.denied_tools) == (RunOutcome.SUCCESS, ("Bash", "Write"))


def test_a_model_that_will_not_is_told_from_an_error_of_its_service() -> None:
    said = "Claude Code is unable to respond"
    end = completed(
        synthetic(said, "invalid_request"),
        result(is_error=True, result=said, stop_reason="refusal"),
        status=1,
    )
    assert (end.phase, end.outcome, end.reason) == (*FAILED, "refusal")


def test_output_that_was_cut_within_one_long_line_is_work_that_was_done() -> None:
    end = completed(stdout="x" * (1 << 20) + '"}', status=1)
    assert (end.outcome, end.reason) == (RunOutcome.FAILURE, "exit_code_1")


@pytest.mark.parametrize("subtype", ["error_max_turns", "error_max_budget_usd", "error_during_execution"])
def test_an_error_has_its_own_reason_and_the_last_words(subtype: str) -> None:
    failed = result(subtype=subtype, is_error=True, errors=["Reached a limit"])
    end = completed(assistant("Half done."), assistant("inner", parent_tool_use_id="t"), failed, status=1)
    assert (end.phase, end.outcome, end.reason) == (*FAILED, subtype)
    assert (end.text, end.cost_usd) == ("Half done.", 0.12)
    assert completed(failed, status=1).text == "Reached a limit"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ("authentication_failed", 401, "api_error_401"),
        ("server_error", None, "server_error"),
        ("rate_limit", 429, "api_error_429"),
        ("", None, "error"),
    ],
)
def test_a_failed_request_in_paid_work_is_a_failure(error: str, status: int | None, reason: str) -> None:
    failed = result(is_error=True, result="API Error", api_error_status=status)
    end = completed(assistant("Working."), synthetic("API Error", error), failed, status=1)
    assert (end.phase, end.outcome, end.reason) == (*FAILED, reason)
    assert (end.text, end.cost_usd) == ("API Error", 0.12)


def test_an_error_counts_also_where_the_exit_status_is_0() -> None:
    assert (
        completed(result(is_error=True, result="API Error", api_error_status=500)).reason == "api_error_500"
    )


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("authentication_failed", None, "Not logged in · Please run /login"),
        ("authentication_failed", 401, "Invalid API key · Fix external API key"),
        ("billing_error", 400, "Credit balance is too low"),
        ("model_not_found", 404, "There's an issue with the selected model (nonsense-9)."),
        ("server_error", None, "API Error: Unable to connect to API (ConnectionRefused)"),
        ("server_error", None, "API Error: Repeated 529 Overloaded errors. The API is at capacity"),
    ],
)
def test_what_no_wake_would_get_past_makes_the_work_wait(error: str, status: int | None, said: str) -> None:
    end = not_begun(INIT, synthetic(said, error), unpaid(said, api_error_status=status), status=1)
    assert isinstance(end.outcome, Unavailable)
    assert said in end.outcome.reason
    assert end.forget_session


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("server_error", 500, "API Error: 500 boom"),
        ("rate_limit", 429, "API Error: Request rejected (429) · slow down"),
    ],
)
def test_a_refusal_that_may_pass_is_tried_again(error: str, status: int, said: str) -> None:
    end = not_begun(
        INIT, synthetic(said, error), unpaid(said, api_error_status=status), status=1, resumed=True
    )
    assert end == NotBegun(outcome=Retry(reason=said), forget_session=False, session_fault=False)


@pytest.mark.parametrize(
    ("error", "status", "said", "reason"),
    [
        ("unknown", 400, "API Error: 400 prompt is too long", "api_error_400"),
        ("server_error", None, "API Error: Connection to the API was lost (ECONNRESET).", "server_error"),
        ("server_error", None, "API Error: Unable to connect to API (ECONNRESET)", "server_error"),
    ],
)
def test_where_it_is_not_certain_that_nothing_was_paid_it_failed(
    error: str, status: int | None, said: str, reason: str
) -> None:
    end = completed(INIT, synthetic(said, error), unpaid(said, api_error_status=status), status=1)
    assert (end.phase, end.outcome, end.reason) == (*FAILED, reason)


HIT = "You've hit your session limit · resets 10:57am (UTC)"
RETRY = {
    "type": "system",
    "subtype": "api_retry",
    "attempt": 1,
    "retry_delay_ms": 120_000,
    "error_status": 429,
}


@pytest.mark.parametrize(
    ("lines", "said", "until"),
    [
        ([{**LIMIT}], "API Error", 1_795_345_072_000),
        ([{**LIMIT}], HIT, 1_795_345_072_000),
        ([], HIT, NOW + LIMIT_WAIT),
        ([RETRY], "API Error: Request rejected (429)", NOW + 120_000),
        ([RETRY, {**RETRY, "retry_delay_ms": 5e300}], "API Error: Request rejected (429)", NOW + DAY),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_limit_before_any_paid_work_waits_until_it_is_over(
    lines: list[dict[str, Any]], said: str, until: int, resumed: bool
) -> None:
    earlier = {"total_cost_usd": 0.5, "modelUsage": MODELS} if resumed else {}
    failed = {**unpaid(said, api_error_status=429), **earlier}
    end = not_begun(
        INIT, *lines, synthetic(said, "rate_limit"), failed, status=1, ended_at=NOW, resumed=resumed
    )
    assert end.outcome == Limited(account="key", until=until, reason=said)


def test_a_limit_after_paid_work_ends_the_run_and_says_until_when() -> None:
    failed = result(is_error=True, result=HIT, api_error_status=429)
    end = completed(assistant("Half."), LIMIT, synthetic(HIT, "rate_limit"), failed, status=1)
    assert (end.phase, end.outcome, end.reason) == (*FAILED, "usage_limit")
    assert end.details["limit_until"] == "2026-11-22T10:57:52.000Z"


def limit_event(status: str) -> dict[str, Any]:
    return {"type": "rate_limit_event", "rate_limit_info": {"status": status}}


def test_a_warning_about_a_limit_is_no_limit() -> None:
    said = "API Error: Request rejected (429)"
    lines = [
        limit_event("allowed_warning"),
        synthetic(said, "rate_limit"),
        unpaid(said, api_error_status=429),
    ]
    assert not_begun(*lines, status=1).outcome == Retry(reason=said)
    assert completed(limit_event("rejected"), result(result="Done.")).reason == "success"


def test_another_error_after_a_limit_has_its_own_name() -> None:
    failed = result(is_error=True, result="API Error: 500", api_error_status=500, num_turns=2)
    lines = [limit_event("rejected"), synthetic("API Error: 500", "server_error"), failed]
    assert completed(*lines, status=1).reason == "api_error_500"


@pytest.mark.parametrize(
    ("before", "paid"),
    [
        ([], {"total_cost_usd": 0.01}),
        ([], {"modelUsage": {"own-model": {"inputTokens": 9, "costUSD": 0}}}),
        ([], {"num_turns": 2}),
        ([assistant("I begin.")], {}),
    ],
)
def test_any_sign_of_work_makes_it_a_failure(before: list[dict[str, Any]], paid: dict[str, Any]) -> None:
    failed = {**unpaid("Invalid API key", api_error_status=401), **paid}
    end = completed(*before, synthetic("Invalid API key", "authentication_failed"), failed, status=1)
    assert (end.phase, end.outcome, end.reason) == (*FAILED, "api_error_401")


@pytest.mark.parametrize(
    "error",
    [
        "No conversation found with session ID: s-1",
        "Error: --resume requires a valid session ID or session title",
    ],
)
def test_a_session_that_is_gone_is_forgotten(error: str) -> None:
    gone = unpaid("", subtype="error_during_execution", errors=[error], num_turns=0)
    end = not_begun(gone, status=1, resumed=True, session_id="s-1")
    assert end.forget_session
    assert end.outcome == Retry(reason="the session s-1 is gone; the next try begins a new one", after_ms=0)


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        ("total", "timeout_total"),
        ("silence", "timeout_silence"),
        ("requested", "requested"),
    ],
)
def test_what_ended_a_run_before_its_result_is_its_end(by: str, reason: str) -> None:
    broken = result(subtype="error_during_execution", is_error=True)
    aborted = result(subtype="error_during_execution", is_error=True, terminal_reason="aborted_tools")
    for lines in (
        [INIT, assistant("Half.")],
        [INIT, result(result="First."), assistant("Half.")],
        [INIT, assistant("Half."), broken],
        [INIT, assistant("Half."), aborted],
    ):
        end = completed(*lines, status=143, stopped=by)
        assert (end.phase, end.outcome, end.reason) == (*STOPPED, reason)
        assert end.session_id == "s-1"


@pytest.mark.parametrize("by", ["start", "total", "silence", "output", "requested", "lost", None])
@pytest.mark.parametrize("status", [0, 1, 137, 143, None])
def test_a_result_goes_before_what_ended_the_run_and_before_its_exit_status(
    by: str | None, status: int | None
) -> None:
    end = completed(INIT, assistant("Done."), result(result="Done."), status=status, stopped=by)
    assert (end.outcome, end.reason, end.text) == (RunOutcome.SUCCESS, "success", "Done.")
    failed = result(subtype="error_max_turns", is_error=True)
    end = completed(INIT, assistant("Half."), failed, status=status, stopped=by)
    assert (end.outcome, end.reason) == (RunOutcome.FAILURE, "error_max_turns")


@pytest.mark.parametrize(
    "line",
    [
        "\x1b[?25h\x1b[0m{}",
        "warning: something{}",
        "a {{ brace {}",
        '{{"type":"assistant","message":{{"content":[{{"type":"te{}',
        "{}\x1b[0m",
        "\ufeff{}",
        "{}\r",
    ],
)
def test_a_result_counts_whatever_stands_around_it_on_its_line(line: str) -> None:
    refused = [{"tool_name": "x", "tool_input": "y" * 2_000_000}]
    said = json.dumps(result(result="Done.", permission_denials=refused))
    exit = exit_info(status=143, stopped="silence")
    end = classify_exit(dataclasses.replace(exit, stdout=line.format(said) + "\n"))
    assert isinstance(end, Completion)
    assert (end.reason, end.text) == ("success", "Done.")


def test_half_a_character_does_not_lose_the_result() -> None:
    line = json.dumps(result(result="cut here")).replace("cut", "cut \\ud83d")
    end = classify_exit(dataclasses.replace(exit_info(), stdout=line))
    assert isinstance(end, Completion)
    assert (end.reason, end.text) == ("success", "cut \ufffd here")


def test_a_run_that_never_said_a_word_did_not_begin() -> None:
    end = not_begun(status=143, stopped="start")
    assert isinstance(end.outcome, Retry)
    assert "start_timeout" in end.outcome.reason
    assert completed(status=143, stopped="requested").reason == "requested"
    assert completed(INIT, status=143, stopped="start").reason == "timeout_start"


def test_a_run_that_vanished_is_unknown() -> None:
    end = completed(INIT, status=None, stopped="lost", session_id="s-0")
    assert (end.phase, end.outcome, end.reason) == (Phase.STOPPED, RunOutcome.UNKNOWN, "lost")


def test_an_interrupt_from_outside_is_no_failure() -> None:
    aborted = result(subtype="error_during_execution", is_error=True, terminal_reason="aborted_tools")
    end = completed(aborted, status=1)
    assert (end.phase, end.outcome, end.reason, end.cost_usd) == (*STOPPED, "sigint", 0.12)


@pytest.mark.parametrize(
    ("status", "phase", "reason"),
    [(143, Phase.STOPPED, "sigterm"), (1, Phase.FAILED, "exit_code_1"), (0, Phase.STOPPED, "no_result")],
)
def test_without_a_result_the_exit_status_decides(status: int, phase: Phase, reason: str) -> None:
    end = completed(INIT, assistant("Half."), status=status)
    assert (end.phase, end.reason, end.text, end.turns) == (phase, reason, "Half.", None)
    assert completed(INIT, status=1, stderr="it crashed\n").text == "it crashed"


@pytest.mark.parametrize(
    ("status", "stderr", "said"),
    [
        (1, "--dangerously-skip-permissions cannot be used with root/sudo privileges", "cannot be used"),
        (1, "12 | code\nerror: unknown option '--max-budget-usd'\n   at x\n\nBun v1", "unknown option"),
        (127, "env: node: No such file or directory", "No such file"),
    ],
)
def test_an_actor_that_cannot_start_makes_its_work_wait(status: int, stderr: str, said: str) -> None:
    end = not_begun(status=status, stderr=stderr)
    assert isinstance(end.outcome, Unavailable)
    assert said in end.outcome.reason


def test_another_failure_before_the_beginning_is_counted() -> None:
    end = not_begun(status=1, stderr="Error: Session ID x is already in use.\n")
    assert end == NotBegun(
        outcome=Retry(
            reason="the CLI ended with status 1 before it began: Error: Session ID x is already in use."
        ),
        forget_session=True,
    )
    assert isinstance(not_begun(status=1).outcome, Retry)


def test_silence_is_no_success() -> None:
    assert isinstance(not_begun(status=0).outcome, Retry)
    assert completed(INIT, status=0).outcome is RunOutcome.UNKNOWN
    assert completed(INIT, assistant("Half."), status=0).outcome is RunOutcome.UNKNOWN


def test_a_signal_before_the_first_word_is_an_end() -> None:
    assert completed(status=137).reason == "sigkill"


def since(*usd: float) -> dict[str, Any]:
    return {f"model-{n}": {"inputTokens": 10, "outputTokens": 5, "costUSD": one} for n, one in enumerate(usd)}


VERSION_A_CALL = {**INIT, "claude_code_version": "2.1.276"}
VERSION_A_SESSION = {**INIT, "claude_code_version": "2.1.277"}


@pytest.mark.parametrize(
    ("lines", "resumed", "own", "session"),
    [
        ([VERSION_A_CALL, result()], False, 0.12, None),
        ([VERSION_A_CALL, result()], True, 0.12, None),
        ([VERSION_A_SESSION, result()], False, 0.12, None),
        ([VERSION_A_SESSION, result()], True, None, 0.12),
        ([INIT, result()], True, None, 0.12),
        ([result(model_usage_since_last_result=since(0.01, 0.02), result_index=0)], True, 0.03, 0.12),
        (
            [
                result(model_usage_since_last_result=since(0.01), result_index=0),
                result(model_usage_since_last_result=since(0.02), result_index=1),
            ],
            True,
            0.03,
            0.12,
        ),
        ([result(model_usage_since_last_result=since(0.02), result_index=1)], True, None, 0.12),
        ([INIT, assistant("Half.")], True, None, None),
    ],
)
def test_what_a_run_cost_and_what_its_session_did(
    lines: list[dict[str, Any]], resumed: bool, own: float | None, session: float | None
) -> None:
    end = completed(*lines, resumed=resumed, stopped="total")
    assert (end.cost_usd, end.session_cost_usd) == (own, session)


def test_tokens_of_a_resumed_run_are_its_own() -> None:
    usage = {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 2}
    old = completed(VERSION_A_SESSION, result(usage=usage), resumed=True)
    assert old.tokens == {"input": 7, "output": 3, "cache_read": 2, "cache_creation": 0}
    assert old.models is None
    new = completed(result(model_usage_since_last_result=since(0.01, 0.02)), resumed=True)
    assert new.tokens == {"input": 20, "output": 10, "cache_read": 0, "cache_creation": 0}
    assert new.models is not None
    assert [model["cost_usd"] for model in new.models.values()] == [0.01, 0.02]


def system(subtype: str, **fields: Any) -> dict[str, Any]:
    return {"type": "system", "subtype": subtype, "session_id": "s-1", **fields}


def test_background_commands_that_ended_with_the_cli_are_named() -> None:
    lines = [
        system("task_started", task_id="a", description="make watch"),
        system("task_started", task_id="b", description="make test"),
        result(result="Started both."),
        system("task_notification", task_id="b", status="completed"),
        system("task_notification", task_id="a", status="stopped"),
    ]
    assert completed(*lines).details == {"ended_tasks": ["make watch"]}
    waits = system("background_tasks_changed", tasks=[{"task_id": "a", "description": "npm run dev"}])
    assert completed(waits, result(), stopped="silence").details == {"ended_tasks": ["npm run dev"]}
    assert completed(waits, system("background_tasks_changed", tasks=[]), result()).details == {}


@pytest.mark.parametrize("reason", ["max_tokens", "tool_use", "refusal", "pause_turn"])
def test_why_the_model_stopped_is_told_if_it_was_not_done(reason: str) -> None:
    assert completed(result(stop_reason=reason)).details == {"stop_reason": reason}
    assert completed(result(stop_reason="end_turn")).details == {}


def test_a_question_that_nobody_answered_is_told_apart_from_done() -> None:
    asks = assistant("", message={"model": "opus", "content": [ASKS]})
    end = completed(asks, assistant("I cannot ask."), result(result="I cannot ask."))
    assert (end.phase, end.outcome, end.reason) == (Phase.COMPLETED, RunOutcome.SUCCESS, "asked")
    assert end.details == {"needs_you": True, "asked": "Which one? And when?"}
    edits = assistant("", message={"model": "opus", "content": [{"type": "tool_use", "name": "Edit"}]})
    decided = completed(asks, edits, result(result="I took A."))
    assert (decided.reason, decided.details) == ("success", {})


@pytest.mark.parametrize(
    ("number", "reason"), [(6, "sigabrt"), (11, "sigsegv"), (7, "sigbus"), (4, "sigill"), (8, "sigfpe")]
)
def test_a_crash_is_a_failure_with_the_end_of_standard_error(number: int, reason: str) -> None:
    end = completed(INIT, assistant("Half."), status=128 + number, stderr="panic: it crashed\n")
    assert (end.phase, end.outcome, end.reason) == (*FAILED, reason)
    assert end.text == "Half.\npanic: it crashed"


@pytest.mark.parametrize(
    ("error", "status", "said", "command"),
    [
        ("authentication_failed", None, "Not logged in · Please run /login", "claude auth login"),
        ("authentication_failed", 401, "API Error: 401 OAuth token has been revoked.", "claude auth login"),
        ("oauth_org_not_allowed", 403, "Your organization has disabled Claude access", "claude auth login"),
        ("unknown", 400, "API Error: 400 This organization has been disabled.", "ANTHROPIC_API_KEY"),
        ("invalid_request", 400, "Your key belongs to a disabled organization", "ANTHROPIC_API_KEY"),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_login_that_is_not_allowed_makes_the_work_wait_and_says_what_to_type(
    error: str, status: int | None, said: str, command: str, resumed: bool
) -> None:
    failed = unpaid(said, api_error_status=status)
    end = not_begun(INIT, synthetic(said, error), failed, status=1, resumed=resumed)
    assert isinstance(end.outcome, Unavailable)
    assert said in end.outcome.reason
    assert command in end.outcome.reason


def test_a_result_that_does_not_fit_into_the_end_of_the_output_is_read_whole() -> None:
    line = json.dumps(
        result(result="Done.", permission_denials=[{"tool_name": "Write", "x": "y" * 2_000_000}])
    )
    end = completed(stdout=line[-(1 << 20) :], result=line)
    assert (end.outcome, end.text, end.denied_tools) == (RunOutcome.SUCCESS, "Done.", ("Write",))


def test_json_that_was_there_and_could_not_be_read_is_named() -> None:
    end = completed(result(result='I say\n```json\n{"a": 1,}\n```'))
    assert end.json is None
    assert "line 3, column 9" in end.details["json_error"]
