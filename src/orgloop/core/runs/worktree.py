"""Work trees of runs: how they and their branches are named, and when one may be removed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from orgloop.core.text.hidden_text import without_hidden

MOST_NAME: Final = 40
"""Characters of a key that the name of its tree shows."""

MOST_BRANCH: Final = 200
"""Bytes of the name of a branch: git keeps it as a path, with names of its own beside it."""

_HASH: Final = 16
_NOT_SLUG: Final = re.compile(r"[^a-z0-9]+")
_NOT_BRANCH: Final = re.compile(r"[^A-Za-z0-9._/-]+")
_SLASHES: Final = re.compile(r"/[/.-]*|(?<![.-])[.-]+/")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)")


def slug(text: str, most: int = MOST_NAME) -> str:
    """A text as part of a path: lower-case letters, digits and single hyphens, or nothing."""
    return _NOT_SLUG.sub("-", text[: 4 * most].lower()).strip("-")[:most].strip("-")


def tree_name(repository: str, actor: str, key: str) -> str:
    """The name of the one tree of a repository, an actor and a key: readable, and unlike any other."""
    mark = _hash("\0".join((repository, actor, key)))
    return f"{slug(key) or 'tree'}-{mark}"


def is_branch(name: str) -> bool:
    """Whether git takes this as the name of a branch, every file system as a path, and all of it is seen."""
    if not name or name in ("@", "HEAD") or name[0] in "-./" or name[-1] in "./":
        return False
    if without_hidden(name) != name:
        return False
    return _FORBIDDEN.search(name) is None and len(name.encode()) <= MOST_BRANCH


def branch_name(text: str) -> str:
    """The branch that a text names: the text itself, or as much of it as git takes, with a hash of all."""
    if is_branch(text):
        return text
    parts = _SLASHES.sub("/", _NOT_BRANCH.sub("-", without_hidden(text[: 4 * MOST_NAME]))).split("/")
    kept = "/".join(part for one in parts if (part := _part(one)))[: 2 * MOST_NAME].strip("./-")
    return f"{kept or 'branch'}-{_hash(text)}"


def _part(text: str) -> str:
    """One part of a branch's name."""
    part = re.sub(r"\.{2,}", ".", text).strip(".-")
    while part.endswith(".lock"):
        part = part.removesuffix(".lock").strip(".-")
    return part


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeContents:
    """What lies in a work tree and nowhere else.

    `uncommitted` counts files, `unpushed` commits that no remote-tracking branch has. `unfinished` names what
    git is in the middle of, `nested` a repository within that git does not look into. `unknown` says why
    nobody can tell.
    """

    uncommitted: int = 0
    unpushed: int = 0
    unfinished: str = ""
    nested: str = ""
    unknown: str = ""


def why_kept(contents: TreeContents) -> str:
    """What would be lost with a tree, in words; empty if nothing would be."""
    found = [
        _counted(contents.unpushed, "unpushed commit"),
        _counted(contents.uncommitted, "uncommitted file"),
        f"an unfinished {contents.unfinished}" if contents.unfinished else "",
        f"a repository of its own in {contents.nested}" if contents.nested else "",
        contents.unknown,
    ]
    return ", ".join(filter(None, found))


def is_due(used_at: int, keep_ms: int, now: int) -> bool:
    """Whether a tree that was used last at that time has been kept long enough."""
    return now - used_at >= keep_ms


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}" if count else ""
