"""May this wake start now? One pure function; what it needs to know it asks a ledger, and only that."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol, assert_never

from orgloop.core.deliveries.transition import Hold, HoldReason
from orgloop.core.text.units import format_size, humanize

NEVER: Final = (1 << 63) - 1
"""A time (ms since 1970) that does not come: time alone makes no room, something must end first."""


class ScopeLevel(StrEnum):
    """How far a limit reaches."""

    ORGANIZATION = "organization"
    NODE = "node"
    """One machine. With SQLite it is the home, as the organization is."""
    ACCOUNT = "account"
    ACTOR = "actor"
    ROUTE = "route"
    KEY = "key"
    TRACE = "trace"
    WORKTREE = "work_tree"


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitScope:
    """What a limit counts. A whole home has no name.

    `actor` is set for a key, which is an actor's own, and for a work tree: who waits for it.
    """

    level: ScopeLevel
    name: str = ""
    actor: str = ""

    def __str__(self) -> str:
        return f"{self.level.replace('_', ' ')} {self.name}".rstrip()


class Unit(StrEnum):
    """What is counted. All amounts are whole numbers."""

    RUNS = "runs"
    USD = "usd"
    """In millionths of a US dollar."""
    TOKENS = "tokens"
    RUN_TIME = "run_time"
    """In milliseconds."""
    WAKES = "wakes"
    """How often the actor is woken. Tries that failed count, too."""


class Window(StrEnum):
    """Over which time."""

    AT_ONCE = "at_once"
    """What goes on now."""
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    EVER = "ever"


WINDOW_MS: Final[Mapping[Window, int]] = MappingProxyType(
    {Window.SECOND: 1_000, Window.MINUTE: 60_000, Window.HOUR: 3_600_000, Window.DAY: 86_400_000}
)
"""How long the windows that roll are. A charge is in its window until it is as old as that."""


class WaitCause(StrEnum):
    """Why the wakes of a scope have to wait."""

    LIMIT = "limit"
    """A limit is reached."""
    PARKED = "parked"
    """All accounts that may pay for them are parked."""
    QUIET = "quiet"
    """It is a time of the day at which nothing is to start."""
    MEMORY = "memory"
    """The machine has too little free memory. The limit is in bytes."""
    LOAD = "load"
    """The machine has too much to do. The limit is a hundredth of its load."""
    PAUSED = "paused"
    """A person paused a route or an actor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What is used, and from when on there is room for what is needed: a time that has come, one to come,
    or NEVER. `reserved` is the part of it that runs which go on may yet give back.
    """

    used: int
    free_at: int
    reserved: int = 0


class Ledger(Protocol):
    """Answers for one wake from the journal, inside the transaction of its claim."""

    def room(self, scope: LimitScope, unit: Unit, window: Window, need: int, limit: int) -> Room:
        """What the scope has used. Runs count when they start; what they cost counts as reserved while they
        go on, and as spent once they have ended, from their end on."""
        ...

    def busy_trees(self) -> Collection[str]:
        """The roots of the work trees in which runs go on."""
        ...

    def waited(self, since: int) -> int:
        """For how many ms since then a full scope, or a pause of its actor, has made this wake wait."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """A pending wake of an actor that has limits. `age_from` is ms since 1970.

    `tree` is the root of the work tree in which the run would work, or None. `needs` is what the run may
    use, and is reserved for it. `waived` are the guards that a person has already lifted for it.
    `other_traces` are those of the events beside the one that leads.
    """

    actor: str
    route: str
    trace: str
    hops: int
    age_from: int
    key: str | None = None
    account: str | None = None
    tree: str | None = None
    needs: Mapping[Unit, int] = field(default_factory=dict)
    waived: Collection[str] = ()
    other_traces: Sequence[str] = ()

    def scopes(self, level: ScopeLevel) -> Sequence[LimitScope]:
        """Its scopes of this level: one, or none, and of traces all that its members belong to."""
        scope = self.scope(level)
        if scope is None:
            return ()
        others = self.other_traces if level is ScopeLevel.TRACE else ()
        return (scope, *(LimitScope(level=level, name=trace) for trace in others))

    def scope(self, level: ScopeLevel) -> LimitScope | None:
        """Its scope of this level, if it has one."""
        match level:
            case ScopeLevel.ORGANIZATION | ScopeLevel.NODE:
                return LimitScope(level=level)
            case ScopeLevel.ACTOR:
                return LimitScope(level=level, name=self.actor)
            case ScopeLevel.ROUTE:
                return LimitScope(level=level, name=self.route)
            case ScopeLevel.TRACE:
                return LimitScope(level=level, name=self.trace)
            case ScopeLevel.ACCOUNT:
                return None if self.account is None else LimitScope(level=level, name=self.account)
            case ScopeLevel.KEY:
                return None if self.key is None else LimitScope(level=level, name=self.key, actor=self.actor)
            case ScopeLevel.WORKTREE:
                return (
                    None if self.tree is None else LimitScope(level=level, name=self.tree, actor=self.actor)
                )
            case _:
                assert_never(level)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """At most so much of one unit over one window. `setting` is the key in `orgloop.yaml` that says so.

    `holds`: what exceeds it is held as a loop, since waiting would let it go on.
    """

    level: ScopeLevel
    unit: Unit
    window: Window
    most: int
    setting: str
    holds: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is allowed for one wake. All of it holds together, so the strictest limit decides.

    None as hops or age: they hold nothing.
    """

    max_hops: int | None = 25
    max_age_ms: int | None = 86_400_000
    limits: Sequence[Limit] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """One reason to wait: a scope that is full. `until` is NEVER if something must end first.

    For accounts that are parked, `setting` names them; for a pause it says who made it, and why.
    """

    scope: LimitScope
    unit: Unit
    window: Window
    limit: int
    until: int
    setting: str
    cause: WaitCause = WaitCause.LIMIT


