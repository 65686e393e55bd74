"""console: what a line looks like."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
from pydantic import ValidationError

from orgloop.core.records.record import LEVELS, Level, Record, RecordPhase
from orgloop.loggers.console import STYLES, ConsoleLogger, ConsoleSettings, logger

AT: Final = 1_772_359_200_123

FULL: Final = Record(
    at=AT,
    phase=RecordPhase.DELIVER_RETRY,
    event_id="evt_1",
    delivery_id="dlv_1",
    source="github",
    target="engineer",
    route="pr-review",
    transform="noise",
    event_type="resource.changed",
    result="retry",
    error="500 Internal Server Error",
    duration_ms=12.5,
    metadata={"attempt": 2},
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(*records: Record, colored: bool = False, folds: bool = False, **config: Any) -> str:
    stream = io.StringIO()
    console = ConsoleLogger(ConsoleSettings.model_validate(config), stream, colored=colored, folds=folds)
    console.write(records)
    console.close()
    return stream.getvalue()


def test_a_line_says_when_what_where_and_how_it_went() -> None:
    assert shown(FULL) == (
        "10:00:00.123 ↻ deliver.retry src=github tgt=engineer route=pr-review xform=noise "
        "type=resource.changed result=retry dlv_1 12.5ms err=500 Internal Server Error\n"
    )


@pytest.mark.parametrize(
    ("phase", "id"),
    [
        (RecordPhase.SOURCE_EMIT, "evt_1"),
        (RecordPhase.ROUTE_MATCH, "evt_1"),
        (RecordPhase.TRANSFORM_DROP, "evt_1"),
        (RecordPhase.DELIVER_WAIT, "dlv_1"),
        (RecordPhase.RUN_FAILED, "run_1"),
    ],
)
def test_a_line_has_the_name_of_its_event_and_the_id_of_what_it_is_about(phase: RecordPhase, id: str) -> None:
    record = Record(
        at=AT,
        phase=phase,
        event_id="evt_1",
        delivery_id="dlv_1",
        run_id="run_1",
        event_type="resource.changed",
        event_name="deploy.finished",
    )
    assert shown(record).endswith(f" type=deploy.finished {id}\n")
    ended = replace(record, event_type="actor.stopped", event_name="session.completed")
    assert " type=actor.stopped (session.completed) " in shown(ended)


def test_in_a_terminal_a_long_line_goes_on_under_its_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert shown(FULL, folds=True).splitlines() == [
        "10:00:00.123 ↻ deliver.retry src=github tgt=engineer",
        "               route=pr-review xform=noise",
        "               type=resource.changed result=retry dlv_1",
        "               12.5ms err=500 Internal Server Error",
    ]


def test_a_wide_terminal_has_what_follows_the_phase_in_one_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    match = Record(at=AT, phase=RecordPhase.ROUTE_MATCH, source="github")
    begins = [line.index("src=") for line in shown(FULL, match, folds=True).splitlines()]
    assert begins == [31, 31]
    assert (
        shown(Record(at=AT, phase=RecordPhase.RUNTIME_START), folds=True) == "10:00:00.123 ● runtime.start\n"
    )


def test_what_does_not_apply_is_left_out() -> None:
    assert shown(Record(at=AT, phase=RecordPhase.RUNTIME_START)) == "10:00:00.123 ● runtime.start\n"


@pytest.mark.parametrize(("ms", "text"), [(0, "0ms"), (0.004, "0ms"), (0.25, "0.25ms"), (90_000, "90000ms")])
def test_a_duration_is_short(ms: float, text: str) -> None:
    assert shown(Record(at=AT, phase=RecordPhase.RUN_ENDED, duration_ms=ms)).endswith(f" {text}\n")


def test_a_drop_shows_its_reason() -> None:
    record = Record(at=AT, phase=RecordPhase.TRANSFORM_DROP, result="drop", metadata={"reason": "a bot"})
    assert shown(record) == "10:00:00.123 ✗ transform.drop result=drop reason=a bot\n"


def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    assert shown(Record(at=AT, phase=RecordPhase.RUN_ENDED)).startswith("15:30:00.123 ")


@pytest.mark.parametrize("least", Level)
def test_only_what_is_loud_enough_is_shown(least: Level) -> None:
    order = list(Level)
    records = [Record(at=AT, phase=phase) for phase in RecordPhase]
    lines = shown(*records, level=least.value).splitlines()
    assert len(lines) == sum(order.index(record.level) >= order.index(least) for record in records)


def test_info_is_the_default_level() -> None:
    assert shown(Record(at=AT, phase=RecordPhase.ROUTE_NO_MATCH)) == ""
    assert shown(Record(at=AT, phase=RecordPhase.ROUTE_MATCH)) != ""


def test_every_phase_has_an_icon_and_a_colour() -> None:
    assert set(STYLES) == set(RecordPhase)
    assert set(LEVELS) <= set(RecordPhase)


def test_colours_are_for_terminals() -> None:
    assert shown(FULL, colored=True) == (
        "\x1b[2m10:00:00.123\x1b[0m \x1b[33m↻ deliver.retry\x1b[0m src=github tgt=engineer route=pr-review "
        "xform=noise type=resource.changed result=retry dlv_1 12.5ms "
        "\x1b[31merr=500 Internal Server Error\x1b[0m\n"
    )
    assert "\x1b" not in shown(FULL, colored=True, color=False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "colored"),
    [(Terminal(), "", True), (Terminal(), "1", False), (io.StringIO(), "", False)],
)
def test_colours_follow_the_terminal_and_no_color(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, no_color: str, colored: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr("sys.stderr", stream)
    console = logger.open(ConsoleSettings())
    console.write([FULL])
    assert ("\x1b[" in stream.getvalue()) is colored


def test_it_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logger.open(ConsoleSettings()).write([FULL])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "deliver.retry" in captured.err


def test_metadata_is_shown_on_request() -> None:
    assert "attempt" not in shown(FULL)
    assert shown(FULL, show_payload=True).endswith(' metadata={"attempt":2}\n')
    assert shown(FULL, show_payload=True, compact=False).splitlines()[1:] == [
        "  metadata: {",
        '    "attempt": 2',
        "  }",
    ]
    assert shown(Record(at=AT, phase=RecordPhase.RUN_ENDED), show_payload=True).count("metadata") == 0


@pytest.mark.parametrize("compact", [True, False])
def test_whatever_metadata_holds_is_shown(compact: bool) -> None:
    record = Record(at=AT, phase=RecordPhase.RUN_ENDED, metadata={"path": "\ud800", "size": 2**70})
    assert str(2**70) in shown(record, show_payload=True, compact=compact)


@pytest.mark.parametrize("evil", ["\x1b[2J", "a\nb", "\r", "\x9b31m", "\u2028", "\u202e", "\x07"])
def test_text_from_outside_cannot_steer_the_terminal(evil: str) -> None:
    record = Record(
        at=AT,
        phase=RecordPhase.SYSTEM_ERROR,
        source=f"s{evil}",
        error=f"e{evil}",
        metadata={"reason": evil, "x": evil},
    )
    for compact in (True, False):
        text = shown(record, show_payload=True, compact=compact)
        assert not re.search(r"[^\n\x20-\x7e⚠]", text.replace("\\", "")), text
        assert text.count("\n") == (1 if compact else 5)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError):
        ConsoleSettings.model_validate({"level": "loud"})
    with pytest.raises(ValidationError):
        ConsoleSettings.model_validate({"colour": True})
