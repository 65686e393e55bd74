"""What the agents' pages show is what the agents do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from orgloop.config.schema import models as schema
from orgloop.config.schema.limits import ConfigPart
from orgloop.connectors.agents.claude_code import connector as claude_code
from orgloop.connectors.agents.claude_code.doctor import INSTALL, TESTED
from orgloop.connectors.agents.codex import connector as codex
from orgloop.connectors.agents.codex.doctor import INSTALL as INSTALL_CODEX
from orgloop.connectors.agents.codex.doctor import TESTED as TESTED_CODEX
from orgloop.connectors.agents.copilot import HARNESS as copilot_harness
from orgloop.connectors.agents.copilot import connector as copilot
from orgloop.connectors.agents.gemini import HARNESS as gemini_harness
from orgloop.connectors.agents.gemini import connector as gemini
from orgloop.connectors.agents.harness import Harness
from orgloop.connectors.agents.hooks import connector as coding_agent
from orgloop.connectors.agents.openclaw import connector as openclaw
from orgloop.connectors.agents.openclaw.answers import report
from orgloop.connectors.agents.openclaw.message import check_route
from orgloop.connectors.agents.opencode import HARNESS as opencode_harness
from orgloop.connectors.agents.opencode import connector as opencode
from orgloop.connectors.agents.pi import HARNESS as pi_harness
from orgloop.connectors.agents.pi import connector as pi
from orgloop.connectors.process import connector as process
from orgloop.plugin import Completion, ExitInfo, Settings, Supervised
from orgloop.plugin.actor import Priced
from orgloop.plugin.registry import Registry
from tests.connectors.doubles import inbound

PAGES = Path(__file__).parents[3] / "docs/agents"
INSTALLED = Registry.of(process, claude_code, codex, openclaw, opencode, gemini, copilot, pi, coding_agent)
NAMES = ("process", "claude-code", "codex", "openclaw", "opencode", "gemini", "copilot", "pi")
HARNESSES: Final[dict[str, Harness[Any]]] = {
    harness.name: harness for harness in (opencode_harness, gemini_harness, copilot_harness, pi_harness)
}
SHOWN_ELSEWHERE: Final = {"worktree"}
"""Has a page of its own."""
PARTS: Final[dict[str, type[ConfigPart]]] = {
    "sources": schema.SourceConfig,
    "actors": schema.ActorConfig,
    "routes": schema.RouteConfig,
}


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text("utf-8")


def blocks(name: str) -> Iterator[dict[str, Any]]:
    """The page's YAML, without the indentation of the list that it stands in."""
    for indent, text in re.findall(r"^( *)```yaml\n(.*?)^\1```", page(name), re.MULTILINE | re.DOTALL):
        yield YAML(typ="safe").load(re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))


def examples() -> list[tuple[str, dict[str, Any]]]:
    return [(name, block) for name in (*NAMES, "index") for block in blocks(name)]


def settings_of(section: str, connector: str) -> type[Settings]:
    found = INSTALLED.connector(connector)
    kind = found.source if section == "sources" else found.actor
    assert kind is not None
    return kind.settings


