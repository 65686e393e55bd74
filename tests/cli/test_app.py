"""What all commands share."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest

from orgloop.cli.command import HelpMixin
from orgloop.cli.exits import Exit
from orgloop.cli.root import COMMANDS, INSTEAD, main, root
from orgloop.errors import OrgLoopError
from tests.cli.conftest import Orgloop

NAMES = [name for section in COMMANDS.values() for name, _, _ in section]

HEAVY = (
    "aiohttp",
    "apsw",
    "jq",
    "orjson",
    "prometheus_client",
    "psutil",
    "pydantic",
    "questionary",
    "re2",
    "rich",
    "ruamel",
)


def modules_after(*arguments: str, home: Path) -> set[str]:
    """Which modules a real `orgloop` has imported when it ends."""
    program = (
        "import sys\n"
        "from orgloop.cli.root import main\n"
        f"main({list(arguments)!r})\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "ORGLOOP_HOME": str(home)},
        timeout=60,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("no-such-command",)], ids=str)
def test_help_is_quick_because_it_imports_nothing_heavy(arguments: tuple[str, ...], home: Path) -> None:
    imported = modules_after(*arguments, home=home)
    assert "click" in imported
    assert imported & set(HEAVY) == set()
    assert {name for name in imported if name.startswith("orgloop.")} <= {
        "orgloop.cli",
        "orgloop.cli.app",
        "orgloop.cli.command",
        "orgloop.cli.completion",
        "orgloop.cli.exits",
        "orgloop.cli.failures",
        "orgloop.cli.help",
        "orgloop.core",
        "orgloop.core.text",
        "orgloop.core.text.suggest",
        "orgloop.core.text.columns",
        "orgloop.cli.output",
        "orgloop.cli.root",
        "orgloop.cli.time_limit",
        "orgloop.errors",
        "orgloop.operations",
        "orgloop.operations.version",
    }


def test_no_commands_help_needs_anything_heavy(home: Path) -> None:
    program = (
        "import sys, io, contextlib\n"
        "from orgloop.cli.root import main\n"
        f"for name in {NAMES!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        main([name, '--help'])\n"
        f"    found = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "    if found: sys.exit(f'{name}: {found}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "ORGLOOP_HOME": str(home)},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_examples(name: str, orgloop: Orgloop) -> None:
    context = click.Context(root)
    command = root.get_command(context, name)
    assert command is not None
    leaves = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    for leaf in leaves:
        assert isinstance(leaf, HelpMixin)
        path = [name] if leaf is command else [name, str(leaf.name)]
        said = orgloop(*path, "--help")
        assert said.code == 0
        assert leaf.examples, f"{' '.join(path)} has no example"
        assert all(example in said.out for example in leaf.examples)
        assert all(f"orgloop {name}" in example for example in leaf.examples)
        assert "--json" in said.out
        lines = said.out.splitlines()
        headings = [i for i, line in enumerate(lines) if line in ("Options", "Commands", "Examples")]
        assert all(lines[i + 1].startswith("  ") for i in headings), "a heading has nothing below it"
        # What is to be copied stays whole.
        copied = [line for line in said.out.splitlines() if line.strip() in leaf.examples or "    {" in line]
        assert [line for line in said.out.splitlines() if len(line) > 80 and line not in copied] == []


@pytest.mark.parametrize("name", NAMES)
def test_examples_use_options_that_exist(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert isinstance(command, HelpMixin)
    leaves = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    for example in (example for leaf in leaves for example in leaf.examples):
        for part in re.split(r"\||&&", example.partition(" >")[0]):
            if part.strip().startswith("orgloop "):
                parse(shlex.split(part)[1:])


def parse(words: list[str]) -> None:
    """Raises UsageError if no command takes these."""
    command: click.Command | None = root
    context = click.Context(root)
    while isinstance(command, click.Group):
        if words and words[0] in command.list_commands(context):
            command, words = command.get_command(context, words[0]), words[1:]
        else:
            command = command.get_command(context, "list")
    assert command is not None
    command.make_context("orgloop", words, parent=context)


@pytest.mark.parametrize("group", ["add", "service"])
def test_a_group_alone_shows_its_help_as_it_is(group: str, orgloop: Orgloop) -> None:
    said = orgloop(group)
    assert (said.code, said.out) == (Exit.FAILED, "")
    assert said.err.startswith(orgloop(group, "--help").out)
    assert f"`orgloop {group}` needs a subcommand: " in said.err
    assert orgloop(group, "--json").json["error"]["kind"] == "UsageError"


def test_help_lists_every_command(orgloop: Orgloop) -> None:
    said = orgloop("--help")
    assert said.code == 0
    assert [name for name in NAMES if f"\n  {name} " not in said.out] == []
    assert orgloop().out == said.out
    assert orgloop("-h").out == said.out
    assert "  -h, --help " in said.out


@pytest.mark.parametrize(
    ("typed", "meant"), [("valdiate", "validate"), ("statsu", "status"), ("rout", "routes")]
)
def test_a_misspelt_command_gets_the_nearest_one(typed: str, meant: str, orgloop: Orgloop) -> None:
    said = orgloop(typed)
    assert (said.code, said.out) == (Exit.FAILED, "")
    assert f"`{typed}`" in said.err
    assert f"`orgloop {meant}`" in said.err


@pytest.mark.parametrize("typed", INSTEAD)
def test_the_word_of_another_tool_leads_to_a_command_that_there_is(typed: str, orgloop: Orgloop) -> None:
    assert typed not in NAMES
    said = orgloop(typed)
    assert said.code == Exit.FAILED
    named = re.findall(r"orgloop ([\w-]+)(?: ([a-z]+)\b)?", said.err)
    assert named
    for command, subcommand in named:
        assert command == "--help" or command in NAMES
        if subcommand:
            assert orgloop(command, subcommand, "--help").code == 0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("man", ["--help"]),
        ("actors", ["status", "inspect ID"]),
        ("sources", ["status", "inspect ID"]),
        ("config", ["inspect ID"]),
        ("history", ["runs --all"]),
        ("ps", ["runs"]),
        ("reload", ["start"]),
        ("apply", ["start"]),
        ("retry", ["dead retry"]),
        ("dead-letter", ["dead"]),
        ("kill", ["runs stop ID", "stop"]),
        ("resend", ["replay", "dead retry"]),
        ("show", ["inspect"]),
        ("list", ["events"]),
        ("runs kill", ["runs stop"]),
        ("runs logs", ["runs tail"]),
        ("held approve", ["held release"]),
        ("dead replay", ["dead retry"]),
        ("held retry", ["held release"]),
        ("dead release", ["dead retry"]),
        ("sessions rm", ["sessions forget"]),
        ("service disable", ["service uninstall"]),
    ],
)
def test_a_word_leads_to_what_it_means_here(typed: str, meant: list[str], orgloop: Orgloop) -> None:
    said = orgloop(*typed.split())
    assert said.code == Exit.FAILED
    for command in meant:
        assert f"orgloop {command}`" in said.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("help", "--help"),
        ("help runs", "runs --help"),
        ("help runs tail", "runs tail --help"),
        ("runs help", "runs --help"),
        ("runs help tail", "runs tail --help"),
        ("add help", "add --help"),
    ],
)
def test_help_as_a_word_shows_the_help(typed: str, meant: str, orgloop: Orgloop) -> None:
    said, wanted = orgloop(*typed.split()), orgloop(*meant.split())
    assert (said.code, said.err, said.out) == (0, "", wanted.out)


@pytest.mark.parametrize("typed", ["sops", "restrat-all", "x", "hepl"])
def test_no_command_is_suggested_for_a_far_word(typed: str, orgloop: Orgloop) -> None:
    assert "Did you mean" not in orgloop(typed).err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["validate", "--colour"], "--colour"),
        (["validate", "extra"], "orgloop validate --config extra"),
        (["runs", "list", "extra"], "orgloop runs list --config extra"),
        (["trace", "a", "b"], "takes no more arguments, but got b"),
        (["help", "statsu"], "`orgloop status`"),
        (["--config"], "--config"),
        (["add", "sorce", "x"], "`orgloop add source`"),
        (["zzzzzz"], "orgloop --help"),
    ],
    ids=str,
)
def test_a_wrong_command_line_says_what_is_wrong(arguments: list[str], says: str, orgloop: Orgloop) -> None:
    said = orgloop(*arguments)
    assert (said.code, said.out) == (Exit.FAILED, "")
    assert says in said.err


@pytest.mark.parametrize("arguments", [["--json", "validate"], ["validate", "--json"]], ids=str)
def test_shared_options_count_before_and_behind_the_command(arguments: list[str], orgloop: Orgloop) -> None:
    assert set(orgloop(*arguments).json) == {"error"}


def test_an_error_is_told_in_json_and_to_people(orgloop: Orgloop) -> None:
    said = orgloop("routes", "--json")
    assert said.code == Exit.FAILED
    assert said.json["error"]["kind"] == "ConfigError"
    assert "orgloop init" in said.json["error"]["hint"]
    assert said.json["error"]["message"] in said.err


def test_a_usage_error_is_json_too(orgloop: Orgloop) -> None:
    assert orgloop("validate", "--json", "--nope").json["error"]["kind"] == "UsageError"


def test_version_is_told_as_an_option_and_as_a_command(orgloop: Orgloop) -> None:
    versions = orgloop("version", "--json").json
    assert set(versions) == {"orgloop", "python", "platform", "sqlite"}
    assert orgloop("--version").out == f"orgloop {versions['orgloop']}\n"
    assert versions["sqlite"] in orgloop("version").out
    assert tuple(map(int, versions["sqlite"].split("."))) >= (3, 51, 3)


def test_quiet_prints_errors_only(orgloop: Orgloop) -> None:
    assert orgloop("init", "--quiet", "--no-interactive").out == ""
    assert orgloop("validate", "--quiet").out == ""
    again = orgloop("init", "--quiet")
    assert (again.code, again.out) == (Exit.FAILED, "")
    assert "orgloop.yaml exists already" in again.err


class Broken:
    """Stands in for a command's body."""

    def __init__(self, exc: BaseException) -> None:
        self.exc = exc

    def __call__(self) -> None:
        raise self.exc


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    """`orgloop` without a command fails in a way that the test chooses."""
    body = Broken(RuntimeError("out of luck"))
    monkeypatch.setattr(root, "callback", body)
    return body


