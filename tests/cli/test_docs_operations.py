"""docs/cli-operations.md says what the program says."""

from __future__ import annotations

import click
import pytest

from orgloop.cli.root import COMMANDS, root
from tests.cli.test_docs import OWN, options_of
from tests.support.markdown import DOCS

NAMES = [name for rows in COMMANDS.values() for name, _, _ in rows if name not in OWN]
SHARED = {"--limit", "--since"}
"""Options that the page's beginning explains for all lists."""


@pytest.mark.parametrize("name", NAMES)
def test_a_commands_section_names_its_options_and_subcommands(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    text = (DOCS / "cli-operations.md").read_text()
    section = text.split(f"### `orgloop {name}`\n")[1].split("\n## ")[0].split("\n### ")[0]
    assert {option for option in options_of(command) - SHARED if option not in section} == set()
    if isinstance(command, click.Group):
        assert {word for word in command.commands if word not in section} == set()
