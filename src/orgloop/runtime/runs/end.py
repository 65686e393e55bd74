"""How a run ends: what it came to, as the rows and the event that follow."""

from __future__ import annotations

import dataclasses
import logging
import math
import random
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orgloop.core.deliveries.breaker import RunShown, Sign, sign_of
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.delivery import move as moved
from orgloop.core.deliveries.price import TokenPrice
from orgloop.core.deliveries.retry import pause_delay
from orgloop.core.deliveries.transition import (
    Interrupted,
    Limited,
    NotStarted,
    Rejected,
    Retry,
    RunEnded,
    Throttled,
    Transition,
    Unavailable,
)
from orgloop.core.events.session_lifecycle import LOST, RunOutcome
from orgloop.core.records.record import timestamp
from orgloop.core.runs import failure as run_failure
from orgloop.journal.model import RunEnd
from orgloop.plugin import Clock, Completion, Delivered, ExitInfo, NotBegun, Skipped
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.runs import completion
from orgloop.runtime.runs.live_run import Finish, LiveRun, one_line
from orgloop.runtime.support.sanitize import storable, text
from orgloop.runtime.wiring import Wiring

log = logging.getLogger(__name__)


class Ender:
    """Says how runs end. Knows nothing of what goes on."""

    def __init__(self, clock: Clock, intake: Intake) -> None:
        self._clock = clock
        self._intake = intake

    def end(self, live: LiveRun, finish: Finish, wiring: Wiring) -> RunEnd:
        """Everything that is committed at the end of a run; it is never an actor's fault if there is none."""
        try:
            return self._as_told(live, finish, wiring)
        except Exception:
            log.exception(
                "what %s makes of run %s cannot be used; its exit decides", live.harness, live.run_id
            )
            return self._ended(live, completion.by_exit_status(finish.exit), finish, wiring)

    def _as_told(self, live: LiveRun, finish: Finish, wiring: Wiring) -> RunEnd:
        exit = finish.exit
        match finish.result:
            case NotStarted() as result:
                return self._not_started(live, result, exit, wiring)
            case NotBegun(outcome=outcome, forget_session=forget, session_fault=fault):
                failed = fault and not forget and _is_failed_resume(live, exit)
                if failed and isinstance(outcome, Retry):
                    return self._in_vain(live, outcome.reason, exit, wiring, after_ms=outcome.after_ms)
                return self._not_started(
                    live, NotStarted(outcome=outcome), exit, wiring, forget_session=forget
                )
            case Completion() as result if _is_failed_resume(live, exit) and _went_wrong(result, exit):
                return self._in_vain(live, _detail(result, 0), exit, wiring)
            case Delivered() | Skipped() as result:
                return self._handed_over(live, result, finish, wiring)
            case result:
                return self._ended(live, result, finish, wiring)

    def _ended(self, live: LiveRun, result: Completion, finish: Finish, wiring: Wiring) -> RunEnd:
        result, exit, now = _storable(result), finish.exit, self._clock.now()
        ended_at = exit.ended_at or now
        live.session_id = result.session_id or live.session_id
        cost = _cost(live, result, wiring.price(live.actor_id))
        result = dataclasses.replace(result, cost_usd=cost.usd)
        more: dict[str, Any] = {"cost_estimated": True} if cost.estimated else {}
        if live.resumed:
            more["resumed"] = True
        if live.fresh_because:
            more["fresh_session"] = live.fresh_because
        if live.fork_of:
            more["forked_from"] = live.fork_of
        session_started = None
        if live.owes_start:
            started = completion.started(live.about)
            session_started = self._intake.follow_up(live.actor_id, started, live.lineage)
        lasted = max(0, ended_at - live.started_at)
        transition: RunEnded | Interrupted = RunEnded(detail=one_line(_detail(result, lasted)))
        if result.reason == LOST and wiring.resumes_lost(live.route):
            transition = Interrupted(crash=True)
        move = moved(live.facts, transition, wiring.policy(live.route), now, random.random())
        if move.state is State.PENDING:
            more["resumes"] = True
        draft = completion.stopped(
            live.about,
            result,
            dataclasses.replace(exit, duration_s=lasted / 1000),
            timestamp(ended_at),
            finish.changes,
            more,
        )
        tokens = _tokens(result)
        shown = RunShown(outcome=result.outcome, lasted_ms=lasted, progress=bool(result.cost_usd or tokens))
        return RunEnd(
            run_id=live.run_id,
            transition=transition,
            move=move,
            at=now,
            outcome=result.outcome,
            reason=result.reason,
            text=draft.payload["result"]["text"],
            last_line=live.last_line,
            completion=draft.payload,
            exit_status=exit.status,
            cost_usd=result.cost_usd,
            tokens=tokens,
            session_id=result.session_id,
            session_usd=cost.session_usd,
            context_tokens=result.context_tokens if type(result.context_tokens) is int else None,
            heard=True if live.answered or result.outcome is RunOutcome.SUCCESS else None,
            ended_at=ended_at,
            session_started=session_started,
            sign=_sign(live, transition, wiring, move.detail, shown),
            limited_until=_limited_until(result),
            follow_up=self._intake.follow_up(live.actor_id, draft, live.lineage),
        )

    def _handed_over(
        self, live: LiveRun, result: Delivered | Skipped, finish: Finish, wiring: Wiring
    ) -> RunEnd:
        """There is no result to tell of: no `actor.stopped`, as if it had been handed over at once."""
        transition, now = storable(result), self._clock.now()
        move = moved(live.facts, transition, wiring.policy(live.route), now, random.random())
        return RunEnd(
            run_id=live.run_id,
            transition=transition,
            move=move,
            at=now,
            outcome="",
            reason="skipped" if isinstance(result, Skipped) else "delivered",
            text=move.detail,
            last_line=live.last_line,
            exit_status=finish.exit.status,
            cost_usd=live.cost_usd,
            sign=_sign(live, transition, wiring),
        )

    def _in_vain(
        self, live: LiveRun, why: str, exit: ExitInfo, wiring: Wiring, *, after_ms: int | None = None
    ) -> RunEnd:
        """A session was taken up in vain: its wake is not spent. After some times the session is left."""
        until = self._clock.now() + max(after_ms or 0, 0)
        outcome = Throttled(
            until=until, reason=f"the session {live.fork_of or live.session_id} could not be resumed: {why}"
        )
        end = self._not_started(live, NotStarted(outcome=outcome), exit, wiring)
        return dataclasses.replace(end, heard=False, text=why)

    def _not_started(
        self,
        live: LiveRun,
        transition: NotStarted,
        exit: ExitInfo,
        wiring: Wiring,
        *,
        forget_session: bool = False,
    ) -> RunEnd:
        outcome, now = storable(transition.outcome), self._clock.now()
        if not isinstance(outcome, Retry | Unavailable | Throttled | Limited | Rejected | Interrupted):
            raise TypeError(f"{type(outcome).__name__} does not say why nothing began")
        transition = NotStarted(outcome=outcome)
        move = moved(live.facts, transition, wiring.policy(live.route), now, random.random())
        pause = pause_delay(live.pause_tries + 1, random.random()) if move.pause_actor else None
        return RunEnd(
            run_id=live.run_id,
            transition=transition,
            move=move,
            at=now,
            outcome="",
            reason="not_started",
            text=move.detail,
            last_line=live.last_line,
            exit_status=exit.status,
            forget_session=forget_session,
            pause_until=now + pause if pause is not None else None,
            pause_tries=live.pause_tries,
            sign=_sign(live, transition, wiring, move.detail),
        )


