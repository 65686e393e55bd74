"""What a run of the CLI came to: its last result line decides, then what stopped it and its exit status."""

from __future__ import annotations

import re
from typing import Any, Final

from orgloop.connectors.agents.claude_code.stream import (
    Json,
    Transcript,
    cost,
    denied,
    items,
    number,
    part,
    text,
    transcript,
)
from orgloop.connectors.agents.result import ended, last_json, last_line, last_part, one_line, stopped
from orgloop.plugin import (
    Completion,
    ExitInfo,
    NotBegun,
    Phase,
    Retry,
    RunOutcome,
    Unavailable,
    last_words,
)

COMPLAINT_LIMIT: Final = 50_000
"""Characters of output that may be nothing but a complaint; more without a line is the end of a long line."""

USAGE_LIMIT: Final = "usage_limit"

REFUSAL: Final = "refusal"

EXECUTION: Final = "error_during_execution"
"""The result of a run that broke, for example because its tools were ended by a signal."""

_GONE: Final = ("No conversation found with session ID", "Error: --resume requires a valid session ID")
_HIT_LIMIT: Final = re.compile(r"You've (?:hit|reached) your .*limit")
_NOBODY_THERE: Final = re.compile(
    r"\((?:ConnectionRefused|FailedToOpenSocket|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)\)"
    r"|\b529\b"
)
# What no later wake will get past either, until somebody changes a setting or the login.
_NEEDS_A_PERSON: Final = frozenset({"authentication_failed", "billing_error", "model_not_found"})
_UNUSABLE: Final = re.compile(r"^error: |cannot be used with root")
_TOKENS: Final = {
    "inputTokens": "input",
    "outputTokens": "output",
    "cacheReadInputTokens": "cache_read",
    "cacheCreationInputTokens": "cache_creation",
}


def judge(exit: ExitInfo) -> Completion | NotBegun:
    """The run's completion; NotBegun where it is certain that no paid work was done."""
    found = transcript(exit.stdout)
    how = stopped(exit)
    if found.result and (how is None or not _is_interrupted(found)):
        return _by_result(exit, found)
    if how is not None:
        if exit.stopped == "start" and not exit.stdout.strip():
            return _not_begun(exit, Retry(reason="the CLI wrote nothing until its `start_timeout`"))
        return _completion(exit, found, how)
    return _without_result(exit, found)


def _without_result(exit: ExitInfo, found: Transcript) -> Completion | NotBegun:
    status = exit.status or 0
    if found.lines == 0 and len(exit.stdout) <= COMPLAINT_LIMIT and 0 < status <= 128:
        # It reads its options, session and prompt before it says anything, and asks no model before that.
        reason = f"the CLI ended with status {status} before it began: {_complaint(exit.stderr)}".rstrip(": ")
        lasting = status in (126, 127) or _UNUSABLE.search(_complaint(exit.stderr))
        return _not_begun(exit, Unavailable(reason=reason) if lasting else Retry(reason=reason))
    if status == 0:
        # Interrupted, it may end with status 0 in the middle of its work; a run that is done says so.
        return _completion(exit, found, (Phase.STOPPED, RunOutcome.UNKNOWN, "no_result"))
    return _completion(exit, found, ended(exit))


def _by_result(exit: ExitInfo, found: Transcript) -> Completion | NotBegun:
    result = found.result
    subtype = text(result, "subtype") or "unknown"
    if result.get("is_error") is not True and subtype == "success":
        return _completion(exit, found, (Phase.COMPLETED, RunOutcome.SUCCESS, "success"))
    if _is_aborted(result):
        return _completion(exit, found, (Phase.STOPPED, RunOutcome.CANCELLED, "sigint"))
    if _is_unpaid(found):
        unpaid = _unpaid(exit, found)
        if unpaid is not None:
            return unpaid
    return _completion(exit, found, (Phase.FAILED, RunOutcome.FAILURE, _reason(found, subtype)))


def _is_interrupted(found: Transcript) -> bool:
    """Whether a run that was stopped had not come to its end by itself: its result tells of the stop."""
    return found.open or _is_aborted(found.result) or text(found.result, "subtype") == EXECUTION


