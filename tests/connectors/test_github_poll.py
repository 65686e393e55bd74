"""A polled repository: the same events as by webhook, none twice, none lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from orgloop.connectors.github import connector
from orgloop.connectors.github.events.normalize import normalize
from orgloop.connectors.github.polling.owner import MOST_REPOS
from orgloop.connectors.github.polling.poll import GithubBoth, GithubPoller, open_source
from orgloop.connectors.github.settings import GithubSettings
from orgloop.plugin import Draft, Mark, PluginError, sign
from orgloop.plugin.settings import SecretStr
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import inbound
from tests.connectors.following import Polled
from tests.connectors.github_bodies import FORK, HUBOT, REPOSITORY, STRANGER
from tests.support.github_server import REPO, TOKEN, Delivery, GithubServer, failing

NOON = 1_767_614_400
MINUTE, HOUR = 60, 3600


@pytest.fixture
async def server() -> AsyncIterator[GithubServer]:
    async with GithubServer(NOON) as server:
        yield server


class Follower(Polled):
    """A source of one repository."""

    def __init__(self, server: GithubServer, http: HttpClient, **config: Any) -> None:
        self.server = server
        given = {"repo": "octo-org/billing", "token": TOKEN, "api_url": server.url, **config}
        super().__init__(connector, http, given, lambda: server.now * 1000)

    async def push(self, delivery: Delivery, number: int) -> None:
        event, body = delivery
        content = json.dumps(body).encode()
        signature = sign(SecretStr("s3cret"), content)
        request = inbound(
            content, X_GitHub_Event=event, X_GitHub_Delivery=str(number), X_Hub_Signature_256=signature
        )
        self.take((await self.source.receive(request)).events)


def day(server: GithubServer) -> Iterator[list[Delivery]]:
    """A pull request's life, and an issue's. The caller moves the clock in between."""
    yield [server.open_pull(42, draft=True)]
    yield [server.open_issue(7)]
    yield [server.comment(7, "I can reproduce this.")]
    yield [server.ready(42)]
    server.start_run(5000)
    yield [
        server.review(42, "commented"),
        server.review_comment(42, "Name this constant.", drafted=20 * MINUTE),
    ]
    yield [server.label(7, "p1")]
    yield [server.end_run(5000, "failure")]
    yield [server.assign(7, HUBOT)]
    yield server.push("refs/heads/retry-invoices", "ec26c3e", "f00dfee")
    yield [server.comment(42, "Please look again.", STRANGER)]
    yield [server.label(42, "ready"), server.ask_review(42, requested_reviewer=HUBOT)]
    yield [server.edit(max(server.comments), "Please look again, it is fixed.")]
    yield [server.close(42, merged=False)]
    yield [server.reopen(42)]
    server.start_run(5001)
    yield [server.review(42, "approved", "Fine.")]
    fork = {"ref": "patch-1", "sha": "abad1de", "repo": FORK}
    yield [server.open_pull(43, user=STRANGER, author_association="NONE", head=fork)]
    yield [server.end_run(5001, "success")]
    yield server.push("refs/heads/retry-invoices", "f00dfee", "ec26c3e", kind="force_push")
    yield [server.close(42, merged=True)]
    yield server.push("refs/heads/main", "0ddba11", "ec26c3e", kind="pr_merge")
    yield server.push("refs/heads/retry-invoices", "ec26c3e", "0" * 40, kind="branch_deletion")
    yield [server.label(7, "p1", "unlabeled"), server.close_issue(7)]
    yield [server.release("v1.4.2")]


def named(drafts: Any) -> dict[str, tuple[Any, ...]]:
    """What filters and keys of routes read first."""
    told = ("platform_event", "native_event", "native_action", "resource_id", "author", "author_type")
    more = ("repo", "pr_number", "issue_number", "pr_author", "pr_state", "pr_merged", "review_state", "url")
    return {one.key: tuple(one.provenance.get(name) for name in told + more) for one in drafts}


@pytest.mark.parametrize("asleep", [range(0), range(4, 12), range(100)])
async def test_a_day_polled_is_the_day_pushed(asleep: range, server: GithubServer, http: HttpClient) -> None:
    """Whichever part of it the machine sleeps through. What is polled at once is the same in every field."""
    follower = await Follower(server, http).begin()
    assert await follower.poll() == []
    pushed: dict[str | None, Draft] = {}
    for number, deliveries in enumerate(day(server)):
        now = {draft.key: draft for draft in (normalize(*one) for one in deliveries)}
        pushed |= now
        if number not in asleep:
            for found in await follower.poll():
                assert found == now.get(found.key, found)
        server.now += HOUR if number in asleep and asleep.stop < 100 else 7 * MINUTE
    await follower.poll()
    assert set(follower.events) == set(pushed)
    assert named(follower.events.values()) == named(pushed.values())
    assert follower.repeated == 0
    assert await follower.poll() == []


async def test_both_ways_are_one_event_each(server: GithubServer, http: HttpClient) -> None:
    """Webhooks come for every second fact, before or after the poll."""
    both = await Follower(server, http, secret="s3cret").begin()
    assert isinstance(both.source, GithubBoth)
    await both.poll()
    facts = set()
    late = []
    for number, deliveries in enumerate(day(server)):
        facts |= {normalize(*one).key for one in deliveries}
        for delivery in deliveries:
            if number % 3 == 0:
                await both.push(delivery, number)
            elif number % 3 == 1:
                late.append((delivery, number))
        server.now += MINUTE
        if number % 4 == 3:
            await both.poll()
    await both.poll()
    for delivery, number in late:
        await both.push(delivery, number)
    assert set(both.events) == facts
    assert both.repeated >= len(late)


async def test_a_crash_before_the_commit_loses_and_repeats_nothing(
    server: GithubServer, http: HttpClient
) -> None:
    """In the same process, whose answers were read already, and in a fresh one."""
    follower = await Follower(server, http).begin()
    await follower.poll()
    facts = set()
    for number, deliveries in enumerate(day(server)):
        facts |= {normalize(*one).key for one in deliveries}
        lost = await follower.poll(crash=True)
        if number % 2:
            await follower.begin()
        assert {one.key for one in await follower.poll()} == {one.key for one in lost}
        server.now += MINUTE
    assert set(follower.events) == facts
    assert follower.repeated == 0


@pytest.mark.parametrize("largest", [1, 3, 100])
async def test_a_backlog_comes_in_bounded_steps(largest: int, server: GithubServer, http: HttpClient) -> None:
    """Pull requests, reviews, comments and deeds of days, in pages of any size."""
    server.largest = largest
    follower = await Follower(server, http).begin()
    await follower.poll()
    facts = []
    for number in range(1, 13):
        facts.append(server.open_pull(number))
        server.now += HOUR
        facts.append(server.review(number, "approved"))
        facts.append(server.comment(number, "Thanks."))
    for number in range(1, 13):
        server.now += HOUR
        facts.append(server.close(number, merged=number % 2 == 0))
    server.now += HOUR
    await follower.poll()
    assert set(follower.events) == {normalize(*fact).key for fact in facts}


async def test_many_facts_of_one_second_are_all_told(server: GithubServer, http: HttpClient) -> None:
    server.largest = 3
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.now += MINUTE
    server.open_issue(7)
    facts = [server.comment(7, f"note {number}") for number in range(20)]
    await follower.poll()
    # Later, and still in that second, there is one more.
    facts.append(server.comment(7, "one more"))
    await follower.poll()
    keys = {normalize(*fact).key for fact in facts}
    assert keys == set(follower.events) - {"issue:octo-org/billing#7:opened@2026-01-05T12:01:00Z"}


async def test_an_idle_repository_costs_nothing(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    for _ in day(server):
        server.now += MINUTE
    for _ in range(3):
        await follower.poll()
        server.now += 5 * MINUTE
    server.asked.clear()
    checkpoint = follower.checkpoint
    await follower.poll()
    assert {status for _, status in server.asked} == {304}
    assert len(server.asked) <= 10
    assert follower.checkpoint == checkpoint
    assert len(checkpoint or "") < 16_000


async def test_the_first_poll_sets_the_place_and_a_lookback_looks_back(
    server: GithubServer, http: HttpClient
) -> None:
    old = normalize(*server.open_issue(7)).key
    server.now += HOUR
    recent = normalize(*server.open_issue(8)).key
    server.now += 10 * MINUTE
    plain = await Follower(server, http).begin()
    back = await Follower(server, http, initial_lookback="30m").begin()
    assert await plain.poll() == []
    await plain.poll()
    assert plain.events == {}
    await back.poll()
    assert set(back.events) == {recent} != {old}


async def test_a_clock_that_is_wrong_here_loses_nothing(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    for wrong in (-HOUR, 5 * HOUR):
        server.now += MINUTE
        follower.context.clock.time = (server.now + wrong) * 1000
        page = await follower.source.poll(follower.checkpoint)
        follower.checkpoint = page.checkpoint
        key = normalize(*server.open_issue(server.now)).key
        server.now += MINUTE
        await follower.poll()
        assert key in follower.events


async def test_an_owner_is_all_of_its_repositories(server: GithubServer, http: HttpClient) -> None:
    """Those that come later, too. One that is not listed for a while goes on where it was."""
    empty = {"full_name": "octo-org/empty-1"}
    server.owned = [{**empty, "archived": True}, {"full_name": "stranger/evil"}]
    follower = await Follower(server, http, repo="octo-org/*", events=["issues.opened"]).begin()
    await follower.poll()
    assert [path for path, _ in server.asked if path.startswith("/repos/")] == []
    server.owned = [REPOSITORY, empty]
    await follower.poll()
    server.now += MINUTE
    first = normalize(*server.open_issue(7)).key
    assert [one.key for one in await follower.poll()] == [first]
    server.owned = [empty]
    server.now += MINUTE
    second = normalize(*server.open_issue(8)).key
    assert await follower.poll() == []
    # If the owner's repositories cannot be listed, those that are known are polled.
    server.faults.append(lambda _: failing(502, "Bad gateway"))
    assert [one.key for one in await (await follower.begin()).poll()] == [second]
    server.owned = [REPOSITORY]
    server.now += MINUTE
    third = normalize(*server.open_issue(9)).key
    assert [one.key for one in await (await follower.begin()).poll()] == [third]
    server.faults.append(lambda _: failing(502, "Bad gateway"))
    with pytest.raises(PluginError, match="502"):
        await follower.poll()


async def test_of_an_owner_with_many_repositories_those_pushed_last_are_polled(
    server: GithubServer, http: HttpClient
) -> None:
    server.owned = [{"full_name": f"octo-org/empty-{number}"} for number in range(MOST_REPOS + 5)]
    follower = await Follower(server, http, repo="octo-org/*", events=["issues.opened"]).begin()
    await follower.poll()
    asked = {path for path, _ in server.asked if path.startswith("/repos/")}
    assert asked == {f"/repos/octo-org/empty-{number}" for number in range(MOST_REPOS)}


async def test_a_person_has_repositories_too_and_others_events_are_left_out(
    server: GithubServer, http: HttpClient
) -> None:
    follower = await Follower(server, http, repo="mona/*", secret="s3cret").begin()
    assert await follower.poll() == []
    listed = ["/orgs/mona/repos", "/users/mona/repos"]
    # A person has no webhooks of an organization: that is asked once.
    assert [path.partition("?")[0] for path, _ in server.asked] == [*listed, "/orgs/mona/hooks"]
    await follower.poll()
    assert [path.partition("?")[0] for path, _ in server.asked][3:] == listed
    event, body = server.open_issue(7)
    await follower.push((event, body), 1)
    assert follower.events == {}
    body["repository"] = {**REPOSITORY, "full_name": "Mona/notes"}
    await follower.push((event, body), 2)
    assert len(follower.events) == 1


async def test_only_what_is_asked_for_is_read(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http, events=["workflow_run.completed"]).begin()
    await follower.poll()
    for _ in day(server):
        server.now += MINUTE
    await follower.poll()
    assert {one.provenance["platform_event"] for one in follower.events.values()} == {
        "workflow_run.completed"
    }
    assert {path.partition("?")[0] for path, _ in server.asked} == {REPO, f"{REPO}/actions/runs"}
    # Another kind that is asked for later begins then.
    wider = await Follower(server, http, events=["workflow_run.*", "issues.opened"]).begin()
    wider.checkpoint = follower.checkpoint
    assert await wider.poll() == []
    server.now += MINUTE
    key = normalize(*server.open_issue(70)).key
    assert [one.key for one in await wider.poll()] == [key]


async def test_a_checkpoint_that_cannot_be_read_begins_anew(server: GithubServer, http: HttpClient) -> None:
    server.open_issue(7)
    server.now += HOUR
    for garbled in ("", "{", "[]", '{"repos": 1}', '{"repos": {"octo-org/billing": {"at": {"issues": 1}}}}'):
        follower = await Follower(server, http).begin()
        follower.checkpoint = garbled
        assert await follower.poll() == []
        key = normalize(*server.open_issue(server.now)).key
        assert [one.key for one in await follower.poll()] == [key]
        server.now += HOUR


async def test_what_is_gone_is_left_out(server: GithubServer, http: HttpClient) -> None:
    """A comment whose issue was deleted, and a workflow run that was deleted while it went on."""
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.open_issue(7)
    server.comment(7, "I can reproduce this.")
    server.start_run(5000)
    await follower.poll()
    server.now += MINUTE
    server.comment(7, "Me, too.")
    del server.issues[7], server.runs[5000]
    key = normalize(*server.open_issue(8)).key
    assert [one.key for one in await follower.poll()] == [key]


async def test_a_long_run_is_told_when_it_completes(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.start_run(1)
    await follower.poll()
    for number in range(2, 5):
        server.now += 20 * HOUR
        server.start_run(number)
        server.end_run(number, "success")
        await follower.poll()
    key = normalize(*server.end_run(1, "timed_out")).key
    assert [one.key for one in await follower.poll()] == [key]


async def test_our_own_words_are_known_by_their_mark(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    mark = Mark(run_id="run_1", actor="engineer", event_id="evt_1", trace_id="trc_1", hops=1)
    follower.context.mark_in = lambda text: mark if "MARK" in text else None  # type: ignore[method-assign]
    await follower.poll()
    server.open_issue(7)
    server.comment(7, "Done. MARK")
    server.now += MINUTE
    server.edit(max(server.comments), "Done, really. MARK")
    found = {one.provenance["platform_event"]: one for one in await follower.poll()}
    assert found["issues.opened"].cause is None
    for name in ("issue_comment", "issue_comment.edited"):
        assert found[name].cause == mark
        assert found[name].provenance["author_type"] == "self"


def test_the_ways_in_follow_from_secret_and_token() -> None:
    def ways(**config: Any) -> tuple[bool, bool]:
        built = open_source("github", GithubSettings.model_validate(config))
        return hasattr(built, "receive"), hasattr(built, "poll")

    repo = {"repo": ["octo-org/billing", "octo-org/web"]}
    assert ways() == ways(secret="s") == ways(secret="s", token=TOKEN) == (True, False)
    assert ways(token=TOKEN, **repo) == ways(token_command="gh auth token", **repo) == (False, True)
    assert ways(token=TOKEN, secret="s", **repo) == (True, True)
    assert isinstance(open_source("g", GithubSettings.model_validate({"token": TOKEN, **repo})), GithubPoller)
