"""What sources and actors may use: `plugin.Context`, made of the engine's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orgloop.plugin import Clock, Draft, Http, Mark
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.support.marker import Marker
from orgloop.runtime.wiring import Current


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginContext:
    """A plugin's context."""

    id: str
    clock: Clock
    http: Http
    intake: Intake
    current: Current
    marker: Marker

    @property
    def project(self) -> str:
        """The project's name."""
        return self.current.wiring.organization.name

    @property
    def environment(self) -> Mapping[str, str]:
        """The daemon's variables and the project's `.env`, as they were read last."""
        return self.current.wiring.organization.environment

    def mark_in(self, text: str) -> Mark | None:
        """The mark of one of this home's runs in `text`."""
        return self.marker.find(text)

    async def emit(self, events: Sequence[Draft]) -> Sequence[str]:
        """Commit these as events of this plugin; returns their ids."""
        return [accepted.event_id for accepted in await self.intake.take(self.id, events)]
