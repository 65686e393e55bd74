"""RSS and Atom: a feed's entries as maps. It reads no entities, and nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from xml.parsers import expat

from orgloop.connectors.http.times import iso, millis
from orgloop.plugin import PluginError

MOST_ENTRIES: Final = 5_000
DEEPEST: Final = 100
LONGEST: Final = 100_000
"""Characters of one text."""

_ATOM: Final = "http://www.w3.org/2005/Atom"
_DC: Final = "http://purl.org/dc/elements/1.1/"
_CONTENT: Final = "http://purl.org/rss/1.0/modules/content/"
_ENTRIES: Final = ("item", "entry")
_ROOTS: Final = ("rss", "feed", "RDF")

_TEXTS: Final[Mapping[str, str]] = {
    "id": "id",
    "guid": "id",
    "title": "title",
    "summary": "summary",
    "description": "summary",
    "content": "content",
    f"{_CONTENT} encoded": "content",
    "published": "published",
    "issued": "published",
    "pubDate": "published",
    f"{_DC} date": "published",
    "updated": "updated",
    "modified": "updated",
    "author": "author",
    f"{_DC} creator": "author",
    "comments": "comments",
}
"""What an entry's elements are called in the event. Of other namespaces only those that are named."""


class NotAFeed(PluginError):
    """It cannot be read as RSS or Atom."""


def entries(document: bytes) -> list[dict[str, Any]]:
    """The entries in the order of the feed. Raises NotAFeed."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _no_entities
    try:
        parser.Parse(document, True)
    except expat.ExpatError as exc:
        why = expat.errors.messages.get(exc.code, "it is not XML")
        place = f"line {exc.lineno}, column {exc.offset + 1}"
        raise NotAFeed(f"the answer is not a feed: {why} ({place})", hint="check `url` and `format`") from exc
    except (LookupError, ValueError) as exc:
        raise NotAFeed(f"the answer is not a feed: {exc}", hint="check `url` and `format`") from exc
    if not reader.is_feed:
        raise NotAFeed("the answer is XML, but neither RSS nor Atom", hint="check `url`")
    return reader.found


def _no_entities(*_: Any) -> None:
    raise NotAFeed(
        "the feed defines entities, which are not read", hint="ask its publisher, or another `url`"
    )


class _Reader:
    """Takes what the parser meets. It keeps the texts of entries, and nothing else."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.is_feed = False
        self._depth = 0
        self._entry: dict[str, Any] | None = None
        self._entry_depth = 0
        self._field = ""
        self._field_depth = 0
        self._words: list[str] = []
        self._length = 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotAFeed(f"the feed nests deeper than {DEEPEST} elements")
        local = name.rpartition(" ")[2]
        if self._depth == 1:
            self.is_feed = local in _ROOTS
        elif self._entry is None:
            if local in _ENTRIES and self.is_feed:
                if len(self.found) >= MOST_ENTRIES:
                    raise NotAFeed(f"the feed has more than {MOST_ENTRIES} entries")
                self._entry, self._entry_depth = {}, self._depth
        elif self._depth == self._entry_depth + 1:
            self._begin_field(name, local, attributes)
        elif self._field == "author" and local == "name":
            self._words, self._length = [], 0  # The name of an author, without address and page.
        elif self._field == "author":
            self._length = LONGEST if self._words else 0

    def _begin_field(self, name: str, local: str, attributes: Mapping[str, str]) -> None:
        assert self._entry is not None
        space = name.rpartition(" ")[0]
        foreign = space and space != _ATOM and not space.startswith("http://purl.org/rss/1.0/")
        self._field = _TEXTS.get(name, "") or ("" if foreign else _TEXTS.get(local, ""))
        self._field_depth, self._words, self._length = self._depth, [], 0
        match local:
            case _ if foreign:
                pass
            case "link" if attributes.get("href"):
                if attributes.get("rel", "alternate") == "alternate" or "link" not in self._entry:
                    self._entry["link"] = attributes["href"][:LONGEST]
            case "link":
                self._field = "link"
            case "category":
                self._category(attributes)
            case "enclosure" if attributes.get("url"):
                self._entry.setdefault("enclosures", []).append(attributes["url"][:LONGEST])

    def _category(self, attributes: Mapping[str, str]) -> None:
        assert self._entry is not None
        if term := attributes.get("term"):
            self._entry.setdefault("categories", []).append(term[:LONGEST])
        else:
            self._field = "category"

    def text(self, data: str) -> None:
        if self._field and self._length < LONGEST:
            self._words.append(data[: LONGEST - self._length])
            self._length += len(self._words[-1])

    def end(self, _: str) -> None:
        if self._entry is not None and self._field and self._depth == self._field_depth:
            self._end_field(self._entry)
        if self._entry is not None and self._depth == self._entry_depth:
            self.found.append(_entry(self._entry))
            self._entry = None
        self._depth -= 1

    def _end_field(self, entry: dict[str, Any]) -> None:
        said = "".join(self._words).strip()
        field, self._field = self._field, ""
        if field == "category":
            if said:
                entry.setdefault("categories", []).append(said)
        elif said and (field not in entry or field == "link"):
            entry[field] = said


def _entry(read: dict[str, Any]) -> dict[str, Any]:
    """With an id, and with times that are all written alike."""
    for key in ("published", "updated"):
        at = millis(read.get(key))
        if at is not None:
            read[key] = iso(at)
    if (known := read.get("updated", read.get("published"))) is not None:
        read["updated"] = known
    if "id" not in read and "link" in read:
        read["id"] = read["link"]
    return read
