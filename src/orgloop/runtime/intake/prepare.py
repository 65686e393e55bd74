"""Prepare: once per delivery, the route's transforms decide whether and with what an actor is woken.

Routes whose steps are all bounded are prepared before the accept transaction; the others are
committed as `preparing` and worked through later.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from orgloop.core.deliveries.batch import Batching, thing_of
from orgloop.core.deliveries.on_busy import OnBusy, Turn
from orgloop.core.deliveries.prepare_steps import BATCH_KEY, SESSION_KEY, StepResult
from orgloop.core.deliveries.prepare_steps import step as entry
from orgloop.core.deliveries.transition import Drop, DropReason, Hold, HoldReason, Ready
from orgloop.core.events.event import AuthorType, Event
from orgloop.core.events.fields import MISSING, Path, as_text
from orgloop.core.events.keys import no_value
from orgloop.core.text.json_text import dump_json
from orgloop.errors import FAULTS, Refused
from orgloop.plugin import Change, Discard, Failure, Pass, Scope, TransformResult
from orgloop.runtime.support.documents import dump
from orgloop.runtime.support.sanitize import duration, text
from orgloop.runtime.support.supervisor import error_text, is_cancelled
from orgloop.runtime.wiring import OpenRoute, OpenStep

TEAM: Final = frozenset({AuthorType.TEAM_MEMBER, AuthorType.SYSTEM, AuthorType.SELF})
"""Who passes `when.trust: team`."""

_AUTHOR = Path.parse("provenance.author_type")
_RUN = Path.parse("provenance.run_id")
_RUN_ACTOR = Path.parse("provenance.run_actor")


@dataclass(slots=True)
class StepChain:
    """One event's way through one route's steps, so far. `at`: when they run, if that is after the commit.

    `entity` is the thing that the event is about. A replay is no duplicate of anything, nor is anything a
    duplicate of it: whatever the steps change, it neither asks for dedup keys nor takes them.
    """

    event: Event
    document: Mapping[str, Any]
    at: int | None = None
    entity: str | None = None
    changed: bool = False
    once: list[tuple[str, int]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    end: Drop | Hold | None = None
    is_replay: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_replay = self.event.is_replay

    def take(self, step: OpenStep, result: TransformResult) -> None:
        """Note what one step said, and what follows from it."""
        match result:
            case Pass(once=key, window_ms=window, no_key=why):
                if key is not None and self.is_replay:
                    self.note(step.spec.name, StepResult.PASS, "a replay is no duplicate")
                elif key is not None:
                    self.once.append((_once_key(step, key), window))
                    self.note(step.spec.name, StepResult.ONCE)
                else:
                    self.note(step.spec.name, StepResult.NO_KEY if why else StepResult.PASS, why)
            case Change(document=document):
                self._change(step, document)
            case Discard(reason=reason):
                self.note(step.spec.name, StepResult.DROP, reason)
                self.end = Drop(reason=DropReason.TRANSFORM, detail=f"{step.spec.name}: {reason}")
            case Failure(reason=reason):
                self._fail(step, reason)
            case _:
                assert_never(result)

    def _change(self, step: OpenStep, document: Mapping[str, Any]) -> None:
        try:
            self.event = self.event.changed_by(document)
        except ValueError as exc:
            self._fail(step, str(exc))
            return
        self.document = self.event.document()
        self.changed = True
        self.note(step.spec.name, StepResult.CHANGE)

    def _fail(self, step: OpenStep, reason: str) -> None:
        self.note(step.spec.name, StepResult.ERROR, reason, on_error=step.spec.on_error)
        detail = f"{step.spec.name}: {reason}"
        match step.spec.on_error:
            case "pass":
                pass
            case "drop":
                self.end = Drop(reason=DropReason.TRANSFORM, detail=detail)
            case "halt" | "hold":
                self.end = Hold(reason=HoldReason.TRANSFORM, detail=detail)
            case _:
                assert_never(step.spec.on_error)

    def note(self, name: str, result: StepResult, reason: str = "", on_error: str = "") -> None:
        """Keep what `name` did, for the journal."""
        self.steps.append(entry(name, result, reason=reason, on_error=on_error, at=self.at))


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """What prepare came to, in the shape in which the journal takes it."""

    transition: Ready | Drop | Hold
    key: str | None
    once: Sequence[tuple[str, int]]
    document: bytes | None
    steps: Sequence[Mapping[str, Any]]
    batch: Batching | None = None
    turn: Turn | None = None


def prepare_now(
    route: OpenRoute, event: Event, document: Mapping[str, Any], entity: str | None = None
) -> Preparation:
    """Prepare a delivery of a bounded route."""
    chain = StepChain(event, document, entity=entity)
    if route.steps:
        scope = scope_of(route, event)
        for step in route.steps:
            chain.take(step, _apply_now(step, chain.document, scope))
            if chain.end is not None:
                break
    return finish(route, chain, document)


async def prepare_later(route: OpenRoute, event: Event, at: int, entity: str | None = None) -> Preparation:
    """Prepare a delivery of a route with steps that take their time, beginning at `at` (ms since 1970)."""
    document = event.document()
    chain = StepChain(event, document, at, entity)
    scope = scope_of(route, event)
    for step in route.steps:
        if step.transform.bounded:
            result = _apply_now(step, chain.document, scope)
        else:
            result = await _apply(step, chain.document, scope)
        chain.take(step, result)
        if chain.end is not None:
            break
    return finish(route, chain, document)


def _apply_now(step: OpenStep, document: Mapping[str, Any], scope: Scope) -> TransformResult:
    try:
        return _checked(step.transform.apply_now(document, scope))
    except FAULTS as exc:
        return Failure(reason=error_text(exc))


async def _apply(step: OpenStep, document: Mapping[str, Any], scope: Scope) -> TransformResult:
    try:
        return _checked(await step.transform.apply(document, scope))
    except asyncio.CancelledError as exc:
        if is_cancelled():
            raise
        return Failure(reason=error_text(exc))
    except FAULTS as exc:
        return Failure(reason=error_text(exc))


def _checked(result: Any) -> TransformResult:
    """What a plugin returned, if it is what its contract says, in values that the journal can keep."""
    match result:
        case Pass(once=None, no_key=why):
            return Pass(no_key=text(why)) if why else result
        case Pass(once=str(key), window_ms=window) if duration(window) is not None:
            return Pass(once=key, window_ms=round(window))
        case Pass():
            return Failure(reason="its key must be text, and the key's window a number of milliseconds")
        case Change(document=Mapping()):
            return result
        case Change(document=document):
            return Failure(reason=f"it changed the event into a {type(document).__name__}")
        case Discard(reason=reason):
            return Discard(reason=text(reason))
        case Failure(reason=reason):
            return Failure(reason=text(reason))
        case _:
            return Failure(reason=f"it returned a {type(result).__name__}")


def finish(route: OpenRoute, chain: StepChain, came: Mapping[str, Any]) -> Preparation:
    """The chain's end: what was decided, or trust and key of what passed. `came` is the event before it."""
    transition: Ready | Drop | Hold = chain.end or Ready()
    changed = None
    if chain.changed:
        try:
            changed = dump(chain.event.document())
        except Refused as exc:
            transition = Hold(reason=HoldReason.TRANSFORM, detail=exc.message)
            chain.document = came
    if isinstance(transition, Ready) and route.spec.trust == "team":
        author = _AUTHOR.get(chain.document)
        if not isinstance(author, str) or author not in TEAM:
            writer = "nobody" if author is MISSING else f"author_type {author}"
            detail = f"{writer}; the route requires trust: team"
            transition = Hold(reason=HoldReason.UNTRUSTED, detail=detail)
            chain.note(HoldReason.UNTRUSTED, StepResult.HOLD, detail)
    if (
        isinstance(transition, Ready)
        and _RUN_ACTOR.get(chain.document) == route.spec.actor
        and not _asks(route)
    ):
        detail = f"{route.spec.actor} did this itself, in {as_text(_RUN.get(chain.document))}"
        transition = Drop(reason=DropReason.OWN_WORDS, detail=detail)
        chain.note(DropReason.OWN_WORDS, StepResult.DROP, detail)
    key = _session_key(route, chain)
    passes = isinstance(transition, Ready)
    return Preparation(
        transition=transition,
        key=key,
        once=chain.once,
        document=changed,
        steps=chain.steps,
        batch=_batching(route, chain, key) if passes else None,
        turn=_turn(route, chain, key) if passes else None,
    )


