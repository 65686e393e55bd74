"""The daemon's own log on standard error."""

from __future__ import annotations

import io
import logging
import threading
import time

import pytest

from orgloop.daemon.own_log import MOST_ALIKE, MOST_WAITING, WHILE, Flood, own_log

log = logging.getLogger("orgloop.test")


def test_what_is_logged_is_on_standard_error_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with own_log():
        log.info("not this")
        log.warning("source %s fails", "github")
        try:
            raise OSError("disk full")
        except OSError:
            log.exception("it broke")
    said = capsys.readouterr().err
    assert said.startswith("source github fails\nit broke\nTraceback")
    assert said.endswith("OSError: disk full\n")


def test_a_terminal_that_stands_still_makes_nobody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    class Still(io.StringIO):
        def write(self, text: str) -> int:
            gate.wait()
            return super().write(text)

    stream = Still()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("orgloop.daemon.own_log.LAST_LINES", 0.01)
    began = time.monotonic()
    with own_log():
        for number in range(3 * MOST_WAITING):
            log.warning("line %s", number)
    assert time.monotonic() - began < 5
    gate.set()


def record(text: str, at: float, *values: object) -> logging.LogRecord:
    made = logging.LogRecord("orgloop.test", logging.ERROR, "x.py", 1, text, values, None)
    made.created = at
    return made


def test_a_flood_of_lines_of_one_kind_is_bounded_and_counted() -> None:
    flood = Flood()
    written = [flood.is_written(record("socket.accept() fails\nsocket: %s", 100.0, n)) for n in range(5_000)]
    assert written == [True] * MOST_ALIKE + [False] * (5_000 - MOST_ALIKE)
    assert flood.is_written(record("something else", 100.0))
    later = record("socket.accept() fails\nsocket: %s", 100.0 + WHILE, 7)
    assert flood.is_written(later)
    assert f"and {5_000 - MOST_ALIKE} more like it" in later.getMessage()


def test_a_flood_that_is_logged_stays_small(capsys: pytest.CaptureFixture[str]) -> None:
    with own_log():
        for number in range(2_000):
            try:
                raise OSError(24, "Too many open files")
            except OSError:
                log.exception("accept %s broke", number)
    assert capsys.readouterr().err.count("Traceback") == MOST_ALIKE
