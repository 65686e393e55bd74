"""Commands that speak to a daemon: one organization at work, looked at and acted upon from outside."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.lock_owner import lock_holder
from orgloop.journal.model import START, DeliveryRow, Query, RunRow
from orgloop.project.home import Home, running_daemon
from tests.e2e.organization import Organization, wait_for
from tests.e2e.sink import Sink

PROJECT = """
metadata: {name: acme}
defaults: {budget: {runs_per_hour: null}, limits: {runs: 20}}
sources:
  - {id: hook, connector: webhook, config: {}}
  - {id: agents, connector: claude-code, config: {secret: "${HOOK_SECRET}"}}
  - {id: nightly, connector: cron, config: {schedules: [{name: night, cron: "0 3 * * *"}]}}
actors:
  - {id: agent, connector: process, config: {command: [./bin/agent], overlap: true}}
  - {id: sink, connector: webhook, config: {url: "${SINK}/status/404"}}
  - {id: gone, connector: webhook, config: {url: "http://127.0.0.1:9/nobody"}}
transforms:
  - {name: judge, type: script, script: ./bin/judge}
routes:
  - {name: judged, when: {source: hook, events: [judged]}, transforms: [{ref: judge, on_error: hold}], then: {actor: agent}}
  - {name: work, when: {source: hook, events: [work]}, then: {actor: agent}, with: {prompt_file: sops/work.md}}
  - {name: guarded, when: {source: hook, events: [guarded]}, then: {actor: agent}, with: {prompt_file: sops/guarded.md}}
  - {name: refused, when: {source: hook, events: [refused]}, then: {actor: sink}}
  - {name: nobody, when: {source: hook, events: [nobody]}, then: {actor: gone}}
  - {name: kept-out, when: {source: hook, events: [noise]}, transforms: [{ref: filter, config: {exclude: {provenance.author_type: team_member}}}], then: {actor: agent}}
  - {name: ended, when: {source: agents, events: [actor.stopped]}, then: {actor: agent}}
"""  # fmt: skip  # noqa: E501

AGENT = """#!/bin/sh
cat > /dev/null
echo "begins $ORGLOOP_RUN_ID"
while [ ! -e open ]; do sleep 0.05; done
echo "ends $ORGLOOP_RUN_ID"
"""


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organization]:
    """It runs. Its agents end once the file `open` is there."""
    folder = tmp_path_factory.mktemp("live")
    root = folder / "acme"
    root.mkdir()
    with Sink() as sink:
        made = Organization(root=root, home=Home(folder / "home"))
        made.environ = {"SINK": sink.url, "HOOK_SECRET": "hush", "COLUMNS": "160"}
        made.write(
            {
                "orgloop.yaml": PROJECT,
                "bin/agent": AGENT,
                "bin/judge": "#!/bin/sh\necho 'it is broken' >&2\nexit 3\n",
                "sops/work.md": "# Work\n",
                "sops/guarded.md": "# Guarded work\n",
                ".env": "HOOK_SECRET=hush\n",
            }
        )
        made.start()
        yield made
        (root / "open").touch()
        made.stop()


@pytest.fixture(autouse=True)
def closed(acme: Organization) -> Iterator[None]:
    """Every test begins with agents that wait, and leaves none behind."""
    (acme.root / "open").unlink(missing_ok=True)
    yield
    (acme.root / "open").touch()
    wait_for("agents to end", lambda: not runs(acme, open_only=True))


def emit(acme: Organization, event: str) -> str:
    """The id of a new event of `hook`."""
    said = acme.command("emit", "--source", "hook", "--event", event, "--json")
    id: str = json.loads(said.stdout)["event_id"]
    return id


def delivery(acme: Organization, event_id: str, *states: State) -> DeliveryRow:
    """The event's delivery, once it is in one of these states."""

    def look() -> DeliveryRow | None:
        with acme.reader() as reader:
            found = reader.deliveries(Query(event_id=event_id))
        return next((row for row in found if row.state in states), None)

    return wait_for(f"{event_id} to be {' or '.join(states)}", look)


def runs(acme: Organization, *, open_only: bool) -> list[RunRow]:
    with acme.reader() as reader:
        return list(reader.runs(Query(limit=1000), open_only=open_only))


def run_of(acme: Organization, event: str = "work") -> str:
    """The id of a new run, once its agent has spoken."""
    id = delivery(acme, emit(acme, event), State.STARTED).run_id
    assert id is not None
    output = acme.home.runs / id / "stdout"
    wait_for("the agent to speak", lambda: output.exists() and output.read_text())
    return id


