"""One repository, read step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from orgloop.connectors.github.api import Api, NoAccess, Response
from orgloop.connectors.github.lists import MOST_WALKED, as_object, changed_at, time_of
from orgloop.connectors.github.polled_events import is_wanted, kinds_for
from orgloop.connectors.github.polling.activity import read_activity, read_fork, remember_forks
from orgloop.connectors.github.polling.bodies import SAME, ReportedFact, Teller, doer, is_pull, published
from orgloop.connectors.github.polling.checkpoint import BACK, MOST_OPEN, ReadProgress, short
from orgloop.connectors.github.polling.hook_log import ask_again
from orgloop.connectors.github.polling.rollout import read_checks, read_deployments, read_releases
from orgloop.connectors.github.polling.step import OVERLAP, ReadStep, StepReading
from orgloop.connectors.github.times import seconds
from orgloop.plugin import Json, PluginError, integer_at, object_at, text_at

MOST_RUNS: Final = 1_000
"""Completed runs that one step tells of."""

_FOUND_BY: Final[Mapping[str, frozenset[str]]] = {
    "reviews": frozenset({"pulls"}),
    "pushes": frozenset({"activity"}),
    "heads": frozenset({"activity", "pulls"}),
}
"""Kinds that are found by reading others: reviews by the pull requests that they changed."""

_RENAMED: Final = {"convert_to_draft": "converted_to_draft"}
_WITH: Final[Mapping[str, Sequence[str]]] = {
    "labeled": ("label",),
    "unlabeled": ("label",),
    "assigned": ("assignee",),
    "unassigned": ("assignee",),
    "review_requested": ("requested_reviewer", "requested_team"),
    "review_request_removed": ("requested_reviewer", "requested_team"),
}
"""What a deed is done with: one of these is there."""


class Repository:
    """Reads `owner/name`: the lists that have some of `events`.

    `hook`: the path of webhooks that lead here, whose lost deliveries are asked for again.
    """

    def __init__(self, name: str, api: Api, events: Sequence[str], hook: str | None = None) -> None:
        self._hook = hook
        self._api = api
        self._root = f"/repos/{name}"
        self._events = events
        self._kinds = kinds_for(events)
        self._read = sorted(frozenset().union(*(_FOUND_BY.get(kind, {kind}) for kind in self._kinds)))

    async def begin(self, lookback: int) -> ReadStep:
        """The first step only says from when on: `lookback` seconds before GitHub's time."""
        answer = await self._asked()
        progress = ReadProgress(log=answer.at - lookback).beginning(self._read, answer.at - lookback)
        return ReadStep(progress=progress, more=lookback > 0)

    async def step(self, known: ReadProgress) -> ReadStep:
        """What is new since then: at most some pages of each kind."""
        answer = await self._asked()
        reading = StepReading(
            api=self._api,
            root=self._root,
            progress=known.beginning(self._read, answer.at),
            teller=Teller(repository=answer.data),
            now=answer.at,
        )
        if "heads" in self._kinds:
            await remember_forks(reading)
        for kind in self._read:
            await self._step(kind, reading)
        if self._hook is not None:
            await self._log(reading, self._hook)
        return ReadStep(
            progress=reading.progress.with_seen(reading.facts), reported=reading.reported, more=reading.more
        )

    async def _log(self, reading: StepReading, path: str) -> None:
        if reading.progress.log is None:
            reading.progress = replace(reading.progress, log=reading.now)
        elif not await ask_again(reading, path, self._events):
            self._hook = None  # Until the next start: `doctor` says so.

    async def _asked(self) -> Response:
        """GitHub's words about the repository. It leads on from an old name, which its events do not have."""
        answer = await self._api.get(self._root)
        name = text_at(as_object(answer.data, self._root), "full_name")
        if f"/repos/{name}".casefold() != self._root.casefold():
            old = self._root.removeprefix("/repos/")
            raise PluginError(f"GitHub calls {old} {name[:200] or 'nothing'} now: write that in `repo`")
        return answer

    async def _step(self, kind: str, reading: StepReading) -> None:
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
            case "activity":
                await read_activity(reading, self._kinds)
            case "releases":
                await read_releases(reading)
            case "deployments":
                await read_deployments(reading)
            case "check_suites" | "check_runs":
                await read_checks(reading, kind)
            case _:
                await self._runs(reading)

    async def _issues(self, reading: StepReading) -> None:
        try:
            issues, ended = await reading.lists.changed(
                f"{self._root}/issues", reading.progress.at["issues"], state="all"
            )
        except NoAccess:
            return  # The repository has no issues, which is a setting of it.
        for issue in issues:
            at, fact = time_of(issue, "created_at"), f"issue-{integer_at(issue, 'number')}-opened"
            if not is_pull(issue) and reading.is_new("issues", fact, at):
                reading.tell(fact, reading.teller.opened("issues", issue, at))
        reading.reached("issues", [time_of(one, "updated_at") for one in issues], ended=ended)

    async def _pulls(self, reading: StepReading) -> None:
        since = reading.progress.at["pulls"]
        pulls, ended = await reading.lists.newest(
            f"{self._root}/pulls",
            "updated_at",
            since,
            most=1,
            state="all",
            sort="updated",
            direction="desc",
        )
        for pull in pulls:
            at, fact = time_of(pull, "created_at"), f"pr-{integer_at(pull, 'number')}-opened"
            if "pulls" in self._kinds and reading.is_new("pulls", fact, at):
                reading.tell(fact, reading.teller.opened("pull_request", pull, at))
            if "reviews" in self._kinds:
                await self._reviews(reading, pull)
            if "heads" in self._kinds:
                read_fork(reading, pull)
        reading.reached("pulls", [time_of(one, "updated_at") for one in pulls], ended=ended)

    async def _reviews(self, reading: StepReading, pull: Json) -> None:
        """A review changes its pull request. What has changed just now may change again in that second."""
        count, changed = integer_at(pull, "number"), time_of(pull, "updated_at")
        fact = f"pr-{count}@{changed}"
        if not reading.is_new("pulls", fact, changed):
            return
        try:
            reviews = await reading.lists.whole(f"{self._root}/pulls/{count}/reviews")
        except NoAccess:
            return
        for review in reviews:
            at, submitted = seconds(review.get("submitted_at")), f"review-{integer_at(review, 'id')}"
            if at is not None and reading.is_new("pulls", submitted, at):
                reading.tell(submitted, reading.teller.reviewed(review, pull, at))
        if reading.now - changed > OVERLAP:
            reading.facts.append(fact)

    async def _comments(self, reading: StepReading) -> None:
        comments, ended = await reading.lists.changed(
            f"{self._root}/issues/comments", reading.progress.at["comments"]
        )
        for comment in comments:
            at = time_of(comment, "created_at")
            about = f"{self._root}/issues/{_last(comment, 'issue_url')}"
            await self._comment(reading, "issue_comment", "comments", comment, about, at)
        reading.reached("comments", [time_of(one, "updated_at") for one in comments], ended=ended)

    async def _review_comments(self, reading: StepReading) -> None:
        kind = "review_comments"
        comments, ended = await reading.lists.changed(
            f"{self._root}/pulls/comments", reading.progress.at[kind]
        )
        for comment in comments:
            about = f"{self._root}/pulls/{_last(comment, 'pull_request_url')}"
            at = time_of(comment, "created_at")
            if time_of(comment, "updated_at") > at:
                id = integer_at(comment, "pull_request_review_id")
                review = await reading.thing(f"{about}/reviews/{id}") if id is not None else None
                at = published(comment, review or {}) or at
            await self._comment(reading, "pull_request_review_comment", kind, comment, about, at)
        reading.reached(kind, [time_of(one, "updated_at") for one in comments], ended=ended)

    async def _comment(
        self, reading: StepReading, event: str, kind: str, comment: Json, about: str, at: int
    ) -> None:
        """A comment that was published `at`, and its latest edit."""
        id, changed = integer_at(comment, "id"), time_of(comment, "updated_at")
        # A review's comments are changed by being published.
        slack = SAME if event == "pull_request_review_comment" else 0
        for action, time, fact in (
            ("created", at, f"{event}-{id}"),
            ("edited", changed, f"{event}-{id}@{changed}.{short(text_at(comment, 'body'))}"),
        ):
            if action == "edited" and changed <= at + slack:
                continue
            if not reading.is_new(kind, fact, time):
                continue
            if (thing := await reading.thing(about)) is not None:
                reading.tell(fact, reading.teller.commented(event, comment, thing, action, time))

    async def _deeds(self, reading: StepReading) -> None:
        since = reading.progress.at["deeds"]
        deeds, ended = await reading.lists.newest(f"{self._root}/issues/events", "created_at", since)
        for deed in deeds:
            at, fact = time_of(deed, "created_at"), f"deed-{integer_at(deed, 'id')}"
            if reading.is_new("deeds", fact, at):
                reported = await self._deed(reading, deed, at)
                if reported is not None:
                    reading.tell(fact, reported)
        reading.reached("deeds", [time_of(one, "created_at") for one in deeds], ended=ended)

    async def _deed(self, reading: StepReading, deed: Json, at: int) -> ReportedFact | None:
        issue, teller, what = object_at(deed, "issue"), reading.teller, text_at(deed, "event")
        action = _RENAMED.get(what, what)
        kind = "pull_request" if is_pull(issue) else "issues"
        if not is_wanted(self._events, kind, action):
            return None
        given = {key: deed[key] for key in _WITH.get(action, ()) if object_at(deed, key)}
        if action in _WITH and not given:
            return None
        if kind == "issues":
            return teller.done(kind, action, issue, doer(deed), at, given)
        pull = await reading.thing(f"{self._root}/pulls/{integer_at(issue, 'number')}")
        if pull is None:
            return None
        if action == "closed":
            return teller.closed(pull, doer(deed), at)
        return teller.done(kind, action, pull, doer(deed), at, given)

    async def _runs(self, reading: StepReading) -> None:
        """Runs are listed by their beginning: what goes on is kept in mind until it completes."""
        back = reading.progress.at["runs"] - BACK
        runs, _ = await reading.lists.newest(
            f"{self._root}/actions/runs",
            "created_at",
            back,
            most=MOST_WALKED,
            items="workflow_runs",
        )
        listed = {integer_at(run, "id") for run in runs}
        for known in reading.progress.open:
            path = f"{self._root}/actions/runs/{known}"
            run = None if known in listed else await reading.thing(path)
            runs = [*runs, run] if run is not None else runs
        going = [id for run in runs if not _is_over(run) and (id := integer_at(run, "id")) is not None]
        over = sorted((run for run in runs if _is_over(run)), key=changed_at)
        fresh = [run for run in over if reading.is_new("runs", _run_fact(run), changed_at(run))]
        for run in fresh[:MOST_RUNS]:
            reading.tell(_run_fact(run), reading.teller.ran(run, changed_at(run)))
        ended = len(fresh) <= MOST_RUNS
        times = [changed_at(run) for run in (over if ended else fresh[:MOST_RUNS])]
        reading.reached("runs", times, ended=ended)
        reading.progress = replace(reading.progress, open=tuple(going[:MOST_OPEN]))


def _last(comment: Json, key: str) -> str:
    """The number at the end of a URL."""
    count = text_at(comment, key).rpartition("/")[2]
    if not (count.isascii() and count.isdigit()):
        raise PluginError(
            f"GitHub lists a comment without `{key}`: {text_at(comment, 'url')[:200] or 'no URL'}"
        )
    return count


def _is_over(run: Json) -> bool:
    return text_at(run, "status") == "completed"


def _run_fact(run: Json) -> str:
    return f"run-{integer_at(run, 'id')}.{integer_at(run, 'run_attempt') or 1}:{text_at(run, 'conclusion')}"
