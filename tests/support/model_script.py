"""What a scripted model answers: rules over requests, gates that hold answers, a record of what was asked."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

Json = Any  # a decoded JSON value

WAIT_SECONDS = 30.0
REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Token counts of one answer; the agent's own price list turns them into a cost."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    input_tokens: int = 10
    output_tokens: int = 5
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """One tool that the model asks the agent to run."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    input: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Say:
    """A turn of the model: text, tool calls, or both.

    `gate` names the gate at which the answer waits: before anything of it is sent or, with `gate_mid_stream`,
    after the first half of a streamed answer.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    text: str = ""
    tools: Sequence[ToolCall] = ()
    usage: Usage = field(default_factory=Usage)
    stop_reason: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: str | None = None
    gate_mid_stream: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Refuse:
    """An HTTP error in the shape of the API; `kind` is its error type, such as `rate_limit_error`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    status: int
    kind: str = "api_error"
    message: str = "refused by the script"
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """The connection breaks: before the answer or, where it is streamed and `mid_stream`, in its middle."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    drop: Literal[True] = True
    mid_stream: bool = False
    gate: str | None = None


Answer = Say | Refuse | Drop


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request for a turn, as the model saw it. `number` counts from 1; header names are in lower case."""

    number: int
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Json]

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def system(self) -> str:
        """The system prompt as one text."""
        return "\n".join(texts_in(self.body.get("system") or self.body.get("instructions")))

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message; the results of tools are texts of the user."""
        items = self.body.get("messages") or self.body.get("input") or self.body.get("contents") or ()
        return [
            (
                "user" if m.get("role") == "tool" else str(m.get("role", "user")),
                "\n".join(texts_in(m.get("content", m.get("output", m.get("parts"))))),
            )
            for m in items
        ]

    @property
    def prompts(self) -> list[str]:
        """What the user said, turn by turn, without the reminders that an agent wraps around it."""
        return [REMINDER.sub("", text).strip() for role, text in self.messages if role == "user"]

    @property
    def conversation(self) -> str:
        """The text of all messages, without the system prompt."""
        return "\n".join(text for _, text in self.messages)

    @property
    def tools(self) -> list[str]:
        """Names of the tools that the agent offers."""
        tools = self.body.get("tools", ())
        return [str(tool.get("name") or tool.get("function", {}).get("name")) for tool in tools]


def texts_in(content: Json) -> Iterator[str]:
    """Yields the texts of a message's content, those inside the results of tools included."""
    match content:
        case str():
            yield content
        case list():
            for block in content:
                yield from texts_in(block)
        case {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            yield text
        case {"type": "tool_result", "content": inner}:
            yield from texts_in(inner)
        case {"functionResponse": {"response": answer}}:
            yield json.dumps(answer)
        case {"text": str(text)} if "type" not in content:
            yield text
        case _:
            return


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Answers the requests that fit all its conditions, at most `times` times (None: always).

    Conditions are parts of texts: `says` of the user's last message, `conversation` of any message, `system`
    of the system prompt, `model` of the model's name. `number` is the number of the request.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    answer: Answer
    says: str = ""
    conversation: str = ""
    system: str = ""
    model: str = ""
    number: int | None = None
    times: int | None = 1

    def fits(self, request: Request) -> bool:
        return (
            self.says in (request.prompts[-1] if request.prompts else "")
            and self.conversation in request.conversation
            and self.system in request.system
            and self.model in request.model
            and self.number in {None, request.number}
        )


RULES: TypeAdapter[list[Rule]] = TypeAdapter(list[Rule])


class Gate:
    """Holds every answer that comes to it until it is opened. An open gate stays open."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = threading.Event()
        self._left = threading.Event()

    def open(self) -> None:
        self._opened.set()

    def hold(self, seconds: float) -> bool:
        """For the server: marks the gate as reached and waits. Returns whether the gate is open."""
        self._reached.set()
        return self._opened.wait(seconds)

    def leave(self) -> None:
        """For the server: says that a client left while its answer was held."""
        self._left.set()

    def wait_reached(self, seconds: float = WAIT_SECONDS) -> None:
        """Returns once an answer has come to the gate. Raises TimeoutError if none comes in time."""
        if not self._reached.wait(seconds):
            raise TimeoutError(f"nothing came to the gate within {seconds} s")

    async def reached(self, seconds: float = WAIT_SECONDS) -> None:
        """As `wait_reached`, without holding up the event loop."""
        await asyncio.to_thread(self.wait_reached, seconds)

    async def left(self, seconds: float = WAIT_SECONDS) -> None:
        """Returns once a client left while its answer was held. Raises TimeoutError if none does in time."""
        if not await asyncio.to_thread(self._left.wait, seconds):
            raise TimeoutError(f"no client left the gate within {seconds} s")


class Script:
    """Rules, gates and the record of requests. Safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rules: list[Rule] = []
        self._uses: list[int] = []
        self._gates: dict[str, Gate] = {}
        self._requests: list[Request] = []

    def add(self, rules: Sequence[Rule]) -> None:
        """Adds rules behind those that are there; the first that fits and is not used up answers."""
        with self._changed:
            self._rules += rules
            self._uses += [0] * len(rules)

    def on(
        self,
        says: str,
        answer: Answer,
        *,
        conversation: str = "",
        system: str = "",
        model: str = "",
        number: int | None = None,
        times: int | None = 1,
    ) -> None:
        """Adds one rule; see `Rule` for the conditions."""
        conditions = {"conversation": conversation, "system": system, "model": model}
        self.add([Rule(answer=answer, says=says, number=number, times=times, **conditions)])

    def clear(self) -> None:
        """Forgets the rules and the record. Gates stay as they are."""
        with self._changed:
            self._rules.clear()
            self._uses.clear()
            self._requests.clear()

    def take(self, path: str, headers: Mapping[str, str], body: Mapping[str, Json]) -> Answer:
        """Records a request and returns its answer: a refusal with status 400 if no rule is for it."""
        with self._changed:
            request = Request(number=len(self._requests) + 1, path=path, headers=headers, body=body)
            self._requests.append(request)
            self._changed.notify_all()
            for index, rule in enumerate(self._rules):
                if self._uses[index] != rule.times and rule.fits(request):
                    self._uses[index] += 1
                    return rule.answer
        said = request.prompts[-1][-200:] if request.prompts else ""
        return Refuse(
            status=400, kind="invalid_request_error", message=f"the script has no rule for: {said!r}"
        )

    def gate(self, name: str) -> Gate:
        with self._changed:
            return self._gates.setdefault(name, Gate())

    @property
    def requests(self) -> list[Request]:
        with self._changed:
            return list(self._requests)

    def wait_requests(self, count: int, seconds: float = WAIT_SECONDS) -> list[Request]:
        """Returns the record once it holds `count` requests. Raises TimeoutError if it does not in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, seconds):
                raise TimeoutError(f"{len(self._requests)} of {count} requests came within {seconds} s")
            return list(self._requests)

    async def asked(self, count: int, seconds: float = WAIT_SECONDS) -> list[Request]:
        """As `wait_requests`, without holding up the event loop."""
        return await asyncio.to_thread(self.wait_requests, count, seconds)
