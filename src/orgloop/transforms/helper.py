"""Helper processes for work that may never end: jq programs, and regular expressions that are not linear.

All filters share a few of them. Each runs `helper_program.py`, which knows nothing of OrgLoop; it is
started when there is work for it, and ended and replaced when it gives no answer in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, MutableMapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from orgloop.plugin import dump_json, humanize, load_json, started

PROGRAM: Final = Path(__file__).with_name("helper_program.py")

MOST: Final = max(2, min(4, os.cpu_count() or 1))
"""Helpers at once: as many as there are cores, but no more memory than a few of them take."""

SLOW_S: Final = 0.5
"""An answer that takes longer makes its filter a slow one. One helper is never given to those."""

SLOW_FOR_S: Final = 60.0

_FRAME: Final = struct.Struct(">I")
_TRIED_S: Final = 5.0
_START_S: Final = 30.0
_IDLE_S: Final = 5.0
_DIED: Final = "the helper process ended; too much memory, or a fault in its engine"


class HelperFailed(Exception):
    """The helper gave no result; the message says why, for people."""


class Helper:
    """What one filter has of the helpers. It asks one thing at a time, so that no filter has them all."""

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms
        self._one_at_a_time = asyncio.Lock()
        self._pool: _Pool | None = None
        self._asking = 0
        self._closed = False

    async def ask(self, task: Mapping[str, Any], given: bytes) -> Any:
        """The answer, JSON decoded, to one request; see `helper_program.py`.

        Raises HelperFailed. What was asked may then be asked again: another helper answers.
        """
        if self._pool is None:
            self._pool = _Pool.of_loop()
            self._pool.users.add(self)
        self._asking += 1
        frame = _framed({**task, "limit_s": self._timeout_ms / 1000}, given)
        try:
            async with self._one_at_a_time:
                return await self._pool.ask(self, frame, self._timeout_ms)
        finally:
            self._asking -= 1
            if self._closed:
                await self.close()

    async def close(self) -> None:
        """Give back what it has. The helpers end with the last filter, after what they are doing."""
        self._closed = True
        pool = self._pool
        if pool is not None and not self._asking:
            self._pool = None
            await pool.leave(self)


class _Pool:
    """The helpers of one event loop."""

    def __init__(self) -> None:
        self.users: set[Helper] = set()
        self._idle: list[asyncio.subprocess.Process] = []
        self._waiting: deque[tuple[Helper, asyncio.Future[None]]] = deque()
        self._busy: set[Helper] = set()
        self._slow_until: MutableMapping[Helper, float] = WeakKeyDictionary()

    @classmethod
    def of_loop(cls) -> _Pool:
        """The one of the running loop."""
        return _pools.setdefault(asyncio.get_running_loop(), cls())

    async def leave(self, user: Helper) -> None:
        """`user` needs no helper any more."""
        self.users.discard(user)
        while not self.users and self._idle:
            await _end(self._idle.pop())

    async def ask(self, user: Helper, frame: bytes, timeout_ms: int) -> Any:
        """What a helper answers, once it is the turn of `user`."""
        await self._turn(user)
        loop = asyncio.get_running_loop()
        try:
            process = await self._process()
            began, stays = loop.time(), False
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    answer = load_json(await _exchange(process, frame))
                stays = not answer.get("retire", False)
            except TimeoutError as exc:
                raise HelperFailed(f"no result within {humanize(timeout_ms)}") from exc
            finally:
                if not stays or loop.time() - began > SLOW_S:
                    self._slow_until[user] = loop.time() + SLOW_FOR_S
                # Also when cancelled: the late answer must not meet the next question.
                if stays and self.users:
                    self._idle.append(process)
                else:
                    await _end(process)
        finally:
            self._busy.discard(user)
            self._go_on()
        return _result(answer)

    async def _turn(self, user: Helper) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((user, turn))
        self._go_on()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._busy.discard(user)
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove((user, turn))
            self._go_on()
            raise

    def _go_on(self) -> None:
        """Let those begin who can, in the order in which they came."""
        now = asyncio.get_running_loop().time()
        later: list[tuple[Helper, asyncio.Future[None]]] = []
        slow = sum(self._is_slow(user, now) for user in self._busy)
        while self._waiting and len(self._busy) < MOST:
            user, turn = self._waiting.popleft()
            is_slow = self._is_slow(user, now)
            if turn.done():
                continue
            if is_slow and slow >= MOST - 1:
                later.append((user, turn))
                continue
            slow += is_slow
            self._busy.add(user)
            turn.set_result(None)
        self._waiting.extendleft(reversed(later))

    def _is_slow(self, user: Helper, now: float) -> bool:
        return self._slow_until.get(user, 0.0) > now

    async def _process(self) -> asyncio.subprocess.Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
            await _end(process)
        return await _start()


_pools: Final[MutableMapping[asyncio.AbstractEventLoop, _Pool]] = WeakKeyDictionary()


class _Trials:
    """One helper for those who cannot wait in an event loop: it says at once what it thinks of a program.

    It ends by itself when it has not been asked for a few seconds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, task: Mapping[str, Any], given: bytes) -> Any:
        """The answer to one request, within seconds. Raises HelperFailed."""
        frame = _framed({**task, "limit_s": _TRIED_S}, given)
        with self._lock:
            # It may have ended by itself just now: then a new one is asked.
            old = self._process
            answer = self._answer(old, frame) if old is not None else None
            if answer is None:
                self._end()
                self._process = self._started()
                answer = self._answer(self._process, frame)
            if answer is None:
                self._end()
                raise HelperFailed(_DIED)
        return _result(answer)

    def _answer(self, process: subprocess.Popen[bytes], frame: bytes) -> Any | None:
        """None if the process is not there any more."""
        if process.stdin is None or process.stdout is None:
            return None
        deadline = time.monotonic() + _TRIED_S
        try:
            process.stdin.write(frame)
            process.stdin.flush()
            head = _read(process.stdout.fileno(), _FRAME.size, deadline)
            reply = _read(process.stdout.fileno(), _FRAME.unpack(head)[0], deadline)
            return load_json(reply)
        except TimeoutError as exc:
            self._end()
            raise HelperFailed(f"no result within {humanize(int(_TRIED_S * 1000))}") from exc
        except (EOFError, ConnectionError):
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                _argv(_IDLE_S),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
        except OSError as exc:
            raise HelperFailed(f"the helper process cannot be started: {exc}") from exc
        # So that it is no zombie when it has ended by itself.
        threading.Thread(target=process.wait, daemon=True).start()
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


