"""What a route reads is held against what its events have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orgloop.config.findings import Code, Finding, Severity
from orgloop.config.load import load_project
from orgloop.connectors.github import connector as github
from orgloop.connectors.github.events.normalize import normalize
from orgloop.connectors.github.fields import shapes_for
from orgloop.connectors.github.settings import GithubSettings
from orgloop.core.events.event import event_names
from orgloop.core.events.fields import Path as FieldPath
from orgloop.core.events.fields import quoted_key
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.core.events.shape import RUN_SHAPES, EventShape, shapes_of
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


def findings(root: Path, route: str, head: str = HEAD) -> list[Finding]:
    """What is said of one route."""
    (root / "orgloop.yaml").write_text(f"{head}  - {{name: x, {route}}}\n")
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


OPENED = "source: github, events: [issues.opened]"
MIXED = "source: github, events: [issues.opened, pull_request.opened]"
ANY = "source: open, events: ['*']"


def keyed(key: str) -> str:
    return f"then: {{actor: agent, config: {{session_key: '{key}'}}}}"


def deduped(key: str) -> str:
    return f"transforms: [{{ref: dedup, config: {{key: {key}}}}}], then: {{actor: agent}}"


@pytest.mark.parametrize(
    ("when", "more", "named"),
    [
        # No event of the source has it.
        (OPENED, keyed("x:{{provenance.pr_nr}}"), "provenance.pr_nr"),
        (OPENED, "then: {actor: agent, config: {thread_id: '{{provenance.nope}}'}}", "thread_id"),
        (OPENED, "then: {actor: agent, config: {sticky: 'a {{provenance.nope}}'}}", "name of a comment"),
        (OPENED, deduped("provenance.nope"), "provenance.nope"),
        (OPENED, "then: {actor: agent, batch: {key: '{{provenance.nope}}'}}", "batch key"),
        (OPENED, deduped("[id, provenance.nope]"), "provenance.nope"),
        # Other events of the source have it, but none of the route's.
        (OPENED, keyed("x:{{provenance.pr_number}}"), "issues.opened"),
        (OPENED, deduped("provenance.pr_number"), "issues.opened"),
        (OPENED, keyed("{{provenance.pr_number ?? provenance.pr_nr}}"), "session_key"),
        (OPENED, keyed('{{provenance.pr_number ?? ""}}'), "session_key"),
        (ENDED, keyed("{{provenance.pr_number}}"), "provenance.pr_number"),
        (TICKED, keyed("{{payload.pr}}"), "payload.pr"),
        (ANY, keyed("{{provenance.pr_number}}"), "provenance.pr_number"),
        (ANY, keyed("{{pr_number}}"), "payload.pr_number"),
        (ANY, deduped("pr_number"), "payload.pr_number"),
        (ANY, deduped("payloads.id"), "payload.id"),
    ],
)
def test_a_key_that_never_has_a_value_is_refused(when: str, more: str, named: str, tmp_path: Path) -> None:
    (found,) = findings(tmp_path, f"when: {{{when}}}, {more}")
    assert (found.code, found.severity, found.line) == (Code.UNKNOWN_PATH, Severity.ERROR, 14)
    assert named in f"{found.message} {found.hint}"


@pytest.mark.parametrize(
    ("more", "key"),
    [(keyed("x:{{provenance.pr_number}}"), "session_key"), (deduped("provenance.pr_number"), "key")],
)
def test_a_key_that_some_events_of_the_route_never_have_is_warned_of(
    more: str, key: str, tmp_path: Path
) -> None:
    (found,) = findings(tmp_path, f"when: {{{MIXED}}}, {more}")
    assert (found.code, found.severity) == (Code.UNKNOWN_PATH, Severity.WARNING)
    assert f"no {key}" in found.message
    assert "issues.opened" in found.message
    assert "pull_request" not in found.message


@pytest.mark.parametrize(
    "route",
    [
        f"when: {{{MIXED}}}, {keyed('{{provenance.pr_number ?? provenance.issue_number}}')}",
        f"when: {{{OPENED}}}, {keyed('{{provenance.pr_number ?? provenance.issue_number}}')}",
        f"when: {{{OPENED}}}, {keyed('{{provenance.issue_number}}')}",
        f"when: {{{MIXED}, filter: {{provenance.pr_author: ada}}}}, {keyed('{{provenance.pr_number}}')}",
        f"when: {{{ANY}}}, {keyed('{{payload.anything}}-{{id}}-{{provenance.platform_event}}')}",
        f"when: {{{TICKED}}}, {keyed('{{payload.schedule}}')}",
    ],
)
def test_a_key_that_all_events_may_have_is_not_doubted(route: str, tmp_path: Path) -> None:
    assert [one for one in findings(tmp_path, route) if one.severity is Severity.ERROR] == []
    assert "no session_key" not in str(findings(tmp_path, route))


def filtered(rules: str) -> str:
    return f"transforms: [{{ref: filter, config: {{{rules}}}}}], then: {{actor: agent}}"


@pytest.mark.parametrize(
    ("when", "rules", "code", "hint"),
    [
        (REVIEW, "match: {payload.review.state: approved}", Code.UNKNOWN_PATH, "payload.review_state"),
        (REVIEW, "match: {payload.review_state: request_changes}", Code.UNKNOWN_VALUE, "changes_requested"),
        (REVIEW, "match: {payload.review_state: 'approved, aproved'}", Code.UNKNOWN_VALUE, "approved"),
        (REVIEW, "exclude: {provenance.author_type: [bot, human]}", Code.UNKNOWN_VALUE, "team_member"),
        (REVIEW, "match_any: {payload.pr_number: '42'}", Code.UNKNOWN_VALUE, "without quotes"),
        (REVIEW, "match: {payload.review_state: approved|commented}", Code.DOUBTFUL_VALUE, "[approved, comm"),
        (REVIEW, "match: {payload.pr_title: '~fix'}", Code.DOUBTFUL_VALUE, "/fix/"),
        (REVIEW, "match: {payload.pr_title: '^fix'}", Code.DOUBTFUL_VALUE, "/^fix/"),
        (REVIEW, "match: {payload.pr_title: 'fix*'}", Code.DOUBTFUL_VALUE, "regular expression"),
        (REVIEW, "exclude: {payload.pr_title: '!wip'}", Code.DOUBTFUL_VALUE, "without the sign"),
        (REVIEW, "match: {payload.pr_title: “wip”}", Code.DOUBTFUL_VALUE, "straight quotes"),
        (REVIEW, "match: {payload.pr_number: '> 3'}", Code.DOUBTFUL_VALUE, "jq"),
        (TICKED, "match: {payload.schedule: dailly}", Code.UNKNOWN_VALUE, "daily"),
        (ENDED, "match: {payload.lifecycle.outcome: failed}", Code.UNKNOWN_VALUE, "failure"),
        (ANY, "match: {provenance.author_type: bot}", Code.UNKNOWN_VALUE, "unknown"),
        (OPENED, "match: {payload.issue.title: a}", Code.UNKNOWN_PATH, "payload.issue_title"),
    ],
)
def test_the_values_of_a_filter_are_held_against_those_that_come(
    when: str, rules: str, code: Code, hint: str, tmp_path: Path
) -> None:
    (found,) = findings(tmp_path, f"when: {{{when}}}, {filtered(rules)}")
    assert (found.code, found.severity, found.line) == (code, Severity.WARNING, 14)
    assert hint in found.hint


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        ("source: open, events: [deploy.done]", "write `payload.service`"),
        (ANY, "write `payload.service`"),
    ],
)
def test_a_hint_for_a_path_names_only_places_that_the_source_can_have(
    when: str, hint: str, tmp_path: Path
) -> None:
    (found,) = findings(tmp_path, f"when: {{{when}, filter: {{service: billing}}}}, then: {{actor: agent}}")
    assert (found.code, found.severity, found.hint) == (Code.UNKNOWN_PATH, Severity.ERROR, hint)


@pytest.mark.parametrize(
    ("path", "severity", "hint"),
    [
        ("payloud.action", Severity.ERROR, "did you mean `payload.action`?"),
        ("body.action", Severity.ERROR, "`payload.body.action`"),
        ("data.id", Severity.ERROR, "`payload.data.id`"),
        ("action", Severity.ERROR, "`payload.action`"),
        ("headers.x", Severity.ERROR, "`payload.headers.x`"),
        # As older files write fields of `provenance`.
        ("platform_event", Severity.WARNING, "`provenance.platform_event`"),
        ("repo", Severity.WARNING, "`provenance.repo`"),
    ],
)
@pytest.mark.parametrize("place", ["when", "match", "exclude", "match_any"])
def test_a_filter_on_a_root_that_no_event_has_is_an_error(
    place: str, path: str, severity: Severity, hint: str, tmp_path: Path
) -> None:
    rules = f"{{{path}: one}}"
    if place == "when":
        route = f"when: {{{REVIEW}, filter: {rules}}}, then: {{actor: agent}}"
    else:
        route = f"when: {{{REVIEW}}}, {filtered(f'{place}: {rules}')}"
    (found,) = findings(tmp_path, route)
    assert (found.code, found.severity) == (Code.UNKNOWN_PATH, severity)
    assert hint in found.hint


@pytest.mark.parametrize("rules", ["match: {body.action: null}", "exclude: {body.action: /^$/}"])
def test_a_root_that_no_event_has_is_no_error_where_nothing_is_wanted(rules: str, tmp_path: Path) -> None:
    (found,) = findings(tmp_path, f"when: {{{REVIEW}}}, {filtered(rules)}")
    assert (found.code, found.severity) == (Code.UNKNOWN_PATH, Severity.WARNING)


@pytest.mark.parametrize(
    "rules",
    [
        "match: {payload.review_state: 'approved, commented', payload.pr_title: /^fix|wip$/i}",
        "match: {payload.review_body: null}",
        "exclude: {provenance.author_type: [bot, /^team/], payload.pr_number: 12345678901234567890123}",
        "match: {payload.pr_title: 'a, b'}",
    ],
)
def test_a_filter_on_what_may_come_is_not_doubted(rules: str, tmp_path: Path) -> None:
    assert findings(tmp_path, f"when: {{{REVIEW}}}, {filtered(rules)}") == []


def test_a_value_of_a_defined_transform_is_told_where_it_is_defined(tmp_path: Path) -> None:
    text = f"""when: {{{REVIEW}}}, transforms: [mine], then: {{actor: agent}}}}
