"""file: JSON lines, rotation, and disks that say no."""

from __future__ import annotations

import gzip
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
from pydantic import ValidationError

from orgloop.core.records.record import Record, RecordPhase
from orgloop.loggers import file
from orgloop.loggers.file import FileLogger, FileSettings, Rotation, logger

AT: Final = 1_772_359_200_123
STAMP: Final = "2026-03-01T10-00-00-123Z"
DAY: Final = 86_400_000


def record(number: int = 0, **more: Any) -> Record:
    return Record(at=AT + number, phase=RecordPhase.DELIVER_SUCCESS, event_id=f"evt_{number}", **more)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ids(path: Path) -> list[str]:
    return [line["event_id"] for line in lines(path)]


def make(path: Path, now: Callable[[], int] = lambda: AT, **rotation: Any) -> FileLogger:
    return FileLogger(path, Rotation.model_validate(rotation), now)


def time_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_record_is_a_line_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "orgloop.log"
    log = make(path)
    log.write([record(1, route="pr-review", duration_ms=2.5), record(2)])
    assert lines(path) == [
        {
            "timestamp": "2026-03-01T10:00:00.124Z",
            "level": "info",
            "phase": "deliver.success",
            "event_id": "evt_1",
            "trace_id": "",
            "route": "pr-review",
            "duration_ms": 2.5,
        },
        {
            "timestamp": "2026-03-01T10:00:00.125Z",
            "level": "info",
            "phase": "deliver.success",
            "event_id": "evt_2",
            "trace_id": "",
        },
    ]
    log.close()


