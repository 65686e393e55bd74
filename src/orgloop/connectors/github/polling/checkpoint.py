"""How far a polled source has come: GitHub's own times, and the facts of the time that is read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orgloop.connectors.github.times import iso, seconds
from orgloop.plugin import NotJson, dump_json, load_json

MOST_SEEN: Final = 500
"""Facts that are remembered for each repository. What is beyond, the journal knows by its key."""

MOST_OPEN: Final = 100
"""Workflow runs of each repository that are looked at again until they complete."""


MOST_HEADS: Final = 300
"""Open pull requests from forks whose commits are remembered."""

BACK: Final = 24 * 3600
"""Seconds between a fact and the time from which on things are read. GitHub may list it by a later one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """How often a webhook delivery was asked for again, when last, and after which failed try."""

    times: int
    at: int
    id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadProgress:
    """One repository, by kind, in seconds since 1970: `at` is how far it was read.

    `floor`: facts before it never count. It stays behind while a step is left to be read, since
    things are listed by their last change, which may be long after the fact.
    `seen` are short names of facts that were read already, `open` ids of runs that go on, `heads` the
    commits of open pull requests from forks by their number; None until they are read the first time.
    `log` is the time from which on lost webhook deliveries are asked for again, `asked` has their ids.
    """

    at: Mapping[str, int] = field(default_factory=dict)
    floor: Mapping[str, int] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    open: tuple[int, ...] = ()
    heads: Mapping[str, str] | None = None
    log: int | None = None
    asked: Mapping[str, Asked] = field(default_factory=dict)

    def beginning(self, kinds: Iterable[str], at: int) -> ReadProgress:
        """Kinds that were not read before begin there."""
        new = dict.fromkeys(sorted(set(kinds) - (self.at.keys() & self.floor.keys())), at)
        return replace(self, at={**self.at, **new}, floor={**self.floor, **new}) if new else self

    def reached(self, kind: str, at: int, *, ended: bool) -> ReadProgress:
        """Read up to there; it never goes back. `ended`: nothing of this kind is left to be read."""
        at = max(at, self.at[kind])
        floor = max(self.floor[kind], at - BACK) if ended else self.floor[kind]
        return replace(self, at={**self.at, kind: at}, floor={**self.floor, kind: floor})

    def with_seen(self, facts: Iterable[str]) -> ReadProgress:
        """These count as read."""
        fresh = [name for fact in facts if (name := short(fact)) not in self.seen]
        return replace(self, seen=(*self.seen, *dict.fromkeys(fresh))[-MOST_SEEN:])


def short(fact: str) -> str:
    """A short name of a fact's key."""
    return hashlib.sha256(fact.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def dump(progress: Mapping[str, ReadProgress]) -> str:
    """A checkpoint."""
    repos = {
        repo: {
            "at": {kind: iso(at) for kind, at in one.at.items()},
            "from": {kind: iso(at) for kind, at in one.floor.items()},
            "seen": list(one.seen),
            "open": list(one.open),
            **({"heads": dict(one.heads)} if one.heads is not None else {}),
            **({"log": iso(one.log)} if one.log is not None else {}),
            "asked": {guid: [it.times, iso(it.at), it.id] for guid, it in one.asked.items()},
        }
        for repo, one in progress.items()
    }
    return dump_json({"repos": repos}).decode()


def load(checkpoint: str | None) -> dict[str, ReadProgress]:
    """The repositories of a checkpoint. What cannot be read counts as never polled, so that it heals."""
    try:
        data = load_json(checkpoint) if checkpoint else {}
    except NotJson:
        return {}
    repos = data.get("repos") if isinstance(data, dict) else None
    listed = repos.items() if isinstance(repos, dict) else ()
    return {repo: _progress(one) for repo, one in listed if isinstance(one, dict)}


def _progress(data: Mapping[str, Any]) -> ReadProgress:
    seen, going, heads = data.get("seen"), data.get("open"), data.get("heads")
    return ReadProgress(
        at=_times(data.get("at")),
        floor=_times(data.get("from")),
        seen=tuple(one for one in (seen if isinstance(seen, list) else []) if isinstance(one, str)),
        open=tuple(one for one in (going if isinstance(going, list) else []) if isinstance(one, int)),
        heads={name: sha for name, sha in heads.items() if isinstance(sha, str)}
        if isinstance(heads, dict)
        else None,
        log=seconds(data.get("log")),
        asked=_asked(data.get("asked")),
    )


def _asked(data: Any) -> dict[str, Asked]:
    found = {}
    for guid, one in (data if isinstance(data, dict) else {}).items():
        match one:
            case [int(times), str(time), int(id)] if (at := seconds(time)) is not None:
                found[guid] = Asked(times=times, at=at, id=id)
            case _:
                continue
    return found


def _times(data: Any) -> dict[str, int]:
    times = {kind: seconds(time) for kind, time in (data if isinstance(data, dict) else {}).items()}
    return {kind: time for kind, time in times.items() if time is not None}
