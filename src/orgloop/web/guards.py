"""Who may ask what.

A web page, or a tunnel, that reaches the loopback address is not the person at this machine.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from orgloop.errors import Refused
from orgloop.web.answers import TokenRefused, TooManyGuesses

log = logging.getLogger(__name__)

GUESSES: Final = 10
"""Wrong tokens in a second that are answered as such."""

LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

FORWARDED: Final = frozenset(
    {
        "cdn-loop",
        "client-ip",
        "forwarded",
        "forwarded-for",
        "proxy-client-ip",
        "remote-addr",
        "true-client-ip",
        "via",
        "wl-proxy-client-ip",
        "x-amzn-trace-id",
        "x-cdn",
        "x-client-ip",
        "x-cloud-trace-context",
        "x-cluster-client-ip",
        "x-forwarded",
        "x-forwarder-for",
        "x-gateway-host",
        "x-host",
        "x-http-host-override",
        "x-nf-client-connection-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-rewrite-url",
        "x-sucuri-clientip",
        "x-true-client-ip",
        "z-forwarded-for",
    }
)
"""Headers that a tunnel, proxy or content network adds: this request comes from further than it looks."""

FORWARDED_FAMILIES: Final = (
    "akamai-",
    "cf-",
    "cloudfront-",
    "fastly-",
    "fly-",
    "incap-",
    "ngrok-",
    "tailscale-",
    "x-akamai-",
    "x-appengine-",
    "x-arr-",
    "x-azure-",
    "x-envoy-",
    "x-forwarded-",
    "x-ms-forwarded-",
    "x-original-",
    "x-proxy",
    "x-real-",
    "x-vercel-",
)
"""Beginnings of such headers."""


def require_local(headers: Mapping[str, str], peer: str) -> None:
    """Refuse (403) what did not clearly begin on this machine, for a source that cannot tell who sends."""
    if not _is_loopback(peer):
        raise Refused(
            f"this source has no secret, so it accepts requests from this machine only, not from {peer}",
            hint="set `secret:` in the source's config, and send signed requests",
            status=403,
        )
    require_local_host(headers)
    page = "Sec-Fetch-Site" if _site(headers) != "none" else ""
    name = "Origin" if "origin" in headers else page or forwarding_header(headers)
    if name:
        raise Refused(
            f"this source has no secret, so it refuses requests with the header {name}",
            hint="a web page or a tunnel sent this: set `secret:` in the source's config",
            status=403,
        )


def require_operator(headers: Mapping[str, str]) -> None:
    """Refuse (403) what a page of another site, or somebody behind a tunnel, asks of the daemon itself."""
    require_local_host(headers)
    require_same_origin(headers)
    name = forwarding_header(headers)
    if name:
        raise Refused(
            f"the header {name} says that this request comes through a tunnel or a proxy",
            hint="let only /webhook through, and ask the daemon from its own machine",
            status=403,
        )


def require_local_host(headers: Mapping[str, str]) -> None:
    """Refuse (403) a Host that is not this machine: a page that rebinds its name to the loopback address."""
    host = headers.get("host", "")
    if host_name(host) not in LOCAL_HOSTS:
        raise Refused(
            f"the Host {host!r} is not this machine",
            hint="call http://127.0.0.1 or http://localhost",
            status=403,
        )


def require_same_origin(headers: Mapping[str, str]) -> None:
    """Refuse (403) what a page of another origin sent."""
    if _site(headers) not in ("none", "same-origin"):
        raise Refused(
            "the header Sec-Fetch-Site says that a page of another site sent this",
            hint="type the address into the browser yourself",
            status=403,
        )
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
        raise Refused(
            f"the Origin {origin!r} is another site",
            hint="call this from the same origin, or without one",
            status=403,
        )


class TokenGuard:
    """Lets in a call that carries this home's token. Calls with another one are few in a second."""

    def __init__(self, token: str, now: Callable[[], float] = time.monotonic) -> None:
        self._token = _bytes(token)
        self._now = now
        self._second = 0.0
        self._wrong = 0
        self._silent_until = 0.0

    def require(self, headers: Mapping[str, str]) -> None:
        """Refuse a call without the token (401), or with a wrong one too many within a second (429)."""
        scheme, _, given = headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(_bytes(given.strip()), self._token):
            return
        if not given:
            raise _needs_token()
        now = self._now()
        if now - self._second >= 1:
            self._second, self._wrong = now, 0
        self._wrong += 1
        if self._wrong <= GUESSES:
            raise _needs_token()
        if now >= self._silent_until:
            self._silent_until = now + 60
            log.warning("a program on this machine tries one wrong token after another at /control")
        raise TooManyGuesses(
            "too many calls with a wrong token",
            hint="wait a second, then send the content of the file token in the OrgLoop home",
            status=429,
        )


def _needs_token() -> TokenRefused:
    return TokenRefused(
        "this needs the daemon's token",
        hint="send `Authorization: Bearer <content of the file token in the OrgLoop home>`",
        status=401,
    )


def forwarding_header(headers: Mapping[str, str]) -> str:
    """The first header that a tunnel or proxy has added, or nothing."""
    for name in headers:
        lower = name.lower()
        if lower in FORWARDED or lower.startswith(FORWARDED_FAMILIES):
            return name
    return ""


def _site(headers: Mapping[str, str]) -> str:
    """Where a browser says that the page is from; "none" for a person or a program.

    It tells no Origin where a page only wants to show or fetch what it may not read.
    """
    return headers.get("sec-fetch-site", "none").strip().lower()


def host_name(host: str) -> str:
    """A Host header without its port, in lower case; nothing if the port is none."""
    host = host.strip().lower()
    name, port = (host[: host.find("]") + 1], host[host.find("]") + 1 :]) if host[:1] == "[" else _split(host)
    return name if not port or (port[0] == ":" and port[1:].isdigit()) else ""


def _split(host: str) -> tuple[str, str]:
    name, colon, port = host.partition(":")
    return name, colon + port


def _bytes(text: str) -> bytes:
    """For compare_digest, which takes no text beyond ASCII."""
    return text.encode("utf-8", "surrogateescape")


def _is_loopback(peer: str) -> bool:
    if peer == "127.0.0.1":
        return True
    try:
        address = ipaddress.ip_address(peer)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return False
