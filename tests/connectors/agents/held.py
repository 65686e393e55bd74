"""A run of an actor, held by the real runner, as the engine would have it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from orgloop import runner
from orgloop.core.runs.environment import child_environment
from orgloop.plugin import (
    Completion,
    ExitInfo,
    NotBegun,
    Phase,
    Progress,
    RunOutcome,
    Supervised,
    Wake,
    WakeSession,
)
from tests.connectors.doubles import wake
from tests.runner.run_directory import RunDirectory
from tests.runner.waiting import until

PROMPT = "prompt.md"

CLI_SECONDS = 90.0
"""In which a real CLI has ended, on a busy machine."""


def how(end: Completion) -> tuple[Phase, RunOutcome, str]:
    """How a run ended."""
    return end.phase, end.outcome, end.reason


class Held:
    """One run: started by the actor's word, watched, judged."""

    def __init__(
        self, actor: Supervised, directory: Path, environment: Mapping[str, str], wake: Wake
    ) -> None:
        self.actor = actor
        self.wake = wake
        self.spec = actor.start(wake, wake.session)
        self.files = RunDirectory(directory)
        self.files.write(PROMPT, wake.prompt.encode())
        own = {
            "ORGLOOP_RUN_ID": wake.run_id or "",
            "ORGLOOP_EVENT_ID": wake.event.id,
            "ORGLOOP_EVENT_TYPE": wake.event.type,
            "ORGLOOP_PROMPT_FILE": str(directory / PROMPT),
        }
        limits = asdict(self.spec.limits)
        self.files.prepare(
            self.spec.argv,
            env=child_environment(environment, self.spec.env_pass, {**self.spec.env, **own}),
            cwd=Path(self.spec.cwd),
            stdin=self.spec.stdin.encode(),
            grace_s=limits.pop("grace_s"),
            stop_signal=limits.pop("stop_signal"),
            limits=limits,
            turns=asdict(self.spec.turns) if self.spec.turns is not None else None,
        )
        self.files.spawn()

    def stop(self) -> None:
        """End it softly, as `orgloop runs stop` does."""
        until(self.files.there(runner.CHILD), "the program runs")
        self.files.write(runner.STOP, b"")
        assert self.files.runner is not None
        self.files.runner.terminate()

    async def line(self, fits: Callable[[Progress], bool]) -> Progress:
        """The first line of output that the actor reads so."""

        def found() -> Progress | None:
            lines = self.files.read(runner.STDOUT).decode().split("\n")
            read = (self.actor.read(line) for line in lines[:-1])
            return next((one for one in read if one is not None and fits(one)), None)

        return await asyncio.to_thread(until, found, "a line that the test waits for")

    async def exit(self) -> ExitInfo:
        """How the program ended."""
        record = await asyncio.to_thread(self.files.end, CLI_SECONDS)
        assert record["not_started"] is None, record
        session, stdout = self.wake.session, self.files.read(runner.STDOUT)
        place = record["result"]
        return ExitInfo(
            status=record["status"],
            stopped=record["stopped"],
            stdout=stdout.decode("utf-8", "replace"),
            result=stdout[place[0] : sum(place)].decode("utf-8", "replace") if place else None,
            ended_at=round(record["ended_at"] * 1000),
            stderr=self.files.read(runner.STDERR).decode(),
            duration_s=record["duration_s"],
            session_id=self.spec.session_id,
            resumed=session is not None and session.id is not None,
        )

    async def finish(self) -> Completion | NotBegun:
        """What the actor makes of its end."""
        return self.actor.finish(await self.exit())

    async def complete(self) -> Completion:
        """Its completion; fails if it did not begin."""
        end = await self.finish()
        assert isinstance(end, Completion), end
        return end


class Bench:
    """Starts runs in one place, each with a directory of its own; what a failed test leaves is ended."""

    def __init__(self, place: Path, environment: Mapping[str, str]) -> None:
        self.place = place
        self.environment = dict(environment)
        self.runs: list[Held] = []

    def run(self, actor: Supervised, prompt: str, *, session: WakeSession | None = None) -> Held:
        number = len(self.runs) + 1
        directory = self.place / f"run-{number}"
        file = str(directory / PROMPT)
        woken = wake(prompt=prompt, session=session, run_id=f"run_{number:016x}", prompt_file=file)
        held = Held(actor, directory, self.environment, woken)
        self.runs.append(held)
        return held

    def close(self) -> None:
        for held in self.runs:
            held.files.clean()
