"""Holds exactly one run of an agent program, and outlives the daemon that asked for it.

The daemon starts it by its path, `python -I -S runner.py RUN_DIRECTORY`, in a new session. The two share only
the run directory. Format version 1 (directory 0700, files 0600, JSON in UTF-8, times in seconds since 1970):

    spec.json   by the daemon, before it starts the runner:
                {"version": 1, "argv": [str], "cwd": str, "env": {str: str}, "grace_s": float,
                 "stop_signal": int (SIGTERM if absent),
                 "limits": {"start_s", "silence_s", "total_s": float|null, "output_bytes": int|null},
                 "turns": null | {"ends": [[name, text]], "begins": [[name, text]],
                                  "busy": null | [name, text, list]} (null if absent)}
                `turns` says how to know the program's result among the JSON objects that it writes to stdout,
                one a line: one with such a member at its top ends a turn with a result, and one of `begins`
                starts another; while the last of `busy` has something in its list, another will start.
                `env` is the program's whole environment and may hold secrets: the runner deletes this file
                once the program runs or cannot run. Who settles a run that no runner took up deletes it too.
    stdin       by the daemon, before: what the program reads. Without this file it reads /dev/null.
    cancelled   by the daemon, while it holds the lock itself: this run must never start.
    stop        by anybody: end the run. The runner looks once a second; SIGTERM to it works at once.
    lock        flock'ed by the runner before all else and for life: held = the runner is alive. Free, with
                `started` and no exit.json = the runner was killed, and the program may still live.
    started     exists, durably, before the program can run. Lock free, no `started` = no agent ever ran.
    child.json  {"version", "pid", "pgid", "runner_pid", "start": field 22 of /proc/PID/stat | null,
                 "boot_id": Linux's boot id | null, "started_at", "at"}; pid = group = session. The kernel
                created it between `started_at` and `at`: where there is no /proc, that identifies it.
    stdout      what the program wrote, by its own hand; so is stderr.
    runner.log  what the runner had to say itself; empty in a good run.
    exit.json   durable, never in part; the run is over and nothing lives on:
                {"version": 1, "status": 0..255 or 128+signal | null, "signal": int|null, "started_at",
                 "ended_at", "duration_s",
                 "stopped": null|"result"|"start"|"silence"|"total"|"output"|"requested",
                 "result": null | [offset, length] of the last line of stdout with a result,
                 "not_started": null | {"errno": int, "error": str}}; if so, `status` is null.

The runner reads nothing from its stdin, and keeps it for life: what is locked there is held as long as the
run. It lets go of its stdout once child.json or exit.json is there: a daemon that gave it a pipe
as stdout reads end-of-file then. SIGTERM to the runner is a soft stop: `stop_signal` to the program and all
that descends from it, `grace_s` later SIGKILL; a second SIGTERM kills at once. SIGHUP and SIGINT do nothing.
What is stopped for its output and goes on writing gets no grace, and its files are cut. What wrote nothing
until its limit `start_s` gets SIGTERM, whatever `stop_signal` is: it has nothing to save, and must not go on.
What has given its result and does not end within `grace_s` is stopped (`"stopped": "result"`).
The program may do what it likes to this directory: nothing is opened that could block or lead elsewhere.
Limits count from the start of the program and stand still while the machine sleeps. Once the program itself
has ended, what descends from it gets SIGTERM and at most two seconds later SIGKILL, in whatever session it is
(where there is no /proc: in the program's group). A daemon that the program started in the background, known
by ORGLOOP_DAEMON in its environment, is no part of the run, nor are the runs of that daemon.
"""

# Imports are few, and all but one are here: they are most of what a start costs (`json` would double it), and
# a run may outlive the Python installation that it was started from.
# ruff: noqa: PTH104, PTH110, PTH112, PTH123, PTH208

import errno
import fcntl
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any
else:
    import _signal as signal  # the compiled half: `signal` itself loads `enum`, half an interpreter's start

VERSION = 1
SPEC, STDIN, STDOUT, STDERR, LOCK, LOG = "spec.json", "stdin", "stdout", "stderr", "lock", "runner.log"
STARTED, CHILD, EXIT, STOP, CANCELLED = "started", "child.json", "exit.json", "stop", "cancelled"

# The runner's exit statuses. After the last three it has changed nothing; any other comes with a traceback.
ENDED, LOCK_HELD, WAS_CANCELLED, WAS_STARTED = 0, 75, 76, 77

