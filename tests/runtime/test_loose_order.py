"""`order: none`: nothing waits behind a delivery that waits for a retry; runs share a session one by one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from orgloop.operations.views.waits import Waits
from orgloop.plugin import Delivered, DeliverOutcome, Retry, RunSpec, Wake, WakeSession
from tests.runtime.engine import engine, until
from tests.runtime.fakes import Stage


def project(connector: str, order: str = "none") -> str:
    delivery = f"{{order: {order}, retry: {{initial_delay: 1h, max_delay: 1h}}}}"
    then = f"{{actor: one, config: {{session_key: k}}, delivery: {delivery}}}"
    return f"""
sources: [{{id: in, connector: receiver}}]
actors: [{{id: one, connector: {connector}}}]
routes: [{{name: all, when: {{source: in, events: ["*"]}}, then: {then}}}]
"""


async def test_others_of_its_key_overtake_one_that_is_tried_again(tmp_path: Path) -> None:
    answered = asyncio.Event()

    async def answer(wake: Wake) -> DeliverOutcome:
        if wake.event.payload["n"] == 0:
            return Retry(reason="500")
        await answered.wait()
        return Delivered()

    stage = Stage(answers={"one": answer})
    async with engine(tmp_path, project("taker"), stage) as it:
        await it.emit(0)
        await until(lambda: it.transitions() == ["retry"], "the first one failed")
        for n in (1, 2):
            await it.emit(n)
        await it.settled("pending", "running", "running")
        assert {wake.session.key for wake in stage.wakes["one"] if wake.session} == {"k"}
        answered.set()
        await it.settled("pending", "delivered", "delivered")
        # With order again, what waits comes in order again.
        await it.apply(project("taker", "strict"))
        await it.pass_time(3_600)
        await it.settled("pending", "delivered", "delivered")


async def test_runs_of_one_session_go_on_one_at_a_time(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def program(wake: Wake, session: WakeSession | None) -> RunSpec:
        waits = f"while [ ! -e {gate} ]; do sleep 0.01; done"
        return RunSpec(argv=["sh", "-c", waits], cwd="/")

    async with engine(tmp_path, project("agent"), Stage(programs={"one": program})) as it:
        for n in range(3):
            await it.emit(n)
        rows = await it.settled("started", "pending", "pending")
        await until(it.reader.waits, "the key is told to be full")
        why = Waits(it.reader, it.clock.now(), lambda: True).why(rows[2])
        assert "One run at a time per session key, and another run of k goes on." in why
        gate.touch()
        await it.delivered(3)
