"""One run of a program: input in, output out, and nothing left behind.

Programs are run by keepers, small processes that find and end whatever a program has started; see
`keeper_program.py`. Each runs one program at a time. There are as many as programs at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from orgloop.plugin import started

PROGRAM: Final = Path(__file__).with_name("keeper_program.py")

IDLE: Final = 4
"""Keepers that stay when they have nothing to do."""

_FRAME: Final = struct.Struct(">I")
_STOP_S: Final = 10.0
_LINGER_S: Final = 1.0
"""For what it left in the background and still holds its output."""


class TooMuch(Exception):
    """The program printed more than it may."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How it ended: exit status (negative: a signal), stdout, and the last line of its stderr.

    `status` is None if it goes on.
    """

    status: int | None
    printed: bytes
    stderr: str


class Unasked(Exception):
    """The program printed more than one line for a line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A program, without arguments, and its bounds, which are those of each line if it goes on."""

    program: Path
    cwd: Path
    env: Mapping[str, str]
    timeout_ms: int
    max_output: int

    def request(self, given: bytes, *, lines: bool = False) -> bytes:
        """What a keeper is sent to start it."""
        task = {
            "program": str(self.program),
            "cwd": str(self.cwd),
            "env": dict(self.env),
            "timeout_s": self.timeout_ms / 1000,
            "linger_s": _LINGER_S,
            "max_output": self.max_output,
            "lines": lines,
        }
        return json.dumps(task).encode() + b"\n" + given


class Keepers:
    """The keepers of one event loop, for as long as somebody uses them."""

    def __init__(self) -> None:
        self.users: set[object] = set()
        self._idle: list[asyncio.subprocess.Process] = []

    @classmethod
    def of_loop(cls) -> Keepers:
        """Those of the running loop."""
        return _keepers.setdefault(asyncio.get_running_loop(), cls())

    async def leave(self, user: object) -> None:
        """`user` runs nothing any more."""
        self.users.discard(user)
        while not self.users and self._idle:
            await _end(self._idle.pop())

    async def run(self, task: Task, given: bytes) -> Ended:
        """Run a program to its end, in a session of its own, with `given` on stdin.

        Raises OSError if it cannot be started, TimeoutError, or TooMuch; when this returns, raises, or
        is cancelled, the program has ended, and all that it started too.
        """
        request = task.request(given)
        keeper = await self.keeper()
        stays = False
        try:
            reply, printed = await _exchange(keeper, request)
            stays = True
        finally:
            if stays and self.users and len(self._idle) < IDLE:
                self._idle.append(keeper)
            else:
                await _end(keeper)
        return _ended(reply, printed)

    async def keeper(self) -> asyncio.subprocess.Process:
        """One that has nothing to do. `_end` it, or give it a program."""
        while self._idle:
            keeper = self._idle.pop()
            if keeper.returncode is None:
                return keeper
            await _end(keeper)
        start = asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        return await started(start, _end)


class Exchange:
    """A program that goes on: it gets one line of text and prints one. Lines wait for their turn."""

    def __init__(self, keepers: Keepers, task: Task) -> None:
        self._keepers = keepers
        self._task = task
        self._turn = asyncio.Lock()
        self._keeper: asyncio.subprocess.Process | None = None

    async def ask(self, line: bytes) -> Ended:
        """What it printed for this line; `status` is 0 unless it ended.

        Raises OSError if it cannot be started, TimeoutError, TooMuch or Unasked; then it is ended, and the
        next line starts it again. One that had ended by itself since its last answer is started again, too.
        """
        async with self._turn:
            has_answered = self._keeper is not None
            try:
                reply, printed = await self._say(line)
                if has_answered and self._keeper is None and reply["problem"] is None:
                    reply, printed = await self._say(line)
            except BaseException:
                # Also when cancelled: the late answer must not meet the next line.
                await self._stop()
                raise
            return _ended({"status": None, **reply}, printed)

    async def close(self) -> None:
        """End it, and all that it started."""
        async with self._turn:
            await self._stop()

    async def _say(self, line: bytes) -> tuple[Mapping[str, Any], bytes]:
        keeper, request = self._keeper, b"{}\n" + line
        if keeper is None:
            keeper = self._keeper = await self._keepers.keeper()
            request = self._task.request(line, lines=True)
        reply, printed = await _exchange(keeper, request)
        if reply["problem"] is not None or reply["status"] is not None:
            await self._stop()
        return reply, printed

    async def _stop(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await _end(keeper)


_keepers: Final[MutableMapping[asyncio.AbstractEventLoop, Keepers]] = WeakKeyDictionary()


async def _exchange(keeper: asyncio.subprocess.Process, request: bytes) -> tuple[Mapping[str, Any], bytes]:
    if keeper.stdin is None or keeper.stdout is None:
        raise OSError("the keeper has no pipes")
    try:
        keeper.stdin.write(_FRAME.pack(len(request)) + request)
        await keeper.stdin.drain()
        [size] = _FRAME.unpack(await keeper.stdout.readexactly(_FRAME.size))
        head, _, printed = (await keeper.stdout.readexactly(size)).partition(b"\n")
    except (asyncio.IncompleteReadError, ConnectionError) as exc:
        raise OSError("the process that ran it was killed") from exc
    return json.loads(head), printed


def _ended(reply: Mapping[str, Any], printed: bytes) -> Ended:
    match reply["problem"]:
        case None:
            lines = [line.strip() for line in str(reply["stderr"]).splitlines() if line.strip()]
            return Ended(status=reply["status"], printed=printed, stderr=lines[-1] if lines else "")
        case "timeout":
            raise TimeoutError
        case "too much":
            raise TooMuch
        case "unasked":
            raise Unasked
        case [number, file]:
            raise OSError(number, os.strerror(number), file)
        case other:
            raise OSError(f"the keeper said {other!r}")


async def _end(keeper: asyncio.subprocess.Process) -> None:
    """By the end of its input, so that it ends what it runs; by force only if that does not help."""
    if keeper.stdin is not None:
        keeper.stdin.close()
    try:
        async with asyncio.timeout(_STOP_S):
            await _gone(keeper)
    except TimeoutError:
        with suppress(ProcessLookupError):
            keeper.kill()
        await _gone(keeper)


async def _gone(keeper: asyncio.subprocess.Process) -> None:
    if keeper.stdout is not None:
        # asyncio waits for the end of the output too.
        while await keeper.stdout.read(65536):
            pass
    await keeper.wait()
