"""How the end of a run that failed reads."""

from __future__ import annotations

import pytest

from orgloop.core.runs.failure import ERROR_LIMIT, TEXT_LIMIT, last_words, why
from orgloop.core.text.units import MINUTE


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("timeout_total", "ended after 2m: config.timeout"),
        ("timeout_start", "ended after 2m: config.start_timeout"),
        ("timeout_silence", "ended after 2m: config.silence_timeout"),
        ("output_limit", "ended after 2m: config.max_output"),
        ("exit_code_3", "exit_code_3"),
    ],
)
def test_a_limit_is_told_by_the_key_that_sets_it(reason: str, words: str) -> None:
    assert why(reason, 2 * MINUTE) == words


@pytest.mark.parametrize(
    ("stdout", "stderr", "words"),
    [
        ("", "", ""),
        ("half done\n", "", "half done"),
        ("", "no db\n", "no db"),
        ("half done\n", "\nno db\n", "half done\nno db"),
        ("", "a long story\n" + "x" * (ERROR_LIMIT - 6) + "\nno db", "no db"),
        ("x" * TEXT_LIMIT, "no db", "x" * (TEXT_LIMIT - 6) + "\nno db"),
    ],
    ids=["nothing", "output", "complaint", "both", "a long complaint", "a long output"],
)
def test_the_last_words_end_with_the_complaint(stdout: str, stderr: str, words: str) -> None:
    assert last_words(stdout, stderr) == words
