"""docs/cli.md says what the program says, and its examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from orgloop.cli.exits import Exit
from orgloop.cli.root import COMMANDS, root
from tests.cli.conftest import Orgloop, Said
from tests.support.markdown import examples, first_cells, section

PAGE = "cli.md"
OWN = (
    *("init", "add", "setup", "validate", "env", "doctor", "plan", "routes", "test"),
    *("schema", "completion", "version"),
)


def options_of(command: click.Command) -> set[str]:
    leaves = command.commands.values() if isinstance(command, click.Group) else [command]
    return {
        name
        for leaf in leaves
        for parameter in leaf.params
        if isinstance(parameter, click.Option) and parameter.expose_value
        for name in [*parameter.opts, *parameter.secondary_opts]
        if name.startswith("--")
    }


def test_the_page_lists_every_command_with_its_line() -> None:
    rows = re.findall(r"(?m)^\| `(\S+)` \| (.*) \|$", section(PAGE, "All commands"))
    assert rows == [(name, line) for rows in COMMANDS.values() for name, _, line in rows]


def test_the_page_names_every_shared_option_and_exit_code() -> None:
    shared = section(PAGE, "What all commands share")
    named = {name.split()[0] for name in first_cells(shared)}
    options = {name for parameter in root.params for name in parameter.opts}
    assert named >= options | {"-h", "--help"}
    assert {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", shared)} == {int(code) for code in Exit}


@pytest.mark.parametrize("name", OWN)
def test_a_commands_section_names_its_options(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    text = section(PAGE, "The project").split(f"### `orgloop {name}`\n")[1].split("\n### ")[0]
    assert {option for option in options_of(command) if option not in text} == set()


def test_the_examples_run_one_after_the_other(orgloop: Orgloop, place: Path, home: Path) -> None:
    """As they stand on the page, in one directory. `doctor` may find that this machine's port is taken."""
    lines = [line for block in examples(PAGE, "sh") for line in block.splitlines()]
    assert [name for name in OWN if not any(line.startswith(f"orgloop {name}") for line in lines)] == []
    for line in lines:
        words = shlex.split(line)
        if words[0] == "orgloop" and not {"|", ">"} & set(words):
            said = orgloop(*words[1:])
        else:
            said = in_a_shell(line, place, home)
        allowed = {0, 1, 2} if line == "orgloop doctor" else {0}
        assert said.code in allowed, f"{line}\n{said.out}{said.err}"


def in_a_shell(line: str, place: Path, home: Path) -> Said:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=place,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            "ORGLOOP_HOME": str(home),
            "ORGLOOP_PORT": os.environ["ORGLOOP_PORT"],
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)
