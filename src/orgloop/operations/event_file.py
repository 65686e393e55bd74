"""The event that a file holds, for whatever takes one: itself, or what `inspect --json` prints of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from orgloop.core.events.document import FILLED
from orgloop.core.events.event import REPLAY_OF
from orgloop.core.text.json_text import NotJson, load_json
from orgloop.errors import Refused

_EXAMPLE: Final = "`orgloop test --generate webhook` prints a whole event"
_BARE_KEY: Final = re.compile(rb"[{,]\s{0,99}(?:[A-Za-z_]\w{0,99}|'[^'\n]{0,99}')\s{0,99}:")
_OF_EVENT: Final = ("event_id", "accepted_at", "event")
"""Keys that tell what `inspect EVENT --json` prints from an event."""


def json_hint(content: bytes) -> str:
    """What to do about text that is no JSON."""
    if _BARE_KEY.search(content):
        return 'put keys and text in double quotes, as in {"pr": 8, "title": "Fix"}'
    return _EXAMPLE


def load_event(content: bytes, where: str) -> Any:
    """The event's document. Raises Refused for what is no JSON; `where` says where it stands.

    What `inspect` prints of an event that was accepted means a new one of the same content.
    """
    if not content.strip():
        raise Refused(f"{where} is empty", hint=f"give an event as JSON; {_EXAMPLE}")
    try:
        document = load_json(content)
    except NotJson as exc:
        raise Refused(f"{where} is not JSON: {exc}", hint=json_hint(content)) from exc
    if not isinstance(document, Mapping) or not all(key in document for key in _OF_EVENT):
        return document
    event = document["event"]
    if not isinstance(event, Mapping):
        return document
    return {name: value for name, value in event.items() if name not in (*FILLED, REPLAY_OF)}
