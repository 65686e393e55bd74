"""Runs of another system, through somebody else's package: killed at every point, begun and ended once."""

from __future__ import annotations

import ast
import json
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final

import pytest

from orgloop.journal.model import Query
from tests.docs import pages
from tests.e2e.organization import Organization, wait_for

SUPPORT: Final = Path(__file__).parents[1] / "support"
ENTRY_POINTS: Final = """
[orgloop.connectors]
jobs = orgloop_jobs:connector
dying = orgloop_dying:dying
dying-finding = orgloop_dying:finding
"""

POINTS: Final = ("sending", "begun", "followed", "called", "row", "ended", "told")
"""Where a daemon is killed, in this order; `dying_jobs.py` says what has happened by then."""
CALLED: Final = ("followed", "called", "row")
ACTORS: Final[Mapping[str, tuple[str, str, bool, tuple[str, ...]]]] = {
    # name: connector, mode, idempotent, and where its run takes part in a kill
    "wait-again": ("dying", "wait", True, ("sending", "begun", "ended")),
    "poll-again": ("dying", "poll", True, ("sending", "begun", "followed", "ended")),
    "call-again": ("dying", "call", True, ("sending", "begun", *CALLED)),
    "poll-find": ("dying-finding", "poll", False, ("sending", "begun", "followed", "ended")),
    "call-find": ("dying-finding", "call", False, ("sending", "begun", *CALLED)),
    "poll-once": ("dying", "poll", False, ("sending",)),
    "poll-lost": ("dying", "poll", False, ("begun",)),
    "wait-lost": ("dying", "wait", False, ("begun",)),
    "call-once": ("dying", "call", False, CALLED),
    "teller": ("dying", "hand", True, ("told",)),
}
WORKERS: Final = [name for name in ACTORS if name != "teller"]
KILLS: Final = Counter(point for _, _, _, points in ACTORS.values() for point in points)
FIRST: Final = ["wait-again", "poll-again", "call-again", "poll-find", "call-find", "poll-once"]


def project(server: str) -> str:
    """A route to every actor, and from the end of every run."""
    actors = [
        {"id": name, "connector": connector, "config": {
            "url": server, "mode": mode, "again": again,
            "dies": list(dies), "die": dict(KILLS), "place": "./deaths",
        }}
        for name, (connector, mode, again, dies) in ACTORS.items()
    ]  # fmt: skip
    actors.append({"id": "endless", "connector": "jobs", "config": {"url": server}})
    to_work = [
        {"name": f"to-{name}",
         "when": {"source": "feed", "events": ["job.asked"], "filter": {"payload.actor": name}},
         "then": {"actor": name, "config": {"seconds": None} if name == "endless" else {}}}
        for name in (*WORKERS, "endless")
    ]  # fmt: skip
    told = {"name": "told", "when": {"source": "wait-again", "events": ["actor.stopped"]},
            "then": {"actor": "teller"}}  # fmt: skip
    return json.dumps(
        {
            "metadata": {"name": "far"},
            "defaults": {"limits": {"runs": 20}},
            "sources": [
                {"id": "feed", "connector": "dying", "config": {"url": server}, "poll": {"interval": "100ms"}}
            ],
            "actors": actors,
            "routes": [*to_work, told],
        }
    )


