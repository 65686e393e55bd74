"""Event to no-op actor in one process, against a queue and a task for each event with nothing on disk."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import orjson

from bench.figure import Figure, median
from orgloop.config.load import load_or_raise
from orgloop.journal.protocols import Reader
from orgloop.journal.sqlite import memory_journal, open_journal, open_reader
from orgloop.plugin import ActorKind, Connector, Context, Delivered, DeliverOutcome, Draft, Settings, Wake
from orgloop.plugin.registry import CONNECTORS, Registry
from orgloop.project.home import Home
from orgloop.runtime.engine import Runtime
from orgloop.runtime.support.clock import SystemClock

CLIENTS = 64
HEAD = """
metadata: {name: bench}
sources:
  - {id: hook, connector: webhook, config: {}}
actors:
  - {id: noop, connector: noop}
routes:
"""
ROUTE = """
  - name: route-{number}
    when: {{source: hook, events: [bench], filter: {{payload.team: "{number}"}}}}
    then: {{actor: noop}}
"""
DRAFT = Draft(
    type="resource.changed",
    provenance={"platform": "webhook", "platform_event": "bench"},
    payload={"type": "bench", "team": "0", "text": "x" * 960},
)


class Noop:
    """Takes every wake at once; counts them."""

    def __init__(self) -> None:
        self.expected = 0
        self.done = asyncio.Event()

    async def open(self, ctx: Context) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        """Done."""
        self.expected -= 1
        if not self.expected:
            self.done.set()
        return Delivered(detail="")

    def expect(self, count: int) -> None:
        """So many are to come."""
        self.expected = count
        self.done.clear()


class Queue:
    """The baseline: an event is written as JSON, queued, read, and handed to the actor in a task."""

    def __init__(self, actor: Noop) -> None:
        self._actor = actor

    async def rate(self, count: int) -> float:
        """Events in a second."""
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        document = {"provenance": DRAFT.provenance, "payload": DRAFT.payload}
        tasks: set[asyncio.Task[None]] = set()
        began = time.perf_counter()
        for _ in range(count):
            await queue.put(orjson.dumps(document))
            task = asyncio.create_task(self._wake(orjson.loads(await queue.get())))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if len(tasks) >= CLIENTS:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return count / (time.perf_counter() - began)

    async def _wake(self, document: dict[str, object]) -> None:
        assert document


@asynccontextmanager
async def engine(routes: int, *, on_disk: bool) -> AsyncIterator[tuple[Runtime, Noop]]:
    """A runtime with so many routes, of which the first matches."""
    actor = Noop()
    kind = ActorKind(settings=Settings, open=lambda _id, _settings: actor)
    points = {
        **Registry.installed().points,
        (CONNECTORS, "noop"): Connector(name="noop", title="", actor=kind),
    }
    with tempfile.TemporaryDirectory(prefix="orgloop-bench-") as place:
        file = Path(place) / "orgloop.yaml"
        file.write_text(HEAD + "".join(ROUTE.format(number=number) for number in range(routes)))
        clock = SystemClock()
        home = Home(Path(place) / "home")
        home.ensure()
        organization = load_or_raise(file, Registry(points), {})
        if on_disk:
            journal = await open_journal(home.path, project="bench", clock=clock.now)
            read: Callable[[], Reader] = partial(open_reader, home.path)
        else:
            journal = await memory_journal(project="bench", clock=clock.now)
            read = journal.reader
        runtime = Runtime(journal, home, organization, read, clock=clock)
        await runtime.start()
        try:
            yield runtime, actor
        finally:
            await runtime.stop()


async def rate(runtime: Runtime, actor: Noop, count: int) -> float:
    """Events in a second, from intake to the actor."""
    actor.expect(count)
    numbers = iter(range(count))

    async def client() -> None:
        for _ in numbers:
            await runtime.intake.take("hook", [DRAFT])

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await asyncio.wait_for(actor.done.wait(), 60)
    return count / (time.perf_counter() - began)


def measure(*, short: bool) -> Sequence[Figure]:
    """Events in a second: journal in memory and on disk; one route and ten thousand."""
    return asyncio.run(_measure(*((1, 200, 50) if short else (5, 8_000, 10_000))))


async def _measure(rounds: int, count: int, routes: int) -> Sequence[Figure]:
    async with (
        engine(1, on_disk=False) as memory,
        engine(1, on_disk=True) as disk,
        engine(routes, on_disk=True) as many,
    ):
        rates: dict[str, list[float]] = {"memory": [], "disk": [], "many": [], "queue": []}
        for _ in range(rounds):
            rates["memory"].append(await rate(*memory, count))
            rates["disk"].append(await rate(*disk, count))
            rates["many"].append(await rate(*many, count))
            rates["queue"].append(await Queue(Noop()).rate(count))
    middle = {name: median(found) for name, found in rates.items()}
    return [
        _figure("journal in memory, part of bare", middle["memory"], middle["queue"]),
        _figure("journal on disk, part of bare", middle["disk"], middle["queue"]),
        Figure(
            name=f"time of an event, {routes:,} routes / 1",
            value=median([one / other for one, other in zip(rates["disk"], rates["many"], strict=True)]),
            most=1.2,
            detail=f"{middle['many']:,.0f}/s, {middle['disk']:,.0f}/s",
        ),
    ]


def _figure(name: str, ours: float, bare: float) -> Figure:
    return Figure(name=name, value=ours / bare, detail=f"{ours:,.0f}/s of {bare:,.0f}/s")
