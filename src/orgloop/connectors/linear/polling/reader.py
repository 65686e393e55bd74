"""Reads what is new from Linear: lists of what has changed, then each thing with its history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orgloop.connectors.linear.api import LinearAnswer, LinearApi, NotThere
from orgloop.connectors.linear.polling.bodies import (
    DatedBody,
    next_page,
    nodes,
    time_of,
    told_of_comment,
    told_of_issue,
)
from orgloop.connectors.linear.polling.checkpoint import ReadSoFar, iso, short
from orgloop.connectors.linear.queries import COMMENT, COMMENTS, ISSUE, ISSUES, VIEWER
from orgloop.plugin import Json, PluginError, TryLater, object_at, text_at

OVERLAP: Final = 120_000
"""Milliseconds that are read again: Linear's lists may show a thing a little later than its time says."""

MOST_PAGES: Final = 10
"""Pages of a list that are read at once. Of a longer one, the older half is read first."""

MOST_WALKED: Final = 200
"""Pages that are read at most of what has changed in one millisecond, and of one history."""

MOST_THINGS: Final = 50
"""Issues or comments that one step reads, besides what has changed just now."""

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)

KINDS: Final[Mapping[str, str]] = {"Issue": ISSUES, "Comment": COMMENTS}
"""Linear's types that are polled, each with the query that lists what has changed."""


@dataclass(kw_only=True, slots=True)
class Step:
    """What one step found of one kind, and where it ended. `more`: there is more already."""

    progress: ReadSoFar
    told: list[DatedBody] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class _Listed:
    at: int
    id: str

    @property
    def version(self) -> str:
        return f"{self.id}@{self.at}"


class LinearReader:
    """Reads the issues and comments of one team, one project, or all that the key may see."""

    def __init__(self, api: LinearApi, team: str | None, project: str | None) -> None:
        self.api = api
        self._of = {**({"team": team_filter(team)} if team else {}), **_project(project)}

    async def now(self) -> int:
        """Linear's time, in ms since 1970."""
        return (await self.api.ask(VIEWER)).at

    async def step(self, kind: str, known: ReadSoFar) -> Step:
        """What is new of a kind: at most some things, the longest unchanged first.

        A failure or a limit in the middle ends the step. What was read by then counts.
        """
        listed, now, until = await self._changed(kind, known.at)
        newest = min(max((one.at for one in listed), default=known.at), now)
        end, step = newest - OVERLAP if until is None else until, Step(progress=known, more=until is not None)
        read: list[str] = []
        last = known.at
        for one in listed:
            if short(one.version) in known.seen:
                continue
            # Things that changed in one millisecond are not separated: the next step begins behind them.
            if len(read) >= MOST_THINGS and last < one.at:
                end, step.more = last + 1, True
                break
            try:
                step.told += await self._thing(kind, one.id, known.floor)
            except (PluginError, TryLater):
                if last == known.at:
                    raise
                end, step.more = min(last, one.at - 1), True
                break
            last = one.at
            # What has changed just now may get an entry in its history a little later.
            if now - one.at > OVERLAP:
                read.append(one.version)
        step.progress = known.reached(end, ended=not step.more, facts=read)
        return step

    async def issue(self, id: str, floor: int) -> Sequence[DatedBody]:
        """The facts of one issue from `floor` (ms since 1970) on; none if it is gone."""
        return await self._thing("Issue", id, floor)

    async def comment(self, id: str) -> Sequence[DatedBody]:
        """That one comment was written; nothing if it is gone."""
        return await self._thing("Comment", id, 0)

    async def _thing(self, kind: str, id: str, floor: int) -> Sequence[DatedBody]:
        try:
            if kind == "Issue":
                return await self._issue(id, floor)
            told = told_of_comment(object_at((await self.api.ask(COMMENT, id=id)).data, "comment"))
            return [told] if told.at >= floor else []
        except NotThere:
            return []

    async def _issue(self, id: str, floor: int) -> Sequence[DatedBody]:
        issue = object_at((await self.api.ask(ISSUE, id=id)).data, "issue")
        entries, after = nodes(issue, "history"), next_page(issue, "history")
        for _ in range(MOST_WALKED):
            if after is None or _is_over(entries, floor):
                break
            more = object_at((await self.api.ask(ISSUE, id=id, after=after)).data, "issue")
            entries, after = [*entries, *nodes(more, "history")], next_page(more, "history")
        return told_of_issue(issue, entries, floor)

    async def _changed(self, kind: str, since: int) -> tuple[list[_Listed], int, int | None]:
        """What has changed since then, the longest unchanged first, and Linear's time.

        Of much it is what changed until some time, which comes with it.
        """
        until: int | None = None
        while True:
            narrow = until is not None and until - since <= 1
            times = {"gte": iso(since)} | ({"lt": iso(until)} if until is not None else {})
            most = MOST_WALKED if narrow else MOST_PAGES
            found, now, whole = await self._listed(kind, {"updatedAt": times, **self._filter(kind)}, most)
            if whole or narrow:
                return sorted(set(found)), now, until
            until = since + max(1, ((until or now) - since) // 2)

    async def _listed(
        self, kind: str, filter: Mapping[str, Any], most: int
    ) -> tuple[list[_Listed], int, bool]:
        found: list[_Listed] = []
        answer: LinearAnswer | None = None
        after: str | None = None
        for _ in range(most):
            answer = await self.api.ask(KINDS[kind], filter=filter, after=after)
            connection = f"{kind.lower()}s"
            found += [
                _Listed(at=time_of(one, "updatedAt"), id=_id(one)) for one in nodes(answer.data, connection)
            ]
            after = next_page(answer.data, connection)
            if after is None:
                return found, answer.at, True
        assert answer is not None
        return found, answer.at, False

    def _filter(self, kind: str) -> Mapping[str, Any]:
        if kind == "Issue":
            return self._of
        return {"issue": self._of or {"null": False}}


def first(at: int) -> ReadSoFar:
    """A kind of which nothing was read yet: it begins there."""
    return ReadSoFar(at=at, floor=at)


def _is_over(entries: Sequence[Json], floor: int) -> bool:
    """Whether a history that has its newest entries first goes on with what does not count."""
    times = [time_of(entry, "createdAt") for entry in entries]
    return len(times) > 1 and times[0] >= times[-1] and times[-1] < floor


def _id(thing: Json) -> str:
    if not (id := text_at(thing, "id")):
        raise PluginError("Linear lists something without an id: check `api_url`")
    return id


def team_filter(team: str) -> dict[str, Any]:
    """Finds a team by its key or id."""
    return {"id": {"eq": team}} if is_id(team) else {"key": {"eqIgnoreCase": team}}


def _project(project: str | None) -> dict[str, Any]:
    if project is None:
        return {}
    return {"project": {"id": {"eq": project}} if is_id(project) else {"name": {"eq": project}}}


def is_id(value: str) -> bool:
    """Whether this is one of Linear's ids, not a key or a name."""
    return _ID.fullmatch(value) is not None
