"""What GitHub's API refuses, limits and breaks; the checkpoint stays, and the error says what to do."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from orgloop.connectors.github import connector
from orgloop.connectors.github.api import MOST_BYTES
from orgloop.connectors.github.settings import GithubSettings
from orgloop.connectors.github.writing.tasks import GithubActorSettings
from orgloop.plugin import CheckResult, CheckStatus, PluginError, TryLater
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, as_context
from tests.connectors.following import Fault, text
from tests.connectors.github_bodies import REPOSITORY
from tests.connectors.test_github_poll import NOON, Follower
from tests.support.github_server import REPO, TOKEN, GithubServer, failing


@pytest.fixture
async def server() -> AsyncIterator[GithubServer]:
    async with GithubServer(NOON) as server:
        yield server


def refusal(status: int, message: str, **headers: str) -> Fault:
    return lambda _: failing(status, message, **headers)


LIMITS = [
    (
        refusal(403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset=str(NOON + 600)),
        601,
    ),
    (refusal(429, "Too many requests", x_ratelimit_remaining="0", x_ratelimit_reset=str(NOON + 60)), 61),
    (refusal(403, "You have exceeded a secondary rate limit.", retry_after="90"), 90),
    (refusal(403, "You have exceeded a secondary rate limit."), 60),
    (refusal(429, "slow down"), 60),
    # A time that cannot be: of another century, or none at all.
    (refusal(429, "slow down", retry_after="9" * 40), 3600),
    (refusal(403, "x", x_ratelimit_remaining="0", x_ratelimit_reset="9" * 40), 3601),
    (refusal(403, "x", x_ratelimit_remaining="0", x_ratelimit_reset="soon"), 61),
]


@pytest.mark.parametrize("skew", [0, -3600, 3600])
@pytest.mark.parametrize(("fault", "wait"), LIMITS)
async def test_a_limit_is_no_failure_and_nothing_is_asked_before_its_end(
    fault: Fault, wait: int, skew: int, server: GithubServer, http: HttpClient
) -> None:
    """By this machine's clock, whatever GitHub's says."""
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.faults.append(fault)
    here = (NOON + skew) * 1000
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


async def test_a_secondary_limit_that_comes_again_lasts_longer(
    server: GithubServer, http: HttpClient
) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    waits = []
    for _ in range(3):
        server.faults.append(refusal(403, "You have exceeded a secondary rate limit."))
        before = follower.context.clock.time
        with pytest.raises(TryLater) as told:
            await follower.source.poll(follower.checkpoint)
        waits.append(told.value.until - before)
        follower.context.clock.time = told.value.until
    assert waits == [60_000, 120_000, 240_000]


async def test_the_last_request_of_the_hour_is_the_last(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    body = b'{"id": 10, "full_name": "octo-org/billing"}'
    left = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOON + 600)}
    server.faults.append(text(200, body, **left))
    with pytest.raises(TryLater):
        await follower.poll()
    assert server.asked[-1] == (REPO, 200)


FAULTS = [
    (refusal(401, "Bad credentials"), ["$MY_GITHUB", "expired", "github.com/settings/tokens"]),
    (refusal(403, "Resource not accessible by personal access token"), ["$MY_GITHUB", "read access"]),
    (refusal(404, "Not Found"), ["octo-org/billing", "`repo`"]),
    (refusal(451, "Blocked"), ["octo-org/billing"]),
    (text(502, "<html>Bad gateway</html>"), ["502"]),
    (refusal(500, "Server\nError" + "x" * 10_000), ["500", "Server Error"]),
    (text(200, "<html>please log in</html>"), ["not JSON", "`api_url`"]),
    (text(200, "[]"), ["an object"]),
    (text(200, '{"full_name": "octo-org/invoices"}'), ["octo-org/invoices", "write that in `repo`"]),
    (text(200, ""), ["not JSON"]),
    (text(200, b"\xff\xfe"), ["not JSON"]),
    (text(200, "[" * 100_000), ["not JSON"]),
    (text(304, ""), ["304"]),
    (text(200, b'"' + b"x" * MOST_BYTES + b'"'), ["larger than 16 MB"]),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
async def test_a_fault_fails_the_poll_and_the_next_one_goes_on(
    fault: Fault, words: list[str], server: GithubServer, http: HttpClient
) -> None:
    follower = Follower(server, http)
    follower.context.environment = {"MY_GITHUB": TOKEN}
    await follower.begin()
    await follower.poll()
    server.now += 60
    server.open_issue(7)
    # Nothing of the answer to the first request was kept.
    await follower.begin()
    server.faults.append(fault)
    with pytest.raises(PluginError) as told:
        await follower.poll()
    message = told.value.message
    assert all(word in message for word in words), message
    assert TOKEN not in message
    assert len(message) < 600
    assert "\n" not in message
    assert len(await follower.poll()) == 1


@pytest.mark.parametrize(
    "list_", ["issues", "pulls", "issues/comments", "pulls/comments", "issues/events", "actions/runs"]
)
@pytest.mark.parametrize(
    "body",
    ["{}", "null", "7", "[7]", "[{}]", '[{"created_at": 1, "updated_at": "x"}]', '{"workflow_runs": 1}'],
)
async def test_a_list_that_is_none_loses_nothing(
    list_: str, body: str, server: GithubServer, http: HttpClient
) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.now += 60
    server.open_issue(7)
    broken = text(200, body)

    def here(request: web.Request) -> web.StreamResponse:
        server.faults.append(here)
        return broken(request) if request.path == f"{REPO}/{list_}" else server._own(request)

    server.faults.append(here)
    with pytest.raises(PluginError):
        await follower.poll()
    server.faults.clear()
    assert [one.provenance["platform_event"] for one in await follower.poll()] == ["issues.opened"]


async def test_a_page_that_is_too_large_is_read_in_smaller_ones(
    server: GithubServer, http: HttpClient
) -> None:
    follower = await Follower(server, http, events=["issues.opened"]).begin()
    await follower.poll()
    server.now += 60
    for number in range(12):
        server.open_issue(number, body="x" * (2 * MOST_BYTES // 15))
    assert len(await follower.poll()) == 12


async def test_a_next_page_elsewhere_does_not_get_the_token(server: GithubServer, http: HttpClient) -> None:
    async with GithubServer(NOON) as other:
        follower = await Follower(server, http, events=["issues.opened"]).begin()
        await follower.poll()
        elsewhere = {"link": f'<{other.url}/x>; rel="next"'}
        server.faults += [None, text(200, "[]", **elsewhere)]
        assert await follower.poll() == []
        assert other.asked == []


async def test_a_repository_that_fails_does_not_hold_up_the_others(
    server: GithubServer, http: HttpClient
) -> None:
    follower = await Follower(server, http, repo=["octo-org/gone", "octo-org/billing"]).begin()
    # What could be read is committed; then the failure is told, and told again.
    for _ in range(2):
        server.open_issue(server.now)
        with pytest.raises(PluginError, match="octo-org/gone"):
            await follower.poll()
        server.now += 60
    with pytest.raises(PluginError, match="octo-org/gone"):
        await follower.poll()
    assert len(follower.events) == 2


def script(folder: Path, text: str) -> list[str]:
    path = folder / "token.py"
    path.write_text(text, "utf-8")
    return [sys.executable, str(path)]


async def test_a_program_is_asked_for_the_token_and_again_when_it_expired(
    server: GithubServer, http: HttpClient, tmp_path: Path
) -> None:
    """In the project's environment."""
    counted = (
        "import os, pathlib\np = pathlib.Path(os.environ['COUNT'])\nn = p.read_text() if p.exists() else ''\n"
    )
    command = script(tmp_path, counted + "p.write_text(n + 'x')\nprint('token-' + str(len(n)))\n")
    follower = Follower(server, http, token=None, token_command=command)
    follower.context.environment = {"COUNT": str(tmp_path / "count")}
    await follower.begin()
    server.token = "token-0"
    await follower.poll()
    await follower.poll()
    server.token = "token-1"
    await follower.poll()
    assert (tmp_path / "count").read_text("utf-8") == "xx"
    server.token = "another"
    with pytest.raises(PluginError, match="`token_command`"):
        await follower.poll()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit('hush')", "status 1"),
        ("", "printed no token"),
        ("print('two words hush')", "printed no token"),
        ("print('hush' * 10_000_000)", "printed no token"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\x00hush')", "printed no token"),
    ],
)
async def test_a_program_that_gives_no_token_is_told_without_what_it_said(
    code: str, words: str, server: GithubServer, http: HttpClient, tmp_path: Path
) -> None:
    follower = await Follower(server, http, token=None, token_command=script(tmp_path, code)).begin()
    with pytest.raises(PluginError, match=words) as told:
        await follower.poll()
    assert "hush" not in str(told.value)
    assert server.asked == []
    gc.collect()  # What it left open would be told here.


