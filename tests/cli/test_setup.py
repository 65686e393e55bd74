"""`orgloop setup`: variables are filled by the commands that print them, and a webhook is made and tried."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orgloop.cli.exits import Exit
from orgloop.operations.setup import write_variable
from tests.cli.conftest import Orgloop

TOKEN = "gho_0123456789"
URL = "https://hooks.example.com/webhook/github"


@dataclass
class Github:
    """Webhooks of one repository. `answers` are how this machine answers pings; None: not yet."""

    url: str = ""
    hooks: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    answers: int | None = 200
    refuses: int = 0
    tokens: set[str] = field(default_factory=set)
    made: int = 0

    def answer(self, method: str, path: str, content: Any) -> tuple[int, Any]:
        if self.refuses:
            return self.refuses, {"message": "Resource not accessible"}
        match method, path.partition("?")[0].strip("/").split("/")[3:]:
            case "GET", ["hooks"]:
                return 200, self.hooks
            case "POST", ["hooks"]:
                self.made += 1
                self.hooks.append({"id": 900 + self.made, **content})
                self.deliveries.append({"id": 1, "event": "ping", "status_code": 502})
                return 201, self.hooks[-1]
            case "PATCH", ["hooks", _]:
                self.hooks[0].update(content)
                return 200, self.hooks[0]
            case "POST", ["hooks", _, "pings"]:
                if self.answers is not None:
                    row = {"id": len(self.deliveries) + 1, "event": "ping", "status_code": self.answers}
                    self.deliveries.append(row)
                return 204, None
            case "GET", ["hooks", _, "deliveries"]:
                return 200, self.deliveries
            case _:
                return 404, {"message": "Not Found"}


@pytest.fixture
def github() -> Iterator[Github]:
    served = Github()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            content = json.loads(self.rfile.read(size) or b"null")
            served.tokens.add(self.headers.get("authorization", ""))
            status, data = served.answer(self.command, self.path, content)
            body = b"" if data is None else json.dumps(data).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _do

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def project(place: Path, github: Github, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    programs = place.parent / "programs"
    programs.mkdir()
    for name, said in (("gh", TOKEN), ("openssl", "f00d" * 16)):
        (programs / name).write_text(f'#!/bin/sh\n[ -z "$BROKEN" ] || exit 4\necho {said}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    (place / "orgloop.yaml").write_text(f"""
metadata: {{name: acme}}
sources:
  - id: github
    connector: github
    config: {{secret: "${{GITHUB_WEBHOOK_SECRET}}", token: "${{GITHUB_TOKEN}}", repo: octo-org/billing,
             api_url: "{github.url}"}}
""")
    return place


def test_variables_are_filled_and_the_webhook_is_made_and_tried(
    orgloop: Orgloop, project: Path, github: Github
) -> None:
    said = orgloop("setup", "github", "--url", "https://hooks.example.com/")
    assert (said.code, said.err) == (Exit.OK, "")
    assert "✓ GITHUB_TOKEN  is set, in .env" in said.out
    assert "✓ github: webhook of octo-org/billing  it is made; a ping arrived" in said.out
    assert TOKEN not in said.out
    env = project / ".env"
    assert f"GITHUB_TOKEN={TOKEN}\n" in env.read_text()
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert github.tokens == {f"Bearer {TOKEN}"}
    (hook,) = github.hooks
    secret = {"url": URL, "content_type": "json", "secret": "f00d" * 16, "insecure_ssl": "0"}
    assert (hook["config"], hook["active"], hook["events"]) == (secret, True, ["*"])
    again = orgloop("setup", "github", "--url", "https://hooks.example.com")
    assert again.code == Exit.OK
    assert "it was there, and has the secret now; a ping arrived" in again.out
    assert len(github.hooks) == 1
    assert env.read_text().count("GITHUB_TOKEN") == 1


@pytest.mark.parametrize(
    ("answers", "refuses", "words"),
    [
        (502, 0, "a ping got 502"),
        (0, 0, "a ping got no answer"),
        (200, 403, "refuses /repos/octo-org/billing/hooks"),
        (200, 404, "GitHub has no /repos/octo-org/billing/hooks"),
        (200, 401, "does not accept the token in $GITHUB_TOKEN"),
        (200, 500, "GitHub answered 500"),
    ],
)
def test_what_does_not_work_says_what_to_do(
    orgloop: Orgloop, project: Path, github: Github, answers: int, refuses: int, words: str
) -> None:
    github.answers, github.refuses = answers, refuses
    said = orgloop("setup", "github", "--url", "https://hooks.example.com", "--json")
    assert said.code == Exit.FAILED
    (result,) = said.json["results"]
    assert result["status"] == "error"
    assert words in result["detail"]
    assert result["hint"]
    assert TOKEN not in said.out


def test_a_command_that_prints_nothing_leaves_the_variable_to_a_person(
    orgloop: Orgloop, project: Path, github: Github, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", "1")
    said = orgloop("setup", "github", "--url", "https://hooks.example.com")
    assert said.code == Exit.FAILED
    assert "✗ GITHUB_TOKEN  `gh auth token` ended with 4 and no value" in said.out
    assert "https://github.com/settings/personal-access-tokens/new" in said.out
    assert not (project / ".env").exists()
    assert github.hooks == []
    monkeypatch.setenv("PATH", "/no/such/directory")
    assert "gh is not installed" in orgloop("setup", "github").out


def test_without_an_address_or_a_repository_no_webhook_is_made(
    orgloop: Orgloop, project: Path, github: Github
) -> None:
    said = orgloop("setup", "github")
    assert said.code == Exit.FAILED
    assert "nobody said where GitHub reaches this machine" in said.out
    text = (project / "orgloop.yaml").read_text()
    (project / "orgloop.yaml").write_text(text.replace("repo: octo-org/billing,", ""))
    assert "names no repository" in orgloop("setup", "github", "--url", "https://x.example").out
    polled = 'secret: "${GITHUB_WEBHOOK_SECRET}", '
    (project / "orgloop.yaml").write_text(text.replace(polled, ""))
    assert orgloop("setup", "github").code == Exit.OK
    assert github.hooks == []


def test_other_connectors_say_where_their_variables_come_from(orgloop: Orgloop, place: Path) -> None:
    orgloop("init", "--no-interactive", "--connectors", "slack")
    said = orgloop("setup", "slack")
    assert said.code == Exit.FAILED
    assert "✗ SLACK_APP_TOKEN  no command prints it" in said.out
    assert "https://api.slack.com/apps" in said.out
    assert orgloop("setup", "cron").err.startswith("✗ the project has no cron")
    assert orgloop("setup", "cronn").code == Exit.FAILED
    wrong = orgloop("setup", "slack", "--url", "hooks.example.com")
    assert "is not an address" in wrong.err


@pytest.mark.parametrize("before", [None, b"", b"A=1", b"A=1\n"])
def test_a_variable_is_added_as_a_line_of_its_own(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / ".env"
    if before is not None:
        path.write_bytes(before)
        path.chmod(0o644)
    write_variable(path, "B", "2")
    assert path.read_text() == ("A=1\nB=2\n" if before else "B=2\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
