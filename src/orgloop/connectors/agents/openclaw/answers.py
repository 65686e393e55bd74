"""What a gateway's answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orgloop.connectors.agents.result import last_json, last_part, one_line
from orgloop.connectors.webhook.answers import retry_after, status_line
from orgloop.plugin import (
    ANYTHING,
    SECOND,
    Completion,
    Delivered,
    EventShape,
    EventType,
    HttpReply,
    Inbound,
    NotJson,
    Phase,
    Progress,
    Ref,
    Refused,
    Rejected,
    RemoteEnd,
    Retry,
    RunOutcome,
    Skipped,
    Throttled,
    Unavailable,
    load_json,
    parse_json,
    platform_event,
)

BUSY: Final = 15 * SECOND
"""Milliseconds after which a gateway is asked again that had no room for a run."""

NO_ANSWER: Final = "bad_answer"
"""Why a run is over whose gateway answered what is no answer of a gateway."""

Failure = Rejected | Retry | Throttled | Unavailable

_DETAILS: Final = {
    "replyDisposition": "reply_disposition",
    "delivered": "delivered",
    "deliveryAttempted": "delivery_attempted",
    "deliveryError": "delivery_error",
    "deliverySuppressionReason": "delivery_suppressed",
}
SHAPE: Final = EventShape(
    names=(
        EventType.ACTOR_STOPPED,
        *(platform_event(phase) for phase in (Phase.COMPLETED, Phase.FAILED, Phase.STOPPED)),
    ),
    fields={f"payload.{name}": ANYTHING for name in ("openclaw_run", *_DETAILS.values())},
)
"""What a run's end says besides, where the gateway does."""


def failure(reply: HttpReply, now: int) -> Failure | None:
    """Why the gateway took nothing; None if it took it, or if that cannot be told from the answer.

    `now` is in ms since 1970.
    """
    said = f"OpenClaw answered {status_line(reply)}"
    words = _words(reply)
    told = f"{said}: {words}" if words else said
    wait = retry_after(reply.headers, now)
    match reply.status:
        case 401 | 403:
            return Unavailable(reason=f"{said}: set the actor's `token` to the gateway's `hooks.token`")
        case 404:
            remedy = (
                "enable `hooks` in the gateway's configuration, or correct the actor's `base_url` or `path`"
            )
            return Unavailable(reason=f"{said}: {remedy}")
        case 429:
            return Throttled(until=wait or now + BUSY, reason=told)
        case 408:
            return Retry(reason=told)
        case 409:
            return Throttled(until=wait or now + BUSY, reason=told)
        case status if 300 <= status < 500:
            return Rejected(reason=told)
        case 503 if _is_ours(reply):
            return Throttled(until=wait or now + BUSY, reason=told)
        case 500 | 502 if _is_ours(reply):
            return Retry(reason=told, after_ms=wait - now if wait else None)
        case 503 if wait:
            return Throttled(until=wait, reason=told)
        case _:
            return None


def end_of(reply: HttpReply, *, reports: bool) -> Ref | RemoteEnd | None:
    """What the answer says of the run that it took; None if it breaks off.

    `reports`: the agent is to report by itself, so a run whose end the gateway does not tell goes on.
    """
    if reply.truncated:
        return None
    document = document_of(reply)
    if document is None or document.get("ok") is not True:
        said = f"no answer of an OpenClaw gateway: {one_line(reply.body.decode('utf-8', 'replace'))}"
        return unknown(NO_ANSWER, said)
    run = _text(document, "runId")
    told = document.get("completion")
    if isinstance(told, Mapping):
        return _completion(told, run)
    if reports and run:
        return Ref(id=run)
    return Delivered(detail=f"accepted as run {run}; this gateway does not tell how runs end")


def handed_over(reply: HttpReply) -> Delivered:
    """A gateway has taken a wake, and will not tell more."""
    document = document_of(reply) or {}
    run, outcome = _text(document, "runId"), _text(document, "eventOutcome")
    return Delivered(detail=f"run {run}" if run else outcome or status_line(reply))


def report(request: Inbound) -> RemoteEnd | Progress:
    """What an agent reports of its own run. Raises Refused for what is no report."""
    body = parse_json(request.body)
    hint = 'send {"status": "ok", "text": "what you did", "json": {}}'
    if not isinstance(body, dict):
        raise Refused("the report is not an object", hint=hint)
    status, text = body.get("status", "ok"), body.get("text", "")
    if not isinstance(text, str):
        raise Refused("the report's `text` is not text", hint=hint)
    match status:
        case "working":
            return Progress(text=one_line(text))
        case "ok":
            how = (Phase.COMPLETED, RunOutcome.SUCCESS)
        case "error":
            how = (Phase.FAILED, RunOutcome.FAILURE)
        case _:
            raise Refused("the report's `status` is none of ok, error and working", hint=hint)
    phase, outcome = how
    given = body.get("json")
    found = last_json(text)
    return Completion(
        phase=phase,
        outcome=outcome,
        reason="reported",
        text=last_part(text),
        json=given if given is not None else found.json,
        details={"json_error": found.error} if given is None and found.error is not None else {},
    )


def unknown(reason: str, text: str) -> Completion:
    """The end of a run of which nobody can say how it ended."""
    return Completion(phase=Phase.STOPPED, outcome=RunOutcome.UNKNOWN, reason=reason, text=text)


def _completion(told: Mapping[str, Any], run: str) -> RemoteEnd:
    details: dict[str, Any] = {ours: told[name] for name, ours in _DETAILS.items() if name in told}
    if run:
        details["openclaw_run"] = run
    match told.get("status"):
        case "ok":
            reason = "delivery_failed" if told.get("deliveryError") else "ok"
            phase, outcome = Phase.COMPLETED, RunOutcome.SUCCESS
        case "error":
            phase, outcome, reason = Phase.FAILED, RunOutcome.FAILURE, "error"
        case "skipped":
            return Skipped(reason=f"OpenClaw skipped run {run}")
        case other:
            return unknown(NO_ANSWER, f"OpenClaw says that run {run} ended with {one_line(str(other))}")
    return Completion(phase=phase, outcome=outcome, reason=reason, details=details)


def _is_ours(reply: HttpReply) -> bool:
    """Whether the gateway itself refused it: a proxy that answers for it does not know what became of it."""
    document = document_of(reply)
    return document is not None and document.get("ok") is False


def document_of(reply: HttpReply) -> Mapping[str, Any] | None:
    """The JSON object of an answer; None if it is none."""
    try:
        found = load_json(reply.body)
    except NotJson:
        return None
    return found if isinstance(found, dict) else None


def _words(reply: HttpReply) -> str:
    document = document_of(reply)
    if document is not None:
        return one_line(_text(document, "error"))
    return one_line(reply.body.decode("utf-8", "replace"))


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return one_line(value) if isinstance(value, str) else ""
