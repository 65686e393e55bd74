"""Runs the Claude Code CLI for each wake: the prompt goes in, one JSON value a line comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from uuid import UUID, uuid5

from orgloop.connectors.agents import program
from orgloop.connectors.agents.account import account_name
from orgloop.connectors.agents.claude_code.classify_exit import ClaudeCli, classify_exit
from orgloop.connectors.agents.claude_code.environment import LOGINS, account
from orgloop.connectors.agents.claude_code.settings import ClaudeCodeSettings
from orgloop.connectors.agents.claude_code.stream import TURNS, progress
from orgloop.connectors.agents.settings import known_session
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

SNAPSHOTS: Final = (2, 1, 277)
SNAPSHOT_OFF: Final = (2, 1, 332)
"""Versions from which on a session keeps its first system prompt, and can be told not to."""

KEPT_PROMPT: Final = (
    "this version of the CLI keeps the first append_system_prompt of a session: "
    "a changed one has no effect here; update it: claude update"
)

_SESSIONS: Final = UUID("6f8a2b54-6d0e-5c1b-9a57-0a4f4f3d3c11")


class ClaudeCodeActor:
    """One run of the CLI for each wake; with a session key, each goes on in the session of that key."""

    harness: Final = HARNESS

    def __init__(self, id: str, settings: ClaudeCodeSettings) -> None:
        self._settings = settings
        self._passed = settings.passed({})
        self._cli = ClaudeCli()
        self._config_dir = ""
        self._account = HARNESS

    async def open(self, ctx: Context) -> None:
        """Learn which login and which cloud the CLI uses, and its version: options differ."""
        settings = self._settings
        self._passed = settings.passed(ctx.environment)
        environment = settings.child(ctx.environment, self._passed)
        self._config_dir = environment.get("CLAUDE_CONFIG_DIR", "")
        self._account = account_name(HARNESS, account(environment), environment, LOGINS)
        self._cli = ClaudeCli(
            account=account(environment), version=await program.version(settings.binary, environment)
        )

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def cap_usd(self) -> float | None:
        return self._settings.max_budget_usd

    @property
    def account(self) -> str:
        return self._account

    @property
    def directory(self) -> str | None:
        return self._settings.exclusive_directory

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        settings = self._settings
        prompt = _prompt(wake)
        resumed = known_session(session)
        # Chosen by us and the same however often it is asked, so that the id is known before the CLI runs.
        forks = resumed is not None and session is not None and session.fork
        new = str(uuid5(_SESSIONS, wake.run_id or wake.delivery_id))
        session_id = new if resumed is None or forks else resumed
        return RunSpec(
            argv=[
                settings.binary,
                "-p",
                "--output-format",
                "stream-json",
                "--verbose",
                *(["--resume", resumed] if resumed else []),
                *(["--fork-session"] if forks else []),
                *(["--session-id", session_id] if session_id != resumed else []),
                *settings.options,
                *self._fresh_prompt(),
            ],
            cwd=settings.directory,
            stdin=prompt,
            env=settings.for_wake(wake, session),
            env_pass=self._passed,
            limits=settings.limits,
            session_id=session_id,
            account=self._cli.account,
            turns=TURNS,
            take_over=[*self._sessions_of(wake), settings.binary, "--resume", session_id],
            logins=LOGINS,
        )

    def _sessions_of(self, wake: Wake) -> list[str]:
        directory = wake.account_env.get("CLAUDE_CONFIG_DIR", self._config_dir)
        return ["env", f"CLAUDE_CONFIG_DIR={directory}"] if directory else []

    def _fresh_prompt(self) -> list[str]:
        """Newer versions keep the first system prompt of a session, unless they are told not to."""
        known = self._cli.version is not None and self._cli.version >= SNAPSHOT_OFF
        given = self._settings.append_system_prompt is not None
        return ["--system-prompt-snapshot", "off"] if known and given else []

    def read(self, line: str) -> Progress | None:
        return progress(line)

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        end = classify_exit(exit, self._cli)
        if isinstance(end, Completion) and exit.resumed and self._keeps_prompt:
            return replace(end, details={**end.details, "notes": [KEPT_PROMPT]})
        return end

    @property
    def _keeps_prompt(self) -> bool:
        """Whether a changed `append_system_prompt` does not reach a session that goes on."""
        version = self._cli.version
        if self._settings.append_system_prompt is None or version is None:
            return False
        return SNAPSHOTS <= version < SNAPSHOT_OFF


def _prompt(wake: Wake) -> str:
    if not wake.prompt.strip():
        raise Refused(f"route {wake.route}: the prompt is empty", hint="give the route a prompt file")
    if len(wake.prompt.encode("utf-8", "replace")) > PROMPT_LIMIT:
        raise Refused(
            f"route {wake.route}: the CLI takes no prompt of more than {PROMPT_LIMIT} bytes",
            hint="shorten the prompt file",
        )
    # At the very beginning, a slash would be a command of the CLI, and a mistyped one ends as a success.
    return f"\n{wake.prompt}" if wake.prompt.startswith("/") else wake.prompt