transforms:
  - name: mine
    type: filter
    config:
      match:
        payload.review_state: aproved
#{{"""
    (found,) = findings(tmp_path, text)
    assert (found.code, found.line, found.column) == (Code.UNKNOWN_VALUE, 20, 31)


def test_placeholders_of_prompts_and_of_what_an_actor_gets_are_held_against_the_fields(
    tmp_path: Path,
) -> None:
    (tmp_path / "sop.md").write_text("---\nrender: true\n---\n\n# {{id}}: {{ payload.review.state }}\n")
    route = (
        "then: {actor: agent, config: {text: '{{provenance.pr_nubmer ?? 0}}'}}, with: {prompt_file: sop.md}"
    )
    found = findings(tmp_path, f"when: {{{REVIEW}}}, {route}")
    assert [(one.code, one.file, one.line) for one in found] == [
        (Code.UNKNOWN_PATH, "orgloop.yaml", 14),
        (Code.UNKNOWN_PATH, "sop.md", 5),
    ]
    assert (found[1].column, found[1].hint) == (11, "did you mean `payload.review_state`?")


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


BATCH = "source: open, events: [a]"
KEYS = {
    "session_key": "config: {session_key: %s}",
    "batch": "batch: {window: 2m, key: %s}",
    "drop_when": "drop_when: {source: open, events: [b], key: %s}",
}


