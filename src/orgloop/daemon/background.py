"""The daemon in the background: started until it answers, stopped until it is gone."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from orgloop.daemon.supervisor import daemon_command
from orgloop.errors import DaemonError
from orgloop.project.home import DaemonInfo, Home, announced_daemon, running_daemon, running_supervisor

READY_WITHIN: Final = 30.0
"""Seconds that a daemon in the background gets until it answers."""

GONE_WITHIN: Final = 15.0
"""Seconds that a daemon gets to end."""

LOOK: Final = 0.02
"""Seconds between two looks at whether it does, or has."""


def start_daemon(home: Home, arguments: Sequence[str], environ: Mapping[str, str]) -> DaemonInfo:
    """Start a daemon of its own session with this command line; returns once it answers.

    Raises DaemonError, with the last lines of its log, if it does not.
    """
    home.ensure()
    log_file = home.logs / "daemon.log"
    # An agent may start us: its run must neither end us with itself, nor count us as a part of it.
    environment = {name: value for name, value in environ.items() if name != "ORGLOOP_RUN_ID"}
    with home.writing():
        log = open(log_file, "ab", opener=_open_log)  # noqa: SIM115
    with log:
        written = log.tell()
        child = subprocess.Popen(
            daemon_command(arguments),
            env=environment | {"ORGLOOP_DAEMON": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    info = _until_ready(home, child)
    if info is not None:
        return info
    alive = child.poll() is None
    what = f"has not answered within {READY_WITHIN:.0f} s" if alive else "did not start"
    last = _last_lines(log_file, written)
    raise DaemonError(
        f"the daemon {what}" + (f":\n{last}" if last else ""),
        # On a full disk it cannot even say why.
        hint=f"its log is {log_file}" + ("" if last else "; in the foreground, `orgloop start` says more"),
    )


def _open_log(path: str, flags: int) -> int:
    # A pipe that nobody reads is refused, not waited for.
    return os.open(path, flags | os.O_NONBLOCK, 0o600)


def _until_ready(home: Home, child: subprocess.Popen[bytes]) -> DaemonInfo | None:
    """The daemon, once it serves; None if its process ends, or takes too long."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        info = announced_daemon(home)
        if info is not None or ended:
            return info
        time.sleep(LOOK)
    return None


def _last_lines(path: Path, start: int, count: int = 8) -> str:
    """What was written since a byte, indented."""
    lines = path.read_bytes()[start:].decode("utf-8", "replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-count:])


def stop_daemon(home: Home, *, force: bool = False) -> None:
    """End it, and who would start it again; return when both are gone. Raises DaemonError if one stays."""
    processes = _processes(home)
    try:
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                if force:
                    one.kill()
                elif one.ppid() not in [other.pid for other in processes]:
                    # A supervisor hands the signal on, once: a second one would end the daemon on the spot.
                    one.terminate()
            with suppress(psutil.NoSuchProcess):
                # A suspended process hears of nothing before it goes on.
                one.resume()
    except psutil.AccessDenied as exc:
        raise DaemonError(
            f"the daemon (pid {processes[-1].pid}) belongs to another user", hint="stop it as that user"
        ) from exc
    if not _until_gone(processes):
        raise DaemonError(
            f"the daemon (pid {processes[-1].pid}) has not ended within {GONE_WITHIN:.0f} s",
            hint="`orgloop stop --force` kills it; the next start recovers everything",
        )


def _processes(home: Home) -> list[psutil.Process]:
    """The supervisor, what it has just started, and the daemon, as far as they are there."""
    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        if (pid := running_supervisor(home)) is not None:
            found.append(psutil.Process(pid))
            found += found[0].children()
    with suppress(psutil.Error):
        if (info := running_daemon(home)) is not None and info.pid not in [one.pid for one in found]:
            daemon = psutil.Process(info.pid)
            found += [*_supervisor_of(daemon), daemon]
    return found


def _supervisor_of(daemon: psutil.Process) -> Sequence[psutil.Process]:
    """Who would start it again though the home does not say so."""
    parent = daemon.parent()
    with suppress(psutil.Error):
        if parent is not None and {"orgloop", "start", "--supervised"} <= set(parent.cmdline()):
            return [parent]
    return []


def _until_gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether all of them end in time."""
    deadline = time.monotonic() + GONE_WITHIN
    while not all(_is_gone(one) for one in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True


def _is_gone(process: psutil.Process) -> bool:
    """Also if whoever started it has not asked how it ended: then nothing but its number is left."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
