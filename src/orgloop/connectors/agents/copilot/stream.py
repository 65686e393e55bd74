"""The CLI's output, one JSON value a line: what each line says, and what all of them came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from orgloop.connectors.agents.heard import Heard
from orgloop.connectors.agents.json_lines import amount, parse
from orgloop.connectors.agents.result import one_line, tool_call
from orgloop.plugin import ExitInfo, Json, Progress, Turns, object_at, text_at

TURNS: Final = Turns(ends=(("type", "result"),))
"""How the runner knows a result."""


@dataclass(kw_only=True, slots=True)
class _Transcript:
    """The run, and the names of the tools that it called."""

    heard: Heard = field(default_factory=Heard)
    tools: dict[str, str] = field(default_factory=dict)

    def take(self, line: Json) -> None:
        heard, data = self.heard, object_at(line, "data")
        heard.lines += 1
        match line.get("type"):
            case "assistant.message":
                heard.answered, heard.failed = True, None
                # What a subagent says is not the last word.
                if not text_at(data, "parentToolCallId"):
                    heard.spoken = text_at(data, "content").strip() or heard.spoken
                    heard.turns += 1
            case "tool.execution_start":
                self.tools[text_at(data, "toolCallId")] = text_at(data, "toolName")
            case "tool.execution_complete":
                if text_at(object_at(data, "error"), "code") == "denied":
                    heard.denied.append(self.tools.get(text_at(data, "toolCallId")) or "a tool")
            case "model.call_failure":
                heard.complaint = text_at(data, "errorMessage") or heard.complaint
                self._status(data)
            case "session.error":
                heard.failed = text_at(data, "message") or "the session failed"
                self._status(data)
            case "session.info":
                heard.aborted |= text_at(data, "infoType") == "cancellation"
            case "abort":
                heard.aborted = True
            case "result":
                self._result(line)
            case _:
                pass

    def _status(self, data: Json) -> None:
        status = amount(data, "statusCode")
        self.heard.status = None if status is None else int(status)

    def _result(self, line: Json) -> None:
        heard = self.heard
        heard.ended = True
        heard.session_id = text_at(line, "sessionId") or heard.session_id
        status = amount(line, "exitCode")
        if heard.failed is None and status:
            heard.failed = heard.complaint or f"exit code {int(status)}"
        requests = amount(object_at(line, "usage"), "premiumRequests")
        if requests:
            heard.details["premium_requests"] = requests


def hear(exit: ExitInfo) -> Heard:
    """What the whole output came to. Lines that are no JSON objects do not count."""
    found = _Transcript()
    for raw in [*exit.stdout.split("\n"), *([] if exit.result is None else [exit.result])]:
        line = parse(raw)
        if line is not None and not (found.heard.ended and line.get("type") == "result"):
            found.take(line)
    return found.heard


def progress(raw: str) -> Progress | None:
    """What one line says to somebody who watches; None if it is nothing new."""
    line = parse(raw)
    if line is None:
        return None
    data = object_at(line, "data")
    match line.get("type"):
        case "assistant.message":
            said = one_line(text_at(data, "content"))
            return Progress(text=said or None)
        case "tool.execution_start":
            return Progress(text=tool_call(text_at(data, "toolName"), object_at(data, "arguments")))
        case "assistant.turn_retry":
            why = text_at(data, "reason").replace("_", " ")
            return Progress(text=one_line(f"asks the model again: {why}"), alive=False)
        case "session.error":
            return Progress(text=one_line(text_at(data, "message")) or "the session failed", alive=False)
        case "result":
            return Progress(session_id=text_at(line, "sessionId") or None, alive=False, result=True)
        case _:
            return None
