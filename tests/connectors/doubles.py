"""What connectors meet in tests: a clock that is set by hand, and a web of prepared answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orgloop.core.events.event import Event
from orgloop.plugin import Context, Draft, HttpFailed, HttpReply, Inbound, Mark, Wake
from orgloop.runtime.support.marker import Marker

NOON = 1_767_614_400_000
"""2026-01-05T12:00:00Z, a Monday, in milliseconds."""


class ManualClock:
    """Stands still until a test moves it."""

    def __init__(self, now: int = NOON) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1000

    async def sleep(self, seconds: float) -> None:
        self.time += int(seconds * 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One request that a connector made. Header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout: float
    follow_redirects: bool
    max_bytes: int


Answer = HttpReply | HttpFailed | Callable[[Sent], HttpReply]


class FakeHttp:
    """Gives its answers in order and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: list[Sent] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30.0,
        follow_redirects: bool = False,
        max_bytes: int = 16 * 1024 * 1024,
    ) -> HttpReply:
        names = [name.lower() for name in headers or {}]
        assert len(names) == len(set(names)), f"a header is sent twice: {names}"
        sent = Sent(
            method=method,
            url=url,
            headers={name.lower(): value for name, value in (headers or {}).items()},
            body=body or b"",
            timeout=timeout,
            follow_redirects=follow_redirects,
            max_bytes=max_bytes,
        )
        self.sent.append(sent)
        answer = self.answers.pop(0)
        if isinstance(answer, HttpFailed):
            raise answer
        return answer(sent) if callable(answer) else answer


@dataclass(kw_only=True)
class FakeContext:
    """Lends a manual clock and a fake web; keeps what is emitted."""

    id: str = "under-test"
    project: str = "test"
    clock: ManualClock = field(default_factory=ManualClock)
    http: FakeHttp = field(default_factory=FakeHttp)
    environment: Mapping[str, str] = field(default_factory=dict)
    emitted: list[Draft] = field(default_factory=list)
    marks: Marker = field(default_factory=lambda: Marker(lambda: "the token of this home"))

    def mark_in(self, text: str) -> Mark | None:
        return self.marks.find(text)

    async def emit(self, events: Sequence[Draft]) -> Sequence[str]:
        self.emitted.extend(events)
        return [f"evt_{number:016x}" for number in range(len(events))]


def as_context(context: FakeContext) -> Context:
    """The double, as the type that connectors ask for: the type checker compares them here."""
    return context


def reply(status: int = 200, body: bytes = b"", **headers: str) -> HttpReply:
    """An answer; `Retry_After="5"` is the header `retry-after`."""
    named = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status=status, reason="", headers=named, body=body)


def inbound(body: bytes = b"{}", method: str = "POST", **headers: str) -> Inbound:
    """A request from outside; header names as in `reply`."""
    named = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    return Inbound(method=method, headers=named, body=body, peer="127.0.0.1")


def event(**changes: Any) -> Event:
    """An event such as a route may see."""
    fields: dict[str, Any] = {
        "id": "evt_0000000000000001",
        "timestamp": "2026-01-05T12:00:00.000Z",
        "source": "ci",
        "type": "resource.changed",
        "provenance": {"platform": "webhook", "platform_event": "build.failed"},
        "payload": {"number": 7, "title": "Straße", "tags": ["a", "b"], "none": None},
        "trace_id": "trc_0000000000000002",
    }
    return Event(**{**fields, **changes})


def wake(*more: Event, **changes: Any) -> Wake:
    """A wake for `event()`, or for that and `more`."""
    lead = event()
    fields: dict[str, Any] = {
        "event": lead,
        "events": (lead, *more),
        "route": "build-to-target",
        "actor": "target",
        "project": "test",
        "delivery_id": "dlv_0000000000000003",
        "idempotency_key": "dlv_0000000000000003.0",
        "attempt": 1,
        "prompt": "",
        "marker": "<!-- the mark of dlv_0000000000000003 -->",
    }
    return Wake(**{**fields, **changes})
