"""One repository, read step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orgloop.connectors.github.api import Answer, Api, Gone, TooLarge
from orgloop.connectors.github.bodies import SAME, Teller, Told, doer, is_pull, published
from orgloop.connectors.github.checkpoint import BACK, MOST_OPEN, Progress, iso, seconds, short
from orgloop.connectors.github.reading import number, part, text
from orgloop.plugin import PluginError

Body = Mapping[str, Any]

OVERLAP: Final = 120
"""Seconds that are read again: GitHub's lists may show a thing a little later than its time says."""

MOST_RUNS: Final = 1_000
"""Completed runs that one step tells of."""

MOST_PAGES: Final = 10
"""Pages of one list that one step takes."""

MOST_WALKED: Final = 300
"""Pages that are walked through at most to find where the last step ended."""

SIZES: Final = (100, 10, 1)
"""Items of a page; fewer where they are too large together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one step found, and where it ended. `more`: there is more already."""

    progress: Progress
    told: Sequence[Told] = ()
    more: bool = False


@dataclass(kw_only=True, slots=True)
class _Reading:
    """One step at work."""

    progress: Progress
    teller: Teller
    now: int
    told: list[Told] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    more: bool = False
    things: dict[str, Body | None] = field(default_factory=dict)

    def is_new(self, kind: str, fact: str, at: int) -> bool:
        """Whether this counts, and was not read in an earlier step."""
        return at >= self.progress.floor[kind] and short(fact) not in self.progress.seen

    def tell(self, fact: str, told: Told) -> None:
        """A new fact."""
        self.told.append(told)
        self.facts.append(fact)

    def reached(self, kind: str, times: Sequence[int], *, ended: bool) -> None:
        """How far `kind` was read. A time that is yet to come counts as now."""
        self.more = self.more or not ended
        newest = min(max(times, default=self.progress.at[kind]), self.now)
        at = newest - (OVERLAP if ended else 1)
        self.progress = self.progress.reached(kind, at, ended=ended)


