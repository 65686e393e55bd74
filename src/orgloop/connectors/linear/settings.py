"""The `config:` map of Linear sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from orgloop.connectors.linear.names import NAMES
from orgloop.plugin import EventType, ProjectPath, Secrets, Settings, Size, is_glob, near_miss, padded

Name = Annotated[str, Field(min_length=1)]

NO_EFFECT: Final = frozenset({"cache_dir", "path", "buffer_dir", "max_buffer_size"})


class LinearSettings(Settings):
    """A source that takes Linear's webhooks at `/webhook/<source id>`."""

    secret: Secrets | None = None
    """The webhook's signing secret; of a list any is taken. Without it, only this machine may send."""
    team: Name | None = None
    """The key (`ENG`) or id of a team: events of other teams are left out."""
    project: Name | None = None
    """The name or id of a project: issues outside it are left out."""
    events: tuple[Name, ...] = ()
    """Names or globs of the events to take, ours or Linear's (`Issue`, `Comment`); all if empty."""
    cache_dir: ProjectPath | None = None
    """No effect: how far a poll came is in the journal."""
    path: str | None = None
    """No effect: the path is `/webhook/<source id>`."""
    buffer_dir: str | None = None
    """No effect: events are in the journal before Linear is answered."""
    max_buffer_size: Size | None = None
    """No effect, as `buffer_dir`."""

    def warnings(self) -> Mapping[str, str]:
        """Names of events that are nearly one of Linear's."""
        slips = ((name, near_miss(name, (*NAMES, *EventType))) for name in self.events if not is_glob(name))
        told = [f"`{name}` is not a known event; write `{meant}`" for name, meant in slips if meant]
        slip = {"events": f"has a slip: {told[0]}"} if told else {}
        return {**slip, **padded(self.secret)}

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return NO_EFFECT
