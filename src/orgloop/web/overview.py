"""How the daemon is: status, modules, health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from orgloop.core.deliveries.delivery import State
from orgloop.core.text.units import HOUR
from orgloop.journal.model import PauseRow, SourceRow, WaitRow
from orgloop.journal.protocols import Reader
from orgloop.operations.status.attention import attention
from orgloop.operations.status.item import Item
from orgloop.operations.status.live import live_of
from orgloop.operations.status.status import Status
from orgloop.operations.status.status import status as status_of
from orgloop.operations.views import json_rows
from orgloop.project.home import DaemonInfo
from orgloop.web.answers import json_answer
from orgloop.web.daemon_api import DaemonApi
from orgloop.web.endpoint import Call

LATELY: Final = 12 * HOUR
"""Milliseconds back to which what has happened is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalFacts:
    """What the journal says about how things are. `routes`: how often each fired, and when last."""

    sources: Mapping[str, SourceRow]
    pauses: Sequence[PauseRow]
    waits: Sequence[WaitRow]
    counts: Mapping[str, Mapping[str, int]]
    routes: Mapping[str, tuple[int, int | None]]

    @property
    def deliveries(self) -> dict[str, int]:
        """How many there are in each state. Finished ones are counted since ever."""
        finished = self.counts.get("total", {})
        return {
            state.value: finished.get(state, 0) + sum(self.counts.get(state, {}).values()) for state in State
        }


def gather(reader: Reader) -> JournalFacts:
    """Read all of it."""
    return JournalFacts(
        sources={row.source: row for row in reader.sources()},
        pauses=reader.pauses(),
        waits=reader.waits(),
        counts=reader.counts(),
        routes=reader.route_stats(),
    )


def module_status(api: DaemonApi, facts: JournalFacts) -> dict[str, Any]:
    """The project, as what was once one module of several."""
    wiring = api.runtime.wiring
    return {
        "name": api.module,
        "state": "active",
        "sources": len(wiring.sources),
        "routes": len(wiring.routes),
        "actors": len(wiring.actors),
        "uptime_ms": api.uptime_ms,
        "health": [json_rows.source_health(id, facts.sources.get(id)) for id in wiring.sources],
    }


async def look(api: DaemonApi) -> tuple[Status, Sequence[Item]]:
    """How everything is, as `orgloop status` has it, and what needs a person."""
    runtime, fault = api.runtime, await api.runtime.journal_fault(glance=True)
    live, life = live_of(runtime, fault), runtime.life()
    daemon = DaemonInfo(
        pid=api.pid,
        started_at=life.started_at,
        port=api.port,
        project=api.module,
        root=str(runtime.organization.root),
        version=api.version,
    )

    def read(reader: Reader) -> tuple[Status, Sequence[Item]]:
        seen = status_of(
            reader, live, home=runtime.home, daemon=daemon, since=life.last_seen - LATELY, now=life.last_seen
        )
        return seen, attention(seen)

    return await api.readings.ask(read)


async def status(api: DaemonApi, call: Call) -> Any:
    """How everything is, on one page."""
    call.parameters.finish()
    facts = await api.readings.ask(gather)
    seen, items = await look(api)
    module = module_status(api, facts)
    del module["health"]
    live = seen.live
    assert live is not None
    return {
        "health": seen.health,
        "running": True,
        "pid": api.pid,
        "uptime_ms": api.uptime_ms,
        "http_port": api.port,
        "version": api.version,
        "project": api.module,
        "modules": [module],
        "sources": [
            json_rows.source_line(part, facts.sources.get(id), api.runtime.counters.refusals.get(id))
            | {
                "next_poll": json_rows.when(live.next_polls.get(id)),
                "later": json_rows.later(live.later.get(id)),
            }
            for id, part in api.runtime.wiring.sources.items()
        ],
        "paused": [json_rows.pause(row) for row in facts.pauses],
        "waits": [json_rows.wait(row) for row in facts.waits],
        "loggers": [asdict(one) for one in live.loggers],
        "not_open": dict(live.not_open),
        "troubles": {
            name: {"at": json_rows.when(one.at), "times": one.times, "error": one.why}
            for name, one in live.troubles.items()
        },
        "deliveries": facts.deliveries,
        "open_runs": facts.deliveries[State.STARTED],
        "waiting_accepts": live.waiting_accepts,
        "journal_fault": live.journal_fault,
        "attention": [item.as_json() for item in items],
    }


async def liveness(api: DaemonApi, call: Call) -> Any:
    """200 if events can be taken, else 503."""
    call.parameters.finish()
    fault = await api.runtime.journal_fault()
    content = {
        "ok": not fault,
        "journal_writable": not fault,
        "error": fault,
        "waiting_accepts": api.runtime.journal.waiting,
        "uptime_ms": api.uptime_ms,
    }
    return json_answer(content, 503 if fault else 200)
