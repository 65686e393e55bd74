"""Holds the run: starts the program, waits for its end, stops it for a limit, and writes down its end."""

# Imports are few, and of small modules: they are most of what a start costs. With `signal`, `ctypes` and
# `json` a start takes twice the CPU time (`python -m bench techniques`). And a run may outlive the Python
# installation that it was started from: none comes later.
# ruff: noqa: PTH110, PTH123, PTH208

import errno
import fcntl
import os
import select
import sys
import time

from . import (
    CANCELLED,
    ENDED,
    EXIT,
    FAREWELL,
    GIVE_UP_S,
    LINGER_S,
    LOCK,
    LOCK_HELD,
    LOG,
    NEVER,
    SPEC,
    STARTED,
    STDERR,
    STDIN,
    STDOUT,
    STOP,
    VERSION,
    WAS_CANCELLED,
    WAS_STARTED,
)
from .files import attempt, create, encode, log, write_json
from .program import Program
from .spec import TICK_S, Spec, StartError
from .turns import TurnWatcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal  # the compiled half: `signal` itself loads `enum`, half an interpreter's start

PR_SET_CHILD_SUBREAPER = 36


def main(directory: str) -> int:
    """Hold the run of this directory. Returns an exit status of those above."""
    null = own_descriptors()
    wake = WakePipe()
    os.chdir(directory)
    try:
        fcntl.flock(create(LOCK), fcntl.LOCK_EX | fcntl.LOCK_NB)  # never closed here: the kernel does it
    except BlockingIOError:
        return LOCK_HELD
    if os.path.exists(CANCELLED):
        return WAS_CANCELLED
    if os.path.exists(STARTED) or os.path.exists(EXIT):
        return WAS_STARTED
    os.dup2(create(LOG), 2)
    record_end(run(wake, null), wake)
    return ENDED


def run(wake: "WakePipe", null: int) -> dict[str, object]:
    """Start the program and hold it until its end. Returns what exit.json says."""
    end: dict[str, object] = {"version": VERSION, "status": None, "signal": None, "started_at": time.time()}
    end |= {"ended_at": None, "duration_s": 0.0, "stopped": None, "result": None, "not_started": None}
    adopt_orphans()
    try:
        program = start(Spec(), null)
    except StartError as failure:
        number, error = failure.args
        return end | {"ended_at": time.time(), "not_started": {"errno": number, "error": error}}
    finally:
        attempt(os.unlink, SPEC)
    program.record()
    os.dup2(null, 1)
    stopped, kill_at = hold(program, wake)
    end |= {"started_at": program.started_at, "ended_at": time.time()}
    end |= {"duration_s": time.monotonic() - program.began, "stopped": stopped}
    clear(program, wake, kill_at)
    end |= {"result": program.finish()}
    code = program.code
    return end | ({"status": code} if code >= 0 else {"status": 128 - code, "signal": -code})


def hold(program: "Program", wake: "WakePipe") -> tuple[str | None, float]:
    """Wait for the program's end; stop it for a limit or a request. Returns why, and when SIGKILL was due."""
    stopped, kill_at, flood = None, NEVER, NEVER
    while not program.has_ended():
        now = time.monotonic()
        if stopped is None:
            stopped = "requested" if wake.terminations or os.path.exists(STOP) else program.breach(now)
            if stopped is not None:
                flood = program.written() + FAREWELL if stopped == "output" else NEVER
                program.send(signal.SIGTERM if stopped == "start" else program.spec.stop_signal)
                kill_at = now + program.spec.grace_s
        else:
            program.look()
        if now >= kill_at or wake.terminations > 1 or program.written() > flood:
            program.send(signal.SIGKILL)
        tick_s = program.tick_s() if flood == NEVER else 0.01
        wake.wait(min(tick_s, kill_at - now) if now < kill_at else TICK_S)
    return stopped, kill_at


def clear(program: "Program", wake: "WakePipe", kill_at: float) -> None:
    """End what the program left in its session: softly, if no stop did that already, and soon for good."""
    asked = kill_at < NEVER
    kill_at = min(kill_at, time.monotonic() + min(program.spec.grace_s, LINGER_S))
    give_up = time.monotonic() + GIVE_UP_S
    while program.lingers():
        now = time.monotonic()
        if now >= give_up:
            log(f"session {program.pid} does not die; see `ps -A -o pid,sess,stat,user,args`")
            return
        if now >= kill_at or wake.terminations > 1:
            program.send(signal.SIGKILL)
        elif not asked:
            program.send(signal.SIGTERM)
            asked = True
        wake.wait(0.05)


