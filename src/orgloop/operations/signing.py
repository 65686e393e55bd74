"""Requests signed as the daemon's sources demand it: HMAC-SHA256 of the body, with the source's secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orgloop.config.model import SourceSpec

SIGNATURE: Final = "X-Hub-Signature-256"
"""The header that carries it."""


def signature(secret: str, body: bytes) -> str:
    """The header's value."""
    import hmac

    return f"sha256={hmac.digest(secret.encode('utf-8', 'surrogateescape'), body, 'sha256').hex()}"


def secret_of(spec: SourceSpec | None) -> str | None:
    """The secret that a configured source has, if it has one."""
    from pydantic import SecretStr

    secret = getattr(spec.settings, "secret", None) if spec is not None else None
    if isinstance(secret, tuple) and secret:
        # Of several, each is as good as the next.
        secret = secret[-1]
    return secret.get_secret_value().strip() if isinstance(secret, SecretStr) else None
