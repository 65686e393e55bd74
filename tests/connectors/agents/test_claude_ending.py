"""What a run of Claude Code came to."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from orgloop.connectors.agents.claude_code.ending import judge
from orgloop.core.lifecycle import Phase, RunOutcome
from orgloop.plugin import Completion, ExitInfo, NotBegun, Retry, Unavailable

FAILED = (Phase.FAILED, RunOutcome.FAILURE)
STOPPED = (Phase.STOPPED, RunOutcome.CANCELLED)
INIT = {"type": "system", "subtype": "init", "session_id": "s-1"}
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
    end = judge(exit_info(*lines, **fields))
    assert isinstance(end, Completion), end
    return end


def not_begun(*lines: dict[str, Any], **fields: Any) -> NotBegun:
    end = judge(exit_info(*lines, **fields))
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
    assert end == NotBegun(outcome=Retry(reason=said), forget_session=False)


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


@pytest.mark.parametrize(
    "lines",
    [
        [{"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1795345072}}],
        [],
    ],
)
def test_a_usage_limit_is_a_failure_of_that_name(lines: list[dict[str, Any]]) -> None:
    said = "You've hit your session limit · resets 10:57am (UTC)" if not lines else "API Error"
    end = completed(*lines, synthetic(said, "rate_limit"), unpaid(said, api_error_status=429), status=1)
    assert (end.phase, end.outcome, end.reason) == (*FAILED, "usage_limit")


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
    failed = result(is_error=True, result="API Error: 500", api_error_status=500)
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
    [("total", "timeout_total"), ("silence", "timeout_silence"), ("requested", "requested")],
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
    end = judge(dataclasses.replace(exit, stdout=line.format(said) + "\n"))
    assert isinstance(end, Completion)
    assert (end.reason, end.text) == ("success", "Done.")


def test_half_a_character_does_not_lose_the_result() -> None:
    line = json.dumps(result(result="cut here")).replace("cut", "cut \\ud83d")
    end = judge(dataclasses.replace(exit_info(), stdout=line))
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
    assert completed(status=0).outcome is RunOutcome.UNKNOWN
    assert completed(INIT, assistant("Half."), status=0).outcome is RunOutcome.UNKNOWN


def test_a_signal_before_the_first_word_is_an_end() -> None:
    assert completed(status=137).reason == "sigkill"
