"""One more item in a list of a file: nothing else moves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.config.reading.yaml import parse
from orgloop.errors import ConfigError
from orgloop.project.insert import ORDER, insert

ENTRY = {"id": "new", "connector": "webhook", "config": {"secret": "${S}"}}

HEAD = "apiVersion: orgloop/v1alpha1   # v1\nkind: Project\nmetadata: {name: acme}\n"
SOURCES = [
    "sources:\n  - id: a   # first\n    connector: webhook\n",
    "sources:\n- id: a\n  connector: webhook\n",
    "sources:\n      - {id: a, connector: webhook}\n      - {id: b, connector: webhook}\n",
    "sources:\n  - id: a\n    connector: webhook\n\n  - id: b\n    connector: webhook\n    # the end of b\n",
    "sources: []\n",
    "sources:\n",
    "sources: ~   # none yet\n",
    "sources: # none yet\n",
    "sources:\n  - sources/a.yaml\n",
    "sources:\n  - id: a\n    config:\n      command: |\n        one\n\n        two\n",
    "",
]
ROUTES = [
    "\n# What wakes whom.\nroutes:\n  - name: r\n    when: {source: a, events: [x]}\n    then: {actor: b}\n",
    "\n\nroutes: []",
    "# the end\n",
    "",
]


def after(text: str) -> dict[str, Any]:
    parsed = parse(text.encode())
    assert parsed.problems == ()
    data: dict[str, Any] = parsed.data
    return data


@given(
    st.sampled_from(SOURCES),
    st.sampled_from(ROUTES),
    st.sampled_from(["sources", "routes", "transforms", "loggers"]),
    st.booleans(),
)
def test_the_item_is_the_last_and_all_other_lines_stay(
    sources: str, routes: str, section: str, windows: bool
) -> None:
    text = (HEAD + sources + routes).replace("\n", "\r\n" if windows else "\n")
    changed = insert(text, section, ENTRY)

    expected = after(text)
    expected[section] = [*(expected.get(section) or []), ENTRY]
    assert after(changed) == expected

    old, new = text.splitlines(), changed.splitlines()
    replaced = [line for line in old if line not in new]
    assert all(line.startswith(f"{section}:") for line in replaced), (
        "only the line of an empty list may change"
    )
    kept = [line for line in old if line in new]
    remaining = iter(new)
    assert all(line in remaining for line in kept), "the lines keep their order"
    assert changed.endswith("\r\n" if windows else "\n")


def test_it_goes_where_a_reader_looks_for_it() -> None:
    text = HEAD + SOURCES[0] + ROUTES[0]
    assert list(after(insert(text, "transforms", ENTRY))) == [
        "apiVersion", "kind", "metadata", "sources", "transforms", "routes",
    ]  # fmt: skip
    changed = insert(text, "actors", ENTRY)
    assert "    connector: webhook\n\nactors:\n  - id: new\n" in changed
    assert "\n\n# What wakes whom.\nroutes:\n" in changed


def test_items_keep_the_distance_of_the_others() -> None:
    assert "    # the end of b\n\n  - id: new\n" in insert(HEAD + SOURCES[3], "sources", ENTRY)
    assert "webhook}\n      - id: new\n        connector: webhook\n" in insert(
        HEAD + SOURCES[2], "sources", ENTRY
    )


def test_the_comment_of_an_empty_list_stays() -> None:
    assert "sources:  # none yet\n  - id: new\n" in insert(HEAD + SOURCES[6], "sources", ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        "sources: [{id: a}]\n",
        "{sources: []}\n",
        "sources: {id: a}\n",
        "sources: text\n",
        "sources:\n  - id: a\n bad\n",
        "- a\n",
    ],
)
def test_what_cannot_be_extended_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        insert(text, "sources", ENTRY)
    assert refused.value.hint


def test_every_section_has_its_place() -> None:
    assert set(ORDER) >= {"sources", "actors", "transforms", "routes", "loggers"}
    assert after(insert("", "loggers", ENTRY)) == {"loggers": [ENTRY]}
