"""Starting a program while somebody may cancel it."""

from __future__ import annotations

import asyncio

import pytest

from orgloop.connectors.agents import program
from orgloop.plugin.starting import started


async def test_what_was_started_is_handed_over() -> None:
    async def start() -> str:
        return "process"

    async def end(_: str) -> None:
        raise AssertionError("nobody cancelled it")

    assert await started(start(), end) == "process"


async def test_a_start_that_fails_says_so() -> None:
    async def start() -> str:
        raise FileNotFoundError("no such program")

    async def end(_: str) -> None:
        raise AssertionError("there is nothing to end")

    with pytest.raises(FileNotFoundError, match="no such program"):
        await started(start(), end)


async def test_a_start_is_not_cancelled_half_way_but_ended_when_it_is_done() -> None:
    begun, go, ended = asyncio.Event(), asyncio.Event(), []

    async def start() -> str:
        begun.set()
        await go.wait()
        return "process"

    async def end(process: str) -> None:
        ended.append(process)

    task = asyncio.create_task(started(start(), end))
    await begun.wait()
    task.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["process"]


@pytest.mark.parametrize("turns", range(6))
async def test_a_program_that_is_asked_and_cancelled_as_it_starts_is_not_waited_for(turns: int) -> None:
    argv = ["/bin/sh", "-c", "sleep 300 & wait"]
    task = asyncio.create_task(program.ask(argv, {"PATH": "/usr/bin:/bin"}, "/"))
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=20)
    assert done
