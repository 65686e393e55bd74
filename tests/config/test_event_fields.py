"""What a route reads is held against what its events have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orgloop.config.findings import Code, Finding, Severity
from orgloop.config.load import load_project
from orgloop.connectors.github import connector as github
from orgloop.connectors.github.fields import shapes_for
from orgloop.connectors.github.normalize import normalize
from orgloop.connectors.github.settings import GithubSettings
from orgloop.core.event import event_names
from orgloop.core.event_shape import RUN_SHAPES, EventShape, shapes_of
from orgloop.core.fields import Path as FieldPath
from orgloop.core.fields import quoted_key
from orgloop.core.lifecycle import Phase, RunOutcome
from orgloop.plugin import Completion, Draft, ExitInfo
from orgloop.plugin.registry import Registry
from orgloop.runtime.runs.completion import RunFacts, started, stopped
from tests.connectors.github_bodies import DELIVERIES

HEAD = """\
metadata: {name: test}
sources:
  - {id: github, connector: github, config: {secret: abc}}
  - {id: open, connector: webhook}
  - id: clock
    connector: cron
    config: {schedules: [{name: daily, cron: 0 9 * * *, payload: {team: {a: 1}}}]}
actors:
  - {id: agent, connector: process, config: {command: ["true"]}}
routes:
  - {name: heard, when: {source: github, events: [push]}, then: {actor: agent}}
  - {name: opened, when: {source: open, events: ["*"]}, then: {actor: agent}}
  - {name: ticked, when: {source: clock, events: ["*"]}, then: {actor: agent}}