def entries(section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for _, block in examples():
        for entry in block.get(section, []):
            yield entry["connector"], entry["config"]


@pytest.mark.parametrize(("name", "block"), examples())
def test_an_example_is_valid(name: str, block: dict[str, Any], tmp_path: Path) -> None:
    assert block.keys() <= PARTS.keys()
    for section, listed in block.items():
        for entry in listed:
            PARTS[section].model_validate(entry)
            if section != "routes":
                model = settings_of(section, entry["connector"])
                model.model_validate(entry["config"], context={"project": tmp_path})


@pytest.mark.parametrize(
    ("section", "connector"),
    [
        ("actors", "process"),
        ("actors", "claude-code"),
        ("actors", "codex"),
        ("actors", "openclaw"),
        *(("actors", name) for name in HARNESSES),
        ("sources", "codex"),
        ("sources", "claude-code"),
    ],
)
def test_every_option_is_explained_and_shown(section: str, connector: str) -> None:
    model = settings_of(section, connector)
    rows = [line.split("|")[1] for line in page(connector).splitlines() if line.startswith("| `")]
    explained = {option for row in rows for option in re.findall(r"`([^`]+)`", row)}
    assert model.model_fields.keys() - explained == set()
    used = {key for name, config in entries(section) if name == connector for key in config}
    assert model.model_fields.keys() - model.without_effect() - used - SHOWN_ELSEWHERE == set()


def test_the_first_example_is_what_init_writes() -> None:
    assert process.actor is not None
    first = next(blocks("process"))
    assert first["actors"][0]["config"] == process.actor.scaffold


def test_the_page_says_what_doctor_says() -> None:
    assert INSTALL in page("claude-code")
    assert ".".join(map(str, TESTED)) in page("claude-code")
    assert INSTALL_CODEX in page("codex")
    assert ".".join(map(str, TESTED_CODEX)) in page("codex")


@pytest.mark.parametrize("harness", HARNESSES.values(), ids=HARNESSES)
def test_the_page_names_the_version_that_was_verified(harness: Harness[Any]) -> None:
    version = ".".join(map(str, harness.verified))
    assert f"`{harness.install}`. It was verified with version {version}" in page(harness.name)


def test_the_table_of_agents_is_what_they_can() -> None:
    rows = {}
    for line in page("index").splitlines():
        if found := re.match(r"\| \[([a-z-]+)\]", line):
            rows[found[1]] = [cell.strip() for cell in line.strip("|").split("|")][1:]
    assert rows.keys() == {*NAMES} - {"openclaw"}
    for name, (resume, fork, context, cost, tools, budget, version) in rows.items():
        kind = INSTALLED.connector(name).actor
        assert kind is not None
        assert kind.abilities is not None
        given = {"cwd": "/", "command": "true"} if name == "process" else {"cwd": "/"}
        settings = kind.settings.model_validate(given)
        can = kind.abilities(settings)
        if name != "process":
            assert [resume, fork, context] == [
                "yes" if able else "no" for able in (can.resume, can.fork, can.context)
            ]
            assert (cost == "US dollars") is isinstance(kind.open("x", settings), Priced)
            assert set(re.findall(r"`(\w+)`", tools + budget)) <= kind.settings.model_fields.keys()
        if name in HARNESSES:
            assert version == ".".join(map(str, HARNESSES[name].verified))


def test_the_report_of_an_agent_is_one_and_the_keys_of_its_routes_are_known() -> None:
    (example,) = [text for text in json_blocks("openclaw") if "status" in text]
    end = report(inbound(example.encode()))
    assert isinstance(end, Completion)
    assert end.json == {"decision": "merged"}
    table = page("openclaw").partition("| key | meaning |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`(\w+)`", table))
    keys = told - {"true", "false", "now", "then"}
    assert check_route(dict.fromkeys(keys, "{{payload.x}}")) == {}
    assert len(keys) == 11


def test_the_agent_that_the_page_of_process_describes_is_understood() -> None:
    (config,) = [
        entry["config"]
        for block in blocks("process")
        for entry in block.get("actors", [])
        if "output" in entry["config"]
    ]
    assert process.actor is not None
    actor = process.actor.open("reviewer", process.actor.settings.model_validate({**config, "cwd": "/"}))
    assert isinstance(actor, Supervised)
    usage = {"total_usd": 0.5, "input": 10, "output": 5, "cached": 3, "written": 2}
    lines = [
        {"type": "message", "content": "Looking.", "thread_id": "t-1"},
        {"type": "result", "status": "done", "summary": "All is well.", "usage": usage},
    ]
    stdout = "\n".join(json.dumps(line) for line in lines)
    end = actor.finish(ExitInfo(status=0, stopped=None, stdout=stdout, stderr="", duration_s=1.0))
    assert isinstance(end, Completion)
    assert (end.reason, end.text, end.session_id, end.session_cost_usd) == (
        "success",
        "All is well.",
        "t-1",
        0.5,
    )
    assert end.tokens == {"input": 10, "output": 5, "cache_read": 3, "cache_creation": 2}


def json_blocks(name: str) -> list[str]:
    return re.findall(r"^ *```json\n(.*?)^ *```", page(name), re.MULTILINE | re.DOTALL)
