"""What a run came to, by what its directory and its actor say."""

from __future__ import annotations

import errno
import logging

from orgloop import runner
from orgloop.core.deliveries.transition import Interrupted, NotStarted
from orgloop.core.events.session_lifecycle import LOST
from orgloop.errors import FAULTS
from orgloop.plugin import Completion, ExitInfo, NotBegun, Rejected, Unavailable
from orgloop.runtime.runs import completion
from orgloop.runtime.runs.local import run_directory
from orgloop.runtime.runs.local.local_run import LocalRun
from orgloop.runtime.runs.local.local_runner import Fate, RunnerExit

log = logging.getLogger(__name__)


def exit_info(live: LocalRun, ending: RunnerExit, now: int) -> ExitInfo:
    """How it ended, with the output that its actor understands. Reads files: not for the event loop."""
    record = ending.record
    ended = now
    if record is not None and record.duration_s:
        # By the runner's clock, which may have been set meanwhile: not before it can have ended, nor later.
        earliest = live.started_at + round(record.duration_s * 1000)
        ended = min(now, max(earliest, record.ended_at))
    return ExitInfo(
        status=record.status if record else None,
        stopped=record.stopped if record and ending.fate is Fate.ENDED else LOST,
        stdout=run_directory.tail(live.directory / runner.STDOUT),
        stderr=run_directory.tail(live.directory / runner.STDERR),
        duration_s=record.duration_s if record else 0.0,
        session_id=live.session_id,
        resumed=live.resumed,
        ended_at=ended,
        result=run_directory.line_at(live.directory / runner.STDOUT, record.result if record else None),
    )


def classify(live: LocalRun, ending: RunnerExit, exit: ExitInfo) -> Completion | NotBegun | NotStarted:
    """What the run came to, by its directory and its actor."""
    match ending.fate:
        case Fate.NEVER_STARTED:
            return NotStarted(outcome=_why_never(live))
        case Fate.LOST:
            return _lost(live, exit)
        case Fate.ENDED:
            pass
    record = ending.record
    if record is not None and record.not_started is not None:
        if record.errno == errno.E2BIG:
            # What this wake brings is too much: others of its actor may well run.
            return NotStarted(outcome=Rejected(reason=record.not_started))
        return NotStarted(outcome=Unavailable(reason=record.not_started))
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
    """Its actor says what it had come to: a result that it had reported counts. Else nobody saw its end."""
    found = _finished(live, exit)
    if isinstance(found, Completion):
        return found if live.resulted else completion.lost(found)
    return completion.lost(completion.by_exit_status(exit))


def _why_never(live: LocalRun) -> Interrupted | Unavailable:
    """A run that this daemon lost before it began is its own crash; else this machine cannot begin any."""
    if live.no_runner:
        return Unavailable(reason=f"the runner cannot be started: {live.no_runner}")
    if live.process is not None:
        status = live.process.returncode
        return Unavailable(reason=f"the runner ended with status {status} before the program began")
    return Interrupted(crash=True)
