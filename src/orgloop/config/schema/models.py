"""What may stand in the files: one model per kind of file and per kind of thing in it.

`ELSEWHERE` names keys that belong somewhere else. `NO_EFFECT` names keys that older files carry: accepted,
with a warning. `NOT_YET` names keys whose meaning is fixed, but which nothing acts on yet: an error, so that
no policy is ignored in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from orgloop.config.schema.limits import (
    Budget,
    ConfigPart,
    Delivery,
    HomeLimits,
    PriceConfig,
    RouteBudget,
    RouteDelivery,
    RunBudget,
    RunsLimit,
)
from orgloop.config.schema.session import SessionConfig
from orgloop.config.schema.values import AccountName, Count, Milliseconds, no_bool
from orgloop.core.deliveries.batch import MOST_EVENTS
from orgloop.core.deliveries.on_busy import OnBusy
from orgloop.plugin.variables import OwnVariableName, VariableValue

API_VERSION: Final = "orgloop/v1alpha1"

_RUNS_KEYS: Final = ("runs", "max_runs", "concurrency")
_IN_WHEN: Final = "it belongs under `when`, as `source` and `events`"
_IN_FILTER: Final = "it belongs under `when`, as `filter`"
_IN_THEN: Final = "it belongs under `then`, as `actor`"
_IN_CONFIG: Final = "it belongs under `then.config`"
_IN_WITH: Final = "it belongs under `with`, as `prompt_file`"
_CONFIG_KEYS: Final = ("session_key", "thread_id", "prompt_text", "args", "message", "model")
_SOP_KEYS: Final = ("prompt", "prompt_file", "prompts", "sop", "sops", "sop_file", "instructions")


class DefaultsConfig(ConfigPart):
    """`defaults:` of the project, and of the home's config.yaml beneath them."""

    NO_EFFECT = frozenset({"checkpoint"})

    poll_interval: Milliseconds | None = None
    event_retention: Milliseconds | None = None
    log_level: Literal["debug", "info", "warn", "error"] | None = None
    limits: HomeLimits | None = None
    budget: Budget | None = None
    delivery: Delivery | None = None
    quiet_hours: str | None = None
    """The time of the day in which nothing starts, such as `22:00-07:00 Europe/Berlin`."""


class AccountConfig(ConfigPart):
    """One of `accounts:`, by name: a login that actors may share."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_RUNS_KEYS, "it belongs under `limits`, as `runs`"),
        **dict.fromkeys(("token", "api_key", "environment", "variables"), "write variables under `env`"),
    }

    description: str | None = None
    env: dict[OwnVariableName, VariableValue] = Field(default_factory=dict)
    """Variables that its runs get, over those of the actor: they say which login is used."""
    limits: RunsLimit | None = None
    budget: RunBudget | None = None


class Metadata(ConfigPart):
    """`metadata:` of a file."""

    NO_EFFECT = frozenset({"labels", "annotations", "version"})

    name: str | None = None
    description: str | None = None


class Poll(ConfigPart):
    """`poll:` of a source."""

    interval: Milliseconds | None = None


class PollInConfig(ConfigPart):
    """What some published projects write inside a source's `config:` instead."""

    poll: Poll | None = None
    poll_interval: Milliseconds | None = None


class SourceConfig(ConfigPart):
    """One source."""

    NO_EFFECT = frozenset({"labels"})
    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "name": "write the source's name as `id`",
        "type": "write it as `connector`",
    }

    id: str
    """Names the source in `when.source` and in the webhook's address."""
    description: str | None = None
    connector: str
    config: dict[str, Any] | None = None
    poll: Poll | None = None
    emits: list[str] | None = None
    """The names of the events it emits, if that is less than its connector can."""


class ActorConfig(ConfigPart):
    """One actor."""

    NO_EFFECT = frozenset({"labels"})
    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "name": "write the actor's name as `id`",
        "type": "write it as `connector`",
        **dict.fromkeys(("session_key", "thread_id"), "it belongs to a route, under `then.config`"),
        **dict.fromkeys(
            ("prompt_file", "sop", "sop_file"), "it belongs to a route, as `with: {prompt_file: …}`"
        ),
        **dict.fromkeys(_RUNS_KEYS, "it belongs under `limits`, as `runs`"),
    }

    id: str
    """Names the actor in `then.actor`; an actor with runs is also a source of this name."""
    description: str | None = None
    connector: str
    config: dict[str, Any] | None = None
    limits: RunsLimit | None = None
    budget: RunBudget | None = None
    price: PriceConfig | None = None
    """What its tokens cost, where its agent does not tell what a run cost."""
    delivery: Delivery | None = None
    """For its routes, as far as they do not set it themselves."""
    account: str | None = None
    """The account that its runs use."""
    accounts: Annotated[list[str], Field(min_length=1)] | None = None
    """Several: those behind the first are used while it cannot be."""
    quiet_hours: str | None = None
    """The time of the day in which nothing starts for it; null for none."""


