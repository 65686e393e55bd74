"""Doubts about a project as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.config.findings import Code, Finding, Severity
from orgloop.config.load import load_project
from orgloop.plugin.registry import Registry
from tests.config.project import HEAD, ROUTES, codes, load, of, only, write
from tests.support.repository import commit, new_repository

AGENTS = """\
metadata: {name: agents}
sources: [{id: start, connector: webhook}]
actors:
  - {id: a, connector: claude-code, config: {cwd: .}}
  - {id: b, connector: claude-code, config: {cwd: .}}
  - {id: c, connector: process, config: {command: x}}
  - {id: tell, connector: webhook, config: {url: "https://example.com"}}
routes:
  - {name: begin, when: {source: start, events: [go]}, then: {actor: a}}
  - {name: report, when: {source: a, events: [actor.stopped]}, then: {actor: tell}}
"""


def hop(source: str, actor: str, *, events: str = "actor.stopped", more: str = "", then: str = "") -> str:
    name = f"{source}-{actor}"
    when = f"{{source: {source}, events: ['{events}']{more}}}"
    return f"  - {{name: {name}, when: {when}, then: {{actor: {actor}{then}}}}}\n"


def circles(root: Path, *hops: str) -> list[str]:
    loaded = load(root, AGENTS + "".join(hops))
    return [finding.message for finding in loaded.findings if finding.code is Code.CYCLE]


def test_what_nothing_uses_is_told_where_it_is_named(tmp_path: Path) -> None:
    text = HEAD + "transforms: [{name: spare, type: filter}]\n"
    loaded = load(tmp_path, text)
    assert codes(loaded) == [
        Code.DEAD_SOURCE,
        Code.DEAD_SOURCE,
        Code.UNREACHABLE_ACTOR,
        Code.UNREACHABLE_ACTOR,
        Code.UNUSED_TRANSFORM,
    ]
    assert {finding.severity for finding in loaded.findings} == {Severity.WARNING}
    assert loaded.organization is not None
    assert (loaded.findings[0].line, loaded.findings[0].column) == (3, 10)


def test_a_project_that_uses_everything_has_no_doubts(tmp_path: Path) -> None:
    assert codes(load(tmp_path, HEAD + ROUTES)) == []


def test_an_actor_that_wakes_itself_for_ever_is_doubted(tmp_path: Path) -> None:
    assert circles(tmp_path, hop("a", "a")) == ["route 'a-a': actors wake each other in a circle: a → a"]


def test_a_circle_of_three_is_told_once_with_its_way(tmp_path: Path) -> None:
    (told,) = circles(tmp_path, hop("a", "b"), hop("b", "c"), hop("c", "a"))
    assert told.endswith("a → b → c → a")


def test_a_circle_within_a_circle_is_told_once(tmp_path: Path) -> None:
    assert len(circles(tmp_path, hop("a", "b"), hop("b", "c"), hop("c", "a"), hop("c", "b"))) == 1


def test_two_circles_are_told_apart(tmp_path: Path) -> None:
    assert len(circles(tmp_path, hop("a", "b"), hop("b", "a"), hop("c", "c"))) == 2


@pytest.mark.parametrize("events", ["*", "actor.*", "session.failed", "session.started", "resource.changed"])
def test_every_event_of_a_run_can_close_a_circle(events: str, tmp_path: Path) -> None:
    assert len(circles(tmp_path, hop("a", "a", events=events))) == 1


@pytest.mark.parametrize(
    ("more", "then"),
    [
        (", filter: {payload.result.json.decision: again}", ""),
        (", filter: {payload.lifecycle.outcome: [failure]}", ""),
        ("", ", limits: {runs: 1}"),
    ],
)
def test_a_filter_on_the_result_or_a_limit_ends_a_circle(more: str, then: str, tmp_path: Path) -> None:
    assert circles(tmp_path, hop("a", "b"), hop("b", "a", more=more, then=then)) == []


def test_a_filter_on_anything_else_does_not(tmp_path: Path) -> None:
    assert len(circles(tmp_path, hop("a", "a", more=", filter: {provenance.platform: claude-code}"))) == 1


def test_a_transform_of_the_route_that_looks_at_the_result_ends_a_circle(tmp_path: Path) -> None:
    jq = "{ref: filter, config: {jq: '.payload.result.json.done | not'}}"
    text = f"  - {{name: x, when: {{source: a, events: ['*']}}, then: {{actor: a}}, transforms: [{jq}]}}\n"
    assert circles(tmp_path, text) == []


def tried(root: Path, steps: str, source: str = "github") -> list[tuple[str, int | None]]:
    text = f"""\