def _is_aborted(result: Json) -> bool:
    return text(result, "terminal_reason").startswith("aborted")


def _unpaid(exit: ExitInfo, found: Transcript) -> NotBegun | None:
    """Why a run that cost nothing may be tried again; None if it may not."""
    result, said = found.result, one_line(text(found.result, "result"))
    if _errors(result).startswith(_GONE):
        gone = f"the session {exit.session_id or ''} is gone; the next try begins a new one".replace(
            "  ", " "
        )
        return NotBegun(outcome=Retry(reason=gone, after_ms=0), forget_session=True)
    if _is_limit(found):
        return None
    if found.error in _NEEDS_A_PERSON:
        return _not_begun(exit, Unavailable(reason=f"{found.error.replace('_', ' ')}: {said}"))
    if found.error in ("server_error", "overloaded") and _NOBODY_THERE.search(said):
        return _not_begun(exit, Unavailable(reason=said))
    if found.error in ("server_error", "overloaded", "rate_limit") and number(result, "api_error_status"):
        return _not_begun(exit, Retry(reason=said))
    return None


def _not_begun(exit: ExitInfo, outcome: Retry | Unavailable) -> NotBegun:
    # A session that this run was to begin may or may not exist now; only one that it resumed surely does.
    return NotBegun(outcome=outcome, forget_session=not exit.resumed)


def _completion(exit: ExitInfo, found: Transcript, how: tuple[Phase, RunOutcome, str]) -> Completion:
    phase, outcome, reason = how
    result = found.result
    said = text(result, "result") or found.said
    if not said and outcome is not RunOutcome.SUCCESS:
        said = _errors(result) or last_words("", exit.stderr)
    structured = result.get("structured_output")
    return Completion(
        phase=phase,
        outcome=outcome,
        reason=reason,
        text=last_part(said),
        json=structured if structured is not None else last_json(said),
        session_id=found.session_id or exit.session_id,
        cost_usd=cost(result),
        tokens=_tokens(result),
        turns=found.turns if result else None,
        models=_models(result),
        denied_tools=denied(result),
    )


def _reason(found: Transcript, subtype: str) -> str:
    if subtype != "success":
        return subtype
    if _is_limit(found):
        return USAGE_LIMIT
    if text(found.result, "stop_reason") == REFUSAL:
        return REFUSAL
    status = number(found.result, "api_error_status")
    return f"api_error_{int(status)}" if status else found.error or "error"


def _is_limit(found: Transcript) -> bool:
    if found.error != "rate_limit":
        return False
    return found.refused or bool(_HIT_LIMIT.search(text(found.result, "result")))


def _is_unpaid(found: Transcript) -> bool:
    tokens = _tokens(found.result) or {}
    return not (cost(found.result) or any(tokens.values()) or found.said or found.turns > 1)


def _errors(result: Json) -> str:
    return "\n".join(error for error in items(result, "errors") if isinstance(error, str))


def _complaint(stderr: str) -> str:
    """The line that says what is wrong: the CLI may write a stack trace around it."""
    lines = [line for raw in stderr.split("\n") if (line := one_line(raw))]
    named = [line for line in lines if line.lower().startswith("error")]
    return named[-1] if named else last_line(stderr)


def _tokens(result: Json) -> dict[str, int] | None:
    """Of all models and subagents. `usage` leaves those out, and is empty after some errors."""
    models = part(result, "modelUsage")
    if not models:
        return None
    each = [_counts(part(models, name)) for name in models]
    return {kind: sum(counts[kind] for counts in each) for kind in _TOKENS.values()}


def _models(result: Json) -> dict[str, Any] | None:
    models = part(result, "modelUsage")
    if not models:
        return None
    return {
        name: {
            **_counts(part(models, name)),
            "cost_usd": round(number(part(models, name), "costUSD") or 0.0, 8),
        }
        for name in models
    }


def _counts(usage: Json) -> dict[str, int]:
    return {kind: int(number(usage, key) or 0) for key, kind in _TOKENS.items()}
