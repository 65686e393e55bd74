"""What is claimed, prepared and settled: one try to wake an actor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from orgloop.core.deliveries.admission import Ledger, Unit, Verdict, Waiting, Want
from orgloop.core.deliveries.batch import Batching
from orgloop.core.deliveries.breaker import Sign
from orgloop.core.deliveries.delivery import Facts, Move
from orgloop.core.deliveries.on_busy import Turn
from orgloop.core.deliveries.transition import Transition


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """Whose a claim is: a worker's, until a time, after which others may recover it. None: for good."""

    worker: str
    until: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimWant:
    """How many wakes of `actor` may be claimed now.

    `admit` is the guard, called in the transaction with what is wanted and a ledger that answers for
    that moment; None for actors that only hand over. `reserve` is what each run may use at the most, if the
    actor has runs; `tree` is the root of the work tree in which they work. `accounts` are those that may pay
    for them: the first that may do so now does. Until `closed_until` (ms since 1970) nothing may start; the
    setting `closed_by` says so.
    `pressure`: why the machine can start nothing now.
    `rates_only`: it has no runs, so nothing waits for room for one.
    """

    actor: str
    slots: int
    admit: Callable[[Want, Ledger], Verdict] | None = None
    reserve: Mapping[Unit, int] | None = None
    tree: str | None = None
    accounts: Sequence[str] = ()
    closed_until: int | None = None
    closed_by: str = ""
    pressure: Waiting | None = None
    rates_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A delivery that is woken for together with the one that leads. `document` is as in ClaimedWake."""

    seq: int
    id: str
    event_id: str
    route: str
    document: bytes
    trace_id: str
    hops: int


class ClaimedWake(NamedTuple):
    """A delivery that is now running, with all that waking needs.

    `seq` is its number in the journal. `token` guards every later write: it changes with each claim.
    `document` is the event as the transforms left it. `session_id` is what the key's session led to,
    if anything. `pause_tries` is how many probes of this actor failed; 0 if it is not paused.
    `charged`: something is reserved for the run that it may become. `others` are the members beside this
    delivery, which leads, in acceptance order: whatever becomes of it becomes of them. `account` pays for it.
    """

    id: str
    seq: int
    token: int
    event_id: str
    route: str
    actor: str
    facts: Facts
    key: str | None
    document: bytes
    trace_id: str
    hops: int
    session_id: str | None = None
    pause_tries: int = 0
    charged: bool = False
    account: str | None = None
    others: Sequence[Member] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What was claimed; `held` those that a guard held.

    `next_due` is the next time at which something of these actors is due, or a full scope has room again.
    """

    wakes: Sequence[ClaimedWake]
    held: Sequence[str] = ()
    next_due: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToPrepare:
    """A delivery in `preparing`, in acceptance order. `document` is the event as accepted, `entity` the thing
    that it is about."""

    id: str
    seq: int
    event_id: str
    route: str
    actor: str
    document: bytes
    entity: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What the transforms say: `transition` is Ready, Drop or Hold. The rest is as in NewDelivery."""

    id: str
    transition: Transition
    key: str | None = None
    once: Sequence[tuple[str, int]] = ()
    document: bytes | None = None
    steps: Sequence[Mapping[str, Any]] = ()
    batch: Batching | None = None
    turn: Turn | None = None
    ordered: bool = True


class Try(NamedTuple):
    """What one try was: when it began, and the SOP that it carried (text by hash, path for people)."""

    began: int
    sop_hash: str | None = None
    sop_file: str | None = None
    sop_text: str | None = None


class Settlement(NamedTuple):
    """The end of one try: written only if the delivery is still running under the wake's token.

    `pause_until` counts if `move.pause_actor` is set: the actor is left alone until then. `sign` is what it
    shows to the actor's circuit breaker.
    """

    wake: ClaimedWake
    transition: Transition
    move: Move
    at: int
    tried: Try
    pause_until: int | None = None
    sign: Sign | None = None