_trials: Final = _Trials()


def try_now(task: Mapping[str, Any], given: bytes = b"") -> Any:
    """What a helper answers, without an event loop. Blocks, for at most some seconds. Raises HelperFailed."""
    return _trials.ask(task, given)


def _framed(task: Mapping[str, Any], given: bytes) -> bytes:
    request = dump_json(task) + b"\n" + given
    return _FRAME.pack(len(request)) + request


def _read(fd: int, size: int, deadline: float) -> bytes:
    found, poll = bytearray(), select.poll()
    poll.register(fd, select.POLLIN)
    while len(found) < size:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        part = os.read(fd, size - len(found))
        if not part:
            raise EOFError
        found += part
    return bytes(found)


def _argv(idle_s: float = 0.0) -> list[str]:
    """Without site, environment or the current directory; with nothing of ours but where jq lies."""
    jq = find_spec("jq")
    library = str(Path(jq.origin).parent) if jq is not None and jq.origin else ""
    return [sys.executable, "-I", "-S", str(PROGRAM), library, str(idle_s)]


async def _start() -> asyncio.subprocess.Process:
    try:
        start = asyncio.create_subprocess_exec(
            *_argv(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        async with asyncio.timeout(_START_S):
            process = await started(start, _end)
            await _ready(process)
            return process
    except TimeoutError as exc:
        raise HelperFailed(f"the helper process did not start within {_START_S:.0f}s") from exc
    except OSError as exc:
        raise HelperFailed(f"the helper process cannot be started: {exc}") from exc


async def _ready(process: asyncio.subprocess.Process) -> None:
    """Its start is no part of the time that a filter has."""
    try:
        await _exchange(process, _framed({"regex": "", "sticky": True, "limit_s": _START_S}, b""))
    except BaseException:
        await _end(process)
        raise


async def _exchange(process: asyncio.subprocess.Process, frame: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise HelperFailed("the helper process has no pipes")
    try:
        process.stdin.write(frame)
        await process.stdin.drain()
        [size] = _FRAME.unpack(await process.stdout.readexactly(_FRAME.size))
        return await process.stdout.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError) as exc:
        raise HelperFailed(_DIED) from exc


def _result(answer: Any) -> Any:
    if "error" in answer:
        raise HelperFailed(answer["error"])
    return answer["result"]


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
