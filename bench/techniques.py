"""Each technique that looks clever: CPU time of the same work without it, times that with it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import make_dataclass
from pathlib import Path as File
from typing import Any, Final
from unittest.mock import patch

import psutil

from bench.accept import PROJECT
from bench.children import child, daemon
from bench.figure import Figure, interleaved, median
from bench.journal import journal, work_all
from bench.load import load
from orgloop.core.deliveries.delivery import State
from orgloop.core.events import fields
from orgloop.core.events.fields import Path
from orgloop.journal.model import NewDelivery
from orgloop.journal.sqlite import statements
from orgloop.journal.verbs.settle import Settle
from orgloop.journal.verbs.transaction import Transaction
from tests.e2e.organization import Organization

PAIRS: Final = 7

WITHOUT: Final = {
    "gc.freeze, and rare collections": (
        "import gc\ngc.freeze = lambda: None\ngc.set_threshold = lambda *_: None\n"
    ),
    "webhooks of one packet take a short way": (
        "from orgloop.web import connection\nconnection.read_whole = lambda *_: None\n"
    ),
}
"""What a daemon runs before its own first line to do without a technique."""

LIGHT: Final = "import errno, fcntl, os, select, sys, time, _signal, _ctypes"
HEAVY: Final = "import errno, fcntl, os, select, sys, time, signal, ctypes, json"
"""The imports of the runner, and those that it avoids."""


def measure(*, short: bool) -> Sequence[Figure]:
    """How often the CPU time with a technique fits into that without it."""
    pairs = 1 if short else PAIRS
    return [
        *(_daemon(name, code, pairs, short=short) for name, code in WITHOUT.items()),
        _server(pairs, short=short),
        _figure("tries end in one statement", pairs, _journal(short=short), _journal(_alone, short=short)),
        _figure(
            "many rows in one statement", pairs, _journal(short=short), _journal(_row_by_row, short=short)
        ),
        _figure("the runner's light imports", pairs, _start(LIGHT, short=short), _start(HEAVY, short=short)),
        _figure("named tuples", pairs, _calls(_named_tuple, short=short), _calls(_frozen, short=short)),
        _figure("plain maps first", pairs, _calls(_followed, short=short), _calls(_any_map, short=short)),
    ]


def _figure(name: str, pairs: int, having: Callable[[], float], lacking: Callable[[], float]) -> Figure:
    ours, theirs = interleaved(pairs, having, lacking)
    ratios = [without / with_it for with_it, without in zip(ours, theirs, strict=True)]
    return Figure(
        name=name,
        value=median(ratios),
        unit="times",
        least=1,
        detail=f"{min(ratios):.2f} to {max(ratios):.2f}",
    )


def _daemon(name: str, code: str, pairs: int, *, short: bool) -> Figure:
    """CPU time of a daemon for each webhook that it takes."""
    with tempfile.TemporaryDirectory(prefix="orgloop-bench-") as place:
        File(place, "sitecustomize.py").write_text(code)
        with daemon(PROJECT) as having, daemon(PROJECT, PYTHONPATH=place) as lacking:
            return _figure(
                name,
                pairs,
                _taking(_pid(having), having.port, "/webhook/hook", short=short),
                _taking(_pid(lacking), lacking.port, "/webhook/hook", short=short),
            )


def _pid(organization: Organization) -> int:
    assert organization.daemon is not None
    return organization.daemon.pid


def _server(pairs: int, *, short: bool) -> Figure:
    """CPU time of a bare handler on the low-level server, and as a route of an application."""
    with child("bench.bare", "accept") as low, child("bench.bare", "application") as high:
        return _figure(
            "the low-level server",
            pairs,
            _taking(low.pid, low.port, "/webhook/hook", short=short),
            _taking(high.pid, high.port, "/webhook/hook", short=short),
        )


def _taking(pid: int, port: int, path: str, *, short: bool) -> Callable[[], float]:
    process = psutil.Process(pid)

    def measured() -> float:
        before = process.cpu_times()
        taken = load(port, path, seconds=0.3 if short else 3, count=100 if short else 10_000)
        after = process.cpu_times()
        return (after.user + after.system - before.user - before.system) / taken.accepted

    return measured


def _journal(without: Callable[[], Any] = ExitStack, *, short: bool) -> Callable[[], float]:
    """CPU time of events that are accepted, claimed and settled."""

    def measured() -> float:
        with tempfile.TemporaryDirectory(prefix="orgloop-bench-") as place, without():
            return asyncio.run(_cpu(File(place), 128 if short else 8_000))

    return measured


async def _cpu(home: File, events: int) -> float:
    async with journal(home) as opened:
        began = time.process_time()
        await work_all(opened, events)
        return time.process_time() - began


@contextmanager
def _alone() -> Iterator[None]:
    def one_by_one(_: type[Settle], tx: Transaction, works: Sequence[Settle]) -> list[bool]:
        return [work(tx) for work in works]

    with patch.object(Settle, "together", classmethod(one_by_one)):
        yield


@contextmanager
def _row_by_row() -> Iterator[None]:
    with patch.object(statements, "_bulk", lambda name: ((1, statements.VERBS[name]),)):
        yield


def _start(imports: str, *, short: bool) -> Callable[[], float]:
    """CPU time of a Python that imports this and ends, as the runner is started."""

    def measured() -> float:
        before = os.times()
        for _ in range(2 if short else 40):
            subprocess.run([sys.executable, "-I", "-S", "-c", imports], check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    return measured


def _calls(work: Callable[[], object], *, short: bool) -> Callable[[], float]:
    """CPU time of many calls."""

    def measured() -> float:
        began = time.process_time()
        for _ in range(1_000 if short else 300_000):
            work()
        return time.process_time() - began

    return measured


_Frozen: Final = make_dataclass(
    "_Frozen",
    [(name, object, NewDelivery._field_defaults.get(name)) for name in NewDelivery._fields],
    frozen=True,
    kw_only=True,
    slots=True,
)
_EVENT: Final = {"provenance": {"platform": "github", "review": {"state": "approved"}}}
_PATH: Final = Path.parse("provenance.review.state")


def _named_tuple() -> object:
    return NewDelivery(id="dlv_1", route="route", actor="actor", runs=False, state=State.PENDING)


def _frozen() -> object:
    return _Frozen(id="dlv_1", route="route", actor="actor", runs=False, state=State.PENDING)


def _followed() -> object:
    return _PATH.get(_EVENT)


def _any_map() -> object:
    value: object = _EVENT
    for key, index in _PATH.steps:
        value = fields._child(value, key, index)
    return value