@dataclass(frozen=True, kw_only=True, slots=True)
class Go:
    """It may start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Not yet, for all of these reasons."""

    reasons: Sequence[Waiting]


Verdict = Go | Wait | Hold


def admit(want: Want, ledger: Ledger, limits: Limits, now: int) -> Verdict:
    """Guards first, since waiting would not help them; then everything that it has to wait for."""
    hops = limits.max_hops
    if hops is not None and HoldReason.HOPS not in want.waived and want.hops >= hops:
        return Hold(
            reason=HoldReason.HOPS,
            detail=f"{want.hops} runs caused each other; defaults.limits.max_hops is {hops}",
        )
    # How long we made it wait is asked only of what would be too old without that.
    oldest = limits.max_age_ms
    if oldest is not None and now - want.age_from > oldest:
        age = now - want.age_from - ledger.waited(want.age_from)
        if age > oldest:
            return Hold(
                reason=HoldReason.STALE,
                detail=f"waited {humanize(age)}; delivery.max_age is {humanize(oldest)}",
            )
    waits = []
    for limit, scope in ((one, scope) for one in limits.limits for scope in want.scopes(one.level)):
        need = 1 if limit.unit in (Unit.RUNS, Unit.WAKES) else want.needs.get(limit.unit, 0)
        room = ledger.room(scope, limit.unit, limit.window, need, limit.most)
        if room.free_at <= now:
            continue
        if limit.holds:
            if HoldReason.LOOP in want.waived:
                continue
            over = f"{amount(limit.unit, room.used)} {_OVER[limit.window]} for {scope}"
            return Hold(reason=HoldReason.LOOP, detail=f"{over}; {limit.setting} is {limit.most}")
        if limit.window is Window.EVER and HoldReason.BUDGET in want.waived:
            continue
        if limit.window is Window.EVER and room.used - room.reserved + need > limit.most:
            # Neither time nor the end of a run makes room in a total.
            used, most = amount(limit.unit, room.used), amount(limit.unit, limit.most)
            return Hold(reason=HoldReason.BUDGET, detail=f"{scope} used {used}; {limit.setting} is {most}")
        waits.append(
            Waiting(
                scope=scope,
                unit=limit.unit,
                window=limit.window,
                limit=limit.most,
                until=room.free_at,
                setting=limit.setting,
            )
        )
    tree = want.scope(ScopeLevel.WORKTREE)
    if tree is not None and tree.name in ledger.busy_trees():
        waits.append(
            Waiting(scope=tree, unit=Unit.RUNS, window=Window.AT_ONCE, limit=1, until=NEVER, setting="")
        )
    return Wait(reasons=waits) if waits else Go()


def amount(unit: Unit, value: int) -> str:
    """An amount for people."""
    match unit:
        case Unit.RUNS:
            return "1 run" if value == 1 else f"{value} runs"
        case Unit.USD:
            return f"${value / 1_000_000:,.2f}"
        case Unit.TOKENS:
            return f"{value:,} tokens"
        case Unit.RUN_TIME:
            return f"{humanize(value)} of run time"
        case Unit.WAKES:
            return "1 wake" if value == 1 else f"{value:,} wakes"
        case _:
            assert_never(unit)


def sentence(wait: Waiting, until: str) -> str:
    """A reason for people. `until` is its time in words, and empty if it has none."""
    match wait.cause:
        case WaitCause.LIMIT:
            return _limit_sentence(wait, until)
        case WaitCause.PARKED if until:
            return f"Account {wait.setting} is parked. Work continues at {until}."
        case WaitCause.PARKED:
            return f"Account {wait.setting} is parked. Type `orgloop accounts resume {wait.setting}`."
        case WaitCause.QUIET:
            return f"Quiet hours (`{wait.setting}`). Work continues at {until}."
        case WaitCause.MEMORY:
            free = f"Less than {format_size(wait.limit)} of memory is free (`{wait.setting}`)"
            return f"{free}. Work continues when there is more."
        case WaitCause.LOAD:
            load = f"The load of this machine is above {wait.limit / 100:g} (`{wait.setting}`)"
            return f"{load}. Work continues when it is lower."
        case WaitCause.PAUSED:
            paused = f"{wait.scope.level.capitalize()} {wait.scope.name} is paused by {wait.setting}"
            again = f"Work continues at {until}, or type" if until else "Type"
            return f"{paused}. {again} `orgloop resume {wait.scope.name}`."
        case _:
            assert_never(wait.cause)


def _limit_sentence(wait: Waiting, until: str) -> str:
    if wait.scope.level is ScopeLevel.WORKTREE:
        return (
            f"One run at a time per work tree, and another run works in {wait.scope.name}. "
            "`orgloop validate` shows how several can run at once."
        )
    if wait.scope.level is ScopeLevel.KEY and wait.window is Window.AT_ONCE:
        return f"One run at a time per session key, and another run of {wait.scope.name} goes on."
    whose = "" if wait.scope.level in (ScopeLevel.ORGANIZATION, ScopeLevel.NODE) else f" for {wait.scope}"
    limit = f"Limit of {amount(wait.unit, wait.limit)} {_OVER[wait.window]}{whose} reached"
    when = f"at {until}" if until else "when a run ends"
    return f"{limit}. Work continues {when}, or raise `{wait.setting}`."


_OVER: Final = MappingProxyType(
    {
        Window.AT_ONCE: "at once",
        Window.SECOND: "a second",
        Window.MINUTE: "a minute",
        Window.HOUR: "an hour",
        Window.DAY: "a day",
        Window.EVER: "in all",
    }
)
