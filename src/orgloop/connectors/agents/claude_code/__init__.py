"""Claude Code: an actor that runs its CLI, and a source for the hooks of sessions that began elsewhere."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.agents.claude_code.actor import HARNESS, ClaudeCodeActor
from orgloop.connectors.agents.claude_code.doctor import check
from orgloop.connectors.agents.claude_code.settings import ClaudeCodeSettings
from orgloop.connectors.agents.hooks import NAMES, SHAPES, HookSettings, HookSource, example
from orgloop.plugin import (
    Abilities,
    ActorKind,
    Connector,
    EventType,
    Offer,
    Setup,
    SourceKind,
    Variable,
)

connector: Final = Connector(
    name=HARNESS,
    title="Claude Code: wakes run the CLI; hooks of other sessions are events",
    source=SourceKind(
        settings=HookSettings,
        open=HookSource,
        emits=(EventType.RESOURCE_CHANGED, EventType.ACTOR_STOPPED),
        names=lambda _: NAMES,
        names_all=True,
        shapes=lambda _: SHAPES,
        example=example(HARNESS),
    ),
    actor=ActorKind(
        settings=ClaudeCodeSettings,
        open=ClaudeCodeActor,
        has_runs=lambda _: True,
        wakes_agent=True,
        abilities=lambda _: Abilities(resume=True, fork=True, context=True),
        check_route=ClaudeCodeSettings.check_route,
        scaffold={"permission_mode": "acceptEdits", "allowed_tools": ["Bash(git *)"]},
        offers=(
            Offer(
                key="permission_mode",
                question="What may the agent do without asking?",
                options={
                    "acceptEdits": "edit files in its directory; other commands as allowed by its tool list",
                    "default": "only what its tool list allows",
                    "plan": "read and plan, change nothing",
                    "dontAsk": "only what its settings and tool list allow, without asking",
                },
            ),
        ),
    ),
    setup=Setup(
        variables=(
            Variable(
                name="CLAUDE_CODE_OAUTH_TOKEN",
                description="a login for machines without a browser; not needed where `claude` is logged in",
                help_command="claude setup-token",
            ),
            Variable(
                name="ANTHROPIC_API_KEY",
                description="bills runs to an API account, and takes precedence over every other login",
                help_url="https://console.anthropic.com/settings/keys",
            ),
            Variable(
                name="CLAUDE_CODE_WEBHOOK_SECRET",
                description="the secret with which hooks sign, if the source has one",
                help_command="openssl rand -hex 32",
            ),
        ),
        check=check,
    ),
)
