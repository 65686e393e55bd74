"""What a run of the CLI came to: its last turn decides, then what stopped it and its exit status."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orgloop.connectors.agents.codex.settings import Price
from orgloop.connectors.agents.codex.stream import CodexTranscript, tokens, transcript
from orgloop.connectors.agents.result import (
    COMPLAINT_LIMIT,
    LIMIT_WAIT,
    complaint_of,
    last_json,
    last_part,
    not_begun,
    one_line,
    session_gone,
    stopped,
    without_result,
)
from orgloop.plugin import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Completion,
    ExitInfo,
    Limited,
    NotBegun,
    Phase,
    Retry,
    RunOutcome,
    Unavailable,
    last_words,
    timestamp,
)

MOST_WAIT: Final = 40 * DAY
"""The longest wait that is believed: a month, and what clocks and time zones may differ."""

_LIMIT: Final = re.compile(
    r"hit your (?:usage|spend|workspace)[^.\n]{0,40}limit|usage limit (?:was |has been )?reached",
    re.IGNORECASE,
)
_UNTIL: Final = re.compile(
    r"try again at (?:(?P<month>[A-Z][a-z]{2})[a-z]{0,6} (?P<day>\d{1,2})(?:st|nd|rd|th)?,"
    r" (?P<year>\d{4}),? )?(?P<hour>\d{1,2}):(?P<minute>\d{2}) (?P<half>[AP]M)"
)
_IN: Final = re.compile(r"try again in (?P<wait>[0-9a-z ,]{1,60})", re.IGNORECASE)
_WAIT: Final = re.compile(r"(\d{1,4}) ?(day|hour|minute|second)")
_UNITS: Final = {"day": DAY, "hour": HOUR, "minute": MINUTE, "second": SECOND}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LOGIN: Final = re.compile(
    r"\b40[13] (?:Unauthorized|Forbidden)|Missing environment variable|[Nn]ot logged in|log ?in again"
    r"|refresh token"
)
_CREDIT: Final = re.compile(r"[Qq]uota exceeded|billing details|out of credits")
_MODEL: Final = re.compile(r"[Mm]odel\b.{0,80}(?:does not exist|not supported|not found)|unknown model")
_AWAY: Final = re.compile(
    r"[Cc]onnection (?:failed|refused)|error sending request|dns error|waiting for network"
)
_BUSY: Final = re.compile(
    r"high demand|overloaded|at capacity|exceeded retry limit|unexpected status (?:429|5\d\d)"
)
_REFUSED: Final = re.compile(r"content_filter|was flagged|usage policy|violat", re.IGNORECASE)
_GONE: Final = "no rollout found for thread id"
_UNUSABLE: Final = re.compile(r"^error: |[Ee]rror loading config|not a directory|No such file or directory")
_NOISE: Final = re.compile(r"(?:\S{1,40} {1,4})?(?:WARNING|WARN|ERROR codex|Reading prompt)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class CodexCli:
    """What its actor knows: which login the CLI uses, and what tokens cost."""

    account: str = ""
    price: Price | None = None


def classify_exit(exit: ExitInfo, cli: CodexCli = CodexCli()) -> Completion | NotBegun:
    """The run's completion; NotBegun where it is certain that no paid work was done."""
    found = transcript(exit.stdout, exit.result)
    how = stopped(exit) if exit.stopped != "result" else None
    if found.ended:
        if found.failed is None:
            return _completion(exit, found, cli, (Phase.COMPLETED, RunOutcome.SUCCESS, "success"))
        failed = found.failed[:COMPLAINT_LIMIT]
        unpaid = None if found.answered else _unpaid(exit, failed, cli)
        reason = _reason(failed)
        return unpaid or _completion(exit, found, cli, (Phase.FAILED, RunOutcome.FAILURE, reason))
    if how is not None:
        if exit.stopped == "start" and found.lines == 0:
            return not_begun(exit, Retry(reason="the CLI wrote nothing until its `start_timeout`"))
        if found.waits and not found.answered and exit.stopped != "requested":
            return not_begun(
                exit, Unavailable(reason=f"the model cannot be reached: {one_line(found.complaint)}")
            )
        return _completion(exit, found, cli, how)
    return _without_result(exit, found, cli)


def _without_result(exit: ExitInfo, found: CodexTranscript, cli: CodexCli) -> Completion | NotBegun:
    complaint = complaint_of(exit.stderr, _NOISE.match)
    how = without_result(exit, found.lines, complaint, _is_lasting, lasting=(2,))
    if not isinstance(how, NotBegun):
        return _completion(exit, found, cli, how)
    return session_gone(exit.session_id) if _GONE in complaint else how


