"""Links lead somewhere, the index is complete, and versions agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import PurePosixPath

import pytest

import orgloop
from tests.docs import pages
from tests.docs.pages import PAGES, ROOT


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in pages.links(page):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in pages.anchors(path.resolve().relative_to(ROOT).as_posix()), f"{page}: {link}"


def test_the_index_names_every_page_once() -> None:
    named = [link for link in pages.links("docs/index.md") if not link.startswith("../")]
    there = [PurePosixPath(page).relative_to("docs").as_posix() for page in PAGES if page.startswith("docs/")]
    assert sorted(named) == sorted(set(there) - {"index.md"})


def test_the_newest_version_of_the_changelog_is_the_packages() -> None:
    newest = re.search(r"(?m)^## \[([^\]]+)\]", pages.text("CHANGELOG.md"))
    assert newest is not None
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert newest[1] == declared["version"] == orgloop.__version__
    assert declared["readme"] == "README.md"


def test_the_make_targets_of_the_pages_are_those_of_the_makefile() -> None:
    there = re.findall(r"(?m)^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8"))
    told = [
        pages.code(row[0]) for row in pages.rows(pages.text("CONTRIBUTING.md")) if row[0].startswith("`make ")
    ]
    assert sorted(told) == sorted(f"make {name}" for name in there if name != "help")
    for page in PAGES:
        used = re.findall(r"\bmake ([a-z]+)(?=`| *$)", pages.text(page), re.MULTILINE)
        assert set(used) <= set(there), page


def test_contributing_tells_of_every_folder_of_tests() -> None:
    told = {
        name for row in pages.rows(pages.section("CONTRIBUTING.md", "Tests")) for name in pages.codes(row[0])
    }
    there = {
        f"tests/{path.name}"
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and any(path.glob("*.py"))
    }
    assert told == there


def test_the_floors_of_the_pages_are_those_that_are_held() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    held = [
        set(re.findall(r"[a-z]+", re.sub(r"\(.*?\)", "", one))) for one in declared["contracts"][0]["layers"]
    ]
    [drawn] = [one.text for one in pages.blocks("text", pages=("CONTRIBUTING.md",))]
    assert [set(line.split()) for line in drawn.splitlines()] == held
    architecture = pages.section("docs/architecture.md", "Floors")
    for floor, names in enumerate(reversed(held)):
        line = re.search(rf"(?m)^{floor} +(.*(?:\n  .*)*)", architecture)
        assert line is not None
        assert names <= set(re.findall(r"[a-z]+", line[1])), f"floor {floor}"