async def test_a_program_that_is_not_there_is_told(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http, token=None, token_command="no-such-program token").begin()
    with pytest.raises(PluginError, match=r"no-such-program.*install it"):
        await follower.poll()


async def checked(server: GithubServer, http: HttpClient, **config: Any) -> dict[str, CheckResult]:
    settings = GithubSettings.model_validate(
        {"repo": "octo-org/billing", "token": TOKEN, "api_url": server.url, **config}
    )
    assert connector.setup.check is not None
    results = await connector.setup.check(settings, as_context(FakeContext(http=cast(Any, http))))
    return {result.name: result for result in results}


async def test_the_doctor_tells_who_is_logged_in_and_what_is_left(
    server: GithubServer, http: HttpClient
) -> None:
    found = await checked(server, http, repo=["octo-org/billing", "octo-org/gone", "octo-org/*", "gone/*"])
    assert found["octo-org/*"].detail == "repositories: 1"
    assert found["gone/*"].status is CheckStatus.ERROR
    assert (found["login"].identity, found["login"].detail) == ("@mona", "scopes: repo, read:org")
    assert "4990 of 5000" in found["rate limit"].detail
    assert found["octo-org/billing"].status is CheckStatus.OK
    assert found["octo-org/gone"].status is CheckStatus.ERROR
    assert "signature" not in found
    assert {"signature", "login"} <= (await checked(server, http, secret="s")).keys()


