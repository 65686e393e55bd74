"""Loggers observe records; they can never slow or fail a delivery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orgloop.core.records.record import Record
from orgloop.plugin.settings import Settings


class Logger(Protocol):
    """One configured logger. It follows the journal in a thread of its own."""

    def write(self, records: Sequence[Record]) -> None:
        """Write these, in order. Calls never overlap. An exception is counted and shown by `status`.

        A slow logger lags behind; nothing is left out, and nobody waits for it.
        """

    def close(self) -> None:
        """Write what is buffered; called once at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggerPlugin:
    """A kind of logger: `open` makes one from its settings."""

    name: str
    title: str
    settings: type[Settings]
    open: Callable[[Any], Logger]