"""


def findings(root: Path, route: str) -> list[Finding]:
    """What is said of one route."""
    (root / "orgloop.yaml").write_text(f"{HEAD}  - {{name: x, {route}}}\n")
    loaded = load_project(root, Registry.installed(), {})
    return [one for one in loaded.findings if one.code is not Code.CYCLE]


REVIEW = "source: github, events: [pull_request_review]"
TICKED = "source: clock, events: [schedule.daily]"
ENDED = "source: agent, events: [actor.stopped]"


@pytest.mark.parametrize(
    ("when", "filter", "code", "hint"),
    [
        (REVIEW, "payload.review.state: approved", Code.UNKNOWN_PATH, "did you mean `payload.review_state`?"),
        (REVIEW, "payload.review_state: request_changes", Code.UNKNOWN_VALUE, "changes_requested"),
        (REVIEW, "payload.review_state: [approved, aproved]", Code.UNKNOWN_VALUE, "did you mean `approved`?"),
        (REVIEW, "payload.pr_number: '42'", Code.UNKNOWN_VALUE, "write 42 without quotes"),
        (REVIEW, "provenance.author_type: human", Code.UNKNOWN_VALUE, "team_member"),
        (REVIEW, "provenance.pr_merged: 'true'", Code.UNKNOWN_VALUE, "write true without quotes"),
        (REVIEW, "payload.pr_title: 42", Code.UNKNOWN_VALUE, "put it in quotes"),
        (REVIEW, "provenance.pr_nubmer: 42", Code.UNKNOWN_PATH, "did you mean `provenance.pr_number`?"),
        (REVIEW, "payload.pr_title: fix*", Code.DOUBTFUL_VALUE, "transform `filter`"),
        (REVIEW, "payload.pr_title: /^fix/i", Code.DOUBTFUL_VALUE, "regular expressions"),
        (REVIEW, "payload.pr_title: '!wip'", Code.DOUBTFUL_VALUE, "exclude"),
        (REVIEW, "payload.pr_title: '*'", Code.DOUBTFUL_VALUE, "remove the line"),
        (REVIEW, "payload.pr_title: “wip”", Code.DOUBTFUL_VALUE, "straight quotes"),
        (REVIEW, "payload.pr_number: '> 3'", Code.DOUBTFUL_VALUE, "jq"),
        ("source: open, events: [a]", "payload.branch: feature/*", Code.DOUBTFUL_VALUE, "feature"),
        ("source: github, events: [issues.opened]", "provenance.pr_number: 1", Code.UNKNOWN_PATH, "it has: "),
        (ENDED, "payload.result.status: ok", Code.UNKNOWN_PATH, "payload.result.text"),
        (ENDED, "payload.lifecycle.outcome: failed", Code.UNKNOWN_VALUE, "failure"),
        (ENDED, "payload.lifecycle.phase: started", Code.UNKNOWN_VALUE, "completed"),
        (
            "source: clock, events: [schedule.daily]",
            "payload.name: daily",
            Code.UNKNOWN_PATH,
            "payload.schedule",
        ),
        (TICKED, "payload.schedule: dailly", Code.UNKNOWN_VALUE, "daily"),
    ],
)
def test_what_never_comes_is_warned_of_at_its_line(
    when: str, filter: str, code: Code, hint: str, tmp_path: Path
) -> None:
    (found,) = findings(tmp_path, f"when: {{{when}, filter: {{{filter}}}}}, then: {{actor: agent}}")
    assert (found.code, found.severity, found.line) == (code, Severity.WARNING, 14)
    assert hint in found.hint


@pytest.mark.parametrize(
    ("when", "filter"),
    [
        (REVIEW, "payload.review_state: [approved, changes_requested], provenance.labels.0: bug"),
        (REVIEW, "payload.pr_number: 42, provenance.pr_merged: false, hops: 0, type: resource.changed"),
        ("source: github, events: ['*']", "payload.review.state: approved"),
        ("source: github, events: [pull_request]", "payload.pull_request.title: a"),
        ("source: github, events: [push]", "payload.ref: refs/heads/main"),
        ("source: open, events: [a]", "payload.anything.at.all: 1"),
        (ENDED, "payload.result.json.decision: done, payload.lifecycle.outcome: success"),
        ("source: agent, events: [session.started]", "payload.lifecycle.phase: started"),
        ("source: clock, events: [schedule.daily]", "payload.team.a: 1, payload.missed: 0"),
    ],
)
def test_what_may_come_is_not_doubted(when: str, filter: str, tmp_path: Path) -> None:
    assert findings(tmp_path, f"when: {{{when}, filter: {{{filter}}}}}, then: {{actor: agent}}") == []


@pytest.mark.parametrize(
    ("more", "code", "severity"),
    [
        (
            "then: {actor: agent, config: {session_key: 'x:{{provenance.pr_nr}}'}}",
            Code.UNKNOWN_PATH,
            Severity.ERROR,
        ),
        (
            "transforms: [{ref: dedup, config: {key: provenance.nope}}], then: {actor: agent}",
            Code.UNKNOWN_PATH,
            Severity.ERROR,
        ),
        # Other events of the source have it: this route's wakes are on their own, and that is told.
        (
            "then: {actor: agent, config: {session_key: 'x:{{provenance.pr_number}}'}}",
            Code.UNKNOWN_PATH,
            Severity.WARNING,
        ),
        (
            "transforms: [{ref: filter, config: {match: {payload.issue.title: a}}}], then: {actor: agent}",
            Code.UNKNOWN_PATH,
            Severity.WARNING,
        ),
    ],
)
def test_a_key_that_never_has_a_value_is_refused(
    more: str, code: Code, severity: Severity, tmp_path: Path
) -> None:
    (found,) = findings(tmp_path, f"when: {{source: github, events: [issues.opened]}}, {more}")
    assert (found.code, found.severity) == (code, severity)


def test_what_a_step_may_have_changed_is_not_doubted(tmp_path: Path) -> None:
    text = (
        "when: {source: github, events: [issues.opened]}, "
        "transforms: [{ref: enrich, config: {set: {payload.a: 1}}}, {ref: dedup, config: {key: payload.a}}], "
        "then: {actor: agent, config: {session_key: 'x:{{payload.a}}'}}"
    )
    assert findings(tmp_path, text) == []


def test_typographic_quotes_in_events_are_warned_of(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "when: {source: github, events: [“push”]}, then: {actor: agent}")
    assert (found.code, found.line) == (Code.EVENT_MISMATCH, 14)
    assert "straight quotes" in found.hint


def leaves(node: Any, path: str) -> list[tuple[str, Any]]:
    """Every value with its path; a list is a value."""
    if isinstance(node, Mapping) and node:
        return [leaf for key, value in node.items() for leaf in leaves(value, f"{path}.{quoted_key(key)}")]
    return [(path, node)]


def undeclared(draft: Draft, shapes: Sequence[EventShape]) -> list[str]:
    """The fields and values of an event that no shape of its name allows."""
    names = event_names(draft.type, draft.provenance)
    matching = shapes_of(names[1:], shapes)
    assert matching, names
    found = [*leaves(draft.provenance, "provenance"), *leaves(draft.payload, "payload")]
    return [path for path, value in found if not any(shape.has(FieldPath.parse(path)) for shape in matching)]


@pytest.mark.parametrize("name", DELIVERIES)
def test_every_event_of_github_has_the_fields_that_are_declared(name: str) -> None:
    event, body = DELIVERIES[name]
    assert undeclared(normalize(event, body), shapes_for(GithubSettings())) == []


def test_the_example_of_github_has_the_fields_that_are_declared() -> None:
    assert github.source is not None
    example = github.source.example or {}
    draft = Draft(provenance=example["provenance"], payload=example["payload"], type=example["type"])
    assert undeclared(draft, shapes_for(GithubSettings())) == []


def test_the_events_of_a_run_have_the_fields_that_are_declared() -> None:
    run = RunFacts(
        run_id="run_1",
        delivery_id="dlv_1",
        route="r",
        actor="a",
        harness="h",
        session_id="s",
        cwd="/",
        started_at="2026-01-05T10:00:00.000Z",
    )
    completion = Completion(
        phase=Phase.FAILED,
        outcome=RunOutcome.FAILURE,
        reason="exit_code_1",
        text="t",
        json={"a": {"b": 1}},
        cost_usd=1.0,
        tokens={"input": 1},
        turns=1,
        models={"m": {"cost": 1}},
        denied_tools=["Bash"],
    )
    exit = ExitInfo(status=1, stopped=None, stdout="", stderr="", duration_s=1.5)
    ended = stopped(run, completion, exit, "2026-01-05T10:00:00.000Z", {"head": "a"})
    assert undeclared(started(run), RUN_SHAPES) == []
    assert undeclared(ended, RUN_SHAPES) == []
