"""One suite for every backend: `journal` is there once in a file and once in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from orgloop.journal.sqlite import SqliteJournal, SqliteReader, memory_journal, open_journal


@pytest.fixture(params=["file", "memory"])
async def journal(request: pytest.FixtureRequest, home: Path) -> AsyncGenerator[SqliteJournal]:
    """An empty journal. Its clock stands still at 0: every verb is told the time."""
    if request.param == "file":
        opened = await open_journal(home, project="project", clock=lambda: 0)
    else:
        opened = await memory_journal(project="project", clock=lambda: 0)
    yield opened
    await opened.close()


@pytest.fixture
def reader(journal: SqliteJournal) -> Generator[SqliteReader]:
    """What can be seen of `journal` by others."""
    opened = journal.reader()
    yield opened
    opened.close()
