"""What an author says of a connector, and what its tests make of that."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import SecretBytes, SecretStr, ValidationError

from orgloop.plugin import (
    ActorKind,
    Connector,
    Event,
    Inbound,
    Settings,
    SourceKind,
    Wake,
)
from orgloop.testing.engine import COMMITS
from orgloop.testing.other_side import OtherSide

LIMIT_S: Final = 20.0
"""Seconds after which a call to a connector counts as hanging."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """Where the engine is killed: before a commit, or after it and before anybody heard of it."""

    commit: str
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.commit}"


DEATHS: Final = tuple(Life(commit=commit, after=after) for commit in COMMITS for after in (False, True))


class Described:
    """One connector, and what its other system looks like."""

    connector: ClassVar[Connector]
    environ: ClassVar[Mapping[str, str]] = {}
    """Variables of the project that the configs below name."""
    once: ClassVar[bool] = True
    """Whether the actor does one wake's work once, also if it is asked again after a crash."""
    route_config: ClassVar[Mapping[str, Any]] = {}
    """`then.config` of the route to the actor."""
    payload: ClassVar[Mapping[str, Any]] = {"n": 1}
    """The payload of the event that wakes the actor."""

    def source_config(self, place: Path) -> Mapping[str, Any] | None:
        """The `config:` of a source, for a directory of this test; None: there is no source to be tried."""
        return None

    def happen(self, place: Path, number: int) -> None:
        """Make a thing happen of which polls tell: one event for each number, from 1."""
        raise NotImplementedError

    def request(self, place: Path, number: int) -> Inbound | None:
        """A delivery that a source receives: one event for each number, from 1. None: it receives none."""
        return None

    def actor_config(self, place: Path) -> Mapping[str, Any] | None:
        """The `config:` of an actor; None: there is no actor to be tried."""
        return None

    def done(self, place: Path) -> int:
        """How often the actor's work was done in the other system."""
        raise NotImplementedError

    def _kinds(self) -> list[SourceKind | ActorKind]:
        return [kind for kind in (self.connector.source, self.connector.actor) if kind is not None]

    def _settings(self) -> list[type[Settings]]:
        return list(dict.fromkeys(kind.settings for kind in self._kinds()))

    def _parsed(self, model: type[Settings], config: Mapping[str, Any]) -> Settings | None:
        try:
            return model.model_validate({**config}, context={"project": Path.cwd(), "base": Path.cwd()})
        except ValidationError:
            return None

    def _polls(self, place: Path) -> bool:
        source, config = self.connector.source, self.source_config(place)
        if source is None or config is None:
            return False
        settings = source.settings.model_validate({**config}, context={"project": place, "base": place})
        return source.polled(settings) if callable(source.polled) else source.polled

    def _describes(self, what: str) -> bool:
        """Whether the author says how this is done."""
        return getattr(type(self), what) is not getattr(Described, what)

    def _requests(self, place: Path) -> bool:
        return self.source_config(place) is not None and self.request(place, 1) is not None

    async def _opened(self, kind: Any, config: Mapping[str, Any] | None, side: OtherSide) -> Any:
        settings = kind.settings.model_validate(
            {**(config or {})}, context={"project": Path.cwd(), "base": Path.cwd()}
        )
        part = kind.open("under-test", settings)
        await within(part.open(side.context("under-test", self.environ)), "open")
        return part

    def _wake(self, place: Path, config: Any) -> Wake:
        event = Event(
            id="evt_0000000000000001",
            timestamp="2026-01-05T12:00:00.000Z",
            source="in",
            type="resource.changed",
            provenance={"platform": "test", "platform_event": "work", "author_type": "team_member"},
            payload={**self.payload},
            trace_id="trc_0000000000000002",
        )
        return Wake(
            event=event,
            events=(event,),
            route="work",
            actor="under-test",
            project="under-test",
            delivery_id="dlv_0000000000000003",
            idempotency_key="dlv_0000000000000003.0",
            attempt=1,
            prompt="Work.",
            config={**self.route_config},
            run_id="run_0000000000000004",
            directory=str(place),
            callback="http://127.0.0.1:9/callback",
            marker="<!-- a mark -->",
            trailer="Mark: a",
        )

    def _secrets(self, place: Path) -> list[str]:
        """The values of all secret settings that are long enough to be found in a text."""
        found: list[str] = []

        def look(value: Any) -> None:
            if isinstance(value, SecretStr):
                found.append(value.get_secret_value())
            elif isinstance(value, SecretBytes):
                found.append(value.get_secret_value().decode("utf-8", "replace"))
            elif isinstance(value, Settings):
                for name in type(value).model_fields:
                    look(getattr(value, name))
            elif isinstance(value, Mapping):
                for one in value.values():
                    look(one)
            elif isinstance(value, list | tuple):
                for one in value:
                    look(one)

        sides = (
            (self.connector.source, self.source_config(place)),
            (self.connector.actor, self.actor_config(place)),
        )
        for kind, config in sides:
            if kind is not None and config is not None:
                look(kind.settings.model_validate({**config}, context={"project": place, "base": place}))
        return [secret for secret in found if len(secret) >= 4]


async def within(call: Coroutine[Any, Any, Any], what: str) -> Any:
    try:
        async with asyncio.timeout(LIMIT_S):
            return await call
    except TimeoutError as exc:
        raise AssertionError(f"{what} takes longer than {LIMIT_S:.0f} s") from exc