metadata: {{name: tried}}
sources: [{{id: start, connector: {source}}}]
actors: [{{id: tell, connector: webhook, config: {{url: "https://example.com"}}}}]
routes:
  - name: only
    when: {{source: start, events: [resource.changed]}}
    then: {{actor: tell}}
    transforms:
{steps}
"""
    loaded = load_project(write(root, {"orgloop.yaml": text}), Registry.installed(), {})
    return [
        (finding.hint or "", finding.line)
        for finding in loaded.findings
        if finding.code is Code.FAILS_ON_EXAMPLE
    ]


JQ = '.payload.labels | any(.name == "needs-review")'
RECIPE = f"{{ref: filter, config: {{jq: '{JQ}'}}}}"


def test_a_jq_program_that_fails_on_the_example_is_doubted_at_its_line(tmp_path: Path) -> None:
    [(hint, line)] = tried(tmp_path, f"      - {{ref: dedup}}\n      - {RECIPE}")
    assert line == 10
    assert "are dropped" in hint
    [(hint, _)] = tried(tmp_path, f"      - {{ref: filter, config: {{jq: '{JQ}'}}, on_error: hold}}")
    assert "are held" in hint


@pytest.mark.parametrize(
    "steps",
    [
        """{ref: filter, config: {jq: '.provenance.labels | any(. == "x")'}}""",
        # What a step before it writes, or does not let through, counts.
        "{ref: enrich, config: {set: {payload.labels: []}}}\n      - " + RECIPE,
        "{ref: filter, config: {match: {type: x}}}\n      - " + RECIPE,
    ],
)
def test_a_jq_program_that_can_work_is_not_doubted(steps: str, tmp_path: Path) -> None:
    assert tried(tmp_path, f"      - {steps}") == []


def test_where_senders_decide_how_events_look_nothing_is_tried(tmp_path: Path) -> None:
    assert tried(tmp_path, f"      - {RECIPE}", "webhook") == []


def test_a_line_of_actors_is_no_circle(tmp_path: Path) -> None:
    assert circles(tmp_path, hop("a", "b"), hop("b", "c"), hop("a", "c"), hop("c", "tell")) == []


def test_names_with_a_spelling_mistake_of_a_canonical_one_are_doubted(tmp_path: Path) -> None:
    finding = of(load(tmp_path, AGENTS + hop("a", "b", events="actor.stoped")), Code.EVENT_MISMATCH)
    assert finding.hint == "did you mean `actor.stopped`?"


def test_a_slip_in_a_name_that_the_connector_knows_is_doubted_with_the_name(tmp_path: Path) -> None:
    text = HEAD + ROUTES.replace("[pull_request_review]", "[push, pull_request.reopend, deployment.created]")
    finding = of(load(tmp_path, text), Code.EVENT_MISMATCH)
    assert finding.message == "route 'work': 'github' never emits 'pull_request.reopend'"
    assert finding.hint == "did you mean `pull_request.reopened`?"
    assert finding.path == "routes.0.when.events.1"


def test_what_a_source_says_it_emits_counts_more_than_what_its_connector_can(tmp_path: Path) -> None:
    text = HEAD.replace("connector: webhook}", "connector: webhook, emits: [message.received]}") + ROUTES
    text = text.replace("events: ['*']", "events: [resource.changed]").replace('["*"]', "[resource.changed]")
    assert only(load(tmp_path, text)).code is Code.EVENT_MISMATCH


@pytest.mark.parametrize("section", ["connectors", "transforms", "routes"])
def test_a_file_that_cannot_be_read_causes_no_second_finding(section: str, tmp_path: Path) -> None:
    text = HEAD + f"{section}: [nowhere.yaml]\n"
    if section != "routes":
        text += """\
