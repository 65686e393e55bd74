"""Long chains of real work are not taken for loops: nothing of them is held, and all of it is done."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from orgloop.plugin import Completion, Delivered, NotBegun, Retry, RunOutcome, Unavailable, Wake
from tests.runtime.organizations import (
    BATCHED,
    DAY,
    HOUR,
    KEYED,
    MINUTE,
    Case,
    World,
    comments,
    counts,
    ended,
    running,
    says,
)

Play = Callable[[World], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Chain(Case):
    """`play` is what people, timers and platforms do. All of it leads to `wakes`."""

    play: Play
    wakes: int


def comes(times: int, every: float, **payload: Any) -> Play:
    """The same event again and again, so many seconds apart. `{n}` is a counter."""

    async def play(world: World) -> None:
        for n in range(times):
            said = {name: value.format(n=n) for name, value in payload.items()}
            await world.it.emit("it is time", **said)
            await world.later(every)

    return play


def people_say(times: int, every: float, text: str, **payload: Any) -> Play:
    """People comment, so many seconds apart."""

    async def play(world: World) -> None:
        for n in range(times):
            await world.comment(text.format(n=n), **payload)
            await world.later(every)

    return play


def burst(count: int, hours: int = 0, **payload: str) -> Play:
    """Many events at once, then hours in which nothing comes."""

    async def play(world: World) -> None:
        for n in range(count):
            await world.it.emit(n, **{name: value.format(n=n) for name, value in payload.items()})
        await world.quiet()
        for _ in range(hours):
            await world.later(HOUR)

    return play


def fails(every: int, outcome: Any = None) -> Any:
    """Works each so many times, and fails in between."""

    async def does(world: World, wake: Wake) -> Any:
        if world.woken % every == 0:
            return ended(f"done {world.woken}")
        return ended("not this time", RunOutcome.FAILURE) if outcome is None else NotBegun(outcome=outcome)

    return does


def until_step(last: int, text: str = "{left} tests fail") -> Any:
    """Gets on with each wake, and wakes no other agent with its last one: it says so to people."""

    async def does(world: World, wake: Wake) -> Any:
        left = last - world.woken
        return ended(text.format(left=left)) if left > 0 else Delivered(detail="all tests pass")

    return does


def emits_until(last: int) -> Any:
    """Hands in its next piece of work as long as there is one."""

    async def does(world: World, wake: Wake) -> Completion:
        number = int(wake.event.payload["pr"]) + 1
        if number < last:
            await world.it.emit("next", pr=str(number))
        return ended("done")

    return does


def many_comments(count: int) -> Any:
    """One run that writes many comments side by side, each with the same words."""

    async def does(world: World, wake: Wake) -> Completion:
        for _ in range(count):
            await world.comment(f"please look\n{wake.marker}", "self")
        return ended("asked all of them")

    return does


async def relaunched_by_people(world: World) -> None:
    """A chain of some runs, again and again, each begun by a person."""
    for _ in range(10):
        await world.it.emit("again")
        await world.later(5 * MINUTE)


async def edits_one_comment(world: World) -> None:
    for n in range(30):
        await world.comment(f"draft {n}", edits="comment-7", pr=7)
        await world.later(1)
    await world.later(MINUTE)


async def batches_of_a_week(world: World) -> None:
    for _ in range(7):
        for _ in range(10):
            await world.comment("nothing new", pr=7)
        await world.later(MINUTE)
        await world.later(DAY)


SAME: Final = says("done")
STAGES: Final = "abcdefghijklmnopqrst"
LINE: Final = " ".join(["in>a", *(f"{one}>{next}" for one, next in itertools.pairwise(STAGES))])

CHAINS: Final[Mapping[str, Chain]] = {
    "a line of twenty stages that say the same": Chain(
        edges=LINE, does=dict.fromkeys(STAGES, SAME), play=comes(1, 0), wakes=20
    ),
    "the line again each day": Chain(
        edges=LINE, does=dict.fromkeys(STAGES, SAME), play=comes(3, DAY), wakes=60
    ),
    "a hundred comments of people on one pull request in a day": Chain(
        edges="github>a",
        does={"a": SAME},
        then=KEYED,
        play=people_say(100, 5 * MINUTE, "please fix", pr=7),
        wakes=100,
    ),
    "a review with the agent's answers in between": Chain(
        edges="github>a",
        does={"a": comments("fixed", pr=7)},
        then=KEYED,
        play=people_say(40, 5 * MINUTE, "not yet", pr=7),
        wakes=40,
    ),
    "two agents that people direct": Chain(
        edges="github>a a>b",
        does={"a": SAME, "b": SAME},
        then=KEYED.replace("pr:{{payload.pr}}", "all"),
        play=people_say(20, 5 * MINUTE, "go on"),
        wakes=40,
    ),
    "a supervisor that relaunches what gets on": Chain(
        edges="in>work work>lead lead>work",
        does={"work": until_step(23, "{left} of 23 left"), "lead": says("go on")},
        play=comes(1, 0),
        wakes=23,
    ),
    "an agent that goes on until all tests pass": Chain(
        edges="in>a a>a", does={"a": until_step(24)}, play=comes(1, 0), wakes=24
    ),
    "coder and reviewer with a new commit each time": Chain(
        edges="in>a a>b b>a",
        does={"a": counts, "b": until_step(24, "review {left}")},
        play=comes(1, 0),
        wakes=24,
    ),
    "a chain that people begin again": Chain(
        edges="in>a a>b b>c", does=dict.fromkeys("abc", SAME), play=relaunched_by_people, wakes=30
    ),
    "a schedule each night for four weeks": Chain(
        edges="in>a", does={"a": SAME}, play=comes(28, DAY), wakes=28
    ),
    "a schedule each hour for three days": Chain(
        edges="in>a", does={"a": SAME}, then=KEYED, play=comes(72, HOUR, pr="same"), wakes=72
    ),
    "a schedule every five minutes": Chain(
        edges="in>a", does={"a": SAME}, then=KEYED, play=comes(60, 5 * MINUTE, pr="same"), wakes=60
    ),
    "a fan-out to four agents": Chain(
        edges="in>a a>b a>c a>d a>e", does=dict.fromkeys("abcde", SAME), play=comes(5, HOUR), wakes=25
    ),
    "twenty comments of one run side by side": Chain(
        edges="in>a github>b", does={"a": many_comments(20), "b": SAME}, play=comes(1, 0), wakes=21
    ),
    "a fan-out that meets once": Chain(
        edges="in>a a>b a>c a>d b>e c>e d>e", does=dict.fromkeys("abcde", SAME), play=comes(1, 0), wakes=7
    ),
    "a burst that is more than an hour's budget": Chain(
        edges="in>a", does={"a": SAME}, play=burst(130, 3), wakes=130
    ),
    "fifty pull requests at once": Chain(
        edges="in>a", does={"a": SAME}, then=KEYED, play=burst(50, pr="{n}"), wakes=50
    ),
    "an actor that cannot be reached for hours": Chain(
        edges="in>a",
        does={"a": fails(4, Unavailable(reason="away"))},
        play=burst(5, 16),
        wakes=20,
    ),
    "a target that answers 500 three times": Chain(
        edges="in>a",
        does={"a": fails(4, Retry(reason="500"))},
        play=burst(1, 4),
        wakes=4,
    ),
    "four failures in a row, again and again": Chain(
        edges="in>a", does={"a": fails(5)}, play=comes(30, 1), wakes=30
    ),
    "a batch of comments each day for a week": Chain(
        edges="github>a", does={"a": SAME}, then=BATCHED, play=batches_of_a_week, wakes=7
    ),
    "thirty edits of one comment": Chain(
        edges="github>a", does={"a": SAME}, then=BATCHED, play=edits_one_comment, wakes=1
    ),
    "agents without runs that people ask": Chain(
        edges="github>a",
        does={"a": comments("here it is", end=Delivered())},
        connector="mind",
        play=people_say(40, MINUTE, "where is it"),
        wakes=40,
    ),
    "pieces of work that an agent emits one by one": Chain(
        edges="in>a a>b", does={"a": emits_until(20), "b": SAME}, play=comes(1, 0, pr="0"), wakes=40
    ),
    "a reviewer with two verdicts": Chain(
        edges="in>a a>b b>a",
        does={"a": until_step(25, "pushed commit {left}"), "b": says("changes requested", "not yet")},
        play=comes(1, 0),
        wakes=25,
    ),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
async def test_a_long_chain_of_work_is_not_touched(chain: Chain, tmp_path: Path) -> None:
    async with running(chain, tmp_path) as world:
        await chain.play(world)
        await world.quiet()
        assert (world.guards() - {"own_words", "superseded"}, world.woken) == (set(), chain.wakes)
        assert not world.it.rows(states=("pending", "held", "dead"))
