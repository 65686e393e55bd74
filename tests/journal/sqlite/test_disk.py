"""What is promised is on the disk; what cannot be written is not promised."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import apsw
import pytest

from orgloop.core.deliveries.transition import Delivered
from orgloop.errors import JournalDamaged, JournalUnavailable
from orgloop.journal.model import START, Query
from orgloop.journal.sqlite import SqliteJournal, open_journal, open_reader
from orgloop.journal.sqlite.writer import WriterSettings
from tests.journal.build import accept, claim, claim_one, enter, event, life, settle
from tests.journal.sqlite.disk import Disk, diary_disk

pytestmark = pytest.mark.chaos

ACCEPT_FOR_EVER = """
import asyncio, itertools, sys
from pathlib import Path
from orgloop.journal.sqlite import open_journal
from tests.journal.build import enter

async def accept_for_ever() -> None:
    journal = await open_journal(Path(sys.argv[1]), project="p", clock=lambda: 0)
    names = map(str, itertools.count())

    async def client() -> None:
        for name in names:
            await enter(journal, name)
            print(f"dlv_{name}")

    await asyncio.gather(*(client() for _ in range(8)))

asyncio.run(accept_for_ever())
"""

FAILURES = [
    ("fail_sync", apsw.IOError, "Check the disk"),
    ("fail_write", apsw.IOError, "Check the disk"),
    ("fail_write", apsw.FullError, "Free some space"),
]


@pytest.fixture
def disk(home: Path) -> Generator[Disk]:
    with diary_disk(f"diary-{home.parent.name}") as made:
        yield made


@pytest.fixture
async def journal(home: Path, disk: Disk) -> AsyncGenerator[SqliteJournal]:
    opened = await open_journal(home, project="p", clock=lambda: 0, vfs=disk.name)
    yield opened
    disk.fail_sync = disk.fail_write = None
    disk.fail_open = False
    await opened.close()


def deliveries(home: Path) -> list[str]:
    reader = open_reader(home)
    try:
        return [found.id for found in reader.deliveries(Query(after=START, limit=1_000_000))]
    finally:
        reader.close()


async def test_every_answer_comes_after_the_log_is_synced(journal: SqliteJournal, disk: Disk) -> None:
    for name in "12":
        disk.diary.clear()
        await enter(journal, name)
        disk.diary.append("answered")
        writes = [number for number, entry in enumerate(disk.diary) if entry == "write -wal"]
        assert disk.diary[max(writes) + 1 : max(writes) + 3] == ["sync -wal", "answered"]


async def test_a_group_is_synced_once(journal: SqliteJournal, disk: Disk) -> None:
    await enter(journal, "first")
    disk.diary.clear()
    await asyncio.gather(*(enter(journal, str(n)) for n in range(50)))
    assert disk.diary.count("sync -wal") == 1


async def test_a_claim_that_finds_nothing_writes_nothing(journal: SqliteJournal, disk: Disk) -> None:
    disk.diary.clear()
    assert await claim(journal) == []
    assert disk.diary == []


@pytest.mark.parametrize(("what", "kind", "hint"), FAILURES)
async def test_if_it_cannot_be_written_everybody_hears_so_and_nothing_of_it_is_there(
    journal: SqliteJournal, home: Path, disk: Disk, what: str, kind: type[apsw.Error], hint: str
) -> None:
    await enter(journal, "1")
    setattr(disk, what, kind)
    results = await asyncio.gather(*(enter(journal, name) for name in "23"), return_exceptions=True)
    assert [type(result) for result in results] == [JournalUnavailable] * 2
    assert results[0] is not results[1]
    assert hint in str(results[0])
    assert deliveries(home) == ["dlv_1"]
    with pytest.raises(JournalUnavailable):
        await claim(journal)


@pytest.mark.parametrize(("what", "kind", "hint"), FAILURES)
async def test_it_goes_on_by_itself_once_the_disk_works_again(
    journal: SqliteJournal, home: Path, disk: Disk, what: str, kind: type[apsw.Error], hint: str
) -> None:
    await enter(journal, "1")
    wake = await claim_one(journal)
    setattr(disk, what, kind)
    for _ in range(3):
        with pytest.raises(JournalUnavailable):
            await settle(journal, wake, Delivered())
    setattr(disk, what, None)
    assert await settle(journal, wake, Delivered())
    await enter(journal, "2")
    assert deliveries(home) == ["dlv_1", "dlv_2"]


async def test_while_it_cannot_be_opened_everybody_hears_so_and_each_group_tries_again(
    journal: SqliteJournal, disk: Disk
) -> None:
    disk.fail_sync, disk.fail_open = apsw.IOError, True
    for name in "123":
        with pytest.raises(JournalUnavailable):
            await enter(journal, name)
    disk.fail_sync, disk.fail_open = None, False
    await enter(journal, "4")


async def test_a_log_that_cannot_be_copied_loses_nothing(home: Path, disk: Disk) -> None:
    settings = WriterSettings(log_pages=10)
    journal = await open_journal(home, project="p", clock=lambda: 0, vfs=disk.name, settings=settings)
    for number in range(30):
        await enter(journal, str(number))
    assert "write db" in disk.diary
    await journal.close()
    assert len(deliveries(home)) == 30


async def test_the_log_is_copied_after_the_answer_and_starts_over(home: Path, disk: Disk) -> None:
    settings = WriterSettings(log_pages=50)
    journal = await open_journal(home, project="p", clock=lambda: 0, vfs=disk.name, settings=settings)
    for number in range(200):
        disk.diary.clear()
        await enter(journal, str(number))
    # The tables of a new journal alone take some 150 pages, 200 events more than a thousand.
    log = home / "journal.db-wal"
    assert log.stat().st_size < 300 * 4_096
    await journal.close()
    assert not log.exists()


async def test_a_full_disk_for_real(home: Path) -> None:
    """SQLite itself says that the file may not grow."""
    journal = await open_journal(home, project="p", clock=lambda: 0)
    await enter(journal, "1")
    tx = journal._writer._store._tx
    assert tx is not None
    connection = tx.connection
    connection.pragma("max_page_count", connection.pragma("page_count"))
    big = "x" * 100_000
    with pytest.raises(JournalUnavailable, match="full"):
        await accept(journal, event("2", identity=big))
    await accept(journal, event("2", identity=big))
    await journal.close()


@pytest.mark.parametrize("answers", [1, 40, 400])
def test_what_was_answered_is_there_after_a_kill(home: Path, answers: int) -> None:
    environment = {**os.environ, "PYTHONPATH": "src:."}
    command = [sys.executable, "-u", "-c", ACCEPT_FOR_EVER, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as writer:
        assert writer.stdout is not None
        answered = [writer.stdout.readline().strip() for _ in range(answers)]
        writer.kill()
        answered += writer.stdout.read().split("\n")[:-1]
    there = deliveries(home)
    assert set(answered) <= set(there)
    assert len(there) == len(set(there))


class TestDamage:
    async def test_a_file_that_is_no_database_is_not_touched(self, home: Path) -> None:
        (home / "journal.db").write_bytes(b"precious notes" * 1_000)
        with pytest.raises(JournalDamaged, match=r"journal\.db is damaged"):
            await open_journal(home, project="p", clock=lambda: 0)
        assert (home / "journal.db").read_bytes() == b"precious notes" * 1_000

    async def test_another_programs_database_is_not_touched(self, home: Path) -> None:
        other = apsw.Connection(str(home / "journal.db"))
        other.execute("CREATE TABLE recipes (name)")
        other.close()
        with pytest.raises(JournalDamaged, match="not a journal of OrgLoop"):
            await open_journal(home, project="p", clock=lambda: 0)

    async def broken(self, home: Path, *, ended_at: int | None) -> None:
        """A journal with a torn index, whose daemon lived until `ended_at`."""
        journal = await open_journal(home, project="p", clock=lambda: 0)
        await journal.beat(life(1, ended_at=ended_at))
        for number in range(300):
            await enter(journal, str(number))
        await journal.close()
        look = apsw.Connection(str(home / "journal.db"))
        root = look.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'deliveries_event'").get
        look.close()
        with (home / "journal.db").open("r+b") as file:
            file.seek((root - 1) * 4_096 + 8)
            file.write(b"\xff" * 2_000)

    async def test_after_a_death_a_damaged_file_is_found_when_it_is_opened(self, home: Path) -> None:
        await self.broken(home, ended_at=None)
        with pytest.raises(JournalDamaged, match="is damaged"):
            await open_journal(home, project="p", clock=lambda: 0)

    async def test_damage_that_is_met_later_is_said_so_and_others_may_look(self, home: Path) -> None:
        await self.broken(home, ended_at=2)
        journal = await open_journal(home, project="p", clock=lambda: 0)
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match="is damaged"):
                await enter(journal, "new")
        reader = open_reader(home)
        assert reader.check()
        reader.close()
        await journal.close()
