"""A running project changes as a whole or not at all, and only its own; real daemons."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from orgloop.project.home import Home, running_daemon
from tests.compat.living import signed
from tests.e2e.organization import Organization, wait_for
from tests.e2e.sink import Sink
from tests.support.checkout import need

PROJECT = """\
metadata: {name: changing}
sources: [{id: hooks, connector: webhook}]
actors:
  - {id: one, connector: webhook, config: {url: "${SINK}/one"}}
  - {id: two, connector: webhook, config: {url: "${SINK}/two"}}
"""

ROUTE = """\
routes:
  - {name: r, when: {source: hooks, events: [ping]}, then: {actor: one}}
"""


def begin(organization: Organization, sink: Sink) -> None:
    organization.environ["SINK"] = sink.url
    organization.write({"orgloop.yaml": PROJECT, "routes/a.yaml": ROUTE})
    organization.start()


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organization]:
    """One that runs, and is as it was after each test."""
    folder = tmp_path_factory.mktemp("steady")
    (root := folder / "org").mkdir()
    made = Organization(root=root, home=Home(folder / "home"))
    with Sink() as sink:
        begin(made, sink)
        yield made
        made.kill()


def ping(organization: Organization, **more: Any) -> dict[str, tuple[State, str]]:
    """Send an event: by route, the state it came to and the actor that it woke."""
    status, answer = organization.post("hooks", {"type": "ping", **more})
    assert status == 200, answer

    def finished() -> list[dict[str, tuple[State, str]]]:
        with organization.reader() as reader:
            rows = reader.deliveries(Query(event_id=answer["event_id"]))
        going = (State.PREPARING, State.PENDING, State.RUNNING)
        return (
            [] if any(row.state in going for row in rows) else [{r.route: (r.state, r.actor) for r in rows}]
        )

    return wait_for("the deliveries", finished)[0]


def git(organization: Organization, *arguments: str) -> None:
    need("git")
    names = {"GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "ann@x.example"}
    names |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in names.items()}
    environ = {
        **organization.environment,
        **names,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }
    subprocess.run(["git", *arguments], cwd=organization.root, env=environ, check=True, capture_output=True)


def test_a_reverted_commit_gives_the_old_behaviour_back(organization: Organization, sink: Sink) -> None:
    organization.environ["SINK"] = sink.url
    organization.write(
        {
            "orgloop.yaml": PROJECT,
            "routes/a.yaml": ROUTE[:-3] + "}, with: {prompt_file: ../sops/a.md}}\n",
            "sops/a.md": "Do it the old way.\n",
        }
    )
    git(organization, "init", "-q")
    git(organization, "add", ".")
    git(organization, "commit", "-qm", "The old way")
    organization.start()
    assert ping(organization) == {"r": (State.DELIVERED, "one")}

    another = "  - {name: also, when: {source: hooks, events: [ping]}, then: {actor: two}}\n"
    route = (organization.root / "routes/a.yaml").read_text().replace("actor: one", "actor: two")
    organization.write({"routes/a.yaml": route + another, "sops/a.md": "Do it the new way.\n"})
    git(organization, "commit", "-qam", "The new way")
    organization.command("start")
    assert ping(organization) == {"r": (State.DELIVERED, "two"), "also": (State.DELIVERED, "two")}

    git(organization, "revert", "--no-edit", "HEAD")
    plan = json.loads(organization.command("plan", "--json").stdout)
    assert {(one["name"], one["action"]) for one in plan["routes"]} == {("r", "change"), ("also", "remove")}
    organization.command("start")
    assert ping(organization) == {"r": (State.DELIVERED, "one")}
    assert not any(json.loads(organization.command("plan", "--json").stdout)["summary"].values())
    told = [(path, body.get("launch_prompt")) for path, _, body in sink.bodies]
    old, new = ("/one", "Do it the old way.\n"), ("/two", "Do it the new way.\n")
    assert told[0] == told[3] == old
    assert set(told[1:3]) == {new, ("/two", None)}


@pytest.mark.parametrize(
    "broken",
    [
        "routes: [\n",
        "routes:\n  - {name: r, when: {source: nobody, events: [ping]}, then: {actor: one}}\n",
        'routes:\n  - {name: r, when: {source: hooks, events: ["${NOT_SET}"]}, then: {actor: one}}\n',
    ],
)
def test_a_broken_file_takes_no_route_away_from_what_runs(steady: Organization, broken: str) -> None:
    steady.write({"routes/b.yaml": broken})
    try:
        refused = steady.command("start", check=False)
    finally:
        (steady.root / "routes/b.yaml").unlink()
    assert refused.returncode != 0
    assert "routes/b.yaml:" in refused.stdout + refused.stderr
    assert ping(steady) == {"r": (State.DELIVERED, "one")}


def test_a_broken_file_is_no_reason_to_start_without_its_routes(
    organization: Organization, sink: Sink
) -> None:
    organization.environ["SINK"] = sink.url
    organization.write({"orgloop.yaml": PROJECT, "routes/a.yaml": "routes: [\n", "routes/b.yaml": ROUTE})
    refused = organization.command("start", check=False)
    assert refused.returncode != 0
    assert "routes/a.yaml:2:1" in refused.stdout + refused.stderr
    assert running_daemon(organization.home) is None


def test_a_missing_variable_is_told_before_anything_starts(organization: Organization) -> None:
    organization.write({"orgloop.yaml": PROJECT, "routes/a.yaml": ROUTE})
    refused = organization.command("start", check=False)
    assert refused.returncode != 0
    assert "SINK is not set" in refused.stdout + refused.stderr
    assert running_daemon(organization.home) is None
    doctor = json.loads(organization.command("doctor", "--json", check=False).stdout)
    assert doctor["status"] != "ok"


def test_a_rotated_secret_counts_from_the_next_start_on(organization: Organization) -> None:
    organization.write(
        {
            "orgloop.yaml": "metadata: {name: n}\n"
            'sources: [{id: in, connector: webhook, config: {secret: "${KEY}"}}]\n',
            ".env": "KEY=old\n",
        }
    )
    organization.start()
    body = b'{"type": "ping"}'
    assert organization.post("in", body, signed(body, "old"))[0] == 200
    organization.write({".env": "KEY=new\n"})
    organization.command("start")
    assert organization.post("in", body, signed(body, "old"))[0] == 401
    assert organization.post("in", body, signed(body, "new"))[0] == 200


def test_two_projects_have_their_own_variables_and_their_own_daemons(
    organization: Organization, tmp_path: Path
) -> None:
    other = Organization(root=tmp_path / "other", home=Home(tmp_path / "other-home"))
    other.root.mkdir()
    text = 'sources: [{id: in, connector: webhook, config: {secret: "${KEY}"}}]\n'
    organization.write({"orgloop.yaml": f"metadata: {{name: a}}\n{text}", ".env": "KEY=first\n"})
    other.write({"orgloop.yaml": f"metadata: {{name: b}}\n{text}", ".env": "KEY=second\n"})
    try:
        organization.start()
        other.start()
        body = b"{}"
        answers = [one.post("in", body, signed(body, "second"))[0] for one in (organization, other)]
        assert answers == [401, 200]
    finally:
        other.kill()


def test_a_start_that_fails_leaves_the_daemon_that_runs_alone(steady: Organization, tmp_path: Path) -> None:
    before = running_daemon(steady.home)
    other = Organization(root=tmp_path / "other", home=steady.home, environ=dict(steady.environ))
    other.root.mkdir()
    other.write({"orgloop.yaml": "metadata: {name: other}\n"})
    refused = other.command("start", check=False)
    assert refused.returncode != 0
    assert "runs the project changing" in refused.stdout + refused.stderr
    assert running_daemon(steady.home) == before
    assert ping(steady) == {"r": (State.DELIVERED, "one")}


def test_a_taken_port_is_told_and_leaves_no_trace_of_a_daemon(steady: Organization, tmp_path: Path) -> None:
    taken = str(steady.port)
    other = Organization(root=tmp_path / "other", home=Home(tmp_path / "other-home"))
    other.root.mkdir()
    other.environ["ORGLOOP_PORT"] = taken
    other.write({"orgloop.yaml": "metadata: {name: other}\n"})
    refused = other.command("start", check=False)
    assert refused.returncode != 0
    assert taken in refused.stdout + refused.stderr
    assert running_daemon(other.home) is None
    assert ping(steady) == {"r": (State.DELIVERED, "one")}


def test_a_stop_in_another_projects_directory_stops_nothing(steady: Organization, tmp_path: Path) -> None:
    other = Organization(root=tmp_path / "other", home=steady.home)
    other.root.mkdir()
    other.write({"orgloop.yaml": "metadata: {name: other}\n"})
    assert other.command("stop", check=False).returncode != 0
    assert ping(steady) == {"r": (State.DELIVERED, "one")}


def test_a_stop_ends_the_daemon_by_itself_and_quickly(organization: Organization, sink: Sink) -> None:
    begin(organization, sink)
    daemon = organization.daemon
    assert daemon is not None
    began = time.monotonic()
    organization.command("stop")
    assert time.monotonic() - began < 5
    assert daemon.wait(10) == 0
    assert running_daemon(organization.home) is None
    organization.daemon = None


def test_what_a_project_names_is_found_wherever_the_daemon_was_started(
    organization: Organization, sink: Sink, tmp_path: Path
) -> None:
    organization.environ["SINK"] = sink.url
    organization.write(
        {
            "orgloop.yaml": PROJECT + "transforms: [transforms/all.yaml]\n",
            "routes/a.yaml": ROUTE.replace("then:", "transforms: [only-main], then:"),
            "transforms/all.yaml": "transforms: [{name: only-main, type: script, script: ./only-main.sh}]\n",
            "transforms/only-main.sh": '#!/bin/sh\ngrep \'"branch":"main"\' || exit 1\n',
        }
    )
    (organization.root / "transforms/only-main.sh").chmod(0o755)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = organization.root / "orgloop.yaml"
    project, organization.root = organization.root, elsewhere
    try:
        organization.command("start", "--daemon", "--config", str(file))
        assert ping(organization, branch="main") == {"r": (State.DELIVERED, "one")}
        assert ping(organization, branch="other") == {"r": (State.DROPPED, "one")}
    finally:
        organization.command("stop", "--config", str(file), check=False)
    assert sorted(path.name for path in project.iterdir()) == ["orgloop.yaml", "routes", "transforms"]
    assert list(elsewhere.iterdir()) == []


def test_a_script_that_calls_orgloop_starts_no_second_daemon(organization: Organization, sink: Sink) -> None:
    organization.environ.update(SINK=sink.url, ORGLOOP_DAEMON="1", ORGLOOP_SUPERVISED="1")
    organization.write(
        {
            "orgloop.yaml": PROJECT + "transforms: [{name: looks, type: script, script: ./bin/looks}]\n",
            "routes/a.yaml": ROUTE.replace("then:", "transforms: [{ref: looks, on_error: hold}], then:"),
            "bin/looks": '#!/bin/sh\nenv | grep -q "^ORGLOOP_DAEMON=" && exit 9\n'
            "orgloop version >&2 || [ $? = 127 ] || exit 8\ncat\n",
        }
    )
    organization.start()
    before = running_daemon(organization.home)
    assert ping(organization) == {"r": (State.DELIVERED, "one")}
    assert running_daemon(organization.home) == before
