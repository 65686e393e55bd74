"""Watching a runner from outside: is it alive, when does it end, and what did it leave behind?"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Thread
from typing import Final

import psutil

from orgloop import runner
from orgloop.runtime.runs.local import run_directory

PROGRAM: Final = str(Path(runner.__file__).with_name("start.py"))

POLL: Final = 0.25
"""Seconds between two looks at a runner, where the system cannot tell of its end."""

GRACE: Final = 5.0
"""Seconds that what a dead runner left behind gets to end by itself."""

LOOK: Final = 0.02
"""Seconds between two looks at whether it has."""


class Fate(Enum):
    """What a run directory says about its run once no runner is alive."""

    ENDED = "ended"
    """There is an exit record."""
    NEVER_STARTED = "never started"
    """No agent ever ran, and none will."""
    LOST = "lost"
    """It began, and nobody saw its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerExit:
    """A run's fate; `record` is the exit record if there is one."""

    fate: Fate
    record: run_directory.ExitRecord | None = None


def spawn(directory: Path, lock: int | None = None) -> subprocess.Popen[bytes]:
    """Start the runner in a session of its own. It holds `lock` as long as it lives. Raises OSError.

    If an agent started this daemon, the runner must not pass for a part of that agent's run.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", PROGRAM, str(directory)],
        stdin=subprocess.DEVNULL if lock is None else lock,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != "ORGLOOP_RUN_ID"},
        start_new_session=True,
    )


def let_go(runner: subprocess.Popen[bytes]) -> None:
    """The runner outlives this runtime, and its end will be in the run's directory.

    Should this process outlive the runner, it leaves no zombie.
    """
    if runner.poll() is None:
        Thread(target=runner.wait, name=f"runner {runner.pid}", daemon=True).start()


async def until_gone(directory: Path, spawned: subprocess.Popen[bytes] | None) -> None:
    """Return when no runner holds the directory. `spawned` is the runner, if this process started it."""
    pid = spawned.pid if spawned is not None else runner_pid(directory)
    descriptor = _process_descriptor(pid)
    if descriptor is not None:
        try:
            # Opened first, asked second: if the lock is held now, the descriptor is the runner's.
            if spawned is not None or is_held(directory):
                await _readable(descriptor)
        finally:
            os.close(descriptor)
    # Nothing tells of a flock that is let go, so this is asked again and again.
    while _is_alive(directory, spawned):  # noqa: ASYNC110
        await asyncio.sleep(POLL)


def _is_alive(directory: Path, spawned: subprocess.Popen[bytes] | None) -> bool:
    return spawned.poll() is None if spawned is not None else is_held(directory)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)


def is_held(directory: Path) -> bool:
    """Whether a runner is alive in there."""
    lock = _take_lock(directory)
    if lock is None:
        return True
    os.close(lock)
    return False


def seems_alive(directory: Path) -> bool:
    """Whether the runner's process is there. For those who only look: to take the lock could keep one off."""
    if (directory / runner.EXIT).exists():
        return False
    child = run_directory.child_record(directory)
    return child is not None and _same_boot(child.boot_id) and psutil.pid_exists(child.runner_pid)


async def conclude(directory: Path, spawned: subprocess.Popen[bytes] | None = None) -> RunnerExit | None:
    """The fate of a run whose runner is gone; None if one is alive after all.

    A run that never started is cancelled for good, under the lock, so that a late runner does
    nothing. What a killed runner left behind is ended. Where the directory was emptied or deleted,
    nobody knows whether the run began: it is taken for one that did.
    """
    lock = _take_lock(directory)
    if lock is None:
        return None
    try:
        record = run_directory.exit_record(directory)
        if record is not None:
            if spawned is None or spawned.returncode != runner.ENDED:
                # The run may have written that itself and killed its runner: nobody has ended it then.
                await _end_leftovers(directory)
            return RunnerExit(fate=Fate.ENDED, record=record)
        if not (directory / runner.STARTED).exists() and (directory / runner.STDIN).exists():
            run_directory.cancel(directory)
            return RunnerExit(fate=Fate.NEVER_STARTED)
        await _end_leftovers(directory)
        (directory / runner.SPEC).unlink(missing_ok=True)
        return RunnerExit(fate=Fate.LOST)
    finally:
        os.close(lock)


