"""The graph of a project in a terminal: under each source its routes, each with an arrow to its actor."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from orgloop.cli.output import WARN, Output
from orgloop.operations.views.topology import Edge, Topology

ROOMY = 110
"""Columns from which on a route's details stand on its own line."""

_FARTHEST = 44
"""Where arrows end at most, in a narrow terminal."""
_DETAILS = 76
"""Columns of details before they go on in the next line, in a wide one."""

_BETWEEN = " · "
LOOP = "↺"


class Drawing:
    """Draws one topology in `out.width` columns."""

    def __init__(self, out: Output, graph: Topology) -> None:
        self._out = out
        self._graph = graph
        self._speakers = {edge.source for edge in graph.edges} & graph.actors.keys()
        self._roomy = out.width >= ROOMY
        longest_actor = max((len(edge.actor) for edge in graph.edges), default=0)
        self._name = max((len(edge.route) for edge in graph.edges), default=0)
        if self._roomy:
            widest = max((len(_BETWEEN.join(edge.details)) for edge in graph.edges), default=0)
            self._arrow = min(out.width - longest_actor - 6, self._name + min(widest, _DETAILS) + 11)
        else:
            self._arrow = min(self._name + 12, _FARTHEST, max(out.width - longest_actor - 6, self._name + 6))

    def lines(self) -> Iterator[str]:
        """The whole picture."""
        for source, connector in self._graph.sources.items():
            yield from self._section(source, connector, also=source in self._graph.actors)
        for actor in self._graph.actors:
            if actor in self._speakers and actor not in self._graph.sources:
                yield from self._section(actor, "when its runs start and end", also=True)
        yield from self._notes()

    def _section(self, name: str, what: str, *, also: bool) -> Iterator[str]:
        style = self._out.style
        edges = self._graph.edges_of(name)
        mark = f" {style(LOOP, 'magenta')}" if also and edges else ""
        yield f"{style(name, 'bold', 'cyan')}{mark}  {style(what, 'dim')}"
        if not edges:
            yield f"└─ {style(f'{WARN} no route listens to it', 'yellow')}"
        for number, edge in enumerate(edges):
            yield from self._route(edge, last=number == len(edges) - 1)
        yield ""

    def _route(self, edge: Edge, *, last: bool) -> Iterator[str]:
        style = self._out.style
        begin, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        if self._roomy:
            room = self._arrow - self._name - 9
            first, *rest = _lines(edge.details, max(room, 20))
            gap = self._arrow - 6 - self._name - len(first)
            name = edge.route + " " * (self._name - len(edge.route))
            line = style("─" * max(gap, 1), "dim")
            yield f"{begin}{style(name, 'bold')}  {style(first, 'dim')} {line}▶ {self._target(edge)}"
            for line in rest:
                yield f"{below}{' ' * (self._name + 2)}{style(line, 'dim')}"
            return
        gap = max(self._arrow - len(edge.route) - 4, 1)
        yield f"{begin}{style(edge.route, 'bold')} {style('─' * gap, 'dim')}▶ {self._target(edge)}"
        for line in _lines(edge.details, max(self._out.width - 6, 30)):
            yield f"{below}   {style(line, 'dim')}"

    def _target(self, edge: Edge) -> str:
        style = self._out.style
        if edge.actor not in self._graph.actors:
            return style(f"{edge.actor} {WARN} there is no such actor", "yellow")
        loop = f" {style(LOOP, 'magenta')}" if edge.actor in self._speakers else ""
        return f"{style(edge.actor, 'green')}{loop}"

    def _notes(self) -> Iterator[str]:
        style = self._out.style
        warn = style(WARN, "yellow")
        for way in self._graph.loops():
            yield f"{style(LOOP, 'magenta')} {' → '.join(way)}  {style('loop', 'dim')}"
        for actor in self._graph.unreachable:
            yield f"{warn} no route wakes {actor}"
        for name in self._graph.orphans:
            yield f"{warn} no route uses the transform {name}"
        strangers = _strangers(self._graph)
        for edge in strangers:
            yield f"{warn} the route {edge.route} listens to {edge.source}, which does not exist"


def _lines(details: Sequence[str], width: int) -> list[str]:
    """Details side by side, as many as fit; one that is too long for a line is broken."""
    lines: list[str] = []
    for detail in details:
        if lines and len(lines[-1]) + len(_BETWEEN) + len(detail) <= width:
            lines[-1] += _BETWEEN + detail
        else:
            lines += textwrap.wrap(detail, width) or [""]
    return lines or [""]


def _strangers(graph: Topology) -> Sequence[Edge]:
    known = graph.sources.keys() | graph.actors.keys()
    return [edge for edge in graph.edges if edge.source not in known]
