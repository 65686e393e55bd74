"""The home: the one directory that holds a daemon's state, and what it says about that daemon."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from orgloop.errors import DaemonError, OrgLoopError

PORT: Final = 4800
LARGEST: Final = 1_000_000
"""Bytes of a file in the home that are read; none of ours is that large."""

_SLACK_MS: Final = 2_000
"""How far the system's own record of a process's start may be off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonInfo:
    """daemon.json: the daemon that serves this home.

    `started_at` is in milliseconds since 1970, `root` the project's directory. `process` is what
    `mark_of` says about it.
    """

    pid: int
    started_at: int
    port: int
    project: str
    root: str
    version: str
    process: str = ""


def is_suspended(daemon: DaemonInfo) -> bool:
    """Whether its process is stopped, as by `kill -STOP`: it does nothing until it is told to go on."""
    import psutil

    with suppress(psutil.Error):
        return bool(psutil.Process(daemon.pid).status() == psutil.STATUS_STOPPED)
    return False


def go_on_command(daemon: DaemonInfo) -> str:
    """Lets a suspended daemon go on."""
    return f"kill -CONT {daemon.pid}"


@dataclass(frozen=True, slots=True)
class Home:
    """`$ORGLOOP_HOME`: paths in it. Nothing is created before `ensure`."""

    path: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Home:
        """`$ORGLOOP_HOME`, else ~/.orgloop."""
        named = environ.get("ORGLOOP_HOME")
        return cls(Path(named).expanduser().absolute() if named else Path.home() / ".orgloop")

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    @property
    def token(self) -> Path:
        return self.path / "token"

    @property
    def daemon_file(self) -> Path:
        return self.path / "daemon.json"

    @property
    def supervisor_file(self) -> Path:
        return self.path / "supervisor.json"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    @property
    def dismissed(self) -> Path:
        return self.path / "dismissed.json"

    @property
    def room(self) -> int | None:
        """Bytes that are left on its disk; None if the system does not say."""
        try:
            found = os.statvfs(self.path)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def ensure(self) -> None:
        """Create it, for its owner only. Raises OrgLoopError."""
        with self.writing():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.path.stat().st_mode
            if mode & stat.S_ISVTX:
                # To take such a place for ourselves, as root could, would take it from all others.
                raise OrgLoopError(
                    f"the home {self.path} is a directory of everybody",
                    hint=f"choose one of its own: ORGLOOP_HOME={self.path / 'orgloop'}",
                )
            self.require_own()
            if mode & 0o077:
                self.path.chmod(0o700)
            for directory in (self.runs, self.logs, self.spool):
                directory.mkdir(mode=0o700, exist_ok=True)

    def require_own(self) -> None:
        """Raise OrgLoopError if the home belongs to another user, who could read and change all of it."""
        try:
            owner = self.path.stat().st_uid
        except OSError:
            return
        if owner != os.geteuid():
            raise OrgLoopError(
                f"the home {self.path} belongs to another user (uid {owner}, this is {os.geteuid()})",
                hint="run OrgLoop as that user, or choose a home of your own with ORGLOOP_HOME",
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write to it within. Raises OrgLoopError if the system does not let us."""
        try:
            yield
        except OSError as exc:
            raise OrgLoopError(
                f"the home {self.path} cannot be used: {exc.strerror or exc}",
                hint="make it writable, and free some space; or choose another with ORGLOOP_HOME",
            ) from exc

    def read_token(self) -> str | None:
        """The token for /control; None if no daemon has ever made one. Raises OrgLoopError."""
        self.require_own()
        try:
            return read_file(self.token).decode("ascii").strip() or None
        except FileNotFoundError:
            return None
        except NotAFile as exc:
            raise DaemonError(
                str(exc), hint=f"type `rm -r {shlex.quote(str(self.token))}`, then `orgloop restart`"
            ) from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise OrgLoopError(
                f"the token {self.token} cannot be read: {exc}",
                hint="it belongs to the user who runs the daemon; set ORGLOOP_HOME to a home of your own",
            ) from exc

    def make_token(self) -> str:
        """The token, made if there is none. Raises OrgLoopError."""
        if (known := self.read_token()) is not None:
            return known
        token = secrets.token_urlsafe(32)
        with self.writing():
            replace_file(self.token, token + "\n")
        return token

    def write_daemon(self, info: DaemonInfo) -> None:
        """Say that this daemon serves the home. Raises OrgLoopError."""
        with self.writing():
            replace_file(self.daemon_file, json.dumps(asdict(info), indent=2) + "\n")

    def forget_daemon(self, pid: int) -> None:
        """Take back what `write_daemon` said, if it was this process that said it."""
        # One that cannot be taken back counts for nothing all the same.
        with suppress(OSError, DaemonError):
            info = self.read_daemon()
            if info is not None and info.pid == pid:
                self.daemon_file.unlink(missing_ok=True)

    @contextmanager
    def supervised(self) -> Iterator[None]:
        """Say within that this process starts a crashed daemon again. Raises OrgLoopError."""
        me = {"pid": os.getpid(), "started_at": int(time.time() * 1000), "process": mark_of(os.getpid())}
        self.ensure()
        with self.writing():
            replace_file(self.supervisor_file, json.dumps(me) + "\n")
        try:
            yield
        finally:
            with suppress(OSError):
                self.supervisor_file.unlink()

    def read_daemon(self) -> DaemonInfo | None:
        """What daemon.json says, true or not; None if there is none, or if it says something else.

        Raises DaemonError if it is a pipe, a directory or a device.
        """
        try:
            document = json.loads(read_file(self.daemon_file))
            known = {name: kind(document[name]) for name, kind in _FIELDS.items()}
            return DaemonInfo(**known, process=str(document.get("process", "")))
        except NotAFile as exc:
            holder = holder_of(self)
            ended = f", end {holder}" if holder else ""
            raise DaemonError(
                f"{exc}, so the daemon of this home is unknown",
                hint=f"type `rm -r {shlex.quote(str(self.daemon_file))}`{ended}, and type `orgloop start`",
            ) from exc
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


_FIELDS: Final[Mapping[str, type]] = {
    "pid": int,
    "started_at": int,
    "port": int,
    "project": str,
    "root": str,
    "version": str,
}


def running_daemon(home: Home) -> DaemonInfo | None:
    """The daemon that serves this home now, or None. A stale daemon.json counts for nothing.

    One that is gone or garbled hides no daemon: the system tells who holds the journal, and the journal the
    rest. Raises DaemonError if it is a pipe, a directory or a device, and no daemon is found.
    """
    try:
        return announced_daemon(home) or _unannounced_daemon(home)
    except DaemonError:
        if (found := _unannounced_daemon(home)) is not None:
            return found
        raise


def announced_daemon(home: Home) -> DaemonInfo | None:
    """The daemon that runs and says so in daemon.json: it answers. Raises as `Home.read_daemon`."""
    info = home.read_daemon()
    if info is None or info.pid <= 0:
        return None
    return info if _is_alive(info.pid, info.process, info.started_at) else None


def _unannounced_daemon(home: Home) -> DaemonInfo | None:
    from orgloop.journal.lock_owner import lock_holder

    if (pid := lock_holder(home.path)) is None:
        return None
    from orgloop.journal.backend import open_reader  # takes long, and nearly nobody comes by here

    try:
        with closing(open_reader(home.path)) as reader:
            lives, applied = reader.daemons(1), reader.applied()
    except OrgLoopError:
        return None
    life = lives[0] if lives else None
    if life is None or applied is None or (life.pid, life.ended_at) != (pid, None) or life.port is None:
        return None  # It begins, ends, or is another command.
    return DaemonInfo(
        pid=pid,
        started_at=life.started_at,
        port=life.port,
        project=applied.project,
        root=applied.root,
        version=life.version,
        process=mark_of(pid),
    )


def running_supervisor(home: Home) -> int | None:
    """The process that starts this home's daemon again whenever it crashes, or None."""
    try:
        document = json.loads(read_file(home.supervisor_file))
        pid, process, started_at = int(document["pid"]), str(document["process"]), int(document["started_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if pid > 0 and _is_alive(pid, process, started_at) else None


def mark_of(pid: int) -> str:
    """Which process this is, of all that ever had its number; empty if it has ended, or if nobody tells.

    A time would not do: clocks are set, and then every process seems to have begun at another one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        # Behind the name, which may hold anything: the state, and as the 20th when it began, since the boot.
        facts = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if facts[0] in (b"Z", b"X") else f"{boot} {facts[19].decode()}"


def _is_alive(pid: int, mark: str, started_at: int) -> bool:
    """Whether the process lives that said this about itself."""
    if mark:
        return mark_of(pid) == mark
    import psutil  # most commands look only at paths

    try:
        process = psutil.Process(pid)
        # It is older than what it said; whoever got its number later is younger.
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.create_time() * 1000 <= started_at + _SLACK_MS
        )
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def wanted_port(environ: Mapping[str, str]) -> int:
    """`$ORGLOOP_PORT`, else 4800; 0 lets the system choose. Raises OrgLoopError if it is no port."""
    port = port_of(environ, "ORGLOOP_PORT")
    return PORT if port is None else port


def port_of(environ: Mapping[str, str], name: str) -> int | None:
    """The port that this variable names, None if it is not set. Raises OrgLoopError if it is no port."""
    text = environ.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise OrgLoopError(
            f"{name} is {text!r}, not a port", hint="set it to a number from 1 to 65535, or unset it"
        )
    return int(text)


class NotAFile(OSError):
    """A pipe, a directory or a device is where a file should be."""


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading without waiting for anybody. Raises OSError, NotAFile if it is none."""
    # Opening a pipe waits for somebody who writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFile(f"{path} is not a file")
    return os.fdopen(descriptor, "rb")


def read_file(path: Path) -> bytes:
    """A small file of the home. Raises as `open_file`."""
    with open_file(path) as file:
        return file.read(LARGEST)


def replace_file(path: Path, content: str, mode: int = 0o600) -> None:
    """Write a file as a whole: it is the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def holder_of(home: Home) -> str:
    """Who holds the home's journal, if anybody does: a daemon that starts or ends, or another command."""
    from orgloop.journal.lock_owner import lock_holder

    pid = lock_holder(home.path)
    try:
        document = json.loads(read_file(home.path / "journal.lock"))
        named, what = int(document["pid"]), str(document["what"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"process {pid}" if pid is not None else ""
    if pid not in (None, named):
        return f"process {pid}"
    # A process that was killed keeps its number until its parent has heard of its end, but holds nothing.
    return f"{what} (pid {named})" if pid is not None or _is_alive(named, "", sys.maxsize) else ""
