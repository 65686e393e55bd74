"""A home with a past: a journal that a daemon could have left, written without one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from orgloop.config.load import load_or_raise
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Hold, HoldReason, NotStarted, Rejected, Transition, Unavailable
from orgloop.core.text.units import DAY, HOUR, MINUTE
from orgloop.journal.model import (
    Acceptance,
    AppliedRow,
    ClaimWant,
    DaemonRow,
    NewDelivery,
    NewEvent,
    RunBegun,
)
from orgloop.journal.sqlite import SqliteJournal, open_journal
from orgloop.plugin.registry import Registry
from tests.journal.build import run_end, run_start, settle

PROJECT = {
    "orgloop.yaml": """\
metadata: {name: acme}
sources:
  - {id: github, connector: webhook, config: {secret: "${HOOK_SECRET}"}}
actors:
  - {id: engineer, connector: process, config: {command: [sh, -c, "cat; echo done"]}}
  - {id: notify, connector: webhook, config: {url: "${NOTIFY_URL}", auth: {type: bearer, token: s3cret}}}
transforms:
  - {name: only-new, type: dedup, config: {key: [payload.number], window: 1h}}
routes:
  - name: pr-review
    when: {source: github, events: [pull_request.review_submitted]}
    transforms: [only-new]
    then: {actor: engineer}
    with: {prompt_file: ./sops/review.md}
  - {name: tell, when: {source: engineer, events: [actor.stopped]}, then: {actor: notify}}
loggers:
  - {name: quiet-file, type: file, config: {path: "./log.jsonl"}}
