"""A part of the project as it is applied: its config without secrets, its statistics, its last work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orgloop.config.diff import DERIVED
from orgloop.core.events.event import REPLAY_OF
from orgloop.core.text.units import DAY, humanize
from orgloop.operations.views.topology import topology
from orgloop.operations.views.words import ago, counted, dollars, moment, one_line

if TYPE_CHECKING:
    from orgloop.journal.model import DeliveryRow, EventRow, RunRow
    from orgloop.journal.protocols import Reader

KINDS: Final[Mapping[str, str]] = {
    "source": "sources",
    "actor": "actors",
    "route": "routes",
    "transform": "transforms",
    "logger": "loggers",
}
"""Kinds of parts, and where a snapshot has them."""

LAST: Final = 5
"""Events or deliveries that are shown."""

PERIOD: Final = 7 * DAY
"""Milliseconds over which runs are summed up."""

MOST_RUNS: Final = 1_000

_TIMES: Final = frozenset(
    {"last_event", "last_poll", "last_success", "last_fired", "paused_since", "paused_until"}
)
"""Statistics that are moments, in ms since 1970."""

_SECRET: Final = re.compile(r"<secret [0-9a-f]{8}>")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part. `facts` are for people, `statistics` the same for programs. `applied`: it runs, or ran."""

    kind: str
    name: str
    config: Mapping[str, Any]
    applied: bool
    routes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    statistics: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[EventRow] = ()
    deliveries: Sequence[DeliveryRow] = ()

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        from orgloop.operations.views import json_rows

        shown: dict[str, Any] = {
            "kind": self.kind,
            "id": self.name,
            **self.config,
            "applied": self.applied,
            "statistics": {
                name: json_rows.when(value) if name in _TIMES else value
                for name, value in self.statistics.items()
            },
        }
        if self.kind != "route":
            shown["routes"] = list(self.routes)
        if self.kind in ("actor", "route"):
            shown["last_deliveries"] = [json_rows.delivery(row) for row in self.deliveries]
        if self.kind == "source":
            shown["last_events"] = [row.id for row in self.events]
        return shown


def kinds_of(snapshot: Mapping[str, Any], name: str) -> list[str]:
    """What kinds of parts have this name."""
    return [kind for kind, section in KINDS.items() if name in (snapshot.get(section) or {})]


def is_replay(row: EventRow) -> bool:
    """Whether a person had an earlier event processed again: a source's statistics do not count it."""
    return bool(row.document.get(REPLAY_OF))


def names_of(snapshot: Mapping[str, Any], kind: str | None = None) -> list[str]:
    """All names, or those of one kind."""
    sections = [KINDS[kind]] if kind is not None else list(KINDS.values())
    return [name for section in sections for name in snapshot.get(section) or {}]


def without_secrets(tree: Any) -> Any:
    """A part of a snapshot with *** for what stands there for a secret."""
    match tree:
        case str():
            return _SECRET.sub("***", tree)
        case dict():
            return {key: without_secrets(value) for key, value in tree.items()}
        case list():
            return [without_secrets(value) for value in tree]
        case _:
            return tree


