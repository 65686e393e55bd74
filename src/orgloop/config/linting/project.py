"""Doubts about a project as a whole: what nothing uses, what never matches, and circles of actors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from orgloop.config.findings import Code, Report
from orgloop.config.linting import worktrees as worktree_lint
from orgloop.config.linting.filter_values import listed, quoted
from orgloop.config.reading.collect import Entry
from orgloop.config.reading.documents import Spot
from orgloop.config.reading.env import DataPath
from orgloop.config.resolving.sources_and_actors import ActorEnd, SourceEnd
from orgloop.config.resolving.transforms import Steps
from orgloop.config.schema import models as schema
from orgloop.core.events.event import EventType
from orgloop.core.events.match import is_glob, names_match, near_miss
from orgloop.core.events.session_lifecycle import Phase, platform_event
from orgloop.core.text.suggest import nearest_name
from orgloop.errors import FAULTS
from orgloop.plugin.settings import SecretStr

_CANONICAL: Final = tuple(str(kind) for kind in EventType)
_RUN_EVENTS: Final = (
    EventType.ACTOR_STOPPED,
    EventType.RESOURCE_CHANGED,
    *(platform_event(phase) for phase in Phase if phase is not Phase.ACTIVE),
)
_RESULT_PATHS: Final = ("payload.result", "payload.lifecycle")


def lint(
    *,
    sources: Mapping[str, SourceEnd],
    actors: Mapping[str, ActorEnd],
    routes: Sequence[Entry[schema.RouteConfig]],
    steps: Steps,
    incomplete: set[str],
    runs_per_hour: int | None,
    runs_at_once: int,
    report: Report,
) -> None:
    """Warn about what can be loaded and is probably not meant."""
    if "routes" not in incomplete:
        _unused(sources, actors, routes, steps, report)
    for entry in routes:
        when, drop_when = entry.part.when, entry.part.then.drop_when
        places: list[tuple[str, Sequence[str], DataPath]] = [(when.source, when.events, ("when",))]
        if drop_when is not None:
            places.append((drop_when.source or when.source, drop_when.events, ("then", "drop_when")))
        for source, names, at in places:
            emits = _emitted(source, sources, actors)
            if emits is not None:
                known = _named_by(sources.get(source))
                every = _every_name(sources.get(source), actors.get(source), (*emits, *known))
                _events(_Names(entry.spot, source, names, at), emits, known, every, report)
    _circles(actors, routes, report)
    _shared_secrets(sources, report)
    worktree_lint.lint(actors, runs_at_once=runs_at_once, report=report)
    if runs_per_hour is not None:
        _budget(sources, actors, routes, runs_per_hour, report)


def _unused(
    sources: Mapping[str, SourceEnd],
    actors: Mapping[str, ActorEnd],
    routes: Sequence[Entry[schema.RouteConfig]],
    steps: Steps,
    report: Report,
) -> None:
    heard = {entry.part.when.source for entry in routes}
    drops = [entry.part.then.drop_when for entry in routes]
    heard |= {one.source for one in drops if one is not None and one.source}
    woken = {entry.part.then.actor for entry in routes}
    hint = "add a route, or remove it"
    for name, source in sources.items():
        if name not in heard and name and "" not in heard:
            spot = source.entry.spot
            report.warn(Code.DEAD_SOURCE, spot.where("id"), f"no route listens to {spot.label}", hint)
    for name, actor in actors.items():
        if name not in woken and name and "" not in woken:
            spot = actor.entry.spot
            report.warn(Code.UNREACHABLE_ACTOR, spot.where("id"), f"no route wakes {spot.label}", hint)
    for name, definition in steps.definitions.items():
        if name not in steps.used:
            spot = definition.entry.spot
            message = f"no route uses {spot.label}"
            report.warn(Code.UNUSED_TRANSFORM, spot.where("name"), message, "use it in a route, or remove it")


def _emitted(
    name: str, sources: Mapping[str, SourceEnd], actors: Mapping[str, ActorEnd]
) -> Sequence[str] | None:
    """The names of events that come from this id; None if that is not known."""
    source, actor = sources.get(name), actors.get(name)
    emits: list[str] = []
    if source is not None:
        if source.kind is None:
            return None
        emits += _emitted_by(source)
    if actor is not None:
        if actor.has_runs is None:
            return None
        emits += _RUN_EVENTS if actor.has_runs else ()
    return emits or None


def _emitted_by(source: SourceEnd) -> Sequence[str]:
    own = source.kind.emits if source.kind is not None else ()
    return source.entry.part.emits or own


def _named_by(source: SourceEnd | None) -> tuple[str, ...]:
    """The names that a source knows of its own events."""
    if source is None or source.kind is None or source.kind.names is None or source.spec is None:
        return ()
    try:
        return tuple(source.kind.names(source.spec.settings))
    except FAULTS:
        return ()


def _every_name(
    source: SourceEnd | None, actor: ActorEnd | None, known: Sequence[str]
) -> tuple[str, ...] | None:
    """All names that events of this id can have, if no others can come: those that are `known`, and more."""
    if source is not None and (source.kind is None or not source.kind.names_all or not _named_by(source)):
        return None
    shapes = actor.kind.shapes if actor is not None and actor.kind is not None else ()
    return tuple(dict.fromkeys((*known, *(name for shape in shapes for name in shape.names))))


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of events of one source, as they stand at `at`."""

    spot: Spot
    source: str
    names: Sequence[str]
    at: DataPath