class Background:
    """A command that goes on, and what it has said so far."""

    def __init__(self, acme: Organization, name: str, *arguments: str) -> None:
        self._file = acme.root.parent / f"{name}.out"
        with self._file.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orgloop", *arguments],
                cwd=acme.root,
                env=acme.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # Tests that a shell runs in its background ignore Ctrl-C, and so would all that they start.
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            )

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        return self._file.read_text()

    def until(self, what: str, holds: Callable[[str], bool]) -> None:
        wait_for(what, lambda: holds(self.said))


# --- looking --------------------------------------------------------------------------------------


def test_status_shows_what_runs(acme: Organization) -> None:
    run = run_of(acme)
    said = json.loads(acme.command("status", "--json").stdout)
    assert (said["running"], said["answers"], said["httpPort"]) == (True, True, acme.port)
    (module,) = said["modules"]
    assert (module["name"], module["state"], module["routes"]) == ("acme", "active", 7)
    assert said["moduleDirectories"] == {"acme": str(acme.root)}
    nightly = next(source for source in said["sources"] if source["id"] == "nightly")
    assert nightly["next_poll"].endswith(":00.000Z")
    assert run in {one["id"] for one in said["runs"]}
    text = acme.command("status").stdout
    assert text.startswith("● acme  up ")
    assert f"http://127.0.0.1:{acme.port} · pid {said['pid']}" in text
    assert f"begins {run}" in text
    assert "does not run" not in text


def test_status_names_an_actor_that_nobody_answers_for(acme: Organization) -> None:
    delivery(acme, emit(acme, "nobody"), State.PENDING)

    def paused() -> Any:
        said = json.loads(acme.command("status", "--json").stdout)
        return next(actor["pause"] for actor in said["actors"] if actor["id"] == "gone")

    assert wait_for("the pause", paused)["tries"] >= 1
    assert "unavailable" in acme.command("status").stdout
    assert "paused because" in acme.command("inspect", "actor", "gone").stdout


def test_a_daemon_that_hangs_is_told(acme: Organization) -> None:
    assert acme.daemon is not None
    acme.daemon.send_signal(signal.SIGSTOP)
    try:
        said = acme.command("status", check=False)
    finally:
        acme.daemon.send_signal(signal.SIGCONT)
    text = said.stdout
    assert said.returncode == 1
    assert f"● acme  runs (pid {acme.daemon.pid}), but does not answer" in text
    assert "does not answer" in text
    assert f"kill -CONT {acme.daemon.pid}\n" in text


def test_logs_go_on_with_what_happens(acme: Organization) -> None:
    with Background(acme, "logs", "logs", "--follow", "--route", "refused", "-n", "1") as logs:
        # What it has begun with, it has shown once a first record is there.
        emit(acme, "refused")
        logs.until("the first", lambda said: said.count("deliver.failure") == 1)
        emit(acme, "work")
        emit(acme, "refused")
        logs.until("the second", lambda said: said.count("deliver.failure") == 2)
        assert "route=work" not in logs.said
        logs.process.send_signal(signal.SIGINT)
        assert logs.process.wait(60) == 130
    assert "Traceback" not in logs.said


def test_a_chain_is_traced_while_it_goes_on(acme: Organization) -> None:
    run = run_of(acme)
    assert "running" in acme.command("trace", run).stdout
    (acme.root / "open").touch()
    wait_for("the run to end", lambda: not runs(acme, open_only=True))
    text = acme.command("trace", run).stdout
    assert "running" not in text
    assert f"ends {run}" in text


# --- acting ---------------------------------------------------------------------------------------


def test_emit_says_whom_the_event_is_for(acme: Organization) -> None:
    said = acme.command("emit", "--source", "hook", "--event", "work", "--payload", '{"n": 1}').stdout
    assert "it is for agent (work)" in said
    assert "orgloop trace evt_" in said
    noise = acme.command("emit", "--source", "hook", "--event", "noise").stdout
    assert "it is for agent (kept-out): dropped" in noise
    unmatched = acme.command("emit", "--source", "hook", "--event", "unheard-of").stdout
    assert "no route matches it" in unmatched
    assert "orgloop test evt_" in unmatched