NEVER = float("inf")
PR_SET_CHILD_SUBREAPER = 36
TICK_S = 1.0  # longest time between two looks at the limits and at `stop`
LINGER_S = 2.0  # longest grace for what the program left behind
FAREWELL = 4 << 20  # bytes that what is stopped for its output may write after that
FASTEST = 2e9  # bytes a second that a program may write: so the next look at its output comes in time
CHUNK, AT_ONCE, LONGEST_LINE = 4 << 20, 64 << 20, 64 << 20  # bytes of stdout that are looked at for a result
GIVE_UP_S = 8.0  # longest time for it to die of SIGKILL (it may sleep in the kernel, or be another user's)


class StartError(Exception):
    """The program could not be started. Arguments: the system's error number; what failed and what to do."""


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


class Spec:
    """What spec.json asks for; a limit that is not set is NEVER. Raises NotStarted if the file is no spec."""

    def __init__(self) -> None:
        try:
            with open(SPEC, encoding="utf-8") as file:
                spec = from_json(file.read())
            if spec["version"] != VERSION or not spec["argv"]:
                raise ValueError("another version, or no argv")
            self.argv, self.cwd = [encode(word) for word in spec["argv"]], encode(spec["cwd"])
            self.env = {encode(name): encode(value) for name, value in spec["env"].items()}
            self.grace_s = float(spec["grace_s"])
            self.stop_signal = int(spec.get("stop_signal", signal.SIGTERM))
            self.limits = {
                name: NEVER if spec["limits"][name] is None else float(spec["limits"][name])
                for name in ("start_s", "silence_s", "total_s", "output_bytes")
            }
            turns = spec.get("turns") or {}
            self.ends, self.begins = (
                [(encode(name), encode(text)) for name, text in turns.get(kind, ())]
                for kind in ("ends", "begins")
            )
            self.busy = tuple(map(encode, turns.get("busy") or ()))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, SyntaxError) as exc:
            error = f"{SPEC} is no run of format version {VERSION}: {exc!r}; restart the daemon, run it anew"
            raise StartError(getattr(exc, "errno", errno.EINVAL), error) from exc
        times = (limit / 4 for name, limit in self.limits.items() if name.endswith("_s"))
        self.tick_s = max(0.01, min(TICK_S, *times, self.grace_s / 4 if self.ends else NEVER))


def start(spec: Spec, null: int) -> "Program":
    """Mark the run as started, fork, exec. Returns once the program runs; raises NotStarted if it cannot."""
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


class Program:
    """The agent program, leader of a session of its own."""

    def __init__(self, spec: Spec, outputs: tuple[int, int], turns: "TurnWatcher") -> None:
        self.spec, self.pid, self.code, self._ended = spec, 0, 0, False
        self.began, self.started_at = time.monotonic(), time.time()
        self._outputs, self._size, self._grew = outputs, 0, self.began
        self._turns, self._rested = turns, NEVER

    def record(self) -> None:
        """Write child.json. If that fails the run goes on: it is read only where a runner was killed."""
        stat, boot = proc(f"{self.pid}/stat"), proc("sys/kernel/random/boot_id")
        child: dict[str, object] = {"version": VERSION, "pid": self.pid, "pgid": self.pid}
        child |= {"runner_pid": os.getpid(), "start": int(stat[19]) if stat else None}
        child |= {"boot_id": boot[0] if boot else None, "started_at": self.started_at, "at": time.time()}
        try:
            write_json(CHILD, child, durable=False)
        except OSError as exc:
            log(f"cannot write {CHILD}: {exc}; the run goes on without it")

    def breach(self, now: float) -> str | None:
        """The limit that is broken, by its name in exit.json."""
        limits, elapsed = self.spec.limits, now - self.began
        size = self.written()
        if size != self._size:
            self._size, self._grew = size, now
        self.look()
        rests = self._turns.rests()
        self._rested = min(self._rested, now) if rests else NEVER
        broken = {
            "output": size > limits["output_bytes"],
            "result": now - self._rested >= self.spec.grace_s,
            "total": elapsed >= limits["total_s"],
            "start": elapsed >= limits["start_s"] and not size,
            "silence": now - self._grew >= limits["silence_s"],
        }
        return next((limit for limit, is_broken in broken.items() if is_broken), None)

    def look(self) -> None:
        """Look for a result in what it has written since."""
        self._turns.look()

    def tick_s(self) -> float:
        """How long nobody needs to look: what writes as fast as can be must not pass its limit by far."""
        left = self.spec.limits["output_bytes"] - self.written()
        return min(self.spec.tick_s, max(0.02, left / FASTEST))

    def finish(self) -> "list[int] | None":
        """All has ended: where the last result is. What was written far beyond its limit is cut off."""
        self._turns.look(last=True)
        result = self._turns.result
        keep = self.spec.limits["output_bytes"] + FAREWELL
        for output in self._outputs:
            end = sum(result) if result is not None and output == self._outputs[0] else 0
            if os.fstat(output).st_size > max(keep, end):
                attempt(os.ftruncate, output, int(max(keep, end)))
        return result

    def written(self) -> int:
        """Bytes of output so far."""
        return sum(os.fstat(output).st_size for output in self._outputs)

    def has_ended(self) -> bool:
        """Whether the leader has ended. Its exit status, or minus the signal that ended it, is in `code`."""
        while not self._ended:
            pid, status = os.waitpid(-1, os.WNOHANG)  # orphans that came to us are laid to rest, too
            if pid == 0:
                break
            if pid == self.pid:
                self.code, self._ended = os.waitstatus_to_exitcode(status), True
        return self._ended

    def send(self, number: int) -> None:
        """Send a signal to the program's group, and to all that descends from it in any other."""
        attempt(os.killpg, self.pid, number)
        for pid, group in self._others().items():
            if group != self.pid:
                attempt(os.kill, pid, number)

    def lingers(self) -> bool:
        """Whether something that the program started lives on after it."""
        return bool(self._others()) if proc("self/stat") else attempt(os.killpg, self.pid, 0)

    def _others(self) -> dict[int, int]:
        """What descends from the program, with its group; empty where there is no /proc.

        Some agents run each command in a session of its own, so who started whom must be asked. Where
        orphans do not come to us, what lost its parent is known by the program's session.
        """
        stats = {int(name): proc(f"{name}/stat") for name in numbers("/proc")}
        living = {pid: stat for pid, stat in stats.items() if stat and stat[0] != "Z"}
        family = {os.getpid(), *(pid for pid, stat in living.items() if int(stat[3]) == self.pid)}
        spared: set[int] = set()
        while grown := {pid for pid, stat in living.items() if int(stat[1]) in family} - family - spared:
            spared |= {pid for pid in grown if is_daemon(pid)}
            family |= grown - spared
        return {pid: int(living[pid][2]) for pid in family - {os.getpid(), self.pid}}


