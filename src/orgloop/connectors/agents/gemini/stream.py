"""The CLI's output, one JSON value a line: what each line says, and what all of them came to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from orgloop.connectors.agents.heard import Heard
from orgloop.connectors.agents.json_lines import amount, parse
from orgloop.connectors.agents.result import COMPLAINT_LIMIT, one_line, tool_call
from orgloop.plugin import ExitInfo, Json, Progress, Turns, object_at, text_at

TURNS: Final = Turns(ends=(("type", "result"),))
"""How the runner knows a result."""

_CODE: Final = re.compile(r'"code": ?(?P<code>[45]\d\d)\b')
_STATUSES: Final = (400, 401, 402, 403, 404, 429, 500, 502, 503, 504)
_REFUSED: Final = ("tool_not_registered", "policy_violation", "permission_denied")


@dataclass(kw_only=True, slots=True)
class _Transcript:
    """The run, and the tools that it called. A message comes in pieces."""

    heard: Heard = field(default_factory=Heard)
    pieces: list[str] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)

    def take(self, line: Json) -> None:
        heard = self.heard
        heard.lines += 1
        heard.session_id = text_at(line, "session_id") or heard.session_id
        match line.get("type"):
            case "message" if text_at(line, "role") == "assistant":
                heard.answered = True
                self.pieces.append(text_at(line, "content"))
            case "tool_use":
                # What follows is another message.
                heard.spoken = "".join(self.pieces).strip() or heard.spoken
                self.pieces.clear()
                self.tools[text_at(line, "tool_id")] = text_at(line, "tool_name")
                heard.answered = True
                heard.turns += 1
            case "tool_result":
                if text_at(object_at(line, "error"), "type") in _REFUSED:
                    heard.denied.append(self.tools.get(text_at(line, "tool_id")) or "a tool")
            case "error":
                heard.complaint = text_at(line, "message") or heard.complaint
            case "result":
                self._result(line)
            case _:
                pass

    def _result(self, line: Json) -> None:
        heard = self.heard
        heard.ended, heard.turns = True, heard.turns + 1
        if text_at(line, "status") != "success":
            heard.failed = text_at(object_at(line, "error"), "message") or heard.complaint or "the run failed"
        stats = object_at(line, "stats")
        if stats:
            cached, read = (int(amount(stats, key) or 0) for key in ("cached", "input_tokens"))
            heard.count(
                {
                    "input": max(0, read - cached),
                    "output": int(amount(stats, "output_tokens") or 0),
                    "cache_read": cached,
                }
            )


def hear(exit: ExitInfo) -> Heard:
    """What the whole output came to. Lines that are no JSON objects do not count."""
    found = _Transcript()
    for raw in [*exit.stdout.split("\n"), *([] if exit.result is None else [exit.result])]:
        line = parse(raw)
        if line is not None and not (found.heard.ended and line.get("type") == "result"):
            found.take(line)
    heard = found.heard
    heard.spoken = "".join(found.pieces).strip() or heard.spoken
    if heard.failed is not None:
        heard.failed, heard.status = _failure(heard.failed[:COMPLAINT_LIMIT], exit.status)
    return heard


def _failure(said: str, exit_status: int | None) -> tuple[str, int | None]:
    """What the service said, and its HTTP status: from its JSON, else from the exit status, which is cut."""
    found = _CODE.search(said)
    status = next((one for one in _STATUSES if one & 255 == exit_status), None)
    error: Any = parse(said)
    words = text_at(object_at(error, "error"), "message") if error is not None else ""
    return words or said, int(found["code"]) if found is not None else status


def progress(raw: str) -> Progress | None:
    """What one line says to somebody who watches; None if it is nothing new."""
    line = parse(raw)
    if line is None:
        return None
    match line.get("type"):
        case "init":
            return Progress(text="begun", session_id=text_at(line, "session_id") or None, alive=False)
        case "message" if text_at(line, "role") == "assistant":
            said = one_line(text_at(line, "content"))
            return Progress(text=said or None)
        case "tool_use":
            return Progress(text=tool_call(text_at(line, "tool_name"), object_at(line, "parameters")))
        case "error":
            said = one_line(text_at(line, "message"))
            return Progress(text=said, alive=False) if said else None
        case "result":
            said = one_line(text_at(object_at(line, "error"), "message"))
            return Progress(text=said or None, alive=False, result=True)
        case _:
            return None
