"""The address at which another system reports on a run: it holds a secret that is this run's alone."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import cache
from typing import Final

from orgloop.errors import NotFound

PATH: Final = "/callback"


class Callbacks:
    """Makes addresses, and knows them again, also in a later daemon of the same home.

    `secret` is the home's, `base` the address of this daemon for others, None while it has none.
    """

    def __init__(self, secret: Callable[[], str], base: Callable[[], str | None]) -> None:
        self._secret = cache(secret)
        self._base = base

    def address(self, run_id: str) -> str | None:
        """Where another system may report on this run; None if it cannot reach us."""
        base = self._base()
        return f"{base.rstrip('/')}{PATH}/{run_id}/{self._token(run_id)}" if base else None

    def require(self, run_id: str, token: str) -> None:
        """Raises NotFound if that is not the secret of this run."""
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._token(run_id).encode()):
            raise NotFound(
                "no run expects a report at this address",
                hint="call the whole address from the run's request",
            )

    def _token(self, run_id: str) -> str:
        key = self._secret().encode()
        return hmac.new(key, b"callback " + run_id.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
