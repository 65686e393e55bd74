"""Opening: the home, the lock, the versions, and lives after one another."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from orgloop.core.deliveries.transition import Delivered
from orgloop.errors import (
    JournalError,
    JournalLocked,
    JournalTooNew,
    JournalUnavailable,
    NotFound,
    OrgLoopError,
)
from orgloop.journal.model import START, Query
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.sqlite import SqliteJournal, SqliteReader, memory_journal, open_journal, open_reader
from orgloop.journal.sqlite.connection import require_sqlite
from tests.journal.build import accept, claim_one, enter, event, row, run_start, settle

HOLD = """
import asyncio, sys
from pathlib import Path
from orgloop.journal.sqlite import open_journal

async def hold() -> None:
    await open_journal(Path(sys.argv[1]), project="p", clock=lambda: 0, holder="the daemon on port 4801")
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""

WRITE_AND_DIE = """
import asyncio, os, sys
from pathlib import Path
from tests.journal.build import enter
from orgloop.journal.sqlite import open_journal

async def write() -> None:
    journal = await open_journal(Path(sys.argv[1]), project="p", clock=lambda: 0)
    for name in "123":
        await enter(journal, name)
    os._exit(9)

asyncio.run(write())
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def opened(home: Path, holder: str = "") -> SqliteJournal:
    return await open_journal(home, project="p", clock=lambda: 0, holder=holder)


def written_by_one_who_died(home: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WRITE_AND_DIE, str(home)],
        env={**os.environ, "PYTHONPATH": "src:."},
        check=False,
    )
    assert ended.returncode == 9


async def test_home_and_file_belong_to_their_user_alone(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    journal = await opened(home)
    await enter(journal, "1")
    assert mode(home) == 0o700
    assert {path.name: mode(path) for path in home.iterdir()} == {
        "journal.db": 0o600,
        "journal.db-wal": 0o600,
        "journal.db-shm": 0o600,
        "journal.lock": 0o600,
        "journal.mark": 0o600,
    }
    await journal.close()


async def test_what_was_written_is_there_after_a_restart(home: Path) -> None:
    journal = await opened(home)
    await enter(journal, "1", key="k")
    await enter(journal, "2", key="k")
    wake = await claim_one(journal)
    await journal.close()
    journal = await opened(home)
    assert await settle(journal, wake, Delivered())
    await enter(journal, "3", key="k")
    assert (await claim_one(journal)).id == "dlv_2"
    reader = journal.reader()
    numbers = [int(found.cursor) for found in reader.deliveries(Query(after=START))]
    assert numbers == sorted(set(numbers))
    reader.close()
    await journal.close()


async def test_a_home_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnavailable, match="cannot hold a journal"):
        await opened(tmp_path / "file" / "home")


class TestLock:
    async def test_a_second_one_hears_who_holds_it(self, home: Path) -> None:
        held = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": "src"},
        )
        with held:
            assert held.stdout is not None
            assert held.stdout.readline() == b"held\n"
            with pytest.raises(JournalLocked, match=rf"the daemon on port 4801 \(process {held.pid}\)"):
                await opened(home)
            open_reader(home).close()
            held.kill()
        await (await opened(home)).close()

    async def test_who_deletes_its_files_lets_nobody_in(self, home: Path) -> None:
        journal = await opened(home)
        await enter(journal, "1")
        (home / "journal.lock").unlink()
        with pytest.raises(JournalLocked, match="in use by another process"):
            await opened(home)
        (home / "journal.mark").unlink()
        (home / "journal.lock").unlink(missing_ok=True)
        with pytest.raises(JournalLocked, match="in use by another process"):
            await opened(home)
        await journal.close()
        await (await opened(home)).close()

    async def test_it_is_free_after_a_close_and_after_a_failure_to_open(self, home: Path) -> None:
        journal = await opened(home)
        with pytest.raises(JournalLocked, match=f"process {os.getpid()}"):
            await opened(home)
        await journal.close()
        connection = apsw.Connection(str(home / "journal.db"))
        connection.pragma("user_version", 9_999)
        for _ in range(2):
            with pytest.raises(JournalTooNew):
                await opened(home)
        connection.close()


class TestVersions:
    @pytest.mark.parametrize("version", ["3.40.1", "3.51.2"])
    def test_an_sqlite_that_can_lose_commits_is_refused(self, version: str) -> None:
        with pytest.raises(JournalError, match=version):
            require_sqlite(version)

    @pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "4.0.0"])
    def test_a_newer_one_is_fine(self, version: str) -> None:
        require_sqlite(version)

    async def test_a_newer_schema_is_neither_written_nor_read(self, home: Path) -> None:
        await (await opened(home)).close()
        connection = apsw.Connection(str(home / "journal.db"))
        connection.pragma("user_version", 9_999)
        connection.close()
        with pytest.raises(JournalTooNew, match="9999"):
            await opened(home)
        with pytest.raises(JournalTooNew, match="9999"):
            open_reader(home)

    async def test_an_older_schema_is_not_read_before_it_is_brought_up_to_date(self, home: Path) -> None:
        await (await opened(home)).close()
        connection = apsw.Connection(str(home / "journal.db"))
        connection.pragma("user_version", 0)
        connection.close()
        with pytest.raises(OrgLoopError, match="schema 0"):
            open_reader(home)


class TestReaderOfAHome:
    def test_a_home_without_a_journal_is_not_found_and_nothing_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="no journal"):
            open_reader(tmp_path / "home")
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_file_is_no_journal(self, home: Path) -> None:
        (home / "journal.db").touch()
        with pytest.raises(NotFound, match="no journal"):
            open_reader(home)

    async def test_it_sees_each_commit_while_the_daemon_runs(self, home: Path) -> None:
        journal = await opened(home)
        reader = open_reader(home)
        for name in "123":
            await enter(journal, name)
            assert row(reader, name).state == "pending"
        reader.close()
        await journal.close()

    async def test_it_works_when_the_daemon_is_down(self, home: Path) -> None:
        journal = await opened(home)
        await enter(journal, "1")
        await journal.close()
        assert self.names(home) == ["dlv_1"]

    def test_it_sees_all_that_one_who_died_had_committed(self, home: Path) -> None:
        written_by_one_who_died(home)
        assert (home / "journal.db-wal").stat().st_size > 0
        assert self.names(home) == ["dlv_1", "dlv_2", "dlv_3"]
        (home / "journal.db-shm").unlink()
        assert self.names(home) == ["dlv_1", "dlv_2", "dlv_3"]

    async def test_it_never_writes(self, home: Path) -> None:
        journal = await opened(home)
        reader = open_reader(home)
        with pytest.raises(apsw.ReadOnlyError):
            reader._connection.execute("DELETE FROM events")
        reader.close()
        await journal.close()

    def names(self, home: Path) -> list[str]:
        reader = open_reader(home)
        try:
            return [found.id for found in reader.deliveries(Query(after=START))]
        finally:
            reader.close()


async def test_one_who_comes_after_a_death_goes_on_where_it_ended(home: Path) -> None:
    written_by_one_who_died(home)
    journal = await opened(home)
    await enter(journal, "4")
    reader = journal.reader()
    assert [found.id for found in reader.deliveries(Query(after=START))] == [
        "dlv_1",
        "dlv_2",
        "dlv_3",
        "dlv_4",
    ]
    reader.close()
    await journal.close()


async def test_rows_name_their_project(home: Path) -> None:
    journal = await open_journal(home, project="shop", clock=lambda: 0)
    await enter(journal, "1", runs=True)
    await journal.start_run(run_start(await claim_one(journal), "run_1"))
    connection = apsw.Connection(str(home / "journal.db"), flags=apsw.SQLITE_OPEN_READONLY)
    for table in ("events", "deliveries", "runs"):
        assert connection.execute(f"SELECT DISTINCT project FROM {table}").get == "shop"
    connection.close()
    await journal.close()


def test_both_backends_keep_the_contract(journal: SqliteJournal, reader: SqliteReader) -> None:
    """Checked by the type checker; here so that nobody removes it."""
    verbs: Journal = journal
    views: Reader = reader
    assert (verbs, views) == (journal, reader)


async def test_two_journals_in_memory_know_nothing_of_each_other(journal: SqliteJournal) -> None:
    other = await memory_journal(project="p", clock=lambda: 0)
    await accept(other, event("1"))
    reader = other.reader()
    assert reader.event("evt_1") is not None
    reader.close()
    await other.close()
    (answer,) = await accept(journal, event("1"))
    assert not answer.duplicate


async def test_a_journal_that_cannot_be_opened_is_not_called_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> None:
        # SQLite wants to write beside a journal with a write-ahead log, also to read it.
        raise apsw.CantOpenError("unable to open database file")

    await (await opened(home)).close()
    monkeypatch.setattr(apsw, "Connection", read_only)
    with pytest.raises(JournalUnavailable, match="cannot be used"):
        open_reader(home)


async def test_a_full_disk_is_told_and_leaves_the_lock_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(JournalUnavailable, match="No space left"):
        await open_journal(tmp_path, project="p", clock=lambda: 0)
    monkeypatch.undo()
    await (await open_journal(tmp_path, project="p", clock=lambda: 0)).close()


async def test_pages_go_back_to_the_disk(home: Path) -> None:
    journal = await open_journal(home, project="p", clock=lambda: 0)
    for page in range(10):
        await accept(
            journal,
            *(event(f"{page}-{number}", identity="x" * 900 + f"{page}-{number}") for number in range(100)),
        )
    await journal.close()
    full = (home / "journal.db").stat().st_size
    journal = await open_journal(home, project="p", clock=lambda: 0)
    while await journal.prune(before=1, seen_before=1, limit=100):
        pass
    await journal.close()
    assert (home / "journal.db").stat().st_size < full / 2
