"""The CLI's output, one JSON value a line: what each line says, and what all of them came to."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.agents.heard import Heard, is_cut
from orgloop.connectors.agents.json_lines import amount, parse
from orgloop.connectors.agents.result import one_line, tool_call
from orgloop.plugin import ExitInfo, Json, Progress, object_at, text_at

_GOES_ON: Final = "tool-calls"
"""The reason of a step after which the agent works on."""

_LOG_LIMIT: Final = 50_000
"""Characters of its log that are looked at."""

_REJECTED: Final = "The user rejected permission"
"""What a tool answers that would have to be asked for."""

_LOGGED: Final = (' error.error="', ' error="')
"""Where a line of its log says what went wrong."""


def hear(exit: ExitInfo) -> Heard:
    """What the whole output came to. Lines that are no JSON objects do not count."""
    heard = Heard()
    cost = 0.0
    for raw in exit.stdout.split("\n"):
        line = parse(raw)
        if line is not None:
            cost += _take(heard, line)
    if heard.turns and not is_cut(exit):
        heard.cost_usd = cost
    elif is_cut(exit):
        heard.tokens = None
    heard.complaint = _logged(exit.stderr[-_LOG_LIMIT:])
    if heard.failed and heard.complaint and "Check server logs" in heard.failed:
        heard.failed = heard.complaint
    return heard


def _take(heard: Heard, line: Json) -> float:
    """One line; what its step has cost."""
    heard.lines += 1
    heard.session_id = text_at(line, "sessionID") or heard.session_id
    match line.get("type"):
        case "step_start":
            heard.answered, heard.ended, heard.failed = True, False, None
            heard.turns += 1
        case "text":
            heard.spoken = text_at(object_at(line, "part"), "text").strip() or heard.spoken
        case "tool_use":
            refused = _refused(object_at(line, "part"))
            heard.denied += [refused] if refused else []
        case "step_finish":
            step = object_at(line, "part")
            counts = _tokens(object_at(step, "tokens"))
            heard.count(counts)
            heard.context_tokens = sum(counts.values())
            heard.ended = text_at(step, "reason") != _GOES_ON
            return amount(step, "cost") or 0.0
        case "error":
            error = object_at(line, "error")
            status = amount(object_at(error, "data"), "statusCode")
            heard.ended, heard.status = True, None if status is None else int(status)
            heard.failed = text_at(object_at(error, "data"), "message") or text_at(error, "name") or "error"
            heard.aborted = text_at(error, "name") == "MessageAbortedError"
        case _:
            pass
    return 0.0


def progress(raw: str) -> Progress | None:
    """What one line says to somebody who watches; None if it is nothing new."""
    line = parse(raw)
    if line is None:
        return None
    session_id = text_at(line, "sessionID") or None
    piece = object_at(line, "part")
    match line.get("type"):
        case "step_start":
            return Progress(text="begun", session_id=session_id)
        case "text":
            said = one_line(text_at(piece, "text"))
            return Progress(text=said, session_id=session_id) if said else None
        case "tool_use":
            call = tool_call(text_at(piece, "tool"), object_at(object_at(piece, "state"), "input"))
            return Progress(text=call, session_id=session_id)
        case "step_finish":
            cost, step = amount(piece, "cost"), text_at(piece, "id")
            return Progress(
                session_id=session_id,
                spent=(step, cost) if cost and step else None,
                result=text_at(piece, "reason") != _GOES_ON,
            )
        case "error":
            said = one_line(text_at(object_at(object_at(line, "error"), "data"), "message"))
            return Progress(text=said or "the model failed", session_id=session_id, alive=False, result=True)
        case _:
            return None


def _logged(stderr: str) -> str:
    """The last error of its log. That of the model which finds a title for the session is none of ours."""
    for line in reversed(stderr.split("\n")):
        if "level=ERROR" in line and "small=true" not in line:
            for mark in _LOGGED:
                said = line.partition(mark)[2].partition('"')[0]
                if said:
                    return said
    return ""


def _tokens(counts: Json) -> dict[str, int]:
    cache = object_at(counts, "cache")
    return {
        "input": int(amount(counts, "input") or 0),
        "output": int((amount(counts, "output") or 0) + (amount(counts, "reasoning") or 0)),
        "cache_read": int(amount(cache, "read") or 0),
        "cache_creation": int(amount(cache, "write") or 0),
    }


def _refused(piece: Json) -> str:
    """The tool that was not allowed; empty if this call was."""
    state = object_at(piece, "state")
    refused = text_at(state, "status") == "error" and "permission" in text_at(state, "error")[:_LOG_LIMIT]
    return text_at(piece, "tool") if refused else ""
