"""Runs the Codex CLI for each wake: the prompt goes in, one JSON value a line comes back."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.agents.account import account_name
from orgloop.connectors.agents.codex.classify_exit import CodexCli, classify_exit
from orgloop.connectors.agents.codex.settings import LOGINS, CodexSettings, account
from orgloop.connectors.agents.codex.stream import TURNS, progress
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

HARNESS: Final = "codex"


class CodexActor:
    """One run of the CLI for each wake; with a session key, each goes on in the session of that key."""

    harness: Final = HARNESS

    def __init__(self, id: str, settings: CodexSettings) -> None:
        self._settings = settings
        self._cli = CodexCli(price=settings.price)
        self._home = ""
        self._account = HARNESS

    async def open(self, ctx: Context) -> None:
        """Learn which login the CLI uses."""
        environment = self._settings.child(ctx.environment, self._settings.passed)
        self._home = environment.get("CODEX_HOME", "")
        self._account = account_name(HARNESS, account(environment), environment, LOGINS)
        self._cli = CodexCli(account=account(environment), price=self._settings.price)

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def account(self) -> str:
        return self._account

    @property
    def directory(self) -> str | None:
        return self._settings.exclusive_directory

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        settings = self._settings
        if not wake.prompt.strip():
            raise Refused(
                f"route {wake.route}: the prompt is empty",
                hint="give the route a prompt file",
            )
        # The CLI names a session itself: its first line says how.
        known = known_session(session)
        forks = known is not None and session is not None and session.fork
        resumed = None if forks else known
        return RunSpec(
            argv=[
                settings.binary,
                "exec",
                "--json",
                "--skip-git-repo-check",
                *settings.options,
                *(["fork" if forks else "resume", known] if known else []),
                "-",
            ],
            cwd=settings.directory,
            stdin=wake.prompt,
            env=settings.for_wake(wake, session),
            env_pass=settings.passed,
            limits=settings.limits,
            session_id=resumed,
            account=self._cli.account,
            turns=TURNS,
            take_over=[*self._sessions_of(wake), settings.binary, "resume", resumed] if resumed else (),
            logins=LOGINS,
        )

    def _sessions_of(self, wake: Wake) -> list[str]:
        home = wake.account_env.get("CODEX_HOME", self._home)
        return ["env", f"CODEX_HOME={home}"] if home else []

    def read(self, line: str) -> Progress | None:
        return progress(line)

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        return classify_exit(exit, self._cli)


class PricedCodexActor(CodexActor):
    """The same with a `price`, so that runs tell what they cost. It keeps no cap of its own."""

    @property
    def cap_usd(self) -> float | None:
        return None


def open_codex(id: str, settings: CodexSettings) -> CodexActor:
    """The actor of these settings."""
    return CodexActor(id, settings) if settings.price is None else PricedCodexActor(id, settings)
