"""The daemon's own log on standard error."""

from __future__ import annotations

import io
import logging
import threading
import time

import pytest

from orgloop.daemon.own_log import MOST_WAITING, own_log

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
