"""Whether what a command line needs is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.connectors.agents.files import what_is_missing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("agent.py", "agent.sh", "agent.js", "plain"):
        (tmp_path / name).write_text("#!/bin/sh\n", "utf-8")
    (tmp_path / "agent.sh").chmod(0o755)
    (tmp_path / "package").mkdir()
    (tmp_path / "link.py").symlink_to("later.py")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ["python3", "./nope.py"],
        ["python3.11", "-u", "nope.py", "--fast"],
        ["/usr/bin/python3", "-Eu", "tools/nope.py"],
        ["sh", "agents/x.sh"],
        ["bash", "-eu", "nope.sh"],
        ["node", "./nope"],
        ["ruby", "nope.rb"],
        ["perl", "/nowhere/nope.pl"],
    ],
)
def test_an_interpreter_whose_script_is_not_there_is_told(command: list[str], folder: Path) -> None:
    text = what_is_missing(command, str(folder))
    assert text is not None
    assert text.startswith(f"needs {next(word for word in command if 'nope' in word or 'x.sh' in word)},")
    assert str(folder) in text


@pytest.mark.parametrize(
    "command",
    [
        ["python3", "agent.py"],
        ["python3", "package/"],
        ["python3", "./link.py"],
        ["python3", "-m", "nope.tool"],
        ["python3", "-c", "open('nope.py')"],
        ["python3", "-X", "dev", "nope.py"],
        ["python3", "-W", "error", "nope.py"],
        ["python3", "-"],
        ["python3"],
        ["python3", "nope"],
        ["sh", "-c", "./nope.sh"],
        ["sh", "-euc", "./nope.sh"],
        ["bash", "-o", "pipefail", "nope.sh"],
        ["sh", "-s", "nope.sh"],
        ["node", "./agent"],
        ["node", "--test", "nope.js"],
        ["node", "inspect", "nope.js"],
        ["perl", "-ne", "print if /x/", "nope.txt"],
        ["npx", "./nope.js"],
        ["cat", "./nope.txt"],
        ["make", "-f", "./nope.mk"],
        ["x" * 5000, "./nope.py"],
    ],
)
def test_what_is_there_or_cannot_be_known_is_not_doubted(command: list[str], folder: Path) -> None:
    assert what_is_missing(command, str(folder)) is None


def test_a_shell_also_finds_a_script_in_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert what_is_missing(["sh", "agent.sh"], "/") is None
    assert what_is_missing(["sh", "./agent.sh"], "/") is not None
    assert what_is_missing(["python3", "agent.sh"], "/") is not None


def test_nothing_is_said_of_a_script_in_a_directory_that_is_not_there_yet(folder: Path) -> None:
    assert what_is_missing(["python3", "agent.py"], str(folder / "later")) is None


def test_a_program_with_a_slash_must_be_there_and_executable(folder: Path) -> None:
    assert what_is_missing([f"{folder}/agent.sh"], "/") is None
    assert what_is_missing(["later-in-the-path"], "/") is None
    assert "no such file; write" in (what_is_missing([f"{folder}/nope"], "/") or "")
    assert "type chmod +x" in (what_is_missing([f"{folder}/plain"], "/") or "")
