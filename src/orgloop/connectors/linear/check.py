"""What `doctor` says of a Linear source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orgloop.connectors.linear.settings import LinearSettings
from orgloop.plugin import CheckResult, CheckStatus, Context


async def check(settings: Any, _ctx: Context) -> Sequence[CheckResult]:
    """Reads only: whether webhooks are verified."""
    return [signature(settings)] if isinstance(settings, LinearSettings) else []


def signature(settings: LinearSettings) -> CheckResult:
    """Whether webhooks are verified."""
    if settings.secret is not None:
        return CheckResult(name="signature", status=CheckStatus.OK, detail="webhooks are verified")
    return CheckResult(
        name="signature",
        status=CheckStatus.WARNING,
        detail="no secret: webhooks are not verified, and only this machine can send them",
        hint="set `secret` to the signing secret that Linear shows for the webhook",
    )