async def test_the_doctor_asks_for_an_actor_and_for_what_a_webhook_enriches(
    server: GithubServer, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connector.setup.check is not None
    context = as_context(FakeContext(http=cast(Any, http)))
    login = {"token": TOKEN, "api_url": server.url}
    actor = GithubActorSettings.model_validate({**login, "do": "comment", "repo": "octo-org/billing"})
    for push, status in ((None, CheckStatus.OK), (True, CheckStatus.OK), (False, CheckStatus.WARNING)):
        monkeypatch.setitem(cast(Any, REPOSITORY), "permissions", {} if push is None else {"push": push})
        found = {one.name: one for one in await connector.setup.check(actor, context)}
        assert found["login"].identity == "@mona"
        assert found["octo-org/billing"].status is status
    source = GithubSettings.model_validate({**login, "secret": "s", "enrich": "failures"})
    names = [one.name for one in await connector.setup.check(source, context)]
    assert names == ["signature", "login", "rate limit"]
    assert {path for path, _ in server.asked} == {"/user", "/rate_limit", REPO}
    assert server.wrote == []


async def test_the_doctor_tells_of_a_token_that_is_refused(server: GithubServer, http: HttpClient) -> None:
    found = await checked(server, http, token="wrong")
    assert set(found) == {"login"}
    assert found["login"].status is CheckStatus.ERROR
    server.faults.append(refusal(403, "x", x_ratelimit_remaining="0", x_ratelimit_reset=str(NOON)))
    assert (await checked(server, http))["login"].status is CheckStatus.WARNING
