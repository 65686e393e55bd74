"""One run of a program: input in, output out, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from orgloop.plugin import (
    started,
)

_LINGER_S: Final = 1.0
_MAX_STDERR: Final = 4096


class TooMuch(Exception):
    """The program printed more than it may."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How it ended: exit status (negative: the signal that killed it), stdout, and stderr's last line."""

    status: int
    printed: bytes
    said: str


async def run(
    program: Path, *, given: bytes, cwd: Path, env: Mapping[str, str], timeout_ms: int, max_output: int
) -> Ended:
    """Run `program`, without arguments and in a session of its own, with `given` on stdin.

    Raises OSError if it cannot be started, TimeoutError, or TooMuch; when this returns, raises, or
    is cancelled, the program has ended, and after an error all that it started in its session too.
    """
    start = asyncio.get_running_loop().subprocess_exec(
        lambda: _Talk(max_output), str(program), cwd=cwd, env=env, start_new_session=True
    )
    transport, talk = await started(start, _end)
    try:
        # A program need not read: what it does not take is no error.
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        stdin.write(given)
        stdin.close()
        async with asyncio.timeout(timeout_ms / 1000):
            await talk.over.wait()
        if not talk.too_much:
            await _silence(transport, talk)
        if talk.too_much:
            raise TooMuch
    finally:
        await _end((transport, talk))
    return Ended(status=transport.get_returncode() or 0, printed=bytes(talk.printed), said=talk.said())


async def _end(program: tuple[asyncio.SubprocessTransport, _Talk]) -> None:
    transport, talk = program
    if transport.get_returncode() is None:
        _kill_group(transport.get_pid())
    await talk.exited.wait()
    transport.close()


async def _silence(transport: asyncio.SubprocessTransport, talk: _Talk) -> None:
    """It has exited; read what it printed last."""
    try:
        async with asyncio.timeout(_LINGER_S):
            await talk.silent.wait()
    except TimeoutError:
        # Something that it started in the background still holds its output.
        _kill_group(transport.get_pid())


class _Talk(asyncio.SubprocessProtocol):
    """Collects what a program prints. asyncio's own streams would wait for who inherited its output."""

    def __init__(self, max_output: int) -> None:
        self.over = asyncio.Event()
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        self.too_much = False
        self.printed = bytearray()
        self._stderr = b""
        self._open = {1, 2}
        self._max_output = max_output

    def said(self) -> str:
        """The last line on stderr that is not blank."""
        lines = self._stderr.decode("utf-8", "replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._stderr = (self._stderr + data)[-_MAX_STDERR:]
        elif len(self.printed) + len(data) <= self._max_output:
            self.printed += data
        else:
            self.too_much = True
            self.over.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open:
            self.silent.set()

    def process_exited(self) -> None:
        self.exited.set()
        self.over.set()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
