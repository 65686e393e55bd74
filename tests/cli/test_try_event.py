"""`orgloop test`: the verdict is the engine's own, and nothing happens."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orgloop.cli.exits import Exit
from orgloop.core.events.document import FILLED, parse_event
from orgloop.errors import NotFound
from orgloop.operations.dry_run.examples import example_of
from orgloop.plugin import Connector
from orgloop.plugin.registry import Registry
from tests.cli.conftest import Orgloop
from tests.cli.story import a_few, tell, write_project

PROJECT = """\
apiVersion: orgloop/v1alpha1
kind: Project
metadata: {name: acme}
transforms:
  - {name: shout, type: script, script: shout.sh}
sources:
  - {id: ci, connector: webhook}
  - {id: gh, connector: github}
  - {id: safe, connector: webhook, config: {secret: hush}}
  - {id: clock, connector: cron, config: {schedules: [{name: hourly, cron: "0 * * * *"}]}}
actors:
  - {id: fixer, connector: process, config: {command: [sh, -c, "touch WOKEN"]}}
  - {id: chat, connector: webhook, config: {url: "https://chat.example/hook"}}
routes:
  - name: broken-build
    when: {source: ci, events: [build.finished], filter: {payload.ok: false, payload.branch: [main, release]}}
    transforms: [{ref: dedup, config: {key: payload.build, window: 10m}}]
    then: {actor: fixer, config: {session_key: "build:{{payload.branch}}", model: "m-{{payload.build}}"}}
    with: {prompt_file: fix.md}
  - name: tell
    when: {source: ci, events: [resource.changed]}
    transforms: [shout]
    then: {actor: chat}
  - name: quiet
    when: {source: ci, events: ["*"]}
    transforms: [{ref: filter, config: {exclude: {payload.branch: main}}}]
    then: {actor: chat}
  - name: reviews
    when: {source: gh, events: [pull_request_review]}
    then: {actor: fixer}
  - name: done
    when: {source: fixer, events: [actor.stopped], filter: {payload.result.json.decision: done}}
    then: {actor: chat}
