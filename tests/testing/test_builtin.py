"""The connectors that come with OrgLoop pass the suite, as far as their other systems can be had here."""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orgloop.connectors.agents.claude_code import connector as claude_code
from orgloop.connectors.agents.codex import connector as codex
from orgloop.connectors.agents.openclaw import connector as openclaw
from orgloop.connectors.cron import connector as cron
from orgloop.connectors.email import connector as email
from orgloop.connectors.files import connector as files
from orgloop.connectors.github import connector as github
from orgloop.connectors.http import connector as http
from orgloop.connectors.linear import connector as linear
from orgloop.connectors.process import connector as process
from orgloop.connectors.slack import connector as slack
from orgloop.connectors.webhook import connector as webhook
from orgloop.plugin import Inbound
from orgloop.plugin.registry import Registry
from orgloop.testing import ConnectorSuite
from tests.connectors import github_bodies, linear_bodies
from tests.connectors.agents.recordings import RECORDINGS

SECRET = "a secret of hooks"


def signed(body: Any, header: str, prefix: str = "", **headers: str) -> Inbound:
    content = json.dumps(body).encode()
    mac = hmac.digest(SECRET.encode(), content, "sha256").hex()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Inbound(method="POST", headers={header: f"{prefix}{mac}", **named}, body=content, peer="127.0.0.1")


class Site(BaseHTTPRequestHandler):
    """A list of items, and a target that counts what it takes by idempotency key."""

    protocol_version = "HTTP/1.1"
    items: list[Any]
    taken: list[str]

    def do_GET(self) -> None:
        self._answer(self.items)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        key = self.headers["idempotency-key"]
        if key not in self.taken:
            self.taken.append(key)
        self._answer({"ok": True})

    def _answer(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class OnSite(ConnectorSuite):
    """Each place of a test has a site of its own."""

    servers: ClassVar[dict[Path, ThreadingHTTPServer]] = {}

    @pytest.fixture(autouse=True)
    def served(self) -> Iterator[None]:
        yield
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
        self.servers.clear()

    def site(self, place: Path) -> type[Site]:
        if place not in self.servers:
            handler = type("Own", (Site,), {"items": [], "taken": []})
            self.servers[place] = server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        found: Any = self.servers[place].RequestHandlerClass
        return found  # type: ignore[no-any-return]

    def url(self, place: Path) -> str:
        self.site(place)
        return f"http://127.0.0.1:{self.servers[place].server_port}/"


class TestHttp(OnSite):
    connector = http

    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {"url": self.url(place), "id": "id", "auth": {"type": "bearer", "token": SECRET}}

    def happen(self, place: Path, number: int) -> None:
        self.site(place).items.append({"id": number})


class TestWebhook(OnSite):
    connector = webhook

    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {"secret": SECRET, "delivery_id_header": "X-Id"}

    def request(self, place: Path, number: int) -> Inbound:
        return signed({"number": number}, "x-hub-signature-256", "sha256=", x_id=str(number))

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"url": self.url(place), "auth": {"type": "bearer", "token": SECRET}}

    def done(self, place: Path) -> int:
        return len(self.site(place).taken)


class TestFiles(ConnectorSuite):
    connector = files

    def source_config(self, place: Path) -> Mapping[str, Any]:
        inbox = place / "inbox"
        inbox.mkdir(exist_ok=True)
        return {"directory": str(inbox), "settle": "0s"}

    def happen(self, place: Path, number: int) -> None:
        (place / "inbox" / f"{number}.txt").write_text("new")


class TestProcess(ConnectorSuite):
    connector = process

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"command": ["sh", "-c", f"echo done >> {place}/done"], "cwd": str(place)}

    def done(self, place: Path) -> int:
        file = place / "done"
        return len(file.read_text().splitlines()) if file.exists() else 0


class TestCron(ConnectorSuite):
    connector = cron

    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {"schedules": [{"name": "hourly", "cron": "0 * * * *"}]}


class TestGithub(ConnectorSuite):
    """Its webhook. What polls tell is tested with a server of its own."""

    connector = github

    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {"secret": SECRET}

    def request(self, place: Path, number: int) -> Inbound:
        body = github_bodies.body("opened", issue=github_bodies.issue(id=number, number=number))
        names = {"x_github_event": "issues", "x_github_delivery": str(number)}
        return signed(body, "x-hub-signature-256", "sha256=", **names)


class TestGithubPolls(ConnectorSuite):
    connector = github
    route_config: ClassVar[Mapping[str, Any]] = {"body": "done", "repo": "octo/hello", "number": 7}

    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {"repo": "octo/hello", "token": SECRET.replace(" ", "_")}

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"do": "comment", "token": SECRET.replace(" ", "_")}


class TestLinear(ConnectorSuite):
    connector = linear

    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {"secret": SECRET}

    def request(self, place: Path, number: int) -> Inbound:
        body = {**linear_bodies.created(id=f"issue-{number}"), "webhookTimestamp": int(time.time() * 1000)}
        return signed(body, "linear-signature", linear_delivery=str(number))


class TestLinearPolls(ConnectorSuite):
    connector = linear
    route_config: ClassVar[Mapping[str, Any]] = {"comment": "done", "issue": "ENG-7"}

    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {"api_key": SECRET.replace(" ", "_")}

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"api_key": SECRET.replace(" ", "_")}


class TestSlack(ConnectorSuite):
    connector = slack
    route_config: ClassVar[Mapping[str, Any]] = {"text": "done"}

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"bot_token": "xoxb-0123456789-a-token", "channel": "C0123ABCD"}


class TestEmail(ConnectorSuite):
    connector = email


class TestOpenclaw(ConnectorSuite):
    connector = openclaw

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"token": SECRET.replace(" ", "_")}


class TestClaudeCode(ConnectorSuite):
    connector = claude_code

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"cwd": str(place), "binary": "/bin/true"}


class TestCodex(ConnectorSuite):
    connector = codex

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"cwd": str(place), "binary": "/bin/true"}


def test_each_connector_is_tried_here_or_as_a_harness() -> None:
    suites = [one for one in globals().values() if isinstance(one, type) and issubclass(one, ConnectorSuite)]
    tried = {one.connector.name for one in suites if one not in (ConnectorSuite, OnSite)}
    tried |= {recording.connector.name for recording in RECORDINGS}
    hooks = {"coding-agent", "pi-rust"}
    own = {one.name for one in Registry.installed().connectors()}
    assert own - tried - hooks == set()
