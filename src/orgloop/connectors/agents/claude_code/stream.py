"""The CLI's output, one JSON value a line: what each line says, and what all of them came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from orgloop.connectors.agents.json_lines import amount, parse, version_of
from orgloop.connectors.agents.result import one_line
from orgloop.plugin import (
    Json,
    Progress,
    Turns,
    dump_json,
    object_at,
    objects_at,
    text_at,
)

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


TURNS: Final = Turns(
    ends=(("type", "result"),),
    begins=(("subtype", "init"),),
    busy=("subtype", "background_tasks_changed", "tasks"),
)
"""How the runner knows a result. A CLI that still has background commands goes on with them after it."""

_ASKS: Final = frozenset({"AskUserQuestion", "ExitPlanMode"})
"""Tools that ask a person."""

# US dollars for a million tokens, in and out. Only what was stopped before it told its cost is estimated so.
_PRICES: Final = (
    ("haiku", 1.0, 5.0),
    ("sonnet", 3.0, 15.0),
    ("opus", 5.0, 25.0),
)
_OTHER_PRICE: Final = (5.0, 25.0)
_CACHE_READ, _CACHE_WRITE = 0.1, 1.25
_CONTEXT: Final = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
)
_LETTERS_A_TOKEN: Final = 4


@dataclass(kw_only=True, slots=True)
class Transcript:
    """A run's output as far as its end needs it.

    `lines` counts those that were JSON objects; `spoken` is what the agent said last, `error` the kind
    of the last failed request; `result` is the last result line, `results` are all, and `turns` is their sum.
    `open`: the agent worked on after the last. `begun`: it has greeted. `answered`: a model has answered.
    `limit` is what the last limit line said of itself, `retry_ms` how long the service asked to wait.
    `asked` is what the agent asked a person last, with nobody there; `tasks` and `running` are background
    commands that have not ended by themselves. `context_tokens` is what the last request read and wrote.
    """

    lines: int = 0
    session_id: str | None = None
    version: tuple[int, ...] | None = None
    spoken: str = ""
    error: str = ""
    result: Json = field(default_factory=dict)
    results: list[Json] = field(default_factory=list)
    turns: int = 0
    open: bool = False
    begun: bool = False
    answered: bool = False
    limit: Json = field(default_factory=dict)
    retry_ms: int | None = None
    asked: str = ""
    tasks: dict[str, str] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    context_tokens: int | None = None

    def take(self, line: Json) -> None:
        """One line. There may be more than one result, and lines after the last."""
        self.lines += 1
        self.session_id = text_at(line, "session_id") or self.session_id
        match line.get("type"):
            case "assistant":
                self._assistant(line)
            case "rate_limit_event":
                info = object_at(line, "rate_limit_info")
                self.limit = info if text_at(info, "status") == "rejected" else {}
            case "result":
                self.result, self.open = line, False
                self.results.append(line)
                self.turns += int(amount(line, "num_turns") or 0)
            case "system":
                self._system(line)
            case _:
                pass

    def _assistant(self, line: Json) -> None:
        self.open = True
        self.error = text_at(line, "error")
        if _is_synthetic(line):
            return
        self.answered = True
        blocks = _blocks(line)
        if line.get("parent_tool_use_id") is None:
            usage = object_at(object_at(line, "message"), "usage")
            self.context_tokens = int(sum(amount(usage, key) or 0 for key in _CONTEXT)) or self.context_tokens
            words = "\n".join(text_at(block, "text") for block in blocks if block.get("type") == "text")
            if words.strip():
                self.spoken = words
            for block in blocks:
                if block.get("type") == "tool_use":
                    self.asked = _question(block)

    def _system(self, line: Json) -> None:
        match text_at(line, "subtype"):
            case "init":
                self.begun = True
                self.version = version_of(text_at(line, "claude_code_version")) or self.version
            case "api_retry":
                delay = amount(line, "retry_delay_ms")
                limited = amount(line, "error_status") == 429
                self.retry_ms = int(delay) if limited and delay is not None else None
            case "task_started":
                self.tasks.setdefault(text_at(line, "task_id"), text_at(line, "description"))
            case "task_notification":
                if text_at(line, "status") != "stopped":
                    self.tasks.pop(text_at(line, "task_id"), None)
            case "background_tasks_changed":
                tasks = objects_at(line, "tasks")
                self.running = [text_at(task, "description") or text_at(task, "task_id") for task in tasks]
            case _:
                pass


def transcript(stdout: str, result: str | None = None) -> Transcript:
    """What the whole output came to. Lines that are no JSON objects do not count.

    `result` is the last result line: the output may have been cut within it, or before it.
    """
    found = Transcript()
    for raw in stdout.split("\n"):
        line = parse(raw)
        if line is not None:
            found.take(line)
    if not found.result and result is not None:
        line = parse(result)
        if line is not None:
            found.take(line)
    return found


def progress(raw: str) -> Progress | None:
    """What one line says to somebody who watches; None if it is nothing new."""
    line = parse(raw)
    if line is None:
        return None
    spoken, alive = _said(line), _alive(line)
    session_id = text_at(line, "session_id") or None
    if line.get("type") == "result":
        since = cost_since(line)
        total = since if since is not None else cost(line)
        return Progress(text=spoken, session_id=session_id, cost_usd=total, alive=alive, result=True)
    if line.get("type") == "system" and line.get("subtype") == "init":
        return Progress(text=spoken, session_id=session_id, alive=alive)
    spent = _spent(line)
    return Progress(text=spoken, alive=alive, spent=spent) if spoken or spent else None


def cost(result: Json) -> float | None:
    """US dollars, without the dust of the CLI's own sums."""
    dollars = amount(result, "total_cost_usd")
    return None if dollars is None else round(dollars, 8)


