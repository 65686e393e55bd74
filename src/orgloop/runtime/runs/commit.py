"""The commit of a run, before anything of it begins."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any, Final

from orgloop.core.deliveries.delivery import DeliveryPolicy, Facts, State, move
from orgloop.core.deliveries.transition import Started
from orgloop.journal.model import ClaimedWake, RunStart, Settlement
from orgloop.runtime.runs.holder import Engine, Start
from orgloop.runtime.runs.live_run import LiveRun
from orgloop.runtime.support.retries import until_written

MACHINE: Final = platform.node()
"""Which machine this is: what an agent keeps of its sessions lies here."""


def started_facts(claimed: ClaimedWake) -> Facts:
    """The delivery's facts once a run owns it."""
    return claimed.facts._replace(state=State.STARTED, attempts=claimed.facts.attempts + 1)


def instead_of(start: Start) -> str:
    """The account that would have paid for a wake, if another one does."""
    first = next(iter(start.part.accounts), "")
    return first if start.claimed.account not in (None, first) else ""


def payer_facts(live: LiveRun) -> dict[str, str]:
    """What a run's row says of who pays for it, as a later daemon finds it."""
    named = {"account": live.account, "instead_of": live.instead_of}
    return {key: name for key, name in named.items() if name}


async def commit(
    engine: Engine,
    start: Start,
    live: LiveRun,
    *,
    run_dir: str,
    directory: str | None,
    spec: Mapping[str, Any],
    limits: Mapping[str, Any],
    account: str = "",
    request: bytes | None = None,
) -> RunStart | None:
    """What was written, or None if the wake is no longer ours."""
    claimed, session = start.claimed, start.wake.session
    transition = Started(run_id=live.run_id)
    row = RunStart(
        run_id=live.run_id,
        settlement=Settlement(
            wake=claimed,
            transition=transition,
            move=move(claimed.facts, transition, DeliveryPolicy(), live.started_at, 0.0),
            at=live.started_at,
            tried=start.tried,
        ),
        actor=claimed.actor,
        harness=live.harness,
        directory=directory,
        run_dir=run_dir,
        spec=spec,
        limits=limits,
        session=(session.key if session is not None else "", live.session_id),
        account=account,
        machine=MACHINE,
        request=request,
    )
    written = await until_written(engine.clock, f"run {live.run_id}", lambda: engine.journal.start_run(row))
    return row if written else None
