"""Runs the Claude Code CLI for each wake: the prompt goes in, one JSON value a line comes back."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from orgloop.connectors.agents.claude_code.ending import judge
from orgloop.connectors.agents.claude_code.settings import ClaudeCodeSettings
from orgloop.connectors.agents.claude_code.stream import progress
from orgloop.plugin import (
    Completion,
    Context,
    ExitInfo,
    NotBegun,
    Progress,
    Refused,
    RunSpec,
    Wake,
    WakeSession,
)

HARNESS: Final = "claude-code"

PROMPT_LIMIT: Final = 10_000_000
"""Bytes that the CLI takes on its standard input."""

_SESSIONS: Final = UUID("6f8a2b54-6d0e-5c1b-9a57-0a4f4f3d3c11")


class ClaudeCodeActor:
    """One run of the CLI for each wake; with a session key, each goes on in the session of that key."""

    harness: Final = HARNESS

    def __init__(self, id: str, settings: ClaudeCodeSettings) -> None:
        self._settings = settings
        self._passed = settings.passed({})

    async def open(self, ctx: Context) -> None:
        """Learn from the project's environment which cloud the CLI uses, if any."""
        self._passed = self._settings.passed(ctx.environment)

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def cap_usd(self) -> float | None:
        return self._settings.max_budget_usd

    @property
    def directory(self) -> str | None:
        return self._settings.directory

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        settings = self._settings
        prompt = _prompt(wake)
        resumed = session.id if session is not None else None
        # Chosen by us and the same however often it is asked, so that the id is known before the CLI runs.
        session_id = resumed or str(uuid5(_SESSIONS, wake.run_id or wake.delivery_id))
        return RunSpec(
            argv=[
                settings.binary,
                "-p",
                "--output-format",
                "stream-json",
                "--verbose",
                *(["--resume", resumed] if resumed else ["--session-id", session_id]),
                *settings.options,
            ],
            cwd=settings.directory,
            stdin=prompt,
            env=settings.for_wake(wake, session),
            env_pass=self._passed,
            limits=settings.limits,
            session_id=session_id,
        )

    def read(self, line: str) -> Progress | None:
        return progress(line)

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        return judge(exit)


def _prompt(wake: Wake) -> str:
    if not wake.prompt.strip():
        raise Refused(
            f"route {wake.route}: there is nothing to say to the agent", hint="give the route a prompt file"
        )
    if len(wake.prompt.encode("utf-8", "replace")) > PROMPT_LIMIT:
        raise Refused(
            f"route {wake.route}: the CLI takes no prompt of more than {PROMPT_LIMIT} bytes",
            hint="shorten the prompt file",
        )
    # At the very beginning, a slash would be a command of the CLI, and a mistyped one ends as a success.
    return f"\n{wake.prompt}" if wake.prompt.startswith("/") else wake.prompt
