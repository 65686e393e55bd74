"""What should run: a project, loaded, checked and resolved. The runtime reads this and no YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orgloop.core.deliveries.admission import Limit
from orgloop.core.deliveries.batch import BatchPolicy
from orgloop.core.deliveries.breaker import BreakerPolicy
from orgloop.core.deliveries.delivery import DeliveryPolicy
from orgloop.core.deliveries.on_busy import OnBusy
from orgloop.core.deliveries.price import TokenPrice
from orgloop.core.deliveries.quiet import QuietHours
from orgloop.core.events.match import When
from orgloop.core.runs.session_policy import SessionPolicy
from orgloop.plugin.connector import ActorKind, SourceKind
from orgloop.plugin.logger import LoggerPlugin
from orgloop.plugin.settings import Settings
from orgloop.plugin.transform import OnError, TransformPlugin

Trust = Literal["team", "any"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSpec:
    """One configured source. `fingerprint` changes when anything that needs a restart of it changes.

    `lacks_variable`: a variable in it is not set, so it is not to be run nor asked anything.
    """

    id: str
    connector: str
    kind: SourceKind
    settings: Settings
    poll_interval_ms: int | None
    description: str = ""
    fingerprint: str = ""
    lacks_variable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountSpec:
    """A login that actors may share. `env` are variables that its runs get: secrets, never to be shown."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Sequence[Limit] = ()
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorSpec:
    """One configured actor. `max_runs` is its `limits.runs`, None for no limit of its own.

    `price` is what its tokens cost, where its agent does not tell what a run cost.
    `accounts` are those that its runs use, in the order in which they are tried. `quiet` is its own
    `quiet_hours`, or that of the project; `quiet_setting` says which.
    `has_runs`: with these settings it has runs. `breaker` is its circuit breaker, if it has one.
    `lacks_variable` is as for a source.
    """

    id: str
    connector: str
    kind: ActorKind
    settings: Settings
    has_runs: bool = False
    max_runs: int | None = None
    budget: Sequence[Limit] = ()
    breaker: BreakerPolicy | None = None
    price: TokenPrice | None = None
    accounts: Sequence[str] = ()
    quiet: QuietHours | None = None
    quiet_setting: str = "quiet_hours"
    description: str = ""
    fingerprint: str = ""
    lacks_variable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSpec:
    """One transform of one route, with the settings of this route."""

    name: str
    plugin: TransformPlugin
    settings: Settings
    on_error: OnError = "pass"


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteSpec:
    """One route. `config` is `then.config` with its placeholders; `prompt_file` is absolute.

    `batch`: its events are collected, those with one `batch_key` (a template) together. `ticks`: its
    source follows a clock. `drop_when`: such a later event makes needless what waits with its `drop_key`
    (a template). `renamed_from` are its earlier names. `resumes_lost`: a wake whose run was lost with its
    machine goes on in a new run.
    """

    name: str
    when: When
    actor: str
    trust: Trust = "any"
    steps: Sequence[StepSpec] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    session_key: str | None = None
    prompt_file: Path | None = None
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    batch: BatchPolicy | None = None
    batch_key: str = ""
    on_busy: OnBusy = OnBusy.QUEUE
    session: SessionPolicy = field(default_factory=SessionPolicy)
    ticks: bool = False
    drop_when: When | None = None
    drop_key: str = ""
    renamed_from: Sequence[str] = ()
    resumes_lost: bool = False
    max_runs: int | None = None
    budget: Sequence[Limit] = ()
    description: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggerSpec:
    """One configured logger."""

    name: str
    plugin: LoggerPlugin
    settings: Settings
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """`defaults:` of the project. Durations in milliseconds; None is no limit."""

    poll_interval_ms: int = 300_000
    event_retention_ms: int = 30 * 86_400_000
    log_level: str = "info"
    runs: int = 4
    max_hops: int = 25
    max_repeats: int | None = 2
    runs_per_key: int | None = 50
    memory_free: int | None = 100 * 1024**2
    load: float | None = None
    runs_per_hour: int | None = 60
    run_usd: float | None = 5.0
    budget: Sequence[Limit] = ()
    quiet: QuietHours | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Organization:
    """A project as it should run.

    `root` is the project's directory, `files` every configuration file that was read (YAML and
    `.env`, not prompt files and scripts), `variables` the names in `${...}` with the first file
    that uses them, `environment` the process's variables over those of `.env`. `snapshot` is what
    `plan` compares: per kind and name the fields as written, `${VAR}` unresolved, with the hashes
    of prompt files and scripts.
    """

    name: str
    root: Path
    file: Path
    description: str = ""
    defaults: Defaults = Defaults()
    sources: Mapping[str, SourceSpec] = field(default_factory=dict)
    actors: Mapping[str, ActorSpec] = field(default_factory=dict)
    accounts: Mapping[str, AccountSpec] = field(default_factory=dict)
    routes: Sequence[RouteSpec] = ()
    loggers: Sequence[LoggerSpec] = ()
    files: Sequence[Path] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def account_env(self, account: str | None) -> Mapping[str, str]:
        """The variables that runs of an account get; none for one that the project does not name."""
        spec = self.accounts.get(account) if account is not None else None
        return spec.env if spec is not None else {}
