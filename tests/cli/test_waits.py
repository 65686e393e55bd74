"""Why work waits: said by `trace` and `inspect`, with and without a daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orgloop.core.delivery import State
from orgloop.core.happening import Retry
from orgloop.core.units import MINUTE
from orgloop.daemon.client import Client
from orgloop.errors import DaemonError
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, tell, write_project

FIRST, SECOND = "dlv_0000000000000001", "dlv_0000000000000002"
BUSY = "1 run of engineer goes on; its limits.runs is 1"


@pytest.fixture
def acme(place: Path) -> Path:
    """A project."""
    write_project(place)
    return place


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A daemon that says this of its actors' work, and is asked once."""
    waits: dict[str, str] = {}

    def overview(patience: float) -> Mapping[str, Any]:
        return {"waits": waits}

    monkeypatch.setattr(Client, "of_home", lambda _: SimpleNamespace(overview=overview))
    return waits


async def waiting(story: Story, *, root: Path) -> None:
    await story.apply(root)
    await story.event("pr-review", ago=MINUTE, key="pr:1")


async def in_one_key(story: Story, *, root: Path) -> None:
    await waiting(story, root=root)
    await story.event("pr-review", ago=MINUTE, key="pr:1")


async def being_prepared(story: Story, *, root: Path) -> None:
    await story.apply(root)
    await story.event("pr-review", ago=MINUTE, state=State.PREPARING)


async def unreachable(story: Story, *, root: Path) -> None:
    await story.apply(root)
    await story.paused("connection refused", ago=MINUTE)
    await story.event("tell", ago=0)


async def tried(story: Story, *, root: Path) -> None:
    await story.apply(root)
    await story.settled(Retry(reason="500"), ago=-MINUTE)


STORIES: list[tuple[Callable[..., Awaitable[None]], str, str]] = [
    (waiting, FIRST, BUSY),
    (in_one_key, SECOND, f"behind {FIRST} of its key, which is pending"),
    (being_prepared, FIRST, "its transforms are at work"),
    (unreachable, SECOND, "notify does not answer, tried again in "),
    (unreachable, SECOND, ": connection refused"),
    (tried, FIRST, "tried again in "),
]


@pytest.mark.parametrize(("story", "id", "why"), STORIES, ids=lambda one: getattr(one, "__name__", None))
def test_trace_and_inspect_say_why_work_waits(
    story: Callable[..., Awaitable[None]],
    id: str,
    why: str,
    acme: Path,
    home: Path,
    daemon: dict[str, str],
    orgloop: Orgloop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    daemon["engineer"] = BUSY
    tell(home, partial(story, root=acme))
    (said,) = [line.strip() for line in orgloop("trace", id).out.splitlines() if "waits: " in line]
    assert why in said
    (said,) = [line for line in orgloop("inspect", id).out.splitlines() if line.startswith("  waits")]
    assert why in said
    assert why in orgloop("inspect", id, "--json").json["waits"]


def test_a_list_says_why_what_was_not_tried_yet_waits(
    acme: Path, home: Path, daemon: dict[str, str], orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    daemon["engineer"] = BUSY
    tell(home, partial(in_one_key, root=acme))
    behind, busy = orgloop("deliveries").out.splitlines()[1:]
    assert f"behind {FIRST} of its key" in behind
    assert BUSY in busy


def test_without_a_daemon_everything_waits_for_one(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(waiting, root=acme))
    (root,) = orgloop("trace", FIRST, "--json").json["tree"]
    assert root["deliveries"][0]["waits"] == "no daemon runs: it goes on with the next `orgloop start`"


def test_a_daemon_that_does_not_answer_is_no_reason_to_say_nothing_else(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(patience: float) -> None:
        raise DaemonError("it does not answer")

    monkeypatch.setattr(Client, "of_home", lambda _: SimpleNamespace(overview=fails))
    tell(home, partial(in_one_key, root=acme))
    assert orgloop("inspect", FIRST, "--json").json["waits"] == ""
    assert f"behind {FIRST}" in orgloop("inspect", SECOND, "--json").json["waits"]


def test_what_does_not_wait_has_no_reason(acme: Path, home: Path, orgloop: Orgloop) -> None:
    async def held(story: Story) -> None:
        await story.apply(acme)
        await story.dead("404", ago=MINUTE)

    tell(home, held)
    assert orgloop("inspect", FIRST, "--json").json["waits"] == ""
    assert "waits" not in orgloop("trace", FIRST).out
