"""Why work waits: said by `trace` and `inspect`, with and without a daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from orgloop.core.deliveries.admission import (
    NEVER,
    Ledger,
    LimitScope,
    ScopeLevel,
    Unit,
    Verdict,
    Wait,
    Waiting,
    Want,
    Window,
)
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Retry
from orgloop.core.text.units import MINUTE
from orgloop.journal.model import ClaimWant
from orgloop.operations.views.waits import Waits
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, tell, write_project

FIRST, SECOND = "dlv_0000000000000001", "dlv_0000000000000002"
BUSY = "Limit of 1 run at once for actor engineer reached. Work continues when a run ends"
LATER = "Limit of 60 runs an hour reached. Work continues at "


@pytest.fixture
def acme(place: Path) -> Path:
    """A project."""
    write_project(place)
    return place


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that works on this home."""
    monkeypatch.setattr(Waits, "_daemon_runs", True)


async def waiting(story: Story, *, root: Path) -> None:
    await story.apply(root)
    await story.event("pr-review", ago=MINUTE, key="pr:1")
    await full(story, ScopeLevel.ACTOR, "engineer", limit=1, until=NEVER)


async def full(story: Story, level: ScopeLevel, name: str, *, limit: int, until: int) -> None:
    """A claim meets a scope that is full."""
    reason = Waiting(
        scope=LimitScope(level=level, name=name),
        unit=Unit.RUNS,
        window=Window.AT_ONCE if until == NEVER else Window.HOUR,
        limit=limit,
        until=until,
        setting="limits.runs" if until == NEVER else "defaults.budget.runs_per_hour",
    )

    def admit(want: Want, ledger: Ledger) -> Verdict:
        return Wait(reasons=[reason])

    await story.journal.claim([ClaimWant(actor="engineer", slots=1, admit=admit, reserve={})], story.now)


async def delayed(story: Story, *, root: Path) -> None:
    await story.apply(root)
    await story.event("pr-review", ago=MINUTE, key="pr:1")
    await full(story, ScopeLevel.ORGANIZATION, "", limit=60, until=story.now + MINUTE)


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
    (delayed, FIRST, LATER),
    (in_one_key, SECOND, f"behind {FIRST} (pending)"),
    (being_prepared, FIRST, "its transforms are running"),
    (unreachable, SECOND, "notify is unavailable, retried in "),
    (unreachable, SECOND, ": connection refused"),
    (tried, FIRST, "retried in "),
]


@pytest.mark.parametrize(("story", "id", "why"), STORIES, ids=lambda one: getattr(one, "__name__", None))
def test_trace_and_inspect_say_why_work_waits(
    story: Callable[..., Awaitable[None]],
    id: str,
    why: str,
    acme: Path,
    home: Path,
    daemon: None,
    orgloop: Orgloop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    tell(home, partial(story, root=acme))
    (said,) = [line.strip() for line in orgloop("trace", id).out.splitlines() if "waits: " in line]
    assert why in said
    (said,) = [line for line in orgloop("inspect", id).out.splitlines() if line.startswith("  waits")]
    assert why in said
    assert why in orgloop("inspect", id, "--json").json["waits"]


def test_a_list_says_why_what_was_not_tried_yet_waits(
    acme: Path, home: Path, daemon: None, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    tell(home, partial(in_one_key, root=acme))
    behind, busy = orgloop("deliveries").out.splitlines()[1:]
    assert f"behind {FIRST} (" in behind
    assert BUSY in busy


def test_without_a_daemon_everything_waits_for_one(acme: Path, home: Path, orgloop: Orgloop) -> None:
    tell(home, partial(waiting, root=acme))
    (root,) = orgloop("trace", FIRST, "--json").json["tree"]
    assert root["deliveries"][0]["waits"] == "no daemon runs: it continues after `orgloop start`"


def test_status_says_that_work_is_delayed_by_which_limit_and_until_when(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    tell(home, partial(delayed, root=acme))
    items = orgloop("status", "--json").json["attention"]
    (item,) = [item for item in items if item["kind"] == "delayed"]
    assert item["message"].startswith(f"1 delivery waits. {LATER}")
    assert (item["urgent"], item["count"]) == (False, 1)
    assert LATER in orgloop("status").out


def test_what_does_not_wait_has_no_reason(acme: Path, home: Path, orgloop: Orgloop) -> None:
    async def held(story: Story) -> None:
        await story.apply(acme)
        await story.dead("404", ago=MINUTE)

    tell(home, held)
    assert orgloop("inspect", FIRST, "--json").json["waits"] == ""
    assert "waits" not in orgloop("trace", FIRST).out
