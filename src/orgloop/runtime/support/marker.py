"""A run's mark: it stands in comments and commits, so that its own words are known when they come back."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from functools import cache
from typing import Final
from urllib.parse import quote, unquote

from orgloop.plugin import Mark

NAME: Final = "OrgLoop-Run"
MOST: Final = 5
"""Marks of a text that are looked at."""

_FIELD: Final = r"([A-Za-z0-9_.~%-]{1,200})"
_MARK: Final = re.compile(
    rf"orgloop-run: ?((?:run|dlv)_[0-9a-f]{{16}}):{_FIELD}:{_FIELD}:([0-9]{{1,7}}):{_FIELD}:([0-9a-f]{{32}})",
    re.IGNORECASE | re.ASCII,
)


class Marker:
    """Makes marks, and knows those of this home again. `secret` is the home's: nobody else can make them.

    Whoever sees a mark can copy it, so it never makes anybody trusted.
    """

    def __init__(self, secret: Callable[[], str]) -> None:
        self._secret = cache(secret)

    def comment(self, mark: Mark) -> str:
        """For Markdown, in which it does not show."""
        return f"<!-- {NAME.lower()}: {self._written(mark)} -->"

    def trailer(self, mark: Mark) -> str:
        """For a commit's message: a line of its last paragraph."""
        return f"{NAME}: {self._written(mark)}"

    def find(self, text: str) -> Mark | None:
        """The first of our marks in a text that others may have written."""
        for number, found in enumerate(_MARK.finditer(text)):
            if number == MOST:
                break
            run_id, event_id, trace_id, hops, actor, _ = found.groups()
            mark = Mark(
                run_id=run_id,
                event_id=unquote(event_id),
                trace_id=unquote(trace_id),
                hops=int(hops),
                actor=unquote(actor),
            )
            written = found[0].partition(":")[2].strip()
            if hmac.compare_digest(written.encode("utf-8", "replace"), self._written(mark).encode()):
                return mark
        return None

    def _written(self, mark: Mark) -> str:
        texts = (mark.run_id, mark.event_id, mark.trace_id, str(mark.hops), mark.actor)
        joined = ":".join(quote(text, safe="", errors="replace") for text in texts)
        key = self._secret().encode()
        return f"{joined}:{hmac.new(key, b'mark ' + joined.encode(), hashlib.sha256).hexdigest()[:32]}"
