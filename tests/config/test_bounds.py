"""A file may be wrong in a million places, and is answered all the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orgloop.config.findings import MOST_FINDINGS, Code, Severity
from tests.config.project import HEAD, ROUTES, load

MANY = 100_000
ROUTE = "  - name: x\n    when: {source: hooks, events: [a]}\n    then:\n      actor: tell\n      config:\n"

FILES = {
    "unknown keys": HEAD + ROUTES + "".join(f"key{n}: 1\n" for n in range(MANY)),
    "a route without a name": HEAD
    + ROUTES
    + "  - when: {source: hooks, events: [a]}\n    then: {actor: tell}\n"
    + "".join(f"    key{n}: 1\n" for n in range(MANY)),
}


@pytest.mark.parametrize("what", FILES)
def test_what_is_wrong_everywhere_is_listed_so_far_and_counted(what: str, tmp_path: Path) -> None:
    began = time.process_time()
    loaded = load(tmp_path, FILES[what])
    assert time.process_time() - began < 60
    assert loaded.organization is None
    *_, last = loaded.findings
    assert len(loaded.findings) == MOST_FINDINGS + 1
    assert (last.code, last.severity) == (Code.TOO_MANY, Severity.ERROR)
    assert any(word.isdigit() and int(word) >= MANY - MOST_FINDINGS for word in last.message.split())


def test_keys_that_are_only_handed_on_are_doubted_so_far(tmp_path: Path) -> None:
    began = time.process_time()
    text = HEAD + ROUTES + ROUTE + "".join(f"        session_ke{n}: 1\n" for n in range(MANY))
    loaded = load(tmp_path, text)
    assert time.process_time() - began < 60
    assert loaded.organization is not None
    assert len(loaded.findings) <= MOST_FINDINGS + 1


def test_a_few_findings_are_all_listed(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD + ROUTES + "".join(f"key{n}: 1\n" for n in range(50)))
    assert [one.code for one in loaded.findings] == [Code.UNKNOWN_KEY] * 50
