"""Query parameters: each is read once, checked, and refused by name if it cannot mean anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from orgloop.errors import Refused

MOST: Final = 1000
"""The largest page."""

_YES: Final = frozenset({"1", "true", "yes", ""})
_NO: Final = frozenset({"0", "false", "no"})


class Parameters:
    """The query of one request. `finish` refuses (400) what no question asked for."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query
        self._known: list[str] = []

    def text(self, name: str) -> str:
        """Any text; empty if it is not given."""
        self._known.append(name)
        return self._query.get(name, "").strip()

    def time(self, name: str) -> int | None:
        """A point in time, in ms since 1970: ISO 8601 (UTC unless it says otherwise), or ms."""
        text = self.text(name)
        if not text:
            return None
        # A `+` that nobody has escaped arrives as a blank.
        text = text.replace(" ", "+") if "T" in text else text
        try:
            if text.isascii() and text.isdigit() and len(text) > 8:
                return _ms(datetime.fromtimestamp(int(text) / 1000, UTC))
            when = datetime.fromisoformat(text)
            return _ms(when if when.tzinfo else when.replace(tzinfo=UTC))
        except (ValueError, OverflowError, OSError) as exc:
            raise _bad(name, text, "a point in time, such as 2026-01-31T09:00:00Z or ms since 1970") from exc

    def limit(self, default: int) -> int:
        """`limit`: how many, at least one and at most MOST."""
        text = self.text("limit")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            raise _bad("limit", text, f"a number from 1 to {MOST}")
        return min(int(text), MOST)

    def flag(self, name: str) -> bool:
        """Whether something is asked for: `?name`, `?name=true`."""
        if name not in self._query:
            self._known.append(name)
            return False
        text = self.text(name).lower()
        if text not in _YES | _NO:
            raise _bad(name, text, "true or false")
        return text in _YES

    def words(self, name: str, allowed: Sequence[str]) -> list[str]:
        """Some of these words, separated by commas."""
        given = [word for word in self.text(name).split(",") if word]
        for word in given:
            if word not in allowed:
                raise _bad(name, word, f"one or more of {', '.join(allowed)}, separated by commas")
        return given

    def finish(self) -> None:
        """Refuse what was not read, and what is there twice."""
        for name, count in Counter(name for name, _ in self._query.items()).items():
            if name not in self._known:
                known = f"there are: {', '.join(self._known)}" if self._known else "there are none here"
                raise Refused(f"unknown query parameter {name!r}", hint=known)
            if count > 1:
                raise Refused(f"the query parameter {name!r} occurs {count} times", hint="give it once")


def _ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)


def _bad(name: str, value: str, wanted: str) -> Refused:
    return Refused(f"the query parameter {name!r} is {value!r}", hint=f"`{name}` must be {wanted}")