def test_emit_takes_a_whole_event_once(acme: Organization) -> None:
    event = {
        "id": "evt_00000000000000aa",
        "source": "hook",
        "type": "resource.changed",
        "provenance": {"platform": "webhook", "platform_event": "unheard-of"},
        "payload": {"n": 1},
    }
    assert "evt_00000000000000aa is accepted" in acme.command("emit", "-", stdin=json.dumps(event)).stdout
    shown = acme.command("inspect", "evt_00000000000000aa", "--json").stdout
    replayed = json.loads(acme.command("emit", "-", "--json", stdin=shown).stdout)
    assert (replayed["duplicate"], replayed["event_id"] == "evt_00000000000000aa") == (False, False)
    again = acme.command("emit", "-", stdin=json.dumps(event)).stdout
    assert "evt_00000000000000aa is already known" in again


def test_an_event_happens_again(acme: Organization) -> None:
    first = emit(acme, "noise")
    would = json.loads(acme.command("replay", first, "--dry-run", "--json").stdout)
    assert [(one["replay_of"], one["event_id"]) for one in would] == [(first, None)]
    said = json.loads(acme.command("replay", first, "--route", "kept-out", "--json").stdout)
    (again,) = [one["event_id"] for one in said]
    assert delivery(acme, again, State.DROPPED).route == "kept-out"
    assert f"replay of {first}" in acme.command("trace", first).stdout
    assert first in acme.command("inspect", again).stdout
    # Of the same content a new event can be made, which is no replay.
    shown = acme.command("inspect", again, "--json").stdout
    assert not json.loads(acme.command("emit", "-", "--json", stdin=shown).stdout)["duplicate"]


def test_many_events_happen_again_only_if_that_is_confirmed(acme: Organization) -> None:
    first = emit(acme, "refused")
    delivery(acme, first, State.DEAD)
    asked = ["replay", "--since", "1h", "--source", "hook", "--route", "refused"]
    refused = acme.command(*asked, "--json", check=False)
    assert (refused.returncode, "--yes" in refused.stdout + refused.stderr) == (1, True)
    said = json.loads(acme.command(*asked, "--yes", "--json").stdout)
    assert first in {one["replay_of"] for one in said}
    again = {one["event_id"] for one in said}
    for id in again:
        delivery(acme, id, State.DEAD)
    # A replay is not replayed with the others.
    would = json.loads(acme.command(*asked, "--dry-run", "--json").stdout)
    assert {one["replay_of"] for one in would}.isdisjoint(again)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([], "--since"),
        (["evt_0"], "evt_0"),
        (["evt_0", "--since", "1h"], "exclude"),
        (["--since", "1h", "--route", "nobodys"], "nobodys"),
        (["--since", "1h", "--source", "nobodys"], "nobodys"),
    ],
)
def test_what_cannot_be_replayed_is_said(given: list[str], named: str, acme: Organization) -> None:
    said = acme.command("replay", *given, check=False)
    assert (said.returncode, named in said.stderr) == (1, True)


WHOLE = {"source": "hook", "provenance": {"platform": "p"}, "payload": {"n": 2}}


@pytest.mark.parametrize(
    ("options", "document", "event"),
    [
        (["--source", "hook"], {"type": "message.received", "payload": {"n": 2}}, None),
        (["--source", "hook", "--event", "unheard-of"], {"payload": {"n": 2}}, "unheard-of"),
        (["--event", "unheard-of"], WHOLE, "unheard-of"),
        (["--source", "hook"], WHOLE, None),
    ],
    ids=str,
)
def test_emits_options_say_what_a_file_leaves_out(
    options: list[str], document: dict[str, Any], event: str | None, acme: Organization
) -> None:
    said = json.loads(acme.command("emit", *options, "-", "--json", stdin=json.dumps(document)).stdout)
    shown = json.loads(acme.command("inspect", said["event_id"], "--json").stdout)["event"]
    assert (shown["source"], shown["payload"]) == ("hook", {"n": 2})
    assert shown["type"] == document.get("type", "resource.changed")
    assert shown["provenance"].get("platform_event") == event


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (["--source", "nobody"], "", "`source` is 'nobody'"),
        (["--source", "hoek"], "", "did you mean `hook`?"),
        (["--source", "hook", "--type", "bogus.type"], "", "--event bogus.type"),
        (["--source", "hook", "--type", "actor.stoped"], "", "did you mean `actor.stopped`?"),
        (["--source", "hook", "--payload", "{pr: 8}"], "", "in double quotes"),
        (["--source", "hook", "--payload", "{'pr': 8}"], "", "in double quotes"),
        (["-"], "{source: hook}", "in double quotes"),
        (["-"], "", "standard input is empty"),
        ([], "", "an event needs a source"),
        (["-"], "{", "standard input is not JSON"),
        (["-"], '{"type": "x", "message": "hello"}', "orgloop emit --source ID --payload"),
        (["--source", "hook", "-"], '{"type": "x"}', "orgloop emit --source hook --payload"),
        (["-"], '{"payload": {}}', "--source"),
        (["-"], "[]", "standard input is not an event: it is not a JSON object"),
        (["-"], "null", "--payload"),
        (["--source", "agents", "-"], '{"source": "hook", "payload": {}}', "leave out --source"),
        (
            ["--event", "b", "-"],
            '{"source": "hook", "provenance": {"platform_event": "a"}}',
            "leave out --event",
        ),
        (["--source", "hook", "--payload", "{}", "-"], '{"payload": {}}', "FILE exclude"),
        (["--source", "hook", "--payload", "{"], "", "--payload is not JSON"),
        (["/nowhere.json"], "", "cannot be read"),
    ],
    ids=str,
)
def test_emit_refuses_what_is_no_event(
    arguments: list[str], stdin: str, says: str, acme: Organization
) -> None:
    said = acme.command("emit", *arguments, stdin=stdin, check=False)
    assert (said.returncode, said.stdout) == (1, "")
    assert says in said.stderr


