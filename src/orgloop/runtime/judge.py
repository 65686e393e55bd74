"""What a run came to, by what its directory and its actor say."""

from __future__ import annotations

import logging
from typing import Final

from orgloop import runner
from orgloop.core.happening import NotStarted
from orgloop.plugin import Completion, ExitInfo, Interrupted, NotBegun, Unavailable
from orgloop.runtime import completion, rundirs, watch
from orgloop.runtime.live_run import LiveRun

log = logging.getLogger(__name__)

LINE: Final = 200
"""Characters of a result line."""


def exit_info(live: LiveRun, ending: watch.Ending) -> ExitInfo:
    record = ending.record or {}
    return ExitInfo(
        status=record.get("status"),
        stopped=record.get("stopped") if ending.fate is watch.Fate.ENDED else completion.LOST,
        stdout=rundirs.tail(live.directory / runner.STDOUT),
        stderr=rundirs.tail(live.directory / runner.STDERR),
        duration_s=float(record.get("duration_s") or 0.0),
        session_id=live.session_id,
        resumed=live.resumed,
    )


def judge(live: LiveRun, ending: watch.Ending, exit: ExitInfo) -> Completion | NotBegun | NotStarted:
    """What the run came to, by its directory and its actor."""
    match ending.fate:
        case watch.Fate.NEVER_STARTED:
            return NotStarted(outcome=Interrupted(crash=True))
        case watch.Fate.LOST:
            return completion.lost()
        case watch.Fate.ENDED:
            pass
    failed = (ending.record or {}).get("not_started")
    if failed is not None:
        return NotStarted(outcome=Unavailable(reason=failed["error"]))
    if live.actor is None:
        return completion.by_exit_status(exit)
    try:
        return live.actor.finish(exit)
    except Exception:
        log.exception("the end of run %s cannot be read; its exit status decides", live.run_id)
        return completion.by_exit_status(exit)


def one_line(text: str, limit: int = LINE) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}…"
