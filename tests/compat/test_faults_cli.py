"""What the commands tell is true, complete, and holds no secret; real daemons."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from orgloop.project.home import Home
from tests.compat.living import signed
from tests.e2e.organization import Organization, wait_for
from tests.e2e.sink import Sink

SECRETS = {
    "SOURCE_SECRET": "s0urce-secret-value",
    "TARGET_SECRET": "t4rget-secret-value",
    "BEARER": "b3arer-token-value",
    "HEADER": "h3ader-value-of-its-own",
}

PROJECT = """\
metadata: {name: watched}
sources:
  - {id: hooks, connector: webhook, config: {secret: "${SOURCE_SECRET}"}}
actors:
  - id: target
    connector: webhook
    config:
      url: "${SINK}/ok"
      secret: "${TARGET_SECRET}"
      auth: {type: bearer, token: "${BEARER}"}
      headers: {X-Api-Key: "${HEADER}", X-Literal: literal-header-value}
transforms:
  - {name: no-bots, type: filter, config: {exclude: {payload.by: bot}}}
routes:
  - name: tell
    when: {source: hooks, events: ["*"]}
    transforms: [no-bots]
    then: {actor: target}
loggers:
  - {name: own, type: file, config: {path: ./own/place.log, rotation: {max_size: 1KB, max_files: 2}}}
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organization]:
    """An organization with secrets in every place that takes one, at work."""
    folder = tmp_path_factory.mktemp("watched")
    (root := folder / "org").mkdir()
    made = Organization(root=root, home=Home(folder / "home"))
    with Sink() as sink:
        made.environ = SECRETS | {"SINK": sink.url}
        made.write({"orgloop.yaml": PROJECT})
        made.start()
        yield made
        made.stop()


def send(organization: Organization, by: str) -> str:
    """An event that is through; its id."""
    body = json.dumps({"type": "note", "by": by}).encode()
    status, answer = organization.post("hooks", body, signed(body, SECRETS["SOURCE_SECRET"]))
    assert status == 200, answer

    def done() -> bool:
        with organization.reader() as reader:
            rows = reader.deliveries(Query(event_id=answer["event_id"]))
        return all(row.state in (State.DELIVERED, State.DROPPED) for row in rows) and bool(rows)

    wait_for("the delivery", done)
    event: str = answer["event_id"]
    return event


def test_no_command_prints_a_secret(watched: Organization) -> None:
    event = send(watched, "ann")
    commands = [
        ("validate", "--json"),
        ("plan", "--json"),
        ("plan",),
        ("routes", "--json"),
        ("env",),
        ("env", "--json"),
        ("doctor", "--json"),
        ("doctor",),
        ("status", "--json"),
        ("inspect", "source", "hooks"),
        ("inspect", "source", "hooks", "--json"),
        ("inspect", "actor", "target"),
        ("inspect", "actor", "target", "--json"),
        ("inspect", "route", "tell", "--json"),
        ("inspect", event, "--json"),
        ("trace", event, "--json"),
        ("deliveries", "--json"),
        ("events", "--json"),
        ("logs", "--no-follow", "--json"),
        ("schema",),
    ]
    for command in commands:
        done = watched.command(*command, check=False)
        told = done.stdout + done.stderr
        assert told.strip(), command
        for secret in (*SECRETS.values(), "literal-header-value"):
            assert secret not in told, (command, secret)
    kept = b"".join(path.read_bytes() for path in watched.home.path.rglob("*") if path.is_file())
    for secret in (*SECRETS.values(), "literal-header-value"):
        assert secret.encode() not in kept, secret


def test_logs_find_what_was_dropped_and_why_whatever_files_are_written(watched: Organization) -> None:
    passed, dropped = send(watched, "ann"), send(watched, "bot")
    for _ in range(8):
        send(watched, "ann")
    place = watched.root / "own"
    wait_for("a rotated file", lambda: len(list(place.glob("place.log.*"))) > 0)
    lines = watched.command("logs", "--no-follow", "--format", "json", "--result", "drop").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert {one["event_id"] for one in found} == {dropped}
    assert any("payload.by" in json.dumps(one) for one in found)
    assert all(one["source"] == "hooks" for one in found)
    story = watched.command("logs", "--event", passed, "--format", "json").stdout.splitlines()
    phases = [json.loads(line)["phase"] for line in story]
    assert phases[0] == "source.emit"
    assert "transform.pass" in phases
    assert phases[-1] == "deliver.success"
    assert len([phase for phase in phases if phase.startswith("transform.")]) == 1


def test_what_came_by_webhook_is_counted_and_named(watched: Organization) -> None:
    def counted() -> int:
        said = json.loads(watched.command("inspect", "source", "hooks", "--json").stdout)
        count: int = said["statistics"]["events"]
        return count

    before = counted()
    send(watched, "ann")
    send(watched, "bot")
    assert counted() == before + 2
    (event, *_) = json.loads(watched.command("events", "--json").stdout)
    assert (event["source"], event["type"]) == ("hooks", "resource.changed")
