"""`/api`: looking at things. Everything here only reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from orgloop.config.model import Organization
from orgloop.core.deliveries.delivery import State
from orgloop.core.ids import DELIVERY, EVENT, RUN, TRACE
from orgloop.core.records.record import timestamp
from orgloop.errors import NotFound
from orgloop.journal.model import START, DeliveryRow, EventRow, Query, RunRow, StepRow
from orgloop.journal.protocols import Reader
from orgloop.operations.views import json_rows
from orgloop.operations.views.accounts import accounts as all_accounts
from orgloop.web.daemon_api import DaemonApi
from orgloop.web.endpoint import Call
from orgloop.web.parameters import Parameters

T = TypeVar("T")

PAGE: Final = 100
"""How many a list shows unless it is asked for more."""

GONE: Final = "finished work is deleted after `defaults.event_retention`"


async def routes(daemon: DaemonApi, call: Call) -> Any:
    """Every route, with how often it fired."""
    call.parameters.finish()
    stats = await daemon.readings.ask(lambda reader: reader.route_stats())
    wiring = daemon.runtime.wiring
    return [
        json_rows.route(route, wiring.organization, stats.get(route.name, (0, None)))
        for route in wiring.order
    ]


async def sources(daemon: DaemonApi, call: Call) -> Any:
    """Every source, with its health."""
    call.parameters.finish()
    rows = {row.source: row for row in await daemon.readings.ask(lambda reader: reader.sources())}
    return [
        json_rows.source(part, rows.get(id), daemon.runtime.counters.refusals.get(id), daemon.module)
        for id, part in daemon.runtime.wiring.sources.items()
    ]


async def accounts(daemon: DaemonApi, call: Call) -> Any:
    """Every account: who uses it, whether it is parked, what it has used."""
    call.parameters.finish()
    now = daemon.runtime.clock.now()
    found = await daemon.readings.ask(lambda reader: all_accounts(reader, now))
    return [json_rows.account(one) for one in found]


async def events(daemon: DaemonApi, call: Call) -> Any:
    """Events, newest first, with what became of them."""
    asked = call.parameters
    query = _query(
        asked, source=asked.text("source"), route=asked.text("route"), trace_id=asked.text("trace")
    )

    def read(reader: Reader) -> list[dict[str, Any]]:
        return [_event(reader, row, daemon.runtime.organization) for row in reader.events(query)]

    return await daemon.readings.ask(read)


async def event(daemon: DaemonApi, call: Call) -> Any:
    """One event as it was accepted, and all that happened to its deliveries."""
    call.parameters.finish()
    id = call.names["id"]

    def read(reader: Reader) -> dict[str, Any]:
        row = _found(reader.event(id), "event", id)
        deliveries, steps = _of_event(reader, row)
        return json_rows.event(row, deliveries, steps, daemon.runtime.organization) | {
            "event": row.document,
            "deliveries": [_delivery(one) for one in deliveries],
            "steps": [json_rows.step(one) for one in steps],
        }

    return await daemon.readings.ask(read)


async def deliveries(daemon: DaemonApi, call: Call) -> Any:
    """Deliveries, newest first."""
    asked = call.parameters
    query = _query(
        asked,
        states=[State(word) for word in asked.words("state", [state.value for state in State])],
        route=asked.text("route"),
        actor=asked.text("actor"),
        reason=asked.text("reason"),
    )
    found = await daemon.readings.ask(lambda reader: reader.deliveries(query))
    return [json_rows.delivery(row) for row in found]


async def delivery(daemon: DaemonApi, call: Call) -> Any:
    """One delivery, what its transforms did, and all that happened to it."""
    call.parameters.finish()
    id = call.names["id"]

    def read(reader: Reader) -> dict[str, Any]:
        row = _found(reader.delivery(id), "delivery", id)
        steps = reader.steps(Query(delivery_id=id, event_id=row.event_id, after=START, limit=1000))
        return _delivery(row) | {
            "steps": [json_rows.step(one) for one in steps],
            "event": _document(reader, row),
        }

    return await daemon.readings.ask(read)


async def runs(daemon: DaemonApi, call: Call) -> Any:
    """Runs, newest first."""
    asked = call.parameters
    open_only = asked.flag("open")
    query = _query(asked, route=asked.text("route"), actor=asked.text("actor"))
    found = await daemon.readings.ask(lambda reader: reader.runs(query, open_only=open_only))
    return [_run(daemon, row) for row in found]


async def run(daemon: DaemonApi, call: Call) -> Any:
    """One run, with what was started and what it came to."""
    call.parameters.finish()
    id = call.names["id"]
    row = _found(await daemon.readings.ask(lambda reader: reader.run(id)), "run", id)
    return _run(daemon, row) | {"spec": row.spec, "completion": row.completion}


async def trace(daemon: DaemonApi, call: Call) -> Any:
    """Show one chain from its first event to its end, by the id of anything in it."""
    call.parameters.finish()
    id = call.names["id"]

    def read(reader: Reader) -> dict[str, Any]:
        trace_id = _trace_of(reader, id)
        events, deliveries, steps, runs = reader.trace(trace_id)
        _found(events or None, "trace", trace_id)
        return {
            "trace_id": trace_id,
            "events": [{**row.document, "accepted_at": timestamp(row.at)} for row in events],
            "deliveries": [_delivery(row) for row in deliveries],
            "steps": [json_rows.step(row) for row in steps],
            "runs": [_run(daemon, row) for row in runs],
        }

    return await daemon.readings.ask(read)


async def doctor(daemon: DaemonApi, call: Call) -> Any:
    """What `orgloop doctor --json` prints."""
    call.parameters.finish()
    return await daemon.doctor()


def _query(asked: Parameters, **filters: Any) -> Query:
    """With the filters that every list has."""
    until = asked.time("to")
    query = Query(
        since=asked.time("from"),
        # `to` is part of what is asked for; the journal's bound is not.
        until=None if until is None else until + 1,
        limit=asked.limit(PAGE),
        payloads=False,
        **filters,
    )
    asked.finish()
    return query


def _event(reader: Reader, row: EventRow, organization: Organization) -> dict[str, Any]:
    found, steps = _of_event(reader, row)
    return json_rows.event(row, found, steps, organization)


def _of_event(reader: Reader, row: EventRow) -> tuple[Sequence[DeliveryRow], Sequence[StepRow]]:
    if not row.routes:
        return (), ()
    query = Query(event_id=row.id, after=START, limit=1000, payloads=False)
    return reader.deliveries(query), reader.steps(query)


def _delivery(row: DeliveryRow) -> dict[str, Any]:
    return json_rows.delivery(row) | {"transforms": list(row.steps)}


def _run(daemon: DaemonApi, row: RunRow) -> dict[str, Any]:
    """With the last words and the cost of one that goes on: the journal hears them a little later."""
    live = daemon.runtime.runs.live.get(row.id)
    if live is None or row.ended_at is not None:
        return json_rows.run(row)
    cost = live.cost_usd if live.cost_usd is not None else row.cost_usd
    return json_rows.run(row) | {"last_line": live.last_line or row.last_line, "cost_usd": cost}


def _document(reader: Reader, row: DeliveryRow) -> Any:
    """The event as its actor sees it."""
    if row.document is not None:
        return row.document
    found = reader.event(row.event_id)
    return found.document if found else None


def _trace_of(reader: Reader, id: str) -> str:
    row: EventRow | DeliveryRow | RunRow
    match id.partition("_")[0]:
        case prefix if prefix == TRACE:
            return id
        case prefix if prefix == EVENT:
            row = _found(reader.event(id), "event", id)
        case prefix if prefix == DELIVERY:
            row = _found(reader.delivery(id), "delivery", id)
        case prefix if prefix == RUN:
            row = _found(reader.run(id), "run", id)
        case _:
            row = _found(reader.event(id), "trace, event, delivery or run", id)
    return row.trace_id


def _found(row: T | None, what: str, id: str) -> T:
    if row is None:
        raise NotFound(f"there is no {what} {id}", hint=GONE)
    return row
