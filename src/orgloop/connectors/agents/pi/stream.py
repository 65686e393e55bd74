"""The CLI's output, one JSON value a line: what each line says, and what all of them came to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from orgloop.connectors.agents.heard import Heard, is_cut
from orgloop.connectors.agents.json_lines import amount, parse
from orgloop.connectors.agents.result import one_line, tool_call
from orgloop.plugin import ExitInfo, Json, Progress, Turns, object_at, objects_at, text_at

TURNS: Final = Turns(ends=(("type", "agent_settled"),), begins=(("type", "agent_start"),))
"""How the runner knows a result."""

_STATUS: Final = re.compile(r"(?P<status>[45]\d\d)\b")
_FAILED: Final = ("error", "aborted")


@dataclass(kw_only=True, slots=True)
class _Transcript:
    """The run, and what the messages since the last beginning of work have used."""

    heard: Heard
    cost: float = 0.0

    def take(self, line: Json) -> None:
        heard = self.heard
        heard.lines += 1
        match line.get("type"):
            case "session":
                heard.session_id = text_at(line, "id") or heard.session_id
            case "agent_start":
                heard.ended, heard.failed, heard.status = False, None, None
            case "message_end":
                message = object_at(line, "message")
                if text_at(message, "role") == "assistant":
                    self._message(message)
            case "auto_retry_start":
                heard.complaint = text_at(line, "errorMessage") or heard.complaint
            case "agent_settled":
                heard.ended = True
                heard.aborted = line.get("aborted") is True
            case _:
                pass

    def _message(self, message: Json) -> None:
        """The exit status says nothing of a model that failed: the last message does."""
        heard = self.heard
        said = "\n".join(text_at(one, "text") for one in objects_at(message, "content"))
        heard.spoken = said.strip() or heard.spoken
        failed = text_at(message, "stopReason") in _FAILED
        heard.failed = (text_at(message, "errorMessage") or "the model failed") if failed else None
        found = _STATUS.match(heard.failed or "")
        heard.status = int(found["status"]) if found is not None else None
        heard.answered |= not failed or bool(said.strip())
        heard.turns += not failed
        usage = object_at(message, "usage")
        self.cost += _cost(message)
        counts = {
            "input": int(amount(usage, "input") or 0),
            "output": int(amount(usage, "output") or 0),
            "cache_read": int(amount(usage, "cacheRead") or 0),
            "cache_creation": int(amount(usage, "cacheWrite") or 0),
        }
        heard.count(counts)
        heard.context_tokens = sum(counts.values()) or heard.context_tokens


def hear(exit: ExitInfo) -> Heard:
    """What the whole output came to. Lines that are no JSON objects do not count."""
    found = _Transcript(heard=Heard())
    for raw in exit.stdout.split("\n"):
        line = parse(raw)
        if line is not None:
            found.take(line)
    if not found.heard.ended and exit.result is not None:
        line = parse(exit.result)
        if line is not None:
            found.take(line)
    heard = found.heard
    if is_cut(exit):
        heard.tokens = None
    elif heard.answered:
        heard.cost_usd = found.cost
    return heard


def progress(raw: str) -> Progress | None:
    """What one line says to somebody who watches; None if it is nothing new."""
    line = parse(raw)
    if line is None:
        return None
    match line.get("type"):
        case "session":
            return Progress(text="begun", session_id=text_at(line, "id") or None, alive=False)
        case "message_end":
            return _message(object_at(line, "message"))
        case "tool_execution_start":
            return Progress(text=tool_call(text_at(line, "toolName"), object_at(line, "args")))
        case "auto_retry_start":
            said = one_line(text_at(line, "errorMessage"))
            return Progress(text=f"asks the model again: {said}", alive=False)
        case "agent_settled":
            return Progress(alive=False, result=True)
        case _:
            return None


def _message(message: Json) -> Progress | None:
    if text_at(message, "role") != "assistant":
        return None
    failed = text_at(message, "stopReason") in _FAILED
    words = [text_at(one, "text") for one in objects_at(message, "content")]
    said = one_line(text_at(message, "errorMessage") if failed else " ".join(words))
    response, cost = text_at(message, "responseId"), _cost(message)
    spent = (response, cost) if response and cost else None
    return Progress(text=said or None, alive=not failed, spent=spent) if said or spent else None


def _cost(message: Json) -> float:
    return amount(object_at(object_at(message, "usage"), "cost"), "total") or 0.0
