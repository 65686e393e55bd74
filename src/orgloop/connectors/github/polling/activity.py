"""Pushes, and the new commits of pull requests, as GitHub's activity of a repository tells of them.

It does not know what goes on in forks. Their pull requests are known by the commit that each of them
had when it was read last.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from orgloop.connectors.github.api import NoAccess, TooLarge
from orgloop.connectors.github.events.reading import number, part, text
from orgloop.connectors.github.lists import as_list, as_object, changed_at, time_of
from orgloop.connectors.github.polling.bodies import ReportedFact
from orgloop.connectors.github.polling.checkpoint import MOST_HEADS
from orgloop.connectors.github.polling.step import StepReading
from orgloop.connectors.github.times import seconds

Body = Mapping[str, Any]

NOTHING: Final = "0" * 40
"""The commit of a branch that does not exist."""

BRANCHES: Final = "refs/heads/"


async def read_activity(reading: StepReading, kinds: frozenset[str]) -> None:
    """Pushes to the repository's branches, and which pull requests have new commits by them."""
    since = reading.progress.at["activity"]
    try:
        found, ended = await reading.lists.newest(
            f"{reading.root}/activity", "timestamp", since, direction="desc"
        )
    except NoAccess:
        return  # Older servers of GitHub Enterprise have no such list.
    for done in found:
        at, fact = time_of(done, "timestamp"), f"activity-{number(done, 'id')}"
        if not reading.is_new("activity", fact, at):
            continue
        facts = [await _pushed(reading, done, at)] if "pushes" in kinds else []
        if "heads" in kinds:
            facts += await _synchronized(reading, done, at)
        reading.tell(fact, *facts)
    reading.reached("activity", [time_of(done, "timestamp") for done in found], ended=ended)


async def remember_forks(reading: StepReading) -> None:
    """The first time: which commits the open pull requests from forks have."""
    if reading.progress.heads is not None:
        return
    reading.progress = replace(reading.progress, heads={})
    pulls = await reading.lists.whole(
        f"{reading.root}/pulls", pages=MOST_HEADS // 100, state="open", sort="updated", direction="desc"
    )
    for pull in reversed(pulls):
        if not reading.is_new("pulls", "", changed_at(pull)):
            _remember(reading, pull)


def read_fork(reading: StepReading, pull: Body) -> None:
    """Whether a pull request that was changed has another commit now, if it comes from a fork."""
    before = (reading.progress.heads or {}).get(str(number(pull, "number")))
    after = text(part(pull, "head"), "sha")
    _remember(reading, pull)
    at = changed_at(pull)
    if before is None or before == after or text(pull, "state") != "open":
        return
    fact = f"head-{number(pull, 'number')}-{before}-{after}@{at}"
    # Who pushed to a fork is not told; not always the author of its pull request.
    reading.tell(fact, reading.teller.synchronized(pull, None, before, after, at))


def _remember(reading: StepReading, pull: Body) -> None:
    count, head = str(number(pull, "number")), part(pull, "head")
    heads = {name: sha for name, sha in (reading.progress.heads or {}).items() if name != count}
    home = text(reading.teller.repository, "full_name")
    if text(pull, "state") == "open" and text(part(head, "repo"), "full_name") != home and text(head, "sha"):
        heads[count] = text(head, "sha")
    reading.progress = replace(reading.progress, heads=dict(list(heads.items())[-MOST_HEADS:]))


async def _synchronized(reading: StepReading, done: Body, at: int) -> list[ReportedFact]:
    """The pull requests from this branch that were open then."""
    before, after, ref = text(done, "before"), text(done, "after"), text(done, "ref")
    if NOTHING in (before, after) or not ref.startswith(BRANCHES):
        return []
    home = text(reading.teller.repository, "full_name")
    branch = f"{home.partition('/')[0]}:{ref.removeprefix(BRANCHES)}"
    pulls = await reading.listed(f"{reading.root}/pulls", state="all", head=branch)
    return [
        reading.teller.synchronized(pull, done.get("actor"), before, after, at)
        for pull in pulls
        if text(part(pull, "head", "repo"), "full_name") == home and _was_open(pull, at)
    ]


def _was_open(pull: Body, at: int) -> bool:
    created, closed = seconds(pull.get("created_at")), seconds(pull.get("closed_at"))
    return created is not None and created <= at and (closed is None or closed > at)


async def _pushed(reading: StepReading, done: Body, at: int) -> ReportedFact:
    before, after = text(done, "before"), text(done, "after")
    commits: list[Body] = []
    if NOTHING not in (before, after):
        path = f"{reading.root}/compare/{before}...{after}"
        # Commits that were pushed away may be gone.
        with suppress(NoAccess, TooLarge):
            answer = await reading.api.get(path, per_page=100)
            commits = [_commit(one) for one in as_list(as_object(answer.data, path), path, "commits")]
    head = next((one for one in commits if one["id"] == after), None)
    if head is None and after != NOTHING:
        with suppress(TooLarge):
            # The files of a commit come in pages, too.
            one = await reading.thing(f"{reading.root}/commits/{after}", per_page="1")
            head = _commit(one) if one is not None else None
    return reading.teller.pushed(done, commits, head, at)


def _commit(listed: Body) -> Body:
    """A commit as a delivery of `push` has it, without the names of its files."""
    commit = part(listed, "commit")
    return {
        "id": text(listed, "sha"),
        "tree_id": text(part(commit, "tree"), "sha"),
        "message": text(commit, "message"),
        "timestamp": text(part(commit, "committer"), "date"),
        "url": text(listed, "html_url"),
        "author": _person(part(commit, "author"), part(listed, "author")),
        "committer": _person(part(commit, "committer"), part(listed, "committer")),
    }


def _person(named: Body, account: Body) -> Body:
    username = {"username": account["login"]} if text(account, "login") else {}
    return {"name": text(named, "name"), "email": text(named, "email"), **username}
