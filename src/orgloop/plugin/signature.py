"""Signed bodies: HMAC-SHA256 over the raw bytes, written as `sha256=` and hex digits."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator

from orgloop.errors import Refused
from orgloop.plugin.settings import SecretStr
from orgloop.plugin.source import Inbound

SCHEME: Final = "sha256="


def _not_empty(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("the secret is empty: set its variable, or remove the key to go without a secret")
    return value


Secret = Annotated[SecretStr, AfterValidator(_not_empty)]
"""A secret that is set. An empty one would switch verification off without a word."""


def sign(secret: SecretStr, body: bytes) -> str:
    """The header's value for `body`."""
    key = secret.get_secret_value().encode("utf-8", "surrogateescape")
    return SCHEME + hmac.digest(key, body, "sha256").hex()


def require_signature(request: Inbound, headers: Sequence[str], *, missing: str) -> str:
    """The first of `headers` (lower-case names) that is there. Raises Refused (401) with `missing`."""
    given = next((value for name in headers if (value := request.headers.get(name, ""))), None)
    if given is None:
        raise Refused(missing, hint="sign the body with the secret of this source", status=401)
    return given


def verify(request: Inbound, secret: SecretStr, headers: Sequence[str], *, missing: str) -> None:
    """Check the first of `headers` (lower-case names) that is there, in constant time.

    Raises Refused (401) with the message `missing`, or `Invalid signature`.
    """
    given = require_signature(request, headers, missing=missing)
    # As bytes, since compare_digest takes no text beyond ASCII, and a header may hold any.
    wanted = sign(secret, request.body).encode()
    if not hmac.compare_digest(given.strip().lower().encode("utf-8", "replace"), wanted):
        raise Refused(
            "Invalid signature",
            hint="both sides need the same secret, and the body as it was sent",
            status=401,
        )