class TurnWatcher:
    """Knows from the program's stdout whether it has given its result. `result`: where the last one is."""

    def __init__(self, spec: Spec, file: int) -> None:
        self.result: list[int] | None = None
        self._spec, self._file, self._offset, self._rest = spec, file, 0, b""
        self._ended = self._busy = self._skips = False
        self._needles = {b'"' + pair[1] + b'"' for pair in (*spec.ends, *spec.begins, spec.busy[:2]) if pair}

    def rests(self) -> bool:
        """Whether the program has given a result, and nothing more is to come."""
        return self._ended and not self._busy

    def look(self, *, last: bool = False) -> None:
        """Read on. `last`: the program has ended, and its last line may have no newline."""
        until = NEVER if last else self._offset + AT_ONCE
        while self._needles and self._offset < until:
            chunk = os.pread(self._file, CHUNK, self._offset + len(self._rest))
            if not chunk:
                break
            text = self._rest + chunk
            first = text.find(b"\n") + 1 if self._skips else 0
            cut = text.rfind(b"\n") + 1
            if cut:
                self._take(text[first:cut], self._offset + first)
                self._skips = False
            self._offset, self._rest = self._offset + cut, text[cut:]
            if len(self._rest) > LONGEST_LINE:
                self._offset, self._rest, self._skips = self._offset + len(self._rest), b"", True
        if last and self._rest and not self._skips:
            self._take(self._rest + b"\n", self._offset)

    def _take(self, lines: bytes, offset: int) -> None:
        """Look at whole lines. Few of them have the words that are looked for: only those are read."""
        found: dict[int, int] = {}
        for needle in self._needles:
            end = 0
            while (at := lines.find(needle, end)) >= 0:
                end = lines.find(b"\n", at)
                found[lines.rfind(b"\n", 0, at) + 1] = end
        for start in sorted(found):
            members = members_of(lines[start : found[start]])
            if any(members.get(name) == text for name, text in self._spec.ends):
                self.result, self._ended = [offset + start, found[start] - start], True
            elif any(members.get(name) == text for name, text in self._spec.begins):
                self._ended = False
            elif self._spec.busy and members.get(self._spec.busy[0]) == self._spec.busy[1]:
                self._busy = not members.get(self._spec.busy[2], b"[]").replace(b" ", b"").startswith(b"[]")