def test_a_run_is_watched_to_its_end(acme: Organization) -> None:
    run = run_of(acme)
    assert run in acme.command("runs").stdout
    with Background(acme, "tail", "runs", "tail", run) as tail:
        tail.until("its first line", lambda said: f"begins {run}" in said)
        assert f"ends {run}" not in tail.said
        (acme.root / "open").touch()
        assert tail.process.wait(60) == 0
    assert tail.said.startswith(f"begins {run}\nends {run}\n")


def test_a_run_is_stopped_by_the_daemon(acme: Organization) -> None:
    run = run_of(acme)
    assert f"{run} (agent) has ended" in acme.command("runs", "stop", run).stdout
    assert not runs(acme, open_only=True)
    (ended,) = [one for one in runs(acme, open_only=False) if one.id == run]
    assert (ended.outcome, ended.reason) == ("cancelled", "requested")
    assert "has ended already" in acme.command("runs", "stop", run, check=False).stderr


def test_dead_work_is_tried_again_by_the_daemon(acme: Organization) -> None:
    dead = delivery(acme, emit(acme, "refused"), State.DEAD)
    assert dead.id in acme.command("dead").stdout
    again = acme.command("dead", "retry", dead.id, check=False)
    assert again.returncode == 1
    assert f"{dead.id} was queued again, and is dead (rejected) again" in again.stderr
    with acme.reader() as reader:
        steps = reader.steps(Query(delivery_id=dead.id, after=START))
    assert [step.transition for step in steps] == ["rejected", "retried", "rejected"]
    said = json.loads(acme.command("dead", "discard", "--route", "refused", "--yes", "--json").stdout)
    assert dead.id in said["moved"]
    assert not json.loads(acme.command("dead", "--json").stdout)


def test_held_work_is_released_by_the_daemon_once_its_reason_is_gone(acme: Organization) -> None:
    sop = acme.root / "sops/guarded.md"
    text = sop.read_text()
    sop.unlink()
    held = delivery(acme, emit(acme, "guarded"), State.HELD)
    assert held.reason == "no_sop"
    needs = acme.command("status").stdout.split("Needs you")[1]
    assert "orgloop held list --route guarded --reason no_sop" in needs
    assert "none: " in acme.command("held", "show", held.id).stdout
    sop.write_text(text)
    assert "# Guarded work" in acme.command("held", "show", held.id).stdout
    assert acme.command("held", "release", "--reason", "no_sop", "--yes").stdout == f"✓ {held.id} released\n"
    (acme.root / "open").touch()
    delivery(acme, held.event_id, State.DELIVERED)


def test_what_moved_meanwhile_is_told_by_the_daemon(acme: Organization) -> None:
    dead = delivery(acme, emit(acme, "refused"), State.DEAD)
    said = acme.command("held", "release", dead.id, "dlv_00", check=False)
    assert said.returncode == 1
    assert "there is no delivery dlv_00" in said.stderr
    said = acme.command("held", "release", dead.id, check=False)
    assert f"{dead.id} is dead and cannot be released" in said.stderr


# --- hooks ----------------------------------------------------------------------------------------

STOP = {"session_id": "s-1", "cwd": "/srv", "hook_event_name": "Stop", "last_assistant_message": "Done."}


