"""The daemon: one project's engine and its HTTP server in one process, from lock to last commit."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, Thread, Timer
from typing import Any, Final

from orgloop.config.load import load_or_raise, load_project
from orgloop.config.model import Organization
from orgloop.daemon.spool import keep_taking
from orgloop.errors import DaemonError
from orgloop.journal.backend import open_journal, open_reader
from orgloop.journal.protocols import Reader
from orgloop.operations.doctor import Patient, examine
from orgloop.operations.status.live import live_of
from orgloop.operations.version import version_of
from orgloop.plugin.registry import Registry
from orgloop.project.home import DaemonInfo, Home, mark_of, port_of, running_daemon, wanted_port
from orgloop.runtime.engine import Runtime
from orgloop.runtime.support.clock import SystemClock
from orgloop.runtime.support.http import HttpClient
from orgloop.web.body import body_limit_of
from orgloop.web.server import serve

SWITCH_INTERVAL: Final = 0.001
"""Seconds after which a busy thread lets another one run: the journal's must not wait long for the loop's."""

GARBAGE_AFTER: Final = (20_000, 20, 50)
"""How much is made before each generation is searched for garbage. An event leaves none behind."""


LEAVE: Final = 2.0
"""Seconds after its last commit within which the process ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonSetup:
    """Where and with what a daemon runs. `observed` adds to each configuration what its terminal shows."""

    home: Home
    registry: Registry
    environ: Mapping[str, str]
    observed: Callable[[Organization], Organization]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningDaemon:
    """A daemon that answers at `url`."""

    runtime: Runtime
    url: str


async def run_daemon(
    organization: Organization, place: DaemonSetup, on_ready: Callable[[RunningDaemon], None]
) -> None:
    """Serve `organization` until SIGTERM, SIGINT or a shutdown call; a second signal exits at once.

    Raises JournalLocked, DaemonError (the port is taken) or PluginError before anything is served.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    home = place.home
    home.ensure()
    clock = SystemClock()
    stopping, stopped = _stop_signals(), Event()
    read = partial(open_reader, home.path)
    journal = await open_journal(
        home.path, project=organization.name, clock=clock.now, holder=f"the daemon of {organization.root}"
    )
    runtime = None
    server = None
    reader = None
    try:
        reader = read()
        version = version_of("orgloop")
        runtime = Runtime(journal, home, place.observed(organization), read, clock=clock, version=version)
        server = serve(
            runtime,
            reader,
            port=wanted_port(place.environ),
            token=home.make_token(),
            on_shutdown=stopping.set,
            on_reload=partial(_reload, runtime, place),
            doctor=partial(_doctor, runtime, place, reader),
            metrics_port=port_of(place.environ, "ORGLOOP_METRICS_PORT"),
            body_limit=body_limit_of(place.environ),
        )
        port = await server.start()
        await runtime.start()
        home.write_daemon(_info(organization, port, clock.now(), version))
        # What is there now stays. Searched for garbage again and again, it would make a webhook take
        # 1.15 times the CPU time (`python -m bench techniques`).
        gc.freeze()
        gc.set_threshold(*GARBAGE_AFTER)
        on_ready(RunningDaemon(runtime=runtime, url=f"http://127.0.0.1:{port}"))
        # By the front door, as their hooks would have: what a source refuses is refused here, too.
        Thread(target=keep_taking, args=(home, stopped), name="kept hooks", daemon=True).start()
        await stopping.wait()
    finally:
        stopped.set()
        if server is not None:
            await server.stop()
        if reader is not None:
            # Whoever closes last folds the write-ahead log into the journal; that must be who can write.
            reader.close()
        await (runtime.stop() if runtime is not None else journal.close())
        home.forget_daemon(os.getpid())


def _info(organization: Organization, port: int, now: int, version: str) -> DaemonInfo:
    return DaemonInfo(
        pid=os.getpid(),
        started_at=now,
        port=port,
        project=organization.name,
        root=str(organization.root),
        version=version,
        process=mark_of(os.getpid()),
    )


def leave_soon() -> None:
    """End this process in time. Everything is on disk; what a plugin still does, nobody waits for.

    Python waits for each task that ignores its end, and for each thread: also for a call that blocks.
    """
    end = Timer(LEAVE, _leave)
    end.daemon = True
    end.start()


def _leave() -> None:
    with suppress(OSError):
        # Not the log, whose thread has ended; and nobody need read this.
        os.set_blocking(2, False)
        os.write(2, b"something does not let go of a task or a thread: leaving without it\n")
    os._exit(0)


async def _reload(runtime: Runtime, place: DaemonSetup) -> Mapping[str, int]:
    """Read the project again and apply it."""
    organization = await asyncio.to_thread(
        load_or_raise, runtime.organization.file, place.registry, place.environ, place.home.path
    )
    moved = await runtime.apply(place.observed(organization))
    # What is no file any more tells nobody the old name either.
    with suppress(DaemonError):
        info = place.home.read_daemon()
        if info is not None and info.pid == os.getpid() and info.project != organization.name:
            place.home.write_daemon(replace(info, project=organization.name))
    return moved


async def _doctor(runtime: Runtime, place: DaemonSetup, reader: Reader) -> Mapping[str, Any]:
    """What `orgloop doctor --json` prints."""
    loaded = await asyncio.to_thread(
        load_project, runtime.organization.file, place.registry, place.environ, place.home.path
    )
    http = HttpClient()
    try:
        examination = await examine(
            Patient(
                loaded=loaded,
                registry=place.registry,
                environ=place.environ,
                home=place.home,
                port=wanted_port(place.environ),
                daemon=running_daemon(place.home),
                reader=reader,
                live=live_of(runtime, await runtime.journal_fault()),
                clock=runtime.clock,
                http=http,
            )
        )
    finally:
        await http.close()
    return examination.as_json()


def _stop_signals() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; the second one ends the process."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    # The terminal that started us may go away.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    return stopping
