"""From what Linear's API shows to the bodies of the webhooks that told of the same facts.

The API shows an issue as it is now, and its history. Each entry of the history becomes an update of
the issue as it was then: later changes are put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orgloop.connectors.linear.polling.checkpoint import millis
from orgloop.plugin import Json, PluginError, number_at, object_at, objects_at, text_at

_THINGS: Final = ("state", "assignee", "delegate", "project", "cycle")


@dataclass(frozen=True, kw_only=True, slots=True)
class DatedBody:
    """One body, when it was (ms since 1970), and the entry of the history that it was made of."""

    body: Json
    at: int
    entry: str = ""


def told_of_issue(issue: Json, entries: Sequence[Json], floor: int) -> list[DatedBody]:
    """The facts of an issue from `floor` on, the oldest first. `entries` are its history from then on."""
    data = _data(issue)
    told: list[DatedBody] = []
    for entry in sorted(entries, key=_order, reverse=True):
        after, old = _change(data, entry)
        at = time_of(entry, "updatedAt")
        if old and at >= floor:
            body = _body("Issue", "update", after, _doer(entry), updatedFrom=_from(old))
            told.append(DatedBody(body=body, at=at, entry=text_at(entry, "id")))
        data = _with_ids({**after, **old})
    if (at := time_of(issue, "createdAt")) >= floor:
        told.append(DatedBody(body=_body("Issue", "create", data, _doer(issue, "creator")), at=at))
    return told[::-1]


def told_of_comment(comment: Json) -> DatedBody:
    """That a comment was written."""
    body = _body("Comment", "create", comment, _doer(comment, "user"))
    return DatedBody(body=body, at=time_of(comment, "createdAt"))


def time_of(thing: Json, key: str) -> int:
    """One of Linear's times. Raises PluginError: without it, nobody knows what was read."""
    at = millis(thing.get(key))
    if at is None:
        raise PluginError(f"Linear lists something without `{key}`: {text_at(thing, 'id')[:100] or 'no id'}")
    return at


def nodes(thing: Json, key: str) -> list[Json]:
    """The things of a connection. Raises PluginError if it is none: nothing must count as read then."""
    found = object_at(thing, key).get("nodes")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PluginError(f"Linear's answer has no list `{key}`: check `api_url`")
    return found


def next_page(thing: Json, key: str) -> str | None:
    """Where a connection goes on; None at its end."""
    page = object_at(thing, key, "pageInfo")
    after, more = text_at(page, "endCursor"), page.get("hasNextPage")
    if not isinstance(more, bool) or (more and not after):
        raise PluginError(f"Linear's answer does not say whether `{key}` goes on: check `api_url`")
    return after if more else None


def _order(entry: Json) -> tuple[int, str]:
    return time_of(entry, "createdAt"), text_at(entry, "id")


def _data(issue: Json) -> dict[str, Any]:
    """An issue in a webhook's form."""
    data = {key: value for key, value in issue.items() if key != "history"}
    return _with_ids({**data, "labels": nodes(issue, "labels")})


def _with_ids(data: dict[str, Any]) -> dict[str, Any]:
    ids = {f"{key}Id": text_at(object_at(data, key), "id") or None for key in (*_THINGS, "team")}
    return {**data, **ids, "labelIds": [text_at(label, "id") for label in data["labels"]]}


def _change(data: Mapping[str, Any], entry: Json) -> tuple[dict[str, Any], dict[str, Any]]:
    """The issue after an entry of its history, and what was there before in the fields that it changed."""
    after, old = dict(data), dict[str, Any]()
    for key in _THINGS:
        then, now = object_at(entry, f"from{key.title()}"), object_at(entry, f"to{key.title()}")
        # An issue always has a state: an entry with one side of it does not tell of a change.
        if text_at(then, "id") != text_at(now, "id") and (key != "state" or (then and now)):
            after[key], old[key] = now or None, then or None
    was, became = number_at(entry, "fromPriority") or 0, number_at(entry, "toPriority") or 0
    if was != became:
        after["priority"], old["priority"] = became, was
    added, removed = objects_at(entry, "addedLabels"), objects_at(entry, "removedLabels")
    if added or removed:
        touched = {text_at(label, "id") for label in (*added, *removed)}
        kept = [label for label in data["labels"] if text_at(label, "id") not in touched]
        after["labels"], old["labels"] = [*kept, *added], [*kept, *removed]
    return _with_ids(after), old


def _from(old: Mapping[str, Any]) -> dict[str, Any]:
    """An update's `updatedFrom`: with the ids, as webhooks have them, and the names."""
    ids = {f"{key}Id": text_at(object_at(old, key), "id") or None for key in _THINGS if key in old}
    labels = {"labelIds": [text_at(one, "id") for one in old["labels"]]} if "labels" in old else {}
    return {**old, **ids, **labels}


def _body(kind: str, action: str, data: Json, actor: Json | None, **more: Any) -> Json:
    return {"type": kind, "action": action, "actor": actor, "data": data, "url": data.get("url"), **more}


def _doer(thing: Json, key: str = "actor") -> Json | None:
    """Who did it, as webhooks tell it: a user, which may be an app, or an integration."""
    user, bot = object_at(thing, key), object_at(thing, "botActor")
    if user:
        return {**user, "type": "app" if user.get("app") is True else "user"}
    if bot:
        service = text_at(bot, "type") or text_at(bot, "name")
        return {"type": "integration", "id": bot.get("id"), "service": service}
    return None
