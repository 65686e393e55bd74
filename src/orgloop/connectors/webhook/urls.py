"""URLs of targets, as far as messages and redirects need to know them."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

PORTS: Final = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """Scheme, host and port of a URL. Raises ValueError for a port that is none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts)}:{parts.port or PORTS.get(parts.scheme, 0)}"


def is_host(name: str | None) -> bool:
    """Whether this can be the name or address of a host: `a..b` cannot."""
    try:
        return bool(name and name.encode("idna"))
    except UnicodeError:
        return False


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host
