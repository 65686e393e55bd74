"""A webhook's log: deliveries that did not arrive are asked for again.

GitHub sends each delivery once, and keeps what became of it for three days. A delivery that is sent again
has the same id, so what did arrive is not told twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import urlsplit

from orgloop.connectors.github.api import Api, Denied
from orgloop.connectors.github.lists import Lists
from orgloop.connectors.github.polling.checkpoint import Asked, ReadProgress
from orgloop.connectors.github.polling.step import StepReading
from orgloop.connectors.github.times import seconds
from orgloop.plugin import EventType, Json, event_names, integer_at, names_match, object_at, text_at

KEPT: Final = 3 * 24 * 3600
"""Seconds for which GitHub keeps deliveries."""

MOST_AT_ONCE: Final = 50
"""Deliveries that one step asks for."""

PAUSES: Final = (0, 600, 3_600, 6 * 3_600)
"""Seconds after which a delivery that failed again is asked for the next time; then it is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Missed:
    """A delivery that did not arrive: its last try."""

    guid: str
    id: int
    at: int


class LogReading(Protocol):
    """A step that reads a log: `now` is GitHub's time in seconds, `progress` how far the log was read."""

    api: Api
    lists: Lists
    now: int
    progress: ReadProgress
    more: bool


def hook_path(source: str) -> str:
    """Where this machine takes the webhooks of a source."""
    return f"/webhook/{source}"


def hooks_root(repo: str) -> str:
    """Below which path the webhooks of a repository are, or for `owner/*` those of the organization."""
    owner, _, name = repo.partition("/")
    return f"/orgs/{owner}" if name == "*" else f"/repos/{repo}"


async def ask_again(reading: StepReading, path: str, events: Sequence[str]) -> bool:
    """Asks for what the repository's webhooks to `path` could not deliver. False: it may not see them."""
    try:
        hooks = await reading.lists.whole(f"{reading.root}/hooks", pages=1)
    except Denied as exc:
        if exc.status == 401:
            raise
        return False
    for hook in hooks:
        if leads_to(hook, path):
            await ask_for_lost(reading, f"{reading.root}/hooks/{integer_at(hook, 'id')}/deliveries", events)
    return True


def leads_to(hook: Json, path: str) -> bool:
    """Whether it is a webhook in use whose address ends with `path`."""
    return hook.get("active") is True and is_address(text_at(object_at(hook, "config"), "url"), path)


def is_address(url: str, path: str) -> bool:
    """Whether a webhook's address ends with `path`."""
    try:
        return urlsplit(url).path.rstrip("/").endswith(path)
    except ValueError:
        return False


async def ask_for_lost(reading: LogReading, path: str, events: Sequence[str]) -> None:
    """Asks again for what the log at `path` says did not arrive."""
    now, since = reading.now, max(reading.progress.log or 0, reading.now - KEPT)
    rows = await reading.lists.whole(path, pages=3, status="failure")
    asked = {guid: one for guid, one in reading.progress.asked.items() if now - one.at < KEPT}
    due = [one for one in _missed(rows, since, events) if _is_due(one, asked.get(one.guid), now)]
    for one in due[:MOST_AT_ONCE]:
        try:
            await reading.api.send("POST", f"{path}/{one.id}/attempts")
        except Denied as exc:
            if exc.status in (401, 403):
                raise
        times = asked[one.guid].times if one.guid in asked else 0
        asked[one.guid] = Asked(times=times + 1, at=now, id=one.id)
        # What was asked for is known, also if the next request fails.
        reading.progress = replace(reading.progress, asked=asked)
    reading.progress = replace(reading.progress, asked=asked)
    reading.more = reading.more or len(due) > MOST_AT_ONCE


def _missed(rows: Sequence[Json], since: int, events: Sequence[str]) -> list[_Missed]:
    """Deliveries none of whose tries arrived, the oldest first."""
    arrived = {text_at(row, "guid") for row in rows if 200 <= (integer_at(row, "status_code") or 0) < 300}
    missed: dict[str, _Missed] = {}
    for row in rows:
        at, id, guid = seconds(row.get("delivered_at")), integer_at(row, "id"), text_at(row, "guid")
        if at is None or id is None or not guid or guid in arrived or not _is_wanted(row, events):
            continue
        if guid not in missed or missed[guid].at < at:
            missed[guid] = _Missed(guid=guid, id=id, at=at)
    return sorted((one for one in missed.values() if one.at >= since), key=lambda one: (one.at, one.id))


def _is_due(one: _Missed, asked: Asked | None, now: int) -> bool:
    """Whether it failed since it was asked for last, and its pause is over."""
    if asked is None:
        return True
    return one.id != asked.id and asked.times < len(PAUSES) and now - asked.at >= PAUSES[asked.times]


def _is_wanted(row: Json, events: Sequence[str]) -> bool:
    event, action = text_at(row, "event"), text_at(row, "action")
    if event == "ping":
        return False
    names = {"platform_event": f"{event}.{action}" if action else event, "native_event": event}
    if action:
        names["native_action"] = action
    return not events or names_match(events, event_names(EventType.RESOURCE_CHANGED, names))
