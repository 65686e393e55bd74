"""What a run of a harness came to: its agent's word decides, then what stopped it, then its exit status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

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

REFUSAL: Final = "refusal"

WHOLE: Final = 1 << 20
"""Bytes of output that the end of a run gets whole; of more it gets the last lines."""

MOST_WAIT: Final = 40 * DAY
"""The longest wait that is believed."""

# Everything here is looked for in a bounded text, and gives back nothing that it has taken.
_CREDIT: Final = re.compile(
    r"insufficient_quota|billing details|insufficient (?:credit|fund|balance)|out of (?:credit|fund)"
    r"|credit balance|[Pp]ayment [Rr]equired"
)
_LIMIT: Final = re.compile(
    r"usage limit|rate.?limit|quota|too many requests|RESOURCE_EXHAUSTED|exhausted your capacity",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(
    r"api.?key|not (?:logged|signed) in|log ?in\b|authenticat|unauthorized|credential|auth method",
    re.IGNORECASE,
)
_MODEL: Final = re.compile(
    r"\bmodel\b[^\n]{0,80}(?:does not exist|not found|not supported|not available)|unknown (?:model|provider)"
    r"|model_not_found",
    re.IGNORECASE,
)
_AWAY: Final = re.compile(
    r"(?:could not|cannot|can't|unable to) (?:connect|reach)|connection (?:error|refused)|fetch failed"
    r"|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH",
    re.IGNORECASE,
)
_BUSY: Final = re.compile(
    r"overloaded|at capacity|high demand|internal server error|\b5\d\d\b", re.IGNORECASE
)
_REFUSED: Final = re.compile(r"content.?filter|was flagged|usage policy|SAFETY|PROHIBITED_CONTENT")
_UNTIL: Final = re.compile(
    r"(?:retry|try again|resets?)(?: again)? (?:in|after) "
    r"(?P<number>\d{1,9})(?:\.\d{1,9})? ?(?P<unit>ms|[smhd])",
    re.IGNORECASE,
)
_UNITS: Final = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


@dataclass(kw_only=True, slots=True)
class Heard:
    """What an agent's output says, as far as the end of its run needs it.

    `lines` counts those that were JSON objects. `spoken` is what the agent said last. `ended`: it says that
    its work is over. `failed` says why it failed, with the HTTP `status` of its model if that is known.
    `answered`: a model has answered. `aborted`: it tells of a stop. `complaint` is a fault that it tries to
    get over by itself.
    """

    lines: int = 0
    session_id: str | None = None
    spoken: str = ""
    ended: bool = False
    failed: str | None = None
    status: int | None = None
    answered: bool = False
    aborted: bool = False
    complaint: str = ""
    turns: int = 0
    cost_usd: float | None = None
    tokens: dict[str, int] | None = None
    context_tokens: int | None = None
    denied: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def count(self, counts: Mapping[str, int]) -> None:
        """Add tokens by kind."""
        known = self.tokens or {}
        self.tokens = {kind: known.get(kind, 0) + number for kind, number in counts.items()}


def is_cut(exit: ExitInfo) -> bool:
    """Whether there was more output than this: sums over its lines would be too small."""
    return len(exit.stdout) >= WHOLE or len(exit.stdout.encode("utf-8", "replace")) >= WHOLE


@dataclass(frozen=True, kw_only=True, slots=True)
class Cli:
    """What an actor knows of the command line that ran.

    `account` is the login that it uses, `login` what to type to log in. `gone` is a pattern of its complaint
    about a session that is not there, `unusable` of one that no later try will get past.
    """

    account: str = ""
    login: str = "log in"
    gone: re.Pattern[str]
    unusable: re.Pattern[str] = re.compile(r"$^")


def classify_exit(exit: ExitInfo, heard: Heard, cli: Cli) -> Completion | NotBegun:
    """The run's completion; NotBegun where it is certain that no paid work was done."""
    how = stopped(exit) if exit.stopped != "result" else None
    if heard.ended and not heard.aborted:
        if heard.failed is None:
            return completion_of(exit, heard, (Phase.COMPLETED, RunOutcome.SUCCESS, "success"))
        unpaid = None if heard.answered else _unpaid(exit, heard.failed, heard.status, cli)
        reason = reason_of(heard.failed, heard.status)
        return unpaid or completion_of(exit, heard, (Phase.FAILED, RunOutcome.FAILURE, reason))
    if how is not None:
        return _stopped(exit, heard, how, cli)
    if heard.aborted:
        return completion_of(exit, heard, (Phase.STOPPED, RunOutcome.CANCELLED, "sigterm"))
    return _without_result(exit, heard, cli)


