"""Circuit breakers: an actor that fails again and again is paused, and one wake at a time probes it."""

from __future__ import annotations

from dataclasses import replace

from orgloop.core.deliveries.admission import LimitScope, ScopeLevel
from orgloop.core.deliveries.breaker import Sign
from orgloop.journal.model import PauseKind, PauseRow
from orgloop.journal.verbs import moves, pausing
from orgloop.journal.verbs.transaction import Transaction


def take(tx: Transaction, actor: str, sign: Sign, *, began: int, now: int) -> None:
    """A wake that began at that time shows how its actor is."""
    if not sign.failed:
        close(tx, actor, now)
        return
    pause, policy = tx.paused(actor), sign.policy
    if pause is not None and pause.kind is PauseKind.BREAKER:
        # Of wakes that were on their way when it opened, none is a probe.
        if began >= pause.until:
            failures, tries = tx.count_failure(actor, now), pause.tries + 1
            until = now + policy.cooldown(tries)
            tx.pause(replace(pause, until=until, tries=tries, reason=sign.reason(failures)))
        return
    failures = tx.count_failure(actor, now)
    if failures < policy.failure_threshold:
        return
    tx.pause(
        PauseRow(
            actor=actor,
            since=now if pause is None else pause.since,
            until=now + policy.cooldown(1),
            tries=1,
            reason=sign.reason(failures),
            kind=PauseKind.BREAKER,
        )
    )


def close(tx: Transaction, actor: str, now: int) -> bool:
    """The actor works, or is to be tried again without regard to what was. Whether its breaker was open."""
    if tx.failing(actor):
        tx.forget_failures(actor)
    return moves.end_pause(tx, actor, now, PauseKind.BREAKER)


def resume(tx: Transaction, actor: str, now: int) -> bool:
    """A person lets the actor go on: its breaker is closed, it is tried although nobody answered for it, and
    a person's pause of it ends. False if it was not paused.
    """
    by_person = pausing.unpause(tx, LimitScope(level=ScopeLevel.ACTOR, name=actor), now)
    return close(tx, actor, now) or moves.end_pause(tx, actor, now) or by_person
