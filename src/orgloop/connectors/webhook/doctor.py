"""Looks at webhook sources and actors without sending anything."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from orgloop.connectors.webhook.settings import WebhookActorSettings, WebhookSourceSettings
from orgloop.connectors.webhook.urls import origin
from orgloop.plugin import (
    CheckResult,
    CheckStatus,
    Context,
)

SECONDS: Final = 4.0


async def check(settings: Any, _ctx: Context) -> Sequence[CheckResult]:
    """A source: has it a secret? An actor: does anybody listen at its URL, with a valid certificate?"""
    match settings:
        case WebhookSourceSettings(secret=secret):
            return [signature_check(bool(secret))]
        case WebhookActorSettings(url=url):
            return [await reach(url)]
        case _:
            return []


def signature_check(verified: bool) -> CheckResult:
    """Whether requests are verified."""
    if verified:
        return CheckResult(name="signature", status=CheckStatus.OK, detail="requests are verified")
    return CheckResult(
        name="signature",
        status=CheckStatus.OK,
        detail="no secret: only this machine can send requests",
        hint="set `secret` here and at the sender",
    )


async def reach(url: str, seconds: float = SECONDS) -> CheckResult:
    """Connects, with TLS for https, and hangs up: the target sees no request."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    where = origin(url)
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80))
            if secure:
                await writer.start_tls(ssl.create_default_context(), server_hostname=parts.hostname)
    except (TimeoutError, OSError) as exc:
        # A target that is down comes back by itself; a wrong name, or a target without TLS, does not.
        lasts = writer is not None or isinstance(exc, socket.gaierror)
        if writer is not None:
            writer.transport.abort()
        timed_out = isinstance(exc, TimeoutError)
        return _unreachable(
            where, f"no connection within {seconds:g} s" if timed_out else str(exc), lasts=lasts
        )
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return CheckResult(name="target", status=CheckStatus.OK, detail=f"{where} takes connections")


def _unreachable(where: str, reason: str, *, lasts: bool) -> CheckResult:
    return CheckResult(
        name="target",
        status=CheckStatus.ERROR if lasts else CheckStatus.WARNING,
        detail=f"{where} cannot be reached: {reason}",
        hint="check `url`, and whether the target runs; wakes wait for it",
    )
