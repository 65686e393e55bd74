"""Last words, structured results, and what ended a run."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.connectors.agents.result import (
    LINE_LIMIT,
    Found,
    ended,
    json_of_output,
    last_json,
    last_line,
    last_part,
    one_line,
    stopped,
)
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.core.runs.failure import TEXT_LIMIT
from orgloop.plugin import ExitInfo


def exit_info(status: int | None = 0, stopped: str | None = None, stdout: str = "") -> ExitInfo:
    return ExitInfo(status=status, stopped=stopped, stdout=stdout, stderr="", duration_s=1.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Done.\n```json\n{"decision": "merge"}\n```\n', {"decision": "merge"}),
        ("```json\n[1]\n```\nno:\n```json\n[2]\n```", [2]),
        ("~~~json\n1\n~~~", 1),
        ("```JSON title=x\r\n{}\r\n```\r\n", {}),
        ("1. A list:\n    ```json\n    [true]\n    ```", [True]),
        ("````markdown\n```json\n[1]\n```\n````", None),
        ("```json\n[1]\n```\n````markdown\n```json\n[2]\n```\n````", [1]),
        ("````json\n[1]\n````", [1]),
        ("````\n```\n```json\n[1]\n```\n````", None),
        ("```json\n[1]\n```text\n```\n", None),
        ("```json\n[1]\n", [1]),
        ("```json\n[1]\n```\n```json\n[2\n```", None),
        ("```json\n```", None),
        ("```json\nNaN\n```", None),
        ("```\n[1]\n```", None),
        ("```json5\n[1]\n```", None),
        ("say ```json [1]``` inline", None),
        ("```json [1]```", None),
        ('{"decision": "merge"}', None),
        ("", None),
    ],
)
def test_the_last_fenced_json_block_is_the_result(text: str, value: Any) -> None:
    assert last_json(text).json == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"a": 1}\n', {"a": 1}),
        ('log\n{"a": 1}', None),
        ("[1]", None),
        ("3", None),
        ('{"a": 1}\n{"b": 2}', None),
        ("{\n", None),
        ('```json\n{"a": 2}\n```', {"a": 2}),
    ],
)
def test_output_that_is_one_object_is_a_result_too(text: str, value: Any) -> None:
    assert json_of_output(text).json == value


def test_a_result_is_bounded() -> None:
    long = json.dumps(["x" * TEXT_LIMIT])
    for found in (last_json(f"```json\n{long}\n```"), json_of_output(json.dumps({"a": "x" * TEXT_LIMIT}))):
        assert found.json is None
        assert "100000 is the most" in (found.error or "")
    assert last_part("a" * TEXT_LIMIT + "b") == "a" * (TEXT_LIMIT - 1) + "b"
    assert len(one_line("x" * 999)) == LINE_LIMIT


@given(st.text())
def test_any_text_has_a_last_line_and_perhaps_a_result(text: str) -> None:
    line = last_line(text)
    assert "\n" not in line
    assert line == line.strip()
    assert line.isprintable()
    assert bool(line) is any(c.isprintable() and not c.isspace() for c in line)
    json_of_output(text)
    last_json(f"```json\n{text}")


@given(
    st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=9)
)
def test_a_value_comes_back_from_its_fence(value: Any) -> None:
    assert last_json(f"I say:\n\n```json\n{json.dumps(value, indent=2)}\n```\n\nThat is all.").json == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\n\n", "b"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07shown", "shown"),
        ("a\tb\r", "a b"),
        ("\x00\u200b", ""),
        (" \n", ""),
    ],
)
def test_the_last_line_is_what_a_person_would_read(text: str, line: str) -> None:
    assert last_line(text) == line


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        ("start", "timeout_start"),
        ("silence", "timeout_silence"),
        ("total", "timeout_total"),
        ("output", "output_limit"),
        ("requested", "requested"),
    ],
)
def test_what_was_ended_is_cancelled_whatever_its_status(by: str, reason: str) -> None:
    for status in (0, 1, 143):
        assert stopped(exit_info(status, by)) == (Phase.STOPPED, RunOutcome.CANCELLED, reason)


@pytest.mark.parametrize(("status", "by"), [(None, None), (None, "lost"), (0, "lost")])
def test_what_nobody_saw_end_is_unknown(status: int | None, by: str | None) -> None:
    assert ended(exit_info(status, by)) == (Phase.STOPPED, RunOutcome.UNKNOWN, "lost")


@pytest.mark.parametrize(
    ("status", "phase", "reason"),
    [(0, Phase.COMPLETED, "exit_code_0"), (3, Phase.FAILED, "exit_code_3"), (137, Phase.STOPPED, "sigkill")],
)
def test_what_ended_by_itself_is_judged_by_its_status(status: int, phase: Phase, reason: str) -> None:
    assert stopped(exit_info(status)) is None
    assert ended(exit_info(status))[::2] == (phase, reason)


RED, PLAIN = "\x1b[31m", "\x1b[0m"


@pytest.mark.parametrize(
    "text",
    [
        f'{RED}```json{PLAIN}\n{RED}{{"a"{PLAIN}: 1}}\n{RED}```{PLAIN}\n',
        '\ufeff```json\n{"a": 1}\n```',
        '```json\n\ufeff{"a": 1}\n```',
        '\ufeff{"a": 1}',
        '\u200b {"a": 1}\n\u200b',
        f'\x1b]0;title\x07{RED}{{"a": 1}}{PLAIN}\n',
        '\x9b31m{"a": 1}\x9b0m',
    ],
)
def test_what_surrounds_json_does_not_hide_it(text: str) -> None:
    assert json_of_output(text) == Found(json={"a": 1})


def test_what_is_in_a_text_of_json_stays() -> None:
    assert json_of_output('{"a": "\u200d\ufeff"}').json == {"a": "\u200d\ufeff"}
    assert json_of_output('{"a": 12345678901234567890123, "b": 1.10000000000000000001}').json == {
        "a": 12345678901234567890123,
        "b": Decimal("1.10000000000000000001"),
    }


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('ok\n```json\n{"a": 1,}\n```', "line 3, column 9"),
        ('{"a": 1,\n "b": }', "line 2, column 7"),
        ('\n\n  {"a" 1}', "line 3, column 8"),
        ("```json\n```", "empty"),
        ("```json\n" + "[" * 300 + "]" * 300 + "\n```", "deep"),
        ("```json\nNaN\n```", "line 2"),
    ],
)
def test_json_that_was_there_and_cannot_be_read_is_named_with_its_place(text: str, place: str) -> None:
    found = json_of_output(text)
    assert found.json is None
    assert place in (found.error or "")


@pytest.mark.parametrize("text", ["", "words", "{ not meant", "[1]"])
def test_what_was_not_meant_as_json_is_no_error(text: str) -> None:
    assert json_of_output(text) == Found()


ADVERSARIAL = [
    "~" * 300_000 + "`",
    "`" * 300_000,
    " " * 300_000 + "x",
    "\ufeff" * 300_000,
    "\x1b" * 300_000,
    "\x1b[" + "0" * 300_000,
    "\x1b[" * 150_000,
    "\x1b]" * 150_000,
    ("```json\n" * 40_000),
    "{" * 300_000,
    "{" * 100_000 + "}" * 100_000,
    "\n" * 300_000,
]


@pytest.mark.parametrize("text", ADVERSARIAL)
def test_no_output_takes_long_to_read(text: str) -> None:
    began = time.process_time()
    json_of_output(text)
    last_line(text)
    last_part(text)
    assert time.process_time() - began < 2
