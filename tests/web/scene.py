"""A daemon in the middle of its work: an event, an agent that goes on with it, a notification that failed."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orgloop.config.model import AccountSpec, ActorSpec, Organization
from orgloop.connectors.process import ProcessSettings
from orgloop.connectors.process import connector as process
from orgloop.core.deliveries.transition import Rejected
from orgloop.core.events.match import When
from orgloop.journal.model import Query
from orgloop.runtime.engine import Runtime
from tests.web.daemon import Daemon, FakeActor, daemon, route, until

PAYLOAD = {"type": "deploy.finished", "service": "billing", "ok": True}


@dataclass(kw_only=True)
class Scene:
    """The daemon and what is in it. `gate` is what the agent waits for: `go_on` opens it."""

    acme: Daemon
    gate: Path
    event_id: str
    trace_id: str
    run_id: str
    started: str
    dead: str

    def go_on(self) -> None:
        """Let the agent end."""
        os.close(os.open(self.gate, os.O_WRONLY))

    async def ended(self) -> None:
        """Return when the agent has ended and that is written down."""
        await until(lambda: not self.acme.reader.runs(Query(), open_only=True), "the run's end")


def at_work(organization: Organization, gate: Path) -> Organization:
    """A route to an agent that waits for its gate, and one to an actor that refuses."""
    script = 'echo "Looking at the deploy"; cat "$1"; echo "All is well"'
    assert process.actor is not None
    agent = ActorSpec(
        id="reviewer",
        connector="process",
        kind=process.actor,
        has_runs=True,
        settings=ProcessSettings.model_validate(
            {
                "command": ["sh", "-c", script, "sh", str(gate)],
                "prompt": "none",
                "cwd": str(organization.root),
                "timeout": "60s",
            }
        ),
        fingerprint="reviewer",
        accounts=("work",),
    )
    sop = organization.root / "sops" / "review.md"
    sop.parent.mkdir(exist_ok=True)
    sop.write_text("Look at the deploy.")
    everything = When(source="hooks", events=("deploy.finished",))
    routes = [
        route("review-deploy", actor="reviewer", when=everything, prompt_file=sop, description="Watch it"),
        route("notify", when=everything),
    ]
    return replace(
        organization,
        actors={**organization.actors, "reviewer": agent},
        accounts={"work": AccountSpec(name="work")},
        routes=routes,
    )


@asynccontextmanager
async def scene(home: Path) -> AsyncGenerator[Scene]:
    """Set it up, and let the agent end in the end."""
    gate = home.parent / "gate"
    os.mkfifo(gate)
    (home / "runs").mkdir()

    def refusing(runtime: Runtime) -> None:
        actor = runtime.wiring.actors["target"].actor
        assert isinstance(actor, FakeActor)
        actor.outcomes.append(Rejected(reason="404 Not Found"))

    async with daemon(home, lambda organization: at_work(organization, gate), prepare=refusing) as acme:
        event_id = await acme.webhook(PAYLOAD)
        await until(lambda: sorted(acme.states()) == ["dead", "started"], "work in both states")
        rows = {row.state.value: row for row in acme.reader.deliveries(Query())}
        (run,) = acme.reader.runs(Query())
        live = acme.runtime.runs.live
        await until(lambda: run.id in live and live[run.id].last_line, "the agent's first words")
        found = Scene(
            acme=acme,
            gate=gate,
            event_id=event_id,
            trace_id=run.trace_id,
            run_id=run.id,
            started=rows["started"].id,
            dead=rows["dead"].id,
        )
        try:
            yield found
        finally:
            # What waits behind this run must not begin now.
            await acme.runtime.apply(replace(acme.runtime.organization, routes=()))
            if acme.reader.runs(Query(), open_only=True):
                await acme.runtime.runs.stop(run.id)
            await found.ended()
