"""OpenCode: an actor that runs its CLI, and a source for the hooks of sessions that began elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from orgloop.connectors.agents.harness import Conversation, Harness, connector_of
from orgloop.connectors.agents.heard import Cli
from orgloop.connectors.agents.opencode.settings import OpencodeSettings
from orgloop.connectors.agents.opencode.stream import hear, progress
from orgloop.plugin import Abilities, Variable


def _arguments(settings: OpencodeSettings, session: Conversation) -> Sequence[str]:
    # It tries again in silence where its model refuses: only its log says so, on standard error.
    arguments = ["run", "--format", "json", "--print-logs", "--log-level", "WARN"]
    # Without a title it asks a model for one.
    named = ["--session", session.resumed] if session.resumed else ["--title", session.title]
    named += ["--fork"] if session.fork else []
    return [*arguments, *named, *settings.options]


HARNESS: Final = Harness(
    name="opencode",
    install="npm install -g opencode-ai",
    verified=(1, 18, 33),
    login=(
        "LOGNAME",
        "OPENCODE_CONFIG",
        "OPENCODE_CONFIG_DIR",
        "OPENCODE_DISABLE_AUTOUPDATE",
        "OPENCODE_DISABLE_LSP_DOWNLOAD",
        "OPENCODE_DISABLE_MODELS_FETCH",
    ),
    keys=("OPENCODE_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"),
    homes=("XDG_DATA_HOME",),
    cli=Cli(
        login="type `opencode auth login`, or set the key of the provider",
        gone=re.compile("Session not found"),
        unusable=re.compile(r"opencode run \[message"),
    ),
    arguments=_arguments,
    hear=hear,
    progress=progress,
    resume=lambda session: ("--session", session),
    turns=None,
    tells_cost=True,
    abilities=Abilities(resume=True, fork=True, context=True),
    names_sessions=False,
)

connector: Final = connector_of(
    HARNESS,
    OpencodeSettings,
    title="OpenCode",
    scaffold={"permission": {"edit": "allow", "bash": {"*": "deny", "git *": "allow"}}},
    variables=(
        Variable(
            name="OPENCODE_API_KEY",
            description="a key of OpenCode Zen; other providers have keys of their own",
            help_command="opencode auth login",
        ),
    ),
)
