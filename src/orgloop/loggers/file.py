"""`file`: one JSON object per line, in a file that rotates by size."""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from orgloop.plugin import (
    Duration,
    LoggerPlugin,
    ProjectPath,
    Record,
    RecordPhase,
    Settings,
    Size,
    dump_json,
    timestamp,
)

MAX_UNWRITTEN: Final = 16 * 1024**2
"""Bytes that are kept for later while the file cannot be written. Beyond it, newer records are left out."""

MOST_OPENS: Final = 10
"""How often the file may be moved away between opening and locking it."""

_ROTATED: Final = (
    r"\.([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{3}Z)(?:\.gz(?:\.partial)?)?"
)


class Rotation(Settings):
    """When the file makes room for a new one, and which old ones stay."""

    max_size: Size = Field(default=100 * 1024**2, gt=0)
    """The file is rotated once it is this large."""
    max_age: Duration = 7 * 86_400_000
    """Rotated files that are older are deleted."""
    max_files: int = Field(default=10, ge=1)
    """How many rotated files stay."""
    compress: bool = True
    """Rotated files are compressed with gzip."""


class Buffer(Settings):
    """Without effect: the engine hands over records in batches, and each batch is written at once."""

    size: int = Field(default=100, ge=1)
    """Without effect."""
    flush_interval: Duration = 1_000
    """Without effect."""


def _not_a_directory(path: Path) -> Path:
    if path.is_dir():
        raise ValueError(f"{path} is a directory: name a file in it")
    return path


def _phase(value: str) -> str:
    if not any(value in (phase, phase.partition(".")[0]) for phase in RecordPhase):
        raise ValueError(f"must be a phase, such as route.match, or its first word, not {value!r}")
    return value


class RecordFilter(Settings):
    """Which records are written."""

    min_phase: Annotated[str, AfterValidator(_phase)] | None = None
    """The first phase that is written, in the order of the page; `deliver` is `deliver.attempt`."""

    @property
    def phases(self) -> frozenset[RecordPhase]:
        """The phases that are written."""
        every = list(RecordPhase)
        first = next((one for one in every if self.min_phase in (None, one, one.partition(".")[0])), every[0])
        return frozenset(every[every.index(first) :])


class FileSettings(Settings):
    """Where the file is, and how it rotates."""

    path: Annotated[ProjectPath, AfterValidator(_not_a_directory)] | None = None
    """The file; `~` is your home directory. `$ORGLOOP_HOME/logs/orgloop.log` if absent."""
    format: Literal["jsonl"] = "jsonl"
    """The only format there is."""
    rotation: Rotation = Rotation()
    buffer: Buffer = Buffer()
    filter: RecordFilter = RecordFilter()
    rotate: Any = None
    """Without effect: the key is `rotation`."""

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset({"buffer", "rotate"})


class FileLogger:
    """Appends to `path`. `now` gives ms since 1970.

    What cannot be written is kept and written with the next records; the error is raised all the
    same, so that somebody learns of it.
    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation,
        now: Callable[[], int],
        phases: Collection[RecordPhase] = tuple(RecordPhase),
    ) -> None:
        self.path = path
        self._phases = frozenset(phases)
        self._rotation = rotation
        self._now = now
        self._file: int | None = None
        self._unwritten = b""

    def write(self, records: Sequence[Record]) -> None:
        if len(self._unwritten) >= MAX_UNWRITTEN:
            self._flush()
        self._unwritten += b"".join([_line(record) for record in records if record.phase in self._phases])
        self._flush()

    def close(self) -> None:
        try:
            self._flush()
        finally:
            self._close_file()

    def _flush(self) -> None:
        file = self._current()
        try:
            while self._unwritten:
                # Only what the disk took is forgotten: a full one may take half a line.
                written = os.write(file, self._unwritten)
                self._unwritten = self._unwritten[written:]
            rotated = self._moved_away() if os.fstat(file).st_size >= self._rotation.max_size else None
        finally:
            _lock(file, fcntl.LOCK_UN)
        if rotated is not None:
            self._close_file()
            if self._rotation.compress:
                _compress(rotated)
            self._clean_up()

    def _current(self) -> int:
        """The file at the path, locked: what another logger, or a person, has moved away is left.

        Loggers that share a path would otherwise write into what one of them is packing up.
        """
        for _ in range(MOST_OPENS):
            file = self._opened()
            _lock(file, fcntl.LOCK_EX)
            if self._is_at_path(file):
                return file
            self._close_file()
        return self._opened()

    def _opened(self) -> int:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    def _is_at_path(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _moved_away(self) -> Path:
        """The file under a name of its own; the next one is opened anew."""
        at = self._now()
        while self._is_taken(rotated := self.path.with_name(f"{self.path.name}.{_stamp(at)}")):
            at += 1
        self.path.rename(rotated)
        return rotated

    @staticmethod
    def _is_taken(rotated: Path) -> bool:
        return rotated.exists() or rotated.with_name(f"{rotated.name}.gz").exists()

    def _clean_up(self) -> None:
        """Delete rotated files that are too many or too old, and nothing else that is called alike."""
        ours = re.compile(re.escape(self.path.name) + _ROTATED)
        entries = [(ours.fullmatch(entry.name), entry) for entry in self.path.parent.iterdir()]
        rotated = sorted(((found[1], entry) for found, entry in entries if found is not None), reverse=True)
        oldest = _stamp(self._now() - self._rotation.max_age)
        for number, (stamp, entry) in enumerate(rotated):
            if number >= self._rotation.max_files or stamp < oldest:
                entry.unlink(missing_ok=True)


def _stamp(at: int) -> str:
    """A time, in a form that file systems like and that sorts."""
    return timestamp(at).replace(":", "-").replace(".", "-")


def _lock(file: int, how: int) -> None:
    """Some file systems have no locks; there, and for whoever shares no path, it goes without."""
    with suppress(OSError):
        fcntl.flock(file, how)


def _compress(rotated: Path) -> None:
    """`x` becomes `x.gz`. If that fails, `x` stays."""
    partial = rotated.with_name(f"{rotated.name}.gz.partial")
    try:
        partial.touch(mode=0o600)
        with rotated.open("rb") as source, gzip.open(partial, "wb", compresslevel=4) as target:
            shutil.copyfileobj(source, target, 1024**2)
        partial.rename(rotated.with_name(f"{rotated.name}.gz"))
    finally:
        partial.unlink(missing_ok=True)
    rotated.unlink()


def _line(record: Record) -> bytes:
    return dump_json(record.document(), default=str) + b"\n"


def _default_path() -> Path:
    home = Path(os.environ.get("ORGLOOP_HOME") or "~/.orgloop")
    return home.expanduser() / "logs" / "orgloop.log"


def _open(settings: FileSettings) -> FileLogger:
    path = settings.path if settings.path is not None else _default_path()
    return FileLogger(
        path, settings.rotation, lambda: time.time_ns() // 1_000_000, phases=settings.filter.phases
    )


logger = LoggerPlugin(name="file", title="JSON lines in a rotating file", settings=FileSettings, open=_open)