routes:
  - {name: one, when: {source: github, events: [a]}, then: {actor: agent}}
  - {name: two, when: {source: hooks, events: [a]}, then: {actor: tell}}
  - {name: three, when: {source: github, events: [a]}, then: {actor: agent}, transforms: [@]}
"""
        text = text.replace("[@]", "[elsewhere]" if section == "transforms" else "[]")
        if section == "connectors":
            text += "  - {name: four, when: {source: elsewhere, events: [a]}, then: {actor: elsewhere}}\n"
    assert codes(load(tmp_path, text)) == [Code.MISSING_FILE]


CLOCK = """\
metadata: {name: clock}
sources:
  - id: clock
    connector: cron
    config: {schedules: [{name: often, cron: "40"}, {name: seldom, cron: "1"}, {name: odd, cron: "@daily"}]}
actors:
  - {id: agent, connector: process, config: {command: x}}
  - {id: tell, connector: webhook, config: {url: "https://example.com"}}
routes:
  - {name: one, when: {source: clock, events: [schedule.often]}, then: {actor: agent}}
  - {name: two, when: {source: clock, events: [SECOND]MORE}, then: {actor: ACTOR}}
"""


def budget(root: Path, second: str, *, more: str = "", actor: str = "agent", defaults: str = "") -> list[str]:
    text = CLOCK.replace("SECOND", second).replace("MORE", more).replace("ACTOR", actor)
    text = text.replace(', {name: odd, cron: "@daily"}', "") + defaults
    return [finding.message for finding in load(root, text).findings if finding.code is Code.OVER_BUDGET]


@pytest.mark.parametrize("second", ["schedule.often", "'*'", "resource.changed"])
def test_schedules_that_alone_use_up_the_hours_budget_are_told_with_both_numbers(
    second: str, tmp_path: Path
) -> None:
    runs = 80 if second == "schedule.often" else 81
    (message,) = budget(tmp_path, second)
    assert message.startswith(f"the schedules of 'clock' start up to {runs} runs in an hour")
    assert "`defaults.budget.runs_per_hour` is 60" in message


def test_schedules_within_the_budget_are_not_doubted(tmp_path: Path) -> None:
    assert budget(tmp_path, "schedule.seldom") == []
    assert budget(tmp_path, "schedule.often", actor="tell") == []
    assert budget(tmp_path, "schedule.often", more=", filter: {payload.schedule: often}") == []
    assert budget(tmp_path, "schedule.often", defaults="defaults: {budget: {runs_per_hour: 81}}\n") == []
    assert budget(tmp_path, "schedule.often", defaults="defaults: {budget: {runs_per_hour: null}}\n") == []


def test_a_source_that_cannot_say_how_often_it_comes_is_not_doubted(tmp_path: Path) -> None:
    text = CLOCK.replace("SECOND", "x").replace("MORE", "").replace("ACTOR", "tell")
    assert codes(load(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("one", "other", "doubted"),
    [
        ("same", "same", True),
        ("same", "' same '", True),
        ("same", "[new, same]", True),
        ("same", "other", False),
    ],
)
def test_two_sources_with_one_secret_are_doubted(one: str, other: str, doubted: bool, tmp_path: Path) -> None:
    text = (
        "metadata: {name: two}\nsources:\n"
        f"  - {{id: a, connector: webhook, config: {{secret: {one}}}}}\n"
        f"  - {{id: b, connector: webhook, config: {{secret: {other}}}}}\n"
    )
    told = [f.message for f in load(tmp_path, text).findings if "secret of source 'a'" in f.message]
    assert (len(told) == 1) == doubted
    assert not any("same" in message for message in told)


def shared(root: Path, actors: str, defaults: str = "{}") -> list[tuple[str, int | None]]:
    return [(finding.message, finding.line) for finding in shared_trees(root, actors, defaults)]


def shared_trees(root: Path, actors: str, defaults: str = "{}") -> list[Finding]:
    text = f"""\
metadata: {{name: shared}}
defaults: {defaults}
sources: [{{id: hook, connector: webhook}}]
actors:
{actors}
routes:
  - {{name: one, when: {{source: hook, events: [a]}}, then: {{actor: one}}}}
