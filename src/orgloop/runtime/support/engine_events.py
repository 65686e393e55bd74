"""What the rooms of the engine report to it: who follows what stands in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orgloop.errors import Refused
    from orgloop.journal.model import Acceptance, Accepted, ClaimedWake, RunEnd, Settlement


class EngineEvents(Protocol):
    """Each is called in the event loop, behind the commit that it reports, and never raises."""

    def part_broke(self, part: str, error: str) -> None:
        """A loop of the engine raised `error`; its supervisor starts it again."""

    def request_refused(self, source: str, refused: Refused) -> None:
        """A source refused a request."""

    def source_changed(self, source: str, error: str) -> None:
        """A source failed, or is well again if `error` is empty."""

    def accepted(self, acceptance: Acceptance, accepted: Sequence[Accepted]) -> None:
        """Events are in the journal with their deliveries."""

    def prepared(self, actors: Sequence[str]) -> None:
        """Deliveries to these actors went through their transforms."""

    def actor_opened(self, actor: str) -> None:
        """An actor takes wakes from now on."""

    def claims_wait(self) -> None:
        """A claim left work waiting."""

    def settled(self, claimed: ClaimedWake, settlement: Settlement) -> None:
        """A try at waking an actor has ended."""

    def run_ended(self, route: str, actor: str, end: RunEnd) -> None:
        """A run has ended."""
