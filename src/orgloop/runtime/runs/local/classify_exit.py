"""What a run came to, by what its directory and its actor say."""

from __future__ import annotations

import logging

from orgloop import runner
from orgloop.core.happening import Interrupted, NotStarted
from orgloop.core.lifecycle import LOST
from orgloop.errors import FAULTS
from orgloop.plugin import Completion, ExitInfo, NotBegun, Unavailable
from orgloop.runtime.runs import completion
from orgloop.runtime.runs.local import run_directory
from orgloop.runtime.runs.local.local_run import LocalRun
from orgloop.runtime.runs.local.local_runner import Ending, Fate

log = logging.getLogger(__name__)


def exit_info(live: LocalRun, ending: Ending) -> ExitInfo:
    record = ending.record or {}
    return ExitInfo(
        status=record.get("status"),
        stopped=record.get("stopped") if ending.fate is Fate.ENDED else LOST,
        stdout=run_directory.tail(live.directory / runner.STDOUT),
        stderr=run_directory.tail(live.directory / runner.STDERR),
        duration_s=float(record.get("duration_s") or 0.0),
        session_id=live.session_id,
        resumed=live.resumed,
    )


def classify(live: LocalRun, ending: Ending, exit: ExitInfo) -> Completion | NotBegun | NotStarted:
    """What the run came to, by its directory and its actor."""
    match ending.fate:
        case Fate.NEVER_STARTED:
            return NotStarted(outcome=_why_never(live))
        case Fate.LOST:
            return _lost(live, exit)
        case Fate.ENDED:
            pass
    failed = (ending.record or {}).get("not_started")
    if failed is not None:
        return NotStarted(outcome=Unavailable(reason=failed["error"]))
    return _finished(live, exit)


def _finished(live: LocalRun, exit: ExitInfo) -> Completion | NotBegun:
    if live.actor is None:
        return completion.by_exit_status(exit)
    try:
        return live.actor.finish(exit)
    except FAULTS:
        log.exception("the end of run %s cannot be read; its exit status decides", live.run_id)
        return completion.by_exit_status(exit)


def _lost(live: LocalRun, exit: ExitInfo) -> Completion:
    """Its actor says what it had come to and cost by then; that nobody saw its end is ours to say."""
    found = _finished(live, exit)
    return completion.lost(found if isinstance(found, Completion) else completion.by_exit_status(exit))


def _why_never(live: LocalRun) -> Interrupted | Unavailable:
    """A run that this daemon lost before it began is its own crash; else this machine cannot begin any."""
    if live.no_runner:
        return Unavailable(reason=f"the runner cannot be started: {live.no_runner}")
    if live.process is not None:
        status = live.process.returncode
        return Unavailable(reason=f"the runner ended with status {status} before the program began")
    return Interrupted(crash=True)
