"""Looking at a program before it is needed: is it there, does it start, what does it say of itself?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orgloop.connectors.agents.json_lines import version_of
from orgloop.connectors.agents.settings import RunSettings
from orgloop.plugin import (
    CheckResult,
    CheckStatus,
    started,
)

ASK: Final = 10.0
"""Seconds in which a program has to tell its version."""

_VERSIONS: Final[dict[tuple[str, int, int], tuple[int, ...] | None]] = {}
"""The version of each file that was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramResult:
    """How a program that was asked something ended, and what it said."""

    status: int
    stdout: str
    stderr: str


async def ask(argv: Sequence[str], environment: Mapping[str, str], directory: str) -> ProgramResult:
    """Run a program that answers at once, with nothing on its standard input. Cancelled, it is killed.

    Raises OSError if it cannot be started.
    """
    start = asyncio.create_subprocess_exec(
        *argv, env=environment, cwd=directory, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    process = await started(start, _end)
    try:
        stdout, stderr = await process.communicate()
    finally:
        await _end(process)
    return ProgramResult(
        status=process.returncode if process.returncode is not None else -1,
        stdout=stdout.decode("utf-8", "replace"),
        stderr=stderr.decode("utf-8", "replace"),
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # All that it started, too: asyncio waits for everybody who has its output.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def find(program: str, environment: Mapping[str, str]) -> str | None:
    """Where a run would find `program`: in the PATH that it gets, or where its path leads. None: nowhere."""
    return await asyncio.to_thread(_find, program, environment.get("PATH", os.defpath))


async def version(program: str, environment: Mapping[str, str]) -> tuple[int, ...] | None:
    """The program's version; None if it is not there, or does not say it in time."""
    path = await find(program, environment)
    if path is None:
        return None
    try:
        file = await asyncio.to_thread(os.stat, path)
    except OSError:
        return None
    seen = (path, file.st_mtime_ns, file.st_size)
    if seen not in _VERSIONS:
        try:
            async with asyncio.timeout(ASK):
                answer = await ask([path, "--version"], environment, "/")
        except (OSError, TimeoutError):
            return None
        words = answer.stdout.split()
        _VERSIONS[seen] = next((found for word in words if (found := version_of(word)) is not None), None)
    return _VERSIONS[seen]


async def check_version(
    program: str,
    environment: Mapping[str, str],
    *,
    verified: Sequence[tuple[int, ...]],
    install: str,
) -> CheckResult:
    """Whether a CLI is there, and is of a version between the oldest and the newest that were verified."""
    path = await find(program, environment)
    if path is None:
        return _cli(CheckStatus.MISSING, f"there is no program {program}", install)
    found = await version(program, environment)
    if found is None:
        return _cli(CheckStatus.ERROR, f"{path} does not tell its version", install)
    return judge_version(path, found, verified=verified, update=install)


def judge_version(
    path: str, version: tuple[int, ...], *, verified: Sequence[tuple[int, ...]], update: str
) -> CheckResult:
    """Whether a version lies between the oldest and the newest that were verified."""
    named, oldest, newest = (".".join(map(str, one)) for one in (version, verified[0], verified[-1]))
    tried = f"verified with {oldest}" if oldest == newest else f"verified with {oldest} to {newest}"
    if version < verified[0]:
        return _cli(CheckStatus.WARNING, f"{path} is {named}, older than {tried}", f"update it: {update}")
    if version > verified[-1]:
        hint = "check the ends of its first runs"
        return _cli(CheckStatus.WARNING, f"{path} is {named}, newer than {tried}", hint)
    return _cli(CheckStatus.OK, f"{path} is {named}, {tried}")


async def lacks_interpreter(path: str) -> bool:
    """Whether this is a text without `#!` at its beginning: a shell would run it, the system does not."""
    return await asyncio.to_thread(_is_bare_text, path)


async def check_directory(directory: str) -> CheckResult:
    """Whether runs can work there."""
    usable = await asyncio.to_thread(_usable, directory)
    if usable:
        return CheckResult(name="cwd", status=CheckStatus.OK, detail=directory)
    return CheckResult(
        name="cwd",
        status=CheckStatus.MISSING,
        detail=f"{directory} is not a directory that can be entered",
        hint="create it, or change `cwd` of the actor",
    )


def _find(program: str, path: str) -> str | None:
    found = shutil.which(program, path=path)
    # A pipe may be called executable, too, and whoever opened it would wait.
    return found if found is not None and Path(found).is_file() else None


async def check_places(settings: RunSettings, environment: Mapping[str, str]) -> list[CheckResult]:
    """Whether runs can work in its directory, and have work trees of the repository there."""
    directory = await check_directory(settings.directory)
    if settings.worktree is None or directory.status is not CheckStatus.OK:
        return [directory]
    git = await find("git", environment)
    if git is None:
        return [directory, _trees(CheckStatus.MISSING, "there is no program git", "install git")]
    question = [git, "-C", settings.directory, "rev-parse"]
    try:
        there = await ask([*question, "--show-toplevel"], environment, "/")
        commit = await ask([*question, "--verify", "--quiet", "HEAD^{commit}"], environment, "/")
        lacking = await _lacking([*question, "--verify", "--quiet"], settings.worktree.base, environment)
    except OSError as exc:
        return [directory, _trees(CheckStatus.ERROR, f"{git} cannot be run: {exc}", "install git again")]
    if there.status != 0:
        no_tree = f"{settings.directory} is in no work tree of a git repository"
        return [directory, _trees(CheckStatus.ERROR, no_tree, "name a clone of the repository in `cwd`")]
    root = there.stdout.strip()
    if commit.status != 0 and settings.worktree.base is None:
        return [directory, _trees(CheckStatus.ERROR, f"{root} has no commit yet", "make a first commit")]
    if lacking:
        lacks = f"of {root}, but {lacking} does not have {settings.directory}"
        return [directory, _trees(CheckStatus.WARNING, lacks, "commit the directory, or remove `worktree`")]
    return [directory, _trees(CheckStatus.OK, f"of {root}")]


def _cli(status: CheckStatus, detail: str, hint: str = "") -> CheckResult:
    return CheckResult(name="cli", status=status, detail=detail, hint=hint)


async def _lacking(question: Sequence[str], base: str | None, environment: Mapping[str, str]) -> str:
    """The revision at which work trees begin, if it is known and lacks this directory; else nothing."""
    names = (f"refs/remotes/origin/{base}", base) if base else ("refs/remotes/origin/HEAD", "HEAD")
    for name in names:
        if (await ask([*question, f"{name}^{{commit}}"], environment, "/")).status == 0:
            found = await ask([*question, f"{name}:./"], environment, "/")
            return "" if found.status == 0 else name.removeprefix("refs/remotes/")
    return ""


def _trees(status: CheckStatus, detail: str, hint: str = "") -> CheckResult:
    return CheckResult(name="worktree", status=status, detail=detail, hint=hint)


def _is_bare_text(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            begin = file.read(256)
    except OSError:
        return False
    return not begin.startswith(b"#!") and b"\0" not in begin and begin.isascii()


def _usable(directory: str) -> bool:
    return Path(directory).is_dir() and os.access(directory, os.R_OK | os.X_OK)