OnError = Literal["pass", "drop", "halt", "hold"]


class TransformConfig(ConfigPart):
    """One transform definition."""

    NO_EFFECT = frozenset({"labels"})

    name: str
    description: str | None = None
    type: str
    """`script`, `package`, or a transform's own name."""
    script: str | None = None
    package: str | None = None
    config: dict[str, Any] | None = None
    timeout_ms: Count | None = None
    on_error: OnError | None = None


class LoggerConfig(ConfigPart):
    """One logger."""

    NO_EFFECT = frozenset({"labels"})

    name: str
    description: str | None = None
    type: str
    config: dict[str, Any] | None = None


class StepConfig(ConfigPart):
    """One transform of one route: its name, or a map with settings of this route."""

    ref: str
    """A definition's name, or that of an installed transform."""
    config: dict[str, Any] | None = None
    """Laid over the definition's `config`, key by key."""
    on_error: OnError | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"ref": value} if isinstance(value, str) else value


class WhenConfig(ConfigPart):
    """`when:` of a route."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("type", "types", "event_type", "on"), "write the names of events in `events`"),
        **dict.fromkeys(("if", "match", "condition", "conditions", "filters"), "write it as `filter`"),
        **dict.fromkeys(("sources", "from", "connector"), "write the id of one source as `source`"),
        **dict.fromkeys(("schedule", "cron"), "write it in the `config` of a source of the connector `cron`"),
        **dict.fromkeys(("transforms", "transform"), "write it beside `when`, as `transforms`"),
        **dict.fromkeys(("actor", "actors", "then"), "write it beside `when`, as `then: {actor: …}`"),
        **dict.fromkeys(
            ("batch", "delivery", "limits", "budget", "on_busy", "drop_when", "config"),
            "it belongs under `then`, beside `when`",
        ),
        **dict.fromkeys(_SOP_KEYS, "write it beside `when`, as `with: {prompt_file: …}`"),
        **dict.fromkeys(_CONFIG_KEYS, _IN_CONFIG),
    }

    source: str
    events: list[str]
    """Names of events, or globs over them."""
    filter: dict[str, Any] | None = None
    """Dot paths in the event, and the value, or one of the values, that must be there."""
    trust: Literal["team", "any"] | None = None


class BatchConfig(ConfigPart):
    """`then.batch`: its events wake the actor together."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("debounce", "delay", "interval", "wait", "timeout"), "write it as `window`"
    )

    key: Annotated[str, Field(min_length=1)] | None = None
    """Events with one key are collected together; the route's `session_key` if it is not set."""
    window: Milliseconds | None = None
    """How long after its last event a batch is due."""
    max_wait: Milliseconds | None = None
    """How long after its first event a batch is due at the latest."""
    max_events: Annotated[int, Field(ge=2, le=MOST_EVENTS), BeforeValidator(no_bool)] | None = None
    """With so many events it is due at once."""


class DropWhen(ConfigPart):
    """`then.drop_when`: which later event makes needless what waits."""

    source: str | None = None
    """Where that event comes from; the route's own source if it is not set."""
    events: list[str]
    filter: dict[str, Any] | None = None
    key: Annotated[str, Field(min_length=1)] | None = None
    """What the two events have in common; the route's `session_key` if it is not set."""


class Then(ConfigPart):
    """`then:` of a route."""

    NOT_YET = frozenset({"approve"})
    MEANWHILE: ClassVar[Mapping[str, str]] = {
        "approve": "demand `when.trust: team` meanwhile",
    }
    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_SOP_KEYS, "write it beside `then`, as `with: {prompt_file: …}`"),
        **dict.fromkeys(_CONFIG_KEYS, _IN_CONFIG),
        **dict.fromkeys(("timeout", "max_age", "retry"), "it belongs under `then.delivery`"),
        **dict.fromkeys(_RUNS_KEYS, "it belongs under `then.limits`, as `runs`"),
        **dict.fromkeys(("transforms", "transform"), "write it beside `then`, as `transforms`"),
        **dict.fromkeys(("with", "when"), "write it beside `then`, one level to the left"),
        **dict.fromkeys(("filter", "filters", "if"), _IN_FILTER),
        **dict.fromkeys(("actors", "agent", "run", "connector"), "write the id of one actor as `actor`"),
    }

    actor: str
    config: dict[str, Any] | None = None
    delivery: RouteDelivery | None = None
    limits: RunsLimit | None = None
    budget: RouteBudget | None = None
    batch: BatchConfig | None = None
    session: SessionConfig | None = None
    """Which session of its agent a run works in; that of its `session_key` by default."""
    on_busy: OnBusy | None = None
    """What becomes of an event while another one of its key has not finished."""
    drop_when: DropWhen | None = None
    on_lost: Literal["end", "resume"] | None = None
    """What becomes of a wake whose run was lost with its machine."""


