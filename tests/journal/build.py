"""Small words for journal tests: events, deliveries, and what happens to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from orgloop.core.deliveries.batch import Batching
from orgloop.core.deliveries.breaker import Sign
from orgloop.core.deliveries.delivery import DeliveryPolicy, State, move
from orgloop.core.deliveries.on_busy import Turn
from orgloop.core.deliveries.queue_limit import QueueLimit
from orgloop.core.deliveries.retry import RetryPolicy
from orgloop.core.deliveries.transition import RunEnded, Started, Transition
from orgloop.journal.model import (
    Acceptance,
    Accepted,
    AppliedRow,
    ClaimedWake,
    ClaimWant,
    DaemonRow,
    DeliveryRow,
    NewDelivery,
    NewEvent,
    RunEnd,
    RunStart,
    Settlement,
    Try,
)
from orgloop.journal.protocols import Journal, Reader

POLICY: Final = DeliveryPolicy(retry=RetryPolicy(max_attempts=3, initial_delay_ms=100, backoff="fixed"))
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR


def delivery(
    name: str,
    *,
    route: str = "route",
    actor: str = "actor",
    runs: bool = False,
    state: State = State.PENDING,
    reason: str = "",
    key: str | None = None,
    once: Sequence[tuple[str, int]] = (),
    document: Mapping[str, Any] | None = None,
    steps: Sequence[Mapping[str, Any]] = (),
    batch: Batching | None = None,
    turn: Turn | None = None,
    drop_key: str | None = None,
    queue: QueueLimit | None = None,
    ordered: bool = True,
) -> NewDelivery:
    return NewDelivery(
        id=f"dlv_{name}",
        route=route,
        actor=actor,
        runs=runs,
        state=state,
        reason=reason,
        key=key,
        once=once,
        document=None if document is None else orjson.dumps(document),
        steps=steps,
        batch=batch,
        turn=turn,
        drop_key=drop_key,
        queue=queue,
        ordered=ordered,
    )


def event(
    name: str,
    *deliveries: NewDelivery,
    source: str = "source",
    identity: str | None = None,
    trace: str = "",
    hops: int = 0,
    needless: Sequence[tuple[str, str]] = (),
) -> NewEvent:
    return NewEvent(
        id=f"evt_{name}",
        source=source,
        type="resource.changed",
        platform_event="push",
        trace_id=f"trc_{trace or name}",
        hops=hops,
        document=orjson.dumps({"id": f"evt_{name}"}),
        deliveries=deliveries,
        identity=identity,
        needless=needless,
    )


async def accept(
    journal: Journal,
    *events: NewEvent,
    at: int = 0,
    request: str | None = None,
    checkpoint: str | None = None,
    source: str = "source",
) -> Sequence[Accepted]:
    return await journal.accept(
        Acceptance(source=source, at=at, events=events, request=request, checkpoint=checkpoint)
    )


async def enter(journal: Journal, name: str, *, at: int = 0, hops: int = 0, **more: Any) -> None:
    """One event with one delivery, both of this name."""
    await accept(journal, event(name, delivery(name, **more), hops=hops), at=at)


async def claim(
    journal: Journal, *, now: int = 0, slots: int = 100, actor: str = "actor"
) -> Sequence[ClaimedWake]:
    claims = await journal.claim([ClaimWant(actor=actor, slots=slots)], now)
    return claims.wakes


async def claim_one(journal: Journal, *, now: int = 0, actor: str = "actor") -> ClaimedWake:
    (wake,) = await claim(journal, now=now, actor=actor)
    return wake


def settlement(
    wake: ClaimedWake,
    transition: Transition,
    *,
    at: int = 0,
    began: int | None = None,
    sop: tuple[str, str] | None = None,
    pause_until: int | None = None,
    sign: Sign | None = None,
) -> Settlement:
    text, hash_ = sop or (None, None)
    return Settlement(
        wake=wake,
        transition=transition,
        move=move(wake.facts, transition, POLICY, at, 0.5),
        at=at,
        tried=Try(began=at if began is None else began, sop_hash=hash_, sop_text=text, sop_file=hash_),
        pause_until=pause_until,
        sign=sign,
    )


async def settle(journal: Journal, wake: ClaimedWake, transition: Transition, **more: Any) -> bool:
    return await journal.settle(settlement(wake, transition, **more))


def run_start(
    wake: ClaimedWake,
    run_id: str,
    *,
    at: int = 0,
    session: tuple[str, str | None] | None = None,
    directory: str | None = None,
) -> RunStart:
    return RunStart(
        run_id=run_id,
        settlement=settlement(wake, Started(run_id=run_id), at=at),
        actor=wake.actor,
        harness="process",
        directory=directory,
        run_dir=f"/runs/{run_id}",
        spec={"argv": ["true"]},
        limits={"total_ms": 1_000},
        session=session,
    )


def run_end(
    wake: ClaimedWake, run_id: str, *, transition: Transition | None = None, at: int = 0, **more: Any
) -> RunEnd:
    """The end of a run that `wake` started with one attempt."""
    transition = transition or RunEnded(detail="done")
    facts = wake.facts._replace(state=State.STARTED, attempts=wake.facts.attempts + 1)
    given = {"outcome": "success", "reason": "exit_code_0", **more}
    return RunEnd(
        run_id=run_id, transition=transition, move=move(facts, transition, POLICY, at, 0.5), at=at, **given
    )


def row(reader: Reader, name: str) -> DeliveryRow:
    found = reader.delivery(f"dlv_{name}")
    assert found is not None, f"dlv_{name} is not in the journal"
    return found


def life(started_at: int, *, ended_at: int | None = None) -> DaemonRow:
    return DaemonRow(
        started_at=started_at, last_seen=started_at, ended_at=ended_at, pid=1, port=4800, version="0.1.0"
    )


def applied(at: int = 0) -> AppliedRow:
    return AppliedRow(at=at, project="project", root="/project", snapshot={"routes": []})