@pytest.fixture
def server() -> Iterator[str]:
    """A job server as a process of its own; its address."""
    with subprocess.Popen(
        [sys.executable, str(SUPPORT / "job_server.py")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def ask(server: str, path: str, content: Any = None) -> Any:
    body = json.dumps(content).encode() if content is not None else None
    with urllib.request.urlopen(f"{server}{path}", body, timeout=30) as answer:
        return json.loads(answer.read())


def install(place: Path) -> None:
    """The package of the page, and the one that makes it die, as `pip` would leave them."""
    _, page, _ = pages.blocks("python", pages=("docs/connectors/writing.md",))
    about = place / "orgloop_jobs-1.0.dist-info"
    about.mkdir(parents=True)
    (place / "orgloop_jobs.py").write_text(page.text)
    (place / "orgloop_dying.py").write_text((SUPPORT / "dying_jobs.py").read_text())
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: orgloop-jobs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)


def free_port() -> int:
    """A port that nobody has: callbacks must find the next daemon at the same address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture
def far(organization: Organization, server: str, tmp_path: Path) -> Organization:
    """A project with all these actors, in an environment that has the package."""
    install(tmp_path / "installed")
    organization.environ = {"PYTHONPATH": str(tmp_path / "installed"), "ORGLOOP_PORT": str(free_port())}
    organization.write({"orgloop.yaml": project(server)})
    assert organization.command("validate").returncode == 0
    return organization


def killed(far: Organization, point: str) -> bool:
    return (far.root / "deaths" / point / "killed").exists()


def test_the_package_imports_the_door_alone(tmp_path: Path) -> None:
    install(tmp_path)
    for name in ("orgloop_jobs.py", "orgloop_dying.py"):
        modules = [
            node.module or ""
            for node in ast.walk(ast.parse((tmp_path / name).read_text()))
            if isinstance(node, ast.ImportFrom)
        ]
        assert [name for name in modules if name.startswith("orgloop")] == ["orgloop.plugin"]


def test_a_daemon_that_is_killed_at_every_point_begins_each_job_once_and_ends_each_run_once(
    far: Organization, server: str
) -> None:
    # Those that may be lost to a kill that is not their own come when that has been.
    later = {"sending": ["poll-lost", "wait-lost"], "begun": ["call-once"]}
    ask_for(server, FIRST)
    for point in POINTS:
        assert far.spawn().wait(120) == -SIGKILL, f"{point}: {far.log[-4000:]}"
        assert killed(far, point)
        ask_for(server, later.get(point, []))
    far.start()
    runs, stops = wait_for("the end of every run", lambda: all_ended(far))

    outcome = {run.actor: (run.outcome, run.reason) for run in runs}
    lost = dict.fromkeys(["poll-once", "poll-lost", "wait-lost"], ("unknown", "in_doubt"))
    assert outcome == dict.fromkeys(WORKERS, ("success", "done")) | lost
    assert Counter(stops) == {run.id: 1 for run in runs}
    jobs = Counter(job["key"] for job in ask(server, "/jobs"))
    assert jobs == {run.id: 1 for run in runs if run.actor != "poll-once"}
    assert far.stop() == 0


def ask_for(server: str, actors: list[str]) -> None:
    for actor in actors:
        ask(server, "/feed", {"actor": actor, "order": {}})


def all_ended(far: Organization) -> tuple[list[Any], list[str]] | None:
    """Each run, and the run of each `actor.stopped`, once all work is done."""
    with far.reader() as reader:
        runs = list(reader.runs(Query(limit=1000)))
        if set(reader.counts()) != {"total"} or len(runs) != len(WORKERS):
            return None
        stopped = [one for one in reader.events(Query(limit=1000)) if one.type == "actor.stopped"]
        return runs, [one.document["payload"]["run_id"] for one in stopped]


def test_a_job_that_goes_on_is_listed_outlives_the_daemon_and_is_stopped(
    far: Organization, server: str
) -> None:
    far.start()
    ask(server, "/feed", {"actor": "endless", "order": {}})

    def goes_on() -> str | None:
        with far.reader() as reader:
            (run,) = reader.runs(Query(), open_only=True) or (None,)
            return run.id if run is not None and "is running" in run.last_line else None

    id = wait_for("the job", goes_on)
    assert "is running" in far.command("runs").stdout
    assert "job_1 is running" in far.command("runs", "tail", id, "--no-follow").stdout
    assert "job_1" in far.command("runs", "show", id).stdout
    far.kill()
    refused = far.command("runs", "stop", id, check=False)
    assert refused.returncode != 0
    assert "orgloop start" in refused.stderr
    far.start()
    assert [job["status"] for job in ask(server, "/jobs")] == ["running"]
    far.command("runs", "stop", id)
    assert "cancelled" in far.command("runs", "tail", id).stdout

    def ended() -> Any:
        with far.reader() as reader:
            run = reader.run(id)
            return run if run is not None and run.ended_at is not None else None

    run = wait_for("its end", ended)
    assert (run.outcome, run.reason) == ("cancelled", "stopped")
    assert [job["status"] for job in ask(server, "/jobs")] == ["stopped"]
    assert far.stop() == 0
