"""What `doctor` asks an API: one request, whose answer is read and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orgloop.connectors.http.settings import HttpSettings
from orgloop.connectors.http.source import HttpSource
from orgloop.connectors.http.times import iso
from orgloop.connectors.webhook.doctor import reach
from orgloop.plugin import CheckResult, CheckStatus, Context, PluginError, TryLater


async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
    """Reads only: a POST is not sent, for nobody but its author knows what it does."""
    if not isinstance(settings, HttpSettings):
        return []
    if settings.method == "POST":
        return [await reach(settings.url)]
    try:
        source = HttpSource(ctx.id, settings)
        await source.open(ctx)
        reply, items = await source.glance()
    except TryLater as exc:
        hint = "wait until it is over, and lengthen `poll.interval`"
        return [CheckResult(name="answer", status=CheckStatus.WARNING, detail=exc.reason, hint=hint)]
    except PluginError as exc:
        return [CheckResult(name="answer", status=CheckStatus.ERROR, detail=exc.message, hint=exc.hint)]
    times = [one.at for one in items if one.at is not None]
    newest = f"; the newest is of {iso(max(times))}" if times else ""
    found = [CheckResult(name="answer", status=CheckStatus.OK, detail=f"{_count(len(items))}{newest}")]
    if items and settings.place("time") is not None and not times:
        found.append(
            CheckResult(
                name="time",
                status=CheckStatus.WARNING,
                detail=f"no item has a time at {settings.place('time')}",
                hint="write the dot path of an item's time into `time`",
            )
        )
    remaining = reply.headers.get("x-ratelimit-remaining", reply.headers.get("ratelimit-remaining", ""))
    if remaining.isascii() and remaining.isdigit():
        left = f"{int(remaining[:12])} requests are left"
        found.append(CheckResult(name="rate limit", status=CheckStatus.OK, detail=left))
    return found


def _count(items: int) -> str:
    return "1 item" if items == 1 else f"{items} items"
