"""docs/http.md tells of every endpoint, and each of its examples is what the daemon does."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from orgloop.web.endpoints import ENDPOINTS
from tests.web.daemon import TOKEN
from tests.web.scene import PAYLOAD, Scene, scene

PAGE: Final = (Path(__file__).parents[2] / "docs/http.md").read_text()

EXACT: Final = {"ok", "error", "hint", "duplicate", "state", "moved", "project"}
"""What the page shows of these is the very value."""

SECTION: Final = re.compile(
    r"^### (?P<method>GET|POST) (?P<path>\S+)\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A section: its endpoint, its command and the answer that it shows."""

    method: str
    path: str
    command: str
    answer: Any


def block(text: str, language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "".join(found)


def examples() -> list[Example]:
    return [
        Example(
            method=found["method"],
            path=found["path"],
            command=block(found["text"], "sh"),
            answer=json.loads(block(found["text"], "json") or "null"),
        )
        for found in SECTION.finditer(PAGE)
    ]


@pytest.fixture
async def work(home: Path) -> AsyncGenerator[Scene]:
    async with scene(home) as found:
        yield found


def test_every_endpoint_has_its_section_and_every_section_its_endpoint() -> None:
    there = {(method, path) for method, path, _ in ENDPOINTS} | {("POST", "/webhook/{source}")}
    assert {(one.method, one.path) for one in examples()} == there
    assert len(examples()) == len(there)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a curl command sends."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def curl(command: str) -> Request:
    """Read a curl command, as far as the page uses it."""
    words = iter(shlex.split(command.replace("\\\n", " ").replace("$TOKEN", TOKEN)))
    assert next(words) == "curl"
    method, url, body, headers = "", "", None, {}
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words).encode()
            case _:
                url = word
    return Request(method=method or ("POST" if body else "GET"), url=url, headers=headers, body=body)


def fit(text: str, work: Scene) -> str:
    """The page's ids, paths and port as they are in this daemon."""
    for known, here in (
        ("evt_1a202fcfa801acec", work.event_id),
        ("trc_1a202fcfa801aced", work.trace_id),
        ("dlv_1a202fcfa801acee", work.started),
        ("dlv_1a202fcfa801acef", work.dead),
        ("run_1a202fcfa831acec", work.run_id),
        ("/srv/acme", str(work.acme.runtime.organization.root)),
        ("127.0.0.1:4800", f"127.0.0.1:{work.acme.server.port}"),
    ):
        text = text.replace(known, here)
    return text


def differences(shown: Any, real: Any, where: str = "") -> list[str]:
    """Where an answer has not the shape that the page shows: other keys, other types."""
    if isinstance(shown, dict) and isinstance(real, dict):
        if where.endswith((".moved", ".filter")):
            return []
        found = [f"{where}.{key} is on one side only" for key in shown.keys() ^ real.keys()]
        for key in shown.keys() & real.keys():
            found += differences(shown[key], real[key], f"{where}.{key}")
        return found
    if isinstance(shown, list) and isinstance(real, list):
        return differences(shown[0], real[0], f"{where}[0]") if shown and real else []
    if type(shown) is type(real) or (None in (shown, real) and not isinstance(shown, dict | list)):
        return []
    return [f"{where} is {type(real).__name__}, the page shows {type(shown).__name__}"]


@pytest.mark.parametrize("example", examples(), ids=lambda one: f"{one.method} {one.path}")
async def test_the_example_is_what_happens(
    example: Example, work: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reload() -> Mapping[str, int]:
        return {"held": 2}

    async def forget(actor: str, session: str, why: str, at: int) -> bool:
        return True

    work.acme.reload = reload
    monkeypatch.setattr(work.acme.runtime.journal, "forget_session", forget)
    if example.path in ("/api/accounts", "/control/accounts/resume"):
        await work.acme.runtime.journal.park("work", None, "holidays", 0)
    request = curl(fit(example.command, work))
    pattern = re.sub(r"\\{\w+\\}", "[^/?]+", re.escape(example.path))
    assert request.method == example.method
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+{pattern}(\?.*)?", request.url), request.url
    async with (
        aiohttp.ClientSession() as http,
        http.request(request.method, request.url, data=request.body, headers=request.headers) as answer,
    ):
        if example.answer is None:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            return
        content = await answer.json()
        refused = isinstance(example.answer, dict) and example.answer.get("ok") is False
        assert answer.status == (409 if refused else 200), content
    assert differences(example.answer, content) == []
    if example.method == "POST":
        told = {key: example.answer[key] for key in EXACT & example.answer.keys()}
        assert {key: content[key] for key in told} == told


def test_the_page_s_event_is_the_one_of_the_scene() -> None:
    event = next(one for one in examples() if one.path == "/api/events/{id}")
    assert event.answer["event"]["payload"] == PAYLOAD


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ({"a": 1}, {"a": "1"}),
        ([{"a": 1}], [{"b": 1}]),
        ({"a": []}, {"a": None}),
    ],
)
def test_a_difference_is_seen(shown: Any, real: Any) -> None:
    assert differences(shown, real) != []


def test_the_limits_on_the_page_are_those_of_the_server() -> None:
    from orgloop.web.body import BODY_LIMIT, BodyBounds
    from orgloop.web.connection import Bounds
    from orgloop.web.parameters import MOST

    assert (BODY_LIMIT, MOST) == (1024 * 1024, 1000)
    for text in (
        f"within {Bounds().body:g} seconds",
        f"within {Bounds().idle:g} seconds",
        f"at most {Bounds().connections} connections",
        f"more than {BodyBounds().small // 1024} KiB",
        f"fill {BodyBounds().room // 1024**2} MiB",
        "larger than 1 MiB",
        f"at most {MOST}",
    ):
        assert text in PAGE
