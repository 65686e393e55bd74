"""Rows of the journal in a second, against the same rows written with nothing around them."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from bench.figure import Figure, median
from orgloop.core.deliveries.delivery import DeliveryPolicy, State, move
from orgloop.core.deliveries.transition import Delivered
from orgloop.journal.model import Acceptance, ClaimWant, NewDelivery, NewEvent, Settlement, Try
from orgloop.journal.sqlite import SqliteJournal, open_journal, statements
from orgloop.journal.sqlite.connection import file_place, open_writing
from orgloop.journal.sqlite.migrate import migrate

CLIENTS: Final = 64
DOCUMENT: Final = b'{"payload": "' + b"x" * 1_000 + b'"}'

ACCEPT: Final = statements.load("accept.sql")
SETTLED: Final = (
    "UPDATE deliveries SET state = 'delivered', attempts = 1, head = 0 WHERE id = ? AND token = 1"
)
CLAIM: Final = statements.load("claim.sql")
MOVES: Final = statements.load("moves.sql")


def acceptance(number: int) -> Acceptance:
    delivery = NewDelivery(
        id=f"dlv_{number:016x}", route="route", actor="actor", runs=False, state=State.PENDING
    )
    event = NewEvent(
        id=f"evt_{number:016x}",
        source="source",
        type="resource.changed",
        platform_event="push",
        trace_id=f"trc_{number:016x}",
        hops=0,
        document=DOCUMENT,
        deliveries=[delivery],
    )
    return Acceptance(source="source", at=1_000 + number, events=[event])


@asynccontextmanager
async def journal(home: Path) -> AsyncGenerator[SqliteJournal]:
    opened = await open_journal(home, project="bench", clock=lambda: 0)
    try:
        yield opened
    finally:
        await opened.close()


async def accept_all(opened: SqliteJournal, events: int) -> float:
    """Seconds until CLIENTS clients, each waiting for its answer, have sent `events` events."""
    numbers = iter(range(events))

    async def client() -> None:
        for number in numbers:
            await opened.accept(acceptance(number))

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return time.perf_counter() - began


async def work_all(opened: SqliteJournal, events: int) -> float:
    """Seconds until all of it is accepted, claimed in batches and settled one by one."""
    numbers = iter(range(events))
    left = events

    async def settle(wake: Any) -> None:
        transition = Delivered(detail="200 OK")
        after = move(wake.facts, transition, DeliveryPolicy(), 9_000, 0.5)
        await opened.settle(
            Settlement(
                wake=wake,
                transition=transition,
                move=after,
                at=9_000,
                tried=Try(began=8_000),
            )
        )

    async def client() -> None:
        for number in numbers:
            await opened.accept(acceptance(number))

    async def dispatcher() -> None:
        nonlocal left
        while left:
            claims = await opened.claim([ClaimWant(actor="actor", slots=CLIENTS)], 1_000_000)
            left -= len(claims.wakes)
            await asyncio.gather(*map(settle, claims.wakes))

    began = time.perf_counter()
    await asyncio.gather(dispatcher(), *(client() for _ in range(CLIENTS)))
    return time.perf_counter() - began


def bare(path: Path, count: int, *, settle: bool) -> float:
    """The same rows, in groups of CLIENTS, each with one commit and nothing around it."""
    connection = open_writing(file_place(path))
    migrate(connection, str(path))
    began = time.perf_counter()
    for group in groups(count):
        events = [
            (
                n * 2,
                f"evt_{n:016x}",
                "bench",
                n,
                "source",
                "resource.changed",
                "push",
                f"trc_{n:016x}",
                0,
                1,
                DOCUMENT,
                None,
            )
            for n in group
        ]
        due = ("route", "actor", 0, "pending", "", "", None, 1)
        deliveries = [
            (n * 2 + 1, f"dlv_{n:016x}", "bench", n * 2, *due, n * 2 + 1, n, n, n, n, None, None, None)
            for n in group
        ]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(ACCEPT["insert_event"], events)
        connection.executemany(ACCEPT["insert_delivery"], deliveries)
        connection.execute("COMMIT")
        if settle:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(CLAIM["take"], (json.dumps([n * 2 + 1 for n in group]), 0, "here", None))
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(SETTLED, [(f"dlv_{n:016x}",) for n in group])
            ended = ("delivered", "delivered", 1)
            rest = ("", "200 OK", None, None, None)
            steps = [(1_000_000 + n, n, n * 2 + 1, *ended, n, *rest) for n in group]
            connection.executemany(MOVES["insert_step"], steps)
            connection.execute("COMMIT")
        if int(group[0]) % 2_048 == 0:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


def groups(count: int) -> Iterator[range]:
    for first in range(0, count, CLIENTS):
        yield range(first, first + CLIENTS)


def measure(*, short: bool) -> Sequence[Figure]:
    """Seconds for accepts alone, and for accept, claim and settle, as multiples of the bare rows'."""
    rounds, events = (1, 2 * CLIENTS) if short else (3, 200 * CLIENTS)
    return [
        _figure("accept, times the bare rows", 3, events, rounds, settle=False),
        _figure("accept, claim, settle, times the bare rows", 4, events, rounds, settle=True),
    ]


def _figure(name: str, most: float, events: int, rounds: int, *, settle: bool) -> Figure:
    ours, floor = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="orgloop-bench-") as place:
            floor.append(bare(Path(place) / "bare.db", events, settle=settle))
            ours.append(asyncio.run(_ours(Path(place) / "home", events, settle=settle)))
    return Figure(
        name=name,
        value=median(ours) / median(floor),
        most=most,
        detail=f"{events / median(ours):,.0f}/s of {events / median(floor):,.0f}/s",
    )


async def _ours(home: Path, events: int, *, settle: bool) -> float:
    async with journal(home) as opened:
        return await (work_all if settle else accept_all)(opened, events)
