"""Every command that a page shows exists, with the options that it is shown with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from orgloop.cli.root import COMMANDS, root
from tests.docs import pages
from tests.docs.pages import PAGES

SHELL = ("sh", "bash", "console", "shell")


def shown(page: str) -> Iterator[str]:
    """Each `orgloop …` of a page, from its blocks and its sentences."""
    for block in pages.blocks(*SHELL, pages=(page,)):
        yield from re.sub(r"\\\n", " ", block.text).splitlines()
    yield from pages.spans(page)


def calls(line: str) -> Iterator[list[str]]:
    """The words behind each `orgloop` of a command line."""
    for part in re.split(r"&&|\||;|\$\(", line.removeprefix("$ ")):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            continue
        while words and re.match(r"\w+=", words[0]):
            words = words[1:]
        if words[:1] == ["orgloop"]:
            yield words[1:]


def wrong(words: list[str]) -> str:
    """What does not exist; empty if all does."""
    command: click.Command = root
    for word in words:
        if word.startswith("-") and word != "-":
            name = word.split("=")[0]
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            if name not in options | {"--help", "-h"}:
                return name
        elif isinstance(command, click.Group):
            if not re.fullmatch(r"[a-z-]+", word):
                continue
            found = command.get_command(click.Context(command), word)
            if found is None:
                return word
            command = found
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_the_page_exists(page: str) -> None:
    found = {line: wrong(words) for line in shown(page) for words in calls(line)}
    assert {line: what for line, what in found.items() if what} == {}


def test_wrong_commands_are_noticed() -> None:
    assert wrong(["strat"]) == "strat"
    assert wrong(["start", "--demon"]) == "--demon"
    assert wrong(["env", "chekc"]) == "chekc"
    assert wrong(["start", "--daemon", "--json"]) == ""


def test_every_command_has_a_section() -> None:
    text = pages.text("docs/cli.md") + pages.text("docs/cli-operations.md")
    sections = set(re.findall(r"(?m)^##+ `orgloop ([a-z-]+)", text))
    names = {name for rows in COMMANDS.values() for name, _, _ in rows}
    assert names - sections == set()
