"""Pi: an actor that runs its CLI, and a source for the hooks of sessions that began elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from orgloop.connectors.agents.harness import Conversation, Harness, connector_of
from orgloop.connectors.agents.heard import Cli
from orgloop.connectors.agents.pi.settings import PiSettings
from orgloop.connectors.agents.pi.stream import TURNS, hear, progress
from orgloop.plugin import Abilities, Variable


def _arguments(settings: PiSettings, session: Conversation) -> Sequence[str]:
    # `--session-id` would begin a session that is gone; `--session` says so.
    new = ["--session-id", session.new]
    if session.resumed is None:
        named = new
    else:
        named = ["--fork", session.resumed, *new] if session.fork else ["--session", session.resumed]
    return ["-p", "--mode", "json", *named, *settings.options]


_KEYS: Final = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "OPENROUTER_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "XAI_API_KEY",
    "DEEPSEEK_API_KEY",
)

HARNESS: Final = Harness(
    name="pi",
    install="npm install -g @earendil-works/pi-coding-agent",
    verified=(1, 6, 0),
    login=("LOGNAME", "PI_OFFLINE", "PI_TELEMETRY"),
    keys=_KEYS,
    homes=("PI_CODING_AGENT_DIR", "PI_CODING_AGENT_SESSION_DIR"),
    cli=Cli(
        login="type `pi auth login`, or set the key of the provider",
        gone=re.compile("No session found matching"),
        unusable=re.compile(r"Unknown (?:option|provider)|No models? available|needs Node"),
    ),
    arguments=_arguments,
    hear=hear,
    progress=progress,
    resume=lambda session: ("--session", session),
    turns=TURNS,
    tells_cost=True,
    abilities=Abilities(resume=True, fork=True, context=True),
    names_sessions=True,
)

connector: Final = connector_of(
    HARNESS,
    PiSettings,
    title="Pi",
    scaffold={"tools": ["read", "grep", "find", "ls", "edit"]},
    variables=(
        Variable(
            name="ANTHROPIC_API_KEY",
            description="the key of a provider; not needed where `pi` is logged in",
            help_url="https://console.anthropic.com/settings/keys",
        ),
    ),
)