def cost_since(result: Json) -> float | None:
    """US dollars since the result before: newer versions tell that, and the total of the whole session."""
    models = result.get("model_usage_since_last_result")
    if not isinstance(models, dict):
        return None
    return round(sum(amount(object_at(models, name), "costUSD") or 0.0 for name in models), 8)


def denied(result: Json) -> tuple[str, ...]:
    """Names of the tools that were refused because nobody was there to be asked."""
    calls = objects_at(result, "permission_denials")
    return tuple(dict.fromkeys(name for call in calls if (name := text_at(call, "tool_name"))))


def _alive(line: Json) -> bool:
    """Whether a model answered: what the CLI says by itself, it says without a login, too."""
    match line.get("type"):
        case "assistant":
            return not _is_synthetic(line)
        case "result":
            return line.get("is_error") is not True
        case _:
            return False


def _spent(line: Json) -> tuple[str, float] | None:
    """What the request behind an answer cost, about: its line comes before all of it was written."""
    message = object_at(line, "message")
    request = text_at(message, "id")
    if line.get("type") != "assistant" or _is_synthetic(line) or not request:
        return None
    usage, model = object_at(message, "usage"), text_at(message, "model").lower()
    paid_in, paid_out = next(((i, o) for name, i, o in _PRICES if name in model), _OTHER_PRICE)
    letters = sum(len(dump_json(block)) for block in _blocks(line))
    written = max(amount(usage, "output_tokens") or 0, letters / _LETTERS_A_TOKEN)
    read = (
        (amount(usage, "input_tokens") or 0)
        + _CACHE_READ * (amount(usage, "cache_read_input_tokens") or 0)
        + _CACHE_WRITE * (amount(usage, "cache_creation_input_tokens") or 0)
    )
    return request, round((read * paid_in + written * paid_out) / 1_000_000, 8)


def _question(block: Json) -> str:
    """What a tool call asks a person; empty if it asks nothing."""
    if text_at(block, "name") not in _ASKS:
        return ""
    given = object_at(block, "input")
    asked = [text_at(one, "question") for one in objects_at(given, "questions")]
    return one_line(" ".join(filter(None, asked)) or text_at(given, "plan") or text_at(block, "name"))


def _said(line: Json) -> str | None:
    match line.get("type"), line.get("subtype"):
        case "assistant", _:
            words = [_block(block) for block in _blocks(line)]
            return next((one for one in reversed(words) if one), None)
        case "system", "init":
            model = text_at(line, "model")
            return one_line(f"begun with {model}" if model else "begun")
        case "system", "api_retry":
            why = text_at(line, "error").replace("_", " ") or "an error"
            return one_line(f"asks the model again: {why}, try {int(amount(line, 'attempt') or 0)}")
        case "rate_limit_event", _ if text_at(object_at(line, "rate_limit_info"), "status") == "rejected":
            return "the usage limit is reached"
        case "result", _:
            refused = denied(line)
            summary = one_line(text_at(line, "result")) or text_at(line, "subtype").replace("_", " ")
            return one_line(f"{summary} (not allowed: {', '.join(refused)})") if refused else summary or None
        case _:
            return None


def _block(block: Json) -> str:
    match block.get("type"):
        case "text":
            return one_line(text_at(block, "text"))
        case "tool_use":
            given = object_at(block, "input")
            about = next((one for key in _TELLING if (one := one_line(text_at(given, key)))), "")
            name = text_at(block, "name") or "a tool"
            return one_line(f"{name}: {about}" if about else name)
        case _:
            return ""


def _blocks(line: Json) -> list[Json]:
    return objects_at(object_at(line, "message"), "content")


def _is_synthetic(line: Json) -> bool:
    return text_at(object_at(line, "message"), "model") == SYNTHETIC
