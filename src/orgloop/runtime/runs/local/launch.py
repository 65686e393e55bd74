"""What a wake would run, in which session and where: decided before anything is written."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.core.events.templates import Template
from orgloop.core.runs.environment import child_environment
from orgloop.core.runs.session_policy import SessionPolicy
from orgloop.errors import Refused
from orgloop.journal.model import SessionRow
from orgloop.plugin import RunSpec, Settings, Supervised, Wake, Worktree
from orgloop.plugin.worktree import HasWorktree
from orgloop.runtime.runs.commit import MACHINE
from orgloop.runtime.worktrees.worktrees import TreeLease

MOST_PASSED: Final = 128 * 1024 - 64
"""Bytes of one argument or variable that the system hands to a program."""

FAILED_RESUMES: Final = 2
"""Times that a session may be taken up in vain, before another one is begun."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyRun:
    """A run that can be committed. `fresh` says why it does not go on in the session of its key, if so.

    `lock` is the descriptor that keeps others out of its work tree, `lease` the tree if it is its own.
    """

    actor: Supervised
    wake: Wake
    spec: RunSpec
    known: SessionRow | None
    fresh: str
    lock: int | None
    lease: TreeLease | None = None

    @property
    def tree(self) -> Mapping[str, Any]:
        """For the journal: which tree it has, and what its event says of that."""
        if self.lease is None:
            return {}
        record = self.lease.record
        return {"name": record.name, "base": record.base, "facts": self.lease.facts}


def place_of(settings: Settings) -> str:
    """The directory whose repository the trees belong to."""
    if not isinstance(settings, HasWorktree):
        raise TypeError(f"{type(settings).__name__} has no work trees")
    return settings.directory


def branch_of(settings: Worktree, wake: Wake) -> str | None:
    """The branch that the template names for this wake; None if there is none, or a part has no value."""
    if settings.branch is None:
        return None
    return Template.parse(settings.branch).key(wake.event.document())


def planned(
    actor: Supervised, wake: Wake, known: SessionRow | None, why: str = ""
) -> tuple[Wake, RunSpec, str]:
    """The wake with the session that it gets, what to run, and why that is not the key's, if it is another.

    `why` the session of the key is not taken up, if that is known already. Raises what `start` raises.
    """
    wake = _in_session(wake, known)
    fresh = why or (_why_fresh(known, actor) if known is not None else "")
    spec = _started(actor, wake) if not fresh else None
    if spec is not None and known is not None:
        fresh = _why_elsewhere(known, spec)
    if spec is None or fresh:
        wake = _in_session(wake, None)
        spec = _started(actor, wake)
    return wake, spec, fresh


def why_left(known: SessionRow, policy: SessionPolicy, now: int) -> str:
    """Why the session of a key has come to the end that its route sets; empty if it has not."""
    why = policy.why_new(wakes=known.runs, age_ms=now - known.created_at, context_tokens=known.context_tokens)
    return f"the session {known.id} {why}" if why else ""


def _started(actor: Supervised, wake: Wake) -> RunSpec:
    spec = actor.start(wake, wake.session)
    if wake.account is not None:
        # Its sessions belong to the account that the project names, whatever the actor calls its login.
        spec = dataclasses.replace(spec, account=wake.account)
    return spec if wake.work_directory is None else dataclasses.replace(spec, cwd=wake.work_directory)


def environment_of(
    environ: Mapping[str, str], wake: Wake, spec: RunSpec, own: Mapping[str, str]
) -> dict[str, str]:
    """All variables of a run. `own` are those that the engine sets.

    An account that brings its login keeps out every other one: an API key would win over it.
    """
    account = wake.account_env
    variables = child_environment(environ, spec.env_pass, {**spec.env, **account, **own})
    others = set(spec.logins) - account.keys() if account else set()
    return {name: value for name, value in variables.items() if name not in others}


def require_passable(spec: RunSpec, route: str) -> None:
    """What the system hands to no program is this wake's fault, not its actor's. Raises Refused."""
    for name, text in [*(("an argument", word) for word in spec.argv), *spec.env.items(), ("cwd", spec.cwd)]:
        if "\0" in text:
            raise Refused(f"route {route}: {name} has a NUL character, which no program can be given")
        if len(text) + len(name) >= MOST_PASSED or len(text.encode("utf-8", "replace")) >= MOST_PASSED:
            raise Refused(f"route {route}: {name} has {len(text)} characters, which is too long")


def _in_session(wake: Wake, known: SessionRow | None) -> Wake:
    if wake.session is None:
        return wake
    session = dataclasses.replace(wake.session, id=known.id if known is not None else None)
    return dataclasses.replace(wake, session=session)


def _why_fresh(known: SessionRow, actor: Supervised) -> str:
    """Why the session of a key is not taken up again, as far as that is known before the start."""
    if known.failed >= FAILED_RESUMES:
        return f"the session {known.id} could not be resumed {known.failed} times, last because: {known.why}"
    if known.harness and known.harness != actor.harness:
        return f"the session {known.id} is one of {known.harness}"
    if known.machine and known.machine != MACHINE:
        return f"the session {known.id} is on the machine {known.machine}"
    return ""


def _why_elsewhere(known: SessionRow, spec: RunSpec) -> str:
    """Why a run cannot take up the session of its key, since it works somewhere else."""
    if known.work_dir and os.path.realpath(known.work_dir) != os.path.realpath(spec.cwd):
        return f"the session {known.id} is in the directory {known.work_dir}"
    if known.account and known.account != spec.account:
        return f"the session {known.id} belongs to another login ({known.account})"
    return ""
