"""The stores that the suite runs on, and how it opens them.

The suite is every test in this folder; what lies in `sqlite/` is about SQLite's files. To run it on another
store, name that: `ORGLOOP_STORE=package.module:NAME pytest tests/journal`. `NAME` is a `Store`.
"""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from orgloop.journal.model import Lease
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.sqlite import SqliteJournal, SqliteReader, memory_journal, open_journal
from orgloop.journal.sqlite.statements import load
from orgloop.journal.sqlite.store import Store as SqliteStore
from orgloop.journal.sqlite.writer import WriterSettings
from orgloop.journal.verbs.transaction import Transaction

T = TypeVar("T")


class Opened(Protocol):
    """A journal that is open, as its workers see it. Whoever opened it closes it."""

    @property
    def journal(self) -> Journal:
        """The first worker's."""
        ...

    def worker(self, lease: Lease) -> Journal:
        """The same journal as another worker has it, who claims under this lease."""
        ...

    def reader(self) -> Reader:
        """What can be seen of it, until it is closed or restarted. Whoever asked closes the reader."""
        ...

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """What a function of `journal/verbs` answers in a transaction of its own."""
        ...

    async def restart(self) -> None:
        """End the first worker and let it begin anew: `journal` is another object then."""

    def faults(self) -> Sequence[str]:
        """What the store itself finds wrong, where it has rules that no reader shows."""
        ...


@dataclass(frozen=True, kw_only=True)
class Store:
    """A store, as the suite needs it.

    `open` opens an empty journal of the project `project`, in the given directory if it needs one. Its clock
    stands still at 0: every verb is told the time. `leads_everywhere`: it knows one machine, which has every
    role.
    """

    name: str
    open: Callable[[Path], AbstractAsyncContextManager[Opened]]
    leads_everywhere: bool = False


@dataclass
class _Sqlite:
    journal: SqliteJournal
    again: Callable[[], Awaitable[SqliteJournal]]

    def worker(self, lease: Lease) -> SqliteJournal:
        other = copy.copy(self.journal)
        other.lease = lease
        return other

    def reader(self) -> SqliteReader:
        return self.journal.reader()

    async def run(self, work: Callable[[Transaction], T]) -> T:
        return await self.journal._run(work)

    async def restart(self) -> None:
        await self.journal.close()
        self.journal = await self.again()

    def faults(self) -> Sequence[str]:
        tx = self.journal._writer._store._tx
        if tx is None:
            return []
        with closing(self.reader()) as reader:
            orphans = _rows(reader, "PRAGMA foreign_key_check")
            idle = _rows(reader, _CHARGED_AND_IDLE)
        broken = [f"a row of {table} without its {parent}" for table, _, parent, _ in orphans]
        broken += [f"{delivery} has a charge and does not go on" for (delivery,) in idle]
        last = tx.connection.execute(load("store.sql")["last_number"]).get
        # What is noted outside of the database must not be ahead of it, whatever was rolled back.
        return broken if last == tx.last else [*broken, f"the last number is {last}, not {tx.last}"]


_CHARGED_AND_IDLE = """SELECT d.id FROM charges c JOIN deliveries d ON d.seq = c.delivery_seq
WHERE c.ended_at IS NULL AND d.state NOT IN ('running', 'started')"""


def _rows(reader: SqliteReader, query: str) -> Sequence[tuple[Any, ...]]:
    found: Sequence[tuple[Any, ...]] = reader._rows(query)
    return found


@asynccontextmanager
async def _file(home: Path) -> AsyncGenerator[_Sqlite]:
    async def again() -> SqliteJournal:
        return await open_journal(home, project="project", clock=lambda: 0)

    opened = _Sqlite(await again(), again)
    yield opened
    await opened.journal.close()


@asynccontextmanager
async def _memory(_: Path) -> AsyncGenerator[_Sqlite]:
    first = await memory_journal(project="project", clock=lambda: 0)

    async def again() -> SqliteJournal:
        store = SqliteStore(first._place, "project", checkpoint_pages=50)
        store.open(check=True)
        return SqliteJournal(store, lambda: 0, WriterSettings())

    # What is in memory is there as long as somebody has it open.
    with closing(first.reader()):
        opened = _Sqlite(first, again)
        yield opened
        await opened.journal.close()
    await first.close()


def _named(name: str) -> Store:
    module, _, attribute = name.partition(":")
    found: Store = getattr(importlib.import_module(module), attribute)
    return found


FILE = Store(name="file", open=_file, leads_everywhere=True)
MEMORY = Store(name="memory", open=_memory, leads_everywhere=True)
STORES: Sequence[Store] = (
    (_named(os.environ["ORGLOOP_STORE"]),) if os.environ.get("ORGLOOP_STORE") else (FILE, MEMORY)
)
QUICKEST = STORES[-1]
"""For properties, each example of which needs a journal of its own."""
