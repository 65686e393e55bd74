"""Copilot CLI: an actor that runs it, and a source for the hooks of sessions that began elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from orgloop.connectors.agents.copilot.settings import CopilotSettings
from orgloop.connectors.agents.copilot.stream import TURNS, hear, progress
from orgloop.connectors.agents.harness import Conversation, Harness, connector_of
from orgloop.connectors.agents.heard import Cli
from orgloop.plugin import Abilities, Variable


def _arguments(settings: CopilotSettings, session: Conversation) -> Sequence[str]:
    named = f"--resume={session.resumed}" if session.resumed else f"--session-id={session.new}"
    return ["--output-format", "json", "--no-ask-user", "--no-auto-update", named, *settings.options]


HARNESS: Final = Harness(
    name="copilot",
    install="npm install -g @github/copilot",
    verified=(1, 0, 102),
    login=(
        "LOGNAME",
        "COPILOT_MODEL",
        "COPILOT_OFFLINE",
        "COPILOT_PROVIDER_BASE_URL",
        "COPILOT_PROVIDER_TYPE",
        "GH_HOST",
    ),
    keys=("COPILOT_PROVIDER_API_KEY", "COPILOT_PROVIDER_BEARER_TOKEN", "COPILOT_GITHUB_TOKEN"),
    homes=("COPILOT_HOME",),
    cli=Cli(
        login="type `copilot login`, or set COPILOT_GITHUB_TOKEN",
        gone=re.compile("No session, task, or name matched"),
        unusable=re.compile("unexpected argument|invalid value"),
    ),
    arguments=_arguments,
    hear=hear,
    progress=progress,
    resume=lambda session: (f"--resume={session}",),
    turns=TURNS,
    names_sessions=True,
    abilities=Abilities(resume=True),
)

connector: Final = connector_of(
    HARNESS,
    CopilotSettings,
    title="Copilot CLI",
    scaffold={"allowed_tools": ["write", "shell(git:*)"]},
    variables=(
        Variable(
            name="COPILOT_GITHUB_TOKEN",
            description="a fine-grained token with the permission Copilot Requests; "
            "not needed where `copilot` is logged in",
            help_url="https://github.com/settings/personal-access-tokens/new",
        ),
    ),
)
