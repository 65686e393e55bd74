"""A real OpenClaw gateway, woken by the daemon; the model behind it is scripted."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from orgloop.connectors.agents.openclaw import connector
from orgloop.connectors.agents.openclaw.actor import OpenClawActor
from orgloop.connectors.agents.openclaw.settings import OpenClawSettings
from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from orgloop.plugin import CheckStatus, Completion, HttpFailed, RemoteRun
from orgloop.runtime.support.clock import SystemClock
from orgloop.runtime.support.http import HttpClient
from tests.compat.living import Living, living, until
from tests.connectors.doubles import FakeContext, as_context, wake
from tests.e2e.organization import wait_for
from tests.real.conftest import NOWHERE
from tests.support.model_script import Refuse, Say, ToolCall
from tests.support.scripted_model import ScriptedModel

pytestmark = pytest.mark.real

UP = 150.0
"""Seconds in which the gateway is up, also on a slow machine."""

TOKEN = "a-token-of-hooks"
PROJECT = """
metadata: {name: claws}
sources: [{id: ci, connector: webhook}]
actors:
  - id: claw
    connector: openclaw
    config: {base_url: URL, token: "${OPENCLAW_WEBHOOK_TOKEN}", agent_id: main, MORE}
routes:
  - name: work
    when: {source: ci, events: ["*"]}
    then: {actor: claw, config: {session_key: "{{payload.key}}"}}
    with: {prompt_file: sop.md}
