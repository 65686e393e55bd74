"""What an event would do: routes are matched, transforms run, prompts written; nobody is woken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orgloop.config.model import Organization
from orgloop.core.deliveries.batch import Batching
from orgloop.core.deliveries.on_busy import OnBusy
from orgloop.core.deliveries.transition import Drop, Hold, Ready
from orgloop.core.events.document import ParsedEvent, parse_event
from orgloop.core.events.event import Event, event_names
from orgloop.core.events.fields import MISSING
from orgloop.core.events.match import explain
from orgloop.core.ids import DELIVERY, EVENT, TRACE, IdSequence
from orgloop.core.records.record import timestamp
from orgloop.core.text.json_text import load_json
from orgloop.plugin import Clock
from orgloop.runtime.dispatch.prompt import SopMissing, SopShelf, compose
from orgloop.runtime.intake.prepare import Preparation, prepare_later
from orgloop.runtime.support.documents import load
from orgloop.runtime.wiring import OpenRoute, Wiring, build


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing that was compared: what the route expects, what the event has. `found` may be MISSING."""

    what: str
    expected: Any
    found: Any
    holds: bool

    @property
    def is_missing(self) -> bool:
        """Whether the event has nothing there."""
        return self.found is MISSING

    def as_json(self) -> dict[str, Any]:
        """For programs: `found` is left out if there is nothing."""
        found = {} if self.is_missing else {"found": self.found}
        return {"what": self.what, "expected": self.expected, **found, "holds": self.holds}


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteTrial:
    """One route. `end` is wake, drop or hold, None if the route does not match.

    `steps` are the transforms' results as the journal would keep them, `once` the windows (ms)
    within which only the first event with its key passes; only the journal could tell that.
    """

    route: str
    actor: str
    lines: Sequence[Line]
    end: str | None = None
    reason: str = ""
    steps: Sequence[Mapping[str, Any]] = ()
    once: Sequence[int] = ()
    key: str | None = None
    batch: Batching | None = None
    on_busy: OnBusy = OnBusy.QUEUE
    changed: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    sop_file: str = ""
    prompt: str = ""

    @property
    def matched(self) -> bool:
        """Whether source, events and every condition fit."""
        return all(line.holds for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """For programs; the prompt is in it."""
        document: dict[str, Any] = {
            "route": self.route,
            "actor": self.actor,
            "matched": self.matched,
            "conditions": [line.as_json() for line in self.lines],
        }
        if self.matched:
            document |= {
                "end": self.end,
                "reason": self.reason,
                "transforms": list(self.steps),
                "once_within_ms": list(self.once),
                "key": self.key,
                "batch": _batch(self.batch),
                "on_busy": self.on_busy,
                "changed": self.changed,
                "config": dict(self.config),
                "sop_file": self.sop_file,
                "prompt": self.prompt,
            }
        return document


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What one event came to. `filled` are the keys that it got.

    `needless` are routes and keys: what waits of these would be dropped.
    """

    event: Event
    filled: Sequence[str]
    routes: Sequence[RouteTrial]
    needless: Sequence[tuple[str, str]] = ()

    @property
    def names(self) -> Sequence[str]:
        """What routes may call the event."""
        return event_names(self.event.type, self.event.provenance)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "event": self.event.document(),
            "filled": list(self.filled),
            "matched_routes": sum(one.matched for one in self.routes),
            "routes": [one.as_json() for one in self.routes],
            "drops": [{"route": route, "key": key} for route, key in self.needless],
        }


def event_of(document: Any, organization: Organization, clock: Clock) -> ParsedEvent:
    """The event that a document means to this project, as `emit` would take it. Raises Refused.

    An event from elsewhere is one, too: it wakes nobody.
    """
    now = clock.now()
    ids = IdSequence(random.getrandbits(20))
    defaults = {"id": ids.next(EVENT, now), "timestamp": timestamp(now), "trace_id": ids.next(TRACE, now)}
    return parse_event(document, defaults, {*organization.sources, *organization.actors}, strict=False)


async def try_event(
    organization: Organization,
    event: Event,
    clock: Clock,
    *,
    filled: Sequence[str] = (),
    only: str | None = None,
) -> Trial:
    """Run `event` past every route, or the one called `only`. Scripts and other transforms run for real."""
    wiring = build(organization)
    try:
        routes = [route for route in wiring.order if only in (None, route.name)]
        trials = await asyncio.gather(*(_try_route(wiring, route, event, clock) for route in routes))
    finally:
        for route in wiring.order:
            for step in route.steps:
                await step.transform.close()
    needless = [pair for pair in wiring.needless(event.document()) if only in (None, pair[0])]
    return Trial(event=event, filled=filled, routes=trials, needless=needless)


async def _try_route(wiring: Wiring, route: OpenRoute, event: Event, clock: Clock) -> RouteTrial:
    lines = _lines(route, event)
    trial = RouteTrial(route=route.name, actor=route.spec.actor, lines=lines)
    if not trial.matched:
        return trial
    prepared = await prepare_later(route, event, clock.now())
    after = load(prepared.document) if prepared.document is not None else event
    end, reason = _end(prepared)
    sop_file, prompt = "", ""
    if end == "wake":
        try:
            sop_file, prompt = _prompt(wiring, route, after, clock)
        except SopMissing as exc:
            end, reason = "hold", str(exc)
    return RouteTrial(
        route=route.name,
        actor=route.spec.actor,
        lines=lines,
        end=end,
        reason=reason,
        steps=prepared.steps,
        once=[window for _, window in prepared.once],
        key=prepared.key,
        batch=prepared.batch,
        on_busy=prepared.turn.on_busy if prepared.turn is not None else OnBusy.QUEUE,
        changed=after.document() if prepared.document is not None else None,
        config=route.config_for(after.document()) if end == "wake" else {},
        sop_file=sop_file,
        prompt=prompt,
    )


def _batch(batching: Batching | None) -> dict[str, Any] | None:
    if batching is None:
        return None
    policy = batching.policy
    return {
        "key": load_json(batching.key)[0],
        "window_ms": policy.window_ms,
        "max_wait_ms": policy.max_wait_ms,
        "max_events": policy.max_events,
    }


def _lines(route: OpenRoute, event: Event) -> list[Line]:
    when, document = route.spec.when, event.document()
    verdict = explain(when, document)
    names = event_names(event.type, event.provenance)
    return [
        Line(what="source", expected=when.source, found=event.source, holds=verdict.source),
        Line(what="events", expected=list(when.events), found=list(names), holds=verdict.events),
        *(
            Line(
                what=str(condition.path),
                expected=condition.values[0] if len(condition.values) == 1 else list(condition.values),
                found=found,
                holds=held,
            )
            for condition, found, held in verdict.conditions
        ),
    ]


def _end(prepared: Preparation) -> tuple[str, str]:
    match prepared.transition:
        case Ready():
            return "wake", ""
        case Drop(detail=detail):
            return "drop", detail
        case Hold(reason=reason, detail=detail):
            return "hold", f"{reason}: {detail}" if detail else str(reason)


def _prompt(wiring: Wiring, route: OpenRoute, event: Event, clock: Clock) -> tuple[str, str]:
    """The SOP's path and the prompt; empty for an actor that reads none."""
    actor = wiring.actors[route.spec.actor].spec
    file = route.spec.prompt_file
    sop = SopShelf().get(file) if file is not None else None
    if not (actor.kind.wakes_agent or actor.has_runs):
        return str(file or ""), ""
    delivery = IdSequence(random.getrandbits(20)).next(DELIVERY, clock.now())
    return str(file or ""), compose(sop.rendered(event.document()) if sop else None, (event,), delivery)