def _sign(
    live: LiveRun, transition: Transition, wiring: Wiring, why: str = "", shown: RunShown | None = None
) -> Sign | None:
    """What the end of a run shows to the circuit breaker of its actor."""
    part = wiring.actors.get(live.actor_id)
    return sign_of(transition, part.spec.breaker, why, shown) if part is not None else None


def _is_failed_resume(live: LiveRun, exit: ExitInfo) -> bool:
    """Whether it took up a session and nothing was heard of the agent, though nobody ended it."""
    return live.resumed and not live.answered and exit.stopped in (None, "start", "silence", "total")


def _went_wrong(result: Completion, exit: ExitInfo) -> bool:
    """Whether the session may be why it ended so: not its success, a limit, or a signal that others sent."""
    if result.outcome is RunOutcome.SUCCESS or "limit_until" in result.details:
        return False
    return exit.stopped is not None or exit.status not in (128 + signal.SIGTERM, 128 + signal.SIGINT)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Cost:
    """What a run has cost, whether that is our own estimate, and what its session has cost with it."""

    usd: float | None
    session_usd: float
    estimated: bool = False


def _cost(live: LiveRun, result: Completion, price: TokenPrice | None) -> _Cost:
    """Its actor's word; else what came to its session's total; else what it told on its way; else a guess,
    or what its tokens cost."""
    before, total, own = live.session_usd, result.session_cost_usd, result.cost_usd
    if own is None and total is not None:
        # A total below what we know of is none of the session, but of this call.
        own = round(total - before, 8) if total >= before else total
    own = live.cost_usd if own is None and total is None else own
    estimated = own is None and live.spent_usd > 0
    if estimated:
        own = round(live.spent_usd, 8)
    if own is None and price is not None and (counts := _counts(result)):
        own, estimated = price.of(counts), True
    return _Cost(usd=own, session_usd=max(total or 0.0, round(before + (own or 0.0), 8)), estimated=estimated)


def _limited_until(result: Completion) -> int | None:
    """When the usage limit is over that kept a run from its end, in ms since 1970; None if none did."""
    told = result.details.get("limit_until")
    if result.outcome is RunOutcome.SUCCESS or not isinstance(told, str):
        return None
    try:
        return round(datetime.fromisoformat(told).astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _detail(result: Completion, lasted_ms: int) -> str:
    """What its delivery says of it: what it said, or if it failed, why it ended and its last line."""
    if not run_failure.failed(result.outcome):
        return result.text.strip() or result.reason
    why = run_failure.why(result.reason, lasted_ms)
    return ": ".join(filter(None, (why, *run_failure.lines_of(result.text)[-1:])))


def _tokens(result: Completion) -> int | None:
    """How many tokens of all kinds the agent says that it used."""
    counts = _counts(result)
    return sum(counts.values()) if counts else None


def _counts(result: Completion) -> dict[str, int]:
    """Tokens by kind, as far as they are numbers."""
    told = result.tokens.items() if isinstance(result.tokens, Mapping) else ()
    return {kind: count for kind, count in told if type(count) is int}


def _storable(result: Completion) -> Completion:
    """The same in values that the journal can keep: a run whose end it refuses would never end."""
    return dataclasses.replace(
        result,
        session_id=None if result.session_id is None else text(result.session_id),
        cost_usd=_dollars(result.cost_usd),
        session_cost_usd=_dollars(result.session_cost_usd),
    )


def _dollars(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and value >= 0 else None
