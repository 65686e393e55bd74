"""What goes into the journal and what comes out of it: plain values, the same for every backend.

Times are milliseconds since 1970. Documents are events as JSON bytes.
"""

from __future__ import annotations

from orgloop.journal.model.accepting import Acceptance, Accepted, NewDelivery, NewEvent, Repeats
from orgloop.journal.model.looking import (
    START,
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
    Query,
    RunRow,
    SessionRow,
    SourceRow,
    StepRow,
    SystemEntry,
    SystemRow,
    WaitRow,
)
from orgloop.journal.model.running import Cause, OpenRemote, OpenRun, RunBegun, RunEnd, RunStart
from orgloop.journal.model.waking import (
    ClaimedWake,
    Claims,
    ClaimWant,
    Lease,
    Member,
    Prepared,
    Settlement,
    ToPrepare,
    Try,
)

__all__ = [
    "START",
    "Acceptance",
    "Accepted",
    "AppliedRow",
    "BacklogRow",
    "ClaimWant",
    "ClaimedWake",
    "Cause",
    "Claims",
    "Cursor",
    "Lease",
    "DaemonRow",
    "DeliveryRow",
    "EventRow",
    "Member",
    "NewDelivery",
    "NewEvent",
    "OpenRemote",
    "OpenRun",
    "PauseKind",
    "PauseRow",
    "Prepared",
    "Query",
    "Repeats",
    "RunBegun",
    "RunEnd",
    "RunRow",
    "RunStart",
    "SessionRow",
    "Settlement",
    "SourceRow",
    "StepRow",
    "SystemEntry",
    "SystemRow",
    "ToPrepare",
    "Try",
    "ParkedRow",
    "AccountUse",
    "WaitRow",
]
