"""Pushes, and the new commits of pull requests, as GitHub's activity of a repository tells of them.

It does not know what goes on in forks. Their pull requests are known by the commit that each of them
had when it was read last.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Final

from orgloop.connectors.github.api import NoAccess, TooLarge
from orgloop.connectors.github.lists import as_list, as_object, changed_at, time_of
from orgloop.connectors.github.polling.bodies import ReportedFact
from orgloop.connectors.github.polling.checkpoint import MOST_HEADS
from orgloop.connectors.github.polling.step import StepReading
from orgloop.connectors.github.times import seconds
from orgloop.plugin import Json, integer_at, object_at, text_at

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
        at, fact = time_of(done, "timestamp"), f"activity-{integer_at(done, 'id')}"
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


def read_fork(reading: StepReading, pull: Json) -> None:
    """Whether a pull request that was changed has another commit now, if it comes from a fork."""
    before = (reading.progress.heads or {}).get(str(integer_at(pull, "number")))
    after = text_at(object_at(pull, "head"), "sha")
    _remember(reading, pull)
    at = changed_at(pull)
    if before is None or before == after or text_at(pull, "state") != "open":
        return
    fact = f"head-{integer_at(pull, 'number')}-{before}-{after}@{at}"
    # Who pushed to a fork is not told; not always the author of its pull request.
    reading.tell(fact, reading.teller.synchronized(pull, None, before, after, at))


def _remember(reading: StepReading, pull: Json) -> None:
    count, head = str(integer_at(pull, "number")), object_at(pull, "head")
    heads = {name: sha for name, sha in (reading.progress.heads or {}).items() if name != count}
    home = text_at(reading.teller.repository, "full_name")
    if (
        text_at(pull, "state") == "open"
        and text_at(object_at(head, "repo"), "full_name") != home
        and text_at(head, "sha")
    ):
        heads[count] = text_at(head, "sha")
    reading.progress = replace(reading.progress, heads=dict(list(heads.items())[-MOST_HEADS:]))


async def _synchronized(reading: StepReading, done: Json, at: int) -> list[ReportedFact]:
    """The pull requests from this branch that were open then."""
    before, after, ref = text_at(done, "before"), text_at(done, "after"), text_at(done, "ref")
    if NOTHING in (before, after) or not ref.startswith(BRANCHES):
        return []
    home = text_at(reading.teller.repository, "full_name")
    branch = f"{home.partition('/')[0]}:{ref.removeprefix(BRANCHES)}"
    pulls = await reading.listed(f"{reading.root}/pulls", state="all", head=branch)
    return [
        reading.teller.synchronized(pull, done.get("actor"), before, after, at)
        for pull in pulls
        if text_at(object_at(pull, "head", "repo"), "full_name") == home and _was_open(pull, at)
    ]


def _was_open(pull: Json, at: int) -> bool:
    created, closed = seconds(pull.get("created_at")), seconds(pull.get("closed_at"))
    return created is not None and created <= at and (closed is None or closed > at)


async def _pushed(reading: StepReading, done: Json, at: int) -> ReportedFact:
    before, after = text_at(done, "before"), text_at(done, "after")
    commits: list[Json] = []
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


def _commit(listed: Json) -> Json:
    """A commit as a delivery of `push` has it, without the names of its files."""
    commit = object_at(listed, "commit")
    return {
        "id": text_at(listed, "sha"),
        "tree_id": text_at(object_at(commit, "tree"), "sha"),
        "message": text_at(commit, "message"),
        "timestamp": text_at(object_at(commit, "committer"), "date"),
        "url": text_at(listed, "html_url"),
        "author": _person(object_at(commit, "author"), object_at(listed, "author")),
        "committer": _person(object_at(commit, "committer"), object_at(listed, "committer")),
    }


def _person(named: Json, account: Json) -> Json:
    username = {"username": account["login"]} if text_at(account, "login") else {}
    return {"name": text_at(named, "name"), "email": text_at(named, "email"), **username}
