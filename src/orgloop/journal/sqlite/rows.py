"""What the reader's queries bring, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orgloop.core.deliveries.admission import NEVER, LimitScope, ScopeLevel, Unit, WaitCause, Waiting, Window
from orgloop.core.deliveries.delivery import State
from orgloop.core.records.record import RecordPhase
from orgloop.core.text.json_text import load_json
from orgloop.journal.model import (
    AccountUse,
    AppliedRow,
    BacklogRow,
    Cursor,
    DaemonRow,
    DeliveryRow,
    EventRow,
    ParkedRow,
    PauseKind,
    PauseRow,
    RunRow,
    SessionRow,
    SourceRow,
    StepRow,
    SystemRow,
    WaitRow,
)

Raw = tuple[Any, ...]


def cursor(seq: int) -> Cursor:
    """The one writer draws numbers inside its transactions: their order is that of the commits."""
    return Cursor(str(seq))


def event_row(raw: Raw) -> EventRow:
    """A row of `events`."""
    return EventRow(
        cursor=cursor(raw[0]),
        id=raw[1],
        at=raw[2],
        source=raw[3],
        type=raw[4],
        platform_event=raw[5],
        trace_id=raw[6],
        hops=raw[7],
        routes=raw[8],
        document=load_json(raw[9]),
        entity=raw[10],
    )


def delivery_row(raw: Raw) -> DeliveryRow:
    """A row of `deliveries`."""
    return DeliveryRow(
        cursor=cursor(raw[0]),
        id=raw[1],
        event_id=raw[2],
        trace_id=raw[3],
        source=raw[4],
        event_type=raw[5],
        route=raw[6],
        actor=raw[7],
        runs=bool(raw[8]),
        state=State(raw[9]),
        reason=raw[10],
        detail=raw[11],
        key=raw[12],
        head=bool(raw[13]),
        due=raw[14],
        accepted_at=raw[15],
        changed_at=raw[16],
        age_from=raw[17],
        attempts=raw[18],
        failures=raw[19],
        crashes=raw[20],
        waived=tuple(filter(None, raw[21].split(","))),
        run_id=raw[22],
        steps=() if raw[23] is None else load_json(raw[23]),
        document=None if raw[24] is None else load_json(raw[24]),
        members=() if raw[25] is None else load_json(raw[25]),
        batch_until=raw[26],
        cancelled_by=raw[27],
    )


def system_row(raw: Raw) -> SystemRow:
    """A row of `system`."""
    return SystemRow(
        cursor=cursor(raw[0]),
        at=raw[1],
        phase=RecordPhase(raw[2]),
        subject=raw[3],
        event_id=raw[4],
        detail=raw[5],
        times=raw[6],
    )


def step_row(raw: Raw) -> StepRow:
    """A row of `steps`."""
    return StepRow(
        cursor=cursor(raw[0]),
        at=raw[1],
        delivery_id=raw[2],
        event_id=raw[3],
        trace_id=raw[4],
        source=raw[5],
        event_type=raw[6],
        route=raw[7],
        actor=raw[8],
        transition=raw[9],
        state=State(raw[10]),
        attempt=raw[11],
        began=raw[12],
        reason=raw[13],
        detail=raw[14],
        sop_hash=raw[15],
        sop_file=raw[16],
        run_id=raw[17],
        run_outcome=raw[18],
        platform_event=raw[19],
        run_ms=raw[20],
    )


def run_row(raw: Raw) -> RunRow:
    """A row of `runs`."""
    return RunRow(
        cursor=cursor(raw[0]),
        id=raw[1],
        delivery_id=raw[2],
        event_id=raw[3],
        trace_id=raw[4],
        hops=raw[5],
        actor=raw[6],
        route=raw[7],
        harness=raw[8],
        key=raw[9],
        session_id=raw[10],
        directory=raw[11],
        run_dir=raw[12],
        spec=load_json(raw[13]),
        started_at=raw[14],
        ended_at=raw[15],
        outcome=raw[16],
        reason=raw[17],
        text=raw[18],
        exit_status=raw[19],
        cost_usd=raw[20],
        completion=load_json(raw[21]),
        last_line=raw[22],
        last_seen=raw[23],
    )


def backlog_row(raw: Raw, heads: Mapping[tuple[str, str], tuple[int, int]]) -> BacklogRow:
    """A group of deliveries that are not finished. `heads`: since when, and when due, by actor and route."""
    state, since, due = State(raw[2]), raw[5], None
    if state is State.PENDING:
        since, due = heads.get((raw[0], raw[1]), (since, None))
    return BacklogRow(
        actor=raw[0], route=raw[1], state=state, reason=raw[3], count=raw[4], since=since, due=due
    )


def source_row(raw: Raw) -> SourceRow:
    """A row of `sources`."""
    return SourceRow(
        source=raw[0],
        checkpoint=raw[1],
        last_poll=raw[2],
        last_success=raw[3],
        last_event=raw[4],
        errors=raw[5],
        error=raw[6],
        events=raw[7],
    )


def pause_row(raw: Raw) -> PauseRow:
    """A row of `pauses`."""
    return PauseRow(
        actor=raw[0], since=raw[1], until=raw[2], tries=raw[3], reason=raw[4], kind=PauseKind(raw[5])
    )


def wait_row(raw: Raw) -> WaitRow:
    """A row of `waits_for`."""
    return WaitRow(
        waiting=Waiting(
            scope=LimitScope(level=ScopeLevel(raw[0]), name=raw[1], actor=raw[2]),
            unit=Unit(raw[3]),
            window=Window(raw[4]),
            limit=raw[5],
            setting=raw[6],
            until=NEVER if raw[8] is None else raw[8],
            cause=WaitCause(raw[9]),
        ),
        since=raw[7],
    )


def account_use(raw: Raw) -> AccountUse:
    """A row of `account_use`."""
    return AccountUse(account=raw[0], at_work=raw[1], ended=raw[2], usd=raw[3] / 1e6, tokens=raw[4])


def parked_row(raw: Raw) -> ParkedRow:
    """A row of `parked`."""
    return ParkedRow(
        account=raw[0],
        since=raw[1],
        until=raw[2],
        by_person=bool(raw[3]),
        reason=raw[4],
        probe=None if raw[5] is None else (raw[5], raw[6]),
    )


def applied_row(raw: Raw) -> AppliedRow:
    """A row of `applied`."""
    return AppliedRow(at=raw[0], project=raw[1], root=raw[2], snapshot=load_json(raw[3]))


def daemon_row(raw: Raw) -> DaemonRow:
    """A row of `daemons`."""
    return DaemonRow(
        started_at=raw[0], last_seen=raw[1], ended_at=raw[2], pid=raw[3], port=raw[4], version=raw[5]
    )


def session_row(raw: Raw) -> SessionRow:
    return SessionRow(
        actor=raw[0],
        id=raw[1],
        key=raw[2],
        active=bool(raw[3]),
        harness=raw[4],
        account=raw[5],
        work_dir=raw[6],
        machine=raw[7],
        parent=raw[8],
        total_usd=raw[9],
        runs=raw[10],
        failed=raw[11],
        why=raw[12],
        run_id=raw[13],
        created_at=raw[14],
        changed_at=raw[15],
        context_tokens=raw[16],
    )
