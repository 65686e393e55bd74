"""A helper process for work that may never end: jq programs, and regular expressions that are not linear.

One helper per step, started when it is first asked, ended and started anew when it gives no
answer in time. It runs `helper_program.py`, which knows nothing of OrgLoop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from orgloop.plugin import (
    dump_json,
    humanize,
    load_json,
    started,
)

PROGRAM: Final = Path(__file__).with_name("helper_program.py")

_FRAME: Final = struct.Struct(">I")
_START_S: Final = 30.0
_DIED: Final = "the helper process ended; too much memory, or a fault in its engine"


class HelperFailed(Exception):
    """The helper gave no result; the message says why, for people."""


class Helper:
    """Asks one at a time. `task` says what the helper does for its whole life; see `helper_program.py`."""

    def __init__(self, task: Mapping[str, Any], timeout_ms: int) -> None:
        self._task = {**task, "limit_s": timeout_ms / 1000}
        self._timeout_ms = timeout_ms
        self._process: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, request: bytes) -> Any:
        """The helper's answer, JSON decoded, to a request in JSON.

        Raises HelperFailed. What was asked may then be asked again: a new helper answers.
        """
        async with self._one_at_a_time:
            process = await self._running()
            answered = False
            try:
                async with asyncio.timeout(self._timeout_ms / 1000):
                    answer = await _exchange(process, request)
                answered = True
            except TimeoutError as exc:
                raise HelperFailed(f"no result within {humanize(self._timeout_ms)}") from exc
            finally:
                # Also when cancelled: the late answer must not meet the next question.
                if not answered:
                    await self.close()
        return _result(answer)

    async def close(self) -> None:
        """End the helper, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.close()
        process = await _start()
        try:
            async with asyncio.timeout(_START_S):
                _result(await _exchange(process, dump_json(self._task)))
        except BaseException as exc:
            await _end(process)
            if isinstance(exc, TimeoutError):
                raise HelperFailed(f"the helper process did not start within {_START_S:.0f}s") from exc
            raise
        self._process = process
        return process


def check(task: Mapping[str, Any]) -> None:
    """Whether a helper could do this, tried out in one. Blocks for some 30 ms. Raises HelperFailed if not."""
    frame = dump_json({**task, "limit_s": 1})
    try:
        done = subprocess.run(
            _argv(),
            input=_FRAME.pack(len(frame)) + frame,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_env(),
            timeout=_START_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise HelperFailed(f"it is not ready within {_START_S:.0f}s") from exc
    except OSError as exc:
        raise HelperFailed(f"the helper process cannot be started: {exc}") from exc
    if len(done.stdout) <= _FRAME.size:
        raise HelperFailed(_DIED)
    _result(done.stdout[_FRAME.size :])


def _argv() -> list[str]:
    return [sys.executable, "-P", str(PROGRAM)]


def _env() -> dict[str, str]:
    """Nothing of ours but where modules are, so that jq is found however it was installed."""
    return {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


async def _start() -> asyncio.subprocess.Process:
    try:
        start = asyncio.create_subprocess_exec(
            *_argv(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_env(),
            start_new_session=True,
        )
        return await started(start, _end)
    except OSError as exc:
        raise HelperFailed(f"the helper process cannot be started: {exc}") from exc


async def _exchange(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise HelperFailed("the helper process has no pipes")
    try:
        process.stdin.write(_FRAME.pack(len(request)) + request)
        await process.stdin.drain()
        [size] = _FRAME.unpack(await process.stdout.readexactly(_FRAME.size))
        return await process.stdout.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError) as exc:
        raise HelperFailed(_DIED) from exc


def _result(answer: bytes) -> Any:
    document = load_json(answer)
    if "error" in document:
        raise HelperFailed(document["error"])
    return document["result"]


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    if process.stdout is not None:
        # asyncio waits for the end of the output too; half an answer may still be in the pipe.
        while await process.stdout.read(65536):
            pass
    await process.wait()
