"""`orgloop status --json`: the picture as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orgloop.operations import shapes
from orgloop.operations.status.attention import gaps, unheard
from orgloop.operations.status.needs import Item

if TYPE_CHECKING:
    from orgloop.operations.status.picture import Actor, Picture, Route, Source


def document(picture: Picture, items: Sequence[Item]) -> dict[str, Any]:
    """The names that every status has are always there; times are ISO 8601, null for what is not."""
    daemon = picture.daemon
    about: dict[str, Any] = {"running": daemon is not None}
    if daemon is not None:
        about |= {
            "pid": daemon.pid,
            "uptime_ms": picture.uptime,
            "httpPort": daemon.port,
            "version": daemon.version,
            "answers": picture.said is not None,
            "fault": picture.fault,
            "modules": [_module(picture)],
            "moduleDirectories": {daemon.project: daemon.root},
        }
    elif picture.holder:
        about["holder"] = picture.holder
    return {
        **about,
        "project": picture.project,
        "root": picture.root,
        "home": str(picture.home.path),
        "sources": [_source(one) for one in picture.sources],
        "actors": [_actor(one) for one in picture.actors],
        "routes": [_route(one) for one in picture.routes],
        "loggers": list(picture.said.get("loggers", ())) if picture.said is not None else None,
        "runs": [shapes.run(run) | {"alive": run.id not in picture.gone} for run in picture.open_runs],
        "since": {
            "from": shapes.when(picture.since),
            "ended": len(picture.ended_runs),
            "failed": len(picture.failed_runs),
            "cost_usd": picture.cost_usd,
            "runs": [shapes.run(run) for run in picture.ended_runs],
            "unheard": [item.as_json() for item in unheard(picture)],
            "gaps": [
                {"from": shapes.when(gap.begin), "to": shapes.when(gap.end), "died": gap.died}
                for gap in gaps(picture.lives, picture.since)
            ],
        },
        "attention": [item.as_json() for item in items],
    }


def _module(picture: Picture) -> Mapping[str, Any]:
    return {
        "name": picture.project,
        "state": "active",
        "sources": len(picture.sources),
        "routes": len(picture.routes),
        "actors": len(picture.actors),
        "uptime_ms": picture.uptime,
        "health": [shapes.source_health(one.id, one.row) for one in picture.sources],
    }


def _source(source: Source) -> Mapping[str, Any]:
    row = source.row
    return {
        "id": source.id,
        "connector": source.connector,
        "status": source.health,
        "events": row.events if row is not None else 0,
        "last_event": shapes.when(row.last_event) if row is not None else None,
        "last_poll": shapes.when(row.last_poll) if row is not None else None,
        "next_poll": shapes.when(source.next_poll),
        "later": source.later,
        "errors": row.errors if row is not None else 0,
        "error": row.error if row is not None else "",
    }


def _actor(actor: Actor) -> Mapping[str, Any]:
    return {
        "id": actor.id,
        "connector": actor.connector,
        "running": actor.running,
        "waiting": actor.waiting,
        "deliveries": dict(actor.counts),
        "pause": shapes.pause(actor.pause) if actor.pause is not None else None,
    }


def _route(route: Route) -> Mapping[str, Any]:
    return {
        "name": route.name,
        "source": route.source,
        "actor": route.actor,
        "fired": route.fired,
        "last_fired": shapes.when(route.last_fired),
        "deliveries": dict(route.counts),
    }
