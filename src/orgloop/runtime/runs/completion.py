"""A run's end as an event: what `actor.stopped` carries, and the `session.started` before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from orgloop.core.events.event import AuthorType
from orgloop.core.events.session_lifecycle import (
    LOST,
    Lifecycle,
    Phase,
    RunOutcome,
    Session,
    event_type,
    from_end,
    lifecycle_key,
    platform_event,
)
from orgloop.core.runs.failure import TEXT_LIMIT, failed, last_words
from orgloop.plugin import Completion, Draft, ExitInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """What identifies a run in its events. `session_id` is the agent's own session, else the run's id."""

    run_id: str
    delivery_id: str
    route: str
    actor: str
    harness: str
    session_id: str
    cwd: str | None
    started_at: str
    account: str = ""
    instead_of: str = ""

    @property
    def payer(self) -> dict[str, str]:
        """Which account pays, and instead of which other one, as far as that is known."""
        named = {"account": self.account, "account_instead_of": self.instead_of}
        return {key: name for key, name in named.items() if name}


def started(run: RunFacts) -> Draft:
    """`session.started`, committed when the run is seen to have begun, at its end at the latest."""
    return Draft(
        type=event_type(Phase.STARTED),
        provenance=_provenance(run, Phase.STARTED),
        payload={
            "lifecycle": Lifecycle(
                phase=Phase.STARTED, dedupe_key=lifecycle_key(run.harness, run.session_id, Phase.STARTED)
            ).to_payload(),
            "session": Session(
                id=run.session_id,
                adapter=run.harness,
                harness=run.harness,
                cwd=run.cwd,
                started_at=run.started_at,
            ).to_payload(),
            "run_id": run.run_id,
            "route": run.route,
            **run.payer,
        },
        key=f"{run.run_id}:started",
    )


def stopped(
    run: RunFacts,
    completion: Completion,
    exit: ExitInfo,
    ended_at: str,
    git: Mapping[str, Any] | None,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Draft:
    """`actor.stopped`. Its key is the run's: a resumed session ends many times, a run once.

    `more` goes into the payload as it is.
    """
    lifecycle = Lifecycle(
        phase=completion.phase,
        outcome=completion.outcome,
        reason=completion.reason,
        dedupe_key=lifecycle_key(run.harness, run.session_id, completion.phase),
    )
    session = Session(
        id=run.session_id,
        adapter=run.harness,
        harness=run.harness,
        cwd=run.cwd,
        started_at=run.started_at,
        ended_at=ended_at,
        exit_status=exit.status,
    )
    text = completion.text[:TEXT_LIMIT].encode("utf-8", "replace").decode()
    payload: dict[str, Any] = {
        "lifecycle": lifecycle.to_payload(),
        "session": session.to_payload(),
        "result": {"text": text, "json": completion.json},
        "run_id": run.run_id,
        "route": run.route,
        "delivery_id": run.delivery_id,
        "cost_usd": completion.cost_usd,
        "tokens": dict(completion.tokens) if completion.tokens is not None else None,
        "turns": completion.turns,
        "models": dict(completion.models) if completion.models is not None else None,
        "duration": round(exit.duration_s, 3),
        # Flat, under the names that filters written for hooks use.
        "session_id": run.session_id,
        "working_directory": run.cwd or "",
        "duration_seconds": round(exit.duration_s),
        "exit_status": exit.status,
        "summary": text[:200],
    }
    if completion.denied_tools:
        payload["denied_tools"] = list(completion.denied_tools)
    if git is not None:
        payload["git"] = dict(git)
    payload |= run.payer
    payload |= more
    payload |= {name: value for name, value in completion.details.items() if name not in payload}
    return Draft(
        type=event_type(completion.phase),
        provenance=_provenance(run, completion.phase),
        payload=payload,
        key=run.run_id,
    )


def lost(seen: Completion) -> Completion:
    """The end of a run that vanished with its machine, with what was `seen` of it."""
    return replace(seen, phase=Phase.STOPPED, outcome=RunOutcome.UNKNOWN, reason=LOST)


def by_exit_status(exit: ExitInfo) -> Completion:
    """The end of a run whose actor cannot tell: what its runner says, and the end of its output."""
    phase, outcome, reason = from_end(exit.status, exit.stopped)
    text = last_words(exit.stdout, exit.stderr) if failed(outcome) else exit.stdout.strip()[-TEXT_LIMIT:]
    return Completion(phase=phase, outcome=outcome, reason=reason, text=text)


def _provenance(run: RunFacts, phase: Phase) -> dict[str, Any]:
    return {
        "platform": run.harness,
        "platform_event": platform_event(phase),
        "author": run.actor,
        "author_type": AuthorType.SELF,
        "session_id": run.session_id,
        "working_directory": run.cwd or "",
        "run_id": run.run_id,
    }