@pytest.mark.parametrize("place", KEYS)
@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("{{payload.n}", "{{ payload.n }}"),
        ("x-{{ payload.n", "{{ payload.n }}"),
        ("{payload.n}", "{{ payload.n }}"),
        ("$payload.n", "{{ payload.n }}"),
        ("<%= payload.n %>", "{{ payload.n }}"),
        ("[[ payload.n ]]", "{{ payload.n }}"),
        ("#{provenance.repo}", "{{ provenance.repo }}"),
        ("{{{payload.n}}}", "{{ payload.n }}"),
    ],
)
def test_what_is_no_placeholder_here_is_told_wherever_a_key_is_written(
    place: str, text: str, instead: str, tmp_path: Path
) -> None:
    written = KEYS[place] % f"'{text}'"
    found = findings(tmp_path, f"when: {{{BATCH}}}, then: {{actor: agent, {written}}}")
    assert [(one.code, one.severity, one.hint) for one in found if one.code is Code.DOUBTFUL_VALUE] == [
        (Code.DOUBTFUL_VALUE, Severity.WARNING, f"write `{instead}`")
    ]


@pytest.mark.parametrize(
    "text",
    ["x {y} $z {{payload.n}}", "{{payload.n}}-{{payload.m}}", "{ {{payload.n}} }", "a {{b} {{payload.n}}"],
)
def test_other_braces_are_text(text: str, tmp_path: Path) -> None:
    route = f"when: {{{BATCH}}}, then: {{actor: agent, config: {{session_key: '{text}'}}}}"
    assert findings(tmp_path, route) == []


