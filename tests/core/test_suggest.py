"""A suggestion is the name that was meant, or there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.text.suggest import nearest_name

COMMANDS = [
    *("add", "dead", "demo", "doctor", "emit", "env", "events", "held", "hook", "init", "logs"),
    *("restart", "routes", "start", "status", "stop"),
]


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("githb", ["github", "linear"], "github"),
        ("GitHub", ["github", "linear"], "github"),
        ("sessionKey", ["session_key"], "session_key"),
        ("session-key", ["session_key"], "session_key"),
        ("sesion_key", ["session_key"], "session_key"),
        ("evnets", ["events"], "events"),
        ("tam", ["team", "any"], "team"),
        ("provenence", ["provenance"], "provenance"),
        ("log", COMMANDS, "logs"),
        ("route", COMMANDS, "routes"),
        ("statsu", COMMANDS, "status"),
    ],
)
def test_a_slip_is_recognised(name: str, known: list[str], meant: str) -> None:
    assert nearest_name(name, known) == meant


@pytest.mark.parametrize("name", ["sops", "retry", "help", "hold", "ps", "reload", "apply", "", "x"])
def test_another_word_is_no_slip(name: str) -> None:
    assert nearest_name(name, COMMANDS) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("CEST", ["EST", "GMT"]),
        ("pr-1", ["pr-2"]),
        ("v2", ["v1"]),
        ("ci-review", ["pr-review"]),
        ("opened", ["reopened"]),
        ("tel", ["tell", "tel2", "teal"]),
        ("started", ["stopped"]),
        ("created", ["closed"]),
        ("session", ["session_key"]),
    ],
)
def test_a_far_name_is_not_suggested(name: str, known: list[str]) -> None:
    assert nearest_name(name, known) is None


def test_of_names_that_differ_in_one_letter_none_is_taken_for_another() -> None:
    assert nearest_name("triage-ci.md", ["triage-cd.md"], careful=True) is None
    assert nearest_name("Triage_CI.md", ["triage-ci.md"], careful=True) == "triage-ci.md"
    assert nearest_name("triag-ci.md", ["triage-ci.md"], careful=True) == "triage-ci.md"


@given(st.text(max_size=80), st.lists(st.text(max_size=80), max_size=8))
def test_a_suggestion_is_one_of_the_known_and_not_the_name_itself(name: str, known: list[str]) -> None:
    found = nearest_name(name, known)
    assert found is None or (found in known and found != name)


def test_names_of_any_length_are_answered_at_once() -> None:
    assert nearest_name("x" * 1_000_000, ["y" * 1_000_000, "x" * 999_999]) is None


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("crom", ["cron", "files"], "cron"),
        ("lokal", ["local"], "local"),
        ("lokal", ["local", "logal"], None),
        ("clon", ["cron", "clan"], None),
        ("tel", ["ted"], None),
        ("bron", ["cron"], None),
        ("pr-1", ["pr-2"], None),
    ],
)
def test_a_wrong_letter_in_a_short_name_counts_where_it_is_asked_for(
    name: str, known: list[str], meant: str | None
) -> None:
    assert nearest_name(name, known, short=True) == meant
    assert nearest_name(name, known) is None
