"""The parts of one configuration: sources, actors, routes with their steps, and the matcher over them.

A new configuration is a new `Wiring`: it is built first, takes over what did not change, and only
then replaces the old one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from orgloop.config.model import ActorSpec, Organization, RouteSpec, SourceSpec, StepSpec
from orgloop.core.deliveries.delivery import DeliveryPolicy
from orgloop.core.deliveries.on_busy import OnBusy
from orgloop.core.deliveries.price import TokenPrice
from orgloop.core.events.match import Matcher
from orgloop.core.events.templates import Template, TreeTemplate
from orgloop.core.runs.session_policy import SessionPolicy
from orgloop.errors import PluginError
from orgloop.plugin import (
    Accounted,
    Actor,
    Deliverer,
    Receiver,
    Remote,
    Source,
    Supervised,
    Transform,
    Worktree,
)
from orgloop.plugin.worktree import worktree_of

NAMES_SOMETHING: Final = frozenset({"session_key", "thread_id", "sticky"})
"""Keys of `then.config` that are left out if a part has no value: half a name would merge strangers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenStep:
    """One transform of one route, open."""

    spec: StepSpec
    transform: Transform


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRoute:
    """A route with its open steps. `bounded`: all of them run in the accept transaction."""

    spec: RouteSpec
    steps: Sequence[OpenStep]
    session_key: Template | None
    batch_key: Template | None
    drop_key: Template | None
    config: Mapping[str, Template | TreeTemplate]
    has_runs: bool
    bounded: bool

    @property
    def name(self) -> str:
        return self.spec.name

    def drop_key_of(self, document: Mapping[str, Any]) -> str | None:
        """By what an event, as it came, and what it makes needless know each other; None if by nothing."""
        return self.drop_key.key(document) if self.drop_key is not None else None

    def config_for(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """`then.config` with its placeholders filled in."""
        filled: dict[str, Any] = {}
        for key, template in self.config.items():
            value = template.key(document) if isinstance(template, Template) else template.render(document)
            if value is not None or not isinstance(template, Template):
                filled[key] = value
        return filled


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePart:
    """A configured source, not yet opened."""

    spec: SourceSpec
    source: Source
    receiver: Receiver | None = field(init=False)
    """The source, if it takes webhooks."""

    def __post_init__(self) -> None:
        # Once, here: to ask whether something keeps a protocol takes longer than to read a request.
        object.__setattr__(self, "receiver", self.source if isinstance(self.source, Receiver) else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorPart:
    """A configured actor, not yet opened."""

    spec: ActorSpec
    actor: Actor
    supervised: Supervised | None = field(init=False, default=None)
    """The actor, if its runs are programs on this machine."""
    remote: Remote | None = field(init=False, default=None)
    """The actor, if its runs are jobs of another system."""
    deliverer: Deliverer | None = field(init=False, default=None)
    """The actor, if it answers at once."""
    accounted: Accounted | None = field(init=False, default=None)
    """The actor, if it knows whose usage limits its runs meet."""
    worktree: Worktree | None = field(init=False, default=None)
    """The work trees that its runs have, if they have their own."""

    def __post_init__(self) -> None:
        """Raises PluginError if the actor cannot do what its connector says of it."""
        if isinstance(self.actor, Accounted):
            object.__setattr__(self, "accounted", self.actor)
        match self.actor:
            case Supervised() if self.has_runs:
                object.__setattr__(self, "supervised", self.actor)
                object.__setattr__(self, "worktree", worktree_of(self.spec.settings))
            case Remote() if self.has_runs:
                object.__setattr__(self, "remote", self.actor)
            case Deliverer() if not self.has_runs:
                object.__setattr__(self, "deliverer", self.actor)
            case _:
                raise PluginError(
                    f"actor {self.spec.id!r}: its connector {self.spec.connector!r} "
                    + (
                        "says that it has runs, but it is neither Supervised nor Remote"
                        if self.has_runs
                        else "says that it has no runs, but it has no `deliver`"
                    ),
                    hint="report this to the connector's author",
                )

    @property
    def has_runs(self) -> bool:
        """Whether its wakes become runs."""
        return self.spec.has_runs

    @property
    def accounts(self) -> Sequence[str]:
        """The accounts that may pay for its wakes, in order; its own login if the project names none."""
        if self.spec.accounts or self.accounted is None:
            return self.spec.accounts
        return (self.accounted.account,)

    @property
    def directory(self) -> str | None:
        """The directory in which its runs work one at a time, if there is one."""
        return self.supervised.directory if self.supervised is not None and self.worktree is None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """Everything that one configuration needs at run time."""

    organization: Organization
    sources: Mapping[str, SourcePart]
    actors: Mapping[str, ActorPart]
    routes: Mapping[str, OpenRoute]
    matcher: Matcher
    order: Sequence[OpenRoute] = field(default_factory=tuple)
    drops: Matcher = field(default_factory=lambda: Matcher([]))
    dropping: Sequence[OpenRoute] = field(default_factory=tuple)

    def routes_for(self, document: Mapping[str, object]) -> list[OpenRoute]:
        """The routes that this event document wakes, in their order."""
        return [self.order[number] for number in self.matcher.match(document)]

    def needless(self, document: Mapping[str, object]) -> list[tuple[str, str]]:
        """The routes and drop keys of what waits and is needless now that this event has come."""
        if not self.dropping:
            return []
        matched = (self.dropping[number] for number in self.drops.match(document))
        found = ((route.name, route.drop_key_of(document)) for route in matched)
        return [(name, key) for name, key in found if key is not None]

    def policy(self, route: str) -> DeliveryPolicy:
        """The delivery policy of a route; the usual one if it is gone."""
        found = self.routes.get(route)
        return found.spec.policy if found is not None else DeliveryPolicy()

    def price(self, actor: str) -> TokenPrice | None:
        """What an actor's tokens cost, if its file says so."""
        part = self.actors.get(actor)
        return part.spec.price if part is not None else None

    def session_policy(self, route: str) -> SessionPolicy:
        """How a route uses sessions; the usual way if it is gone."""
        found = self.routes.get(route)
        return found.spec.session if found is not None else SessionPolicy()

    def resumes_lost(self, route: str) -> bool:
        """Whether a wake of this route goes on in a new run if its run is lost with its machine."""
        found = self.routes.get(route)
        return found is not None and found.spec.resumes_lost

    @property
    def cancels(self) -> bool:
        """Whether a run may be stopped for the sake of a later event."""
        return any(route.spec.on_busy is OnBusy.CANCEL_IN_PROGRESS for route in self.order)

    @property
    def keeps(self) -> Mapping[str, int]:
        """For how many ms each actor that has work trees keeps them."""
        return {id: part.worktree.keep for id, part in self.actors.items() if part.worktree is not None}

    def takes(self, route: str, actor: str) -> bool:
        """Whether a delivery of this route to this actor will be worked on."""
        return route in self.routes and actor in self.actors


_P = TypeVar("_P", SourcePart, ActorPart)


class Current:
    """The wiring in force. The engine alone replaces it; every part of the engine reads it here."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring


def build(organization: Organization, old: Wiring | None = None) -> Wiring:
    """Make the parts; what has the same fingerprint in `old` is taken over as it is, still open.

    Raises PluginError, with nothing opened, if a part cannot be made.
    """
    sources = {
        spec.id: _kept(old.sources if old else {}, spec) or SourcePart(spec=spec, source=_open_source(spec))
        for spec in organization.sources.values()
    }
    actors = {
        spec.id: _kept(old.actors if old else {}, spec) or ActorPart(spec=spec, actor=_open_actor(spec))
        for spec in organization.actors.values()
    }
    routes = []
    for spec in organization.routes:
        has_runs = organization.actors[spec.actor].has_runs
        routes.append(_kept_route(old, spec, has_runs=has_runs) or _open_route(spec, has_runs=has_runs))
    dropping = [route for route in routes if route.spec.drop_when is not None]
    return Wiring(
        organization=organization,
        sources=sources,
        actors=actors,
        routes={route.name: route for route in routes},
        matcher=Matcher([route.spec.when for route in routes]),
        order=tuple(routes),
        drops=Matcher([route.spec.drop_when for route in dropping if route.spec.drop_when is not None]),
        dropping=tuple(dropping),
    )


def _kept(old: Mapping[str, _P], spec: SourceSpec | ActorSpec) -> _P | None:
    part = old.get(spec.id)
    return part if part is not None and part.spec.fingerprint == spec.fingerprint else None


def _kept_route(old: Wiring | None, spec: RouteSpec, *, has_runs: bool) -> OpenRoute | None:
    route = old.routes.get(spec.name) if old else None
    return route if route is not None and route.spec == spec and route.has_runs == has_runs else None


def _open_source(spec: SourceSpec) -> Source:
    try:
        return spec.kind.open(spec.id, spec.settings)
    except ValueError as exc:
        raise PluginError(f"source {spec.id!r}: {exc}", hint="change its `config:` and try again") from exc


def _open_actor(spec: ActorSpec) -> Actor:
    try:
        return spec.kind.open(spec.id, spec.settings)
    except ValueError as exc:
        raise PluginError(f"actor {spec.id!r}: {exc}", hint="change its `config:` and try again") from exc


def _open_route(spec: RouteSpec, *, has_runs: bool) -> OpenRoute:
    steps = [_open_step(spec, step) for step in spec.steps]
    return OpenRoute(
        spec=spec,
        steps=steps,
        session_key=Template.parse(spec.session_key) if spec.session_key is not None else None,
        batch_key=Template.parse(spec.batch_key) if spec.batch is not None else None,
        drop_key=Template.parse(spec.drop_key) if spec.drop_when is not None else None,
        config={key: _open_value(key, value) for key, value in spec.config.items()},
        has_runs=has_runs,
        bounded=all(step.transform.bounded for step in steps),
    )


def _open_value(key: str, value: Any) -> Template | TreeTemplate:
    """One entry of `then.config`, compiled: what names something as text, everything else as a tree."""
    names = key in NAMES_SOMETHING and isinstance(value, str)
    return Template.parse(value) if names else TreeTemplate.parse(value)


def _open_step(route: RouteSpec, spec: StepSpec) -> OpenStep:
    try:
        return OpenStep(spec=spec, transform=spec.plugin.open(spec.settings))
    except ValueError as exc:
        raise PluginError(
            f"transform {spec.name!r} of route {route.name!r}: {exc}",
            hint="change its `config:` and try again",
        ) from exc
