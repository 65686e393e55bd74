"""What sources and actors are lent: `plugin.Context`, made of the engine's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orgloop.plugin import Clock, Draft, Http
from orgloop.runtime.intake import Intake


@dataclass(frozen=True, kw_only=True, slots=True)
class Lent:
    """A plugin's context. `environment` is the project's: the daemon's variables and its `.env`."""

    id: str
    project: str
    clock: Clock
    http: Http
    environment: Mapping[str, str]
    intake: Intake

    async def emit(self, events: Sequence[Draft]) -> Sequence[str]:
        """Commit these as events of this plugin; returns their ids."""
        return [accepted.event_id for accepted in await self.intake.take(self.id, events)]
