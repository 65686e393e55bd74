"""Loading: files found and missing, defaults laid over each other, and what comes back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orgloop.config.findings import Code
from orgloop.config.load import load_or_raise, load_project
from orgloop.errors import ConfigError
from tests.config.doubles import registry
from tests.config.project import HEAD, ROUTES, VARIABLES, codes, load, of, only, sound, write


def test_a_directory_without_a_project_says_what_to_type(tmp_path: Path) -> None:
    finding = only(load_project(tmp_path, registry(), {}))
    assert finding.code is Code.NO_PROJECT
    assert str(tmp_path) in finding.message
    assert "orgloop init" in finding.hint
    assert "--config" in finding.hint
    with pytest.raises(ConfigError, match="orgloop init") as caught:
        load_or_raise(tmp_path, registry(), {})
    assert caught.value.findings[0].code is Code.NO_PROJECT


def test_a_misspelt_file_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, {"orgloop.yaml": HEAD})
    assert "`orgloop.yaml`" in only(load_project(tmp_path / "orglop.yaml", registry(), {})).hint


@pytest.mark.parametrize("name", ["orgloop.yaml", "orgloop.yml"])
def test_a_project_is_named_by_its_directory_or_its_file(name: str, tmp_path: Path) -> None:
    write(tmp_path, {name: HEAD + ROUTES})
    for path in (tmp_path, tmp_path / name):
        organization = sound(load_project(path, registry(), VARIABLES))
        assert (organization.root, organization.file) == (tmp_path, tmp_path / name)


@pytest.mark.parametrize("name", [".", ".env", "orgloop.yaml", "more.yaml"])
def test_what_every_user_may_change_is_warned_of(name: str, tmp_path: Path) -> None:
    files = {"orgloop.yaml": HEAD + "routes: [more.yaml]\n", "more.yaml": ROUTES, ".env": "A=1\n"}
    write(tmp_path, files)
    for path in (tmp_path, *(tmp_path / one for one in files)):
        path.chmod(0o775)
    before = load_project(tmp_path, registry(), VARIABLES)
    (tmp_path / name).chmod(0o777)
    after = load_project(tmp_path, registry(), VARIABLES)
    (finding,) = [one for one in after.findings if one not in before.findings]
    assert (finding.code, finding.file) == (Code.OPEN_FILE, name)
    assert f"chmod o-w {tmp_path / name}" in finding.hint


def test_the_second_of_two_project_files_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES, "orgloop.yml": HEAD})
    finding = only(load_project(tmp_path, registry(), VARIABLES))
    assert (finding.code, finding.file) == (Code.IGNORED_FILE, "orgloop.yml")
    assert finding.message == "orgloop.yml is not read: the project is orgloop.yaml beside it"
    (tmp_path / "orgloop.yml").unlink()
    (tmp_path / "orgloop.yml").symlink_to("orgloop.yaml")
    assert codes(load_project(tmp_path, registry(), VARIABLES)) == []


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "here", {"orgloop.yaml": HEAD + ROUTES})
    monkeypatch.chdir(tmp_path / "here")
    for path in (Path(), Path("../here/orgloop.yaml")):
        assert sound(load_project(path, registry(), VARIABLES)).file == tmp_path / "here/orgloop.yaml"


def test_a_file_of_another_name_is_a_project_too(tmp_path: Path) -> None:
    write(tmp_path, {"staging.yaml": HEAD + ROUTES})
    assert sound(load_project(tmp_path / "staging.yaml", registry(), VARIABLES)).name == "test"


def test_load_or_raise_gives_the_organization_or_every_error(tmp_path: Path) -> None:
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES})
    assert load_or_raise(tmp_path, registry(), VARIABLES).name == "test"
    with pytest.raises(ConfigError) as caught:
        load_or_raise(tmp_path, registry(), {})
    assert str(caught.value).startswith("orgloop.yaml:3:64: the variable GITHUB_TOKEN is not set\n")
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES + "loger: []\nrouts: []\n"})
    with pytest.raises(ConfigError) as caught:
        load_or_raise(tmp_path, registry(), VARIABLES)
    assert [finding.code for finding in caught.value.findings] == [Code.UNKNOWN_KEY] * 2
    assert str(caught.value).count("[unknown-key]") == 2


ONE = "routes: [{{name: {name}, when: {{source: hooks, events: [{event}]}}, then: {{actor: tell}}}}]\n"


def test_one_broken_file_takes_nothing_else_away(tmp_path: Path) -> None:
    """A broken route file neither vanishes in silence nor hides the files that come after it."""
    files = {
        "orgloop.yaml": HEAD + ROUTES,
        "routes/a.yaml": "routes: [\n",
        "routes/b.yaml": ONE.format(name="b", event="'${UNSET}'"),
        "routes/c.yaml": ONE.format(name="c", event="x"),
    }
    loaded = load(tmp_path, files)
    assert [(one.file, one.code) for one in loaded.findings] == [
        ("routes/a.yaml", Code.YAML_SYNTAX),
        ("routes/b.yaml", Code.MISSING_VARIABLE),
    ]
    assert loaded.organization is None
    assert loaded.sound is not None
    assert [route.name for route in loaded.sound.routes] == ["work", "notice", "b", "c"]


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("nowhere.yaml", Code.MISSING_FILE),
        ("sub", Code.MISSING_FILE),
        ("'a\\0b'", Code.MISSING_FILE),
        ('"\\0"', Code.MISSING_FILE),
        ("''", Code.MISSING_FILE),
        ("~nobody-of-this-name/x.yaml", Code.MISSING_FILE),
        ("orgloop.yaml", Code.DUPLICATE_FILE),
        ("5", Code.WRONG_TYPE),
        ("null", Code.WRONG_TYPE),
        ("[a]", Code.WRONG_TYPE),
        ("{id: x, connector: webhook}", Code.WRONG_TYPE),
    ],
)
def test_an_entry_that_is_no_file_is_told_where_it_stands(entry: str, code: Code, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    finding = only(load(tmp_path, HEAD + ROUTES + f"connectors: [{entry}]\n"))
    assert (finding.code, finding.path) == (code, "connectors.0")
    assert finding.hint


def test_a_directory_in_place_of_a_file_has_files_to_name(tmp_path: Path) -> None:
    (tmp_path / "connectors").mkdir()
    assert only(load(tmp_path, HEAD + ROUTES + "connectors: [connectors]\n")).hint == "name the files in it"


def test_files_may_lie_outside_the_project(tmp_path: Path) -> None:
    files = {
        "project/orgloop.yaml": HEAD + f"routes: ['{tmp_path}/shared/r.yaml', ../shared/q.yaml]\n",
        "shared/r.yaml": ROUTES,
        "shared/q.yaml": "routes: [{name: q, when: {source: hooks, events: [a]}, then: {actor: nobody}}]\n",
    }
    write(tmp_path, files)
    loaded = load_project(tmp_path / "project", registry(), VARIABLES)
    assert of(loaded, Code.UNKNOWN_ACTOR).file == str(tmp_path / "shared/q.yaml")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ("sources: [{id: a, connector: webhook}, {id: a, connector: webhook}]", Code.DUPLICATE_NAME),
        ("actors: [{id: a, connector: process}, {id: a, connector: webhook}]", Code.DUPLICATE_NAME),
        ("transforms: [{name: a, type: filter}, {name: a, type: dedup}]", Code.DUPLICATE_NAME),
        ("loggers: [{name: a, type: file}, {name: a, type: console}]", Code.DUPLICATE_NAME),
        ("sources: [{id: 'a b', connector: webhook}]", Code.BAD_NAME),
        ("sources: [{id: a/b, connector: webhook}]", Code.BAD_NAME),
        ("sources: [{id: .., connector: webhook}]", Code.BAD_NAME),
        ("sources: [{id: '', connector: webhook}]", Code.BAD_NAME),
        ('loggers: [{name: "a\\nb", type: file}]', Code.BAD_NAME),
        ("metadata: {name: ' x'}", Code.BAD_NAME),
        ("metadata: {}", Code.MISSING_KEY),
    ],
)
def test_names_are_unique_and_can_be_written_anywhere(names: str, code: Code, tmp_path: Path) -> None:
    assert code in codes(load(tmp_path, names + "\n"))


def test_the_second_of_two_routes_with_one_name_is_told_with_the_place_of_the_first(tmp_path: Path) -> None:
    files = {"orgloop.yaml": HEAD + ROUTES, "routes/again.yaml": ROUTES}
    loaded = load(tmp_path, files)
    assert [(one.code, one.file) for one in loaded.findings] == [
        (Code.DUPLICATE_NAME, "routes/again.yaml")
    ] * 2
    assert "first in orgloop.yaml:9:11" in loaded.findings[0].message


def test_an_id_may_be_a_source_and_an_actor(tmp_path: Path) -> None:
    text = HEAD + ROUTES + "    transforms: []\n"
    text = text.replace("id: agent", "id: github").replace("actor: agent", "actor: github")
    assert codes(load(tmp_path, text)) == []


def test_the_homes_defaults_lie_beneath_the_projects(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(
        home,
        {
            "config.yaml": """\
