"""The CLI's output, one JSON value a line: what each line says, and what all of them came to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orgloop.connectors.agents.result import one_line
from orgloop.plugin import NotJson, Progress, load_json

Json = Mapping[str, Any]

_BEGIN: Final = '{"type":'
"""How each line of the CLI begins."""

_TRIES: Final = 3
"""Places in a line where its JSON may begin; a longer search would take the square of its length."""

SYNTHETIC: Final = "<synthetic>"
"""The model of a message that the CLI wrote itself, about an error."""

_TELLING: Final = (
    "command",
    "file_path",
    "notebook_path",
    "pattern",
    "query",
    "url",
    "description",
    "prompt",
)


@dataclass(kw_only=True, slots=True)
class Transcript:
    """A run's output as far as its end needs it.

    `lines` counts those that were JSON objects; `said` is what the agent said last, `error` the kind
    of the last failed request; `result` is the last result line, `turns` the sum over all of them.
    `open`: the agent worked on after that result.
    """

    lines: int = 0
    session_id: str | None = None
    said: str = ""
    error: str = ""
    result: Json = field(default_factory=dict)
    turns: int = 0
    refused: bool = False
    open: bool = False

    def take(self, line: Json) -> None:
        """One line. There may be more than one result, and lines after the last."""
        self.lines += 1
        self.session_id = text(line, "session_id") or self.session_id
        match line.get("type"):
            case "assistant":
                self.open = True
                self.error = text(line, "error")
                words = "\n".join(
                    text(block, "text") for block in _blocks(line) if block.get("type") == "text"
                )
                if not _is_synthetic(line) and line.get("parent_tool_use_id") is None and words.strip():
                    self.said = words
            case "rate_limit_event":
                self.refused = text(part(line, "rate_limit_info"), "status") == "rejected"
            case "result":
                self.result, self.open = line, False
                self.turns += int(number(line, "num_turns") or 0)
            case _:
                pass


def transcript(stdout: str) -> Transcript:
    """What the whole output came to. Lines that are no JSON objects do not count."""
    found = Transcript()
    for raw in stdout.split("\n"):
        line = parse(raw)
        if line is not None:
            found.take(line)
    return found


def progress(raw: str) -> Progress | None:
    """What one line says to somebody who watches; None if it is nothing new."""
    line = parse(raw)
    if line is None:
        return None
    said, works = _said(line), _works(line)
    session_id = text(line, "session_id") or None
    if line.get("type") == "result":
        return Progress(text=said, session_id=session_id, cost_usd=cost(line), works=works, result=True)
    if line.get("type") == "system" and line.get("subtype") == "init":
        return Progress(text=said, session_id=session_id, works=works)
    return Progress(text=said, works=works) if said else None


def parse(raw: str) -> Json | None:
    """The JSON object of a line, or None. Terminal sequences or half of another line may stand around it."""
    begin, end = raw.find("{"), raw.rfind("}") + 1
    for _ in range(_TRIES):
        if not 0 <= begin < end:
            return None
        try:
            line = load_json(raw[begin:end])
        except NotJson:
            begin = raw.find(_BEGIN, begin + 1)
        else:
            return line if isinstance(line, dict) else None
    return None


def text(holder: Json, key: str) -> str:
    """The text under `key`; empty if it is not there or is no text."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def number(holder: Json, key: str) -> float | None:
    """The number under `key`, from 0 on; None if it is not there or is no such number."""
    value = holder.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and value >= 0 else None


def part(holder: Json, key: str) -> Json:
    """The map under `key`; empty if it is not there or is no map."""
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def items(holder: Json, key: str) -> Sequence[Any]:
    """The list under `key`; empty if it is not there or is no list."""
    value = holder.get(key)
    return value if isinstance(value, list) else ()


def cost(result: Json) -> float | None:
    """US dollars, without the dust of the CLI's own sums."""
    dollars = number(result, "total_cost_usd")
    return None if dollars is None else round(dollars, 8)


def denied(result: Json) -> tuple[str, ...]:
    """Names of the tools that were refused because nobody was there to be asked."""
    calls = (call for call in items(result, "permission_denials") if isinstance(call, dict))
    return tuple(dict.fromkeys(name for call in calls if (name := text(call, "tool_name"))))


def _works(line: Json) -> bool:
    """Whether a model answered: what the CLI says by itself, it says without a login, too."""
    match line.get("type"):
        case "assistant":
            return not _is_synthetic(line)
        case "result":
            return line.get("is_error") is not True
        case _:
            return False


def _said(line: Json) -> str | None:
    match line.get("type"), line.get("subtype"):
        case "assistant", _:
            words = [_block(block) for block in _blocks(line)]
            return next((one for one in reversed(words) if one), None)
        case "system", "init":
            model = text(line, "model")
            return one_line(f"begun with {model}" if model else "begun")
        case "system", "api_retry":
            why = text(line, "error").replace("_", " ") or "an error"
            return one_line(f"asks the model again: {why}, try {int(number(line, 'attempt') or 0)}")
        case "rate_limit_event", _ if text(part(line, "rate_limit_info"), "status") == "rejected":
            return "the usage limit is reached"
        case "result", _:
            refused = denied(line)
            words_said = one_line(text(line, "result")) or text(line, "subtype").replace("_", " ")
            return (
                one_line(f"{words_said} (not allowed: {', '.join(refused)})")
                if refused
                else words_said or None
            )
        case _:
            return None


def _block(block: Json) -> str:
    match block.get("type"):
        case "text":
            return one_line(text(block, "text"))
        case "tool_use":
            given = part(block, "input")
            about = next((one for key in _TELLING if (one := one_line(text(given, key)))), "")
            name = text(block, "name") or "a tool"
            return one_line(f"{name}: {about}" if about else name)
        case _:
            return ""


def _blocks(line: Json) -> list[Json]:
    return [block for block in items(part(line, "message"), "content") if isinstance(block, dict)]


def _is_synthetic(line: Json) -> bool:
    return text(part(line, "message"), "model") == SYNTHETIC