def _stopped(
    exit: ExitInfo, heard: Heard, how: tuple[Phase, RunOutcome, str], cli: Cli
) -> Completion | NotBegun:
    """Ended by a limit or a person before it had a result: what it complained of may say why."""
    if exit.stopped in ("start", "silence", "total") and not heard.answered:
        complaint = heard.complaint or heard.failed or ""
        unpaid = _unpaid(exit, complaint, heard.status, cli) if complaint else None
        if unpaid is not None:
            return unpaid
    if exit.stopped == "start" and not heard.answered:
        return not_begun(exit, Retry(reason="the CLI wrote nothing until its `start_timeout`"))
    return completion_of(exit, heard, how)


def _without_result(exit: ExitInfo, heard: Heard, cli: Cli) -> Completion | NotBegun:
    words = exit.stderr[-COMPLAINT_LIMIT:] + exit.stdout[-COMPLAINT_LIMIT:]
    complaint = complaint_of(exit.stderr) or complaint_of(exit.stdout)
    login = _LOGIN.search(words)
    how = without_result(exit, heard.lines, complaint, lambda _: login or cli.unusable.search(words))
    if not isinstance(how, NotBegun):
        return completion_of(exit, heard, how)
    if exit.resumed and cli.gone.search(words):
        return session_gone(exit.session_id)
    if login and isinstance(how.outcome, Unavailable):
        return not_begun(exit, Unavailable(reason=f"{how.outcome.reason}. To go on, {cli.login}"))
    return how


def _unpaid(exit: ExitInfo, said: str, status: int | None, cli: Cli) -> NotBegun | None:
    """Why a run in which no model answered may be tried again; None if it may not."""
    said, words = said[:COMPLAINT_LIMIT], one_line(said)
    if status == 402 or _CREDIT.search(said):
        return not_begun(
            exit, Unavailable(reason=f"{words}. To go on, pay for more credit, or log in otherwise")
        )
    if status == 429 or (status is None and _LIMIT.search(said)):
        return not_begun(exit, Limited(account=cli.account, until=free_at(exit, said), reason=words))
    if _MODEL.search(said):
        return not_begun(exit, Unavailable(reason=f"{words}. To go on, set another `model` of the actor"))
    if status in (401, 403) or (status is None and _LOGIN.search(said)):
        return not_begun(exit, Unavailable(reason=f"{words}. To go on, {cli.login}"))
    if status is None and _AWAY.search(said):
        return not_begun(exit, Unavailable(reason=f"the model cannot be reached: {words}"))
    if (status is not None and status >= 500) or _BUSY.search(said):
        return replace(not_begun(exit, Retry(reason=words)), session_fault=False)
    return None


def reason_of(said: str, status: int | None) -> str:
    """One word for a failure."""
    said = said[:COMPLAINT_LIMIT]
    if _REFUSED.search(said):
        return REFUSAL
    if status == 429 or (status is None and _LIMIT.search(said)):
        return "usage_limit"
    if status in (401, 403) or (status is None and _LOGIN.search(said)):
        return "authentication_failed"
    return "server_error" if (status or 0) >= 500 or _BUSY.search(said) or _AWAY.search(said) else "error"


def completion_of(
    exit: ExitInfo, heard: Heard, how: tuple[Phase, RunOutcome, str], *, cost_of_session: bool = False
) -> Completion:
    """The end as a completion. `cost_of_session`: what it says that it cost is that of its session."""
    cost = None if heard.cost_usd is None else round(heard.cost_usd, 8)
    phase, outcome, reason = how
    words = heard.spoken
    if outcome is not RunOutcome.SUCCESS:
        complaint = heard.failed or heard.complaint
        said = "\n\n".join(filter(None, (words, complaint[:COMPLAINT_LIMIT])))
        words = said if heard.ended else last_words(said, exit.stderr)
    block = last_json(heard.spoken)
    details = dict(heard.details)
    if block.error is not None:
        details["json_error"] = block.error
    if reason == "usage_limit":
        details["limit_until"] = timestamp(free_at(exit, heard.failed or ""))
    return Completion(
        phase=phase,
        outcome=outcome,
        reason=reason,
        text=last_part(words),
        json=block.json,
        session_id=heard.session_id or exit.session_id,
        cost_usd=None if cost_of_session and exit.resumed else cost,
        session_cost_usd=cost if cost_of_session else None,
        tokens=heard.tokens,
        context_tokens=heard.context_tokens,
        turns=heard.turns or None,
        denied_tools=tuple(dict.fromkeys(heard.denied)),
        details=details,
    )


def free_at(exit: ExitInfo, said: str) -> int:
    """When a limit is over, in ms since 1970: as the service says, else in a while."""
    found = _UNTIL.search(said[:COMPLAINT_LIMIT])
    wait = int(found["number"]) * _UNITS[found["unit"].lower()] if found is not None else LIMIT_WAIT
    return exit.ended_at + (wait if 0 < wait <= MOST_WAIT else LIMIT_WAIT)
