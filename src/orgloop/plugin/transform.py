"""Transforms: a mechanical step on one event for one route: pass it, change it, or drop it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from orgloop.core.events.fields import Path
from orgloop.plugin.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """For which route, actor and source a step runs; `event_type` is the event's as it entered."""

    route: str
    actor: str
    source: str
    event_type: str
    event_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """The event goes on as it is.

    `once`: only if this delivery is the first that owns this key within `window_ms` (by acceptance
    times, per route); else it is dropped as a duplicate. The journal decides that in the
    transaction of the delivery, so a retry or a restart never meets itself.
    `no_key`: why there is no `once`, though the step is there for it, such as `payload.id is missing`.
    """

    once: str | None = None
    window_ms: int = 0
    no_key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The event goes on with this document's content; identity and lineage stay."""

    document: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Discard:
    """The event ends here for this route; `reason` says which rule, for people."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """The step could not do its work; the route's `on_error` decides what follows."""

    reason: str


TransformResult = Pass | Change | Discard | Failure

OnError = Literal["pass", "drop", "halt", "hold"]
"""If a step fails, the event goes on, ends for this route, or (hold, halt) waits for a person."""

Trial = Callable[[Mapping[str, Any]], TransformResult]
"""What `apply` of a step would say to an event's document, at once."""


class Transform(Protocol):
    """One configured step.

    `bounded` says that `apply` works in this process, quickly, without waiting: then it runs in
    the transaction that accepts the event, through `apply_now`. Else `apply` runs after the event
    is committed, several at once; results commit in acceptance order.
    """

    @property
    def bounded(self) -> bool: ...

    def apply_now(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        """For bounded steps. Must not change `document`. An exception is a Failure with its text."""
        ...

    async def apply(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        """For steps that are not bounded. Cancelled at a stop, and run again at the next start."""
        ...

    async def close(self) -> None:
        """Called once at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A path that a step reads. `needed`: without a value there, the step cannot do what it is there for.

    `at` is where it is in the settings. `wanted` are the values with which the step compares it as they are.
    """

    path: Path
    at: tuple[str | int, ...] = ()
    needed: bool = False
    wanted: Sequence[Any] = ()


def reads_unknown(_settings: Any) -> Sequence[Reading]:
    """For a step of which it is not known what it reads."""
    return ()


def changes_all(_settings: Any) -> bool:
    """For a step that may change anything in the event."""
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformPlugin:
    """A kind of transform: `open` makes a step from its settings, or raises ValueError if they cannot work.

    The settings' class documents the `config:` map; its `ProjectPath` fields arrive resolved.
    `on_error` counts where neither route nor definition says what follows if a step fails. `trial`:
    for settings whose step is not bounded and may fail on some events, a way to try it, so that
    `validate` finds out with an example; it may block for a moment. `reads(settings)` names the paths
    that a step reads, so that `validate` finds one that never comes. `changes(settings)`: whether it
    may change the event; what follows then reads something else.
    """

    name: str
    title: str
    settings: type[Settings]
    open: Callable[[Any], Transform]
    on_error: OnError = "pass"
    trial: Callable[[Any], Trial | None] | None = None
    reads: Callable[[Any], Sequence[Reading]] = reads_unknown
    changes: Callable[[Any], bool] = changes_all
