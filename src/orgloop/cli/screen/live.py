"""Records as a story, for somebody who watches an organization for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from orgloop.cli.output import Output
from orgloop.cli.screen.words import event_name, run_words, shortened

if TYPE_CHECKING:
    from orgloop.core.records.record import Record
    from orgloop.journal.protocols import Reader

SHOWN: Final = 100
"""Characters of what an agent said."""


class LiveScreen:
    """One or two lines for what matters, nothing for the rest."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._began: int | None = None

    def show(self, record: Record, reader: Reader) -> None:
        """Tell about this record, if it is worth telling."""
        self._began = self._began or record.at
        match record.phase:
            case "source.emit":
                self._event(record, reader)
            case "deliver.attempt" if record.run_id:
                self._say(record, "▶", "green", f"{record.target} is woken", f"by route {record.route}")
                self._quote(self._sop(record, reader))
            case "run.ended" | "run.failed":
                seconds = f"after {(record.duration_ms or 0) / 1000:.1f} s"
                self._say(record, "■", "green", f"{record.target} is done", seconds)
                for words in self._words(record, reader):
                    self._quote(words)
            case "deliver.held" | "deliver.failure" | "deliver.retry":
                self._say(
                    record, "✗", "red", f"{record.route} → {record.target}", f"{record.result} {record.error}"
                )
            case _:
                pass

    def _event(self, record: Record, reader: Reader) -> None:
        event = reader.event(record.event_id)
        if event is not None and event.routes:
            self._say(record, "●", "blue", f"{event.source}: {event_name(event)}", event.id)

    def _sop(self, record: Record, reader: Reader) -> str:
        """The first line of the prompt file that it was woken with."""
        from orgloop.journal.model import Query

        for step in reader.steps(Query(delivery_id=record.delivery_id)):
            if step.sop_hash is not None:
                return (reader.sop(step.sop_hash) or "").strip().partition("\n")[0]
        return ""

    def _words(self, record: Record, reader: Reader) -> Sequence[str]:
        """What the agent said, and its structured result."""
        run = reader.run(record.run_id)
        return run_words(run) if run is not None else ()

    def _say(self, record: Record, symbol: str, color: str, words: str, details: str) -> None:
        out = self._out
        seconds = (record.at - (self._began or record.at)) / 1000
        time = out.style(f"{seconds:6.2f} s", "dim")
        out.fold(f"{time}  {out.style(symbol, color)} {words}  {out.style(details, 'dim')}", 12)

    def _quote(self, words: str) -> None:
        if words:
            self._out.fold(f"{' ' * 12}{self._out.style(shortened(words, SHOWN), 'dim')}", 12)