class Repository:
    """Reads `owner/name`."""

    def __init__(self, name: str, api: Api, kinds: frozenset[str]) -> None:
        self._api = api
        self._root = f"/repos/{name}"
        self._kinds = kinds
        # Reviews are found by the pull requests that they changed.
        self._read = sorted(kinds - {"reviews"} | ({"pulls"} if "reviews" in kinds else set()))

    async def begin(self, lookback: int) -> Step:
        """The first step only says from when on: `lookback` seconds before GitHub's time."""
        answer = await self._asked()
        progress = Progress().beginning(self._read, answer.at - lookback)
        return Step(progress=progress, more=lookback > 0)

    async def step(self, known: Progress) -> Step:
        """What is new since then: at most some pages of each kind."""
        answer = await self._asked()
        reading = _Reading(
            progress=known.beginning(self._read, answer.at),
            teller=Teller(repository=answer.data),
            now=answer.at,
        )
        for kind in self._read:
            await self._step(kind, reading)
        return Step(progress=reading.progress.with_seen(reading.facts), told=reading.told, more=reading.more)

    async def _asked(self) -> Answer:
        """GitHub's words about the repository. It leads on from an old name, which its events do not have."""
        answer = await self._api.get(self._root)
        name = text(_object(answer.data, self._root), "full_name")
        if f"/repos/{name}".casefold() != self._root.casefold():
            old = self._root.removeprefix("/repos/")
            raise PluginError(f"GitHub calls {old} {name[:200] or 'nothing'} now: write that in `repo`")
        return answer

    async def _step(self, kind: str, reading: _Reading) -> None:
        match kind:
            case "issues":
                await self._issues(reading)
            case "pulls":
                await self._pulls(reading)
            case "comments":
                await self._comments(reading)
            case "review_comments":
                await self._review_comments(reading)
            case "deeds":
                await self._deeds(reading)
            case _:
                await self._runs(reading)

    async def _issues(self, reading: _Reading) -> None:
        try:
            issues, ended = await self._changed("issues", reading, f"{self._root}/issues", state="all")
        except Gone:
            return  # The repository has no issues, which is a setting of it.
        for issue in issues:
            at, fact = _time(issue, "created_at"), f"issue-{number(issue, 'number')}-opened"
            if not is_pull(issue) and reading.is_new("issues", fact, at):
                reading.tell(fact, reading.teller.opened("issues", issue, at))
        reading.reached("issues", [_time(one, "updated_at") for one in issues], ended=ended)

    async def _pulls(self, reading: _Reading) -> None:
        since = reading.progress.at["pulls"]
        pulls, ended = await self._newest(
            f"{self._root}/pulls",
            "updated_at",
            since,
            most=1,
            state="all",
            sort="updated",
            direction="desc",
        )
        for pull in pulls:
            at, fact = _time(pull, "created_at"), f"pr-{number(pull, 'number')}-opened"
            if "pulls" in self._kinds and reading.is_new("pulls", fact, at):
                reading.tell(fact, reading.teller.opened("pull_request", pull, at))
            if "reviews" in self._kinds:
                await self._reviews(reading, pull)
        reading.reached("pulls", [_time(one, "updated_at") for one in pulls], ended=ended)

    async def _reviews(self, reading: _Reading, pull: Body) -> None:
        """A review changes its pull request. What has changed just now may change again in that second."""
        count, changed = number(pull, "number"), _time(pull, "updated_at")
        fact = f"pr-{count}@{changed}"
        if not reading.is_new("pulls", fact, changed):
            return
        try:
            reviews = await self._whole(f"{self._root}/pulls/{count}/reviews")
        except Gone:
            return
        for review in reviews:
            at, submitted = seconds(review.get("submitted_at")), f"review-{number(review, 'id')}"
            if at is not None and reading.is_new("pulls", submitted, at):
                reading.tell(submitted, reading.teller.reviewed(review, pull, at))
        if reading.now - changed > OVERLAP:
            reading.facts.append(fact)

    async def _comments(self, reading: _Reading) -> None:
        comments, ended = await self._changed("comments", reading, f"{self._root}/issues/comments")
        for comment in comments:
            at = _time(comment, "created_at")
            about = f"{self._root}/issues/{_last(comment, 'issue_url')}"
            await self._comment(reading, "issue_comment", "comments", comment, about, at)
        reading.reached("comments", [_time(one, "updated_at") for one in comments], ended=ended)

    async def _review_comments(self, reading: _Reading) -> None:
        kind = "review_comments"
        comments, ended = await self._changed(kind, reading, f"{self._root}/pulls/comments")
        for comment in comments:
            about = f"{self._root}/pulls/{_last(comment, 'pull_request_url')}"
            at = _time(comment, "created_at")
            if _time(comment, "updated_at") > at:
                id = number(comment, "pull_request_review_id")
                review = await self._thing(reading, f"{about}/reviews/{id}") if id is not None else None
                at = published(comment, review or {}) or at
            await self._comment(reading, "pull_request_review_comment", kind, comment, about, at)
        reading.reached(kind, [_time(one, "updated_at") for one in comments], ended=ended)

    async def _comment(
        self, reading: _Reading, event: str, kind: str, comment: Body, about: str, at: int
    ) -> None:
        """A comment that was published `at`, and its latest edit."""
        id, changed = number(comment, "id"), _time(comment, "updated_at")
        # A review's comments are changed by being published.
        slack = SAME if event == "pull_request_review_comment" else 0
        for action, time, fact in (
            ("created", at, f"{event}-{id}"),
            ("edited", changed, f"{event}-{id}@{changed}.{short(text(comment, 'body'))}"),
        ):
            if action == "edited" and changed <= at + slack:
                continue
            if not reading.is_new(kind, fact, time):
                continue
            if (thing := await self._thing(reading, about)) is not None:
                reading.tell(fact, reading.teller.commented(event, comment, thing, action, time))

    async def _deeds(self, reading: _Reading) -> None:
        since = reading.progress.at["deeds"]
        deeds, ended = await self._newest(f"{self._root}/issues/events", "created_at", since)
        for deed in deeds:
            at, fact = _time(deed, "created_at"), f"deed-{number(deed, 'id')}"
            if reading.is_new("deeds", fact, at):
                told = await self._deed(reading, deed, at)
                if told is not None:
                    reading.tell(fact, told)
        reading.reached("deeds", [_time(one, "created_at") for one in deeds], ended=ended)

    async def _deed(self, reading: _Reading, deed: Body, at: int) -> Told | None:
        issue, teller, what = part(deed, "issue"), reading.teller, text(deed, "event")
        if is_pull(issue):
            if what not in ("closed", "ready_for_review"):
                return None
            pull = await self._thing(reading, f"{self._root}/pulls/{number(issue, 'number')}")
            if pull is None:
                return None
            tell = teller.closed if what == "closed" else teller.ready
            return tell(pull, doer(deed), at)
        if what == "labeled" and (label := part(deed, "label")):
            return teller.labeled(issue, label, doer(deed), at)
        if what == "assigned" and (assignee := part(deed, "assignee")):
            return teller.assigned(issue, assignee, doer(deed), at)
        return None

    async def _runs(self, reading: _Reading) -> None:
        """Runs are listed by their beginning: what goes on is kept in mind until it completes."""
        back = reading.progress.at["runs"] - BACK
        runs, _ = await self._newest(
            f"{self._root}/actions/runs",
            "created_at",
            back,
            most=MOST_WALKED,
            items="workflow_runs",
        )
        listed = {number(run, "id") for run in runs}
        for known in reading.progress.open:
            path = f"{self._root}/actions/runs/{known}"
            run = None if known in listed else await self._thing(reading, path)
            runs = [*runs, run] if run is not None else runs
        going = [id for run in runs if not _is_over(run) and (id := number(run, "id")) is not None]
        over = sorted((run for run in runs if _is_over(run)), key=_changed)
        fresh = [run for run in over if reading.is_new("runs", _run_fact(run), _changed(run))]
        for run in fresh[:MOST_RUNS]:
            reading.tell(_run_fact(run), reading.teller.ran(run, _changed(run)))
        ended = len(fresh) <= MOST_RUNS
        times = [_changed(run) for run in (over if ended else fresh[:MOST_RUNS])]
        reading.reached("runs", times, ended=ended)
        reading.progress = replace(reading.progress, open=tuple(going[:MOST_OPEN]))

    async def _thing(self, reading: _Reading, path: str) -> Body | None:
        """One thing, asked for once in a step; None if it is gone."""
        if path not in reading.things:
            try:
                reading.things[path] = _object((await self._api.get(path)).data, path)
            except Gone:
                reading.things[path] = None
        return reading.things[path]

    async def _changed(
        self, kind: str, reading: _Reading, path: str, **query: str
    ) -> tuple[Sequence[Body], bool]:
        """What has changed since `kind` was read last, the oldest first, and whether that is all."""
        since = reading.progress.at[kind]
        asked = {**query, "sort": "updated", "direction": "asc", "since": iso(since)}
        return await _smaller(lambda size: self._changed_by(path, since, {**asked, "per_page": size}))

    async def _changed_by(
        self, path: str, since: int, query: Mapping[str, str | int]
    ) -> tuple[Sequence[Body], bool]:
        answer = await self._api.get(path, **query)
        found = _list(answer.data, path)
        for _ in range(MOST_WALKED):
            if answer.next is None:
                return found, True
            if max(map(_changed, found), default=0) - 1 > since:
                return found, False
            answer = await self._api.after(answer)
            found = [*found, *_list(answer.data, path)]
        return found, False

    async def _newest(
        self, path: str, key: str, since: int, *, most: int = MOST_PAGES, items: str = "", **query: str
    ) -> tuple[Sequence[Body], bool]:
        """What a list with the newest first has since then, the oldest first, and whether that is all.

        If it has more than `most` pages, it is the oldest of them. `key` is the time it is sorted by.
        """

        async def read(size: int) -> tuple[Sequence[Body], bool]:
            kept: deque[Sequence[Body]] = deque()
            ended = True
            answer = await self._api.get(path, **query, per_page=size)
            for _ in range(MOST_WALKED):
                page = _list(answer.data, path, items)
                kept.append([one for one in page if _time(one, key) >= since])
                # Without the newest page, the rest must lead on all the same.
                if len(kept) > most and max((_time(one, key) for one in kept[1]), default=0) - 1 > since:
                    kept.popleft()
                    ended = False
                if len(kept[-1]) < len(page) or answer.next is None:
                    break
                answer = await self._api.after(answer)
            return [one for found in reversed(kept) for one in reversed(found)], ended

        return await _smaller(read)

    async def _whole(self, path: str) -> Sequence[Body]:
        """A list, whole."""

        async def read(size: int) -> tuple[Sequence[Body], bool]:
            answer = await self._api.get(path, per_page=size)
            found = _list(answer.data, path)
            while answer.next is not None and len(found) < MOST_PAGES * SIZES[0]:
                answer = await self._api.after(answer)
                found = [*found, *_list(answer.data, path)]
            return found, True

        return (await _smaller(read))[0]


