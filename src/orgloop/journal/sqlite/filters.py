"""What a `Query` asks of each list, as SQL conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query

_PARTIAL: Final[Mapping[frozenset[State], str]] = {
    frozenset({State.PREPARING}): "state = 'preparing'",
    frozenset({State.RUNNING, State.STARTED}): "state IN ('running', 'started')",
    frozenset({State.HELD, State.DEAD}): "state IN ('held', 'dead')",
}
"""Words of partial indexes: a condition that says the same lets them be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """One list: the columns its filters mean. An empty column asks for an event with such a delivery.

    `light` is its statement without large payloads.
    """

    name: str
    table: str
    time: str
    source: str = "e.source"
    trace_id: str = "e.trace_id"
    event_id: str = "e.id"
    delivery_id: str = "d.id"
    route: str = "d.route"
    actor: str = "d.actor"
    state: str = "d.state"
    reason: str = "d.reason"
    light: str = ""


EVENTS: Final = Listing(
    name="events",
    table="e",
    time="e.at",
    delivery_id="",
    route="",
    actor="",
    state="",
    reason="",
    light="events_light",
)
DELIVERIES: Final = Listing(name="deliveries", table="d", time="d.accepted_at", light="deliveries_light")
STEPS: Final = Listing(name="steps", table="s", time="s.at", state="s.state", reason="s.reason")
RUNS: Final = Listing(
    name="runs",
    table="r",
    time="r.started_at",
    trace_id="r.trace_id",
    route="r.route",
    actor="r.actor",
    reason="r.reason",
)


SYSTEM: Final = Listing(name="system", table="y", time="y.at", source="y.subject", event_id="y.event_id")
"""Only these filters may be asked of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """The WHERE of a list. `narrow`: an index leads to the few rows it asks for."""

    terms: Sequence[str]
    values: Sequence[Any]
    narrow: bool


def conditions(listing: Listing, query: Query) -> Conditions:
    """All that `query` asks, but for `after` and `limit`."""
    terms: list[str] = []
    values: list[Any] = []
    of_delivery: list[str] = []
    of_values: list[Any] = []

    def ask(column: str, inner: str, test: str, *given: Any) -> None:
        if column:
            terms.append(f"{column} {test}")
            values.extend(given)
        else:
            of_delivery.append(f"x.{inner} {test}")
            of_values.extend(given)

    for column, inner, value in (
        (listing.source, "", query.source),
        (listing.trace_id, "", query.trace_id),
        (listing.event_id, "", query.event_id),
        (listing.delivery_id, "id", query.delivery_id),
        (listing.route, "route", query.route),
        (listing.actor, "actor", query.actor),
        (listing.reason, "reason", query.reason),
    ):
        if value:
            ask(column, inner, "= ?", value)
    if query.states:
        ask(listing.state, "state", f"IN ({', '.join('?' * len(query.states))})", *query.states)
    if of_delivery:
        terms.append(
            f"EXISTS (SELECT 1 FROM deliveries x WHERE x.event_seq = e.seq AND {' AND '.join(of_delivery)})"
        )
        values.extend(of_values)
    if query.since is not None:
        terms.append(f"{listing.time} >= ?")
        values.append(query.since)
    if query.until is not None:
        terms.append(f"{listing.time} < ?")
        values.append(query.until)
    partial = _partial(listing, query.states)
    if partial:
        terms.append(partial)
    narrow = bool(partial or query.trace_id or query.event_id or (query.delivery_id and listing.delivery_id))
    return Conditions(terms=terms, values=values, narrow=narrow)


def _partial(listing: Listing, states: Sequence[State]) -> str:
    if listing is not DELIVERIES or not states:
        return ""
    return next((f"d.{word}" for these, word in _PARTIAL.items() if these.issuperset(states)), "")