def request_stop(directory: Path) -> None:
    """Ask the runner to end its run softly, by a file and, if its pid is known, by a signal.

    Raises OSError if neither reaches it.
    """
    process = runner_of(directory)
    try:
        (directory / runner.STOP).touch(mode=0o600)
    except OSError:
        if process is None:
            raise
    if process is not None and is_held(directory):
        with suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)


def runner_pid(directory: Path) -> int | None:
    """The runner's pid, once its program runs."""
    process = runner_of(directory)
    return process.pid if process is not None else None


def runner_of(directory: Path) -> psutil.Process | None:
    """The runner's process. The run may have written another pid: a stranger gets no signal of ours."""
    child = run_directory.child_record(directory)
    if child is None:
        return None
    with suppress(psutil.Error, OSError, OverflowError):
        process = psutil.Process(child.runner_pid)
        if os.fspath(directory) in process.cmdline()[-1:]:
            return process
    return None


def wake_up(directory: Path, spawned: subprocess.Popen[bytes] | None) -> bool:
    """Let a runner go on that somebody has stopped: it keeps no limit meanwhile. Returns whether it was."""
    try:
        process = psutil.Process(spawned.pid) if spawned is not None else runner_of(directory)
        if process is None or process.status() != psutil.STATUS_STOPPED or not is_held(directory):
            return False
        process.send_signal(signal.SIGCONT)
    except (psutil.Error, OSError):
        return False
    return True


def _take_lock(directory: Path) -> int | None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / runner.LOCK
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        lock = os.open(path, flags, 0o600)
    except OSError as exc:
        if exc.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        # The run has put something else there, so nobody can tell that its runner lives: its own loss.
        path.rename(path.with_name(f"{runner.LOCK}.{time.time_ns()}"))
        lock = os.open(path, flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _process_descriptor(pid: int | None) -> int | None:
    if pid is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


async def _end_leftovers(directory: Path) -> None:
    """End what still lives of a run whose runner is gone."""
    child = run_directory.child_record(directory)
    if child is not None and not _same_boot(child.boot_id):
        return
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        # Looked for again each time: what was about to fork, or to become another program, shows then.
        left = _leftovers(directory.name, child)
        if not left:
            return
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(number)
        await asyncio.to_thread(_until_ended, left)


def _leftovers(run_id: str, child: run_directory.ChildRecord | None) -> list[psutil.Process]:
    """What is in the program's session, or carries the run's id in its environment; never ourselves.

    The one finds what forgot its environment, the other what made a session of its own, and a
    program that died with its runner before it was recorded.
    """
    ours = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            related = _is_of_session(process, child) or _carries(process, run_id)
            if related and process.pid not in ours and _runs(process):
                found.append(process)
    return found


def _until_ended(processes: Sequence[psutil.Process]) -> None:
    """Wait until none of them runs any more, for `GRACE` seconds at most."""
    deadline = time.monotonic() + GRACE
    while any(_runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(LOOK)


def _runs(process: psutil.Process) -> bool:
    """A zombie does not: some first processes of containers never ask how an orphan ended."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _is_of_session(process: psutil.Process, child: run_directory.ChildRecord | None) -> bool:
    """Not older than the run, either: a reused number does not hit a stranger."""
    if child is None or os.getsid(process.pid) != child.pid:
        return False
    return bool(process.create_time() >= child.started_at - 2)


def _carries(process: psutil.Process, run_id: str) -> bool:
    return bool(process.environ().get("ORGLOOP_RUN_ID") == run_id)


def _same_boot(recorded: str | None) -> bool:
    if recorded is None:
        return True
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() == recorded
    except OSError:
        return True
