"""A harness: one agent's command line, and the actor that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Generic, TypeVar
from uuid import UUID, uuid5

from orgloop.connectors.agents import program
from orgloop.connectors.agents.account import account_name
from orgloop.connectors.agents.heard import Cli, Heard, classify_exit
from orgloop.connectors.agents.hooks import secret_of, source_of
from orgloop.connectors.agents.settings import CliSettings, known_session
from orgloop.plugin import (
    Abilities,
    ActorKind,
    CheckResult,
    CheckStatus,
    Completion,
    Connector,
    Context,
    ExitInfo,
    NotBegun,
    Offer,
    Progress,
    Refused,
    RunSpec,
    Setup,
    Turns,
    Variable,
    Wake,
    WakeSession,
)

_SESSIONS: Final = UUID("a3a5e2f2-38c3-5d2c-9a42-8f3d6a3d9a54")

PROXIES: Final = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Every run gets these of the daemon's variables, if they are set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """Which session a run works in. `resumed` is taken up, None begins one; `new` is an id for a new one.

    `fork`: the run works in a copy of that which is taken up. `title` is what a new one is called.
    """

    resumed: str | None
    fork: bool
    new: str
    title: str


S = TypeVar("S", bound=CliSettings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Harness(Generic[S]):
    """What OrgLoop knows of one agent's command line.

    `install` is the command that installs it, `verified` the version that it was tried with. `login` names
    variables that a run takes over: its model and the way to it; `keys` those that name an account, `homes`
    those that say where sessions lie. `arguments` are those behind the program's name, `hear` reads the
    output of a finished run, `progress` a line of one that goes on. `names_sessions`: a new session gets an
    id of ours. `abilities` is what it can do with sessions. `tells_cost`: in US dollars. `prompt` makes of a
    prompt what the agent reads as it is.
    """

    name: str
    install: str
    verified: tuple[int, int, int]
    login: Sequence[str]
    keys: Sequence[str]
    homes: Sequence[str]
    cli: Cli
    arguments: Callable[[S, Conversation], Sequence[str]]
    hear: Callable[[ExitInfo], Heard]
    progress: Callable[[str], Progress | None]
    resume: Callable[[str], Sequence[str]]
    turns: Turns | None
    names_sessions: bool
    abilities: Abilities
    tells_cost: bool = False
    prompt: Callable[[str], str] = str

    def passed(self, settings: CliSettings) -> tuple[str, ...]:
        """Names that a run takes over from the project's environment."""
        return (*self.login, *self.keys, *self.homes, *PROXIES, *settings.env_pass)

    def account(self, environment: Mapping[str, str]) -> str:
        """Which login a run uses, as far as its environment tells: its sessions and limits belong to that."""
        key = next((name for name in self.keys if environment.get(name)), "login")
        return " ".join(filter(None, (key, *(environment.get(name) for name in self.homes))))


class HarnessActor(Generic[S]):
    """One run of the CLI for each wake; with a session key, each goes on in the session of that key."""

    def __init__(self, id: str, settings: S, *, harness: Harness[S]) -> None:
        self._settings = settings
        self._of = harness
        self._cli = harness.cli
        self._homes: dict[str, str] = {}
        self._account = harness.name

    @property
    def harness(self) -> str:
        return self._of.name

    async def open(self, ctx: Context) -> None:
        """Learn which login the CLI uses."""
        environment = self._settings.child(ctx.environment, self._of.passed(self._settings))
        self._cli = replace(self._of.cli, account=self._of.account(environment))
        self._homes = {name: environment[name] for name in self._of.homes if environment.get(name)}
        self._account = account_name(self._of.name, self._cli.account, environment, self._of.keys)

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def account(self) -> str:
        return self._account

    @property
    def directory(self) -> str | None:
        return self._settings.exclusive_directory

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        settings, of = self._settings, self._of
        if not wake.prompt.strip():
            raise Refused(
                f"route {wake.route}: there is nothing to say to the agent",
                hint="give the route a prompt file",
            )
        resumed = known_session(session)
        fork = of.abilities.fork and resumed is not None and session is not None and session.fork
        # The same however often it is asked, so that the id is known before the CLI runs.
        new = str(uuid5(_SESSIONS, wake.run_id or wake.delivery_id))
        conversation = Conversation(resumed=resumed, fork=fork, new=new, title=f"{wake.actor}: {wake.route}")
        own = new if of.names_sessions else None
        session_id = own if resumed is None or fork else resumed
        return RunSpec(
            argv=[settings.binary, *of.arguments(settings, conversation)],
            cwd=settings.directory,
            stdin=of.prompt(wake.prompt),
            env=settings.for_wake(wake, session),
            env_pass=of.passed(settings),
            limits=settings.limits,
            session_id=session_id,
            account=self._cli.account,
            turns=of.turns,
            take_over=self._take_over(wake, session_id),
            logins=of.keys,
        )

    def _take_over(self, wake: Wake, session_id: str | None) -> Sequence[str]:
        if session_id is None:
            return ()
        places = {**self._homes, **wake.account_env}
        homes = [f"{name}={places[name]}" for name in self._of.homes if places.get(name)]
        return [*(["env", *homes] if homes else []), self._settings.binary, *self._of.resume(session_id)]

    def read(self, line: str) -> Progress | None:
        return self._of.progress(line)

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        return classify_exit(exit, self._of.hear(exit), self._cli)


class PricedHarnessActor(HarnessActor[S]):
    """The same, of a CLI that tells what a run costs. It keeps no cap of its own."""

    @property
    def cap_usd(self) -> float | None:
        return None


def connector_of(
    harness: Harness[S],
    settings: type[S],
    *,
    title: str,
    offers: Sequence[Offer] = (),
    scaffold: Mapping[str, Any],
    variables: Sequence[Variable],
) -> Connector:
    """The connector of a harness: its actor, and a source that hears sessions which began elsewhere."""
    secret = f"{harness.name.upper().replace('-', '_')}_WEBHOOK_SECRET"
    return Connector(
        name=harness.name,
        title=f"{title}: wakes run the CLI; hooks of other sessions are events",
        source=source_of(harness.name),
        actor=ActorKind(
            settings=settings,
            open=partial(PricedHarnessActor if harness.tells_cost else HarnessActor, harness=harness),
            has_runs=lambda _: True,
            wakes_agent=True,
            check_route=settings.check_route,
            scaffold=scaffold,
            offers=offers,
            abilities=lambda _: harness.abilities,
        ),
        setup=Setup(variables=(*variables, secret_of(secret)), check=partial(_check, harness)),
    )


async def _check(harness: Harness[Any], settings: Any, ctx: Context) -> Sequence[CheckResult]:
    """Two questions that cost nothing: where it works, and which version it is."""
    if not isinstance(settings, CliSettings):
        return []
    environment = settings.child(ctx.environment, harness.passed(settings))
    places = await program.check_places(settings, environment)
    found = await program.check_version(
        settings.binary, environment, verified=(harness.verified,), install=harness.install
    )
    results = [*places, found]
    if found.status is not CheckStatus.MISSING and not any(environment.get(name) for name in harness.keys):
        results.append(_login(harness))
    return results


def _login(harness: Harness[Any]) -> CheckResult:
    return CheckResult(
        name="login",
        status=CheckStatus.OK,
        detail=f"no key in the environment ({', '.join(harness.keys)}): runs use the login of the CLI itself",
    )
