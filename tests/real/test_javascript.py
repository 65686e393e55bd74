"""Regular expressions of `filter`, and what counts as invisible, against Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from orgloop.core.text.hidden_text import IGNORABLE
from tests.transforms.regexes import answers, cases
from tests.transforms.test_regex import KNOWN

pytestmark = pytest.mark.real

PROGRAM = """
const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(line => line);
for (const line of lines) {
    const [body, flags, texts] = JSON.parse(line);
    let found = null;
    try { found = texts.map(text => new RegExp(body, flags).test(text)); } catch (problem) { }
    console.log(JSON.stringify(found));
}
"""


def node(made: list[tuple[str, str, list[str]]]) -> list[list[bool] | None]:
    """Whether it finds each in its texts; None for what is no regular expression."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is missing. Install Node.js")
    said = subprocess.run(
        [program, "-e", PROGRAM],
        input="\n".join(map(json.dumps, made)),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_what_is_known_of_javascript_is_so() -> None:
    made = [
        (body, flags, [text])
        for written, text, _ in KNOWN
        for body, _, flags in [written[1:].rpartition("/")]
    ]
    # Node.js 20 does not know groups with flags of their own yet.
    assert all(
        found == [expected] or "(?i:" in written
        for (written, _, expected), found in zip(KNOWN, node(made), strict=True)
    )


def test_regular_expressions_are_those_of_node() -> None:
    made = list(cases(20261130, 6000))
    different: list[object] = []
    understood = 0
    for (body, flags, texts), wanted in zip(made, node(made), strict=True):
        found = answers(body, flags, texts)
        if "u" in flags and r"\B" in body:
            # V8 also looks between the halves of one character, which the standard does not.
            continue
        if wanted is None:
            different += [(body, flags)] if found is not None else []
        elif found is not None:
            understood += 1
            different += [(body, flags, texts, engine) for engine in found if found[engine] != wanted]
    assert different == []
    assert understood > 4000


def test_what_is_ignorable_is_so_by_the_newest_tables() -> None:
    ignorable = {chr(code) for first, last in IGNORABLE for code in range(first, last + 1)}
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    [found] = node([(r"^\p{Default_Ignorable_Code_Point}$", "u", every)])
    assert found is not None
    assert {char for char, is_ignorable in zip(every, found, strict=True) if is_ignorable} == ignorable
