"""The pages: their text, fenced blocks, links and commands."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

PAGES: Final = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.md", "docs/**/*.md", "examples/*/README.md")
        for path in ROOT.glob(pattern)
    )
)

_FENCE: Final = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w*)\n(?P<text>.*?)^ *(?P=fence)$", re.MULTILINE | re.DOTALL
)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SPAN: Final = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block, without the indentation of the list that it stands in."""

    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}-{self.language}"


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(*languages: str, pages: tuple[str, ...] = PAGES) -> Iterator[Block]:
    for page in pages:
        for number, found in enumerate(_FENCE.finditer(text(page)), 1):
            if found["language"] in languages:
                yield Block(
                    page=page,
                    number=number,
                    language=found["language"],
                    text=textwrap.dedent(found["text"]),
                )


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", text(page))


def links(page: str) -> list[str]:
    return _LINK.findall(prose(page))


def spans(page: str) -> list[str]:
    """Everything in backquotes."""
    return _SPAN.findall(prose(page))


def anchors(page: str) -> set[str]:
    """What a link can name in the page, by the rule of the usual viewers."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: str, heading: str) -> str:
    """The text below `## heading`."""
    found = re.search(rf"(?ms)^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text(page))
    assert found is not None, f"{page} has no section {heading}"
    return found[1]


def rows(markdown: str) -> list[list[str]]:
    """The cells of all tables, without their heads."""
    found = []
    for table in re.findall(r"(?m)(?:^\|.*\|\n?)+", markdown):
        found += [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return found


def code(cell: str) -> str:
    """What stands in the backquotes of a cell that is nothing else."""
    return cell.strip("`")


def codes(cell: str) -> list[str]:
    """Everything in backquotes in a cell."""
    return _SPAN.findall(cell)
