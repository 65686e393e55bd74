"""Accounts: who pays for a wake, and what is parked because its usage limit was met or a person said so.

A parked account starts nothing. When its limit should be over, one wake probes: if its agent gets to work,
the others follow; if it meets the limit again, the account is parked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orgloop.core.deliveries.admission import NEVER, LimitScope, ScopeLevel, Unit, WaitCause, Waiting, Window
from orgloop.core.deliveries.delivery import SHORTEST_WAIT_MS
from orgloop.core.deliveries.transition import Delivered, Limited, NotStarted, RunEnded, Skipped, Transition
from orgloop.journal.model import ClaimWant, ParkedRow
from orgloop.journal.verbs import ledger
from orgloop.journal.verbs.transaction import Transaction

LOOK_AFTER_PROBE_MS: Final = 1_000
"""While a wake probes, those behind it are looked at again after so long."""


@dataclass(frozen=True, slots=True)
class Payer:
    """An account that may pay now, for so many wakes. None: the actor names none. `probes`: to see whether
    its limit is over."""

    account: str | None
    slots: int
    probes: bool = False


def own_account(actor: str) -> str:
    """What is parked of an actor of which nobody knows whose limits it meets."""
    return f"actor {actor}"


def payers(tx: Transaction, want: ClaimWant, slots: int, now: int) -> Sequence[Payer]:
    """Who may pay for wakes of this actor now, in order. If nobody may, it is written down that they wait."""
    names: Sequence[str | None] = want.accounts or (None,)
    if not tx.parked:
        return [Payer(name, slots) for name in names]
    found, untils = [], []
    for name in names:
        row = tx.parked.get(name or own_account(want.actor))
        if row is None:
            found.append(Payer(name, slots))
        elif row.until is None or row.until > now:
            untils.append(NEVER if row.until is None else row.until)
        elif row.by_person:
            unpark(tx, row.account, now)
            found.append(Payer(name, slots))
        elif _is_probing(tx, row):
            untils.append(now + LOOK_AFTER_PROBE_MS)
        else:
            found.append(Payer(name, 1, probes=True))
    if not found:
        wait = Waiting(
            scope=LimitScope(level=ScopeLevel.ACTOR, name=want.actor),
            unit=Unit.WAKES,
            window=Window.AT_ONCE,
            limit=0,
            until=min(untils),
            setting=", ".join(name or own_account(want.actor) for name in names),
            cause=WaitCause.PARKED,
        )
        ledger.wait(tx, wait, now)
    return found


def probe(tx: Transaction, actor: str, account: str | None, delivery: int, token: int) -> None:
    """This wake finds out whether the account's limit is over."""
    tx.change("probe", (account or own_account(actor), delivery, token))
    tx.forget_pauses()


def limit_of(transition: Transition) -> Limited | None:
    """The usage limit that a try met, if it did."""
    outcome = transition.outcome if isinstance(transition, NotStarted) else transition
    return outcome if isinstance(outcome, Limited) else None


def after(
    tx: Transaction, actor: str, account: str | None, delivery: int, transition: Transition, now: int
) -> None:
    """A try has ended: its account is parked if it met the limit, and goes on if it was the probe."""
    limited = limit_of(transition)
    if limited is not None:
        meet_limit(tx, actor, account, limited.until, limited.reason, now)
    elif tx.parked and isinstance(transition, Delivered | Skipped | RunEnded):
        prove(tx, actor, account, delivery, now)


def meet_limit(tx: Transaction, actor: str, account: str | None, until: int, reason: str, now: int) -> None:
    """The account's usage limit is met until then. What a person parked for longer stays parked so."""
    name = account or own_account(actor)
    until = max(until, now + SHORTEST_WAIT_MS)
    known = tx.parked.get(name)
    if known is None or (known.until is not None and (known.until <= until or not known.by_person)):
        # Of wakes that met it together, the latest time counts.
        late = until if known is None or known.until is None else max(until, known.until)
        _park(tx, ParkedRow(account=name, since=now, until=late, by_person=False, reason=reason))


def prove(tx: Transaction, actor: str, account: str | None, delivery: int, now: int) -> None:
    """A wake's agent is at work: if it is the probe, the account's limit is over."""
    known = tx.parked.get(account or own_account(actor))
    if known is not None and known.probe is not None and known.probe[0] == delivery and not known.by_person:
        unpark(tx, known.account, now)


def prove_run(tx: Transaction, actor: str, delivery: int, now: int) -> None:
    """The same for a run that goes on."""
    if tx.parked:
        prove(tx, actor, payer_of(tx, delivery), delivery, now)


def payer_of(tx: Transaction, delivery: int) -> str | None:
    """Which account pays for the run that goes on for a delivery."""
    row = tx.one("charge_of", (delivery,))
    return None if row is None else row[1]


def park(tx: Transaction, account: str, until: int | None, reason: str, now: int) -> ParkedRow:
    """A person parks it: until a time, but not for less than it is parked already, or until it is resumed."""
    known = tx.parked.get(account)
    if known is not None and known.until is not None and until is not None:
        until = max(until, known.until)
    row = ParkedRow(
        account=account,
        since=now if known is None else known.since,
        until=until,
        by_person=True,
        reason=reason,
    )
    _park(tx, row)
    # What waited until an earlier time waits for another one now.
    ledger.end_because(tx, WaitCause.PARKED, now)
    return row


def unpark(tx: Transaction, account: str, now: int) -> bool:
    """Its work goes on. False if it was not parked."""
    if not tx.change("unpark", (account,)):
        return False
    tx.forget_pauses()
    ledger.end_because(tx, WaitCause.PARKED, now)
    return True


def set_back(tx: Transaction, now: int, by: int) -> None:
    """The clock was set back by so many ms and says `now`."""
    tx.change("set_back_parked", (now, by))


def _park(tx: Transaction, row: ParkedRow) -> None:
    tx.change("park", (row.account, row.since, row.until, int(row.by_person), row.reason))
    tx.forget_pauses()


def _is_probing(tx: Transaction, row: ParkedRow) -> bool:
    return row.probe is not None and bool(tx.value("account_probing", row.probe))
