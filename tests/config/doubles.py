"""Plugins for the tests of the configuration: settings like the real ones, and no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from orgloop.plugin import Abilities, Secrets
from orgloop.plugin.connector import ActorKind, Connector, SourceKind
from orgloop.plugin.logger import LoggerPlugin
from orgloop.plugin.registry import Registry
from orgloop.plugin.settings import Duration, ProjectPath, SecretStr, Settings, Size
from orgloop.plugin.setup import Setup, Variable
from orgloop.plugin.transform import TransformPlugin


@dataclass(frozen=True)
class Part:
    """What `open` gives here: just its settings."""

    settings: Settings


GITHUB_NAMES = ("pull_request_review", "pull_request.opened", "pull_request.reopened", "push")


def by_hour(settings: Any) -> dict[str, list[int]]:
    """`cron: "40"` comes forty times in each hour. ValueError for real expressions: nobody knows."""
    return {f"schedule.{one.name}": [int(one.cron)] * 24 for one in settings.schedules}


def build(_: str, settings: Settings) -> Any:
    return Part(settings)


def make(settings: Settings) -> Any:
    return Part(settings)


class GithubSettings(Settings):
    repo: str
    token: SecretStr
    events: list[str] = Field(default_factory=list)
    authors: list[str] = Field(default_factory=list)
    initial_lookback: Duration = 0
    rate_budget: float = Field(default=0.8, ge=0, le=1)

    @field_validator("token")
    @classmethod
    def _is_a_token(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value().startswith("bad"):
            raise ValueError(f"{value.get_secret_value()} is not a token")
        return value


class LinearSettings(Settings):
    team: str
    api_key: SecretStr


class CronSettings(Settings):
    class Schedule(Settings):
        name: str
        cron: str

    schedules: list[Schedule] = Field(default_factory=list)
    schedule: str | None = None


class WebhookSourceSettings(Settings):
    secret: Secrets | None = Field(default=None, alias="hmac_secret")
    path: str | None = None

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset({"path"})


class WebhookActorSettings(Settings):
    url: str
    method: Literal["POST", "PUT"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    secret: SecretStr | None = Field(default=None, alias="hmac_secret")


class OpenclawSettings(Settings):
    base_url: str = "http://127.0.0.1:18789"
    auth_token_env: SecretStr | None = None
    agent_id: str
    default_channel: str | None = None
    default_to: str | None = None


class AgentSourceSettings(Settings):
    secret: SecretStr | None = None
    hook_type: str | None = None

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset({"hook_type"})


class AgentSettings(Settings):
    cwd: ProjectPath
    permission_mode: Literal["plan", "acceptEdits"] = "plan"
    allowed_tools: list[str] = Field(default_factory=list)
    timeout: Duration = 60_000


class ProcessSettings(Settings):
    command: str | list[str]
    cwd: ProjectPath | None = None


class FilterSettings(Settings):
    exclude: dict[str, Any] = Field(default_factory=dict)
    match: dict[str, Any] = Field(default_factory=dict)
    match_any: dict[str, Any] = Field(default_factory=dict)
    jq: str | None = None


class DedupSettings(Settings):
    key: tuple[str, ...] = ("source", "type", "id")
    window: Duration = 300_000
    store: Literal["memory"] = "memory"


class EnrichSettings(Settings):
    set: dict[str, Any] = Field(default_factory=dict)
    copy_: dict[str, str] = Field(default_factory=dict, alias="copy")


class ScriptSettings(Settings):
    script: ProjectPath
    timeout_ms: int = Field(default=30_000, ge=1)


class ConsoleSettings(Settings):
    level: Literal["debug", "info", "warn", "error"] = "info"
    color: bool = True


class Rotation(Settings):
    max_size: Size = 100 * 1024 * 1024
    max_age: Duration = 7 * 86_400_000
    compress: bool = True


class FileSettings(Settings):
    path: Path = Path("~/.orgloop/logs/orgloop.log")
    format: Literal["jsonl"] = "jsonl"
    rotation: Rotation = Rotation()
    rotate: Any = None

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset({"rotate"})


def open_filter(settings: FilterSettings) -> Any:
    if settings.jq is not None and settings.jq.count("(") != settings.jq.count(")"):
        raise ValueError(f"the jq program {settings.jq!r} cannot be compiled")
    return Part(settings)


def connectors() -> list[Connector]:
    token = Variable(
        name="GITHUB_TOKEN",
        description="a GitHub token that may read the repository",
        help_url="https://github.com/settings/tokens",
    )
    return [
        Connector(
            name="github",
            title="GitHub",
            source=SourceKind(
                settings=GithubSettings, open=build, team_only=True, polled=True, names=lambda _: GITHUB_NAMES
            ),
            setup=Setup(variables=[token]),
        ),
        Connector(
            name="linear",
            title="Linear",
            source=SourceKind(settings=LinearSettings, open=build, team_only=True, polled=True),
        ),
        Connector(
            name="cron",
            title="Cron",
            source=SourceKind(settings=CronSettings, open=build, polled=True, by_hour=by_hour),
        ),
        Connector(
            name="webhook",
            title="Webhook",
            source=SourceKind(
                settings=WebhookSourceSettings,
                open=build,
                emits=("resource.changed", "message.received", "actor.stopped"),
            ),
            actor=ActorKind(settings=WebhookActorSettings, open=build),
        ),
        Connector(
            name="claude-code",
            title="Claude Code",
            source=SourceKind(
                settings=AgentSourceSettings, open=build, emits=("actor.stopped", "resource.changed")
            ),
            actor=ActorKind(
                settings=AgentSettings,
                open=build,
                has_runs=lambda _: True,
                wakes_agent=True,
                abilities=lambda settings: Abilities(resume=True, fork=settings.permission_mode == "plan"),
            ),
            aliases=("coding-agent",),
        ),
        Connector(
            name="openclaw",
            title="OpenClaw",
            actor=ActorKind(settings=OpenclawSettings, open=build, wakes_agent=True),
        ),
        Connector(
            name="process",
            title="A program",
            actor=ActorKind(settings=ProcessSettings, open=build, has_runs=lambda _: True),
        ),
    ]


def transforms() -> list[TransformPlugin]:
    return [
        TransformPlugin(name="filter", title="Filter", settings=FilterSettings, open=open_filter),
        TransformPlugin(name="dedup", title="Dedup", settings=DedupSettings, open=make),
        TransformPlugin(name="enrich", title="Enrich", settings=EnrichSettings, open=make),
        TransformPlugin(name="script", title="Script", settings=ScriptSettings, open=make),
    ]


def loggers() -> list[LoggerPlugin]:
    return [
        LoggerPlugin(name="console", title="Console", settings=ConsoleSettings, open=make),
        LoggerPlugin(name="file", title="File", settings=FileSettings, open=make),
    ]


def registry() -> Registry:
    """Doubles of all plugins that the forms use."""
    return Registry.of(*connectors(), *transforms(), *loggers())