async def _smaller(
    read: Callable[[int], Awaitable[tuple[Sequence[Body], bool]]],
) -> tuple[Sequence[Body], bool]:
    """In pages of a hundred, or in smaller ones if these are too large to be read."""
    for size in SIZES[:-1]:
        with suppress(TooLarge):
            return await read(size)
    return await read(SIZES[-1])


def _list(data: Any, path: str, items: str = "") -> list[Body]:
    found = data.get(items) if items and isinstance(data, dict) else data
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PluginError(f"GitHub's answer to {path} is no list of objects: is `api_url` right?")
    return found


def _object(data: Any, path: str) -> Body:
    if not isinstance(data, dict):
        raise PluginError(f"GitHub's answer to {path} is no object: is `api_url` right?")
    return data


def _time(thing: Body, key: str) -> int:
    """One of GitHub's times. Raises PluginError: without it, nobody knows what was read."""
    at = seconds(thing.get(key))
    if at is None:
        raise PluginError(f"GitHub lists something without `{key}`: {text(thing, 'url')[:200] or 'no URL'}")
    return at


def _changed(thing: Body) -> int:
    return _time(thing, "updated_at")


def _last(comment: Body, key: str) -> str:
    """The number at the end of a URL."""
    count = text(comment, key).rpartition("/")[2]
    if not (count.isascii() and count.isdigit()):
        raise PluginError(f"GitHub lists a comment without `{key}`: {text(comment, 'url')[:200] or 'no URL'}")
    return count


def _is_over(run: Body) -> bool:
    return text(run, "status") == "completed"


def _run_fact(run: Body) -> str:
    return f"run-{number(run, 'id')}.{number(run, 'run_attempt') or 1}:{text(run, 'conclusion')}"
