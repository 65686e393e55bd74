"""Organizations that loop are stopped within their limit, each by the guard that is meant for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from orgloop.plugin import Completion, Delivered, NotBegun, Retry, RunOutcome, Wake
from tests.runtime.organizations import (
    BATCHED,
    HOUR,
    KEYED,
    MINUTE,
    Case,
    World,
    comments,
    counts,
    emits,
    ended,
    running,
    says,
)


async def leaves_work(world: World, wake: Wake) -> Completion:
    world.left.append("more")
    return ended("there is more to do")


async def refuses(world: World, wake: Wake) -> NotBegun:
    return NotBegun(outcome=Retry(reason="500"))


async def timer(world: World) -> None:
    """A timer that wakes its agent while work is left."""
    if world.left:
        world.left.clear()
        await world.it.emit(pr=7)


async def no_more(world: World) -> None:
    """Nobody does anything."""


@dataclass(frozen=True, kw_only=True)
class Loop(Case):
    """Stopped by `guard` after `most` wakes. Time passes in `steps` of so many seconds."""

    guard: str
    most: int
    steps: tuple[int, float] = (1, HOUR - 1)
    each: Callable[[World], Awaitable[None]] = no_more


SAME: Final = says("not done yet")
HOPS: Final = 25
FIRST_HOUR: Final = 60

LOOPS: Final[Mapping[str, Loop]] = {
    "two agents wake each other": Loop(
        edges="in>a a>b b>a", does={"a": SAME, "b": SAME}, guard="loop", most=8
    ),
    "an agent wakes itself": Loop(edges="in>a a>a", does={"a": SAME}, guard="loop", most=5),
    "a ring of three": Loop(
        edges="in>a a>b b>c c>a", does={"a": SAME, "b": SAME, "c": SAME}, guard="loop", most=11
    ),
    "one of two counts": Loop(
        edges="in>a a>b b>a", does={"a": SAME, "b": says("try {n}")}, guard="hops", most=HOPS
    ),
    "one of two said something new for a while": Loop(
        edges="in>a a>b b>a",
        does={"a": SAME, "b": says("5 left", "4 left", "3 left", *["2 left"] * 30)},
        guard="loop",
        most=13,
    ),
    "two texts by turns": Loop(edges="in>a a>a", does={"a": says("yes", "no")}, guard="loop", most=8),
    "five texts by turns": Loop(edges="in>a a>a", does={"a": says(*"vwxyz")}, guard="loop", most=17),
    "a supervisor that always relaunches": Loop(
        edges="in>work work>lead lead>work",
        does={"work": says("stopped early"), "lead": says("{run} ended at 2026-11-30 10:03:{n:02}: again")},
        guard="loop",
        most=8,
    ),
    "a fan-out that meets again": Loop(
        edges="in>a a>b a>c b>a c>a", does={"a": SAME, "b": SAME, "c": SAME}, guard="loop", most=45
    ),
    "a fan-out that meets again, with counters": Loop(
        edges="in>a a>b a>c b>a c>a",
        does={"a": counts, "b": counts, "c": counts},
        guard="defaults.budget.runs_per_hour",
        most=FIRST_HOUR,
    ),
    "a counter in the result": Loop(edges="in>a a>a", does={"a": counts}, guard="hops", most=HOPS),
    "a counter in the text": Loop(
        edges="in>a a>b b>a", does={"a": says("{n}"), "b": says("{n}")}, guard="hops", most=HOPS
    ),
    "new words up to the budget of the chain": Loop(
        edges="in>a a>a",
        does={"a": counts},
        defaults="budget: {trace_runs: 10}",
        guard="budget",
        most=10,
    ),
    "a batch on the way": Loop(
        edges="in>a a>b b>a",
        does={"a": SAME, "b": SAME},
        then=BATCHED,
        steps=(12, MINUTE),
        guard="loop",
        most=8,
    ),
    "a batch on the way, with counters": Loop(
        edges="in>a a>b b>a",
        does={"a": counts, "b": counts},
        then=BATCHED,
        steps=(30, MINUTE),
        guard="hops",
        most=HOPS,
    ),
    "its own comment comes back": Loop(
        edges="in>a github>a", does={"a": comments("on it")}, guard="own_words", most=1
    ),
    "two agents answer each other's comments": Loop(
        edges="in>a github>a github>b",
        does={"a": comments("please fix"), "b": comments("fixed")},
        guard="loop",
        most=7,
    ),
    "comments that quote and grow": Loop(
        edges="in>a github>a github>b",
        does={"a": comments("please fix", quotes=True), "b": comments("fixed", quotes=True)},
        guard="hops",
        most=HOPS,
    ),
    "comments without a mark on one pull request": Loop(
        edges="in>a github>a",
        does={"a": comments("on it", marked=False, pr=7)},
        then=KEYED,
        guard="loop",
        most=50,
    ),
    "comments without a mark and without a key": Loop(
        edges="in>a github>a",
        does={"a": comments("on it", marked=False)},
        guard="defaults.budget.runs_per_hour",
        most=FIRST_HOUR,
    ),
    "agents without runs that answer each other": Loop(
        edges="in>a github>a github>b",
        does={
            "a": comments("please fix {n}", end=Delivered()),
            "b": comments("fixed {n}", end=Delivered()),
        },
        connector="mind",
        guard="hops",
        most=HOPS,
    ),
    "an agent that emits its next event": Loop(
        edges="in>a", does={"a": emits(pr="7")}, then=KEYED, guard="loop", most=50
    ),
    "two keys by turns": Loop(
        edges="in>a",
        does={"a": emits(pr="{odd}")},
        then=KEYED,
        defaults="limits: {runs_per_key: 10}",
        guard="loop",
        most=21,
    ),
    "a new key each time": Loop(
        edges="in>a",
        does={"a": emits(pr="{n}")},
        then=KEYED,
        guard="defaults.budget.runs_per_hour",
        most=FIRST_HOUR,
    ),
    "a timer": Loop(
        edges="in>a",
        does={"a": leaves_work},
        then=KEYED,
        steps=(58, MINUTE),
        each=timer,
        guard="loop",
        most=50,
    ),
    "runs that fail at once": Loop(
        edges="in>a a>a", does={"a": says("{n}", outcome=RunOutcome.FAILURE)}, guard="breaker", most=6
    ),
    "a storm of retries": Loop(edges="in>a", does={"a": refuses}, steps=(200, HOUR), guard="dead", most=8),
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
async def test_an_organization_that_loops_is_stopped_within_its_limit(loop: Loop, tmp_path: Path) -> None:
    async with running(loop, tmp_path) as world:
        await world.it.emit(pr=7)
        await world.quiet()
        times, seconds = loop.steps
        for _ in range(times):
            await loop.each(world)
            await world.quiet()
            await world.later(seconds)
        assert (loop.guard in world.guards(), world.woken) == (True, loop.most), world.guards()
