"""The journal's rows as JSON: names in snake case, times in ISO 8601 UTC, null for what is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from orgloop.config.model import Organization
from orgloop.core.deliveries.admission import NEVER
from orgloop.core.deliveries.delivery import FINISHED, State
from orgloop.core.events.match import When
from orgloop.core.records.record import timestamp
from orgloop.core.text.units import format_duration
from orgloop.journal.model import (
    DeliveryRow,
    EventRow,
    ParkedRow,
    PauseRow,
    RunRow,
    SessionRow,
    SourceRow,
    StepRow,
    WaitRow,
)
from orgloop.operations.views.accounts import AccountView
from orgloop.operations.views.health import source_health as health_of_source
from orgloop.operations.views.waits import text
from orgloop.plugin import Poller
from orgloop.runtime.support.counters import Refusals
from orgloop.runtime.wiring import OpenRoute, SourcePart


def when(at: int | None) -> str | None:
    """Milliseconds since 1970 as ISO 8601; None stays."""
    return None if at is None else timestamp(at)


class WaitingShape(Protocol):
    """That a source was told to come later, and why."""

    @property
    def until(self) -> int: ...

    @property
    def reason(self) -> str: ...


def later(source: WaitingShape | None) -> dict[str, Any] | None:
    """That a source was told to come later; None if it was not."""
    return None if source is None else {"until": timestamp(source.until), "reason": source.reason}


def event(
    row: EventRow,
    deliveries: Sequence[DeliveryRow],
    steps: Iterable[StepRow],
    organization: Organization,
) -> dict[str, Any]:
    """An event with what became of it. `processing_ms` is null while something of it goes on."""
    sops = dict.fromkeys(_relative(Path(one.sop_file), organization.root) for one in steps if one.sop_file)
    return {
        "event_id": row.id,
        "timestamp": row.document.get("timestamp"),
        "source": row.source,
        "type": row.type,
        "platform_event": row.platform_event,
        "matched_routes": [one.route for one in deliveries],
        "sop_files": list(sops),
        "actors": list(dict.fromkeys(one.actor for one in deliveries)),
        "processing_ms": _processing(row, deliveries),
        "module": organization.name,
        "trace_id": row.trace_id,
        "hops": row.hops,
        "accepted_at": when(row.at),
        "deliveries": [
            {"id": one.id, "route": one.route, "state": one.state, "reason": one.reason} for one in deliveries
        ],
    }


def _processing(row: EventRow, deliveries: Sequence[DeliveryRow]) -> float | None:
    """From acceptance to the end of the last delivery."""
    if any(one.state not in FINISHED and one.state is not State.DEAD for one in deliveries):
        return None
    return float(max((one.changed_at - row.at for one in deliveries), default=0))


def delivery(row: DeliveryRow) -> dict[str, Any]:
    """A delivery as it stands. `due` is set while it waits for its turn."""
    return {
        "id": row.id,
        "event_id": row.event_id,
        "trace_id": row.trace_id,
        "source": row.source,
        "event_type": row.event_type,
        "route": row.route,
        "actor": row.actor,
        "state": row.state,
        "reason": row.reason,
        "detail": row.detail,
        "key": row.key,
        "attempts": row.attempts,
        "failures": row.failures,
        "crashes": row.crashes,
        "run_id": row.run_id,
        "accepted_at": when(row.accepted_at),
        "changed_at": when(row.changed_at),
        "due": when(row.due) if row.state is State.PENDING else None,
        "lead": row.lead,
        "members": list(row.members) or [row.id],
        "batch_until": when(row.batch_until),
        "cancelled_by": row.cancelled_by,
    }


def wait(row: WaitRow) -> dict[str, Any]:
    """A full scope, for which work waits. `until` is null if a run must end first."""
    waiting = row.waiting
    return {
        "scope": waiting.scope.level,
        "name": waiting.scope.name,
        "actor": waiting.scope.actor or None,
        "unit": waiting.unit,
        "window": waiting.window,
        "limit": waiting.limit,
        "setting": waiting.setting or None,
        "since": when(row.since),
        "until": None if waiting.until == NEVER else when(waiting.until),
        "text": text(row, timestamp),
    }


def step(row: StepRow) -> dict[str, Any]:
    """One thing that happened to a delivery."""
    return {
        "at": when(row.at),
        "delivery_id": row.delivery_id,
        "event_id": row.event_id,
        "route": row.route,
        "actor": row.actor,
        "transition": row.transition,
        "state": row.state,
        "attempt": row.attempt,
        "began": when(row.began),
        "duration_ms": None if row.began is None else row.at - row.began,
        "reason": row.reason,
        "detail": row.detail,
        "sop_hash": row.sop_hash,
        "sop_file": row.sop_file,
        "run_id": row.run_id,
    }


def run(row: RunRow) -> dict[str, Any]:
    """A run. `outcome` is empty while it goes on."""
    return {
        "id": row.id,
        "delivery_id": row.delivery_id,
        "event_id": row.event_id,
        "trace_id": row.trace_id,
        "hops": row.hops,
        "actor": row.actor,
        "route": row.route,
        "harness": row.harness,
        "key": row.key,
        "session_id": row.session_id,
        "directory": row.directory,
        "run_dir": row.run_dir,
        "account": row.spec.get("account", ""),
        "account_instead_of": row.spec.get("instead_of", ""),
        "started_at": when(row.started_at),
        "ended_at": when(row.ended_at),
        "duration_ms": None if row.ended_at is None else row.ended_at - row.started_at,
        "outcome": row.outcome,
        "reason": row.reason,
        "text": row.text,
        "exit_status": row.exit_status,
        "cost_usd": row.cost_usd,
        "last_line": row.last_line,
        "last_seen": when(row.last_seen),
    }


def parked(row: ParkedRow) -> dict[str, Any]:
    """A parked account. `until` is null if it is parked until somebody resumes it."""
    return {
        "account": row.account,
        "since": when(row.since),
        "until": when(row.until),
        "by_person": row.by_person,
        "reason": row.reason,
    }


def account(view: AccountView) -> dict[str, Any]:
    """An account: who uses it, whether it is parked, and what its runs used in the last 24 hours."""
    use = view.use
    return {
        "name": view.name,
        "actors": list(view.actors),
        "parked": parked(view.parked) if view.parked is not None else None,
        "at_work": use.at_work if use is not None else 0,
        "day": {
            "runs": use.ended if use is not None else 0,
            "usd": use.usd if use is not None else 0.0,
            "tokens": use.tokens if use is not None else 0,
        },
    }


def session(row: SessionRow) -> dict[str, Any]:
    """A session of an agent. `active`: the next run of its key goes on in it."""
    return {
        "id": row.id,
        "actor": row.actor,
        "key": row.key,
        "active": row.active,
        "harness": row.harness,
        "account": row.account,
        "work_dir": row.work_dir,
        "machine": row.machine,
        "parent": row.parent,
        "total_usd": row.total_usd,
        "runs": row.runs,
        "failed": row.failed,
        "why": row.why,
        "run_id": row.run_id,
        "created_at": when(row.created_at),
        "changed_at": when(row.changed_at),
    }


def source_health(id: str, row: SourceRow | None) -> dict[str, Any]:
    """A source's health. `circuitOpen`: it failed so often that its polls are far apart."""
    return {
        "sourceId": id,
        "status": health_of_source(row),
        "lastSuccessfulPoll": when(row.last_success) if row else None,
        "lastPollAttempt": when(row.last_poll) if row else None,
        "consecutiveErrors": row.errors if row else 0,
        "lastError": (row.error or None) if row else None,
        "totalEventsEmitted": row.events if row else 0,
        "circuitOpen": health_of_source(row) == "unhealthy",
    }