@pytest.mark.parametrize("place", KEYS)
def test_a_key_that_its_events_never_have_is_refused_wherever_it_stands(place: str, tmp_path: Path) -> None:
    key = '"{{payload.nope}}"'
    written = KEYS[place].replace("source: open, events: [b]", "events: [pull_request.closed]") % key
    found = findings(tmp_path, f"when: {{{REVIEW}}}, then: {{actor: agent, {written}}}")
    assert {(one.code, one.severity) for one in found} == {(Code.UNKNOWN_PATH, Severity.ERROR)}


@pytest.mark.parametrize(
    ("later", "refused"), [("pull_request.closed", False), ("issues.opened", True), ("issues.labeled", True)]
)
def test_the_event_that_drops_must_have_the_key_of_what_it_drops(
    later: str, refused: bool, tmp_path: Path
) -> None:
    key = "{{provenance.pr_number}}"
    then = f'actor: agent, config: {{session_key: "{key}"}}, drop_when: {{events: [{later}]}}'
    found = findings(tmp_path, f"when: {{{REVIEW}}}, then: {{{then}}}")
    assert [(one.code, one.severity) for one in found] == [(Code.UNKNOWN_PATH, Severity.ERROR)] * refused


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("'\"payload.n\"'", "write `payload.n` without quotes"),
        ("this.payload.n", "write `payload.n`"),
        ("event.data.payload.n", "write `payload.n`"),
    ],
)
def test_a_path_with_more_around_it_is_told_without(path: str, hint: str, tmp_path: Path) -> None:
    text = path.strip("'")
    route = f"when: {{{BATCH}}}, then: {{actor: agent, config: {{session_key: '{{{{{text}}}}}'}}}}"
    found = findings(tmp_path, route)
    assert [hint.removeprefix("write ") in one.hint for one in found] == [True]