def _events(
    said: _Names, emits: Sequence[str], known: tuple[str, ...], every: tuple[str, ...] | None, report: Report
) -> None:
    """Names that never come from there. Without `every` name, others are the outside system's to choose."""
    spot = said.spot
    for number, name in enumerate(said.names):
        where = spot.where(*said.at, "events", number)
        if quoted(name):
            message = f"{spot.label}: no event is called {name!r}, with typographic quotes"
            report.warn(Code.EVENT_MISMATCH, where, message, "write straight quotes, or none")
        elif name and name not in emits and (hint := _instead(name, emits, known, every)):
            message = f"{spot.label}: {said.source!r} never emits {name!r}"
            report.warn(Code.EVENT_MISMATCH, where, message, hint)


def _instead(name: str, emits: Sequence[str], known: tuple[str, ...], every: tuple[str, ...] | None) -> str:
    """What to write for a name or glob that never comes; empty if it may come."""
    if names_match((name,), every or ()) or (every is None and is_glob(name)):
        return ""
    meant = None if is_glob(name) else _canonical(name) or _slip(name, known)
    if every is not None and (meant is None or meant not in every):
        meant = _nearest_of(name, every)
        return f"did you mean `{meant}`?" if meant else f"it emits {listed(every)}"
    if meant is None:
        return ""
    return f"it emits {', '.join(emits)}" if meant == name else f"did you mean `{meant}`?"


def _nearest_of(name: str, every: Sequence[str]) -> str | None:
    """The name that this one is, but for a slip or for the part in front of its dot."""
    ends = [one for one in every if one.rpartition(".")[2] == name.rpartition(".")[2]]
    return ends[0] if len(ends) == 1 else nearest_name(name, every)


@cache
def _slip(name: str, known: tuple[str, ...]) -> str | None:
    return near_miss(name, known)


@cache
def _canonical(name: str) -> str | None:
    """The canonical name that this one is, or is nearly."""
    return name if name in _CANONICAL else nearest_name(name, _CANONICAL)


def _budget(
    sources: Mapping[str, SourceEnd],
    actors: Mapping[str, ActorEnd],
    routes: Sequence[Entry[schema.RouteConfig]],
    allowed: int,
    report: Report,
) -> None:
    """Clocks that wake more runs than may start. Routes that may drop what comes are not counted."""
    hours, clocks = [0] * 24, dict[str, SourceEnd]()
    for entry in routes:
        part = entry.part
        source, actor = sources.get(part.when.source), actors.get(part.then.actor)
        runs = actor is not None and actor.has_runs
        if not runs or source is None or part.when.filter or part.transforms:
            continue
        for name, counts in _by_hour(source).items():
            if names_match(part.when.events, [*_emitted_by(source), name]):
                clocks[source.entry.name] = source
                hours = [sum(pair) for pair in zip(hours, counts, strict=True)]
    most = max(hours)
    # As many as are allowed are too many: one that comes a moment early is in the hour of the one before.
    if most < allowed or not clocks:
        return
    spot = next(iter(clocks.values())).entry.spot
    names = ", ".join(repr(name) for name in clocks)
    message = (
        f"the schedules of {names} start up to {most} runs in an hour, and "
        f"`defaults.budget.runs_per_hour` is {allowed}: further wakes wait"
    )
    hint = f"raise `defaults.budget.runs_per_hour` to more than {most}, or schedule them less often"
    report.warn(Code.OVER_BUDGET, spot.where("config"), message, hint)


