"""Lost deliveries of webhooks that serve many repositories: an organization's, and a GitHub App's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest
from aiohttp import web

from orgloop.connectors.github import connector
from orgloop.connectors.github.settings import GithubSettings
from orgloop.plugin import PluginError
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, as_context
from tests.connectors.test_github_api import refusal
from tests.connectors.test_github_app import AppServer, given, keys
from tests.connectors.test_github_hooks import hook
from tests.connectors.test_github_poll import HOUR, MINUTE, NOON, Follower
from tests.support.github_server import REPO, TOKEN, GithubServer, failing

__all__ = ["keys"]

ORGANIZATION = "/orgs/octo-org"


class OrgServer(GithubServer):
    """Its webhooks are those of the organization."""

    def _find(self, request: web.Request) -> tuple[Any, Mapping[str, str]] | None:
        if request.path.startswith(f"{REPO}/hooks"):
            return None
        return super()._find(_moved(request))

    def _written(self, request: web.Request, content: Any) -> web.Response:
        return super()._written(_moved(request), content)


def _moved(request: web.Request) -> web.Request:
    url = str(request.rel_url)
    if not url.startswith(f"{ORGANIZATION}/hooks"):
        return request
    return request.clone(rel_url=url.replace(ORGANIZATION, REPO))


class HookedApp(AppServer):
    """Its own webhook leads here, and has a log."""

    leads_to = "https://acme.example/webhook/github"

    def _own(self, request: web.Request) -> web.StreamResponse:
        if not request.path.startswith("/app/hook"):
            return super()._own(request)
        if refused := self._claims(request):
            return refused
        rows = [one for one in reversed(self.log) if one["status_code"] != 200]
        return web.json_response({"url": self.leads_to} if request.path.endswith("config") else rows)

    def _written(self, request: web.Request, content: Any) -> web.Response:
        if not request.path.startswith("/app/hook"):
            return super()._written(request, content)
        if refused := self._claims(request):
            return refused
        self.again.append(int(request.path.split("/")[4]))
        return web.json_response({}, status=202)


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


@pytest.fixture
async def organization() -> AsyncIterator[OrgServer]:
    async with OrgServer(NOON) as server:
        server.hooks = [hook(), hook(id=10, config={"url": "https://other.example/webhook/x"})]
        server.owned = []
        yield server


async def begun(server: GithubServer, http: HttpClient, **config: Any) -> Follower:
    follower = await Follower(server, http, secret="s3cret", events=["issues.opened"], **config).begin()
    await follower.poll()
    return follower


async def test_what_an_organizations_webhook_lost_is_asked_for_once(
    organization: OrgServer, http: HttpClient
) -> None:
    organization.sent("before", 502)
    organization.now += HOUR
    follower = await begun(organization, http, repo="octo-org/*")
    organization.now += HOUR
    lost = [organization.sent("lost", 0), organization.sent("refused", 502)]
    organization.sent("fine", 200)
    for _ in range(3):
        organization.now += MINUTE
        await (await follower.begin()).poll()
        assert organization.again == lost
    organization.sent("lost", 200)
    organization.sent("refused", 200)
    organization.now += HOUR
    await (await follower.begin()).poll()
    assert organization.again == lost, "also after a restart"


async def test_a_log_that_fails_keeps_its_place_and_the_repositories_go_on(
    organization: OrgServer, http: HttpClient
) -> None:
    follower = await begun(organization, http, repo=["octo-org/billing", "octo-org/*"])
    organization.now += MINUTE
    lost = organization.sent("lost", 0)
    organization.open_issue(7)
    # The list of repositories, the repository, its issues, its webhooks, and those of the organization.
    organization.faults.extend([None] * 4 + [refusal(502, "")])
    found = await follower.source.poll(follower.checkpoint)
    assert [draft.provenance["platform_event"] for draft in found.events] == ["issues.opened"]
    follower.checkpoint = found.checkpoint
    assert organization.again == []
    await follower.poll()
    assert organization.again == [lost]
    organization.faults.extend([None] * 3 + [refusal(502, "")])
    with pytest.raises(PluginError, match="502"):
        await follower.poll()


async def test_what_a_login_may_not_see_is_asked_for_once(organization: OrgServer, http: HttpClient) -> None:
    organization.hooks = None
    follower = await begun(organization, http, repo="octo-org/*")
    organization.asked.clear()
    await follower.poll()
    assert [path for path, _ in organization.asked if "hooks" in path] == []


async def test_what_an_apps_webhook_lost_is_asked_for_by_its_key(
    keys: tuple[str, Any], http: HttpClient
) -> None:
    async with HookedApp(NOON) as server:
        server.public = keys[1]
        follower = await begun(server, http, token=None, **given(server, keys[0]))
        server.now += MINUTE
        lost = server.sent("lost", 0)
        await follower.poll()
        assert server.again == [lost]
        server.leads_to = "https://other.example/webhook/other"
        server.now += MINUTE
        server.sent("another", 0)
        await follower.poll()
        assert server.again == [lost], "the log of another daemon's address is its own"


async def test_an_app_without_a_webhook_polls_all_the_same(keys: tuple[str, Any], http: HttpClient) -> None:
    class Silent(HookedApp):
        def _own(self, request: web.Request) -> web.StreamResponse:
            hidden = request.path.startswith("/app/hook")
            return failing(404, "Not Found") if hidden else super()._own(request)

    async with Silent(NOON) as server:
        server.public = keys[1]
        follower = await begun(server, http, token=None, **given(server, keys[0]))
        server.open_issue(7)
        assert len(await follower.poll()) == 1


async def test_the_doctor_looks_at_the_organizations_webhooks(
    organization: OrgServer, http: HttpClient
) -> None:
    assert connector.setup.check is not None
    config = {"repo": "octo-org/*", "token": TOKEN, "api_url": organization.url, "secret": "s"}
    context = FakeContext(id="github", http=cast(Any, http))
    results = await connector.setup.check(GithubSettings.model_validate(config), as_context(context))
    [found] = [one for one in results if one.name == "webhook of octo-org/*"]
    assert (found.status.value, found.detail) == ("ok", "lost deliveries are asked for again")
