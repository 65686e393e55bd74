"""A fact is one event, whichever way it comes: polled, pushed, both ways, or delivered again."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.connectors.github.events.normalize import normalize
from orgloop.connectors.github.polled_events import KINDS
from orgloop.connectors.github.shared_keys import APART, Pairs, Way
from orgloop.connectors.github.times import iso, seconds
from orgloop.plugin import Draft
from orgloop.runtime.support.http import HttpClient
from tests.connectors.github_bodies import FORK, HUBOT, MONA, STRANGER, check_run, suite
from tests.connectors.test_github_poll import HOUR, MINUTE, NOON, Follower
from tests.support.github_server import REPO, Delivery, GithubServer

BRANCH, GONE = "refs/heads/retry-invoices", "0" * 40
NAMES: Final = ("platform_event", "native_event", "native_action", "resource_id", "author", "author_type")
LINKS: Final = ("repo", "pr_number", "issue_number", "pr_author", "pr_state", "pr_merged", "url")


@pytest.fixture
async def server() -> AsyncIterator[GithubServer]:
    async with GithubServer(NOON) as server:
        server.open_pull(42)
        fork = {"ref": "patch-1", "sha": "abad1de", "repo": FORK}
        server.open_pull(43, user=STRANGER, author_association="NONE", head=fork)
        server.open_issue(7)
        server.deploy(100, "staging")
        server.now += HOUR
        yield server


def run_of(server: GithubServer) -> list[Delivery]:
    server.start_run(5000)
    return [server.end_run(5000, "failure")]


def reopened(server: GithubServer, number: int) -> list[Delivery]:
    closed = server.close(number, merged=False) if number in server.pulls else server.close_issue(number)
    server.now += MINUTE
    return [closed, server.reopen(number)]


def taken_back(server: GithubServer, number: int) -> list[Delivery]:
    """A label and an assignment that are set and taken back, in one second."""
    return [
        server.label(number, "p1"),
        server.label(number, "p1", "unlabeled"),
        server.assign(number, HUBOT),
        server.assign(number, HUBOT, "unassigned"),
    ]


def toggled(server: GithubServer) -> list[Delivery]:
    """The same push there and back, and there again: three pushes."""
    told: list[Delivery] = []
    for before, after in (("ec26c3e", "f00dfee"), ("f00dfee", "ec26c3e"), ("ec26c3e", "f00dfee")):
        told += server.push(BRANCH, before, after, kind="force_push")
        server.now += 2 * MINUTE
    return told


def edited(server: GithubServer) -> list[Delivery]:
    told = server.comment(7, "I can reproduce this.")
    server.now += MINUTE
    return [told, server.edit(max(server.comments), "I can reproduce this, twice.")]


FACTS: Final[Mapping[str, Callable[[GithubServer], Sequence[Delivery]]]] = {
    "issues.opened": lambda server: [server.open_issue(8)],
    "pull_request.opened": lambda server: [server.open_pull(44)],
    "pull_request.review_submitted": lambda server: [server.review(42, "approved")],
    "pull_request_review_comment": lambda server: [server.review_comment(42, "Name this constant.")],
    "issue_comment": edited,
    "pull_request.closed": lambda server: [server.close(42, merged=False)],
    "pull_request.merged": lambda server: [server.close(42, merged=True)],
    "pull_request.ready_for_review": lambda server: [server.to_draft(42), server.ready(42)],
    "pull_request.reopened": lambda server: reopened(server, 42),
    "pull_request.labeled": lambda server: taken_back(server, 42),
    "pull_request.review_requested": lambda server: [
        server.ask_review(42, requested_reviewer=HUBOT),
        server.ask_review(42, requested_team={"slug": "backend"}),
        server.ask_review(42, "review_request_removed", requested_reviewer=HUBOT),
    ],
    "issues.reopened": lambda server: reopened(server, 7),
    "issues.labeled": lambda server: taken_back(server, 7),
    "workflow_run.completed": run_of,
    "push": lambda server: server.push("refs/heads/main", "0ddba11", "ec26c3e", kind="pr_merge"),
    "pull_request.synchronize": toggled,
    "release.published": lambda server: [server.release("v1.4.2")],
    "deployment.created": lambda server: [server.deploy(101, "production"), server.deployed(100, "failure")],
    "check_suite.completed": lambda server: [server.check("ec26c3e", "check_suite", suite())],
    "check_run.completed": lambda server: [
        server.check("ec26c3e", "check_run", check_run()),
        server.check("main", "check_run", check_run(id=8001)),
    ],
}


def test_every_kind_that_is_polled_is_tried() -> None:
    names = {kind: {name for name, _, _ in told} for kind, told in KINDS.items()}
    assert {kind for kind in names if not names[kind] & FACTS.keys()} == set()


def named(draft: Draft) -> tuple[Any, ...]:
    """What filters and keys of routes read first."""
    return tuple(draft.provenance.get(name) for name in (*NAMES, *LINKS))


def shifted(delivery: Delivery, by: int) -> Delivery:
    """As a delivery that names another second than the API does, where nothing else names the fact."""
    event, body = copy.deepcopy(delivery)
    if event == "push":
        body["repository"]["pushed_at"] += by
    elif body["action"] not in ("opened", "closed", "submitted", "created", "edited", "published"):
        for thing in (body.get("issue"), body.get("pull_request")):
            if thing is not None:
                thing["updated_at"] = iso((seconds(thing["updated_at"]) or 0) + by)
    return event, body


@pytest.mark.parametrize("by", [0, -3, 30])
@pytest.mark.parametrize("fact", FACTS)
async def test_polled_pushed_and_redelivered_it_is_one_event(
    fact: str, by: int, server: GithubServer, http: HttpClient
) -> None:
    events = ["check_run", "check_suite", "deployment", "deployment_status", "*"]
    ways = [await Follower(server, http, secret="s3cret", events=events).begin() for _ in range(4)]
    polled, pushed, first, last = ways
    for one in ways:
        await one.poll()
    deliveries = [shifted(one, by) for one in FACTS[fact](server)]
    for number, delivery in enumerate(deliveries):
        await pushed.push(delivery, number)
        await first.push(delivery, number)
    for one in (polled, first, last):
        await one.poll()
    for number, delivery in enumerate(deliveries):
        await pushed.push(delivery, 100 + number)
        await last.push(delivery, number)
    assert len(polled.events) == len(deliveries)
    for one in ways:
        assert sorted(map(named, one.events.values())) == sorted(map(named, polled.events.values()))
    assert pushed.events.keys() == first.events.keys()
    assert polled.events.keys() == last.events.keys()
    assert await first.poll() == await last.poll() == []
    if by == 0:
        assert polled.events.keys() == {normalize(*one).key for one in deliveries}


async def test_a_push_to_a_fork_is_seen_at_its_pull_request(server: GithubServer, http: HttpClient) -> None:
    """Also of one that was open before the source was added. Who pushed is not known, and not trusted."""
    follower = await Follower(server, http, events=["pull_request.synchronize"], secret="s").begin()
    await follower.poll()
    await follower.poll()
    pushed = []
    for sha in ("b0bca7", "c0ffee"):
        server.now += MINUTE
        pushed.append(normalize(*server.new_head(43, sha, MONA)))
        [told] = await follower.poll()
        assert told.key == pushed[-1].key
        assert told.payload["after"] == sha
        assert told.provenance["author_type"] == "unknown"
    server.now += MINUTE
    server.comment(43, "Thanks.")
    assert await follower.poll() == []
    # After a crash, and after it was closed and opened again with other commits.
    server.now += MINUTE
    server.new_head(43, "facade", STRANGER)
    lost = await follower.poll(crash=True)
    assert [one.key for one in await (await follower.begin()).poll()] == [one.key for one in lost]
    server.close(43, merged=False)
    await follower.poll()
    server.now += MINUTE
    server.new_head(43, "decade", STRANGER)
    server.reopen(43)
    assert await follower.poll() == []


async def test_a_push_says_what_was_pushed(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http, events=["push"]).begin()
    await follower.poll()
    server.push(BRANCH, "ec26c3e", "f00dfee", kind="force_push")
    server.push("refs/heads/new", GONE, "f00dfee", kind="branch_creation")
    server.push("refs/heads/new", "f00dfee", GONE, kind="branch_deletion")
    server.push("refs/heads/lost", "badcafe", "beefed")
    del server.commits["beefed"]
    forced, made, gone, lost = (one.payload for one in await follower.poll())
    assert (forced["forced"], forced["created"], forced["deleted"]) == (True, False, False)
    assert forced["commits"] == [forced["head_commit"]]
    assert forced["head_commit"]["message"] == "Change f00dfee"
    assert forced["head_commit"]["author"]["username"] == "mona"
    assert (made["created"], made["commits"], made["head_commit"]["id"]) == (True, [], "f00dfee")
    assert (gone["deleted"], gone["commits"], gone["head_commit"]) == (True, [], None)
    assert (lost["commits"], lost["head_commit"]) == ([], None)


async def test_what_takes_many_requests_is_read_only_if_it_is_named(
    server: GithubServer, http: HttpClient
) -> None:
    plain = await Follower(server, http).begin()
    asks = await Follower(server, http, events=["check_run.completed"]).begin()
    for one in (plain, asks):
        await one.poll()
    server.check("ec26c3e", "check_run", check_run())
    server.check("ec26c3e", "check_run", check_run(id=8002, status="in_progress", conclusion=None))
    server.asked.clear()
    assert await plain.poll() == []
    assert not [path for path, _ in server.asked if "/commits/" in path or "deployments" in path]
    server.asked.clear()
    [told] = await asks.poll()
    assert (told.provenance["author"], told.provenance["author_type"]) == ("octo-checks", "bot")
    assert {path.partition("?")[0] for path, _ in server.asked} == {
        *(REPO, f"{REPO}/pulls", f"{REPO}/commits/main/check-runs"),
        *(f"{REPO}/commits/{sha}/check-runs" for sha in ("ec26c3e", "abad1de")),
    }


async def test_only_deeds_that_are_asked_for_take_requests(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http, events=["issues.labeled"]).begin()
    await follower.poll()
    taken_back(server, 42)
    server.label(7, "p1")
    assert [one.provenance["label"] for one in await follower.poll()] == ["p1"]
    assert not [path for path, _ in server.asked if "/pulls/" in path]


@given(st.data())
def test_facts_that_come_both_ways_in_any_order_are_as_many_as_they_are(data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.integers(APART + 10, 10_000), max_size=6))
    times = [NOON + sum(gaps[:count]) for count in range(len(gaps) + 1)]
    off = [time + data.draw(st.integers(-5, 5)) for time in times]
    arrivals = [(Way.POLLED, at) for at in times] + [(Way.PUSHED, at) for at in off]
    repeated = data.draw(st.permutations(arrivals)) + data.draw(st.lists(st.sampled_from(arrivals)))
    pairs = Pairs()
    keys = [pairs.key(f"issue:octo-org/billing#7:labeled-p1@{iso(at)}", way) for way, at in repeated]
    assert len(set(keys)) == len(times)


def test_what_is_remembered_of_facts_is_bounded() -> None:
    pairs = Pairs()
    for number in range(5_000):
        pairs.key(f"issue:a/b#{number}:labeled-x@{iso(NOON)}", Way.PUSHED)
        pairs.key(f"issue:a/b#1:labeled-x@{iso(NOON + 1_000 * number)}", Way.PUSHED)
    assert sum(map(len, pairs._facts.values())) < 3_000
    for key in ("review-1", "push:x@", "@2026-01-05T11:00:00Z", "comment-1-edited@2026-01-05T11:00:00Z.ab"):
        assert pairs.key(key, Way.POLLED) == pairs.key(key, Way.PUSHED) == key
