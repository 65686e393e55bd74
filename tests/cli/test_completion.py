"""A shell that completes a word: commands, options, names and ids, by click's protocol and in bash itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orgloop.cli.completion import SHELLS, VARIABLE
from orgloop.cli.root import COMMANDS
from orgloop.core.deliveries.transition import HoldReason
from orgloop.core.text.units import HOUR
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, a_few, tell, write_project

Complete = Callable[[str], list[str]]


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project with a past."""
    write_project(place)

    async def write(story: Story) -> None:
        await a_few(story, place)
        story.count = 100
        await story.run(began=HOUR, session=("pr:7", "s-now"))

    tell(home, write)
    return place


@pytest.fixture
def complete(orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """What bash is offered for the last word of a command line."""

    def ask(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv(VARIABLE, "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        said = orgloop()
        monkeypatch.delenv(VARIABLE)
        assert said.err == ""
        return [one.partition(",")[2] for one in said.out.splitlines() if one]

    return ask


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("orgloop st", ["start", "stop", "status"]),
        ("orgloop runs ", ["list", "show", "stop", "tail"]),
        ("orgloop runs --ac", ["--actor"]),
        ("orgloop completion ", list(SHELLS)),
        ("orgloop logs --route ", ["pr-review", "tell"]),
        ("orgloop held list --actor no", ["notify"]),
        ("orgloop events --source ", ["github", "engineer", "notify"]),
        ("orgloop inspect tra", ["transform"]),
        ("orgloop inspect transform ", ["only-new"]),
        ("orgloop inspect pr", ["pr-review"]),
        ("orgloop runs show ", ["run_0000000000000065", "run_0000000000000002"]),
        ("orgloop runs stop ", ["run_0000000000000065"]),
        ("orgloop runs show run_000000000000000", ["run_0000000000000002"]),
        ("orgloop trace run_", ["run_0000000000000065", "run_0000000000000002"]),
        ("orgloop trace evt_00000000000000000000", []),
        ("orgloop inspect event evt_0000000000000001", ["evt_0000000000000001"]),
        ("orgloop held release ", ["dlv_0000000000000003"]),
        ("orgloop held release dlv_0000000000000003 ", []),
        ("orgloop dead show ", ["dlv_0000000000000004"]),
        ("orgloop sessions show ", ["s-now"]),
        ("orgloop deliveries --state de", ["delivered", "dead"]),
    ],
)
def test_names_and_ids_are_offered(line: str, offered: list[str], acme: Path, complete: Complete) -> None:
    assert complete(line) == offered


def test_what_is_written_and_not_applied_is_offered(
    place: Path, complete: Complete, orgloop: Orgloop
) -> None:
    orgloop("init", "--no-interactive")
    assert complete("orgloop add route x --source ") != []
    (place / "orgloop.yaml").write_text('actors: [{id: "a-1", connector: process}, {id: b.2}]\n')
    assert complete("orgloop logs --actor ") == ["a-1", "b.2"]


@pytest.mark.parametrize("journal", [b"", b"\0" * 4096, None], ids=["empty", "garbage", "absent"])
def test_nothing_is_offered_and_nothing_said_where_nothing_can_be_read(
    journal: bytes | None, place: Path, home: Path, complete: Complete
) -> None:
    if journal is not None:
        (home / "journal.db").write_bytes(journal)
    for line in ("orgloop runs show ", "orgloop logs --route ", "orgloop nothing ", "orgloop runs nothing "):
        assert set(complete(line)) <= {name for rows in COMMANDS.values() for name, _, _ in rows} | {
            "list",
            "show",
            "stop",
            "tail",
        }


@pytest.mark.parametrize(("given", "said"), [([], "which shell?"), (["tcsh"], "no shell is called 'tcsh'")])
def test_a_shell_that_is_not_there_is_answered_with_the_line_to_type(
    given: list[str], said: str, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    answer = orgloop("completion", *given)
    assert answer.code != 0
    assert said in answer.err
    assert "type `orgloop completion fish`" in answer.err
    assert "Choose from" not in answer.err


def test_a_long_list_is_cut_to_the_newest(place: Path, home: Path, complete: Complete) -> None:
    write_project(place)

    async def write(story: Story) -> None:
        await story.apply(place)
        for number in range(60):
            await story.held(HoldReason.UNTRUSTED, ago=HOUR - number)

    tell(home, write)
    assert complete("orgloop held show ")[:2] == ["dlv_000000000000003c", "dlv_000000000000003b"]
    assert len(complete("orgloop held show ")) == 50


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_its_script(shell: str, orgloop: Orgloop) -> None:
    script = orgloop("completion", shell).out
    assert VARIABLE in script
    assert orgloop("completion", shell, "--json").json["script"].strip() == script.strip()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_an_id(acme: Path, home: Path, tmp_path: Path) -> None:
    """As it would be typed: bash, the script, and one word after the other."""
    program = tmp_path / "bin" / "orgloop"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m orgloop "$@"\n')
    program.chmod(0o755)
    script = """
    eval "$(orgloop completion bash)"
    COMP_WORDS=(orgloop runs stop run_) COMP_CWORD=3
    _orgloop_completion orgloop
    echo "${COMPREPLY[*]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={"PATH": f"{program.parent}:/usr/bin:/bin", "ORGLOOP_HOME": str(home), "HOME": str(tmp_path)},
        cwd=acme,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "run_0000000000000065\n", done.stderr


def test_what_is_imported_for_a_name_is_little(acme: Path, home: Path) -> None:
    """A person waits for it: neither the journal's own code nor that of projects is loaded."""
    code = (
        "import sys; from orgloop.operations.completion import matching; "
        "from orgloop.project.home import Home; "
        "from pathlib import Path; home = Home(Path(sys.argv[1])); "
        "print(list(matching(home, None, ['route', 'run'], '')), file=sys.stderr); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home)], cwd=acme, capture_output=True, text=True, check=True
    )
    assert "('pr-review', 'route')" in done.stderr
    heavy = {"asyncio", "pydantic", "ruamel.yaml", "orgloop.journal.model", "orgloop.config.load", "rich"}
    assert set(done.stdout.split()) & heavy == set()
