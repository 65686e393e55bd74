"""Every documented way to write a project loads."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orgloop.config.load import Loaded, load_project
from orgloop.config.reading.yaml import parse
from orgloop.plugin.registry import Registry
from tests.config.project import VARIABLES, sound

FORMS = Path(__file__).parent / "forms"
NAMES = sorted(path.name for path in FORMS.iterdir())


def prepared(name: str, root: Path) -> Path:
    """The form as a project of its own, with the prompt files and scripts that it names."""
    form = FORMS / name
    if form.is_dir():
        project = Path(shutil.copytree(form, root / "project"))
        for script in project.rglob("*.sh"):
            script.chmod(0o755)
        return project
    text = form.read_text("utf-8")
    (root / "orgloop.yaml").write_text(text, "utf-8")
    for named in re.findall(r"(?:prompt_file|script): \"?(\./[\w./-]+)", text):
        path = root / named
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\ncat\n", "utf-8")
        path.chmod(0o755)
    return root


def loaded_form(name: str, root: Path) -> Loaded:
    return load_project(prepared(name, root), Registry.installed(), VARIABLES)


@pytest.mark.parametrize("name", NAMES)
def test_a_documented_form_loads_and_warns_of_what_it_should(name: str, tmp_path: Path) -> None:
    loaded = loaded_form(name, tmp_path)
    file = FORMS / name / "orgloop.yaml" if (FORMS / name).is_dir() else FORMS / name
    told = re.search(r"^# warns: (.*)$", file.read_text("utf-8"), re.MULTILINE)
    sound(loaded)
    assert {str(finding.code) for finding in loaded.findings} == set(told[1].split() if told else [])


def test_the_poll_interval_inside_config_counts(tmp_path: Path) -> None:
    organization = sound(loaded_form("no-head.yaml", tmp_path))
    intervals = {name: source.poll_interval_ms for name, source in organization.sources.items()}
    assert intervals == {"github": 300_000, "claude-code": None, "clock": 120_000, "slow-clock": 3_600_000}
    assert organization.name == tmp_path.name


def test_list_values_in_a_filter_mean_any_of_them(tmp_path: Path) -> None:
    route = sound(loaded_form("no-head.yaml", tmp_path)).routes[0]
    assert route.when.filter[0].values == ("pull_request.review_submitted", "pull_request_review_comment")


def test_listed_routes_come_before_found_ones_and_none_comes_twice(tmp_path: Path) -> None:
    routes = sound(loaded_form("split", tmp_path)).routes
    assert [route.name for route in routes] == [
        "from-the-project",
        "up-from-the-file",
        "inline-route",
        "beside-the-file",
        "deeper",
    ]


def test_prompt_files_are_looked_for_beside_the_file_then_in_the_project(tmp_path: Path) -> None:
    organization = sound(loaded_form("split", tmp_path))
    prompts = {route.name: route.prompt_file for route in organization.routes}
    root = organization.root
    assert prompts["beside-the-file"] == root / "routes/sops/beside.md"
    assert prompts["from-the-project"] == root / "sops/pr-review.md"
    up = prompts["up-from-the-file"]
    assert up is not None
    assert up.resolve() == (root / "sops/pr-review.md").resolve()


def test_a_route_names_a_transform_by_definition_or_by_plugin(tmp_path: Path) -> None:
    by_name, by_reference = sound(loaded_form("transforms.yaml", tmp_path)).routes
    assert [step.plugin.name for step in by_name.steps] == ["filter"] * 3 + ["script"] * 2
    assert [step.on_error for step in by_name.steps] == ["drop", "drop", "drop", "halt", "pass"]
    assert [step.plugin.name for step in by_reference.steps] == [
        "filter",
        "dedup",
        "enrich",
        "dedup",
        "filter",
    ]
    dedup = by_reference.steps[1]
    assert (dedup.settings.model_dump()["window"], dedup.on_error) == (600_000, "hold")
    assert dedup.settings.model_dump()["key"] == ["source", "type"]


def test_every_key_of_the_policy_counts(tmp_path: Path) -> None:
    organization = sound(loaded_form("policy.yaml", tmp_path))
    defaults, route = organization.defaults, organization.routes[0]
    assert (defaults.runs, defaults.max_hops, defaults.log_level) == (4, 25, "debug")
    assert (defaults.run_usd, defaults.runs_per_hour, defaults.event_retention_ms) == (
        5,
        None,
        30 * 86_400_000,
    )
    assert organization.actors["engineering-agent"].max_runs == 2
    assert (route.max_runs, route.trust) == (1, "team")
    assert (route.policy.timeout_ms, route.policy.max_age_ms) == (10_000, 3_600_000)
    assert (route.policy.retry.max_attempts, route.policy.retry.backoff) == (3, "fixed")
    assert (route.policy.retry.initial_delay_ms, route.policy.retry.max_delay_ms) == (5_000, 900_000)
    assert (
        route.session_key == route.config["session_key"] == "pr:{{provenance.repo}}#{{provenance.pr_number}}"
    )


INSTALLED = Registry.installed()
Way = tuple[str | int, ...]


def ways(data: Any, way: Way = ()) -> Iterator[Way]:
    """The way to every value inside."""
    if way:
        yield way
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in inner:
        yield from ways(value, (*way, step))


SINGLE = {name: parse((FORMS / name).read_bytes()).data for name in NAMES if name.endswith(".yaml")}
PLACES = [(name, way) for name, data in SINGLE.items() for way in ways(data)]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, -1, 0, 1.5, 2**63, "", " ", "a\0b", "\ud800", "x" * 5000, "~nobody-of-this-name/x"),
        *("/", "..", "${X}", "${", "{{a..b}}", "{{", "/(/", "[", "0s", "9" * 40 + "d", "process", "script"),
        *([], {}, [[]], [None], {"": 1}, {"a": {"b": {}}}),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.sampled_from(PLACES), ODD)
def test_no_value_in_a_documented_form_makes_loading_crash(
    tmp_path: Path, place: tuple[str, Way], value: Any
) -> None:
    name, way = place
    data = copy.deepcopy(SINGLE[name])
    holder = data
    for step in way[:-1]:
        holder = holder[step]
    holder[way[-1]] = value
    (tmp_path / "orgloop.yaml").write_text(json.dumps(data), "utf-8")
    loaded = load_project(tmp_path, INSTALLED, VARIABLES)
    assert (loaded.organization is None) == bool(loaded.errors)
    assert all(
        finding.line and finding.column for finding in loaded.findings if finding.file == "orgloop.yaml"
    )
    json.dumps(loaded.sound.snapshot if loaded.sound else None)
