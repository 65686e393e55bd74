"""One chain as a tree: each event, the deliveries that it caused, their runs, and what those caused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orgloop.errors import NotFound

if TYPE_CHECKING:
    from orgloop.journal.model import DeliveryRow, EventRow, RunRow, StepRow
    from orgloop.journal.protocols import Reader
    from orgloop.operations.views.waits import Waits


@dataclass(kw_only=True, slots=True)
class DeliveryNode:
    """A delivery with what happened to it, its run, and the events that the run caused.

    `waits` is why it waits; empty if it does not.
    """

    row: DeliveryRow
    waits: str = ""
    steps: list[StepRow] = field(default_factory=list)
    run: RunRow | None = None
    events: list[EventNode] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class EventNode:
    """An event with its deliveries."""

    row: EventRow
    deliveries: list[DeliveryNode] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """All of one trace.

    `cost_usd` sums what its runs reported, None if none did; `span_ms` is from first to last.
    """

    trace_id: str
    roots: Sequence[EventNode]
    events: int
    runs: int
    cost_usd: float | None
    span_ms: int
    open: bool


def trace_of(reader: Reader, id: str) -> str:
    """The trace that an event, delivery, run or trace belongs to. Raises NotFound."""
    from orgloop.journal.model import Query

    kind = id.partition("_")[0]
    found = None
    if kind == "trc":
        found = id if reader.events(Query(trace_id=id, limit=1)) else None
    elif kind == "evt":
        event = reader.event(id)
        found = event.trace_id if event else None
    elif kind == "dlv":
        delivery = reader.delivery(id)
        found = delivery.trace_id if delivery else None
    elif kind == "run":
        run = reader.run(id)
        found = run.trace_id if run else None
    else:
        raise NotFound(
            f"{id!r} is not an id",
            hint="ids begin with evt_, dlv_, run_ or trc_: `orgloop events` lists some",
        )
    if found is None:
        raise NotFound(f"there is no {id} in this home's journal", hint="`orgloop events` lists the events")
    return found


def last_event(reader: Reader) -> str:
    """The newest event's id. Raises NotFound if there is none."""
    from orgloop.journal.model import Query

    found = reader.events(Query(limit=1, payloads=False))
    if not found:
        raise NotFound("there is no event yet", hint="`orgloop emit` sends one")
    return found[0].id


def read_chain(reader: Reader, trace_id: str, waits: Waits | None = None) -> Chain:
    """The whole chain; `waits` says why what waits does. Raises NotFound if there is none."""
    events, deliveries, steps, runs = reader.trace(trace_id)
    if not events:
        raise NotFound(
            f"there is no {trace_id} in this home's journal", hint="`orgloop events` lists the events"
        )
    run_of = {run.delivery_id: run for run in runs if run.reason != "not_started"}
    nodes = {event.id: EventNode(row=event) for event in events}
    by_delivery: dict[str, DeliveryNode] = {}
    for row in deliveries:
        node = DeliveryNode(row=row, run=run_of.get(row.lead), waits=waits.why(row) if waits else "")
        by_delivery[row.id] = node
        nodes[row.event_id].deliveries.append(node)
    for step in steps:
        if step.delivery_id in by_delivery:
            by_delivery[step.delivery_id].steps.append(step)
    # What did not start is no run here, but its `session.started` belongs to its delivery all the same.
    by_run = {run.id: by_delivery[run.delivery_id] for run in runs if run.delivery_id in by_delivery}
    for node in by_delivery.values():
        # The delivery that leads its wake may be in another chain.
        if node.run is not None:
            by_run.setdefault(node.run.id, node)
    roots = list(_attach(nodes, by_run))
    costs = [run.cost_usd for run in runs if run.cost_usd is not None]
    ends = [row.at for row in events] + [step.at for step in steps]
    return Chain(
        trace_id=trace_id,
        roots=roots,
        events=len(events),
        runs=len(run_of),
        cost_usd=sum(costs) if costs else None,
        span_ms=max(ends) - events[0].at,
        open=any(
            row.state not in ("delivered", "dropped", "discarded", "held", "dead") for row in deliveries
        ),
    )


def _attach(nodes: dict[str, EventNode], by_run: dict[str, DeliveryNode]) -> Iterator[EventNode]:
    """Hang every event under the run that caused it; yields those that nothing here caused."""
    for node in nodes.values():
        cause = by_run.get(str(_payload(node.row).get("run_id")))
        if cause is not None and cause.row.event_id != node.row.id:
            cause.events.append(node)
        else:
            yield node


def _payload(row: EventRow) -> dict[str, Any]:
    payload = row.document.get("payload")
    return payload if isinstance(payload, dict) else {}


def document(chain: Chain) -> dict[str, Any]:
    """The chain for programs: each part has the shape that `/api` gives it."""
    return {
        "trace_id": chain.trace_id,
        "events": chain.events,
        "runs": chain.runs,
        "cost_usd": chain.cost_usd,
        "span_ms": chain.span_ms,
        "open": chain.open,
        "tree": [_event_shape(root) for root in chain.roots],
    }


def _event_shape(node: EventNode) -> dict[str, Any]:
    from orgloop.operations.views import json_rows

    return {
        **node.row.document,
        "accepted_at": json_rows.when(node.row.at),
        "deliveries": [
            {
                **json_rows.delivery(one.row),
                "waits": one.waits,
                "steps": [json_rows.step(step) for step in one.steps],
                "run": json_rows.run(one.run) if one.run is not None else None,
                "events": [_event_shape(event) for event in one.events],
            }
            for one in node.deliveries
        ],
    }