defaults:
  poll_interval: 1m
  limits: {runs: 9, max_hops: 0}
  budget: {runs_per_hour: 7, run_usd: null}
  delivery: {timeout: 9s, retry: {max_attempts: 2, initial_delay: 1s}}
"""
        },
    )
    text = HEAD + ROUTES + "defaults: {limits: {runs: 2}, budget: {run_usd: 1}, delivery: {max_age: 2h}}\n"
    organization = sound(load(tmp_path / "project", text, home=home))
    defaults, policy = organization.defaults, organization.routes[0].policy
    assert (defaults.poll_interval_ms, defaults.runs, defaults.max_hops) == (60_000, 2, 0)
    assert (defaults.runs_per_hour, defaults.run_usd) == (7, 1)
    assert (policy.timeout_ms, policy.max_age_ms) == (9_000, 7_200_000)
    assert (policy.retry.max_attempts, policy.retry.initial_delay_ms) == (2, 1_000)
    assert organization.snapshot["defaults"]["limits"] == {"runs": 2, "max_hops": 0}
    assert home / "config.yaml" in organization.files


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("defaults: {poll: 5m}", Code.UNKNOWN_KEY),
        ("defaults: {poll_interval: soon}", Code.BAD_VALUE),
        ("defaults: [", Code.YAML_SYNTAX),
        ("default: {}", Code.UNKNOWN_KEY),
        ("defaults: {log_level: '${UNSET}'}", Code.MISSING_VARIABLE),
        ("defaults: {delivery: {retry: {max_delay: 1s}}}", Code.BAD_VALUE),
        ("[]", Code.WRONG_TYPE),
    ],
)
def test_a_mistake_in_the_homes_defaults_is_told_in_its_file(
    content: str, code: Code, tmp_path: Path
) -> None:
    home = write(tmp_path / "home", {"config.yaml": content})
    finding = only(load(tmp_path / "project", HEAD + ROUTES, home=home))
    assert (finding.code, finding.file) == (code, str(home / "config.yaml"))


def test_limits_of_the_home_do_not_vanish_with_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/config.yaml").symlink_to("nowhere")
    finding = only(load(tmp_path / "project", HEAD + ROUTES, home=tmp_path / "home"))
    assert (finding.code, finding.file) == (Code.MISSING_FILE, str(tmp_path / "home/config.yaml"))


@pytest.mark.parametrize("content", ["", "# nothing", "defaults:", "apiVersion: orgloop/v1alpha1"])
def test_a_home_without_defaults_changes_nothing(content: str, tmp_path: Path) -> None:
    home = write(tmp_path / "home", {"config.yaml": content})
    assert codes(load(tmp_path / "project", HEAD + ROUTES, home=home)) == []
    assert codes(load(tmp_path / "project", HEAD + ROUTES, home=tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("defaults: {poll_interval: 0s}", Code.BAD_VALUE),
        ("defaults: {event_retention: 30}", Code.BAD_VALUE),
        ("defaults: {log_level: warning}", Code.BAD_VALUE),
        ("defaults: {limits: {runs: 0}}", Code.BAD_VALUE),
        ("defaults: {limits: {max_hops: -1}}", Code.BAD_VALUE),
        ("defaults: {budget: {run_usd: 0}}", Code.BAD_VALUE),
        ("defaults: {budget: {run_usd: free}}", Code.WRONG_TYPE),
        ("defaults: {budget: {runs_per_hour: 1.5}}", Code.WRONG_TYPE),
        ("defaults: {checkpoint: {store: file, dir: x}}", Code.NO_EFFECT),
        ("defaults: 5m", Code.WRONG_TYPE),
        ("apiVersion: orgloop/v2", Code.API_VERSION),
        ("kind: Projct", Code.WRONG_KIND),
        ("kind: RouteGroup", Code.WRONG_KIND),
        ("modules: []", Code.UNKNOWN_KEY),
        ("routes: {a: b}", Code.WRONG_TYPE),
    ],
)
def test_what_cannot_stand_in_the_project_file_is_told(text: str, code: Code, tmp_path: Path) -> None:
    base = HEAD if text.startswith("routes") else HEAD + ROUTES
    assert code in codes(load(tmp_path, f"{base}{text}\n"))


def test_files_and_their_order_are_known(tmp_path: Path) -> None:
    files = {
        "orgloop.yaml": HEAD + "routes: [b.yaml]\n",
        "b.yaml": ROUTES,
        "routes/z.yml": "",
        "routes/deep/a.yaml": "",
        "routes/.hidden.yaml": "routes: [",
        "routes/.git/x.yaml": "routes: [",
        "routes/notes.txt": "routes: [",
        ".env": "A=1",
    }
    names = [path.relative_to(tmp_path).as_posix() for path in sound(load(tmp_path, files)).files]
    assert names == ["orgloop.yaml", "b.yaml", "routes/z.yml", "routes/deep/a.yaml", ".env"]


def test_files_without_permission_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES, "routes/a.yaml": ""})
    opened = Path.open

    def forbidden(path: Path, mode: str) -> Any:
        if path.name == name:
            raise PermissionError(13, "Permission denied")
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", forbidden)
    name = "a.yaml"
    assert only(load_project(tmp_path, registry(), VARIABLES)).code is Code.MISSING_FILE
    name = "orgloop.yaml"
    finding = only(load_project(tmp_path, registry(), VARIABLES))
    assert finding.code is Code.NO_PROJECT
    assert "permission denied" in finding.message


@pytest.mark.parametrize("content", ["", "# only a comment\n", "---\n", "\ufeff", "null\n", "{}\n"])
def test_a_project_file_without_content_is_an_error_and_the_only_one(content: str, tmp_path: Path) -> None:
    loaded = load(tmp_path, {"orgloop.yaml": content, "routes/more.yaml": ROUTES})
    finding = only(loaded)
    assert (finding.code, finding.message) == (Code.EMPTY_PROJECT, "orgloop.yaml is empty")
    assert "orgloop init" in finding.hint
    assert loaded.organization is None


def test_a_project_with_no_more_than_a_name_is_sound(tmp_path: Path) -> None:
    assert sound(load(tmp_path, "metadata: {name: acme}\n")).name == "acme"


def test_what_stands_under_a_section_of_the_wrong_type_is_not_missed_elsewhere(tmp_path: Path) -> None:
    text = HEAD.replace("  - {id: agent", "  agent: {id: agent").replace("  - {id: tell", "  tell: {id: tell")
    finding = only(load(tmp_path, text + ROUTES))
    assert (finding.code, finding.hint) == (Code.WRONG_TYPE, "begin each of its entries with `- `")


def test_a_thing_without_a_readable_name_is_not_missed_elsewhere(tmp_path: Path) -> None:
    finding = only(load(tmp_path, HEAD.replace("id: agent", "id: &agent") + ROUTES))
    assert (finding.code, finding.path) == (Code.WRONG_TYPE, "actors.0.id")
    assert "needs quotes" in finding.hint


@pytest.mark.parametrize("name", ["orgloop.yaml", "routes/a.yaml", "sop.md", ".env", "transforms/t.sh"])
@pytest.mark.parametrize("thing", ["directory", "link to itself", "link to nothing", "pipe"])
def test_what_is_no_file_is_told_and_never_waited_for(name: str, thing: str, tmp_path: Path) -> None:
    if (name, thing) in {("routes/a.yaml", "directory"), (".env", "link to nothing")}:
        return
    files = {
        "orgloop.yaml": HEAD
        + "transforms: [{name: t, type: script, script: transforms/t.sh}]\n"
        + ROUTES
        + "    with: {prompt_file: sop.md}\n    transforms: [t]\n",
        "transforms/t.sh": "#!/bin/sh\n",
        "sop.md": "Work.",
        "routes/a.yaml": "",
    }
    root = write(tmp_path / "project", files)
    path = root / name
    path.unlink(missing_ok=True)
    match thing:
        case "directory":
            path.mkdir()
        case "link to itself":
            path.symlink_to(path.name)
        case "link to nothing":
            path.symlink_to("nowhere")
        case _:
            os.mkfifo(path)
    finding = only(load_project(root, registry(), VARIABLES))
    code = {
        "orgloop.yaml": Code.NO_PROJECT,
        "sop.md": Code.MISSING_SOP,
        "transforms/t.sh": Code.MISSING_SCRIPT,
    }
    assert finding.code is code.get(name, Code.MISSING_FILE)
    assert "cannot be read: " in finding.message
    assert "did you mean" not in finding.hint


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES, "routes/a.yaml": ""})
    with (tmp_path / "routes/a.yaml").open("wb") as stream:
        stream.truncate(1 << 40)
    assert only(load_project(tmp_path, registry(), VARIABLES)).code is Code.YAML_SIZE


def test_routes_may_be_linked_and_are_read_once(tmp_path: Path) -> None:
    files = {
        "p/orgloop.yaml": HEAD + ROUTES,
        "p/routes/x": "",
        "shared/a.yaml": ONE.format(name="a", event="x"),
    }
    write(tmp_path, files)
    (tmp_path / "p/routes/shared").symlink_to(tmp_path / "shared")
    (tmp_path / "p/routes/again").symlink_to(tmp_path / "shared")
    (tmp_path / "p/routes/circle").symlink_to(tmp_path / "p/routes")
    routes = sound(load_project(tmp_path / "p", registry(), VARIABLES)).routes
    assert [route.name for route in routes] == ["work", "notice", "a"]


def test_a_routes_directory_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its routes do not vanish in silence."""
    write(tmp_path, {"orgloop.yaml": HEAD, "routes/a.yaml": ROUTES})
    scan = os.scandir

    def forbidden(place: str) -> Any:
        if place.endswith("routes"):
            raise PermissionError(13, "Permission denied", place)
        return scan(place)

    monkeypatch.setattr(os, "scandir", forbidden)
    finding = only(load_project(tmp_path, registry(), VARIABLES))
    assert (finding.code, finding.file) == (Code.MISSING_FILE, "routes")
    assert "permission denied" in finding.message


