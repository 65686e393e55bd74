"""The login of a GitHub App: a key that signs, a token that ends, and what goes wrong with both."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from orgloop.connectors.github import connector
from orgloop.connectors.github.api import api_of
from orgloop.connectors.github.settings import ApiSettings, GithubSettings
from orgloop.connectors.github.writing.tasks import GithubActorSettings
from orgloop.plugin import PluginError, TryLater
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, ManualClock, as_context
from tests.connectors.test_github_poll import NOON, Follower
from tests.support.github_server import REPO, GithubServer, failing, iso

APP = "Iv23liABC"


@pytest.fixture(scope="module")
def keys() -> tuple[str, Any]:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return pem.decode(), private.public_key()


class AppServer(GithubServer):
    """It knows an app by its key, and gives tokens for its installations, each for an hour."""

    public: Any = None
    installed: tuple[int, ...] = (77,)
    given = 0
    broken: Any = None

    def _own(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/app"):
            refused = self._claims(request)
            rows = [{"id": id} for id in self.installed]
            app = {"slug": "orgloop", "permissions": {"issues": "write", "contents": "read"}}
            return refused or web.json_response(app if request.path == "/app" else rows)
        if request.path == "/user":
            return failing(403, "Resource not accessible by integration")
        return super()._own(request)

    def _written(self, request: web.Request, content: Any) -> web.Response:
        if not request.path.startswith("/app"):
            return super()._written(request, content)
        id = request.path.split("/")[3]
        if refused := self._claims(request):
            return refused
        if id not in map(str, self.installed):
            return failing(404, "Not Found")
        self.given += 1
        self.token = f"ghs_{self.given}"
        end = f"{self.hour(1)}"
        return web.json_response({"token": self.token, "expires_at": end}, status=201)

    def hour(self, later: int) -> str:
        return iso(self.now + later * 3_600)

    def _claims(self, request: web.Request) -> web.Response | None:
        if self.broken is not None:
            return web.Response(**self.broken)
        token = request.headers["authorization"].removeprefix("Bearer ")
        options: Any = {"verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, self.public, ["RS256"], options=options, issuer=APP)
        except jwt.PyJWTError as exc:
            return failing(401, str(exc))
        fits = claims["iat"] <= self.now < claims["exp"] <= self.now + 600
        return None if fits else failing(401, "'Expiration time' claim ('exp') is too far in the future")


@pytest.fixture
async def server(keys: tuple[str, Any]) -> AsyncIterator[AppServer]:
    async with AppServer(NOON) as server:
        server.public = keys[1]
        yield server


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


def given(server: AppServer, key: str, **more: Any) -> dict[str, Any]:
    return {"app_id": APP, "private_key": key, "api_url": server.url, **more}


async def value(server: AppServer, http: HttpClient, skew: int = 0, **config: Any) -> str:
    context = FakeContext(http=http, clock=ManualClock((NOON + skew) * 1000))  # type: ignore[arg-type]
    api = api_of(GithubSettings.model_validate(config), as_context(context))
    return await api._credential.value()


async def test_a_repository_is_polled_as_an_app_and_each_token_serves_for_its_hour(
    server: AppServer, http: HttpClient, keys: tuple[str, Any]
) -> None:
    follower = await Follower(server, http, token=None, **given(server, keys[0])).begin()
    await follower.poll()
    server.open_pull(7)
    assert [draft.provenance["platform_event"] for draft in await follower.poll()] == ["pull_request.opened"]
    assert server.given == 1
    server.now += 54 * 60
    await follower.poll()
    assert server.given == 1
    server.now += 2 * 60
    await follower.poll()
    assert server.given == 2, "it is replaced before it ends"


async def test_a_token_that_github_revokes_is_replaced(
    server: AppServer, http: HttpClient, keys: tuple[str, Any]
) -> None:
    follower = await Follower(server, http, token=None, **given(server, keys[0])).begin()
    await follower.poll()
    server.token = "ghs_revoked"
    await follower.poll()
    assert server.given == 2


@pytest.mark.parametrize("skew", [-7_200, -120, 0, 120, 7_200])
async def test_a_clock_that_is_wrong_does_not_lock_the_app_out(
    server: AppServer, http: HttpClient, keys: tuple[str, Any], skew: int
) -> None:
    assert await value(server, http, skew, **given(server, keys[0])) == "ghs_1"


@pytest.mark.parametrize("form", ["plain", "escaped", "base64", "file"])
async def test_a_key_may_be_written_in_several_ways(
    server: AppServer, http: HttpClient, keys: tuple[str, Any], form: str, tmp_path: Path
) -> None:
    pem = keys[0]
    (tmp_path / "app.pem").write_text(pem)
    written: dict[str, Any] = {
        "plain": {"private_key": pem},
        "escaped": {"private_key": pem.strip().replace("\n", "\\n")},
        "base64": {"private_key": base64.b64encode(pem.encode()).decode()},
        "file": {"private_key": None, "private_key_file": str(tmp_path / "app.pem")},
    }
    assert await value(server, http, **{**given(server, pem), **written[form]}) == "ghs_1"


async def test_one_of_several_installations_must_be_named(
    server: AppServer, http: HttpClient, keys: tuple[str, Any]
) -> None:
    config = given(server, keys[0])
    server.installed = (77, 78)
    with pytest.raises(PluginError) as told:
        await value(server, http, **config)
    assert told.value.hint == "write one of them into `installation_id`: 77, 78"
    assert await value(server, http, **config, installation_id=78) == "ghs_1"
    with pytest.raises(PluginError, match="no such installation"):
        await value(server, http, **config, installation_id=79)
    server.installed = ()
    with pytest.raises(PluginError, match="not installed anywhere"):
        await value(server, http, **config)


@pytest.mark.parametrize(
    ("broken", "kind", "words"),
    [
        ({"status": 401}, PluginError, "does not accept the key"),
        ({"status": 403}, PluginError, "suspended"),
        ({"status": 403, "headers": {"retry-after": "9"}}, TryLater, "rate limit"),
        ({"status": 429}, TryLater, "rate limit"),
        ({"status": 500}, PluginError, "answered 500"),
        ({"status": 200, "text": "<html>"}, PluginError, "is not JSON"),
        ({"status": 200, "text": "[7, {}]"}, PluginError, "not installed anywhere"),
        ({"status": 200, "text": '{"token": "a b\\nc"}'}, PluginError, "not installed anywhere"),
    ],
)
async def test_what_github_refuses_an_app_says_what_to_do(
    server: AppServer,
    http: HttpClient,
    keys: tuple[str, Any],
    broken: dict[str, Any],
    kind: type[Exception],
    words: str,
) -> None:
    server.broken = broken
    with pytest.raises(kind) as told:
        await value(server, http, **given(server, keys[0]))
    assert words in str(told.value)
    assert "PRIVATE KEY" not in str(told.value)


async def test_a_key_that_is_none_says_so_without_showing_it(server: AppServer, http: HttpClient) -> None:
    for key in ("s3cret", "-----BEGIN RSA PRIVATE KEY-----\ns3cret\n-----END RSA PRIVATE KEY-----"):
        with pytest.raises(PluginError, match="not the private key") as told:
            await value(server, http, **given(server, key))
        assert "s3cret" not in str(told.value)
    config = {**given(server, ""), "private_key": None, "private_key_file": "/no/such/key.pem"}
    with pytest.raises(PluginError, match="cannot be read"):
        await value(server, http, **config)
    assert server.asked == []


async def test_a_package_that_is_missing_names_the_command_that_installs_it(
    server: AppServer, http: HttpClient, keys: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(PluginError) as told:
        await value(server, http, **given(server, keys[0]))
    assert told.value.hint == "type: pip install 'orgloop[github]'"


async def test_the_doctor_says_which_app_it_is_and_what_it_may_do(
    server: AppServer, http: HttpClient, keys: tuple[str, Any]
) -> None:
    settings = GithubSettings.model_validate({**given(server, keys[0]), "repo": REPO.removeprefix("/repos/")})
    context = FakeContext(http=http, clock=ManualClock(NOON * 1000))  # type: ignore[arg-type]
    assert connector.setup.check is not None
    login, *more = await connector.setup.check(settings, as_context(context))
    assert (login.identity, login.detail) == ("@orgloop[bot]", "contents: read, issues: write")
    assert {one.status.value for one in more} == {"ok"}
    server.broken = {"status": 401}
    (login,) = await connector.setup.check(settings, as_context(context))
    assert login.status.value == "error"
    assert login.hint


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"app_id": APP}, "need each other"),
        ({"private_key": "x"}, "need each other"),
        ({"app_id": APP, "private_key": "x", "private_key_file": "y"}, "exclude each other"),
        ({"app_id": APP, "private_key": "x", "token": "t"}, "logs in, too"),
        ({"installation_id": 7}, "add its `app_id`"),
        ({"app_id": "a b", "private_key": "x"}, "app_id"),
        ({"app_id": APP, "private_key": ""}, "empty"),
    ],
)
def test_settings_that_cannot_work_say_why(config: dict[str, Any], words: str) -> None:
    pairs: list[tuple[type[ApiSettings], dict[str, Any]]] = [
        (GithubSettings, {}),
        (GithubActorSettings, {"do": "comment"}),
    ]
    for model, more in pairs:
        with pytest.raises(ValidationError) as told:
            model.model_validate({**config, **more})
        assert words in str(told.value)
    assert (
        GithubActorSettings.model_validate({"app_id": 7, "private_key": "x", "do": "comment"}).app_id == "7"
    )
