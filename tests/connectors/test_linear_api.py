"""What Linear's API refuses, limits and breaks; the checkpoint stays, and the error says what to do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import web
from pydantic import ValidationError

from orgloop.connectors.linear import connector
from orgloop.connectors.linear.api import MOST_BYTES, URL
from orgloop.connectors.linear.settings import LinearSettings
from orgloop.plugin import CheckResult, CheckStatus, PluginError, TryLater
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, as_context
from tests.connectors.following import Fault, text
from tests.connectors.linear_bodies import DOING, Body
from tests.connectors.test_linear_poll import NOON, Follower
from tests.support.linear_server import KEY, LinearServer, failing


@pytest.fixture
async def server() -> AsyncIterator[LinearServer]:
    async with LinearServer(NOON) as server:
        yield server


def refusal(status: int, message: str, code: str, **headers: str) -> Fault:
    return lambda _: failing(status, message, code, **headers)


def used_up(kind: str, seconds: int) -> dict[str, str]:
    reset = str(NOON + seconds * 1000)
    return {f"x_ratelimit_{kind}_remaining": "0", f"x_ratelimit_{kind}_reset": reset}


LIMITS = [
    (refusal(400, "Rate limit exceeded", "RATELIMITED", **used_up("requests", 600)), 601),
    (refusal(400, "Rate limit exceeded", "RATELIMITED", **used_up("complexity", 90)), 91),
    (
        refusal(400, "x", "RATELIMITED", **used_up("requests", 60), **used_up("endpoint_requests", 120)),
        121,
    ),
    (refusal(200, "Rate limit exceeded", "RATE_LIMITED"), 60),
    (refusal(400, "Rate limit exceeded", "RATELIMITED"), 60),
    (refusal(429, "slow down", "", retry_after="90"), 90),
    (text(429, "slow down"), 60),
    # A time that cannot be: of another century, or none at all.
    (refusal(429, "x", "", retry_after="9" * 40), 3600),
    (refusal(400, "x", "RATELIMITED", **used_up("requests", 10**12)), 3601),
    (refusal(400, "x", "RATELIMITED", **used_up("requests", -500)), 1),
    (refusal(400, "x", "RATELIMITED", x_ratelimit_requests_remaining="0"), 61),
]


@pytest.mark.parametrize("skew", [0, -3600, 3600])
@pytest.mark.parametrize(("fault", "wait"), LIMITS)
async def test_a_limit_is_no_failure_and_nothing_is_asked_before_its_end(
    fault: Fault, wait: int, skew: int, server: LinearServer, http: HttpClient
) -> None:
    """By this machine's clock, whatever Linear's says."""
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.faults.append(fault)
    here = NOON + skew * 1000
    follower.context.clock.time = here
    with pytest.raises(TryLater) as told:
        await follower.source.poll(follower.checkpoint)
    assert told.value.until == here + wait * 1000
    asked = len(server.asked)
    follower.context.clock.time = here + wait * 1000 - 1
    with pytest.raises(TryLater):
        await follower.source.poll(follower.checkpoint)
    assert len(server.asked) == asked
    follower.context.clock.time += 1
    await follower.source.poll(follower.checkpoint)


async def test_a_limit_that_comes_again_lasts_longer(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    waits = []
    for _ in range(3):
        server.faults.append(refusal(400, "Rate limit exceeded", "RATELIMITED"))
        before = follower.context.clock.time
        with pytest.raises(TryLater) as told:
            await follower.source.poll(follower.checkpoint)
        waits.append(told.value.until - before)
        follower.context.clock.time = told.value.until
    assert waits == [60_000, 120_000, 240_000]


async def test_the_last_request_of_the_hour_is_the_last(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.limits = {"x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": str(NOON + 600_000)}
    asked = len(server.asked)
    with pytest.raises(TryLater):
        await follower.poll()
    assert len(server.asked) == asked + 1


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (refusal(400, "Rate limit exceeded", "RATELIMITED"), TryLater),
        (text(502, ""), PluginError),
        (text(200, '{"data": {"issue": {"id": 7}}}'), PluginError),
    ],
)
async def test_what_was_read_before_a_failure_counts(
    fault: Fault, raised: type[Exception], server: LinearServer, http: HttpClient
) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    for number in range(5):
        server.create(number)
        server.now += 10
    # The list and two issues, then it fails.
    server.faults += [None, None, None]
    server.faults.append(fault)
    page = await follower.source.poll(follower.checkpoint)
    assert (len(page.events), page.more) == (2, True)
    follower.checkpoint = page.checkpoint
    follower.take(page.events)
    server.broken = dict.fromkeys(("Issue", "ChangedIssues", "ChangedComments"), fault)
    with pytest.raises(raised):
        await follower.source.poll(follower.checkpoint)
    server.broken.clear()
    server.now += 120_000
    assert len(await follower.poll()) == 3


FAULTS = [
    (
        refusal(401, "Authentication required", "AUTHENTICATION_ERROR"),
        ["$MY_LINEAR", "expired", "settings/api"],
    ),
    (refusal(400, "Authentication required", "AUTHENTICATION_ERROR"), ["$MY_LINEAR", "revoked"]),
    (refusal(403, "Not allowed", "FORBIDDEN"), ["$MY_LINEAR", "access to the team"]),
    (refusal(200, "Argument Validation Error", "INVALID_INPUT"), ["Argument Validation Error"]),
    (text(500, "<html>Internal error</html>"), ["500"]),
    (text(502, ""), ["502"]),
    (refusal(500, "Server\nError" + "x" * 10_000, "INTERNAL"), ["500", "Server Error"]),
    (text(404, "not here"), ["404", "`api_url`"]),
    (text(301, "", location="https://elsewhere.example/graphql"), ["301", "`api_url`"]),
    (text(200, "<html>please log in</html>"), ["`api_url`"]),
    (text(200, "[]"), ["`api_url`"]),
    (text(200, '{"data": null}'), ["`api_url`"]),
    (text(200, ""), ["`api_url`"]),
    (text(200, b"\xff\xfe"), ["`api_url`"]),
    (text(200, "[" * 100_000), ["`api_url`"]),
    (text(200, b'{"data": "' + b"x" * MOST_BYTES + b'"}'), ["larger than 16 MB"]),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
async def test_a_fault_fails_the_poll_and_the_next_one_goes_on(
    fault: Fault, words: list[str], server: LinearServer, http: HttpClient
) -> None:
    follower = Follower(server, http)
    follower.context.environment = {"MY_LINEAR": KEY}
    await follower.begin()
    await follower.poll()
    server.now += 60_000
    server.create(7)
    server.faults.append(fault)
    with pytest.raises(PluginError) as told:
        await follower.poll()
    message = told.value.message
    assert all(word in message for word in words), message
    assert KEY not in message
    assert len(message) < 600
    assert "\n" not in message
    assert len(await follower.poll()) == 1


BROKEN: list[Any] = [
    None,
    7,
    [],
    {},
    {"nodes": None},
    {"nodes": [7], "pageInfo": {"hasNextPage": False}},
    {"nodes": [{}], "pageInfo": {"hasNextPage": False}},
    {"nodes": [{"id": "a", "updatedAt": 1}], "pageInfo": {"hasNextPage": False}},
    {"nodes": [{"id": 1, "updatedAt": "2026-01-05T12:00:00.000Z"}], "pageInfo": {"hasNextPage": False}},
    {"nodes": []},
    {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": None}},
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
@pytest.mark.parametrize("place", ["issues", "comments", "history", "issue"])
async def test_an_answer_of_another_shape_loses_nothing(
    place: str, broken: Any, server: LinearServer, http: HttpClient
) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.now += 60_000
    server.create(7)
    server.change(7, state=DOING)
    data: Body = {place: broken}
    if place == "history":
        data = {"issue": {"id": "issue-7", "createdAt": "2026-01-05T12:01:00.000Z", "history": broken}}
    answer = text(200, json.dumps({"data": data}))
    names = {"issues": "ChangedIssues", "comments": "ChangedComments"}
    server.broken[names.get(place, "Issue")] = answer
    with pytest.raises(PluginError):
        await follower.poll()
    server.broken.clear()
    await follower.poll()
    assert sorted(one.provenance["platform_event"] for one in follower.events.values()) == [
        "issue.created",
        "issue.state_changed",
    ]


async def test_a_server_that_is_not_there_is_told(http: HttpClient) -> None:
    async with LinearServer(NOON) as gone:
        follower = await Follower(gone, http).begin()
    with pytest.raises(PluginError, match="cannot be reached"):
        await follower.source.poll(None)


async def test_a_kind_that_fails_does_not_hold_up_the_other(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.create(7)
    server.comment(7, "Hello.")
    server.faults += [text(502, "")]
    page = await follower.source.poll(follower.checkpoint)
    assert [one.provenance["platform_event"] for one in page.events] == ["comment.created"]
    assert page.more


@pytest.mark.parametrize(
    ("config", "header"), [({"api_key": KEY}, KEY), ({"api_key": None, "token": KEY}, f"Bearer {KEY}")]
)
async def test_a_key_is_shown_as_it_is_and_a_token_as_bearer(
    config: Body, header: str, server: LinearServer, http: HttpClient
) -> None:
    shown: list[str] = []

    def look(request: web.Request) -> web.StreamResponse:
        shown.append(request.headers["authorization"])
        return failing(500, "x", "")

    follower = await Follower(server, http, **config).begin()
    server.faults.append(look)
    with pytest.raises(PluginError):
        await follower.poll()
    assert shown == [header]


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"api_key": ""}, "not a key"),
        ({"api_key": "two words"}, "not a key"),
        ({"api_key": "a\nb"}, "not a key"),
        ({"token": "é"}, "not a key"),
        ({"api_key": "a", "token": "b"}, "exclude each other"),
        ({"api_url": "api.linear.app"}, "write https://HOST/graphql"),
        ({"api_url": "http://linear.example/graphql"}, "must begin with https://"),
        ({"api_url": "https://linear.example/graphql?x=1"}, "write https://HOST/graphql"),
        ({"initial_lookback": 5}, "no unit|valid"),
    ],
)
def test_a_key_or_address_that_cannot_work_is_refused(config: Body, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        LinearSettings.model_validate(config, context={"file": True})


def test_linears_own_address_is_asked_if_none_is_named() -> None:
    assert LinearSettings.model_validate({"api_key": KEY}).url == URL
    assert URL.startswith("https://")


@pytest.mark.parametrize(
    ("config", "key", "words"),
    [
        ({"initial_lookback": "1h"}, "initial_lookback", "no effect without `api_key`"),
        ({"api_key": KEY, "events": ["issue.created", "project.update"]}, "events", "`project.update`"),
        ({"api_key": KEY, "events": ["Issue.remove"]}, "events", "`Issue.remove`"),
    ],
)
def test_what_will_never_come_is_doubted(config: Body, key: str, words: str) -> None:
    assert words in LinearSettings.model_validate(config).warnings()[key]


@pytest.mark.parametrize("events", [[], ["Issue"], ["Comment.create"], ["issue.*"], ["resource.changed"]])
def test_what_polls_tell_of_is_not_doubted(events: list[str]) -> None:
    assert LinearSettings.model_validate({"api_key": KEY, "events": events}).warnings() == {}


async def checked(server: LinearServer, http: HttpClient, **config: Any) -> dict[str, CheckResult]:
    settings = LinearSettings.model_validate({"api_key": KEY, "api_url": server.url, **config})
    assert connector.setup.check is not None
    results = await connector.setup.check(settings, as_context(FakeContext(http=cast(Any, http))))
    return {result.name: result for result in results}


async def test_the_doctor_tells_who_is_logged_in_and_what_is_left(
    server: LinearServer, http: HttpClient
) -> None:
    server.limits = {"x-ratelimit-requests-remaining": "2499", "x-ratelimit-requests-limit": "2500"}
    found = await checked(server, http, team="eng")
    assert (found["login"].identity, found["login"].detail) == ("Mona Lisa", "a user of the workspace Octo")
    assert "2499 of 2500" in found["rate limit"].detail
    assert (found["team"].status, found["team"].detail) == (CheckStatus.OK, "Engineering")
    assert "signature" not in found
    assert {"signature", "login"} <= (await checked(server, http, secret="s")).keys()
    server.limits["x-ratelimit-requests-remaining"] = "20"
    found = await checked(server, http, team="NONE")
    assert found["rate limit"].status is CheckStatus.WARNING
    assert found["team"].status is CheckStatus.ERROR


async def test_the_doctor_tells_of_a_key_that_is_refused_and_of_a_limit(
    server: LinearServer, http: HttpClient
) -> None:
    found = await checked(server, http, api_key="wrong")
    assert set(found) == {"login"}
    assert found["login"].status is CheckStatus.ERROR
    server.faults.append(refusal(400, "Rate limit exceeded", "RATELIMITED"))
    assert (await checked(server, http))["login"].status is CheckStatus.WARNING