class With(ConfigPart):
    """`with:` of a route."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_CONFIG_KEYS, _IN_CONFIG),
        **dict.fromkeys(set(_SOP_KEYS) - {"prompt_file"}, "write the path of a file as `prompt_file`"),
        "config": "it belongs under `then`, as `config`",
    }

    prompt_file: Annotated[str, Field(min_length=1)] = ""
    """A Markdown file: looked for beside this file, then in the project."""


class RouteConfig(ConfigPart):
    """One route."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=False)

    NO_EFFECT = frozenset({"labels"})
    NOT_YET = frozenset({"approve"})
    MEANWHILE: ClassVar[Mapping[str, str]] = {"approve": Then.MEANWHILE["approve"]}
    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("on", "trigger", "triggers", "source", "event", "events", "from"), _IN_WHEN),
        **dict.fromkeys(("filter", "filters", "if", "match", "condition", "conditions"), _IN_FILTER),
        **dict.fromkeys(("actor", "actors", "agent", "to", "do", "run", "action", "actions"), _IN_THEN),
        **dict.fromkeys(("session_key", "thread_id"), _IN_CONFIG),
        "session": "it belongs under `then`, as `session`",
        **dict.fromkeys(_SOP_KEYS, _IN_WITH),
        "config": "it belongs under `then`, as `config`",
        **dict.fromkeys(("timeout", "max_age", "retry"), "it belongs under `then.delivery`"),
        **dict.fromkeys(_RUNS_KEYS, "it belongs under `then.limits`, as `runs`"),
        "on_error": "it belongs to a transform: `transforms: [{ref: NAME, on_error: …}]`",
        "dedup": "write a transform of the type `dedup`, and its name in `transforms`",
        "batch": "it belongs under `then`, as `batch`",
        "delivery": "it belongs under `then`, as `delivery`",
        "limits": "it belongs under `then`, as `limits`",
        "budget": "it belongs under `then`, as `budget`",
        "trust": "it belongs under `when`, as `trust`",
        "steps": "write the route's transforms as `transforms`",
        "id": "write the route's name as `name`",
    }

    name: str
    renamed_from: str | list[str] | None = None
    """Earlier names: their unfinished work is that of this route."""
    description: str | None = None
    when: WhenConfig
    transforms: list[StepConfig] | None = None
    then: Then
    with_: With | None = Field(default=None, alias="with")


Entries = list[Any]
"""Things written out, and paths of files that hold them. Each is read on its own."""


class File(ConfigPart):
    """What every file may begin with."""

    apiVersion: str | None = None
    kind: str | None = None
    metadata: Metadata | None = None


class Project(File):
    """orgloop.yaml."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "name": "it belongs under `metadata`",
        **dict.fromkeys(("agents", "agent", "targets"), "write it as `actors`"),
        **dict.fromkeys(("triggers", "inputs", "events", "on"), "write it as `sources`"),
        **dict.fromkeys(("rules", "workflows", "jobs", "pipelines"), "write it as `routes`"),
        **dict.fromkeys(("filters", "steps"), "write it as `transforms`"),
    }

    defaults: DefaultsConfig | None = None
    accounts: dict[AccountName, AccountConfig] | None = None
    """Logins that actors may share, by name."""
    connectors: Entries | None = None
    sources: Entries | None = None
    actors: Entries | None = None
    transforms: Entries | None = None
    routes: Entries | None = None
    loggers: Entries | None = None


class ConnectorGroup(File):
    """A file of sources and actors."""

    sources: Entries | None = None
    actors: Entries | None = None


class TransformGroup(File):
    """A file of transforms."""

    transforms: Entries | None = None


class LoggerGroup(File):
    """A file of loggers."""

    loggers: Entries | None = None


class RouteGroup(File):
    """A file of routes."""

    routes: Entries | None = None


class HomeConfig(File):
    """config.yaml in the home: defaults beneath every project's."""

    defaults: DefaultsConfig | None = None


GROUPS: Final[dict[str, type[File]]] = {
    model.__name__: model for model in (ConnectorGroup, TransformGroup, LoggerGroup, RouteGroup)
}
"""Kinds of files that orgloop.yaml names."""
