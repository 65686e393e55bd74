"""`orgloop plan`: what a start would change, and what becomes of waiting work."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from orgloop.cli.exits import Exit
from orgloop.config.load import load_or_raise
from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Acceptance, AppliedRow, NewDelivery, NewEvent
from orgloop.journal.sqlite import open_journal
from orgloop.plugin.registry import Registry
from orgloop.project.home import DaemonInfo, Home
from tests.cli.conftest import Orgloop

PROJECT = """\
apiVersion: orgloop/v1alpha1
kind: Project
metadata: {name: acme}
defaults: {limits: {runs: 2}}
transforms:
  - {name: shout, type: script, script: shout.sh}
sources:
  - {id: ci, connector: webhook, config: {secret: "${CI_SECRET}"}}
actors:
  - {id: worker, connector: process, config: {command: [cat]}}
routes:
  - name: one
    when: {source: ci, events: [a], filter: {payload.ok: true}}
    transforms: [shout]
    then: {actor: worker}
    with: {prompt_file: one.md}
  - name: two
    when: {source: ci, events: [b]}
    then: {actor: worker}
loggers:
  - {name: console, type: console}
"""

Apply = Callable[[], None]


@pytest.fixture
def project(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CI_SECRET", "hush")
    (place / "orgloop.yaml").write_text(PROJECT)
    (place / "one.md").write_text("Do it.\n")
    (place / "shout.sh").write_text("#!/bin/sh\ncat\n")
    (place / "shout.sh").chmod(0o755)
    return place


@pytest.fixture
def apply(project: Path, home: Path) -> Apply:
    """Write into the home's journal that the project, as it is, was applied."""

    async def commit() -> None:
        organization = load_or_raise(project, Registry.installed(), os.environ, home)
        row = AppliedRow(at=1, project="acme", root=str(project), snapshot=organization.snapshot)
        journal = await open_journal(home, project="acme", clock=lambda: 1)
        try:
            await journal.apply(row, {"one": "worker", "two": "worker"}, 1, actors={"worker": True})
        finally:
            await journal.close()

    return lambda: asyncio.run(commit())


def accept(home: Path, routes: Mapping[str, State]) -> None:
    """One event with a delivery in each of these states, by route."""

    async def commit() -> None:
        deliveries = [
            NewDelivery(id=f"dlv_{route}", route=route, actor="worker", runs=True, state=state)
            for route, state in routes.items()
        ]
        event = NewEvent(
            id="evt_1", source="ci", type="resource.changed", platform_event="a", trace_id="trc_1", hops=0,
            document=orjson.dumps({"id": "evt_1"}), deliveries=deliveries,
        )  # fmt: skip
        journal = await open_journal(home, project="acme", clock=lambda: 1)
        try:
            await journal.accept(Acceptance(source="ci", at=1, events=[event]))
        finally:
            await journal.close()

    asyncio.run(commit())


def edit(project: Path, old: str, new: str) -> None:
    text = (project / "orgloop.yaml").read_text()
    assert old in text
    (project / "orgloop.yaml").write_text(text.replace(old, new))


