"""URLs of other systems, as far as messages and redirects need to know them."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

PORTS: Final = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """Scheme, host and port of a URL. Raises ValueError for a port that is none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts)}:{parts.port or PORTS.get(parts.scheme, 0)}"


def redirect_target(url: str, location: str) -> str:
    """Where a redirect leads. Raises ValueError if it must not be followed."""
    target = urljoin(url, location)
    parts = urlsplit(target)
    if parts.scheme not in PORTS or not is_host(parts.hostname):
        raise ValueError("it redirects to something that is not an http or https URL")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise ValueError(f"it redirects from https to http ({origin(target)}), which is not followed")
    origin(target)  # Raises for a port that is none.
    return target


def is_host(name: str | None) -> bool:
    """Whether this can be the name or address of a host: `a..b` cannot."""
    try:
        return bool(name and name.encode("idna"))
    except UnicodeError:
        return False


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host
