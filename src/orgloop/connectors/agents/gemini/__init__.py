"""Gemini CLI: an actor that runs it, and a source for the hooks of sessions that began elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from orgloop.connectors.agents.gemini.settings import GeminiSettings
from orgloop.connectors.agents.gemini.stream import TURNS, hear, progress
from orgloop.connectors.agents.harness import Conversation, Harness, connector_of
from orgloop.connectors.agents.heard import Cli
from orgloop.plugin import Abilities, Offer, Variable


def _arguments(settings: GeminiSettings, session: Conversation) -> Sequence[str]:
    named = ["--resume", session.resumed] if session.resumed else ["--session-id", session.new]
    # It does not work in a directory that nobody has said to be trusted. Who wrote `cwd` has.
    return ["--output-format", "stream-json", "--skip-trust", *named, *settings.options]


HARNESS: Final = Harness(
    name="gemini",
    install="npm install -g @google/gemini-cli",
    verified=(0, 61, 0),
    login=(
        "LOGNAME",
        "GOOGLE_GEMINI_BASE_URL",
        "GOOGLE_GENAI_USE_GCA",
        "GOOGLE_GENAI_USE_VERTEXAI",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GEMINI_MODEL",
    ),
    keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    homes=("GEMINI_CLI_HOME",),
    cli=Cli(
        login="start `gemini` and log in, or set GEMINI_API_KEY",
        gone=re.compile("Error resuming session"),
        unusable=re.compile("Unknown argument|not running in a trusted directory"),
    ),
    arguments=_arguments,
    hear=hear,
    progress=progress,
    resume=lambda session: ("--resume", session),
    turns=TURNS,
    names_sessions=True,
    abilities=Abilities(resume=True),
    # It would read the file behind an @ into the prompt, whoever wrote it there.
    prompt=lambda prompt: prompt.replace("@", "\\@"),
)

connector: Final = connector_of(
    HARNESS,
    GeminiSettings,
    title="Gemini CLI",
    scaffold={"approval_mode": "auto_edit"},
    offers=(
        Offer(
            key="approval_mode",
            question="What may the agent do without asking?",
            options={
                "auto_edit": "edit files in its directory",
                "default": "read files, change nothing",
                "plan": "read and plan, change nothing",
            },
        ),
    ),
    variables=(
        Variable(
            name="GEMINI_API_KEY",
            description="bills runs to an API account; not needed where `gemini` is logged in",
            help_url="https://aistudio.google.com/apikey",
        ),
    ),
)
