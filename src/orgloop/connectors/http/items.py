"""An answer's items, and the event that one of them is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from orgloop.connectors.http.checkpoint import content_name
from orgloop.connectors.http.feed import entries
from orgloop.connectors.http.settings import HttpSettings, as_template
from orgloop.connectors.http.times import millis
from orgloop.plugin import (
    MISSING,
    AuthorType,
    Draft,
    EventType,
    NotJson,
    Path,
    PluginError,
    Template,
    as_text,
    is_missing,
    load_json,
)

IN_THREAD: Final = 128 * 1024
"""Larger answers are read in a thread, not in the event loop."""

MOST_ITEMS: Final = 5_000
"""Items of one answer."""

NAME_LENGTH: Final = 200
"""Characters of an event's name."""

_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListItem:
    """One item. `version` None: it has none. `at` is in ms since 1970, None without a time."""

    id: str
    version: str | None
    at: int | None
    content: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """An answer: the whole document, and its items."""

    document: Any
    items: list[ListItem]


class ItemReader:
    """Reads answers as the settings say."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._items = None if settings.items is None else Path.parse(settings.items)
        self._id = Template.parse(as_template(settings.place("id") or ""))
        version = settings.place("version")
        self._version = None if version is None else Template.parse(as_template(version))
        self._time, self._author, self._link = (
            None if place is None else Path.parse(place)
            for place in (settings.place(name) for name in ("time", "author", "link"))
        )
        self._event = None if settings.event is None else Template.parse(settings.event)

    async def read(self, body: bytes, content_type: str) -> Read:
        """Raises PluginError: the answer is not what the settings say."""
        if len(body) > IN_THREAD:
            return await asyncio.to_thread(self._read, body, content_type)
        return self._read(body, content_type)

    def draft(self, item: ListItem, *, known: bool) -> Draft:
        """The event that this item is; `known`: an earlier version of it was in the list."""
        name = f"item.{'changed' if known else 'created'}"
        if self._event is not None:
            name = " ".join(self._event.render(item.content)[: NAME_LENGTH * 4].split())[:NAME_LENGTH]
        provenance: dict[str, Any] = {
            "platform": self._settings.platform,
            "platform_event": name or _UNKNOWN,
            "author": self._text(self._author, item) or _UNKNOWN,
            "author_type": AuthorType.UNKNOWN,
            "item_id": item.id,
        }
        if link := self._text(self._link, item):
            provenance["url"] = link
        key = item.id if item.version is None else f"{item.id}@{item.version}"
        return Draft(
            type=EventType.RESOURCE_CHANGED,
            provenance=provenance,
            payload=item.content,
            key=key,
            entity=item.id,
        )

    def _read(self, body: bytes, content_type: str) -> Read:
        document = self._document(body, content_type)
        listed = self._listed(document)
        if len(listed) > MOST_ITEMS:
            raise PluginError(
                f"the answer has more than {MOST_ITEMS} items", hint="ask for smaller pages in `params`"
            )
        contents = [one if isinstance(one, dict) else {"value": one} for one in listed]
        names = [self._id.key(one) for one in contents]
        if contents and not any(names):
            raise PluginError(
                f"no item has a value at `id`, which is {self._settings.place('id')}",
                hint=f"write the dot path of its id into `id`. An item has {_keys(contents[0])}",
            )
        items = [self._item(one, name) for one, name in zip(contents, names, strict=True)]
        return Read(document=document, items=items)

    def _item(self, content: dict[str, Any], name: str | None) -> ListItem:
        version = None
        if self._version is not None:
            version = self._version.key(content) or ""
        at = None if self._time is None else millis(self._time.get(content))
        return ListItem(id=name or content_name(content), version=version, at=at, content=content)

    def _document(self, body: bytes, content_type: str) -> Any:
        match self._settings.format:
            case "feed":
                return entries(body)
            case "lines":
                return [
                    _json(line, content_type, n)
                    for n, line in enumerate(body.split(b"\n"), 1)
                    if line.strip()
                ]
            case _:
                return _json(body, content_type, None) if body.strip() else []

    def _listed(self, document: Any) -> list[Any]:
        found = document if self._items is None else self._items.get(document)
        if isinstance(found, list):
            return found
        if self._items is not None and isinstance(found, dict):
            return [found]
        if self._items is None:
            raise PluginError(
                "the answer is not a list",
                hint=f"write the dot path of the list into `items`. {_lists(document)}",
            )
        if found is None:
            return []
        problem = "nothing" if found is MISSING else "neither a list nor a map"
        raise PluginError(
            f"the answer has {problem} at `items`, which is {self._settings.items}", hint=_lists(document)
        )

    def _text(self, path: Path | None, item: ListItem) -> str:
        found = None if path is None else path.get(item.content)
        return "" if is_missing(found) or isinstance(found, dict | list) else as_text(found)[:1000]


def _json(text: bytes, content_type: str, line: int | None) -> Any:
    try:
        return load_json(text.removeprefix(b"\xef\xbb\xbf"))
    except NotJson as exc:
        where = f"line {line} of the answer" if line is not None else "the answer"
        kind = f" but {content_type[:80]}" if content_type and "json" not in content_type else ""
        raise PluginError(f"{where} is not JSON{kind}: {exc}", hint="check `url` and `format`") from exc


def _lists(document: Any) -> str:
    """Where there are lists in an answer."""
    if not isinstance(document, dict):
        return "The answer is not a map either"
    found = [key for key, value in document.items() if isinstance(value, list)]
    return f"It has lists at {', '.join(found[:5])}" if found else f"It has {_keys(document)}"


def _keys(content: dict[str, Any]) -> str:
    return ", ".join(str(key)[:40] for key in list(content)[:10]) or "nothing"
