"""The stores that the suite runs on, and how it opens them."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orgloop.journal.model import Lease
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.sqlite import SqliteJournal, memory_journal, open_journal


class Opened(Protocol):
    """A journal that is open, as its workers see it."""

    @property
    def journal(self) -> Journal:
        """The first worker's. The suite does not close it."""
        ...

    def worker(self, lease: Lease) -> Journal:
        """The same journal as another worker has it, who claims under this lease."""
        ...

    def reader(self) -> Reader:
        """What can be seen of it. The suite closes it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Store:
    """A store, as the suite needs it.

    `open` opens an empty journal of the project `project`, in the given directory if it needs one, whose
    clock stands still at 0: every verb is told the time. `leads_everywhere`: it knows one machine, which has
    every role.
    """

    name: str
    open: Callable[[Path], AbstractAsyncContextManager[Opened]]
    leads_everywhere: bool = False


@dataclass(frozen=True)
class _Sqlite:
    journal: SqliteJournal

    def worker(self, lease: Lease) -> SqliteJournal:
        other = copy.copy(self.journal)
        other.lease = lease
        return other

    def reader(self) -> Reader:
        return self.journal.reader()


@asynccontextmanager
async def _file(home: Path) -> AsyncGenerator[_Sqlite]:
    opened = await open_journal(home, project="project", clock=lambda: 0)
    yield _Sqlite(opened)
    await opened.close()


@asynccontextmanager
async def _memory(_: Path) -> AsyncGenerator[_Sqlite]:
    opened = await memory_journal(project="project", clock=lambda: 0)
    yield _Sqlite(opened)
    await opened.close()


STORES = (
    Store(name="file", open=_file, leads_everywhere=True),
    Store(name="memory", open=_memory, leads_everywhere=True),
)