def _asks(route: OpenRoute) -> bool:
    """Whether the route says itself what it does with what its own actor did."""
    return any(line.path in (_AUTHOR, _RUN_ACTOR) for line in route.spec.when.filter)


def _session_key(route: OpenRoute, chain: StepChain) -> str | None:
    """None for a session of its own: the route has no key, or a part of it has no value."""
    template = route.session_key
    if template is None:
        return None
    key = template.key(chain.document)
    if key is None and chain.end is None:
        chain.note(SESSION_KEY, StepResult.NO_KEY, no_value(template.missing(chain.document)))
    return key


def _batching(route: OpenRoute, chain: StepChain, key: str | None) -> Batching | None:
    """How it is collected. None: its route has no batches, or a part of their key has no value."""
    template, policy = route.batch_key, route.spec.batch
    if template is None or policy is None:
        return None
    name = template.key(chain.document)
    if name is None:
        chain.note(BATCH_KEY, StepResult.NO_KEY, no_value(template.missing(chain.document)))
        return None
    # Never two session keys in one wake: it has one session, and one place in one queue.
    both = dump_json([name, key]).decode()
    return Batching(key=both, policy=policy, thing=thing_of(chain.entity, chain.document))


def _turn(route: OpenRoute, chain: StepChain, key: str | None) -> Turn | None:
    """How it meets others. None: it waits behind them, or a part of their key has no value."""
    on_busy = route.spec.on_busy
    if on_busy is OnBusy.QUEUE or (route.session_key is not None and key is None):
        return None
    # Schedules of one source do not meet each other.
    thing = chain.entity if route.spec.ticks else None
    return Turn(key=dump_json([key, thing]).decode(), on_busy=on_busy)


def scope_of(route: OpenRoute, event: Event) -> Scope:
    """What a step may know about where it runs."""
    return Scope(
        route=route.name,
        actor=route.spec.actor,
        source=event.source,
        event_type=event.type,
        event_id=event.id,
    )


def _once_key(step: OpenStep, key: str) -> str:
    """Two dedup steps of one route do not share their memory."""
    return hashlib.sha256(f"{step.spec.name}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
