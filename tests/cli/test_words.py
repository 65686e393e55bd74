"""Times, words and tables, as all commands write them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orgloop.cli.output import Output
from orgloop.cli.screen import words
from orgloop.cli.screen.grid import Column, print_block, print_commands, print_facts, print_grid
from orgloop.core.text.units import DAY, HOUR, MINUTE, SECOND
from orgloop.errors import Refused
from orgloop.operations.views.words import age, ago, dollars, moment, one_line, short_moment, since_of

NOW = int(datetime(2026, 1, 5, 12, 0, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (-5, "now"),
        (999, "now"),
        (SECOND, "1s"),
        (59 * SECOND + 999, "59s"),
        (MINUTE, "1m"),
        (HOUR - 1, "59m"),
        (25 * HOUR, "1d"),
        (9 * DAY, "9d"),
    ],
)
def test_an_age_has_one_unit(ms: int, said: str) -> None:
    assert age(NOW - ms, NOW) == said
    assert ago(NOW - ms, NOW) == (said if said == "now" else f"{said} ago")


@pytest.mark.parametrize(("ms", "length"), [(0, 5), (2 * DAY, 9), (-2 * DAY, 9), (30 * DAY, 10)])
def test_a_short_moment_is_never_longer_than_ten_characters(ms: int, length: int) -> None:
    assert len(short_moment(NOW - ms, NOW)) == length


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("30m", NOW - 30 * MINUTE),
        ("2d", NOW - 2 * DAY),
        ("2026-01-05T08:00:00+00:00", NOW - 4 * HOUR),
        ("2026-01-05T09:00:00+01:00", NOW - 4 * HOUR),
    ],
)
def test_since_is_a_duration_or_a_time(text: str, at: int) -> None:
    assert since_of(text, NOW) == at


def test_since_without_a_zone_is_local_time() -> None:
    assert since_of("2026-01-05T08:00", NOW) == int(datetime(2026, 1, 5, 8, 0).timestamp() * 1000)  # noqa: DTZ001


@pytest.mark.parametrize("text", ["", "soon", "12", "-5m", "2026-13-01"])
def test_since_that_is_neither_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refused, match="neither a duration nor a date") as refused:
        since_of(text, NOW)
    assert "--since 30m" in refused.value.hint


@pytest.mark.parametrize(
    ("cost", "said"),
    [(None, ""), (0.0, "$0.00"), (0.004, "$0.0040"), (0.01, "$0.01"), (1.5, "$1.50"), (1234.567, "$1234.57")],
)
def test_dollars(cost: float | None, said: str) -> None:
    assert dollars(cost) == said


def test_one_line_has_nothing_that_a_terminal_would_obey() -> None:
    assert one_line("a\x1b[2Jb\r\n\tc\u202e d") == "a b c d"


@pytest.mark.parametrize(("limit", "said"), [(10, "abcdef"), (6, "abcdef"), (5, "abcd…"), (1, "…")])
def test_shortened_never_exceeds_its_limit(limit: int, said: str) -> None:
    assert words.shortened("abcdef", limit) == said


def test_wrapped_text_says_that_something_was_cut() -> None:
    lines = words.wrapped("word " * 40, 30)
    assert len(lines) == 2
    assert max(map(len, lines)) <= 30
    assert lines[-1].endswith("…")
    assert words.wrapped("short", 30) == ["short"]


def test_a_path_below_the_home_directory_begins_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mona")
    assert words.from_home("/home/mona/acme") == "~/acme"
    assert words.from_home(Path("/srv/acme")) == "/srv/acme"
    assert words.from_home("") == ""


COLUMNS = [
    Column(name="id"),
    Column(name="never"),
    Column(name="wide", from_width=100),
    Column(name="words", flexible=True),
    Column(name="n", right=True),
]
ROWS = [["dlv_1", "", "here", "a sentence " * 20, "7"], ["dlv_22", "", "there", "short", "12"]]


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    print_grid(Output(color=False), COLUMNS, ROWS)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [60, 80, 99, 100, 160])
def test_a_row_is_one_line_at_every_width(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, first, second = printed(capsys, monkeypatch, width)
    assert max(map(len, (head, first, second))) <= width
    assert "NEVER" not in head
    assert ("WIDE" in head) is (width >= 100)
    assert first.startswith("dlv_1 ")
    assert "…" in first
    assert (first.endswith(" 7"), second.endswith("12")) == (True, True)


@pytest.mark.parametrize("width", [60, 80])
def test_ids_stay_whole_and_names_keep_their_begin_and_end(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    columns = [Column(name="id"), Column(name="route", is_name=True), Column(name="", flexible=True)]
    print_grid(Output(color=False), columns, [["dlv_19b5a1c2d3e4f506", "review-" * 8 + "end", "said " * 30]])
    row = capsys.readouterr().out.splitlines()[1]
    assert len(row) <= width
    assert row.startswith("dlv_19b5a1c2d3e4f506  review")
    assert "end  said said" in row


def test_nothing_is_cut_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("os.get_terminal_size", _no_terminal)
    print_grid(Output(color=False), COLUMNS, ROWS)
    assert ("a sentence " * 20).strip() in capsys.readouterr().out


def _no_terminal(descriptor: int) -> None:
    raise OSError("Inappropriate ioctl for device")


def test_a_table_without_names_has_no_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_grid(Output(color=False), [Column(name=""), Column(name="")], [["a", "b"]])
    assert capsys.readouterr().out == "a  b\n"


def test_facts_are_aligned_and_go_on_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_facts(
        Output(color=False), [("a", "1"), ("gone", ""), ("name", "one two three four five six seven")]
    )
    assert capsys.readouterr().out == "  a     1\n  name  one two three four five six\n        seven\n"


@pytest.mark.parametrize(("width", "lines"), [(60, 2), (40, 4)])
def test_what_a_command_is_for_stands_beside_it_or_below(
    width: int, lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    commands = [("orgloop status --since 3d", "what runs, what needs you"), ("orgloop logs", "what happened")]
    print_commands(Output(color=False), commands)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == lines
    assert max(map(len, said)) <= width


def test_others_text_is_marked_and_tamed(capsys: pytest.CaptureFixture[str]) -> None:
    print_block(Output(color=False), "one\n\x1b[31mtwo")
    assert capsys.readouterr().out == "  │ one\n  │  [31mtwo\n"


def test_a_time_that_is_not_todays_shows_its_day() -> None:
    """However short ago it was, and also if it is still to come."""
    midnight = int(datetime(2026, 1, 5).astimezone().timestamp() * 1000)
    assert moment(midnight + MINUTE, midnight + 2 * MINUTE) == "00:01:00"
    assert moment(midnight - MINUTE, midnight + 2 * MINUTE) == "2026-01-04 23:59:00"
    assert moment(midnight, midnight - MINUTE) == "2026-01-05 00:00:00"
    assert short_moment(midnight + MINUTE, midnight + 2 * MINUTE) == "00:01"
    assert short_moment(midnight - MINUTE, midnight + 2 * MINUTE) == "Sun 23:59"
    assert short_moment(midnight + 2 * HOUR, midnight - MINUTE) == "Mon 02:00"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[1;31mall well\x1b[0m",
        "\x1b]0;a title\x07all well",
        "\x1b]8;;https://example.com\x1b\\all well\x1b]8;;\x1b\\",
        "all\x1b[2K\rwell",
    ],
)
def test_codes_for_a_terminal_are_no_words(text: str) -> None:
    assert one_line(text) == "all well"
