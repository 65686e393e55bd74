"""How far a source has come in a list: what it knows of it, and where in its pages it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from orgloop.plugin import NotJson, dump_json, identity, load_json

MOST_SEEN: Final = 5_000
"""Items that are remembered, which is as many as a list may have that is read as a whole."""

_NAME, _VERSION = 14, 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """A way through the pages of a list, as far as it has come.

    `url` and `token` are what an answer named as the next page. `newest` is the largest time so far, `last` a
    short name of the page before, `items` how many there were.
    """

    page: int = 1
    items: int = 0
    url: str | None = None
    token: Any = None
    newest: int | None = None
    last: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What the answer to the request `asked` said of itself. Nothing: the next request has no condition."""

    asked: str = ""
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListProgress:
    """Times are in ms since 1970, and are the API's own.

    `at`: the newest item so far. `floor`: what is older is not told. `seen`: a short name of each known item,
    and of its version, in the order in which they were in the list last. `walk` is None between two walks;
    `first` until the first one is over.
    """

    at: int
    floor: int
    first: bool = True
    seen: Mapping[str, str] = field(default_factory=dict)
    cursor: Any = None
    walk: Walk | None = None
    answered: Answered = Answered()

    def remembering(self, items: Mapping[str, str]) -> ListProgress:
        """These were in the list, by their short names."""
        kept = {name: version for name, version in self.seen.items() if name not in items}
        both = [*kept.items(), *items.items()]
        return replace(self, seen=dict(both[-MOST_SEEN:]))


def short(text: str) -> str:
    """A short name of a text, which another text has by chance only."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_NAME]


def version(text: str | None) -> str:
    """A short name of an item's version; none without a version."""
    return "" if text is None else short(text)[:_VERSION]


def content_name(value: Any) -> str:
    """A name for what has no other: its content."""
    return hashlib.sha256(identity(value).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def dump(progress: ListProgress, of: str) -> str:
    """A checkpoint for the list that is called `of`."""
    data = asdict(progress)
    data["seen"] = [name + known for name, known in progress.seen.items()]
    return dump_json({"of": of, **data}).decode()


def load(checkpoint: str | None, of: str) -> ListProgress | None:
    """None without one, for one that cannot be read, and for one of another list."""
    try:
        data = load_json(checkpoint) if checkpoint else None
    except NotJson:
        return None
    if not isinstance(data, dict) or data.pop("of", None) != of:
        return None
    try:
        walk, answered = data.pop("walk"), Answered(**data.pop("answered"))
        seen = {one[:_NAME]: one[_NAME:] for one in data.pop("seen")}
        return ListProgress(seen=seen, walk=None if walk is None else Walk(**walk), answered=answered, **data)
    except (KeyError, TypeError):
        return None
