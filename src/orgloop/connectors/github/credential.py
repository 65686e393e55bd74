"""The token that polls show to GitHub: as it is written, or as a program prints it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

from orgloop.plugin import PluginError, SecretStr, started

SECONDS: Final = 10.0
"""How long `token_command` may take."""

MOST_BYTES: Final = 16 * 1024
"""The longest output of `token_command` that is read; tokens have some hundred characters."""


class Login(Protocol):
    """What is shown to GitHub, and where it comes from."""

    async def value(self) -> str:
        """The token. Raises PluginError if there is none."""
        ...

    def forget(self) -> bool:
        """GitHub refused it. Whether another one can be asked for."""
        ...

    @property
    def origin(self) -> str:
        """Where the token comes from, in words that can be shown."""
        ...


class Credential:
    """A token. What a program printed is kept until GitHub does not accept it any longer."""

    def __init__(
        self, token: SecretStr | None, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._token = token.get_secret_value().strip() if token is not None else ""
        self._command = tuple(command)
        self._environment = environment

    async def value(self) -> str:
        """The token. Raises PluginError if the program gives none."""
        if not self._token:
            self._token = await _printed(self._command, self._environment)
        return self._token

    def forget(self) -> bool:
        """GitHub refused it. Whether a program can be asked for another one."""
        if self._command:
            self._token = ""
        return bool(self._command)

    @property
    def origin(self) -> str:
        """Where the token comes from, in words that can be shown."""
        if self._command:
            return f"the token that `token_command` ({self._command[0]}) prints"
        names = [name for name, value in self._environment.items() if value.strip() == self._token]
        return f"the token in ${min(names)}" if names else "the token in `token`"


async def _printed(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What the program prints, which is never shown; nor is its error output, which may hold it, too."""
    name = command[0]
    try:
        async with asyncio.timeout(SECONDS):
            output, status = await _run(command, environment)
    except TimeoutError as exc:
        raise PluginError(f"`token_command` ({name}) printed no token within {SECONDS:g} s") from exc
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
        raise PluginError(f"`token_command` ({name}) cannot be started: {why}; install it") from exc
    token = output.decode("utf-8", "replace").strip()
    if status != 0:
        raise PluginError(
            f"`token_command` ({name}) ended with status {status}; log in, such as `gh auth login`"
        )
    if (
        not token.isascii()
        or not token.isprintable()
        or not token
        or " " in token
        or len(output) > MOST_BYTES
    ):
        raise PluginError(
            f"`token_command` ({name}) printed no token: it must print the token and nothing else"
        )
    return token


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[bytes, int]:
    """The beginning of its output and its status, which is 0 if it was ended for printing too much.

    The pipe is ours: asyncio's own stays open when a program that is killed has more to say than is read.
    """
    async with _pipe() as (reader, write_end):
        start = asyncio.create_subprocess_exec(
            *command, env=environment, stdin=DEVNULL, stdout=write_end, stderr=DEVNULL, start_new_session=True
        )
        try:
            process = await started(start, _end)
        finally:
            os.close(write_end)
        try:
            output = b""
            while len(output) <= MOST_BYTES and (more := await reader.read(MOST_BYTES)):
                output += more
            return output, await process.wait() if len(output) <= MOST_BYTES else 0
        finally:
            await _end(process)


@contextlib.asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """A pipe: its reader, which is closed at the end, and its end for writing, which is the caller's."""
    reader = asyncio.StreamReader()
    read_end, write_end = os.pipe()
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
        )
    except BaseException:
        os.close(write_end)
        raise
    try:
        yield reader, write_end
    finally:
        transport.close()


async def _end(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