def test_a_file_in_place_of_the_routes_directory_is_told(tmp_path: Path) -> None:
    finding = only(load(tmp_path, {"orgloop.yaml": HEAD, "routes": ROUTES}))
    assert (finding.code, finding.file) == (Code.MISSING_FILE, "routes")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["a", "", "5m", "${X}", "{{a}}", "github", "\0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "name",
                    "connector",
                    "config",
                    "when",
                    "then",
                    "with",
                    "source",
                    "events",
                    "filter",
                    "transforms",
                    "ref",
                    "actor",
                    "type",
                    "prompt_file",
                    "script",
                    "package",
                    "limits",
                    "runs",
                    "delivery",
                    "retry",
                    "timeout",
                    "poll",
                    "interval",
                    "metadata",
                    "defaults",
                    "emits",
                    "session_key",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
SECTIONS = st.dictionaries(
    st.sampled_from(
        [
            "metadata",
            "defaults",
            "connectors",
            "sources",
            "actors",
            "transforms",
            "routes",
            "loggers",
            "kind",
            "extra",
        ]
    ),
    JSON | st.lists(JSON, max_size=3),
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(SECTIONS)
def test_no_data_makes_loading_crash_and_every_finding_has_its_place(tmp_path: Path, data: Any) -> None:
    import json

    text = json.dumps(data, indent=1)
    loaded = load(tmp_path, text)
    lines = text.split("\n")
    for finding in loaded.findings:
        assert finding.file in ("orgloop.yaml", ".env")
        assert finding.line is not None
        assert finding.column is not None
        assert 1 <= finding.line <= len(lines)
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
    assert (loaded.organization is None) == bool(loaded.errors)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.text(st.sampled_from(list("routes: -[]{}\n ${a}&*!|>'\"#,when\t\0é")), max_size=80))
def test_no_text_makes_loading_crash(tmp_path: Path, text: str) -> None:
    loaded = load(tmp_path, {"orgloop.yaml": HEAD + ROUTES, "routes/any.yaml": text})
    assert loaded.sound is not None
    assert all(finding.file for finding in loaded.findings)


@pytest.mark.bench
def test_a_thousand_routes_load_quickly(tmp_path: Path) -> None:
    from time import perf_counter

    one = """\
  - name: route-{n}
    when: {{source: github, events: [pull_request_review], filter: {{payload.number: {n}}}}}
    transforms: [{{ref: dedup, config: {{window: 10m}}}}]
    then: {{actor: agent, config: {{session_key: "pr:{{{{provenance.pr_number}}}}"}}}}
    with: {{prompt_file: ../sop.md}}
"""
    routes = "routes:\n" + "".join(one.format(n=n) for n in range(1000))
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES, "routes/many.yaml": routes, "sop.md": "Work."})
    began = perf_counter()
    organization = sound(load_project(tmp_path, registry(), VARIABLES))
    took = perf_counter() - began
    assert len(organization.routes) == 1002
    assert took < 1.0, f"{took:.2f} s"