def sessions(acme: Organization) -> list[str]:
    """The sessions of which the source `agents` has heard."""
    with acme.reader() as reader:
        rows = reader.events(Query(source="agents", after=START, limit=1000))
    return [row.document["payload"]["session_id"] for row in rows]


def kept(acme: Organization) -> list[Path]:
    """What is in the spool."""
    return list(acme.home.spool.iterdir())


def hook(acme: Organization, session: str, *options: str) -> subprocess.CompletedProcess[str]:
    return acme.command("hook", *options, stdin=json.dumps(STOP | {"session_id": session}), check=False)


def test_a_hook_reaches_its_source_signed_with_the_projects_own_secret(acme: Organization) -> None:
    said = hook(acme, "signed", "agents-stop")
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    assert "signed" in sessions(acme)
    with acme.reader() as reader:
        (event,) = reader.events(Query(source="agents", limit=1))
    assert event.type == "actor.stopped"
    assert event.document["payload"]["summary"] == "Done."


def test_a_secret_of_its_own_is_used_as_it_is(acme: Organization) -> None:
    acme.environ["MINE"] = "hush"
    assert hook(acme, "mine", "x", "--source", "agents", "--secret-env", "MINE").returncode == 0
    assert "mine" in sessions(acme)
    acme.environ["MINE"] = "wrong"
    said = hook(acme, "wrong", "x", "--source", "agents", "--secret-env", "MINE")
    assert (said.returncode, "Invalid signature" in said.stderr) == (1, True)
    assert "wrong" not in sessions(acme)


def test_a_source_that_is_not_there_is_told(acme: Organization) -> None:
    said = hook(acme, "lost", "claude-code-stop")
    assert (said.returncode, said.stdout) == (1, "")
    assert "unknown source 'claude-code'" in said.stderr
    assert "hook, agents" in said.stderr


def test_what_was_kept_goes_before_what_comes(acme: Organization) -> None:
    content = acme.home.daemon_file.read_bytes()
    acme.home.daemon_file.write_text(json.dumps(json.loads(content) | {"port": 9}))
    try:
        assert hook(acme, "kept", "agents").returncode == 0
    finally:
        acme.home.daemon_file.write_bytes(content)
    assert "kept" not in sessions(acme)
    assert hook(acme, "next", "agents").returncode == 0
    assert sessions(acme)[-2:] == ["kept", "next"]
    assert kept(acme) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process has what open")
@pytest.mark.parametrize("locks", ["/proc/locks", "/nowhere/locks"], ids=["locks are listed", "are not"])
def test_a_daemon_whose_file_is_gone_is_found_by_what_it_holds(
    locks: str, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.journal.lock_owner.LOCKS", Path(locks))
    known = running_daemon(acme.home)
    assert known is not None
    content = acme.home.daemon_file.read_bytes()
    acme.home.daemon_file.unlink()
    try:
        with acme.reader():
            found = running_daemon(acme.home)
        assert found is not None
        assert (found.pid, found.port) == (known.pid, known.port)
    finally:
        acme.home.daemon_file.write_bytes(content)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process has what open")
def test_who_only_reads_a_journal_is_no_daemon(
    acme: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.journal.lock_owner.LOCKS", tmp_path / "none")
    program = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    copy = tmp_path / "home"
    shutil.copytree(acme.home.path, copy)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(copy / "journal.db")], stdin=PIPE, stdout=PIPE
    ) as reading:
        assert reading.stdout is not None
        assert reading.stdout.readline() == b"open\n"
        assert lock_holder(copy) is None
        reading.kill()


def test_what_was_kept_is_taken_by_the_next_daemon(acme: Organization) -> None:
    assert acme.stop() == 0
    assert hook(acme, "over night", "agents").returncode == 0
    assert len(kept(acme)) == 1
    acme.start()
    wait_for("the kept hook", lambda: "over night" in sessions(acme))
    wait_for("the spool to be empty", lambda: not kept(acme))


def test_what_its_transform_drops_after_a_release_is_told_as_dropped(acme: Organization) -> None:
    assert acme.post("hook", {"type": "judged"})[0] == 200

    def held() -> list[DeliveryRow]:
        with acme.reader() as reader:
            return list(reader.deliveries(Query(route="judged", states=(State.HELD,))))

    (row,) = wait_for("the broken transform to hold it", held)
    acme.write({"bin/judge": "#!/bin/sh\necho 'nobody needs this' >&2\nexit 1\n"})
    said = acme.command("held", "release", row.id)
    assert "✓" not in said.stdout
    assert f"{row.id} released, and then dropped: " in said.stderr
    assert "nobody needs this" in said.stderr
