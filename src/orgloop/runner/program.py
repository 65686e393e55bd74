"""The agent's program while it runs: what it writes, what descends from it, and how it ends."""

# ruff: noqa: PTH112, PTH123, PTH208

import os
import time

from . import CHILD, FAREWELL, NEVER, VERSION
from .files import attempt, log, write_json
from .spec import Spec
from .turns import TurnWatcher

FASTEST = 2e9  # bytes a second that a program may write: so the next look at its output comes in time


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


def numbers(directory: str) -> list[str]:
    """The names in a directory that are numbers; none if it is not there."""
    return [name for name in os.listdir(directory) if name.isdigit()] if os.path.isdir(directory) else []


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
