"""Work trees of runs, as settings: where an actor's runs work if each has a tree of its own."""

from __future__ import annotations

import os
import shlex
from typing import Annotated, Any, Final, Literal, Protocol, runtime_checkable

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationInfo

from orgloop.core.events.templates import Template
from orgloop.core.text.units import DAY, MINUTE
from orgloop.plugin.settings import Duration, ProjectPath, Settings

_PATH: Final[TypeAdapter[Any]] = TypeAdapter(ProjectPath)

MOST_BASE: Final = 200
"""Characters of the name of a base."""


def _revision(name: str) -> str:
    if not name.strip() or name.startswith("-") or len(name) > MOST_BASE or not name.isprintable():
        raise ValueError("must be a branch, a tag or a commit, such as main")
    return name


def _template(text: str) -> str:
    if not text.strip():
        raise ValueError('must be the name of a branch, such as "fix/{{provenance.pr_number}}"')
    Template.parse(text)
    return text


def _command(value: Any, info: ValidationInfo) -> Any:
    """A program with a `/` is looked for beside the file that names it, in the project, then in the tree."""
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as exc:
            raise ValueError(f"must be a command line: {str(exc).lower()}: write a list of words") from exc
    if not isinstance(value, list | tuple):
        return value
    words = [str(word) if isinstance(word, int | float) else word for word in value]
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ValueError("must name a program, such as ./script/setup")
    found = os.fspath(_PATH.validate_python(words[0], context=info.context)) if "/" in words[0] else ""
    return (os.path.abspath(found) if found and os.path.lexists(found) else words[0], *words[1:])  # noqa: PTH100


class Worktree(Settings):
    """Work trees of the repository in `cwd`: one for each session key, or one for each run."""

    per: Literal["key", "run"] = "key"
    """`key`: wakes with one session key work in one tree. `run`: every run has a tree of its own."""
    base: Annotated[str, AfterValidator(_revision)] | None = None
    """The branch that new branches begin at; by default the remote's own, else that of `cwd`."""
    branch: Annotated[str, AfterValidator(_template)] | None = None
    """The branch of a tree, with placeholders from the event. By default one is named after actor and key."""
    keep: Duration = 3 * DAY
    """How long a tree stays after its last run. What is not committed and pushed stays for good."""
    setup: (
        Annotated[
            tuple[str, ...],
            BeforeValidator(_command, json_schema_input_type=str | tuple[str | int | float, ...]),
        ]
        | None
    ) = None
    """A command that is run in a new tree before its first run: a list, or one line."""
    setup_timeout: Annotated[Duration, Field(gt=0)] = 10 * MINUTE
    """How long `setup` may take."""


@runtime_checkable
class HasWorktree(Protocol):
    """Settings of an actor whose runs may have work trees."""

    @property
    def worktree(self) -> Worktree | None:
        """Which trees, if any."""
        ...

    @property
    def directory(self) -> str:
        """Where it works without: with trees, the repository that they belong to."""
        ...


def worktree_of(settings: object) -> Worktree | None:
    """The work trees that an actor's settings ask for."""
    return settings.worktree if isinstance(settings, HasWorktree) else None
