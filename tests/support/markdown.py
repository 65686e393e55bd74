"""What documentation shows: its fenced examples and its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DOCS = Path(__file__).parents[2] / "docs"


def examples(page: str, language: str) -> Iterator[str]:
    """The fenced blocks of one language."""
    text = (DOCS / page).read_text("utf-8")
    yield from re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def yaml_examples(page: str) -> list[Any]:
    """The YAML blocks, as data."""
    return [YAML(typ="safe").load(block) for block in examples(page, "yaml")]


def section(page: str, heading: str) -> str:
    """The text below `## heading`."""
    text = (DOCS / page).read_text("utf-8")
    found = re.search(rf"(?ms)^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text)
    assert found is not None, f"{page} has no section {heading}"
    return found[1]


def first_cells(text: str) -> set[str]:
    """Everything in backquotes in the first column of the tables in `text`."""
    rows = re.findall(r"(?m)^\| (`[^|]*) \|", text)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
