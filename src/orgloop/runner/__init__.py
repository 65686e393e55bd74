"""Holds exactly one run of an agent program, and outlives the daemon that asked for it.

The daemon starts it by its path, `python -I -S runner/start.py RUN_DIRECTORY`, in a new session. The two
share only the run directory. Format version 1 (directory 0700, files 0600, JSON in UTF-8, times in seconds
since 1970):

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

VERSION = 1
SPEC, STDIN, STDOUT, STDERR, LOCK, LOG = "spec.json", "stdin", "stdout", "stderr", "lock", "runner.log"
STARTED, CHILD, EXIT, STOP, CANCELLED = "started", "child.json", "exit.json", "stop", "cancelled"

# The runner's exit statuses. After the last three it has changed nothing; any other comes with a traceback.
ENDED, LOCK_HELD, WAS_CANCELLED, WAS_STARTED = 0, 75, 76, 77

GIVE_UP_S = 8.0  # longest time for it to die of SIGKILL (it may sleep in the kernel, or be another user's)
LINGER_S = 2.0  # longest grace for what the program left behind
FAREWELL = 4 << 20  # bytes that what is stopped for its output may write after that
NEVER = float("inf")
