"""What is applied, in the journal: committed with what follows for waiting work, and read back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeVar

from orgloop.config.model import RouteSpec
from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import AppliedRow, DeliveryRow
from orgloop.journal.protocols import Journal, Reader
from orgloop.plugin import Clock
from orgloop.runtime.wiring import Wiring

FINGERPRINTS: Final = "fingerprints"
"""Key of an applied snapshot: what decides how each route's waiting work is prepared."""

T = TypeVar("T")


class Applied:
    """Binds waiting work to a configuration. `read` opens a reader of the same journal."""

    def __init__(self, journal: Journal, read: Callable[[], Reader], clock: Clock) -> None:
        self._journal = journal
        self._read = read
        self._clock = clock

    async def commit(self, wiring: Wiring) -> Mapping[str, int]:
        """Write down what is applied from now on. Returns what follows for waiting work, counted."""
        organization = wiring.organization
        fingerprints = {route.name: route.fingerprint for route in organization.routes}
        last = await asyncio.to_thread(self._ask, lambda reader: reader.applied())
        known = last.snapshot if last is not None else {}
        before, actors = known.get(FINGERPRINTS, {}), known.get("actors", {})
        row = AppliedRow(
            at=self._clock.now(),
            project=organization.name,
            root=str(organization.root),
            snapshot={**organization.snapshot, FINGERPRINTS: fingerprints},
        )
        return await self._journal.apply(
            row,
            {route.name: route.actor for route in organization.routes},
            self._clock.now(),
            actors={id: part.spec.has_runs for id, part in wiring.actors.items()},
            changed=[
                route.name
                for route in organization.routes
                if _before(route, before) not in (None, route.fingerprint)
            ],
            bounded=[route.name for route in organization.routes if route.policy.queue is not None],
            renamed={old: route.name for route in organization.routes for old in route.renamed_from},
            closed=[
                id
                for id, part in wiring.actors.items()
                if part.spec.breaker is None or actors.get(id) != organization.snapshot["actors"].get(id)
            ],
        )

    async def preparing(self) -> Collection[str]:
        """Routes that have something in `preparing`."""
        return await asyncio.to_thread(self._ask, _preparing)

    async def find(self, delivery_id: str) -> DeliveryRow | None:
        """The delivery as it stands."""
        return await asyncio.to_thread(self._ask, lambda reader: reader.delivery(delivery_id))

    def _ask(self, question: Callable[[Reader], T]) -> T:
        reader = self._read()
        try:
            return question(reader)
        finally:
            reader.close()


def _before(route: RouteSpec, fingerprints: Mapping[str, str]) -> str | None:
    """The fingerprint that a route had, by this name or an earlier one."""
    return next(
        (fingerprints[name] for name in (route.name, *route.renamed_from) if name in fingerprints), None
    )


def _preparing(reader: Reader) -> Collection[str]:
    return reader.counts().get(State.PREPARING, {})
