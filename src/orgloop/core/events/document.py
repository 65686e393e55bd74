"""Reading an event that somebody hands in as a document: one way for all, which refuses what is no event."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from orgloop.core.events.event import ENVELOPE, AuthorType, Event, EventType
from orgloop.core.text.suggest import nearest_name
from orgloop.errors import Refused

MOST_HOPS: Final = 1_000_000

MOST_PARENTS: Final = 1_000

FILLED: Final = ("id", "timestamp", "trace_id")
"""What a document may leave out, and gets."""

_SHOWN: Final = 80
_TAIL: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
EVENT_ID: Final = re.compile(rf"evt_{_TAIL}")
TRACE_ID: Final = re.compile(rf"trc_{_TAIL}")
"""Ids that can be pasted into any command: nothing in them means anything to a shell, or to a path."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d)")
_WORDS: Final = ("platform_event", "native_event", "native_action", "author")
_EXAMPLE: Final = "`orgloop test --generate webhook` prints a whole event"


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedEvent:
    """The event, and which of `FILLED` it was given."""

    event: Event
    filled: Sequence[str]


def parse_event(
    document: Any, defaults: Mapping[str, str], sources: Collection[str], *, strict: bool = True
) -> ParsedEvent:
    """The event that a document means.

    `defaults` has a value for each of `FILLED`; without a `type` something has changed. `sources` are the ids
    from which an event can come; without `strict` it may come from elsewhere, and then nobody takes it in.
    Raises Refused, with the field and what must stand there.
    """
    if not isinstance(document, Mapping):
        raise Refused("this is not an event: it is not a JSON object", hint=_EXAMPLE)
    filled = [name for name in FILLED if document.get(name) in (None, "")]
    texts = {name: defaults[name] if name in filled else document[name] for name in FILLED}
    _require(EVENT_ID, "id", texts["id"], "`evt_` and at most 64 letters, digits, - and _")
    _require(TRACE_ID, "trace_id", texts["trace_id"], "`trc_` and at most 64 letters, digits, - and _")
    _require_time(texts["timestamp"])
    event = Event(
        **texts,
        source=_source(document.get("source"), sources, strict=strict),
        type=_type(document.get("type", EventType.RESOURCE_CHANGED)),
        provenance=_provenance(document.get("provenance")),
        payload=document.get("payload", {}),
        parents=_parents(document.get("parents")),
        hops=_hops(document.get("hops")),
        extra={name: value for name, value in document.items() if name not in ENVELOPE},
    )
    return ParsedEvent(event=event, filled=filled)


def _source(given: Any, known: Collection[str], *, strict: bool) -> str:
    there = f"there are: {', '.join(sorted(known)) or 'none'}"
    if given in (None, ""):
        raise _refused(
            "source",
            "is missing",
            f"add the id of its source or actor; {there}\n"
            "if it is a request's body: orgloop test FILE --source ID",
        )
    if not isinstance(given, str):
        raise _refused("source", "is not text", there)
    if strict and given not in known:
        near = nearest_name(given, known, short=True)
        hint = f"did you mean `{near}`? {there}" if near else there
        raise _refused("source", f"is {_shown(given)}, which is neither a source nor an actor", hint)
    return given


def _type(given: Any) -> str:
    types = ", ".join(EventType)
    if not isinstance(given, str) or given not in set(EventType):
        raise _refused(
            "type",
            f"is {_shown(given)}",
            f"one of {types}; what exactly happened is `provenance.platform_event`",
        )
    return given


def _provenance(given: Any) -> Mapping[str, Any]:
    example = 'for example {"platform": "webhook", "platform_event": "deploy.finished"}'
    if given is None:
        raise _refused("provenance", "is missing", example)
    if not isinstance(given, Mapping):
        raise _refused("provenance", "is not an object", example)
    platform = given.get("platform")
    if not isinstance(platform, str) or not platform:
        raise _refused("provenance.platform", "is missing, or not text", example)
    for name in _WORDS:
        if given.get(name) is not None and not isinstance(given[name], str):
            raise _refused(f"provenance.{name}", "is not text", "leave it out if it is not known")
    author_type = given.get("author_type")
    if author_type is not None and (not isinstance(author_type, str) or author_type not in set(AuthorType)):
        raise _refused(
            "provenance.author_type", f"is {_shown(author_type)}", f"one of {', '.join(AuthorType)}"
        )
    return given


def _parents(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST_PARENTS:
        raise _refused("parents", "is not a list of event ids", "leave it out if nothing caused it")
    for one in given:
        _require(EVENT_ID, "parents", one, "ids of events")
    return tuple(given)


def _hops(given: Any) -> int:
    if given is None:
        return 0
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= MOST_HOPS:
        raise _refused(
            "hops", f"is {_shown(given)}", f"a number from 0 to {MOST_HOPS}; 0 if no run caused it"
        )
    return given


def _require(pattern: re.Pattern[str], name: str, given: Any, form: str) -> None:
    if not isinstance(given, str) or not pattern.fullmatch(given):
        raise _refused(name, f"is {_shown(given)}", f"{form}; left out, it is made")


def _require_time(given: Any) -> None:
    try:
        if isinstance(given, str) and _TIME.fullmatch(given):
            datetime.fromisoformat(given)
            return
    except ValueError:
        pass
    hint = "a time of ISO 8601 with its zone, such as 2026-01-05T10:00:00Z; left out, it is now"
    raise _refused("timestamp", f"is {_shown(given)}", hint)


def _refused(field: str, what: str, hint: str) -> Refused:
    return Refused(f"this is not an event: its `{field}` {what}", hint=hint)


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
