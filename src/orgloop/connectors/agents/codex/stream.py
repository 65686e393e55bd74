"""The CLI's output, one JSON value a line: what each line says, and what all of them came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orgloop.connectors.agents.json_lines import amount, parse
from orgloop.connectors.agents.result import one_line
from orgloop.plugin import Json, Progress, Turns, object_at, objects_at, text_at

TURNS: Final = Turns(
    ends=(("type", "turn.completed"), ("type", "turn.failed")), begins=(("type", "turn.started"),)
)
"""How the runner knows a result."""

_WAITS: Final = "Reconnecting..."
"""What a complaint begins with after which the CLI tries again by itself."""


@dataclass(kw_only=True, slots=True)
class CodexTranscript:
    """A run's output as far as its end needs it.

    `lines` counts those that were JSON objects; `spoken` is what the agent said last, `complaint` the last
    error, and `failed` that of a turn. `usage` are the tokens of the whole session so far.
    `answered`: a model has answered. `ended`: the last turn has ended. `turns` counts those that began.
    """

    lines: int = 0
    session_id: str | None = None
    spoken: str = ""
    complaint: str = ""
    failed: str | None = None
    usage: Json = field(default_factory=dict)
    answered: bool = False
    ended: bool = False
    turns: int = 0

    def take(self, line: Json) -> None:
        """One line."""
        self.lines += 1
        match line.get("type"):
            case "thread.started":
                self.session_id = text_at(line, "thread_id") or self.session_id
            case "turn.started":
                self.ended, self.failed, self.turns = False, None, self.turns + 1
            case "turn.completed":
                self.ended, self.failed = True, None
                self.usage = object_at(line, "usage")
            case "turn.failed":
                self.ended, self.failed = True, text_at(object_at(line, "error"), "message") or self.complaint
            case "error":
                self.complaint = text_at(line, "message") or self.complaint
            case "item.started" | "item.updated" | "item.completed":
                self._item(object_at(line, "item"))
            case _:
                pass

    @property
    def waits(self) -> bool:
        """Whether the last that was heard is that the model cannot be reached."""
        return not self.ended and self.complaint.startswith(_WAITS)

    def _item(self, item: Json) -> None:
        if item.get("type") == "error":
            return
        self.answered = True
        self.complaint = ""
        if item.get("type") == "agent_message" and text_at(item, "text").strip():
            self.spoken = text_at(item, "text")


def transcript(stdout: str, result: str | None = None) -> CodexTranscript:
    """What the whole output came to. Lines that are no JSON objects do not count.

    `result` is the last line that ended a turn: the output may have been cut within it, or before it.
    """
    found = CodexTranscript()
    for raw in stdout.split("\n"):
        line = parse(raw)
        if line is not None:
            found.take(line)
    if not found.ended and result is not None:
        line = parse(result)
        if line is not None:
            found.take(line)
    return found


def tokens(usage: Json) -> Mapping[str, int]:
    """Counts by kind. The CLI counts what was cached as read, too."""
    cached, written = (int(amount(usage, f"{kind}_input_tokens") or 0) for kind in ("cached", "cache_write"))
    read = int(amount(usage, "input_tokens") or 0)
    return {
        "input": max(0, read - cached - written),
        "output": int(amount(usage, "output_tokens") or 0),
        "cache_read": cached,
        "cache_creation": written,
    }


def progress(raw: str) -> Progress | None:
    """What one line says to somebody who watches; None if it is nothing new."""
    line = parse(raw)
    if line is None:
        return None
    match line.get("type"):
        case "thread.started":
            return Progress(text="begun", session_id=text_at(line, "thread_id") or None, alive=False)
        case "turn.completed":
            return Progress(result=True)
        case "turn.failed":
            said = one_line(text_at(object_at(line, "error"), "message"))
            return Progress(text=said or "the turn failed", alive=False, result=True)
        case "error":
            said = one_line(text_at(line, "message"))
            return Progress(text=said, alive=False) if said else None
        case "item.started" | "item.completed":
            item = object_at(line, "item")
            said = _said(item)
            return Progress(text=said, alive=item.get("type") != "error") if said else None
        case _:
            return None


def _said(item: Json) -> str:
    match item.get("type"):
        case "agent_message" | "reasoning":
            return one_line(text_at(item, "text"))
        case "command_execution":
            return one_line(text_at(item, "command"))
        case "file_change":
            paths = [text_at(change, "path") for change in objects_at(item, "changes")]
            return one_line(f"changes {', '.join(filter(None, paths))}")
        case "mcp_tool_call":
            return one_line(f"{text_at(item, 'server')} {text_at(item, 'tool')}")
        case "web_search":
            return one_line(f"searches {text_at(item, 'query')}")
        case "error":
            return one_line(text_at(item, "message"))
        case _:
            return ""
