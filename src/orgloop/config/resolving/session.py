"""`then.session`: how a route uses the sessions of its agent."""

from __future__ import annotations

from orgloop.config.findings import Code, Report
from orgloop.config.reading.documents import Spot
from orgloop.config.resolving.sources_and_actors import ActorEnd
from orgloop.config.schema.session import SessionConfig
from orgloop.core.runs.session_policy import SessionMode, SessionPolicy
from orgloop.errors import FAULTS
from orgloop.plugin import Abilities


def session_of(
    said: SessionConfig | None, key: object, actor: ActorEnd | None, spot: Spot, report: Report
) -> SessionPolicy:
    """The policy of a route whose session key is `key`, with a finding if its actor cannot keep it."""
    if said is None:
        return SessionPolicy()
    policy = SessionPolicy(
        mode=said.mode,
        max_wakes=said.max_wakes,
        max_age_ms=said.max_age,
        max_context_tokens=said.max_context_tokens,
    )
    where = spot.where("then", "session", key=True)
    if not key:
        message = f"{spot.label}: `then.session` needs a session key: without one, each run has its own"
        hint = 'write it under `then.config`, such as `session_key: "{{provenance.pr_number}}"`'
        report.error(Code.MISSING_KEY, where, message, hint)
    can = _abilities(actor)
    if can is None or actor is None or actor.spec is None:
        return policy
    name = actor.spec.connector
    if not can.resume:
        message = f"{spot.label}: `then.session` has no meaning here: {name!r} keeps no sessions"
        hint = "describe them in `sessions` of its actor" if name == "process" else "remove it"
        report.error(Code.BAD_VALUE, where, message, hint)
    elif said.mode is SessionMode.FORK and not can.fork:
        message = f"{spot.label}: `then.session: fork` is not possible: {name!r} cannot copy a session"
        report.error(Code.BAD_VALUE, where, message, "write `resume` or `fresh`")
    elif said.max_context_tokens is not None and not can.context:
        message = f"{spot.label}: {name!r} does not report its context, so `max_context_tokens` has no effect"
        report.error(Code.BAD_VALUE, where, message, "write `max_wakes` or `max_age`")
    return policy


def _abilities(actor: ActorEnd | None) -> Abilities | None:
    """What its actor can do with sessions; None if nobody knows."""
    if actor is None or actor.spec is None or actor.kind is None:
        return None
    if actor.kind.abilities is None:
        return Abilities()
    try:
        return actor.kind.abilities(actor.spec.settings)
    except FAULTS:
        return None
