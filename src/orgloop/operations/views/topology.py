"""Who wakes whom: a project as a graph of sources, routes and actors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LABEL = 60
"""Characters of an edge's details in a flowchart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """One route: from a source, or an actor whose runs end, to an actor."""

    route: str
    source: str
    actor: str
    events: Sequence[str] = ()
    filter: Mapping[str, Any] | None = None
    transforms: Sequence[str] = ()
    description: str = ""

    @property
    def conditions(self) -> list[str]:
        """The filter's lines, for people."""
        return [f"{path} = {_wanted(value)}" for path, value in (self.filter or {}).items()]

    @property
    def details(self) -> list[str]:
        """What lies between source and actor: events, filter, transforms."""
        steps = [" → ".join(self.transforms)] if self.transforms else []
        return [", ".join(self.events), *self.conditions, *steps]


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """The graph. `sources` and `actors` are connectors by id; `transforms` the defined ones."""

    project: str
    sources: Mapping[str, str]
    actors: Mapping[str, str]
    transforms: Sequence[str]
    edges: Sequence[Edge]

    @property
    def unrouted(self) -> list[str]:
        """Sources that no route listens to."""
        heard = {edge.source for edge in self.edges}
        return [source for source in self.sources if source not in heard]

    @property
    def unreachable(self) -> list[str]:
        """Actors that no route wakes."""
        woken = {edge.actor for edge in self.edges}
        return [actor for actor in self.actors if actor not in woken]

    @property
    def orphans(self) -> list[str]:
        """Transforms that no route uses."""
        used = {name for edge in self.edges for name in edge.transforms}
        return [name for name in self.transforms if name not in used]

    def edges_of(self, source: str) -> list[Edge]:
        """The routes that listen to it."""
        return [edge for edge in self.edges if edge.source == source]

    def loops(self) -> list[list[str]]:
        """Circles of actors that wake each other, each once, as a way back to its first actor."""
        follows: dict[str, list[str]] = {}
        for edge in self.edges:
            if edge.source in self.actors and edge.actor not in follows.setdefault(edge.source, []):
                follows[edge.source].append(edge.actor)
        found: list[list[str]] = []
        for start in follows:
            way = _way_back(start, follows)
            if way is not None and not any(set(way) == set(known) for known in found):
                found.append(way)
        return found

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        warnings = [
            *_warn("unrouted-source", self.unrouted, "no route listens to source {}"),
            *_warn("unreachable-actor", self.unreachable, "no route wakes actor {}"),
            *_warn("orphan-transform", self.orphans, "no route uses transform {}"),
        ]
        return {
            "project": self.project,
            "sources": list(self.sources),
            "actors": list(self.actors),
            "transforms": list(self.transforms),
            "edges": [_edge_json(edge) for edge in self.edges],
            "loops": self.loops(),
            "warnings": warnings,
        }

    def mermaid(self) -> str:
        """A flowchart in Mermaid's language."""
        nodes = {
            name: f"n{number}" for number, name in enumerate(dict.fromkeys([*self.sources, *self.actors]))
        }
        lines = ["flowchart LR"]
        for name, id in nodes.items():
            label = _quoted(name)
            lines.append(f"  {id}[{label}]" if name in self.actors else f"  {id}([{label}])")
        for edge in self.edges:
            if edge.source in nodes and edge.actor in nodes:
                label = _quoted(f"{edge.route}\n{_cut(', '.join(edge.events))}")
                lines.append(f"  {nodes[edge.source]} -->|{label}| {nodes[edge.actor]}")
        idle = [nodes[name] for name in dict.fromkeys([*self.unrouted, *self.unreachable])]
        if idle:
            lines += ["  classDef idle stroke-dasharray: 5 5", f"  class {','.join(idle)} idle"]
        return "\n".join(lines) + "\n"


def topology(project: str, snapshot: Mapping[str, Any]) -> Topology:
    """The graph of a project's snapshot; what cannot be read in it is left out."""
    return Topology(
        project=project,
        sources={name: str(part.get("connector", "")) for name, part in _maps(snapshot, "sources")},
        actors={name: str(part.get("connector", "")) for name, part in _maps(snapshot, "actors")},
        transforms=[name for name, _ in _maps(snapshot, "transforms")],
        edges=[_edge(name, part) for name, part in _maps(snapshot, "routes")],
    )


def _maps(snapshot: Mapping[str, Any], section: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, part in (snapshot.get(section) or {}).items():
        if isinstance(part, Mapping):
            yield name, part


def _edge(name: str, part: Mapping[str, Any]) -> Edge:
    when, then = _map(part.get("when")), _map(part.get("then"))
    events = when.get("events")
    steps = part.get("transforms")
    return Edge(
        route=name,
        source=str(when.get("source", "")),
        actor=str(then.get("actor", "")),
        events=[str(event) for event in events] if isinstance(events, list) else [],
        filter=_map(when.get("filter")) or None,
        transforms=[str(_map(step).get("ref", "")) for step in steps] if isinstance(steps, list) else [],
        description=str(part.get("description") or ""),
    )


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _edge_json(edge: Edge) -> dict[str, Any]:
    document: dict[str, Any] = {"route": edge.route}
    if edge.description:
        document["description"] = edge.description
    document |= {"source": edge.source, "actor": edge.actor, "events": list(edge.events)}
    if edge.filter is not None:
        document["filter"] = dict(edge.filter)
    return document | {"transforms": list(edge.transforms)}


def _warn(kind: str, ids: Sequence[str], message: str) -> list[dict[str, str]]:
    return [{"kind": kind, "id": id, "message": message.format(repr(id))} for id in ids]


def _way_back(start: str, follows: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The shortest way from `start` to itself."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for actor in follows.get(way[-1], ()):
            if actor == start:
                return [*way, start]
            if actor not in seen:
                seen.add(actor)
                ways.append([*way, actor])
    return None


def _wanted(value: Any) -> str:
    from orgloop.core.text.json_text import text_of  # the help of `routes` does not need it

    values = value if isinstance(value, list) else [value]
    return " or ".join(one if isinstance(one, str) else text_of(one) for one in values)


def _quoted(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    return '"' + escaped.replace("\n", "<br/>") + '"'


def _cut(text: str) -> str:
    return text if len(text) <= LABEL else f"{text[:LABEL]}…"