def members_of(line: bytes) -> "dict[bytes, bytes]":
    """What the JSON object that ends a line has at its top: a string's text, or how else a value begins.

    Other text may come before it. Empty if there is none; a string with escapes is not put together.
    """
    text, start = line.replace(b"\\\\", b"").replace(b'\\"', b""), -1
    for _ in range(8):
        if (start := text.find(b"{", start + 1)) < 0:
            break
        parts, depth, found = text[start:].split(b'"'), 0, dict[bytes, bytes]()
        for number in range(0, len(parts), 2):
            gap = parts[number]
            depth += gap.count(b"{") + gap.count(b"[") - gap.count(b"}") - gap.count(b"]")
            after = parts[number + 2].strip() if number + 2 < len(parts) else b""
            if depth == 1 and after.startswith(b":"):
                found[parts[number + 1]] = after[1:].strip() or b"".join(parts[number + 3 : number + 4])
        if depth == 0 and len(parts) % 2:
            return found
    return {}


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


def write_json(name: str, record: dict[str, object], *, durable: bool) -> None:
    """Write the whole file or none of it. Raises OSError."""
    spare = name + ".tmp"
    make_way(spare)
    with open(create(spare, os.O_EXCL), "wb") as file:
        file.write(encode(to_json(record) + "\n"))
    if durable:
        sync(spare)
    if os.path.isdir(name):
        make_way(name)
    os.rename(spare, name)
    if durable:
        sync(".")


def make_way(name: str) -> None:
    """Remove what has this name, whatever it is; a directory is put aside."""
    if os.path.lexists(name) and not attempt(os.unlink, name):
        os.rename(name, f"{name}.{time.time_ns()}")


def create(name: str, flags: int = os.O_APPEND) -> int:
    """Open a file of the run for writing, for nobody else to read."""
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)


def sync(path: str) -> None:
    """Bring a file or directory to the disk itself; on macOS, fsync alone stops at the drive's cache."""
    file = os.open(path, os.O_RDONLY)
    try:
        if sys.platform != "darwin" or not attempt(fcntl.fcntl, file, fcntl.F_FULLFSYNC):
            os.fsync(file)
    finally:
        os.close(file)


def own_descriptors() -> int:
    """Close what was inherited beyond 0, 1 and 2, and fill gaps among these. Returns /dev/null, opened."""
    os.closerange(3, 1 + max(int(name) for name in os.listdir("/dev/fd")))
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    return null


def numbers(directory: str) -> list[str]:
    """The names in a directory that are numbers; none if it is not there."""
    return [name for name in os.listdir(directory) if name.isdigit()] if os.path.isdir(directory) else []


def attempt(call: "Callable[..., object]", *arguments: object) -> bool:
    """Make a system call that may fail. Returns whether it did not."""
    try:
        call(*arguments)
    except OSError:
        return False
    return True


def proc(path: str) -> list[str]:
    """The words of a file of /proc; of a stat file, from its third field on. Empty if there is no file."""
    try:
        with open(f"/proc/{path}", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def is_daemon(pid: int) -> bool:
    """Whether this is a daemon in the background, or a runner that one started."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0ORGLOOP_DAEMON=" in b"\0" + file.read()
    except OSError:
        return False


def log(sentence: str) -> None:
    """Add a line to runner.log."""
    attempt(os.write, 2, encode(time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime()) + sentence + "\n"))


def encode(text: str) -> bytes:
    """UTF-8 in any locale; bytes that were no UTF-8 come back as they were."""
    if not text.isascii():  # JSON may write a character as two halves
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text.encode("utf-8", "surrogateescape")


def to_json(value: object) -> str:
    """JSON of the few kinds of values that this file writes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_json(name)}: {to_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(c if c >= " " and c not in '"\\' else f"\\u{ord(c):04x}" for c in value) + '"'
    return "null" if value is None else repr(value)


def from_json(text: str) -> "Any":
    """The value of a JSON text: a Python literal but for three names. Python parses it, and runs nothing."""
    tree: Any = compile(text.strip(), SPEC, "eval", 0x400)  # 0x400: only to a syntax tree
    return literal(tree.body)


def literal(node: "Any") -> "Any":
    """The value of a node of that tree; a spec has no negative numbers. Raises ValueError, LookupError."""
    kind = type(node).__name__
    if kind == "Dict":
        return dict(zip(map(literal, node.keys), map(literal, node.values), strict=True))
    if kind == "List":
        return [literal(item) for item in node.elts]
    if kind == "Constant":
        return node.value
    if kind == "Name":
        return {"null": None, "true": True, "false": False}[node.id]
    raise ValueError(f"{kind} where a value belongs")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