def test_before_the_first_start_everything_is_added(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("plan")
    assert said.code == Exit.OK
    listed = [line for line in said.out.splitlines() if line.startswith("  + ")]
    assert f"Plan: {len(listed)} to add, 0 to change, 0 to remove." in said.out
    assert all(
        f"+ {name}" in said.out for name in ("ci", "worker", "shout", "one", "two", "console", "one.md")
    )
    assert orgloop("plan", "--detailed-exitcode").code == Exit.DIFFERENT


def test_what_is_applied_needs_no_change(orgloop: Orgloop, apply: Apply) -> None:
    apply()
    said = orgloop("plan", "--detailed-exitcode")
    assert said.code == Exit.OK
    assert "Plan: 0 to add, 0 to change, 0 to remove." in said.out
    assert "no daemon runs now" in said.out
    assert "orgloop start" not in said.out
    assert "= one" in orgloop("plan", "--verbose").out
    assert orgloop("plan", "--json").json["changes"] is False


@pytest.mark.parametrize(
    ("old", "new", "says", "summary"),
    [
        ("payload.ok: true", "payload.ok: false", "when.filter.payload.ok: true → false", (0, 1, 0)),
        ("events: [b]", "events: [b, c]", "when.events:\n        + c\n", (0, 1, 0)),
        ("command: [cat]", "command: [cat, -n]", "config.command", (0, 1, 0)),
        ("limits: {runs: 2}", "limits: {runs: 3}", "limits.runs: 2 → 3", (0, 1, 0)),
        ("transforms: [shout]\n", "transforms: []\n", "transforms", (0, 1, 0)),
        ("loggers:\n  - {name: console, type: console}\n", "", "- console", (0, 0, 1)),
        ("- {name: console", "- {name: log, type: file}\n  - {name: console", "+ log", (1, 0, 0)),
        ("name: two", "name: three", "+ three", (1, 0, 1)),
    ],
)
def test_each_change_is_told_field_by_field(
    old: str,
    new: str,
    says: str,
    summary: tuple[int, int, int],
    orgloop: Orgloop,
    project: Path,
    apply: Apply,
) -> None:
    apply()
    edit(project, old, new)
    said = orgloop("plan", "--detailed-exitcode")
    assert said.code == Exit.DIFFERENT, said.err
    assert says in said.out
    assert "Plan: {} to add, {} to change, {} to remove.".format(*summary) in said.out


def test_a_new_name_is_a_change(orgloop: Orgloop, project: Path, apply: Apply) -> None:
    apply()
    edit(project, "name: acme", "name: beta")
    said = orgloop("plan", "--detailed-exitcode")
    assert said.code == Exit.DIFFERENT
    assert "metadata\n  ~ metadata\n      name: acme → beta\n" in said.out
    assert "Plan: 0 to add, 1 to change, 0 to remove." in said.out
    assert "changed in the files, but not applied: metadata\n" in orgloop("status").out


def test_a_changed_sop_counts_at_once_and_needs_no_start(
    orgloop: Orgloop, project: Path, apply: Apply
) -> None:
    apply()
    (project / "one.md").write_text("Do it better.\n")
    said = orgloop("plan", "--detailed-exitcode")
    assert said.code == Exit.DIFFERENT
    assert "~ one.md" in said.out
    assert "0 to change" in said.out
    assert "1 prompt file has changed; no start is needed" in said.out


def test_a_changed_script_counts_at_once_too(orgloop: Orgloop, project: Path, apply: Apply) -> None:
    apply()
    (project / "shout.sh").write_text("#!/bin/sh\nexit 1\n")
    said = orgloop("plan")
    assert "~ shout.sh" in said.out
    assert "1 script has changed; no start is needed" in said.out
    assert "orgloop start" not in said.out
    (project / "one.md").write_text("Do it better.\n")
    assert "1 prompt file and 1 script have changed" in orgloop("plan").out


def test_a_secret_changes_without_being_shown(
    orgloop: Orgloop, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply()
    monkeypatch.setenv("CI_SECRET", "whisper")
    said, data = orgloop("plan"), orgloop("plan", "--json")
    assert "~ ci" in said.out
    assert "whisper" not in said.out + data.out
    assert "hush" not in said.out + data.out


def test_what_changed_is_named_and_no_fingerprint_shown(
    orgloop: Orgloop, project: Path, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply()
    edit(project, "command: [cat]", "command: [tac]")
    assert "~ worker\n      config.command:\n        - cat\n        + tac\n" in (said := orgloop("plan").out)
    assert "value" not in said
    edit(project, "command: [tac]", "command: [cat]")
    monkeypatch.setenv("CI_SECRET", "whisper")
    assert "~ ci\n      the value of a variable that it uses" in orgloop("plan").out


def test_it_says_what_becomes_of_waiting_work(
    orgloop: Orgloop, project: Path, home: Path, apply: Apply
) -> None:
    apply()
    accept(home, {"one": State.PENDING, "two": State.HELD})
    edit(project, "payload.ok: true", "payload.ok: false")
    edit(project, "name: two", "name: three")
    said = orgloop("plan")
    one, two = said.out.split("~ one")[1].split("\n+")[0], said.out.split("- two")[1]
    assert "1 pending" in one
    assert "1 held" in two
    assert "held until the route comes back" in two
    document = orgloop("plan", "--json").json
    assert {route["name"]: route["waiting"] for route in document["routes"] if route["waiting"]} == {
        "one": {"pending": 1},
        "two": {"held": 1},
    }


def test_work_that_moves_or_loses_its_route_is_named_first(
    orgloop: Orgloop, project: Path, home: Path, apply: Apply
) -> None:
    apply()
    accept(home, {"one": State.PENDING, "two": State.HELD})
    edit(project, "name: two", "name: three")
    first = next(line for line in orgloop("plan").out.splitlines() if line.startswith("!"))
    assert "1 delivery of the route two, which is removed, will be held" in first
    edit(project, "name: three", "name: three\n    renamed_from: two")
    said = orgloop("plan")
    lines = [line for line in said.out.splitlines() if line]
    assert "moves to three" in lines[1]
    assert "- two" not in said.out
    assert "1 held" in said.out.split("~ three")[1]
    assert orgloop("plan", "--json").json["moves"] == {"two": "three"}


def test_it_says_whether_something_runs(orgloop: Orgloop, project: Path, home: Path, apply: Apply) -> None:
    apply()
    Home(home).write_daemon(
        DaemonInfo(
            pid=os.getpid(),
            started_at=time.time_ns() // 1_000_000,
            port=4800,
            project="acme",
            root=str(project),
            version="0",
        )
    )
    assert "Compared with the running configuration.\n" in orgloop("plan").out
    edit(project, "name: two", "name: three")
    assert "`orgloop start` applies the changes.\n" in orgloop("plan").out
    assert orgloop("plan", "--json").json["running"] is True


def test_a_project_that_was_moved_is_no_other_one(
    orgloop: Orgloop, project: Path, apply: Apply, tmp_path: Path
) -> None:
    apply()
    project.rename(tmp_path / "moved")
    said = orgloop("plan", "--config", str(tmp_path / "moved"))
    assert said.out.startswith("Compared with the last configuration")
    assert said.err == ""


def test_items_are_data_as_well(orgloop: Orgloop, project: Path, apply: Apply) -> None:
    apply()
    edit(project, "payload.ok: true", "payload.ok: false")
    document: dict[str, Any] = orgloop("plan", "--json").json
    assert document["summary"] == {"add": 0, "change": 1, "remove": 0, "live": 0}
    assert document["routes"][0] == {
        "name": "one",
        "action": "change",
        "fields": [{"path": "when.filter.payload.ok", "old": True, "new": False}],
        "waiting": {},
    }
    assert document["sources"] == [{"name": "ci", "action": "unchanged", "fields": []}]


def test_a_project_that_is_not_sound_has_no_plan(orgloop: Orgloop, project: Path) -> None:
    edit(project, "actor: worker", "actor: nobody")
    said = orgloop("plan", "--detailed-exitcode")
    assert said.code == Exit.FAILED
    assert "unknown-actor" in said.err


def test_a_change_late_in_a_long_list_is_seen_whole(
    orgloop: Orgloop, project: Path, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = ", ".join(f"'Bash(tool-{n} *)'" for n in range(30))
    edit(project, "command: [cat]", f"command: [cat, {tools}, 'Bash(ruff *)']")
    apply()
    edit(project, "Bash(ruff *)", "Bash(rm *)")
    monkeypatch.setenv("COLUMNS", "80")
    said = orgloop("plan").out
    assert "config.command:\n        - Bash(ruff *)\n        + Bash(rm *)\n" in said
    edit(project, "Bash(rm *)", "Bash(rm *) " + "and more " * 30 + "--force")
    assert "--force" in orgloop("plan").out