""",
    "sops/review.md": "# Read the review\n\nThen do what it asks.\n",
    ".env": "HOOK_SECRET=hush\nNOTIFY_URL=http://127.0.0.1:9/notify\n",
}
"""A project that is sound."""


def write_project(root: Path) -> None:
    """Write it."""
    for name, content in PROJECT.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


ACTORS = {"pr-review": "engineer", "tell": "notify"}


@dataclass
class Story:
    """Writes what happened. Times are ms ago, counted from `now`; ids count up."""

    journal: SqliteJournal
    home: Path
    now: int = field(default_factory=lambda: int(time.time() * 1000))
    count: int = 0

    async def apply(self, root: Path, *, ago: int = DAY) -> None:
        """The project in `root` was applied as its files are now."""
        found = load_or_raise(root, Registry.installed(), {}, self.home)
        row = AppliedRow(at=self.now - ago, project=found.name, root=str(root), snapshot=found.snapshot)
        routes = {route.name: route.actor for route in found.routes}
        actors = {id: actor.has_runs for id, actor in found.actors.items()}
        await self.journal.apply(row, routes, self.now - ago, actors=actors)

    async def life(self, began: int, ended: int | None, *, seen: int | None = None) -> None:
        """A daemon that lived from then to then, `ended` None: it died, and was last `seen` then."""
        last = ended if ended is not None else seen if seen is not None else began
        await self.journal.beat(
            DaemonRow(
                started_at=self.now - began,
                last_seen=self.now - last,
                ended_at=self.now - ended if ended is not None else None,
                pid=1,
                port=4800,
                version="0.1.0",
            )
        )

    async def event(
        self,
        *routes: str,
        ago: int,
        source: str = "github",
        name: str = "pull_request.review_submitted",
        payload: Mapping[str, Any] | None = None,
        state: State = State.PENDING,
        reason: str = "",
        detail: str = "",
        steps: Sequence[Mapping[str, Any]] = (),
        key: str | None = None,
        once: Sequence[tuple[str, int]] = (),
    ) -> tuple[str, list[str]]:
        """An event with its deliveries: their ids."""
        self.count += 1
        number = f"{self.count:016x}"
        deliveries = [
            NewDelivery(
                id=f"dlv_{place}{number[1:]}",
                route=route,
                actor=ACTORS[route],
                runs=ACTORS[route] == "engineer",
                state=state,
                reason=reason,
                detail=detail,
                steps=steps,
                key=key,
                once=once,
            )
            for place, route in enumerate(routes)
        ]
        document = {
            "id": f"evt_{number}",
            "timestamp": "2026-01-05T08:00:00.000Z",
            "source": source,
            "type": "resource.changed",
            "provenance": {"platform": source, "platform_event": name, "author": "mona"},
            "payload": payload or {"number": self.count},
            "trace_id": f"trc_{number}",
            "parents": [],
            "hops": 0,
        }
        event = NewEvent(
            id=f"evt_{number}",
            source=source,
            type="resource.changed",
            platform_event=name,
            trace_id=f"trc_{number}",
            hops=0,
            document=orjson.dumps(document),
            deliveries=deliveries,
        )
        await self.journal.accept(Acceptance(source=source, at=self.now - ago, events=[event]))
        return f"evt_{number}", [one.id for one in deliveries]

    async def settled(self, transition: Transition, *, ago: int, route: str = "tell", **more: Any) -> str:
        """A delivery that was tried, and ended in this way. Its id."""
        _, (id,) = await self.event(route, ago=ago)
        await settle(self.journal, await self.claimed(route, ago), transition, at=self.now - ago, **more)
        return id

    async def held(self, reason: HoldReason, *, ago: int, detail: str = "", route: str = "pr-review") -> str:
        """A held delivery. Its id."""
        if reason is HoldReason.UNTRUSTED:
            guard = {"name": reason.value, "result": "hold", "reason": detail}
            _, (id,) = await self.event(
                route, ago=ago, state=State.HELD, reason=reason, detail=detail, steps=[guard]
            )
            return id
        return await self.settled(Hold(reason=reason, detail=detail), ago=ago, route=route)

    async def dead(self, detail: str, *, ago: int, route: str = "tell") -> str:
        """A dead delivery. Its id."""
        return await self.settled(Rejected(reason=detail), ago=ago, route=route)

    async def paused(self, reason: str, *, ago: int) -> None:
        """The actor `notify` that does not answer."""
        await self.settled(Unavailable(reason=reason), ago=ago, pause_until=self.now + MINUTE)

    async def run(
        self,
        *,
        began: int,
        lasted: int | None = None,
        says: str = "",
        line: str = "",
        session: tuple[str, str] | None = None,
        spec: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """A run of `engineer` that began then; it goes on unless it `lasted` so long. Its id.

        `session` is its session key and the session's id.
        """
        _, (delivery,) = await self.event("pr-review", ago=began, key=session[0] if session else None)
        wake = await self.claimed("pr-review", began)
        id = f"run_{delivery[4:]}"
        directory = self.home / "runs" / id
        directory.mkdir(parents=True)
        start = run_start(wake, id, at=self.now - began, session=session)
        start = replace(start, run_dir=str(directory), spec={**start.spec, **(spec or {})})
        assert await self.journal.start_run(start)
        if line:
            await self.journal.note_run(id, last_line=line, offset=0, at=self.now - began)
        if lasted is not None:
            end = run_end(wake, id, at=self.now - began + lasted, text=says, **more)
            assert await self.journal.end_run(end)
        return id

    async def probing(self, times: int, why: str) -> None:
        """A delivery whose agent begins and then has done nothing, so many times."""
        event, _ = await self.event("pr-review", ago=HOUR)
        trace = f"trc_{event[4:]}"
        for number in range(times):
            ago = HOUR - number * MINUTE
            wake, id = await self.claimed("pr-review", ago), f"run_{number:x}{event[5:]}"
            document = {"payload": {"run_id": id}, "provenance": {"platform_event": "session.started"}}
            said = NewEvent(
                id=f"evt_a{number:x}{event[6:]}",
                source="engineer",
                type="resource.changed",
                platform_event="session.started",
                trace_id=trace,
                hops=1,
                document=orjson.dumps(document),
                deliveries=[],
            )
            follow_up = Acceptance(source="engineer", at=self.now - ago, events=[said])
            assert await self.journal.start_run(run_start(wake, id, at=self.now - ago))
            begun = RunBegun(run_id=id, at=self.now - ago, follow_up=follow_up)
            assert await self.journal.run_begun(begun)
            transition = NotStarted(outcome=Unavailable(reason=why))
            end = run_end(
                wake, id, at=self.now - ago, transition=transition, outcome="", reason="not_started", text=why
            )
            assert await self.journal.end_run(end)

    async def claimed(self, route: str, ago: int) -> Any:
        """The next delivery of this route, taken for a try."""
        (wake,) = (await self.journal.claim([ClaimWant(actor=ACTORS[route], slots=1)], self.now - ago)).wakes
        return wake


def tell(home: Path, write: Callable[[Story], Awaitable[None]]) -> None:
    """Write a past into this home."""

    async def run() -> None:
        journal = await open_journal(home, project="acme", clock=lambda: 0)
        try:
            await write(Story(journal=journal, home=home))
        finally:
            await journal.close()

    asyncio.run(run())


async def a_few(story: Story, root: Path) -> None:
    """One of each: an event that woke nobody, a run that ended, work that is held, dead, pending."""
    await story.apply(root)
    await story.life(9 * HOUR, 3 * HOUR)
    await story.event(ago=6 * HOUR, name="ping")
    await story.run(
        began=5 * HOUR, lasted=MINUTE, says="Fixed it.", line="Fixing", cost_usd=0.25, exit_status=0
    )
    await story.held(HoldReason.UNTRUSTED, ago=4 * HOUR, detail="the author mallory is not of the team")
    await story.dead("404 Not Found", ago=3 * HOUR)
    await story.event("tell", ago=2 * HOUR, key="k")


async def much(story: Story, root: Path) -> None:
    """A night in which nearly everything happened to the project in `root`."""
    await story.apply(root)
    await story.life(9 * HOUR, None, seen=8 * HOUR)
    await story.life(7 * HOUR, None, seen=0)
    for number in range(12):
        await story.run(
            began=(11 - number) * HOUR // 2 + HOUR,
            lasted=4 * MINUTE + number * 1700,
            says=f"Fixed the parser of chapter {number}; every test passes.",
            cost_usd=0.31 + number / 50,
        )
    for number in range(3):
        await story.run(
            began=4 * HOUR - number * MINUTE,
            lasted=900,
            outcome="failure",
            reason="exit_code_1",
            says="Traceback (most recent call last): no such file or directory: chapter.md",
        )
    for number in range(41):
        await story.held(
            HoldReason.UNTRUSTED, ago=3 * HOUR + number, detail="the author mallory is not of the team"
        )
    await story.held(HoldReason.NO_SOP, ago=HOUR, detail="sops/review.md cannot be read")
    for _ in range(2):
        await story.dead("404 Not Found: no such channel", ago=2 * HOUR)
    await story.run(began=50 * MINUTE, line="Reading the tests of the parser")
    await story.paused("connection refused", ago=40 * MINUTE)
    for number in range(3):
        await story.event("tell", ago=30 * MINUTE - number)