def source_line(part: SourcePart, row: SourceRow | None, refusals: Refusals | None) -> dict[str, Any]:
    """A source in a word or two. `refusals` are those of its requests since the daemon's start."""
    return {
        "id": part.spec.id,
        "connector": part.spec.connector,
        "status": health_of_source(row),
        "event_count": row.events if row else 0,
        "last_event": when(row.last_event) if row else None,
        "refused": refusals.times if refusals else 0,
        "refused_unproven": refusals.unproven if refusals else 0,
        "last_refused": when(refusals.at) if refusals else None,
        "refused_why": refusals.reason if refusals else "",
    }


def source(part: SourcePart, row: SourceRow | None, refusals: Refusals | None, module: str) -> dict[str, Any]:
    """A configured source."""
    polls = isinstance(part.source, Poller)
    shown = source_line(part, row, refusals) | {
        "module": module,
        "type": "polling" if polls else "webhook" if part.receiver else "listening",
        "last_poll": when(row.last_poll) if row else None,
        "last_success": when(row.last_success) if row else None,
        "errors": row.errors if row else 0,
        "error": row.error if row else "",
    }
    if polls and part.spec.poll_interval_ms is not None:
        shown["poll_interval"] = format_duration(part.spec.poll_interval_ms)
    return shown


def route(part: OpenRoute, organization: Organization, stats: tuple[int, int | None]) -> dict[str, Any]:
    """A route. `fire_count` counts deliveries, whatever became of them."""
    spec = part.spec
    shown: dict[str, Any] = {
        "name": spec.name,
        "module": organization.name,
        "when": _when(spec.when),
        "actor": spec.actor,
        "transforms": [step.name for step in spec.steps],
        "fire_count": stats[0],
        "last_fired": when(stats[1]),
    }
    if spec.prompt_file is not None:
        shown["sop_file"] = _relative(spec.prompt_file, organization.root)
    if spec.description:
        shown["description"] = spec.description
    return shown


def pause(row: PauseRow) -> dict[str, Any]:
    """An actor whose work waits: nobody answers for it, or its circuit breaker is open."""
    return {
        "actor": row.actor,
        "kind": row.kind,
        "since": when(row.since),
        "until": when(row.until),
        "tries": row.tries,
        "reason": row.reason,
    }


def _when(condition: When) -> dict[str, Any]:
    shown: dict[str, Any] = {"source": condition.source, "events": list(condition.events)}
    if condition.filter:
        shown["filter"] = {
            str(line.path): line.values[0] if len(line.values) == 1 else list(line.values)
            for line in condition.filter
        }
    return shown


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
