"""Codex: an actor that runs its CLI, and a source for the hooks of sessions that began elsewhere."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.agents.codex.actor import HARNESS, open_codex
from orgloop.connectors.agents.codex.doctor import check
from orgloop.connectors.agents.codex.settings import CodexSettings
from orgloop.connectors.agents.hooks import secret_of, source_of
from orgloop.plugin import (
    NUMBER,
    Abilities,
    ActorKind,
    Connector,
    EventShape,
    EventType,
    Offer,
    Phase,
    Setup,
    Variable,
    platform_event,
)

ENDED: Final = EventShape(
    names=(
        EventType.ACTOR_STOPPED,
        *(platform_event(phase) for phase in (Phase.COMPLETED, Phase.FAILED, Phase.STOPPED)),
    ),
    fields={"payload.session_tokens.*": NUMBER},
)
"""What the end of a run that resumed a session has besides."""

connector: Final = Connector(
    name=HARNESS,
    title="Codex: wakes run the CLI; hooks of other sessions are events",
    source=source_of(HARNESS),
    actor=ActorKind(
        settings=CodexSettings,
        open=open_codex,
        has_runs=lambda _: True,
        wakes_agent=True,
        abilities=lambda _: Abilities(resume=True, fork=True),
        check_route=CodexSettings.check_route,
        shapes=(ENDED,),
        scaffold={"sandbox": "workspace-write"},
        offers=(
            Offer(
                key="sandbox",
                question="What may the agent's commands do?",
                options={
                    "workspace-write": "change files in its directory",
                    "read-only": "read files, change nothing",
                },
            ),
        ),
    ),
    setup=Setup(
        variables=(
            Variable(
                name="CODEX_API_KEY",
                description="bills runs to an API account; not needed where `codex` is logged in",
                help_url="https://platform.openai.com/api-keys",
            ),
            secret_of("CODEX_WEBHOOK_SECRET"),
        ),
        check=check,
    ),
)
