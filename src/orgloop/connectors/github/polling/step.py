"""One step of a poll through one repository: what it has found so far, and how far it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from orgloop.connectors.github.api import Api, NoAccess
from orgloop.connectors.github.lists import Lists, as_object
from orgloop.connectors.github.polling.bodies import ReportedFact, Teller
from orgloop.connectors.github.polling.checkpoint import ReadProgress, short
from orgloop.plugin import Json

OVERLAP: Final = 120
"""Seconds that are read again: GitHub's lists may show a thing a little later than its time says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadStep:
    """What one step found, and where it ended. `more`: there is more already."""

    progress: ReadProgress
    reported: Sequence[ReportedFact] = ()
    more: bool = False


@dataclass(kw_only=True, slots=True)
class StepReading:
    """One step at work. `root` is the repository's path, such as `/repos/octo-org/billing`."""

    api: Api
    root: str
    progress: ReadProgress
    teller: Teller
    now: int
    lists: Lists = field(init=False)
    reported: list[ReportedFact] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    more: bool = False
    _things: dict[str, Json | None] = field(default_factory=dict)
    _lists: dict[tuple[str, ...], Sequence[Json]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lists = Lists(self.api)

    def is_new(self, kind: str, fact: str, at: int) -> bool:
        """Whether this counts, and was not read in an earlier step."""
        return at >= self.progress.floor[kind] and short(fact) not in self.progress.seen

    def tell(self, fact: str, *reported: ReportedFact) -> None:
        """A new fact, and what is to be told of it."""
        self.reported += reported
        self.facts.append(fact)

    def reached(self, kind: str, times: Sequence[int], *, ended: bool) -> None:
        """How far `kind` was read. A time that is yet to come counts as now."""
        self.more = self.more or not ended
        newest = min(max(times, default=self.progress.at[kind]), self.now)
        at = newest - (OVERLAP if ended else 1)
        self.progress = self.progress.reached(kind, at, ended=ended)

    async def thing(self, path: str, **query: str) -> Json | None:
        """One thing, asked for once in a step; None if it is gone."""
        if path not in self._things:
            try:
                self._things[path] = as_object((await self.api.get(path, **query)).data, path)
            except NoAccess:
                self._things[path] = None
        return self._things[path]

    async def listed(self, path: str, *, items: str = "", pages: int = 1, **query: str) -> Sequence[Json]:
        """A list, asked for once in a step; empty if what it is of is gone."""
        known = (path, *query.values())
        if known not in self._lists:
            try:
                self._lists[known] = await self.lists.whole(path, items=items, pages=pages, **query)
            except NoAccess:
                self._lists[known] = ()
        return self._lists[known]
