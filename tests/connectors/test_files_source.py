"""A directory as a source: what happened to its files, told once, also when logs rotate."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orgloop.connectors.files import check
from orgloop.connectors.files.directory import Print, differences, scan, take
from orgloop.connectors.files.settings import FilesSettings
from orgloop.connectors.files.source import FilesSource
from orgloop.plugin import Page, PluginError
from tests.connectors.doubles import NOON, FakeContext, as_context


class Watching:
    """A source on a directory. What a look returns counts as committed, unless a test says it was lost."""

    def __init__(self, directory: Path, **config: Any) -> None:
        self.settings = FilesSettings.model_validate({"directory": directory, "settle": "0s", **config})
        self.directory = directory
        self.context = FakeContext()
        self.checkpoint: str | None = None
        self.source = FilesSource("files", self.settings)

    async def once(self, *, lost: bool = False) -> Page:
        await self.source.open(as_context(self.context))
        page = await self.source.poll(self.checkpoint)
        if not lost and page.checkpoint is not None:
            self.checkpoint = page.checkpoint
        return page

    async def told(self) -> list[str]:
        """`event path` of each event, of this look and of those that follow at once."""
        found: list[str] = []
        more = True
        while more:
            page = await self.once()
            found += [f"{one.provenance['platform_event'][5:]} {one.payload['path']}" for one in page.events]
            more = page.more
        return found

    def write(self, name: str, text: str = "x", at: int = NOON) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, ns=(at * 1_000_000, at * 1_000_000))


async def test_what_is_there_is_no_news_and_what_happens_is_told_once(tmp_path: Path) -> None:
    it = Watching(tmp_path)
    it.write("old.txt")
    it.write("gone.txt")
    assert await it.told() == []
    it.write("new.txt")
    it.write("old.txt", "more", NOON + 1)
    (tmp_path / "gone.txt").unlink()
    assert await it.told() == ["created new.txt", "changed old.txt", "removed gone.txt"]
    page = await it.once()
    assert (list(page.events), page.checkpoint) == ([], None)


async def test_an_event_says_what_the_file_is(tmp_path: Path) -> None:
    it = Watching(tmp_path, content="10B", recursive=True)
    await it.told()
    it.write("orders/a.csv", "sku\n")
    it.write("big", "x" * 11)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    drafts = {one.payload["path"]: one for one in (await it.once()).events}
    assert drafts["orders/a.csv"].payload == {
        "path": "orders/a.csv",
        "name": "a.csv",
        "size": 4,
        "modified": "2026-01-05T12:00:00.000Z",
        "content": "sku\n",
    }
    assert drafts["orders/a.csv"].provenance["author_type"] == "unknown"
    assert "content" not in drafts["big"].payload
    assert "content" not in drafts["bytes"].payload


async def test_a_crash_between_the_look_and_the_commit_loses_and_repeats_nothing(tmp_path: Path) -> None:
    it = Watching(tmp_path)
    await it.told()
    it.write("a")
    assert len((await it.once(lost=True)).events) == 1
    it.source = FilesSource("files", it.settings)
    assert await it.told() == ["created a"]
    it.source = FilesSource("files", it.settings)
    assert await it.told() == []


@pytest.mark.parametrize("copied", [False, True])
async def test_the_rotation_of_logs_changes_no_old_log(tmp_path: Path, copied: bool) -> None:
    it = Watching(tmp_path)
    for number, name in enumerate(("app.log", "app.log.1", "app.log.2")):
        it.write(name, f"log {number}", NOON - number)
    await it.told()
    for number in (2, 1):
        (tmp_path / f"app.log.{number}").rename(tmp_path / f"app.log.{number + 1}")
    if copied:
        it.write("app.log.1", "log 0", NOON + 5)
        it.write("app.log", "", NOON + 5)
    else:
        (tmp_path / "app.log").rename(tmp_path / "app.log.1")
        it.write("app.log", "new", NOON + 5)
    first = ["changed app.log", "created app.log.1"] if copied else ["created app.log", "renamed app.log.1"]
    assert await it.told() == [*first, "renamed app.log.2", "renamed app.log.3"]
    assert await it.told() == []


async def test_a_rename_names_the_old_path_and_a_save_over_a_file_is_a_change(tmp_path: Path) -> None:
    it = Watching(tmp_path)
    it.write("a")
    it.write("b")
    await it.told()
    (tmp_path / "a").rename(tmp_path / "c")
    it.write(".b.swp", "better", NOON + 1)
    (tmp_path / ".b.swp").rename(tmp_path / "b")
    changed, renamed = (await it.once()).events
    assert changed.provenance["platform_event"] == "file.changed"
    assert (renamed.payload["path"], renamed.payload["old_path"]) == ("c", "a")


async def test_a_file_that_is_being_written_waits_until_it_stays_as_it_is(tmp_path: Path) -> None:
    it = Watching(tmp_path, settle="5s")
    await it.told()
    ahead = NOON + 3_600_000  # The clock of another machine.
    it.write("upload", "half", ahead)
    it.write("done", "all", NOON - 60_000)
    page = await it.once()
    assert [one.payload["path"] for one in page.events] == ["done"]
    assert page.next_at == NOON + 5_000
    it.context.clock.time += 4_000
    it.write("upload", "whole", ahead + 1)
    assert await it.told() == []
    it.context.clock.time += 4_999
    assert await it.told() == []
    it.context.clock.time += 1
    assert await it.told() == ["created upload"]


async def test_a_lookback_tells_of_files_that_are_not_older(tmp_path: Path) -> None:
    it = Watching(tmp_path, initial_lookback="1h")
    it.write("old", at=NOON - 3_600_001)
    it.write("young", at=NOON - 3_599_000)
    assert await it.told() == ["created young"]


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({}, {"a.csv", "b.txt"}),
        ({"hidden": True}, {"a.csv", "b.txt", ".h"}),
        ({"include": ["*.csv"]}, {"a.csv"}),
        ({"recursive": True}, {"a.csv", "b.txt", "sub/c.csv", "sub/deep/d.csv"}),
        ({"recursive": True, "include": ["*.csv"]}, {"a.csv", "sub/c.csv", "sub/deep/d.csv"}),
        ({"recursive": True, "include": ["sub/*.csv"]}, {"sub/c.csv"}),
        ({"recursive": True, "include": ["sub/**/*.csv"]}, {"sub/c.csv", "sub/deep/d.csv"}),
        ({"recursive": True, "include": ["**/deep/*"]}, {"sub/deep/d.csv"}),
        ({"recursive": True, "include": ["**"], "exclude": ["deep"]}, {"a.csv", "b.txt", "sub/c.csv"}),
        ({"recursive": True, "exclude": ["sub/*.csv", "b*"]}, {"a.csv", "sub/deep/d.csv"}),
    ],
)
def test_patterns_say_what_is_looked_at(tmp_path: Path, config: dict[str, Any], found: set[str]) -> None:
    it = Watching(tmp_path, **config)
    for name in ("a.csv", "b.txt", ".h", "sub/c.csv", "sub/deep/d.csv", "sub/.git/x.csv"):
        it.write(name)
    (tmp_path / "link.csv").symlink_to("/etc/hostname")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert set(scan(it.settings, threading.Event())) == found


async def test_many_files_come_in_parts_and_none_twice(tmp_path: Path) -> None:
    it = Watching(tmp_path)
    await it.told()
    for number in range(1_200):
        it.write(f"{number:04}")
    page = await it.once()
    assert (len(page.events), page.more) == (500, True)
    assert (
        len({*(one.payload["path"] for one in page.events), *(one[8:] for one in await it.told())}) == 1_200
    )
    assert await it.told() == []
    contents = Watching(tmp_path / "large", content="1MB")
    (tmp_path / "large").mkdir()
    await contents.told()
    for number in range(8):
        contents.write(f"{number}", "x" * 2**20)
    assert len((await contents.once()).events) == 4


@pytest.mark.parametrize("name", [b"\xff\xfe", "e\u0301".encode(), b"a\nb", b"{{ x }}", b"a\\b"])
async def test_a_name_may_be_any_bytes(tmp_path: Path, name: bytes) -> None:
    it = Watching(tmp_path)
    await it.told()
    (tmp_path / os.fsdecode(name)).write_text("x")
    (told,) = await it.told()
    assert told.startswith("created ")
    assert await it.told() == []


async def test_what_cannot_be_looked_at_is_an_error_and_no_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "inbox"
    directory.mkdir()
    it = Watching(directory, recursive=True, max_files=3)
    it.write("a")
    await it.told()
    directory.rename(tmp_path / "away")
    with pytest.raises(PluginError, match="there is no"):
        await it.once()
    (found,) = await check(it.settings, as_context(it.context))
    assert (found.status.value, found.hint) == ("error", f"type: mkdir {directory}")
    (tmp_path / "away").rename(directory)
    assert await it.told() == []
    for name in "bcd":
        it.write(name)
    with pytest.raises(PluginError, match="more than 3 files"):
        await it.once()
    monkeypatch.setattr("orgloop.connectors.files.directory.MOST_ENTRIES", 2)
    with pytest.raises(PluginError, match="more than 2 names"):
        await it.once()


async def test_only_what_is_asked_for_is_told_and_a_spoilt_checkpoint_heals(tmp_path: Path) -> None:
    it = Watching(tmp_path, events=["removed"])
    await it.told()
    it.write("a")
    assert await it.told() == []
    for spoilt in ("", "{", "[]", '{"files": [1]}', '{"files": {"a": [1]}}', '{"files": {"a": [1, 2, "x"]}}'):
        it.checkpoint = spoilt
        assert await it.told() == []
    (tmp_path / "a").unlink()
    assert await it.told() == ["removed a"]


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "a//b", "./a", "a**", ""])
def test_a_pattern_stays_below_the_directory(pattern: str) -> None:
    with pytest.raises(ValidationError):
        FilesSettings.model_validate({"directory": "/x", "include": [pattern]})


PRINTS = st.builds(Print, st.integers(1, 4), st.integers(0, 1), st.integers(0, 1))
LOOKS = st.dictionaries(st.sampled_from("abcd"), PRINTS, max_size=4)


@given(LOOKS, LOOKS)
def test_the_differences_lead_from_one_look_to_the_next(
    before: dict[str, Print], now: dict[str, Print]
) -> None:
    known = dict(before)
    found = differences(before, now)
    for one in found:
        take(known, one)
    assert known == now
    assert len({one.path for one in found}) == len(found)
    assert {one.path for one in found if one.event == "removed"} <= before.keys() - now.keys()