def _shared_secrets(sources: Mapping[str, SourceEnd], report: Report) -> None:
    """What is signed for one of two sources is valid for the other, where it can mean something else."""
    owners: dict[str, str] = {}
    for name, source in sources.items():
        for secret in _secrets(source):
            owner = owners.setdefault(secret, name)
            if owner != name:
                message = (
                    f"{source.entry.spot.label} has the secret of source {owner!r}: a request that is signed "
                    "for one is valid for the other"
                )
                hint = "give each source a secret of its own"
                report.warn(Code.RISKY_SETTING, source.entry.spot.where("config", "secret"), message, hint)
                break


def _secrets(source: SourceEnd) -> Sequence[str]:
    if source.spec is None or source.spec.lacks_variable:
        return ()
    given = getattr(source.spec.settings, "secret", None)
    listed = given if isinstance(given, tuple) else (given,)
    return [one.get_secret_value().strip() for one in listed if isinstance(one, SecretStr)]


def _by_hour(source: SourceEnd) -> Mapping[str, Sequence[int]]:
    if source.kind is None or source.kind.by_hour is None or source.spec is None:
        return {}
    if source.spec.lacks_variable:
        return {}
    try:
        return source.kind.by_hour(source.spec.settings)
    except FAULTS:
        return {}


def _circles(
    actors: Mapping[str, ActorEnd], routes: Iterable[Entry[schema.RouteConfig]], report: Report
) -> None:
    """Routes from an actor's runs to an actor, and so on back to the first, with nothing that ends it."""
    edges: dict[str, list[tuple[str, Entry[schema.RouteConfig]]]] = {}
    for entry in routes:
        woken_by = actors.get(entry.part.when.source)
        runs = woken_by is not None and woken_by.has_runs
        if runs and entry.part.then.actor in actors and not _ends(entry.part):
            edges.setdefault(entry.part.when.source, []).append((entry.part.then.actor, entry))
    reported: set[str] = set()
    for circle in _cycles(edges):
        names = {entry.part.then.actor for entry in circle}
        if names <= reported:
            continue
        reported |= names
        spot = circle[0].spot
        way = " → ".join([circle[0].part.when.source, *(entry.part.then.actor for entry in circle)])
        message = f"{spot.label}: actors wake each other in a circle: {way}"
        hint = (
            "end it with a filter on payload.result or payload.lifecycle, or give the route `then.limits`; "
            "until then only `defaults.limits.max_hops` and the budget stop it"
        )
        report.warn(Code.CYCLE, spot.where("then", "actor"), message, hint)


def _ends(part: schema.RouteConfig) -> bool:
    """Whether something of its own keeps this route from going round for ever."""
    if not names_match(part.when.events, _RUN_EVENTS) or part.then.limits is not None:
        return True
    paths = [
        *(part.when.filter or {}),
        *(text for step in part.transforms or [] for text in _texts(step.config)),
    ]
    return any(_about_result(path) for path in paths)


def _about_result(text: str) -> bool:
    return any(path in text for path in _RESULT_PATHS)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str):
        yield node


def _cycles(
    edges: Mapping[str, Sequence[tuple[str, Entry[schema.RouteConfig]]]],
) -> Iterator[list[Entry[schema.RouteConfig]]]:
    """One cycle for every edge that leads back, as the routes along it. Depth first, without recursion."""
    done: set[str] = set()
    for start in edges:
        way: list[str] = [start]
        taken: list[Entry[schema.RouteConfig]] = []
        todo = [iter(edges.get(start, ()))]
        while todo and start not in done:
            step = next(todo[-1], None)
            if step is None:
                todo.pop()
                done.add(way.pop())
                if taken:
                    taken.pop()
                continue
            actor, entry = step
            if actor in way:
                yield [*taken[way.index(actor) :], entry]
            elif actor not in done:
                way.append(actor)
                taken.append(entry)
                todo.append(iter(edges.get(actor, ())))