def _is_lasting(complaint: str) -> bool:
    return bool(_UNUSABLE.search(complaint) or _LOGIN.search(complaint))


def _unpaid(exit: ExitInfo, said: str, cli: CodexCli) -> NotBegun | None:
    """Why a turn in which no model answered may be tried again; None if it may not."""
    words = one_line(said)
    if _LIMIT.search(said):
        return not_begun(exit, Limited(account=cli.account, until=_free_at(exit, said), reason=words))
    if _LOGIN.search(said):
        remedy = "type `codex login`, or set CODEX_API_KEY or the variable that it names"
        return not_begun(exit, Unavailable(reason=f"{words}. To go on, {remedy}"))
    if _CREDIT.search(said):
        remedy = "pay for more credit, or log in otherwise"
        return not_begun(exit, Unavailable(reason=f"{words} To go on, {remedy}"))
    if _MODEL.search(said):
        return not_begun(exit, Unavailable(reason=f"{words} To go on, set another `model` of the actor"))
    if _AWAY.search(said):
        return not_begun(exit, Unavailable(reason=words))
    if _BUSY.search(said):
        return replace(not_begun(exit, Retry(reason=words)), session_fault=False)
    return None


def _completion(
    exit: ExitInfo, found: CodexTranscript, cli: CodexCli, how: tuple[Phase, RunOutcome, str]
) -> Completion:
    phase, outcome, reason = how
    words = found.spoken
    if outcome is not RunOutcome.SUCCESS:
        complaint = found.failed or found.complaint
        said = "\n\n".join(filter(None, (words, complaint[:COMPLAINT_LIMIT])))
        words = said if found.ended else last_words(said, exit.stderr)
    block = last_json(found.spoken)
    counts = tokens(found.usage) if found.usage else None
    # They are those of the whole session. What a run of one that goes on has used, the CLI does not tell.
    cost = cli.price.of(counts) if cli.price is not None and counts is not None else None
    details: dict[str, Any] = {}
    if block.error is not None:
        details["json_error"] = block.error
    if reason == "usage_limit" and found.failed is not None:
        details["limit_until"] = timestamp(_free_at(exit, found.failed))
    if exit.resumed and counts is not None:
        details["session_tokens"] = dict(counts)
    return Completion(
        phase=phase,
        outcome=outcome,
        reason=reason,
        text=last_part(words),
        json=block.json,
        session_id=found.session_id or exit.session_id,
        cost_usd=None if exit.resumed else cost,
        session_cost_usd=cost,
        tokens=None if exit.resumed else counts,
        turns=found.turns or None,
        details=details,
    )


def _reason(said: str) -> str:
    if _LIMIT.search(said):
        return "usage_limit"
    if _REFUSED.search(said):
        return "refusal"
    if _LOGIN.search(said):
        return "authentication_failed"
    return "server_error" if _BUSY.search(said) or _AWAY.search(said) else "error"


def _free_at(exit: ExitInfo, said: str) -> int:
    """When a limit is over, in ms since 1970: as the CLI says, in local time; else in a while."""
    found, wait = _UNTIL.search(said), _IN.search(said)
    if found is not None or wait is not None:
        until = _moment(found.groupdict(), exit.ended_at) if found is not None else None
        if wait is not None:
            until = exit.ended_at + sum(int(n) * _UNITS[unit] for n, unit in _WAIT.findall(wait["wait"]))
        if until is not None and exit.ended_at < until <= exit.ended_at + MOST_WAIT:
            return until
    return exit.ended_at + LIMIT_WAIT


def _moment(told: Mapping[str, str | None], now: int) -> int | None:
    """A time to the minute, of today if no day is told."""
    today = time.localtime(now / 1000)
    hour = int(told["hour"] or 0) % 12 + (12 if told["half"] == "PM" else 0)
    try:
        day = (today.tm_year, today.tm_mon, today.tm_mday)
        if told["month"] is not None:
            day = (int(told["year"] or 0), _MONTHS.index(told["month"]) + 1, int(told["day"] or 0))
        until = round(time.mktime((*day, hour, int(told["minute"] or 0), 0, 0, 0, -1)) * 1000)
    except (ValueError, OverflowError):
        return None
    return until + DAY if told["month"] is None and until <= now else until
