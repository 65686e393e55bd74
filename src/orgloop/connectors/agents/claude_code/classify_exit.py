"""What a run of the CLI came to: its last result line decides, then what stopped it and its exit status."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from orgloop.connectors.agents.claude_code.stream import Transcript, cost, cost_since, denied, transcript
from orgloop.connectors.agents.json_lines import amount
from orgloop.connectors.agents.result import (
    COMPLAINT_LIMIT,
    LIMIT_WAIT,
    complaint_of,
    last_json,
    last_part,
    not_begun,
    one_line,
    session_gone,
    stopped,
    without_result,
)
from orgloop.plugin import (
    DAY,
    Completion,
    ExitInfo,
    Json,
    Limited,
    NotBegun,
    Phase,
    Retry,
    RunOutcome,
    Unavailable,
    last_words,
    object_at,
    text_at,
    texts_at,
    timestamp,
)

_SHOWN_TASKS: Final = 20
_LAST_SECOND: Final = 1e11

USAGE_LIMIT: Final = "usage_limit"

REFUSAL: Final = "refusal"

EXECUTION: Final = "error_during_execution"
"""The result of a run that broke, for example because its tools were ended by a signal."""

ASKED: Final = "asked"
"""It ended well, but for a question to a person that nobody answered."""

CUMULATIVE: Final = (2, 1, 277)
"""The first version whose total is that of the whole session, not of the call."""

_GONE: Final = ("No conversation found with session ID", "Error: --resume requires a valid session ID")
_HIT_LIMIT: Final = re.compile(r"You've (?:hit|reached) your [^\n]{0,200}limit")
_NOBODY_THERE: Final = re.compile(
    r"\((?:ConnectionRefused|FailedToOpenSocket|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)\)"
    r"|\b529\b"
)
_ORGANIZATION: Final = re.compile(r"organization has (?:been )?disabled|disabled organization", re.IGNORECASE)
_LOGIN: Final = "type `claude auth login`"
_NEEDS_A_PERSON: Final = {
    "authentication_failed": f"{_LOGIN}, or set another ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN",
    "oauth_org_not_allowed": f"{_LOGIN} with another account, or set ANTHROPIC_API_KEY",
    "billing_error": "pay for more credit, or " + _LOGIN,
    "model_not_found": "set another `model` of the actor",
}
"""What no later wake will get past either, until somebody changes a setting or the login: what to do."""
_UNUSABLE: Final = re.compile(r"^error: |cannot be used with root")
_TOKENS: Final = {
    "inputTokens": "input",
    "outputTokens": "output",
    "cacheReadInputTokens": "cache_read",
    "cacheCreationInputTokens": "cache_creation",
}
_USAGE: Final = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_creation",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaudeCli:
    """What its actor knows of the CLI that ran: which login it uses, and its version, if that was asked."""

    account: str = ""
    version: tuple[int, ...] | None = None


def classify_exit(exit: ExitInfo, cli: ClaudeCli = ClaudeCli()) -> Completion | NotBegun:
    """The run's completion; NotBegun where it is certain that no paid work was done.

    Its own result decides, then what stopped it, then its exit status, then what it complained of.
    """
    found = transcript(exit.stdout, exit.result)
    how = stopped(exit) if exit.stopped != "result" else None
    if found.result and (how is None or not _is_interrupted(found)):
        return _by_result(exit, found, cli)
    if how is not None:
        if exit.stopped == "start" and not found.begun and not found.answered:
            return not_begun(exit, Retry(reason="the CLI wrote nothing until its `start_timeout`"))
        return _completion(exit, found, cli, how)
    return _without_result(exit, found, cli)


def _without_result(exit: ExitInfo, found: Transcript, cli: ClaudeCli) -> Completion | NotBegun:
    how = without_result(exit, found.lines, complaint_of(exit.stderr), _UNUSABLE.search)
    return how if isinstance(how, NotBegun) else _completion(exit, found, cli, how)


def _by_result(exit: ExitInfo, found: Transcript, cli: ClaudeCli) -> Completion | NotBegun:
    result = found.result
    subtype = text_at(result, "subtype") or "unknown"
    if result.get("is_error") is not True and subtype == "success":
        reason = ASKED if found.asked else "success"
        return _completion(exit, found, cli, (Phase.COMPLETED, RunOutcome.SUCCESS, reason))
    if _is_aborted(result):
        return _completion(exit, found, cli, (Phase.STOPPED, RunOutcome.CANCELLED, "sigint"))
    if _is_unpaid(exit, found):
        unpaid = _unpaid(exit, found, cli)
        if unpaid is not None:
            return unpaid
    return _completion(exit, found, cli, (Phase.FAILED, RunOutcome.FAILURE, _reason(found, subtype)))


def _is_interrupted(found: Transcript) -> bool:
    """Whether a run that was stopped had not come to its end by itself: its result tells of the stop."""
    return found.open or _is_aborted(found.result) or text_at(found.result, "subtype") == EXECUTION


def _is_aborted(result: Json) -> bool:
    return text_at(result, "terminal_reason").startswith("aborted")


def _unpaid(exit: ExitInfo, found: Transcript, cli: ClaudeCli) -> NotBegun | None:
    """Why a run that cost nothing may be tried again; None if it may not."""
    result, message = found.result, one_line(text_at(found.result, "result"))
    if _errors(result).startswith(_GONE):
        return session_gone(exit.session_id)
    status = int(amount(result, "api_error_status") or 0)
    if _is_limit(found) or (status == 429 and found.retry_ms is not None):
        return not_begun(exit, Limited(account=cli.account, until=_free_at(exit, found), reason=message))
    remedy = _NEEDS_A_PERSON.get(found.error)
    if remedy is None and _ORGANIZATION.search(message):
        remedy = _NEEDS_A_PERSON["oauth_org_not_allowed"]
    if remedy is not None:
        kind = f"{found.error.replace('_', ' ')}: " if found.error in _NEEDS_A_PERSON else ""
        return not_begun(exit, Unavailable(reason=f"{kind}{message}. To go on, {remedy}"))
    if found.error in ("server_error", "overloaded", "rate_limit"):
        if _NOBODY_THERE.search(message):
            return not_begun(exit, Unavailable(reason=message))
        if status:
            return replace(not_begun(exit, Retry(reason=message)), session_fault=False)
    return None


def _completion(
    exit: ExitInfo, found: Transcript, cli: ClaudeCli, how: tuple[Phase, RunOutcome, str]
) -> Completion:
    phase, outcome, reason = how
    result = found.result
    message = text_at(result, "result") or found.spoken
    if outcome is not RunOutcome.SUCCESS and not result:
        message = last_words(message, exit.stderr)
    elif not message and outcome is not RunOutcome.SUCCESS:
        message = _errors(result) or last_words("", exit.stderr)
    structured = result.get("structured_output")
    block = last_json(message)
    own, session = _costs(exit, found, cli)
    return Completion(
        phase=phase,
        outcome=outcome,
        reason=reason,
        text=last_part(message),
        json=structured if structured is not None else block.json,
        session_id=found.session_id or exit.session_id,
        cost_usd=own,
        session_cost_usd=session,
        tokens=_tokens(exit, found, cli),
        context_tokens=found.context_tokens,
        turns=found.turns if result else None,
        models=_models(exit, found, cli),
        denied_tools=denied(result),
        details=_details(exit, found, block.error if structured is None else None),
    )


def _details(exit: ExitInfo, found: Transcript, json_error: str | None) -> dict[str, Any]:
    """What the event says besides, where there is something to say."""
    stop_reason = text_at(found.result, "stop_reason")
    ended_tasks = list(dict.fromkeys([*found.tasks.values(), *found.running]))
    details: dict[str, Any] = {}
    if stop_reason and stop_reason not in ("end_turn", "stop_sequence"):
        details["stop_reason"] = stop_reason
    if text_at(found.result, "api_error"):
        details["api_error"] = text_at(found.result, "api_error")
    if ended_tasks:
        details["ended_tasks"] = ended_tasks[:_SHOWN_TASKS]
    if found.asked:
        details |= {"needs_you": True, "asked": found.asked}
    if found.limit or _is_limit(found):
        details["limit_until"] = timestamp(_free_at(exit, found))
    if json_error is not None:
        details["json_error"] = json_error
    return details


def _free_at(exit: ExitInfo, found: Transcript) -> int:
    """When a limit is over, in ms since 1970: as the service says, else in a while."""
    resets_at = amount(found.limit, "resetsAt")
    if resets_at is not None and resets_at < _LAST_SECOND:
        return int(resets_at * 1000)
    wait = found.retry_ms if found.retry_ms is not None else LIMIT_WAIT
    return exit.ended_at + min(wait, DAY)


def _costs(exit: ExitInfo, found: Transcript, cli: ClaudeCli) -> tuple[float | None, float | None]:
    """What the run has cost, if the CLI tells, and what its session has cost by now, if it tells that.

    Newer versions tell both. From some version on the total is that of the session, before that of the call.
    """
    total = cost(found.result)
    since = [cost_since(result) for result in found.results]
    known = [one for one in since if one is not None]
    if known and len(known) == int(amount(found.result, "result_index") or 0) + 1:
        return round(sum(known), 8), total
    version = found.version or cli.version
    if not exit.resumed or (version is not None and version < CUMULATIVE and not known):
        return total, None
    return None, total


def _reason(found: Transcript, subtype: str) -> str:
    if subtype != "success":
        return subtype
    if _is_limit(found):
        return USAGE_LIMIT
    if text_at(found.result, "stop_reason") == REFUSAL:
        return REFUSAL
    status = amount(found.result, "api_error_status")
    return f"api_error_{int(status)}" if status else found.error or "error"


def _is_limit(found: Transcript) -> bool:
    if found.error != "rate_limit":
        return False
    return bool(found.limit) or bool(_HIT_LIMIT.search(text_at(found.result, "result")[:COMPLAINT_LIMIT]))


def _is_unpaid(exit: ExitInfo, found: Transcript) -> bool:
    """Nothing of a model came. The totals of a session that was resumed are of earlier runs, too."""
    if found.answered or found.turns > 1 or any(cost_since(result) for result in found.results):
        return False
    if not exit.resumed and (cost(found.result) or any(_sum(object_at(found.result, "modelUsage")).values())):
        return False
    return not any(amount(object_at(result, "usage"), key) for result in found.results for key in _USAGE)


def _errors(result: Json) -> str:
    return "\n".join(texts_at(result, "errors"))


def _tokens(exit: ExitInfo, found: Transcript, cli: ClaudeCli) -> dict[str, int] | None:
    """Of all models and subagents. `usage` leaves those out, and is empty after some errors."""
    models = _usage(exit, found, cli)
    if models is None:
        usages = [object_at(result, "usage") for result in found.results]
        return {kind: int(sum(amount(one, key) or 0 for one in usages)) for key, kind in _USAGE.items()}
    return _sum(models) if models else None


def _models(exit: ExitInfo, found: Transcript, cli: ClaudeCli) -> dict[str, Any] | None:
    models = _usage(exit, found, cli)
    if not models:
        return None
    return {
        name: {
            **_counts(object_at(models, name)),
            "cost_usd": round(amount(object_at(models, name), "costUSD") or 0.0, 8),
        }
        for name in models
    }


def _usage(exit: ExitInfo, found: Transcript, cli: ClaudeCli) -> Json | None:
    """What each model did in this run. None if the CLI tells it only of the whole session."""
    key = "model_usage_since_last_result"
    parts = [object_at(result, key) for result in found.results if key in result]
    if parts:
        names = dict.fromkeys(name for one in parts for name in one)
        keys = (*_TOKENS, "costUSD")
        return {
            name: {key: sum(amount(object_at(one, name), key) or 0 for one in parts) for key in keys}
            for name in names
        }
    version = found.version or cli.version
    if exit.resumed and found.result and version is not None and version >= CUMULATIVE:
        return None
    return object_at(found.result, "modelUsage")


def _sum(models: Json) -> dict[str, int]:
    each = [_counts(object_at(models, name)) for name in models]
    return {kind: sum(counts[kind] for counts in each) for kind in _TOKENS.values()}


def _counts(usage: Json) -> dict[str, int]:
    return {kind: int(amount(usage, key) or 0) for key, kind in _TOKENS.items()}
