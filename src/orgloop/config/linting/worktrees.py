"""Doubts about where runs work: work trees that cannot be made, and one that several runs would share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from orgloop.config.findings import Code, Report
from orgloop.config.git_files import git_directory, has_revision, lacking, root_of
from orgloop.config.resolving.sources_and_actors import ActorEnd
from orgloop.plugin.worktree import HasWorktree, Worktree

_DEFAULTS: Final = Worktree()


def lint(actors: Mapping[str, ActorEnd], *, runs_at_once: int, report: Report) -> None:
    """Warn about trees that cannot be made, and about turns that nobody may expect."""
    for actor in actors.values():
        _worktree(actor, report)
    if runs_at_once > 1:
        _shared_trees(actors, report)


def _worktree(actor: ActorEnd, report: Report) -> None:
    """What keeps the work trees of an actor from being made."""
    if actor.spec is None or actor.spec.lacks_variable or not isinstance(actor.spec.settings, HasWorktree):
        return
    settings, spot = actor.spec.settings, actor.entry.spot
    worktree, directory = settings.worktree, settings.directory
    if worktree is None or not os.path.isdir(directory):  # noqa: PTH112
        return
    root = root_of(directory)
    at = spot.where("config", "cwd" if spot.get("config", "cwd") is not None else "worktree", key=True)
    if git_directory(root) is None:
        message = f"{spot.label}: {directory} is in no git repository, so no work tree can be made"
        report.warn(Code.NO_REPOSITORY, at, message, "name a clone of the repository in `cwd`")
    elif worktree.base is not None and has_revision(root, worktree.base) is False:
        message = f"{spot.label}: {root} has no branch or tag {worktree.base!r}"
        hint = "correct `worktree.base`; without it, work begins at the remote's own branch"
        report.warn(Code.MISSING_BASE, spot.where("config", "worktree", "base"), message, hint)
    elif branch := lacking(directory, worktree.base):
        inside = os.path.relpath(directory, root)
        message = (
            f"{spot.label}: the directory `{inside}` is not committed in {branch}, "
            "so a work tree of it would lack it"
        )
        report.warn(Code.UNCOMMITTED_CWD, at, message, "commit it, or remove `worktree`")


def _shared_trees(actors: Mapping[str, ActorEnd], report: Report) -> None:
    """Runs take turns in a work tree: more of them at once would only be expected."""
    trees: dict[str, list[ActorEnd]] = {}
    for actor in actors.values():
        directory = getattr(actor.spec.settings, "exclusive_directory", None) if actor.spec else None
        if actor.has_runs and directory is not None:
            trees.setdefault(root_of(directory), []).append(actor)
    for root, sharing in trees.items():
        most = max((one.spec.max_runs or 1 for one in sharing if one.spec is not None), default=1)
        # The first may keep the tree: the others need a place of their own.
        movers = sharing[1:] or sharing
        names, ways = _listed(movers), _ways(movers)
        if len(sharing) > 1:
            message = f"{_listed(sharing)} work in {root}, so they run one at a time"
            whose = names if not ways else "it" if len(movers) == 1 else "each"
            ways.append(f"give {whose} another `cwd`")
        elif most > 1:
            message = f"{sharing[0].entry.spot.label} works in {root}, so it runs one at a time"
            ways.append(f"set {'its `limits.runs`' if ways else f'`limits.runs` of {names}'} to 1")
        else:
            continue
        hint = f"{', '.join(ways[:-1])}, or {ways[-1]}" if len(ways) > 1 else ways[0]
        report.warn(Code.SHARED_TREE, movers[0].entry.spot.where("config"), message, hint)


def _ways(actors: Sequence[ActorEnd]) -> list[str]:
    """How runs of all these actors can work at the same time as others."""
    names, ways = _listed(actors), []
    if all(_may_have_worktree(one) for one in actors):
        ways.append(f"add `worktree: {{}}` to the `config` of {names}")
    if all(one.spec is not None and getattr(one.spec.settings, "overlap", None) is False for one in actors):
        whose = "its `config`" if ways and len(actors) == 1 else f"the `config` of {names}"
        ways.append(f"set `overlap: true` in {whose} if runs there do not disturb each other")
    return ways


def _may_have_worktree(actor: ActorEnd) -> bool:
    """Whether a work tree of its own could be made, and would have the directory that it works in."""
    if actor.spec is None or not isinstance(actor.spec.settings, HasWorktree):
        return False
    directory = actor.spec.settings.directory
    return git_directory(root_of(directory)) is not None and not lacking(directory, _DEFAULTS.base)


def _listed(actors: Sequence[ActorEnd]) -> str:
    *before, last = [repr(one.entry.name) for one in actors]
    return f"{', '.join(before)} and {last}" if before else last