class Inspector:
    """Looks at parts of one snapshot. Without a `reader` nothing has ever run: there are no statistics."""

    def __init__(
        self, reader: Reader | None, project: str, snapshot: Mapping[str, Any], now: int, *, applied: bool
    ) -> None:
        self._reader = reader
        self._graph = topology(project, snapshot)
        self._snapshot = snapshot
        self._now = now
        self._applied = applied

    def part(self, kind: str, name: str) -> Part:
        """The part of this kind and name, which is known to be there."""
        entries = self._snapshot[KINDS[kind]][name].items()
        config = without_secrets({key: value for key, value in entries if key not in DERIVED})
        basis = Part(
            kind=kind, name=name, config=config, applied=self._applied, routes=self._routes(kind, name)
        )
        return self._with_past(basis, self._reader) if self._reader is not None else basis

    def _routes(self, kind: str, name: str) -> list[str]:
        match kind:
            case "source":
                return [edge.route for edge in self._graph.edges if edge.source == name]
            case "actor":
                return [edge.route for edge in self._graph.edges if edge.actor == name]
            case "transform":
                return [edge.route for edge in self._graph.edges if name in edge.transforms]
            case _:
                return []

    def _with_past(self, part: Part, reader: Reader) -> Part:
        from dataclasses import replace

        from orgloop.journal.model import Query

        match part.kind:
            case "source":
                statistics = self._of_source(reader, part.name)
                past: dict[str, Any] = {"events": reader.events(Query(source=part.name, limit=LAST))}
            case "actor":
                statistics = self._of_actor(reader, part.name)
                past = {"deliveries": reader.deliveries(Query(actor=part.name, limit=LAST))}
            case "route":
                statistics = self._of_route(reader, part.name)
                past = {"deliveries": reader.deliveries(Query(route=part.name, limit=LAST))}
            case _:
                return part
        facts = list(self._told(statistics))
        if any(is_replay(row) for row in past.get("events", ())):
            facts = [
                (label, f"{told}, without replays" if label in ("events", "last event") else told)
                for label, told in facts
            ]
        return replace(part, statistics=statistics, facts=facts, **past)

    def _of_source(self, reader: Reader, name: str) -> dict[str, Any]:
        row = next((one for one in reader.sources() if one.source == name), None)
        if row is None:
            return {"events": 0}
        return {
            "events": row.events,
            "last_event": row.last_event,
            "last_poll": row.last_poll,
            "last_success": row.last_success,
            "errors": row.errors,
            "error": row.error,
            "checkpoint": row.checkpoint,
        }

    def _of_actor(self, reader: Reader, name: str) -> dict[str, Any]:
        from orgloop.journal.model import Query

        pause = next((one for one in reader.pauses() if one.actor == name), None)
        runs = reader.runs(Query(actor=name, since=self._now - PERIOD, limit=MOST_RUNS))
        return {
            **self._unfinished([row for row in reader.backlog() if row.actor == name]),
            **_of_runs([run for run in runs if run.reason != "not_started"]),
            "paused_since": pause.since if pause is not None else None,
            "paused_until": pause.until if pause is not None else None,
            "paused_because": pause.reason if pause is not None else "",
            "circuit_breaker": "open" if pause is not None and pause.kind == "breaker" else "",
        }

    def _of_route(self, reader: Reader, name: str) -> dict[str, Any]:
        fired, last = reader.route_stats().get(name, (0, None))
        waiting = self._unfinished([row for row in reader.backlog() if row.route == name])
        return {"fired": fired, "last_fired": last, **waiting}

    def _unfinished(self, rows: Sequence[Any]) -> dict[str, Any]:
        counts: dict[str, int] = {}
        for row in rows:
            counts[str(row.state)] = counts.get(str(row.state), 0) + row.count
        return {"unfinished": counts}

    def _told(self, statistics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Statistics as people read them."""
        now = self._now
        for name, value in statistics.items():
            # For people it is what it counts: events that matched, also where a transform dropped them then.
            label = name.replace("_", " ").replace("fired", "matched")
            if not value and name not in ("events", "fired"):
                continue
            match name:
                case "unfinished":
                    yield label, ", ".join(f"{count} {state}" for state, count in value.items())
                case "runs":
                    yield "runs, 7 days", _runs_told(statistics)
                case "succeeded" | "cost_usd" | "mean_ms":
                    continue
                case "error" | "paused_because" | "checkpoint":
                    yield label, one_line(value)
                case "paused_until":
                    yield label, moment(value, now)
                case _ if name in _TIMES:
                    yield label, f"{moment(value, now)}, {ago(value, now)}"
                case _:
                    yield label, str(value)


def _of_runs(runs: Sequence[RunRow]) -> dict[str, Any]:
    ended = [run for run in runs if run.ended_at is not None]
    costs = [run.cost_usd for run in ended if run.cost_usd is not None]
    took = [run.ended_at - run.started_at for run in ended if run.ended_at is not None]
    return {
        "runs": len(runs),
        "succeeded": sum(run.outcome == "success" for run in ended),
        "cost_usd": sum(costs) if costs else None,
        "mean_ms": sum(took) // len(took) if took else None,
    }


def _runs_told(statistics: Mapping[str, Any]) -> str:
    words = [counted(statistics["runs"], "run"), f"{statistics['succeeded']} with success"]
    if statistics["mean_ms"] is not None:
        words.append(f"{humanize(statistics['mean_ms'])} on average")
    if statistics["cost_usd"] is not None:
        words.append(dollars(statistics["cost_usd"]))
    return ", ".join(words)
