"""Loggers: each follows the journal in a thread of its own. A slow one lags; it slows no delivery."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from orgloop.config.model import LoggerSpec
from orgloop.core.records.record import Record
from orgloop.errors import FAULTS, JournalError, PluginError
from orgloop.journal.follow import Follower
from orgloop.plugin import Logger
from orgloop.runtime.support.supervisor import error_text

log = logging.getLogger(__name__)

COALESCE: Final = 0.02
"""Seconds after a commit before it is read: under load, one look for many."""

LOOK_AGAIN: Final = 5.0
"""Seconds without a commit after which the journal is looked at all the same."""


class LogThread:
    """One logger, following the journal from where it stood when the logger was opened."""

    def __init__(self, spec: LoggerSpec, logger: Logger, follower: Follower) -> None:
        self.spec = spec
        self.failures = 0
        self.last_error = ""
        self._logger = logger
        self._follower = follower
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"logger {spec.name}", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """There is something new in the journal."""
        self._changed.set()

    def end(self) -> None:
        """Have it write what the journal has by now, and close. Returns at once; see `join`."""
        self._closing.set()
        self._changed.set()

    def join(self, timeout: float) -> None:
        """Wait for its end, for at most `timeout` seconds."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._changed.wait(LOOK_AGAIN)
            self._closing.wait(COALESCE)
            self._changed.clear()
            self._catch_up()
        self._catch_up()
        try:
            self._logger.close()
        except FAULTS:
            log.exception("logger %s does not close", self.spec.name)
        with suppress(JournalError):
            self._follower.close()

    def _catch_up(self) -> None:
        try:
            while records := self._follower.next():
                self._write(records)
        except JournalError as exc:
            log.warning("logger %s cannot read the journal: %s", self.spec.name, exc.message)
        except FAULTS as exc:
            # The thread must live: what cannot be told now may be told at the next look.
            self._failed(exc)

    def _write(self, records: Sequence[Record]) -> None:
        try:
            self._logger.write(records)
        except FAULTS as exc:
            self._failed(exc)

    def _failed(self, exc: BaseException) -> None:
        self.failures += 1
        self.last_error = error_text(exc)
        if self.failures == 1:
            log.error("logger %s fails", self.spec.name, exc_info=exc)


class Observer:
    """All loggers of the project. `follow` opens a reader at the journal's end."""

    def __init__(self, follow: Callable[[], Follower]) -> None:
        self._follow = follow
        self._threads: dict[str, LogThread] = {}

    @property
    def threads(self) -> Sequence[LogThread]:
        """Every open logger."""
        return tuple(self._threads.values())

    def poke(self) -> None:
        """Something was committed."""
        for thread in self._threads.values():
            thread.poke()

    def open(self, specs: Sequence[LoggerSpec]) -> Sequence[LogThread]:
        """Loggers for these, to be handed to `use`; what did not change is the same.

        Raises PluginError if one cannot be opened; then none is.
        """
        threads: list[LogThread] = []
        try:
            threads.extend(self._kept(spec) or self._open(spec) for spec in specs)
        except PluginError:
            self.discard(threads)
            raise
        return threads

    def use(self, threads: Sequence[LogThread]) -> None:
        """Log to these from now on. The others write what there is and end by themselves."""
        old = self.threads
        self._threads = {thread.spec.name: thread for thread in threads}
        for thread in old:
            if self._threads.get(thread.spec.name) is not thread:
                thread.end()

    def discard(self, threads: Sequence[LogThread]) -> None:
        """End what was opened and is not used after all."""
        for thread in threads:
            if self._threads.get(thread.spec.name) is not thread:
                thread.end()

    def close(self, timeout: float = 1.0) -> None:
        """Write what there is, and close: all of them within `timeout` seconds."""
        threads, self._threads = self.threads, {}
        for thread in threads:
            thread.end()
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _kept(self, spec: LoggerSpec) -> LogThread | None:
        thread = self._threads.get(spec.name)
        return thread if thread is not None and thread.spec.fingerprint == spec.fingerprint else None

    def _open(self, spec: LoggerSpec) -> LogThread:
        try:
            logger = spec.plugin.open(spec.settings)
        except (ValueError, OSError) as exc:
            raise PluginError(
                f"logger {spec.name!r}: {exc}", hint="change its `config:` and try again"
            ) from exc
        except FAULTS as exc:
            raise PluginError(
                f"logger {spec.name!r} cannot be opened: {error_text(exc)}", hint="report this to its author"
            ) from exc
        return LogThread(spec, logger, self._follow())