OTHERS = {
    "folder": "{id: folder, connector: files, config: {directory: ., events: [created]}}",
    "feed": "{id: feed, connector: http, config: {url: 'http://127.0.0.1:9/a', id: id}}",
    "sessions": "{id: sessions, connector: coding-agent}",
}


def named(root: Path, source: str, name: str) -> list[Finding]:
    """What is said of a route that names these events of a source."""
    route = f"when: {{source: {source}, events: ['{name}']}}, then: {{actor: agent}}"
    head = HEAD
    if source in OTHERS:
        head = head.replace("actors:\n", f"  - {OTHERS[source]}\nactors:\n")
    return findings(root, route, head)


@pytest.mark.parametrize(
    ("source", "name", "hint"),
    [
        ("clock", "schedule.dayly", "did you mean `schedule.daily`?"),
        ("clock", "schedul.daily", "did you mean `schedule.daily`?"),
        ("clock", "daily", "did you mean `schedule.daily`?"),
        ("clock", "schedule.nightly", "it emits resource.changed, schedule.daily"),
        ("clock", "schedule.week*", "it emits resource.changed, schedule.daily"),
        ("clock", "actor.stopped", "it emits resource.changed, schedule.daily"),
        ("agent", "actor.finished", "session.completed"),
        ("agent", "completed", "did you mean `session.completed`?"),
        ("agent", "actor.stoped", "did you mean `actor.stopped`?"),
        ("agent", "run.*", "it emits actor.stopped"),
        ("folder", "file.removed", "it emits resource.changed, file.created"),
        ("folder", "file.deleted", "it emits resource.changed, file.created"),
        ("feed", "item.removed", "item.created"),
        ("sessions", "session.ended", "session.completed"),
    ],
)
def test_a_name_that_is_none_of_a_closed_set_is_warned_of(
    source: str, name: str, hint: str, tmp_path: Path
) -> None:
    (found,) = named(tmp_path, source, name)
    assert (found.code, found.severity) == (Code.EVENT_MISMATCH, Severity.WARNING)
    assert hint in found.hint


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("clock", "schedule.daily"),
        ("clock", "resource.changed"),
        ("clock", "sched*"),
        ("clock", "*"),
        ("agent", "session.*"),
        ("agent", "session.failed"),
        ("folder", "file.created"),
        ("feed", "item.changed"),
        ("sessions", "subagent.stopped"),
        ("github", "deployment.created"),
        ("open", "anything.at.all"),
    ],
)
def test_a_name_that_may_come_is_not_warned_of(source: str, name: str, tmp_path: Path) -> None:
    assert named(tmp_path, source, name) == []


@pytest.mark.parametrize("written", ["pr:${payload.pr}", "pr:${event.payload.pr}"])
def test_another_tools_placeholder_in_a_key_has_one_finding_with_ours(written: str, tmp_path: Path) -> None:
    route = (
        f"when: {{source: open, events: [a]}}, then: {{actor: agent, config: {{session_key: '{written}'}}}}"
    )
    (found,) = findings(tmp_path, route)
    assert (found.code, found.severity) == (Code.BAD_VARIABLE, Severity.ERROR)
    assert "`{{ payload.pr }}`" in found.hint


@pytest.mark.parametrize(
    ("head", "hint"),
    [
        (HEAD.replace("connector: cron", "connector: crom"), "did you mean 'cron'?"),
        (HEAD.replace("source: clock", "source: clack"), "did you mean `clock`?"),
        (HEAD.replace("actor: agent", "actor: agint", 1), "did you mean `agent`?"),
        (HEAD.replace("events: [push]", "events: push"), "put it in brackets: [push]"),
    ],
    ids=["connector", "source", "actor", "events"],
)
def test_a_slip_in_a_short_name_is_told_with_the_name(head: str, hint: str, tmp_path: Path) -> None:
    found = findings(tmp_path, "when: {source: open, events: [a]}, then: {actor: agent}", head)
    assert hint in [one.hint for one in found]