def test_a_fault_of_our_own_keeps_its_traceback(broken: Broken, orgloop: Orgloop, home: Path) -> None:
    (home / "logs").mkdir()
    said = orgloop()
    (kept,) = (home / "logs").glob("fault-*.txt")
    assert said.code == Exit.BUG
    assert "RuntimeError: out of luck" in said.err
    assert str(kept) in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_fault_on_a_full_disk_is_told_all_the_same(
    broken: Broken, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> tuple[int, str]:
        return os.open("/dev/full", os.O_WRONLY), "kept"

    monkeypatch.setattr(tempfile, "mkstemp", full)
    said = orgloop()
    assert said.code == Exit.BUG
    assert "RuntimeError: out of luck" in said.err
    assert "--verbose" in said.err


def test_verbose_shows_the_traceback(broken: Broken, orgloop: Orgloop) -> None:
    assert "Traceback" in orgloop("--verbose").err


def test_a_known_error_shows_its_hint(broken: Broken, orgloop: Orgloop) -> None:
    broken.exc = OrgLoopError("the cup is empty", hint="fill it")
    said = orgloop()
    assert (said.code, said.out, said.err) == (Exit.FAILED, "", "✗ the cup is empty\n  fill it\n")


def test_control_c_ends_with_130(broken: Broken, orgloop: Orgloop) -> None:
    broken.exc = KeyboardInterrupt()
    said = orgloop()
    assert (said.code, said.err.strip()) == (Exit.INTERRUPTED, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_who_goes_away_gets_silence(unbuffered: str, home: Path) -> None:
    command = f"{sys.executable} -m orgloop --help"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "ORGLOOP_HOME": str(home), "PYTHONUNBUFFERED": unbuffered},
        timeout=60,
    )
    assert done.returncode in (Exit.BROKEN_PIPE, Exit.OK)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("variables", "options", "colored"),
    [
        ({}, [], False),
        ({"FORCE_COLOR": "1"}, [], True),
        ({"FORCE_COLOR": "1"}, ["--no-color"], False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
    ],
    ids=str,
)
def test_colours(
    variables: dict[str, str],
    options: list[str],
    colored: bool,
    orgloop: Orgloop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in orgloop("env", *options).err) is colored
    assert ("\x1b[" in orgloop(*options, "--help").out) is colored


def test_the_program_is_installed_under_its_name(home: Path) -> None:
    program = Path(sys.executable).parent / "orgloop"
    done = subprocess.run(
        [program, "version", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={"ORGLOOP_HOME": str(home)},
        timeout=60,
    )
    assert json.loads(done.stdout)["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")


def test_main_takes_the_arguments_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["orgloop", "--version"])
    assert main() == Exit.OK
    assert capsys.readouterr().out.startswith("orgloop ")
