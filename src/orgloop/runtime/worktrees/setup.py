"""Running the command that makes a new tree ready, and ending what an earlier daemon left at work on one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from orgloop.plugin.starting import started

MAKES: Final = "ORGLOOP_MAKES_TREE"
"""The variable by which what makes a tree is known, and found again after a crash."""

MOST_LOG: Final = 64 << 20
"""Bytes that a setup may write."""

SHOWN: Final = 2_000
"""Bytes at the end of its log that an error shows."""

LOOK: Final = 0.5
GRACE: Final = 2.0


class SetupFailed(Exception):
    """It did not succeed; the text says how it ended, and what it wrote last."""


async def run(
    command: Sequence[str], directory: str, env: Mapping[str, str], log: Path, seconds: float
) -> None:
    """Run a setup in a tree, its output in `log`. Raises SetupFailed. Cancelled, it is ended."""
    try:
        file = _new(log)
    except OSError as exc:
        raise SetupFailed(f"{log} cannot be written: {exc.strerror or exc}") from exc
    try:
        # Not through a pipe: what it leaves in the background may keep its output open for ever.
        start = asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        process = await started(start, _end)
    except (OSError, ValueError) as exc:
        raise SetupFailed(f"{command[0]} cannot be started: {getattr(exc, 'strerror', None) or exc}") from exc
    finally:
        os.close(file)
    try:
        why = await _until_ended(process, log, seconds)
    finally:
        await _end(process)
    if why:
        raise SetupFailed(f"{why}{_last_words(log)}")


def _new(path: Path) -> int:
    """A new file: a run before may keep the earlier one under a name of its own. Raises OSError."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


async def _until_ended(process: asyncio.subprocess.Process, log: Path, seconds: float) -> str:
    """Why it counts as failed; empty if it succeeded."""
    ended = asyncio.create_task(process.wait())
    try:
        async with asyncio.timeout(seconds):
            while not ended.done():
                await asyncio.wait({ended}, timeout=LOOK)
                if await asyncio.to_thread(_size, log) > MOST_LOG:
                    return f"it wrote more than {MOST_LOG >> 20} MB"
    except TimeoutError:
        return f"it did not end within {seconds:g} s"
    finally:
        ended.cancel()
    return "" if process.returncode == 0 else f"it ended with status {process.returncode}"


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it with all that it started in its session, unless it has ended by itself."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _last_words(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, _size(log) - SHOWN))
            said = file.read(SHOWN).decode("utf-8", "replace").strip()
    except OSError:
        said = ""
    return f": {said}" if said else ""


def end_leftovers(path: str) -> None:
    """End what still makes the tree at this path for a daemon that is gone."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MAKES) == path:
                process.kill()
                left.append(process)
    psutil.wait_procs(left, GRACE)