"""


class Gateway:
    """The gateway as a process of its own, with a home of its own, cut off from all but the model."""

    def __init__(self, folder: Path, place: Path, model: str) -> None:
        self._folder, self._place = folder, place
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port: int = taken.getsockname()[1]
        home = place / "home/.openclaw"
        home.mkdir(parents=True)
        (place / "workspace").mkdir()
        (home / "openclaw.json").write_text(json.dumps(self._config(model)))

    def _config(self, model: str) -> dict[str, Any]:
        scripted = {
            "id": "scripted", "name": "scripted", "reasoning": False, "input": ["text"],
            "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
            "contextWindow": 100_000, "maxTokens": 4096,
        }  # fmt: skip
        provider = {"baseUrl": model, "apiKey": "dummy", "api": "anthropic-messages", "models": [scripted]}
        return {
            "gateway": {
                "mode": "local", "port": self.port, "bind": "loopback",
                "auth": {"mode": "token", "token": "a-token-of-the-gateway"},
            },
            "hooks": {
                "enabled": True, "token": TOKEN, "path": "/hooks", "allowedAgentIds": ["main"],
                "allowRequestSessionKey": True, "allowedSessionKeyPrefixes": ["hook:"],
            },
            "logging": {"file": str(self._place / "openclaw.log")},
            "models": {"mode": "merge", "providers": {"local": provider}},
            "tools": {"exec": {"security": "full", "ask": "off"}},
            "agents": {
                "defaults": {
                    "model": {"primary": "local/scripted"},
                    "workspace": str(self._place / "workspace"),
                    "skipBootstrap": True,
                }
            },
        }  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self._place / "gateway.log").read_text(errors="replace")

    def start(self) -> None:
        """Returns once it is ready."""
        environment = {
            "HOME": str(self._place / "home"),
            "PATH": f"{self._folder}:/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(self._place),
            "HTTPS_PROXY": NOWHERE,
            "HTTP_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1",
        }
        program = [str(self._folder / name) for name in ("node", "openclaw")]
        with (self._place / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*program, "gateway", "--port", str(self.port)],
                env=environment,
                cwd=self._place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for("the gateway", self._is_ready, UP)

    def stop(self) -> None:
        """It ends at once, with all that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended:\n{self.log[-4000:]}"
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(json.loads(answer.read())["ready"])
        except (OSError, urllib.error.URLError, ValueError):
            return False


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture(scope="module")
def gateway(
    openclaw_folder: Path, model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    gateway = Gateway(openclaw_folder, tmp_path_factory.mktemp("gateway"), model.url)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(autouse=True)
def clear_script(model: ScriptedModel) -> None:
    model.script.clear()


def written(root: Path, gateway: Gateway, more: str = "session_mode: persistent") -> Path:
    (root / "orgloop.yaml").write_text(PROJECT.replace("URL", gateway.url).replace("MORE", more))
    (root / "sop.md").write_text("Merge pull request 7.\n")
    return root


def variables(token: str = TOKEN) -> dict[str, str]:
    return {"OPENCLAW_WEBHOOK_TOKEN": token, "PATH": "/usr/bin:/bin"}


async def asked(org: Living, key: str, words: str = "please") -> str:
    return await org.send("ci", {"type": "merge.asked", "key": key, "words": words})


async def end_of(org: Living, count: int = 1) -> dict[str, Any]:
    payload: dict[str, Any] = (await org.ended("claw", count, UP))[-1]["payload"]
    return payload


async def test_a_wake_is_a_turn_of_the_agent_and_one_key_is_one_conversation(
    tmp_path: Path, gateway: Gateway, model: ScriptedModel
) -> None:
    model.script.on("", Say(text="I merged it."), conversation="first-words")
    model.script.on("", Say(text="Again."), conversation="second-words")
    async with living(written(tmp_path, gateway), variables(), tmp_path / "org") as org:
        await asked(org, "hook:pr:7", "first-words")
        end = await end_of(org)
        assert (end["lifecycle"]["outcome"], end["lifecycle"]["reason"]) == ("success", "ok")
        assert end["reply_disposition"] == "visible"
        assert end["openclaw_run"] in gateway.log
        await asked(org, "hook:pr:7", "second-words")
        assert (await end_of(org, 2))["lifecycle"]["outcome"] == "success"
    said, again = (seen.conversation for seen in model.script.requests[:2])
    assert "I merged it." in again
    assert "Merge pull request 7." in said
    assert "<!-- orgloop-run: run_" in said


async def test_what_a_gateway_refuses_is_told_or_waits(
    tmp_path: Path, gateway: Gateway, model: ScriptedModel
) -> None:
    before = len(model.script.requests)
    async with living(written(tmp_path, gateway), variables(), tmp_path / "org") as org:
        row = (await org.settled(await asked(org, "other:7")))["work"]
        assert row.state is State.DEAD
        assert "sessionKey must start with" in (row.detail or "")
    async with living(tmp_path, variables("wrong"), tmp_path / "other") as org:
        await asked(org, "hook:pr:8")

        def waits() -> list[Any]:
            rows = org.reader.deliveries(Query(states=(State.PENDING,)))
            return [row for row in rows if "401" in (row.detail or "")]

        await until(waits, "the token is refused")
    assert len(model.script.requests) == before


async def test_a_model_that_fails_fails_the_run(
    tmp_path: Path, gateway: Gateway, model: ScriptedModel
) -> None:
    refused = Refuse(status=400, kind="invalid_request_error", message="no")
    model.script.on("", refused, conversation="hopeless", times=None)
    async with living(written(tmp_path, gateway), variables(), tmp_path / "org") as org:
        await asked(org, "hook:pr:9", "hopeless")
        end = await end_of(org)
        assert (end["lifecycle"]["outcome"], end["lifecycle"]["reason"]) == ("failure", "error")


async def test_an_agent_reports_with_its_own_tools(
    tmp_path: Path, gateway: Gateway, model: ScriptedModel
) -> None:
    echo = Say(tools=[ToolCall(name="exec", input={"command": "echo now-send-it"})], gate="door")
    model.script.on("", echo, conversation="report-it")
    root = written(tmp_path, gateway, "completion: callback")
    async with living(root, variables(), tmp_path / "org") as org:
        await asked(org, "hook:pr:10", "report-it")
        await model.script.gate("door").reached()
        (address,) = set(
            re.findall(r"http://127\.0\.0\.1:\d+/callback/\S+", model.script.requests[-1].conversation)
        )
        told = json.dumps({"status": "ok", "text": "Merged.", "json": {"decision": "merged"}})
        command = f"curl -sS -d '{told}' {address}"
        send = Say(tools=[ToolCall(name="exec", input={"command": command})])
        model.script.on("", send, conversation="now-send-it\n")
        model.script.on("", Say(text="Done."), times=None)
        model.script.gate("door").open()
        end = await end_of(org)
        assert end["result"] == {"text": "Merged.", "json": {"decision": "merged"}}


async def test_a_notice_reaches_the_main_session(
    tmp_path: Path, gateway: Gateway, model: ScriptedModel
) -> None:
    model.script.on("", Say(text="NO_REPLY"), times=None)
    async with living(written(tmp_path, gateway, "hook: wake"), variables(), tmp_path / "org") as org:
        row = (await org.settled(await asked(org, "")))["work"]
        assert (row.state, row.detail) == (State.DELIVERED, "queued")
        told = model.script.requests
        await until(lambda: any("Merge pull request 7." in one.conversation for one in told), "the notice")


async def test_doctor_wakes_nobody(gateway: Gateway, model: ScriptedModel) -> None:
    before, http = len(model.script.requests), HttpClient()
    context: Any = FakeContext()
    context.http = http
    found = {}
    for hook in ("agent", "wake"):
        for token in (TOKEN, "wrong"):
            settings = OpenClawSettings.model_validate(
                {"base_url": gateway.url, "token": token, "hook": hook}
            )
            assert connector.setup.check is not None
            (result,) = await connector.setup.check(settings, as_context(context))
            found[hook, token] = result.status
    await http.close()
    assert found == {
        (hook, token): CheckStatus.OK if token == TOKEN else CheckStatus.ERROR for hook, token in found
    }
    assert len(model.script.requests) == before


@asynccontextmanager
async def opened(gateway: Gateway) -> AsyncGenerator[OpenClawActor]:
    """The actor itself, with the daemon's clock and client."""
    settings = OpenClawSettings.model_validate({"base_url": gateway.url, "token": TOKEN, "agent_id": "main"})
    actor, http = OpenClawActor("claw", settings), HttpClient()
    context: Any = FakeContext()
    context.http, context.clock = http, SystemClock()
    await actor.open(as_context(context))
    yield actor
    await http.close()


def run_of(actor: OpenClawActor, prompt: str) -> RemoteRun:
    now = SystemClock().now()
    request = actor.request(wake(prompt=prompt)).body
    return RemoteRun(
        id="run_000000000000000a", request=request, started_at=now, waited_until=now, deadline=now + 600_000
    )


async def test_the_same_run_twice_is_one_turn(gateway: Gateway, model: ScriptedModel) -> None:
    model.script.on("", Say(text="Once.", gate="twice"), conversation="only-once")
    async with opened(gateway) as actor:
        run = run_of(actor, "Do it only-once.")
        first = asyncio.create_task(actor.begin(run))
        await model.script.gate("twice").reached()
        second = asyncio.create_task(actor.find(run))
        model.script.gate("twice").open()
        one, two = await first, await second
    assert isinstance(one, Completion)
    assert isinstance(two, Completion)
    assert one.details["openclaw_run"] == two.details["openclaw_run"]
    assert len([seen for seen in model.script.requests if "only-once" in seen.conversation]) == 1


async def test_a_restart_ends_what_went_on_and_what_waited_goes_on(
    tmp_path: Path, gateway: Gateway, model: ScriptedModel
) -> None:
    model.script.on("", Say(text="never heard", gate="restart"), conversation="going-on")
    model.script.on("", Say(text="There."), times=None)
    async with opened(gateway) as actor:
        run = run_of(actor, "Keep going-on.")
        begun = asyncio.create_task(actor.begin(run))
        await model.script.gate("restart").reached()
        gateway.stop()
        with pytest.raises(HttpFailed):
            await begun
        async with living(written(tmp_path, gateway), variables(), tmp_path / "org") as org:
            await asked(org, "hook:pr:11", "come-back")

            def waits() -> list[Any]:
                rows = org.reader.deliveries(Query(states=(State.PENDING,)))
                return [row for row in rows if "cannot connect" in (row.detail or "")]

            await until(waits, "the gateway is missed")
            await asyncio.to_thread(gateway.start)
            end = await actor.find(run)
            assert isinstance(end, Completion)
            assert end.reason == "gateway_restarted"
            (come_back,) = await org.ended("claw", 1, UP)
            assert come_back["payload"]["lifecycle"]["outcome"] == "success"
    said = [seen.conversation for seen in model.script.requests]
    assert len([one for one in said if "come-back" in one]) == 1
