"""What may stand in `limits`, `budget` and `delivery`; and the base of every part of the files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from orgloop.config.schema.values import Bytes, Count, Dollars, Milliseconds, RateText, Tokens, no_bool
from orgloop.core.deliveries.queue_limit import Overflow

OUTSIDE_CONFIG: Final = {
    **dict.fromkeys(
        ("limits", "budget"), "it belongs to an actor, beside `config`, or to a route, under `then`"
    ),
    **dict.fromkeys(("batch", "delivery", "on_busy", "drop_when"), "it belongs to a route, under `then`"),
    **dict.fromkeys(("account", "accounts", "quiet_hours"), "it belongs to an actor, beside `config`"),
    "emits": "it belongs to a source, beside `config`",
    "on_error": "it belongs to a transform, beside `config`",
}
"""Keys that people look for in the `config` of a part, and where they belong."""
FORMS: Final[Mapping[str | int, str]] = {
    "events": 'add `events: ["*"]` for all events, or list their names',
    "when": "add `when: {source: ID, events: [NAME]}`",
    "then": "add `then: {actor: ID}`",
}
"""What a missing key looks like, if its name alone does not say."""


class ConfigPart(BaseModel):
    """Base of everything here: no key but the known ones."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    NOT_YET: ClassVar[frozenset[str]] = frozenset()
    NO_EFFECT: ClassVar[frozenset[str]] = frozenset()
    MEANWHILE: ClassVar[Mapping[str, str]] = {}
    """What to do until a key of NOT_YET works."""
    ELSEWHERE: ClassVar[Mapping[str, str]] = {}
    """What is written in this place by mistake, and what to write instead."""


class RunsLimit(ConfigPart):
    """`limits:` of an actor or a route."""

    runs: Count | None = None
    """How many runs it may have at once."""


class HomeLimits(RunsLimit):
    """`defaults.limits`."""

    runs: Count | None = None
    """How many runs this home may have at once."""
    max_hops: Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(no_bool)] | None = None
    """How many runs caused by runs may follow one event from outside."""
    max_repeats: Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(no_bool)] | None = None
    """How often one event may come again in a chain, but for ids and times; null: without a limit."""
    memory_free: Bytes | None = None
    """While less memory is free, no program starts; null: without a limit."""
    load: Annotated[float, Field(gt=0, le=100_000), BeforeValidator(no_bool)] | None = None
    """While the load of the machine (over one minute) is higher, no program starts."""
    runs_per_key: Count | None = None
    """How many runs of one session key may start in an hour; null: without a limit."""


class RunBudget(ConfigPart):
    """`budget:` of an actor or a route; null means no limit."""

    runs_per_hour: Count | None = None
    """Runs that may start in an hour."""
    runs_per_day: Count | None = None
    """Runs that may start in 24 hours."""
    hour_usd: Dollars | None = None
    """US dollars that runs may cost in an hour."""
    day_usd: Dollars | None = None
    """US dollars that runs may cost in 24 hours."""
    hour_tokens: Tokens | None = None
    """Tokens that runs may use in an hour."""
    day_tokens: Tokens | None = None
    """Tokens that runs may use in 24 hours."""
    hour_run_time: Milliseconds | None = None
    """How long runs may take in an hour, all together."""
    day_run_time: Milliseconds | None = None
    """How long runs may take in 24 hours, all together."""


class RouteBudget(RunBudget):
    """`then.budget`."""

    per_key: RunBudget | None = None
    """The same for the runs of each session key."""


class PriceConfig(ConfigPart):
    """`price:` of an actor: US dollars for a million tokens."""

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    """That of `input` if it is not set."""
    cache_creation: Dollars | None = None
    """That of `input` if it is not set."""


class Budget(RunBudget):
    """`defaults.budget`: of all runs of the home; null means no limit."""

    run_usd: Dollars | None = None
    """US dollars that one run may cost."""
    trace_runs: Count | None = None
    """Runs that may follow from one outside event."""
    trace_usd: Dollars | None = None
    """US dollars that all runs that follow from one outside event may cost."""
    trace_tokens: Tokens | None = None
    """Tokens that all runs that follow from one outside event may use."""
    trace_run_time: Milliseconds | None = None
    """How long all runs that follow from one outside event may take together."""


class RetryConfig(ConfigPart):
    """`delivery.retry`: how the waking of an actor is tried again."""

    max_attempts: Count | None = None
    backoff: Literal["exponential", "linear", "fixed"] | None = None
    initial_delay: Milliseconds | None = None
    max_delay: Milliseconds | None = None


class CircuitBreaker(ConfigPart):
    """`delivery.circuit_breaker` of the defaults or an actor."""

    failure_threshold: Count | None = None
    """After so many failures in a row the actor's work waits."""
    cooldown: Milliseconds | None = None
    """How long it waits before the first probe. Each probe that fails doubles that, up to 30 times that."""


class RouteDelivery(ConfigPart):
    """`delivery:` of a route."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "circuit_breaker": "it belongs to the actor, under `delivery`: the breaker is the actor's"
    }

    timeout: Milliseconds | None = None
    """Bounds the waking of the actor, not its run."""
    max_age: Milliseconds | None = None
    """A wake for an agent that is older is held."""
    retry: RetryConfig | None = None
    max_rate: RateText | None = None
    """How often the route may wake its actor, such as `100/s`, `60/m` or `10/h`; null: without a limit."""
    order: Literal["strict", "none"] | None = None
    """Whether wakes with one session key come one at a time and in order."""
    queue_depth: Count | None = None
    """How many deliveries of the route may wait; null: without a limit."""
    overflow: Overflow | None = None
    """What becomes of a delivery for which there is no room."""


class Delivery(RouteDelivery):
    """`delivery:` of the defaults or an actor."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    circuit_breaker: CircuitBreaker | None = None
    """When the work of an actor that fails again and again waits; null: never."""
