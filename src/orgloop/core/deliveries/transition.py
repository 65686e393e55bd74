"""What can happen to a delivery: how a try ended, and everything else that moves it. A closed set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HoldReason(StrEnum):
    """Why a delivery waits for a person."""

    HOPS = "hops"
    """More runs caused by runs than `limits.max_hops` allows."""
    BUDGET = "budget"
    """A total, which no time refills, is used up."""
    STALE = "stale"
    """Older than `delivery.max_age` before an agent could be woken."""
    CRASHES = "crashes"
    """Our own crash interrupted it three times."""
    NO_SOP = "no_sop"
    """Its prompt file is missing or unreadable."""
    UNTRUSTED = "untrusted"
    """Its author does not have the trust that the route demands."""
    TRANSFORM = "transform"
    """A transform failed and its `on_error` is `hold` or `halt`."""
    REMOVED = "removed"
    """Its route or actor is no longer in the project."""
    LOOP = "loop"
    """Its chain repeats itself, or its key has had too many runs."""
    OVERFLOW = "overflow"
    """More of its route wait than `delivery.queue_depth` allows."""
    CONFIG = "config"
    """What the wake needs cannot be made from this event and this configuration."""


class DropReason(StrEnum):
    """Which rule ended a delivery without a wake."""

    TRANSFORM = "transform"
    DUPLICATE = "duplicate"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    OWN_WORDS = "own_words"
    SUPERSEDED = "superseded"
    """A later version of the same thing takes its place in its batch."""
    REPLACED = "replaced"
    """A later event of its key takes its place: `on_busy` says so."""
    BUSY = "busy"
    """Another of its key has not finished: `on_busy` says so."""
    NEEDLESS = "needless"
    """A later event of its key came for which `drop_when` says so."""
    OVERFLOW = "overflow"
    """More of its route wait than `delivery.queue_depth` allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """The actor has it. `detail` is for people, such as `200 OK`."""

    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A run goes on; the delivery ends with it."""

    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """The actor had a reason not to act. Not a failure, not tried again."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The actor will never take this one. Dead at once."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """The try failed; counted. `known` is false if the actor may have got it all the same (a timeout).

    `after_ms`: the actor's own word for how long to wait.
    """

    reason: str
    known: bool = True
    after_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Throttled:
    """The actor asks to wait until `until` (ms since 1970). Not counted."""

    until: int
    reason: str = "throttled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unavailable:
    """The actor is not there: refused, unresolved, 503, no such program. Not counted; pauses the actor."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Limited:
    """The account's usage limit is reached until `until` (ms since 1970). Not counted."""

    account: str
    until: int
    reason: str = "usage limit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted:
    """We stopped in the middle. `crash` is false for a planned stop, which counts nothing."""

    crash: bool


DeliverOutcome = Delivered | Skipped | Rejected | Retry | Throttled | Unavailable | Limited
"""What an actor that answers at once can answer."""

Outcome = DeliverOutcome | Interrupted
"""How one try ended: a closed set. A run that has started is no end: it ends later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """Prepared: the transforms let it pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """A rule said no."""

    reason: DropReason
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """A guard tripped; a person decides."""

    reason: HoldReason
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """The dispatcher took it to wake its actor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnded:
    """Its run ended, whatever the exit status. `detail` is the run's one-line result."""

    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotStarted:
    """The run that owned it never began its work; what to do is said by `outcome`."""

    outcome: Retry | Unavailable | Throttled | Limited | Rejected | Interrupted


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    """Its route changed before the first try: the transforms run again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """A person (or a returning route) lets a held one go on, at the tail of its key.

    What a transform held is prepared again, unless `skip`: then it goes on without the step that failed.
    """

    by: str = "operator"
    skip: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Retried:
    """A person gives a dead one a new life, with all its attempts."""

    by: str = "operator"


@dataclass(frozen=True, kw_only=True, slots=True)
class Discarded:
    """A person decided that it is no longer needed."""

    by: str = "operator"
    detail: str = ""


Transition = (
    Outcome
    | Started
    | Ready
    | Drop
    | Hold
    | Claimed
    | RunEnded
    | NotStarted
    | Prepare
    | Released
    | Retried
    | Discarded
)
