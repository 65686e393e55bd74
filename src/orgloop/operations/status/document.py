"""`orgloop status --json`: the seen as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orgloop.operations.status.attention import gaps, unheard
from orgloop.operations.status.item import Item
from orgloop.operations.views import json_rows

if TYPE_CHECKING:
    from orgloop.operations.status.status import ActorStatus, RouteStatus, SourceStatus, Status


def document(seen: Status, items: Sequence[Item]) -> dict[str, Any]:
    """The names that every status has are always there; times are ISO 8601, null for what is not."""
    daemon = seen.daemon
    about: dict[str, Any] = {"running": daemon is not None}
    if daemon is not None:
        about |= {
            "pid": daemon.pid,
            "uptime_ms": seen.uptime,
            "http_port": daemon.port,
            "httpPort": daemon.port,
            "version": daemon.version,
            "answers": seen.live is not None,
            "fault": seen.fault,
            "modules": [_module(seen)],
            "moduleDirectories": {daemon.project: daemon.root},
        }
    elif seen.holder:
        about["holder"] = seen.holder
    return {
        **about,
        "health": seen.health,
        "project": seen.project,
        "root": seen.root,
        "home": str(seen.home.path),
        "sources": [_source(one) for one in seen.sources],
        "actors": [_actor(one) for one in seen.actors],
        "routes": [_route(one) for one in seen.routes],
        "loggers": [asdict(one) for one in seen.live.loggers] if seen.live is not None else None,
        "journal_fault": seen.live.journal_fault if seen.live is not None else None,
        "runs": [json_rows.run(run) | {"alive": run.id not in seen.gone} for run in seen.open_runs],
        "since": {
            "from": json_rows.when(seen.since),
            "ended": len(seen.ended_runs),
            "failed": len(seen.failed_runs),
            "cost_usd": seen.cost_usd,
            "runs": [json_rows.run(run) for run in seen.ended_runs],
            "unheard": [item.as_json() for item in unheard(seen)],
            "gaps": [
                {"from": json_rows.when(gap.begin), "to": json_rows.when(gap.end), "died": gap.died}
                for gap in gaps(seen.lives, seen.since)
            ],
        },
        "attention": [item.as_json() for item in items],
    }


def _module(seen: Status) -> Mapping[str, Any]:
    return {
        "name": seen.project,
        "state": "active",
        "sources": len(seen.sources),
        "routes": len(seen.routes),
        "actors": len(seen.actors),
        "uptime_ms": seen.uptime,
        "health": [json_rows.source_health(one.id, one.row) for one in seen.sources],
    }


def _source(source: SourceStatus) -> Mapping[str, Any]:
    row = source.row
    return {
        "id": source.id,
        "connector": source.connector,
        "status": source.health,
        "event_count": row.events if row is not None else 0,
        "last_event": json_rows.when(row.last_event) if row is not None else None,
        "last_poll": json_rows.when(row.last_poll) if row is not None else None,
        "next_poll": json_rows.when(source.next_poll),
        "later": json_rows.later(source.later),
        "errors": row.errors if row is not None else 0,
        "error": row.error if row is not None else "",
    }


def _actor(actor: ActorStatus) -> Mapping[str, Any]:
    return {
        "id": actor.id,
        "connector": actor.connector,
        "running": actor.running,
        "waiting": actor.waiting,
        "deliveries": dict(actor.counts),
        "pause": json_rows.pause(actor.pause) if actor.pause is not None else None,
        "reasons": list(actor.reasons),
    }


def _route(route: RouteStatus) -> Mapping[str, Any]:
    return {
        "name": route.name,
        "source": route.source,
        "actor": route.actor,
        "fired": route.fired,
        "last_fired": json_rows.when(route.last_fired),
        "deliveries": dict(route.counts),
    }
