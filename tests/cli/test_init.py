"""`orgloop init`: what it writes is sound as it is."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from orgloop.cli.exits import Exit
from orgloop.cli.screen.questions import ask, fitting, unique
from orgloop.config.reading.yaml import parse
from orgloop.connectors.agents.claude_code import connector as claude_code
from orgloop.plugin.registry import Registry
from orgloop.project.scaffold import ProjectRequest, offers_of
from tests.cli.conftest import Orgloop

CONNECTOR_NAMES = sorted({one.name for one in Registry.installed().connectors()})


def written(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def test_without_a_choice_it_writes_a_project_that_runs_at_once(orgloop: Orgloop, place: Path) -> None:
    said = orgloop("init", "--no-interactive")
    assert said.code == Exit.OK
    assert written(place) == [".gitignore", "orgloop.yaml", "sops/webhook-to-process.md"]
    assert "orgloop start" in said.out
    assert f"curl http://127.0.0.1:{os.environ['ORGLOOP_PORT']}/webhook/webhook" in said.out

    assert (orgloop("validate").code, orgloop("validate", "--json").json["findings"]) == (Exit.OK, [])
    assert orgloop("doctor").code == Exit.OK
    data = parse((place / "orgloop.yaml").read_bytes()).data
    assert data["metadata"]["name"] == "acme"
    assert [(one["when"]["source"], one["then"]["actor"]) for one in data["routes"]] == [
        ("webhook", "process")
    ]


@pytest.mark.parametrize("names", [*([name] for name in CONNECTOR_NAMES), CONNECTOR_NAMES], ids=",".join)
def test_every_choice_is_routed_and_sound_once_its_variables_are_set(
    names: list[str], orgloop: Orgloop, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = orgloop("init", "--no-interactive", "--json", "--connectors", ",".join(names)).json
    for variable in said["missing_variables"]:
        monkeypatch.setenv(variable, f"https://service.example/{variable.lower()}")
    found = orgloop("validate", "--json").json["findings"]
    # Two agents that work in the project itself run one by one, and are told of.
    assert [one for one in found if one["code"] != "shared-tree"] == []
    graph = orgloop("routes", "--json").json
    assert graph["warnings"] == []
    assert set(names) <= {part["connector"] for part in parts(place)}
    assert (".env.example" in said["created"]) == bool(said["missing_variables"])


def parts(place: Path) -> list[dict[str, str]]:
    data = parse((place / "orgloop.yaml").read_bytes()).data
    return [*data["sources"], *data["actors"]]


def test_what_is_missing_is_listed_with_where_to_get_it(orgloop: Orgloop, place: Path) -> None:
    said = orgloop("init", "--no-interactive", "--connectors", "github")
    example = (place / ".env.example").read_text()
    assert "GITHUB_WEBHOOK_SECRET=\n" in example
    assert "# https://" in example
    assert "cp .env.example .env" in said.out
    assert "GITHUB_WEBHOOK_SECRET" in said.out


def test_transforms_that_it_writes_hold_what_fails(orgloop: Orgloop, place: Path) -> None:
    orgloop("init", "--no-interactive", "--connectors", "github,claude-code")
    (route,) = parse((place / "orgloop.yaml").read_bytes()).data["routes"]
    assert [step["on_error"] for step in route["transforms"]] == ["hold"]
    assert route["when"]["events"] == ["pull_request.review_submitted"]


def modes() -> list[str]:
    """What the connector offers."""
    assert claude_code.actor is not None
    (offer,) = claude_code.actor.offers
    return list(offer.options)


@pytest.mark.parametrize("mode", [None, *modes()])
def test_an_agent_is_told_what_it_may_do(mode: str | None, orgloop: Orgloop, place: Path) -> None:
    options = ["--permission-mode", mode] if mode else []
    orgloop("init", "--no-interactive", "--connectors", "claude-code", *options)
    (agent,) = parse((place / "orgloop.yaml").read_bytes()).data["actors"]
    assert agent["config"]["permission_mode"] == (mode or "acceptEdits")


def test_it_never_lifts_all_permissions(orgloop: Orgloop, place: Path) -> None:
    said = orgloop(
        "init", "--no-interactive", "--connectors", "claude-code", "--permission-mode", "bypassPermissions"
    )
    assert said.code == Exit.FAILED
    assert written(place) == []
    assert "bypassPermissions" not in modes()


def test_an_existing_project_stays_as_it_is(orgloop: Orgloop, place: Path) -> None:
    (place / "orgloop.yaml").write_text("mine\n")
    said = orgloop("init", "--no-interactive")
    assert said.code == Exit.FAILED
    assert "orgloop.yaml exists already; nothing was written" in said.err
    assert written(place) == ["orgloop.yaml"]


def test_files_that_are_there_already_are_kept(orgloop: Orgloop, place: Path) -> None:
    (place / "sops").mkdir()
    (place / "sops/webhook-to-process.md").write_text("mine\n")
    (place / ".gitignore").write_text("*.tmp\n")
    said = orgloop("init", "--no-interactive", "--json").json
    assert said["created"] == ["orgloop.yaml"]
    assert sorted(said["kept"]) == [".gitignore", "sops/webhook-to-process.md"]
    assert (place / "sops/webhook-to-process.md").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["docker", "githb", "@orgloop/connector-slak"])
def test_a_connector_that_is_not_installed_is_refused_with_those_that_are(
    name: str, orgloop: Orgloop, place: Path
) -> None:
    said = orgloop("init", "--no-interactive", "--connectors", f"webhook,{name}")
    assert said.code == Exit.FAILED
    assert all(known in said.err for known in CONNECTOR_NAMES)
    assert written(place) == []


def test_names_of_packages_are_names_of_connectors(orgloop: Orgloop, place: Path) -> None:
    orgloop("init", "--no-interactive", "--connectors", "@orgloop/connector-cron")
    assert [part["connector"] for part in parts(place)] == ["cron", "process"]


def test_a_connector_that_is_named_twice_is_there_once(orgloop: Orgloop, place: Path) -> None:
    said = orgloop(
        "init", "--no-interactive", "--connectors", "github,@orgloop/connector-github-webhook,github"
    )
    assert said.code == Exit.OK
    assert [part["connector"] for part in parts(place)] == ["github", "process"]


def test_a_name_and_a_directory_of_their_own(orgloop: Orgloop, place: Path) -> None:
    said = orgloop(
        "init",
        "--no-interactive",
        "--dir",
        "team/bots",
        "--name",
        "bots: #1",
        "--description",
        'It\'s "ours"',
    )
    assert said.code == Exit.OK
    assert "cd team/bots" in said.out
    data = parse((place / "team/bots/orgloop.yaml").read_bytes()).data
    assert data["metadata"] == {"name": "bots: #1", "description": 'It\'s "ours"'}
    assert orgloop("validate", "--config", "team/bots").code == Exit.OK


def test_a_directory_that_cannot_be_written_is_an_error(orgloop: Orgloop, place: Path) -> None:
    (place / "file").write_text("")
    said = orgloop("init", "--no-interactive", "--dir", "file/below")
    assert said.code == Exit.FAILED
    assert "nothing was created" in said.err


def converse(answers: list[tuple[str, str]], place: Path, home: Path) -> str:
    """Run `orgloop init` in a terminal: wait for each text, then type."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "orgloop", "init"],
        cwd=place,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "ORGLOOP_HOME": str(home)},
        start_new_session=True,
    )
    os.close(follower)
    seen, deadline = "", time.monotonic() + 60
    todo = list(answers)
    try:
        while time.monotonic() < deadline:
            if not select.select([leader], [], [], 0.2)[0]:
                if child.poll() is not None:
                    break
                continue
            try:
                seen += os.read(leader, 65536).decode(errors="replace")
            except OSError:
                break
            if "\x1b[6n" in seen:
                seen = seen.replace("\x1b[6n", "")
                os.write(leader, b"\x1b[1;1R")
            if todo and todo[0][0] in seen:
                seen = seen.split(todo[0][0], 1)[1]
                os.write(leader, todo.pop(0)[1].encode())
        assert child.wait(timeout=10) is not None
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(leader)
    assert todo == [], f"it never asked {todo[0][0]!r}; last seen: {seen!r}"
    return f"{child.returncode}"


