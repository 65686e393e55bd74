"""Asking git, with a limit on time and output. What a tree's own configuration names is not run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from orgloop.core.runs.environment import child_environment
from orgloop.plugin.starting import started

QUICK: Final = 5.0
"""Seconds for a question about one commit or one tree."""

MOST_OUTPUT: Final = 8 << 20
"""Bytes that git may say. Beyond that it is ended, and what it said counts as it is."""

MOST_ERROR: Final = 64 << 10

# The tree's configuration is whatever an agent made it: no hook and no monitor that it names is run.
_HARMLESS: Final = (
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
)

_SPEAKS: Final = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}

_PASSED: Final = frozenset(
    {"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}
    | {"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY", "SSL_CERT_FILE"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """How git ended. `status` is None if it could not be started, or was ended at its limit of time."""

    status: int | None
    out: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 0

    @property
    def why(self) -> str:
        """Its last line about an error; what we know, if it said nothing."""
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        wrong = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
        said = wrong[0].removeprefix("fatal: ").removeprefix("error: ") if wrong else ""
        return said or (f"git ended with status {self.status}" if self.status is not None else "git failed")


def environment(environ: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git gets: what every child gets, and what it needs to reach a remote."""
    passed = [name for name in environ if name.startswith("GIT_CONFIG") or name in _PASSED]
    return child_environment(environ, passed, {**(extra or {}), **_SPEAKS})


async def git(
    directory: str,
    *arguments: str,
    timeout: float = QUICK,
    env: Mapping[str, str] | None = None,
    writes: bool = False,
) -> Said:
    """Run git in a directory. It takes no lock that it can do without, unless it `writes`."""
    start = asyncio.create_subprocess_exec(
        "git",
        *(() if writes else ("--no-optional-locks",)),
        *_HARMLESS,
        "-C",
        directory,
        *arguments,
        env=environment(os.environ) if env is None else env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        process = await started(start, _end)
    except FileNotFoundError:
        return Said(status=None, error="fatal: there is no program git: install it")
    except (OSError, ValueError) as exc:
        return Said(status=None, error=f"fatal: git cannot be started: {exc}")
    try:
        async with asyncio.timeout(timeout):
            out, error = await asyncio.gather(
                _read(process.stdout, MOST_OUTPUT), _read(process.stderr, MOST_ERROR)
            )
            status = await process.wait()
    except TimeoutError:
        return Said(status=None, error=f"fatal: git {arguments[0]} did not end within {timeout:g} s")
    finally:
        await _end(process)
    return Said(
        status=status,
        out=out.decode("utf-8", "surrogateescape"),
        error=error.decode("utf-8", "replace"),
    )


async def _read(stream: asyncio.StreamReader | None, most: int) -> bytes:
    """All that comes, but keep no more than so much of it."""
    kept = bytearray()
    while stream is not None and (chunk := await stream.read(65_536)):
        kept += chunk[: most - len(kept)]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # What it started, too: a fetch has programs of its own, which have its output.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
