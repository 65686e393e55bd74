"""A connector: one package's source, actor or both for one outside system."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orgloop.core.events.event import EventType
from orgloop.core.events.shape import EventShape
from orgloop.plugin.actor import Abilities, Actor
from orgloop.plugin.settings import Settings
from orgloop.plugin.setup import Offer, Setup
from orgloop.plugin.source import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceKind:
    """How a source of this connector is made.

    `open(id, settings)` builds it without I/O; ValueError for settings that cannot work.
    `team_only`: its events come from anybody on the internet, so routes that wake an agent
    demand `trust: team` unless they say otherwise. `polled`: whether it is polled, or a function of
    its settings that says so. `scaffold` is the `config:` map that `init`
    and `add source` write; `example` an event document for `orgloop test --generate`.
    `names(settings)`: event names that it knows. Others may come, but a route's name that is nearly
    one of these is doubted; with `names_all` none others come, so every other name is doubted, unless
    `names` gives none. `by_hour(settings)`: of a source that follows a clock, how many events
    come at most in each of the 24 hours of a day, by their platform event. `shapes(settings)`: the
    fields and values of its events, so that `validate` finds what a route asks for and never gets;
    events of which nothing is known have an open shape, with the field `payload.*`.
    """

    settings: type[Settings]
    open: Callable[[str, Any], Source]
    emits: Sequence[str] = (EventType.RESOURCE_CHANGED,)
    team_only: bool = False
    polled: bool | Callable[[Any], bool] = False
    scaffold: Mapping[str, Any] = field(default_factory=dict)
    example: Mapping[str, Any] | None = None
    names: Callable[[Any], Sequence[str]] | None = None
    names_all: bool = False
    by_hour: Callable[[Any], Mapping[str, Sequence[int]]] | None = None
    shapes: Callable[[Any], Sequence[EventShape]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorKind:
    """How an actor of this connector is made: `open(id, settings)`, as for sources.

    `has_runs(settings)`: its actor is `Supervised` or `Remote`, else a `Deliverer`; None: it never has runs.
    `wakes_agent`: outside text reaches
    a language model, so trust and age guards apply. `concurrency` is how many wakes it takes at
    once if nothing says else. `check_route`: which keys of a route's `then.config`, placeholders
    not filled in, every wake would be refused for, each with the end of a sentence that says why.
    `abilities(settings)`: what its actor can do with sessions; None: nothing. A route that asks for more is
    refused. `offers`: settings for which `init` and `add actor` offer a choice. `shapes`: what the events of
    its runs have besides that of every run.
    """

    settings: type[Settings]
    open: Callable[[str, Any], Actor]
    has_runs: Callable[[Any], bool] | None = None
    wakes_agent: bool = False
    concurrency: int = 32
    check_route: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None
    scaffold: Mapping[str, Any] = field(default_factory=dict)
    offers: Sequence[Offer] = ()
    shapes: Sequence[EventShape] = ()
    abilities: Callable[[Any], Abilities] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Connector:
    """One outside system. `title` is one line for lists; `aliases` are other names for it in YAML.

    `first_source`, `first_actor`: `init` takes it where nothing was chosen, for it runs at once and needs
    no account.
    """

    name: str
    title: str
    source: SourceKind | None = None
    actor: ActorKind | None = None
    setup: Setup = field(default_factory=Setup)
    aliases: Sequence[str] = ()
    first_source: bool = False
    first_actor: bool = False
