"""How the daemon is: status, modules, health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orgloop.core.delivery import State
from orgloop.journal.model import PauseRow, SourceRow
from orgloop.journal.protocols import Reader
from orgloop.operations import shapes
from orgloop.web.answers import json_answer
from orgloop.web.desk import Desk
from orgloop.web.endpoint import Call


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the journal says about how things are. `routes`: how often each fired, and when last."""

    sources: Mapping[str, SourceRow]
    pauses: Sequence[PauseRow]
    counts: Mapping[str, Mapping[str, int]]
    routes: Mapping[str, tuple[int, int | None]]

    @property
    def deliveries(self) -> dict[str, int]:
        """How many there are in each state. Finished ones are counted since ever."""
        finished = self.counts.get("total", {})
        return {
            state.value: finished.get(state, 0) + sum(self.counts.get(state, {}).values()) for state in State
        }


def gather(reader: Reader) -> Facts:
    """Read all of it."""
    return Facts(
        sources={row.source: row for row in reader.sources()},
        pauses=reader.pauses(),
        counts=reader.counts(),
        routes=reader.route_stats(),
    )


def health(desk: Desk, facts: Facts) -> str:
    """`error` if a source fails again and again, `degraded` if one begins to, or an actor or logger fails."""
    states = {shapes.source_status(facts.sources.get(id)) for id in desk.runtime.wiring.sources}
    if "unhealthy" in states:
        return "error"
    failing = any(thread.failures for thread in desk.runtime.observer.threads)
    paused = any(row.actor in desk.runtime.wiring.actors for row in facts.pauses)
    closed = bool(desk.runtime.actors.failing)
    return "degraded" if "degraded" in states or failing or paused or closed else "ok"


def module_status(desk: Desk, facts: Facts) -> dict[str, Any]:
    """The project, as what was once one module of several."""
    wiring = desk.runtime.wiring
    return {
        "name": desk.module,
        "state": "active",
        "sources": len(wiring.sources),
        "routes": len(wiring.routes),
        "actors": len(wiring.actors),
        "uptime_ms": desk.uptime_ms,
        "health": [shapes.source_health(id, facts.sources.get(id)) for id in wiring.sources],
    }


async def status(desk: Desk, call: Call) -> Any:
    """How everything is, on one page."""
    call.parameters.finish()
    facts = await desk.readings.ask(gather)
    module = module_status(desk, facts)
    del module["health"]
    sources = desk.runtime.sources
    return {
        "health": health(desk, facts),
        "running": True,
        "pid": desk.pid,
        "uptime_ms": desk.uptime_ms,
        "http_port": desk.port,
        "version": desk.version,
        "project": desk.module,
        "modules": [module],
        "sources": [
            shapes.source_line(part, facts.sources.get(id), desk.runtime.tally.refusals.get(id))
            | {
                "next_poll": shapes.when(sources.next_polls.get(id)),
                "later": shapes.later(sources.later.get(id)),
            }
            for id, part in desk.runtime.wiring.sources.items()
        ],
        "paused": [shapes.pause(row) for row in facts.pauses],
        "waits": dict(desk.runtime.dispatcher.waits),
        "loggers": [
            {"name": thread.spec.name, "failures": thread.failures, "error": thread.last_error}
            for thread in desk.runtime.observer.threads
        ],
        "not_open": dict(desk.runtime.actors.failing),
        "troubles": {
            name: {"at": shapes.when(one.at), "times": one.times, "error": one.error}
            for name, one in desk.runtime.supervisor.troubles.items()
        },
        "deliveries": facts.deliveries,
        "open_runs": facts.deliveries[State.STARTED],
        "waiting_accepts": desk.runtime.journal.waiting,
    }


async def liveness(desk: Desk, call: Call) -> Any:
    """200 if events can be taken, else 503."""
    call.parameters.finish()
    fault = await desk.journal_fault()
    content = {
        "ok": not fault,
        "journal_writable": not fault,
        "error": fault,
        "waiting_accepts": desk.runtime.journal.waiting,
        "uptime_ms": desk.uptime_ms,
    }
    return json_answer(content, 503 if fault else 200)