def test_a_new_logger_appends(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    for number in range(2):
        log = make(path)
        log.write([record(number)])
        log.close()
    assert ids(path) == ["evt_0", "evt_1"]


def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "x.log"
    make(path, max_size=1).write([record()])
    make(path).write([record()])
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert modes == {"x.log": 0o600, f"x.log.{STAMP}.gz": 0o600}


def test_what_json_cannot_hold_is_written_all_the_same(tmp_path: Path) -> None:
    log = make(tmp_path / "x.log")
    log.write([record(1, error="half \ud800"), record(2, metadata={"n": 2**70, "p": Path("a")}), record(3)])
    first, second, third = lines(tmp_path / "x.log")
    assert first["error"] == "half \ufffd"
    assert second["metadata"] == {"n": 2**70, "p": "a"}
    assert third["event_id"] == "evt_3"


def test_a_full_file_is_rotated_and_compressed(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = make(path, max_size="200B")
    log.write([record(1)])
    assert ids(path) == ["evt_1"]
    log.write([record(2)])
    assert [entry.name for entry in tmp_path.iterdir()] == [f"x.log.{STAMP}.gz"]
    with gzip.open(tmp_path / f"x.log.{STAMP}.gz", "rt") as old:
        assert [json.loads(line)["event_id"] for line in old] == ["evt_1", "evt_2"]
    log.write([record(3)])
    assert ids(path) == ["evt_3"]


def test_rotated_files_stay_plain_without_compress(tmp_path: Path) -> None:
    make(tmp_path / "x.log", max_size=1, compress=False).write([record(1)])
    assert ids(tmp_path / f"x.log.{STAMP}") == ["evt_1"]


def test_two_rotations_in_one_millisecond_are_two_files(tmp_path: Path) -> None:
    log = make(tmp_path / "x.log", max_size=1)
    for number in range(3):
        log.write([record(number)])
    assert len(list(tmp_path.glob("x.log.*.gz"))) == 3


def test_only_the_newest_rotated_files_stay(tmp_path: Path) -> None:
    clock = iter(range(AT, AT + 10**9, 1000))
    log = make(tmp_path / "x.log", lambda: next(clock), max_size=1, max_files=2, compress=False)
    for number in range(5):
        log.write([record(number)])
    kept = sorted(tmp_path.glob("x.log.*"))
    assert [ids(path) for path in kept] == [["evt_3"], ["evt_4"]]


def test_old_rotated_files_go(tmp_path: Path) -> None:
    old, young = tmp_path / "x.log.2026-02-21T09-59-59-000Z.gz", tmp_path / "x.log.2026-02-23T10-00-01-000Z"
    for path in (old, young):
        path.touch()
    make(tmp_path / "x.log", max_size=1, max_age="7d").write([record()])
    assert not old.exists()
    assert young.exists()


def test_files_that_are_only_called_alike_stay(tmp_path: Path) -> None:
    alike = [
        "x.log.bak",
        "x.log.1",
        "x.log.2020-01-01",
        "x.log.2020-01-01T00-00-00-000Z.gz.old",
        "y.x.log.2020-01-01T00-00-00-000Z",
        "xxlog.2020-01-01T00-00-00-000Z",
    ]
    for name in alike:
        (tmp_path / name).touch()
    make(tmp_path / "x.log", max_size=1, max_files=1).write([record()])
    assert {path.name for path in tmp_path.iterdir()} >= set(alike)


def test_a_file_that_somebody_moved_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = make(path)
    log.write([record(1)])
    path.rename(tmp_path / "moved")
    log.write([record(2)])
    path.unlink()
    log.write([record(3)])
    assert ids(tmp_path / "moved") == ["evt_1"]
    assert ids(path) == ["evt_3"]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Sets how many more bytes the disk takes; None is without end."""
    room: list[int | None] = [None]
    write = os.write

    def limited(fd: int, data: bytes) -> int:
        if room[0] is None:
            return write(fd, data)
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        written = write(fd, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("os.write", limited)
    return lambda size: room.__setitem__(0, size)


@pytest.mark.parametrize("room", [0, 1, 50, 130])
def test_a_full_disk_raises_and_loses_nothing(
    tmp_path: Path, disk: Callable[[int | None], None], room: int
) -> None:
    path = tmp_path / "x.log"
    log = make(path)
    disk(room)
    with pytest.raises(OSError, match="No space left"):
        log.write([record(1), record(2)])
    with pytest.raises(OSError, match="No space left"):
        log.write([record(3)])
    disk(None)
    log.write([record(4)])
    assert ids(path) == ["evt_1", "evt_2", "evt_3", "evt_4"]


def test_what_is_held_is_written_when_it_closes(tmp_path: Path, disk: Callable[[int | None], None]) -> None:
    log = make(tmp_path / "x.log")
    disk(10)
    with pytest.raises(OSError, match="No space left"):
        log.write([record(1)])
    disk(None)
    log.close()
    assert ids(tmp_path / "x.log") == ["evt_1"]


def test_what_is_held_is_bounded(
    tmp_path: Path, disk: Callable[[int | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "MAX_UNWRITTEN", 500)
    log = make(tmp_path / "x.log")
    disk(0)
    for number in range(100):
        with pytest.raises(OSError, match="No space left"):
            log.write([record(number)])
    disk(None)
    log.write([record(100)])
    kept = ids(tmp_path / "x.log")
    assert kept == [*(f"evt_{number}" for number in range(len(kept) - 1)), "evt_100"]
    assert 3 <= len(kept) <= 8


def test_a_folder_that_cannot_be_made_raises_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    log = make(tmp_path / "logs" / "x.log")
    with pytest.raises(OSError, match=r"exists|directory"):
        log.write([record(1)])
    (tmp_path / "logs").unlink()
    log.write([record(2)])
    assert ids(tmp_path / "logs" / "x.log") == ["evt_1", "evt_2"]


def test_loggers_that_share_a_path_lose_and_double_no_line(tmp_path: Path) -> None:
    """Each rotates what the other writes to: two daemons, or an old and a new logger at a reload."""
    path, each = tmp_path / "x.log", 300
    failures: list[OSError] = []

    def work(name: str) -> None:
        log = make(path, time_ms, max_size=5_000, max_files=1_000)
        for number in range(each):
            try:
                log.write([Record(at=AT, phase=RecordPhase.DELIVER_SUCCESS, event_id=f"{name}{number}")])
            except OSError as exc:
                failures.append(exc)
        log.close()

    threads = [Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    packed = [gzip.decompress(entry.read_bytes()) for entry in tmp_path.glob("*.gz")]
    left = path.read_bytes() if path.exists() else b""
    found = [json.loads(line)["event_id"] for line in b"".join([*packed, left]).splitlines()]
    assert sorted(found) == sorted(f"{name}{number}" for name in "ab" for number in range(each))
    assert failures == []
    assert len(packed) > 5


def test_what_a_crash_left_half_packed_goes_with_the_old_ones(tmp_path: Path) -> None:
    left = tmp_path / f"x.log.{STAMP}.gz.partial"
    left.write_bytes(b"half")
    make(tmp_path / "x.log", lambda: AT + 8 * DAY, max_size=1).write([record()])
    assert not left.exists()


def test_a_directory_is_no_log_file(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is a directory: name a file in it"):
        FileSettings.model_validate({"path": "."}, context={"base": tmp_path, "project": tmp_path})


def test_a_failing_compression_leaves_the_rotated_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    log = make(tmp_path / "x.log", max_size=1)
    with monkeypatch.context() as broken:
        broken.setattr("shutil.copyfileobj", fail)
        with pytest.raises(OSError, match="No space left"):
            log.write([record(1)])
    log.write([record(2)])
    assert ids(tmp_path / f"x.log.{STAMP}") == ["evt_1"]
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "home/logs/orgloop.log"),
        ({"path": "~/o.log"}, "user/o.log"),
        ({"path": "o.log"}, "project/loggers/o.log"),
        ({"path": "/var/o.log"}, "/var/o.log"),
    ],
)
def test_where_the_file_is(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], expected: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    context = {"base": tmp_path / "project/loggers", "project": tmp_path / "project"}
    opened = logger.open(FileSettings.model_validate(config, context=context))
    assert isinstance(opened, FileLogger)
    assert opened.path == tmp_path / expected


def test_without_a_home_the_file_is_in_the_usual_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ORGLOOP_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    opened = logger.open(FileSettings())
    assert isinstance(opened, FileLogger)
    assert opened.path == tmp_path / ".orgloop/logs/orgloop.log"


def test_keys_of_older_files_are_taken_and_named_as_without_effect() -> None:
    settings = FileSettings.model_validate(
        {
            "format": "jsonl",
            "rotation": {"max_size": "100MB", "max_age": "7d", "max_files": 10, "compress": True},
            "buffer": {"size": 100, "flush_interval": "1s"},
            "rotate": {"max_size": "1MB"},
        }
    )
    assert settings.rotation == Rotation() == Rotation(max_size=100 * 1024**2, max_age=7 * DAY)
    assert FileSettings.without_effect() == {"buffer", "rotate"}


@pytest.mark.parametrize(
    "config",
    [
        {"format": "text"},
        {"rotation": {"max_size": 0}},
        {"rotation": {"max_files": 0}},
        {"rotation": {"maxsize": "1MB"}},
        {"file": "x"},
    ],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FileSettings.model_validate(config)


@pytest.mark.parametrize(
    ("first", "written"),
    [
        (None, ["source.emit", "route.match", "deliver.success", "run.ended"]),
        ("route.match", ["route.match", "deliver.success", "run.ended"]),
        ("deliver", ["deliver.success", "run.ended"]),
        ("system", []),
    ],
)
def test_records_of_phases_before_the_first_are_left_out(
    first: str | None, written: list[str], tmp_path: Path
) -> None:
    phases = ("source.emit", "route.match", "deliver.success", "run.ended")
    path = tmp_path / "log"
    opened = logger.open(FileSettings.model_validate({"path": str(path), "filter": {"min_phase": first}}))
    opened.write([Record(at=AT, phase=RecordPhase(phase)) for phase in phases])
    opened.close()
    assert [one["phase"] for one in lines(path)] == written


def test_a_first_phase_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be a phase"):
        FileSettings.model_validate({"filter": {"min_phase": "loud"}})