def test_at_a_terminal_it_asks(place: Path, home: Path) -> None:
    down, space, enter = "\x1b[B", " ", "\r"
    sources = [one for one in CONNECTOR_NAMES if Registry.installed().connector(one).source]
    actors = [one for one in CONNECTOR_NAMES if Registry.installed().connector(one).actor]
    code = converse(
        [
            ("called?", enter),
            ("What is it for?", "reviews" + enter),
            ("events come from?", down * sources.index("github") + space + enter),
            ("does the work?", down * actors.index("claude-code") + space + enter),
            ("without asking?", enter),
            ("does github wake?", enter),
            ("does webhook wake?", enter),
        ],
        place,
        home,
    )
    assert code == "0"
    data = parse((place / "orgloop.yaml").read_bytes()).data
    assert data["metadata"] == {"name": "acme", "description": "reviews"}
    assert {one["id"] for one in data["sources"]} == {"github", "webhook"}
    assert {one["id"] for one in data["actors"]} == {"claude-code", "process"}


def test_control_c_writes_nothing(place: Path, home: Path) -> None:
    assert converse([("called?", "\x03")], place, home) == str(int(Exit.INTERRUPTED))
    assert written(place) == []


# --- the questions --------------------------------------------------------------------------------


def answered(keys: str, columns: int = 80) -> tuple[ProjectRequest, str]:
    """What `init` is asked for by somebody who types these keys, and what is shown meanwhile."""
    shown = io.StringIO()
    size = Size(rows=40, columns=columns)
    output = Vt100_Output(shown, lambda: size, enable_bell=False, enable_cpr=False)
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=output):
        keyboard.send_text(keys)
        return ask(Registry.installed(), name="acme", description="", chosen={}), shown.getvalue()


def test_it_asks_which_source_wakes_which_actor() -> None:
    """All actors; of those the source wakes the last alone."""
    offers = offers_of([one for one in unique(Registry.installed()) if one.actor])
    request, shown = answered("\r\ra\r" + "\r" * len(offers) + "i\x1b[A \r")
    (source,) = (one.name for one in request.sources)
    actors = [request.actor_id(one) for one in request.actors]
    assert len(actors) > 1
    assert f"Which actors does {source} wake?" in shown
    assert [(pair.source, pair.actor) for pair in request.pairs] == [(source, actors[-1])]


def test_one_actor_is_woken_by_every_source_without_a_question() -> None:
    request, shown = answered("\ra\r\r")
    assert len(request.sources) > 1
    assert "Which actors does" not in shown
    assert {pair.source for pair in request.pairs} == {one.name for one in request.sources}


def test_no_choice_is_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for connector in Registry.installed().connectors():
        assert len(fitting(f"{connector.name:15} {connector.title}")) <= 60 - 6
