"""Files of a journal that are lost, cut, replaced or no files at all: refused, and changed in nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orgloop.errors import JournalDamaged, JournalError, JournalUnavailable
from orgloop.journal.model import Query
from orgloop.journal.sqlite import open_reader
from tests.journal.build import enter
from tests.journal.sqlite.test_open import opened, written_by_one_who_died

NAMES = ("evt_1", "evt_2", "evt_3")
LOG = "journal.db-wal"


def events(home: Path) -> list[str]:
    reader = open_reader(home)
    try:
        return sorted(found.id for found in reader.events(Query()))
    finally:
        reader.close()


def content(home: Path) -> dict[str, bytes]:
    """All but the lock and the shared memory, which is rebuilt from the log; an empty log is none."""
    names = {"journal.db", "journal.mark", LOG}
    return {path.name: data for path in home.iterdir() if path.name in names and (data := path.read_bytes())}


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a process that died after three commits."""
    home = tmp_path_factory.mktemp("dead") / "home"
    written_by_one_who_died(home)
    return home


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of one that wrote the same and was stopped; beside it `older`, as it was after the first."""
    place = tmp_path_factory.mktemp("stopped")

    async def write() -> None:
        for name in "123":
            journal = await opened(place / "home")
            await enter(journal, name)
            await journal.close()
            if name == "1":
                shutil.copytree(place / "home", place / "older")

    asyncio.run(write())
    return place / "home"


def copied(home: Path, to: Path) -> Path:
    shutil.copytree(home, to / "home")
    return to / "home"


async def refused(home: Path, match: str | None = None) -> None:
    before = content(home)
    for _ in range(2):
        with pytest.raises(JournalDamaged, match=match) as caught:
            await opened(home)
        assert f"`rm {home / 'journal.mark'}`" in caught.value.hint
    assert content(home) == before


def cut(name: str, keep: float) -> Callable[[Path], None]:
    def damage(home: Path) -> None:
        size = (home / name).stat().st_size
        os.truncate(home / name, int(size * keep))

    return damage


def garble(at: float) -> Callable[[Path], None]:
    def damage(home: Path) -> None:
        path = home / "journal.db-wal"
        data = bytearray(path.read_bytes())
        first = int((len(data) - 8) * at)
        data[first : first + 8] = bytes(255 - byte for byte in data[first : first + 8])
        path.write_bytes(data)

    return damage


def lost(*names: str) -> Callable[[Path], None]:
    def damage(home: Path) -> None:
        for name in names:
            (home / name).unlink()

    return damage


DAMAGES = {
    "the log is deleted": lost(LOG),
    "log and shared memory are deleted": lost(LOG, "journal.db-shm"),
    "the log is empty": cut(LOG, 0),
    **{f"the log is cut at {part:.0%}": cut(LOG, part) for part in (0.001, 0.3, 0.6, 0.9, 0.999)},
    **{f"the log is garbled at {part:.0%}": garble(part) for part in (0, 0.2, 0.4, 0.6, 0.8, 0.95, 1)},
    "the file is gone": lost("journal.db"),
    "all but the mark is gone": lost("journal.db", LOG, "journal.db-shm"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_what_a_death_left_is_whole_or_refused(
    dead: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    home = copied(dead, tmp_path)
    damage(home)
    await refused(home)


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.99])
async def test_a_file_that_is_cut_is_refused_if_its_log_does_not_have_it_all(
    dead: Path, stopped: Path, tmp_path: Path, part: float
) -> None:
    home = copied(stopped, tmp_path)
    cut("journal.db", part)(home)
    with pytest.raises(JournalError):
        await opened(home)
    shutil.rmtree(home)
    home = copied(dead, tmp_path)
    cut("journal.db", part)(home)
    try:
        await (await opened(home)).close()
    except JournalError:
        return
    assert events(home) == list(NAMES)


async def test_shared_memory_may_go(dead: Path, tmp_path: Path) -> None:
    home = copied(dead, tmp_path)
    (home / "journal.db-shm").write_bytes(b"\xff" * 40_000)
    await (await opened(home)).close()
    (home / "journal.db-shm").unlink(missing_ok=True)
    await (await opened(home)).close()
    assert events(home) == list(NAMES)


async def test_an_older_copy_is_refused_and_the_newest_is_taken_again(stopped: Path, tmp_path: Path) -> None:
    home = copied(stopped, tmp_path)
    shutil.copy(stopped.parent / "older" / "journal.db", home / "journal.db")
    await refused(home, "older copy")
    shutil.copy(stopped / "journal.db", home / "journal.db")
    await (await opened(home)).close()
    assert events(home) == list(NAMES)


async def test_a_whole_home_from_a_backup_is_taken(stopped: Path, tmp_path: Path) -> None:
    home = copied(stopped.parent / "older", tmp_path)
    await (await opened(home)).close()
    assert events(home) == ["evt_1"]


async def test_another_homes_journal_is_refused(dead: Path, stopped: Path, tmp_path: Path) -> None:
    home = copied(stopped, tmp_path)
    other = copied(dead, tmp_path / "other")
    await (await opened(other)).close()
    shutil.copy(other / "journal.db", home / "journal.db")
    await refused(home, "not the journal that was written last")


async def test_who_goes_on_without_the_mark_is_not_asked_again_and_cannot_fall_back(
    dead: Path, tmp_path: Path
) -> None:
    home = copied(dead, tmp_path)
    (home / LOG).unlink()
    await refused(home)
    (home / "journal.mark").unlink()
    journal = await opened(home)
    await enter(journal, "new")
    await journal.close()
    await (await opened(home)).close()
    assert events(home) == ["evt_new"]
    for path in dead.glob("journal.db*"):
        shutil.copy(path, home / path.name)
    await refused(home, "not the journal that was written last")


async def test_a_mark_that_says_nothing_is_refused(stopped: Path, tmp_path: Path) -> None:
    home = copied(stopped, tmp_path)
    for text in (b"", b"what?\n", b"\0" * 54):
        (home / "journal.mark").write_bytes(text)
        await refused(home, "damaged")


async def test_a_refused_item_and_a_failed_group_leave_no_gap_behind_the_mark(home: Path) -> None:
    """The mark is never ahead of the database, whatever was rolled back at its end."""
    journal = await opened(home)
    await enter(journal, "1")
    same = await asyncio.gather(
        *(enter(journal, name) for name in ("2", "1")), enter(journal, "1"), return_exceptions=True
    )
    assert [type(answer) for answer in same] == [type(None), JournalError, JournalError]
    store = journal._writer._store
    assert store._tx is not None
    assert (home / "journal.mark").read_bytes().split()[1] == b"%020d" % store._tx.last
    await journal.close()
    await (await opened(home)).close()


def linked(path: Path) -> None:
    path.with_name("elsewhere").touch()
    path.symlink_to(path.with_name("elsewhere"))


def hard_linked(path: Path) -> None:
    path.touch()
    path.with_name("elsewhere").hardlink_to(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, linked, hard_linked])
async def test_what_is_no_plain_file_is_neither_written_nor_read(
    home: Path, make: Callable[[Path], None]
) -> None:
    make(home / "journal.db")
    for _ in range(2):
        with pytest.raises(JournalUnavailable, match=r"is (not a file|shared through a link)") as caught:
            await opened(home)
        assert str(home / "journal.db") in caught.value.message
    with pytest.raises(JournalUnavailable, match=r"is (not a file|shared through a link)"):
        open_reader(home)


@pytest.mark.parametrize("name", ["journal.lock", "journal.mark"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, linked])
async def test_nor_are_the_files_beside_it(home: Path, name: str, make: Callable[[Path], None]) -> None:
    make(home / name)
    for _ in range(2):
        with pytest.raises(JournalError, match=name):
            await opened(home)
    if (home / "elsewhere").exists():
        assert (home / "elsewhere").read_bytes() == b""


async def test_a_home_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    await (await opened(home)).close()
    uid = home.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(JournalUnavailable, match=rf"belongs to another user \(uid {uid};"):
        await opened(home)


@pytest.mark.parametrize(
    "name",
    [
        b"a?mode=ro",
        b"50% off#1",
        b"a b'\"c;d",
        "größe 中 🦊".encode(),
        b"\xff\xfe",
        b"line\nbreak",
        b"%41",
        b":memory:",
    ],
)
async def test_a_home_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    home = tmp_path / os.fsdecode(name)
    for number in ("1", "2"):
        journal = await opened(home)
        await enter(journal, number)
        await journal.close()
    assert events(home) == ["evt_1", "evt_2"]
    assert [path.name for path in tmp_path.iterdir()] == [home.name]


async def test_a_home_may_be_a_link_and_begin_with_two_slashes(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "home").symlink_to(tmp_path / "real")
    await (await opened(Path(f"/{tmp_path}") / "home")).close()
    assert (tmp_path / "real" / "journal.db").exists()