"""

FAILED = {
    "source": "ci",
    "provenance": {"platform": "webhook", "platform_event": "build.finished"},
    "payload": {"ok": False, "branch": "main", "build": 7},
}


@pytest.fixture
def project(place: Path) -> Path:
    (place / "orgloop.yaml").write_text(PROJECT)
    (place / "fix.md").write_text("---\nrender: true\n---\nFix build {{payload.build}}.\n")
    script = place / "shout.sh"
    script.write_text('#!/bin/sh\nsed \'s/"branch":"main"/"branch":"MAIN"/\'\n')
    script.chmod(0o755)
    return place


def trial(orgloop: Orgloop, event: Any, *options: str) -> dict[str, Any]:
    said = orgloop("test", "-", "--json", *options, stdin=json.dumps(event))
    assert said.code == Exit.OK, said.err
    return {one["route"]: one for one in said.json["routes"]}


def test_a_match_is_explained_to_its_end(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("test", stdin=json.dumps(FAILED))
    assert said.code == Exit.OK
    assert "✓ broken-build wakes fixer" in said.out
    assert "✓ payload.ok is false" in said.out
    assert '✓ payload.branch is "main"' in said.out
    assert "dedup passes it, unless " in said.out
    assert "first with its key in 10m" in said.out
    assert "key     build:main" in said.out
    assert 'config  model: "m-7"' in said.out
    assert "sop     fix.md" in said.out
    assert "filled in: id, timestamp, trace_id" in said.out
    assert not (project / "WOKEN").exists()


def test_the_prompt_is_the_one_that_would_be_sent(orgloop: Orgloop, project: Path) -> None:
    assert "Fix build 7." not in orgloop("test", stdin=json.dumps(FAILED)).out
    said = orgloop("test", "--prompt", stdin=json.dumps(FAILED))
    assert "│ Fix build 7." in said.out
    assert "│ <orgloop-event id=" in said.out
    routes = trial(orgloop, FAILED)
    assert routes["broken-build"]["prompt"].startswith("Fix build 7.\n")
    assert routes["tell"]["prompt"] == "", "an actor that only hands over reads no prompt"


def test_transforms_run_for_real(orgloop: Orgloop, project: Path) -> None:
    routes = trial(orgloop, FAILED)
    assert routes["tell"]["end"] == "wake"
    assert routes["tell"]["changed"]["payload"]["branch"] == "MAIN"
    assert [step["result"] for step in routes["tell"]["transforms"]] == ["change"]
    assert routes["quiet"]["end"] == "drop"
    assert "payload.branch" in routes["quiet"]["reason"]


def test_a_route_that_does_not_match_says_which_condition_failed(orgloop: Orgloop, project: Path) -> None:
    event = {**FAILED, "payload": {"ok": "false"}}
    said = orgloop("test", "--route", "broken-build", stdin=json.dumps(event))
    assert "✗ broken-build does not match" in said.out
    assert '✗ payload.ok is "false"; the filter wants false' in said.out
    assert '✗ payload.branch is missing; the filter wants "main" or "release"' in said.out
    assert "no route matches" in said.err

    (line,) = [
        one for one in trial(orgloop, event)["broken-build"]["conditions"] if one["what"] == "payload.branch"
    ]
    assert line == {"what": "payload.branch", "expected": ["main", "release"], "holds": False}


def test_names_are_told_if_none_of_them_is_meant(orgloop: Orgloop, project: Path) -> None:
    said = orgloop(
        "test",
        stdin='{"source": "gh", "provenance": {"platform": "webhook", "platform_event": "issue.opened"}}',
    )
    words = " ".join(said.out.split())
    assert "✗ reviews does not match: it listens to pull_request_review; the names of" in words


def test_many_routes_for_other_events_are_one_line(orgloop: Orgloop, project: Path) -> None:
    more = [
        f"  - {{name: other{number}, when: {{source: gh, events: [deployment]}}, then: {{actor: chat}}}}"
        for number in range(30)
    ]
    file = project / "orgloop.yaml"
    file.write_text(file.read_text().replace("\nroutes:\n", "\nroutes:\n" + "\n".join(more) + "\n"))
    event = '{"source": "gh", "provenance": {"platform": "webhook", "platform_event": "issue.opened"}}'
    said = orgloop("test", stdin=event).out
    assert "and 23 more listen to other events" in " ".join(said.split())
    assert len(said.splitlines()) < 20
    assert "✗ other7 does not match" in orgloop("test", "-v", stdin=event).out


def test_many_routes_whose_filter_fails_are_counted(orgloop: Orgloop, project: Path) -> None:
    when = "source: gh, events: ['*'], filter: {payload.n: "
    more = [f"  - {{name: no{n}, when: {{{when}{n}}}}}, then: {{actor: chat}}}}" for n in range(30)]
    file = project / "orgloop.yaml"
    file.write_text(file.read_text().replace("\nroutes:\n", "\nroutes:\n" + "\n".join(more) + "\n"))
    event = '{"source": "gh", "provenance": {"platform": "webhook", "platform_event": "issue.opened"}}'
    said = orgloop("test", stdin=event).out
    assert said.count("does not match: payload.n is missing; the filter wants") == 10
    assert re.search(r"2\d more routes do not match; --verbose shows why", said)
    assert orgloop("test", "-v", stdin=event).out.count("payload.n is missing") == 30


def test_routes_of_other_sources_are_only_counted(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("test", stdin=json.dumps(FAILED))
    assert "2 routes listen to other sources" in said.out
    assert "reviews" not in said.out
    assert "✗ reviews does not match" in orgloop("test", "-v", stdin=json.dumps(FAILED)).out


def test_trust_is_part_of_the_verdict(orgloop: Orgloop, project: Path) -> None:
    review = {
        "source": "gh",
        "provenance": {
            "platform": "webhook",
            "native_event": "pull_request_review",
            "author_type": "external",
        },
    }
    routes = trial(orgloop, review)
    assert (routes["reviews"]["end"], routes["reviews"]["reason"][:9]) == ("hold", "untrusted")
    review["provenance"]["author_type"] = "team_member"  # type: ignore[index]
    assert trial(orgloop, review)["reviews"]["end"] == "wake"


def test_a_missing_sop_would_hold_the_wake(orgloop: Orgloop, project: Path) -> None:
    (project / "fix.md").unlink()
    said = orgloop("test", stdin=json.dumps(FAILED))
    assert said.code == Exit.FAILED
    assert "missing-sop" in said.err


@pytest.mark.parametrize(
    ("connector", "source", "matches"),
    [
        ("github", "gh", 1),
        ("webhook", "ci", 2),
        ("cron", "clock", 0),
        ("claude-code", "claude-code", 0),
        ("process", "fixer", 1),
    ],
)
def test_an_example_can_be_tried_at_once(
    connector: str, source: str, matches: int, orgloop: Orgloop, project: Path
) -> None:
    example = orgloop("test", "--generate", connector)
    assert example.code == Exit.OK
    assert example.json["source"] == source
    said = orgloop("test", "-", "--json", stdin=example.out)
    assert said.code == Exit.OK
    assert said.json["matched_routes"] == matches
    assert said.json["filled"] == ["id", "timestamp", "trace_id"]


EMITTING = [
    one
    for one in Registry.installed().connectors()
    if one.source is not None or (one.actor is not None and one.actor.has_runs is not None)
]


@pytest.mark.parametrize("connector", EMITTING, ids=lambda one: one.name)
def test_everything_that_emits_has_an_example_that_can_be_put_in(
    connector: Connector, orgloop: Orgloop
) -> None:
    said = orgloop("test", "--generate", connector.name)
    assert said.code == Exit.OK
    ids = {"id": "evt_1", "trace_id": "trc_1", "timestamp": "2026-01-05T10:00:00Z"}
    assert parse_event(said.json, ids, {connector.name}).filled == list(FILLED)
    assert said.json["source"] == connector.name


def test_what_emits_nothing_has_no_example() -> None:
    silent = Connector(name="pager", title="A pager")
    with pytest.raises(NotFound, match="pager has no example") as refused:
        example_of(Registry.installed(), silent, None)
    assert "claude-code" in refused.value.hint
    assert "process" in refused.value.hint


BODY = json.dumps({"type": "build.finished", "ok": False, "branch": "main", "build": 7})


def test_batches_what_its_key_is_busy_with_and_what_it_would_drop_are_told(
    orgloop: Orgloop, project: Path
) -> None:
    file = project / "orgloop.yaml"
    said = [
        "batch: {key: '{{payload.build}}', window: 30s}",
        "on_busy: skip",
        "drop_when: {source: ci, events: [build.finished], key: 'b{{payload.build}}'}",
    ]
    more = "".join(
        f"  - {{name: r{number}, when: {{source: ci, events: ['*']}}, then: {{actor: fixer, {one}}}}}\n"
        for number, one in enumerate(said)
    )
    file.write_text(file.read_text() + more)
    routes = trial(orgloop, FAILED)
    assert routes["r0"]["batch"] == {
        "key": "7",
        "window_ms": 30_000,
        "max_wait_ms": 150_000,
        "max_events": 50,
    }
    assert [routes[f"r{number}"]["on_busy"] for number in range(3)] == ["queue", "skip", "queue"]
    shown = orgloop("test", "-", stdin=json.dumps(FAILED)).out
    assert "30s after the last event" in shown
    assert "r2 drops waiting deliveries with the key b7" in shown


def test_a_request_is_translated_by_its_source(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("test", "-", "--source", "ci", "--json", stdin=BODY).json
    assert said["event"]["provenance"]["platform_event"] == "build.finished"
    assert said["event"]["payload"]["build"] == 7
    assert {one["route"]: one.get("end") for one in said["routes"]}["broken-build"] == "wake"


def test_a_request_is_signed_with_the_secret_of_its_source(orgloop: Orgloop, project: Path) -> None:
    assert orgloop("test", "-", "--source", "safe", stdin=BODY).code == Exit.OK
    said = orgloop("test", "-", "--source", "safe", "-H", "X-Signature: sha256=00", stdin=BODY)
    assert said.code == Exit.FAILED
    assert "safe answers 401" in said.err


def test_the_headers_of_a_request_reach_its_source(orgloop: Orgloop, project: Path) -> None:
    headers = ["-H", "X-GitHub-Event: pull_request_review", "-H", "X-GitHub-Delivery: 1"]
    said = orgloop("test", "-", "--source", "gh", *headers, stdin='{"action": "submitted"}')
    assert "pull_request_review.submitted" in said.out


def test_a_request_that_is_no_event_says_what_its_sender_hears(orgloop: Orgloop, project: Path) -> None:
    headers = ["-H", "X-GitHub-Event: ping", "-H", "X-GitHub-Delivery: 1"]
    said = orgloop("test", "-", "--source", "gh", *headers, stdin='{"zen": "Keep it simple"}')
    assert said.code == Exit.OK
    assert "creates no event" in said.err
    assert "Keep it simple" in said.err
    assert orgloop("test", "-", "--source", "gh", "--json", *headers, stdin="{}").json == []


def test_a_body_without_its_source_is_told_how_to_name_it(orgloop: Orgloop, project: Path) -> None:
    assert "orgloop test FILE --source ID" in orgloop("test", "-", stdin=BODY).err


def test_an_event_of_the_past_is_tried_with_the_files_as_they_are_now(
    orgloop: Orgloop, place: Path, home: Path
) -> None:
    write_project(place)
    tell(home, partial(a_few, root=place))
    said = orgloop("test", "evt_0000000000000002", "--json").json
    assert (said["event"]["id"], said["filled"]) == ("evt_0000000000000002", [])
    assert [one["route"] for one in said["routes"] if one["matched"]] == ["pr-review"]
    assert "there is no event evt_00000000000000ff" in orgloop("test", "evt_00000000000000ff").err


def test_the_past_of_an_event_is_kept(orgloop: Orgloop, project: Path) -> None:
    event = {**FAILED, "parents": ["evt_1"], "hops": 3}
    said = orgloop("test", "--json", stdin=json.dumps(event)).json["event"]
    assert (said["parents"], said["hops"]) == (["evt_1"], 3)


def test_an_example_needs_no_project(orgloop: Orgloop) -> None:
    assert orgloop("test", "--generate", "github").json["source"] == "github"


def test_what_an_event_has_is_kept(orgloop: Orgloop, project: Path) -> None:
    event = {**FAILED, "id": "evt_1", "trace_id": "trc_1", "timestamp": "2026-01-05T10:00:00.000Z"}
    said = orgloop("test", "--json", stdin=json.dumps(event)).json
    assert said["filled"] == []
    assert said["event"]["id"] == "evt_1"


def test_an_event_comes_from_a_file_too(orgloop: Orgloop, project: Path) -> None:
    (project / "e.json").write_text(json.dumps(FAILED))
    assert orgloop("test", "e.json").out.count("✓ broken-build") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("", "standard input is empty"),
        (" \n", "standard input is empty"),
        ("[]", "not a JSON object"),
        ("{}", "there are: "),
        ('{"source": 5}', "`source` is not text"),
        ('{"source": "ci", "type": 3}', "`type` is 3"),
        ('{"source": "ci", "type": "actor.stopped", "provenance": []}', "`provenance` is not an object"),
        ("\xff", "is not JSON"),
        ('{"source": "ci", "type": "foo"}', "`type` is 'foo'"),
    ],
)
def test_what_is_no_event_is_refused(content: str, says: str, orgloop: Orgloop, project: Path) -> None:
    said = orgloop("test", stdin=content.encode("latin-1"))
    assert said.code == Exit.FAILED
    assert says in said.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["missing.json"], "missing.json cannot be read"),
        (["--route", "broken-buidl"], "did you mean `broken-build`?"),
        (["evt_0000000000000001"], "there is no journal"),
        (["--source", "cii"], "unknown source 'cii'"),
        (["--source", "clock"], "sources that accept webhooks: ci, gh, safe"),
        (["--source", "gh"], "gh answers 400: Missing X-GitHub-Event header"),
        (["--source", "ci", "-H", "nothing"], "'nothing' is not a header"),
        (["-H", "a: b"], "headers belong to a request"),
        (["--generate", "githup"], "'github'"),
    ],
    ids=str,
)
def test_what_is_not_there_is_named(options: list[str], says: str, orgloop: Orgloop, project: Path) -> None:
    said = orgloop("test", *options, stdin=json.dumps(FAILED))
    assert said.code == Exit.FAILED
    assert says in said.err
