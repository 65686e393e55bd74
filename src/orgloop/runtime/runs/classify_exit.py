"""What a run came to, by what its directory and its actor say."""

from __future__ import annotations

import logging

from orgloop import runner
from orgloop.core.happening import NotStarted
from orgloop.core.lifecycle import LOST
from orgloop.errors import FAULTS
from orgloop.plugin import Completion, ExitInfo, Interrupted, NotBegun, Unavailable
from orgloop.runtime.runs import completion
from orgloop.runtime.runs import local_runner as watch
from orgloop.runtime.runs import run_directory as rundirs
from orgloop.runtime.runs.live_run import LiveRun

log = logging.getLogger(__name__)


def exit_info(live: LiveRun, ending: watch.Ending) -> ExitInfo:
    record = ending.record or {}
    return ExitInfo(
        status=record.get("status"),
        stopped=record.get("stopped") if ending.fate is watch.Fate.ENDED else LOST,
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
            return NotStarted(outcome=_why_never(live))
        case watch.Fate.LOST:
            return _lost(live, exit)
        case watch.Fate.ENDED:
            pass
    failed = (ending.record or {}).get("not_started")
    if failed is not None:
        return NotStarted(outcome=Unavailable(reason=failed["error"]))
    return _finished(live, exit)


def _finished(live: LiveRun, exit: ExitInfo) -> Completion | NotBegun:
    if live.actor is None:
        return completion.by_exit_status(exit)
    try:
        return live.actor.finish(exit)
    except FAULTS:
        log.exception("the end of run %s cannot be read; its exit status decides", live.run_id)
        return completion.by_exit_status(exit)


def _lost(live: LiveRun, exit: ExitInfo) -> Completion:
    """Its actor says what it had come to and cost by then; that nobody saw its end is ours to say."""
    found = _finished(live, exit)
    return completion.lost(found if isinstance(found, Completion) else completion.by_exit_status(exit))


def _why_never(live: LiveRun) -> Interrupted | Unavailable:
    """A run that this daemon lost before it began is its own crash; else this machine cannot begin any."""
    if live.no_runner:
        return Unavailable(reason=f"the runner cannot be started: {live.no_runner}")
    if live.process is not None:
        status = live.process.returncode
        return Unavailable(reason=f"the runner ended with status {status} before the program began")
    return Interrupted(crash=True)
