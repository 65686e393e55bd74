"""Watches a directory by looking at it again and again, which works on every file system."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from orgloop.connectors.files.directory import Difference, Print, differences, scan, take
from orgloop.connectors.files.settings import FilesSettings
from orgloop.plugin import (
    SECOND,
    AuthorType,
    Clock,
    Context,
    Draft,
    EventType,
    NotJson,
    Page,
    dump_json,
    load_json,
)

MOST_EVENTS: Final = 500
"""Events of one poll; what is left is told at once, by the next one."""

MOST_CONTENT: Final = 4 * 2**20
"""Bytes of contents in one poll."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS: Final = 1_000_000


class FilesSource:
    """A poll is one look. What was told is known, and is committed with the events."""

    def __init__(self, id: str, settings: FilesSettings) -> None:
        self._settings = settings
        self._clock: Clock | None = None
        self._unsettled: dict[str, tuple[Print, float]] = {}

    async def open(self, ctx: Context) -> None:
        """Looks at nothing yet: a directory that is missing is a poll that failed."""
        self._clock = ctx.clock

    async def close(self) -> None:
        """Nothing to give back."""

    async def poll(self, checkpoint: str | None) -> Page:
        """What changed since the last look. A file that is being written is looked at again soon."""
        assert self._clock is not None, "the source is not open"
        found = await self._look()
        known = _load(checkpoint)
        if known is None:
            known = self._old(found)
        fresh = differences(known, found)
        told, waits = self._settled(fresh, found)
        wanted = [one for one in told if one.event in self._settings.events]
        drafts, left = await asyncio.to_thread(self._drafts, wanted)
        later = {id(one) for one in wanted[len(wanted) - left :]} if left else set()
        for one in told:
            if id(one) not in later:
                take(known, one)
        after = _dump(known)
        next_at = self._clock.now() + self._settings.settle if waits else None
        unchanged = not drafts and after == checkpoint
        return Page(events=drafts, checkpoint=None if unchanged else after, more=bool(left), next_at=next_at)

    async def _look(self) -> dict[str, Print]:
        stopped = threading.Event()
        try:
            return await asyncio.to_thread(scan, self._settings, stopped)
        finally:
            stopped.set()

    def _old(self, found: Mapping[str, Print]) -> dict[str, Print]:
        """What the first look does not tell."""
        assert self._clock is not None
        since = (self._clock.now() - self._settings.initial_lookback) * _NS
        lookback = self._settings.initial_lookback
        return {path: one for path, one in found.items() if not lookback or one.modified < since}

    def _settled(self, fresh: list[Difference], found: Mapping[str, Print]) -> tuple[list[Difference], bool]:
        """The changes of files that stay as they are, and whether others do not yet."""
        assert self._clock is not None
        settle, now = self._settings.settle, self._clock.monotonic()
        today = self._clock.now() * _NS
        told: list[Difference] = []
        unsettled: dict[str, tuple[Print, float]] = {}
        for one in fresh:
            if one.now is None or one.event == "renamed" or not settle:
                told.append(one)
                continue
            last, since = self._unsettled.get(one.path, (None, now))
            if last != one.now:
                since = now
            # The time of a file may be of another machine's clock: only one that is past counts.
            old = one.now.modified <= today - settle * _NS
            if old or now - since >= settle / SECOND:
                told.append(one)
            else:
                unsettled[one.path] = (one.now, since)
        self._unsettled = unsettled
        return told, bool(unsettled)

    def _drafts(self, wanted: list[Difference]) -> tuple[list[Draft], int]:
        """Events of as many of them as one poll may have, and how many are left."""
        drafts: list[Draft] = []
        size = 0
        for one in wanted:
            if len(drafts) >= MOST_EVENTS or size >= MOST_CONTENT:
                break
            content = self._content(one)
            size += len(content or "")
            drafts.append(self._draft(one, content))
        return drafts, len(wanted) - len(drafts)

    def _draft(self, one: Difference, content: str | None) -> Draft:
        payload: dict[str, Any] = {"path": one.path, "name": one.path.rpartition("/")[2]}
        if one.now is not None:
            payload |= {"size": one.now.size, "modified": _iso(one.now.modified)}
        if one.old_path is not None:
            payload["old_path"] = one.old_path
        if content is not None:
            payload["content"] = content
        return Draft(
            type=EventType.RESOURCE_CHANGED,
            provenance={
                "platform": "files",
                "platform_event": f"file.{one.event}",
                "author": "unknown",
                "author_type": AuthorType.UNKNOWN,
                "path": one.path,
            },
            payload=payload,
            entity=one.path,
        )

    def _content(self, one: Difference) -> str | None:
        """The text of a file; None if it is not wanted, too large, gone, or not text."""
        if one.now is None or not self._settings.content or one.now.size > self._settings.content:
            return None
        return _text(self._settings.directory / one.path, self._settings.content)


def _text(path: Path, most: int) -> str | None:
    try:
        # What was a file may be a link or a pipe by now, which is neither followed nor waited for.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return None
        try:
            data = opened.read(most + 1)
        except OSError:
            return None
    try:
        return data.decode() if len(data) <= most and b"\0" not in data else None
    except UnicodeDecodeError:
        return None


def _iso(ns: int) -> str:
    try:
        time = _EPOCH + timedelta(milliseconds=ns // _NS)
    except OverflowError:
        time = _EPOCH
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dump(known: Mapping[str, Print]) -> str:
    return dump_json({"files": {path: list(known[path]) for path in sorted(known)}}).decode()


def _load(checkpoint: str | None) -> dict[str, Print] | None:
    """None for the first look, and for what cannot be read."""
    try:
        data: Any = load_json(checkpoint) if checkpoint else None
        return {path: Print(*map(int, one)) for path, one in data["files"].items()}
    except (NotJson, TypeError, KeyError, AttributeError, ValueError):
        return None
