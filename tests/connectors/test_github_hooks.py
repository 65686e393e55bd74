"""Webhook deliveries that did not arrive are found in the webhook's log and asked for again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, cast

import pytest

from orgloop.connectors.github import connector
from orgloop.connectors.github.polling.hook_log import MOST_AT_ONCE, PAUSES, leads_to
from orgloop.connectors.github.settings import GithubSettings
from orgloop.plugin import CheckStatus, TryLater
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, as_context
from tests.connectors.github_bodies import Body
from tests.connectors.test_github_api import refusal
from tests.connectors.test_github_poll import HOUR, MINUTE, NOON, Follower
from tests.support.github_server import TOKEN, GithubServer

ONLY = ["issues.opened"]


def hook(**changes: Any) -> Body:
    return {"id": 9, "active": True, "config": {"url": "https://acme.example/x/webhook/github"}, **changes}


@pytest.fixture
async def server() -> AsyncIterator[GithubServer]:
    async with GithubServer(NOON) as server:
        server.hooks = [hook()]
        yield server


async def both(server: GithubServer, http: HttpClient, **config: Any) -> Follower:
    """A source that has begun."""
    follower = await Follower(server, http, secret="s3cret", **{"events": ONLY, **config}).begin()
    await follower.poll()
    return follower


async def test_what_did_not_arrive_is_asked_for_once(server: GithubServer, http: HttpClient) -> None:
    """Also after a restart; not what arrived, or failed before the source was there."""
    server.sent("before", 502)
    server.now += HOUR
    follower = await both(server, http)
    server.now += 5 * HOUR
    lost = [server.sent("lost", 0), server.sent("refused", 502)]
    server.sent("fine", 200)
    asked = lost
    await follower.poll()
    assert server.again == asked
    server.sent("lost", 200)
    for _ in range(3):
        server.now += HOUR
        await (await follower.begin()).poll()
    assert server.again == asked


async def test_a_log_that_shows_what_arrived_is_read_as_it_is(
    server: GithubServer, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older servers do not know the filter."""
    monkeypatch.setattr("tests.support.github_server._status", lambda _: "failure")
    follower = await both(server, http)
    server.now += MINUTE
    server.sent("later", 504)
    server.sent("later", 200)
    lost = server.sent("lost", 0)
    await follower.poll()
    assert server.again == [lost]


async def test_what_fails_again_is_asked_for_less_and_less_and_then_given_up(
    server: GithubServer, http: HttpClient
) -> None:
    follower = await both(server, http)
    server.now += MINUTE
    server.sent("lost", 0)
    begun, asked = server.now, []
    for _ in range(15 * 60):
        before = len(server.again)
        await follower.poll()
        if len(server.again) > before:
            asked.append(server.now - begun)
            server.sent("lost", 0)
        server.now += MINUTE
    assert len(asked) == len(PAUSES)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == list(PAUSES[1:])


async def test_only_what_is_asked_for_is_sent_again(server: GithubServer, http: HttpClient) -> None:
    follower = await both(server, http, events=["issues.*", "pull_request_review"])
    server.now += MINUTE
    server.sent("ping", 0, "ping", None)
    server.sent("push", 0, "push", None)
    wanted = [
        server.sent("a", 0, "issues", "closed"),
        server.sent("b", 0, "pull_request_review", "submitted"),
    ]
    await follower.poll()
    assert server.again == wanted


async def test_many_are_asked_for_in_steps(server: GithubServer, http: HttpClient) -> None:
    follower = await both(server, http)
    server.now += MINUTE
    ids = [server.sent(f"lost-{number}", 0) for number in range(MOST_AT_ONCE + 5)]
    await follower.poll()
    assert server.again == ids


async def test_a_limit_in_between_repeats_nothing_that_was_committed(
    server: GithubServer, http: HttpClient
) -> None:
    follower = await both(server, http)
    server.now += MINUTE
    ids = [server.sent("a", 0), server.sent("b", 0)]
    # The repository, the issues, the webhooks and their log; then the first of two.
    server.faults.extend([None] * 5 + [refusal(403, "You have exceeded a secondary rate limit.")])
    with pytest.raises(TryLater) as later:
        await follower.poll()
    server.now = later.value.until // 1000
    await follower.poll()
    assert sorted(set(server.again)) == ids
    assert len(server.again) <= 3


@pytest.mark.parametrize("hooks", [None, [], [hook(active=False)], [hook(config={"url": "https://x/y"})]])
async def test_without_a_webhook_that_can_be_seen_the_poll_goes_on(
    hooks: list[Body] | None, server: GithubServer, http: HttpClient
) -> None:
    server.hooks = hooks
    follower = await both(server, http)
    server.now += MINUTE
    server.sent("lost", 0)
    server.open_issue(7)
    assert len(await follower.poll()) == 1
    server.now += MINUTE
    server.asked.clear()
    await follower.poll()
    assert server.again == []
    seen = [(path, status) for path, status in server.asked if "hooks" in path]
    assert seen == ([] if hooks is None else [(seen[0][0], 304)])


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://acme.example/webhook/github", True),
        ("https://acme.example/webhook/github/?x=1", True),
        ("https://acme.example/webhook/github2", False),
        ("https://acme.example/webhook", False),
        ("https://[acme/webhook/github", False),
        ("", False),
    ],
)
def test_our_webhook_is_known_by_its_address(url: str, ours: bool) -> None:
    assert leads_to(hook(config={"url": url}), "/webhook/github") is ours
    assert not leads_to({"active": True, "config": 7}, "/webhook/github")


@pytest.mark.parametrize(
    ("hooks", "status", "words"),
    [([hook()], "ok", "asked for again"), ([], "warning", "none"), (None, "warning", "cannot be read")],
)
async def test_the_doctor_tells_whether_lost_deliveries_are_found(
    hooks: list[Body] | None, status: str, words: str, server: GithubServer, http: HttpClient
) -> None:
    server.hooks = hooks
    assert connector.setup.check is not None
    config = {"repo": "octo-org/billing", "token": TOKEN, "api_url": server.url, "secret": "s"}
    context = FakeContext(id="github", http=cast(Any, http))
    results = await connector.setup.check(GithubSettings.model_validate(config), as_context(context))
    [found] = [one for one in results if one.name == "webhook of octo-org/billing"]
    assert found.status is CheckStatus(status)
    assert words in found.detail