class WakePipe:
    """Signals as bytes in a pipe: they end a wait early, and none is lost between two waits."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self.terminations = 0

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or as soon as a signal has come."""
        if select.select([self._reader], [], [], seconds)[0]:
            self.terminations += os.read(self._reader, 4096).count(signal.SIGTERM)


def start(spec: Spec, null: int) -> "Program":
    """Mark the run as started, fork, exec. Returns once the program runs; raises StartError if it cannot."""
    try:
        write_json(STARTED, {"version": VERSION, "runner_pid": os.getpid(), "at": time.time()}, durable=True)
        stdin = os.open(STDIN, os.O_RDONLY) if os.path.exists(STDIN) else null
        outputs = create(STDOUT), create(STDERR)
        failure, report = os.pipe()
        program = Program(spec, outputs, TurnWatcher(spec, os.open(STDOUT, os.O_RDONLY)))
        program.pid = os.fork()
    except OSError as exc:
        raise StartError(exc.errno, f"cannot prepare the start: {exc}; repair that, run it anew") from exc
    if program.pid == 0:
        become(spec, (stdin, *outputs), report)
    os.close(report)
    with open(failure, encoding="utf-8", errors="replace") as reader:
        number, _, error = reader.read().partition(" ")  # ends when exec closes the other side
    if number:
        os.waitpid(program.pid, 0)
        raise StartError(int(number), error)
    return program


def become(spec: Spec, files: tuple[int, int, int], report: int) -> None:
    """In the forked child: become the program, never return. A failure goes to `report`: `<errno> <text>`."""
    step = "cannot prepare the program's start"
    try:
        signal.set_wakeup_fd(-1)  # that pipe is the runner's
        for number in range(1, signal.NSIG):
            attempt(signal.signal, number, signal.SIG_DFL)  # some cannot be set: SIGKILL, the C library's own
        os.setsid()
        for descriptor, file in enumerate(files):
            os.dup2(file, descriptor)
        step = f"cannot enter the working directory {os.fsdecode(spec.cwd)} (does the actor's `cwd` exist?)"
        os.chdir(spec.cwd)
        step = f"cannot run {os.fsdecode(spec.argv[0])} (is it there, executable, in PATH, with its #! line?)"
        os.execvpe(spec.argv[0], spec.argv, spec.env)
    except Exception as exc:
        number, reason = getattr(exc, "errno", errno.EINVAL), getattr(exc, "strerror", exc)
        os.write(report, encode(f"{number} {step}: {reason}"))
    finally:
        os._exit(127)


def adopt_orphans() -> None:
    """Let whatever loses its parent come to us (Linux): so nothing that the program starts slips away.

    The compiled half of `ctypes`, since that itself would be the slowest import of all.
    """
    if sys.platform == "linux":
        try:
            import _ctypes

            here: Any = None  # this very process
            prctl = _ctypes.dlsym(_ctypes.dlopen(here, 0), "prctl")
            _ctypes.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        except (ImportError, OSError, AttributeError, TypeError) as exc:
            log(f"orphans of the program may outlive it: {exc!r}")


def own_descriptors() -> int:
    """Close what was inherited beyond 0, 1 and 2, and fill gaps among these. Returns /dev/null, opened."""
    os.closerange(3, 1 + max(int(name) for name in os.listdir("/dev/fd")))
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    return null


def record_end(end: dict[str, object], wake: WakePipe) -> None:
    """Write exit.json however long it takes: a run's end must not be lost. Without its directory, give up."""
    pause = 0.5
    while True:
        try:
            return write_json(EXIT, end, durable=True)
        except FileNotFoundError as exc:
            return log(f"cannot write {EXIT}: {exc}; the run directory is gone, so nobody waits for it")
        except OSError as exc:
            log(f"cannot write {EXIT}: {exc}; tries go on, and a SIGTERM hastens the next")
        wake.wait(pause := min(2 * pause, 60.0))
