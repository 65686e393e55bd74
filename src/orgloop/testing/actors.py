"""Tests of actors: work is done, and once, wherever a daemon is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from orgloop.plugin import (
    Completion,
    Deliverer,
    ExitInfo,
    NotBegun,
    Progress,
    Remote,
    RemoteRequest,
    RunSpec,
    Supervised,
)
from orgloop.testing.description import DEATHS, Described, Life
from orgloop.testing.engine import PROBE, Bench
from orgloop.testing.other_side import OtherSide

LINES: Final = (
    *("", " ", "{", "{}", "[]", "null", "7", "\x00", "\ud800", "\x1b[31mred", "x" * 1_000_000),
    *('{"type": null}', '{"type": {}, "message": [], "result": 7}', '{"type": "result"}', "[" * 100_000),
)
"""Lines that a program may write."""


class ActorTests(Described):
    """What an actor keeps, whichever way it works."""

    def test_a_wake_does_its_work_once_and_is_finished(self, tmp_path: Path) -> None:
        if self._describes("done"):
            asyncio.run(self._worked(tmp_path, None))

    def test_work_that_a_crash_interrupts_anywhere_is_done(self, tmp_path: Path) -> None:
        if not self._describes("done"):
            return
        places = [tmp_path / str(life).replace(" ", "-") for life in DEATHS]
        for place in places:
            place.mkdir()

        async def lives() -> None:
            async with asyncio.TaskGroup() as all_of_them:
                for place, life in zip(places, DEATHS, strict=True):
                    all_of_them.create_task(self._worked(place, life))

        asyncio.run(lives())

    def test_a_run_s_functions_are_pure_and_take_whatever_a_program_writes(self, tmp_path: Path) -> None:
        config = self.actor_config(tmp_path)
        actor = (
            asyncio.run(self._opened(self.connector.actor, config, OtherSide.answering()))
            if config is not None
            else None
        )
        if isinstance(actor, Supervised):
            specs = [self._start(actor, tmp_path) for _ in range(2)]
            assert specs[0] == specs[1], "`start` must say the same twice"
            assert specs[0].argv, "`argv` is empty"
            for line in LINES:
                assert isinstance(actor.read(line), Progress | None), f"read({line[:40]!r})"
                for status, stopped in ((0, None), (1, None), (143, "total"), (None, "lost"), (127, None)):
                    exit = ExitInfo(status=status, stopped=stopped, stdout=line, stderr=line, duration_s=1.0)
                    assert isinstance(actor.finish(exit), Completion | NotBegun), f"finish({exit!r:.200})"
        if isinstance(actor, Remote) and not isinstance(actor, Deliverer):
            requests = [actor.request(self._wake(tmp_path, config)) for _ in range(2)]
            assert requests[0] == requests[1], "`request` must say the same twice"
            assert isinstance(requests[0], RemoteRequest)

    async def _worked(self, place: Path, life: Life | None) -> None:
        """One wake through the engine, which is killed once on the way, and started again."""
        bench = Bench(root=place, connector=self.connector, environ=self.environ)
        config = self.actor_config(place)
        assert config is not None
        then: dict[str, Any] = {"actor": "actor", "config": {**self.route_config}}
        then["delivery"] = {"retry": {"initial_delay": "100ms", "backoff": "fixed"}}
        bench.write(
            {
                "sources": [{"id": "in", "connector": PROBE.name}],
                "actors": [{"id": "actor", "connector": self.connector.name, "config": {**config}}],
                "routes": [
                    {"name": "work", "when": {"source": "in", "events": ["*"], "trust": "any"}, "then": then}
                ],
            }
        )
        before = self.done(place)
        async with bench.running(life.commit if life else "", after=life is not None and life.after) as it:
            if await it.put("fact", {**self.payload}):
                await it.finished("work", 1)
        async with bench.running() as it:
            assert await it.put("fact", {**self.payload}), "the sender comes again"
            await it.finished("work", 1)
            [row] = it.deliveries("work")
            found = f"{row.state} {row.reason} {row.detail}".rstrip()
        where = f"a daemon that was killed {life}: " if life else ""
        assert row.state == "delivered", f"{where}the delivery is {found}"
        did = self.done(place) - before
        assert did >= 1, f"{where}the work was not done"
        assert did == 1 or not self.once, f"{where}the work was done {did} times"

    def _start(self, actor: Supervised, place: Path) -> RunSpec:
        return actor.start(self._wake(place, None), None)