"""
    loaded = load_project(write(root, {"orgloop.yaml": text}), Registry.installed(), {})
    return [finding for finding in loaded.findings if finding.code is Code.SHARED_TREE]


def worker(id: str, cwd: str, more: str = "", limits: str = "") -> str:
    return f"  - {{id: {id}, connector: process, config: {{command: 'true', cwd: {cwd}{more}}}{limits}}}\n"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "api").mkdir()
    (tmp_path / "other").mkdir()
    return tmp_path


def test_actors_that_share_a_work_tree_are_told_to_run_one_by_one(repo: Path) -> None:
    actors = worker("one", "repo") + worker("two", "repo/api") + worker("three", "other")
    [(message, line)] = shared(repo, actors)
    assert "'one' and 'two'" in message
    assert "three" not in message
    assert line == 6


def test_a_shared_work_tree_is_told_with_the_setting_that_helps_and_its_actor(tmp_path: Path) -> None:
    app = new_repository(tmp_path / "app")
    (app / "new").mkdir()
    (tmp_path / "plain").mkdir()
    commit(app, "api/file")

    def hint(cwd: str, *others: str, limits: str = "") -> str:
        actors = worker("one", cwd, limits=limits) + "".join(worker(other, cwd) for other in others)
        [finding] = shared_trees(tmp_path, actors)
        return finding.hint

    assert hint("app", "two").startswith("add `worktree: {}` to the `config` of 'two', ")
    assert "'two' and 'three'" in hint("app/api", "two", "three")
    for cwd in ("app/new", "plain"):
        assert "worktree" not in hint(cwd, "two")
        assert "set `overlap: true` in the `config` of 'two'" in hint(cwd, "two")
        assert "give it another `cwd`" in hint(cwd, "two")
    assert "overlap: true" in hint("app", "two")
    assert "add `worktree: {}` to the `config` of 'one'" in hint("app", limits=", limits: {runs: 2}")
    assert "set `overlap: true`" in hint("plain", limits=", limits: {runs: 2}")
    assert "worktree" not in hint("app/new", limits=", limits: {runs: 2}")


@pytest.mark.parametrize(
    ("actors", "defaults"),
    [
        (worker("one", "repo") + worker("two", "other"), "{}"),
        (worker("one", "repo") + worker("two", "repo", ", overlap: true"), "{}"),
        (worker("one", "repo") + worker("two", "repo"), "{limits: {runs: 1}}"),
        (worker("one", "repo", limits=", limits: {runs: 1}"), "{}"),
        (worker("one", "repo", ", worktree: {}") + worker("two", "repo"), "{}"),
        (worker("one", "repo", ", worktree: {per: run}", ", limits: {runs: 2}"), "{}"),
        (worker("one", "repo", ", overlap: true", ", limits: {runs: 2}"), "{}"),
    ],
)
def test_where_runs_do_not_meet_nothing_is_said_of_trees(repo: Path, actors: str, defaults: str) -> None:
    assert shared(repo, actors, defaults) == []


def test_more_runs_than_a_work_tree_takes_are_doubted(repo: Path) -> None:
    [(message, _)] = shared(repo, worker("one", "repo", limits=", limits: {runs: 2}"))
    assert "one at a time" in message


@pytest.mark.parametrize("connector", ["process", "claude-code"])
def test_a_directory_has_no_placeholder(tmp_path: Path, connector: str) -> None:
    command = "command: 'true', " if connector == "process" else ""
    text = f"""\
metadata: {{name: tried}}
sources: [{{id: hook, connector: webhook}}]
actors: [{{id: one, connector: {connector}, config: {{{command}cwd: "repos/{{{{payload.repo}}}}"}}}}]
routes: [{{name: one, when: {{source: hook, events: [a]}}, then: {{actor: one}}}}]
"""
    loaded = load_project(write(tmp_path, {"orgloop.yaml": text}), Registry.installed(), {})
    [error] = loaded.errors
    assert "one directory for all runs" in error.message
    assert error.path.endswith("cwd")


def test_an_actor_that_cannot_overlap_is_not_told_to(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    agent = "  - {id: two, connector: claude-code, config: {cwd: plain}}\n"
    [finding] = shared_trees(tmp_path, worker("one", "plain") + agent)
    assert finding.hint == "give 'two' another `cwd`"
