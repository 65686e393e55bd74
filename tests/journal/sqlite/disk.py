"""A disk that keeps a diary and fails when it is told to: a VFS over the usual one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import apsw


@dataclass(slots=True)
class Disk:
    """`diary` has what was done to which file: `write -wal`, `sync -wal`, `write db`."""

    name: str
    diary: list[str] = field(default_factory=list)
    fail_sync: type[apsw.Error] | None = None
    fail_write: type[apsw.Error] | None = None
    fail_open: bool = False


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._kind = next((end for end in ("-wal", "-journal") if path.endswith(end)), "db")

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.fail_write is not None:
            raise self._disk.fail_write("told to fail")
        self._disk.diary.append(f"write {self._kind}")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self._disk.fail_sync is not None:
            raise self._disk.fail_sync("told to fail")
        self._disk.diary.append(f"sync {self._kind}")
        super().xSync(flags)


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> _File:
        if self._disk.fail_open:
            raise apsw.CantOpenError("told to fail")
        return _File(self._disk, name, flags)


@contextmanager
def diary_disk(name: str) -> Generator[Disk]:
    """A disk by this name, for as long as it is used."""
    disk = Disk(name)
    vfs = _Vfs(disk)
    try:
        yield disk
    finally:
        vfs.unregister()
