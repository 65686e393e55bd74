"""Budgets: what the files say, as limits; and what could never be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.config.findings import Code
from orgloop.config.load import Loaded, load_project
from orgloop.config.resolving import budget as budgets
from orgloop.config.schema.limits import Budget
from orgloop.connectors import process, webhook
from orgloop.connectors.agents import claude_code
from orgloop.core.deliveries.admission import Limit, ScopeLevel, Unit, Window
from orgloop.plugin.registry import Registry
from tests.config.project import only, sound, write
from tests.support.markdown import section

INSTALLED = Registry.of(webhook.connector, process.connector, claude_code.connector)
USD = 1_000_000


def load(root: Path, *, budget: str = "", agent: str = "", script: str = "", then: str = "") -> Loaded:
    """A project with an agent that tells its costs and a script that does not, each with a route."""
    text = f"""
metadata: {{name: test}}
{f"defaults: {{budget: {budget}}}" if budget else ""}
sources: [{{id: in, connector: webhook}}]
actors:
  - {{id: agent, connector: claude-code, config: {{cwd: .}}{agent}}}
  - {{id: script, connector: process, config: {{command: ["true"], overlap: true}}{script}}}
routes:
  - {{name: one, when: {{source: in, events: [a]}}, then: {{actor: agent{then}}}}}
  - {{name: two, when: {{source: in, events: [b]}}, then: {{actor: script}}}}
"""
    return load_project(write(root, {"orgloop.yaml": text}), INSTALLED, {})


def of_home(root: Path, budget: str, agent: str = "") -> dict[str, int]:
    limits = sound(load(root, budget=budget, agent=agent)).defaults.budget
    return {one.setting.removeprefix("defaults.budget."): one.most for one in limits}


@pytest.mark.parametrize(
    ("budget", "agent", "limits"),
    [
        ("{}", "", {"runs_per_hour": 60, "trace_usd": 25 * USD, "day_usd": 50 * USD}),
        ("{run_usd: 2}", "", {"runs_per_hour": 60, "trace_usd": 10 * USD, "day_usd": 20 * USD}),
        ("{run_usd: null}", "", {"runs_per_hour": 60}),
        ("{runs_per_hour: null, trace_usd: null, day_usd: null}", "", {}),
        (
            "{trace_usd: 7.5, day_run_time: 2h, hour_tokens: 5000000}",
            "",
            {
                "runs_per_hour": 60,
                "trace_usd": 7_500_000,
                "day_usd": 50 * USD,
                "day_run_time": 7_200_000,
                "hour_tokens": 5_000_000,
            },
        ),
    ],
)
def test_the_homes_budget_follows_what_one_run_may_cost(
    tmp_path: Path, budget: str, agent: str, limits: dict[str, int]
) -> None:
    assert of_home(tmp_path, budget, agent) == limits


def test_each_key_counts_its_unit_over_its_time_in_its_scope(tmp_path: Path) -> None:
    organization = sound(
        load(
            tmp_path,
            budget="{trace_runs: 9}",
            agent=", budget: {day_usd: 20, runs_per_day: 8}",
            script=", budget: {hour_run_time: 10m}",
            then=", budget: {hour_usd: 6}",
        )
    )

    def found(limits: object) -> set[tuple[str, str, str, int]]:
        assert isinstance(limits, list)
        return {(one.level, one.unit, one.window, one.most) for one in limits}

    assert (ScopeLevel.TRACE, Unit.RUNS, Window.EVER, 9) in found(list(organization.defaults.budget))
    assert found(list(organization.actors["agent"].budget)) == {
        (ScopeLevel.ACTOR, Unit.USD, Window.DAY, 20 * USD),
        (ScopeLevel.ACTOR, Unit.RUNS, Window.DAY, 8),
    }
    assert organization.actors["script"].budget == [
        Limit(
            level=ScopeLevel.ACTOR,
            unit=Unit.RUN_TIME,
            window=Window.HOUR,
            most=600_000,
            setting="budget.hour_run_time",
        )
    ]
    assert found(list(organization.routes[0].budget)) == {(ScopeLevel.ROUTE, Unit.USD, Window.HOUR, 6 * USD)}


@pytest.mark.parametrize("key", sorted(Budget.model_fields.keys() - {"run_usd"}))
def test_every_key_is_a_limit(tmp_path: Path, key: str) -> None:
    value = "1h" if key.endswith("run_time") else 100
    assert key in of_home(tmp_path, f"{{{key}: {value}}}")


@pytest.mark.parametrize(
    ("budget", "key"),
    [
        ({"budget": "{day_usd: 4}"}, "defaults.budget.day_usd"),
        ({"budget": "{trace_usd: 4.99}"}, "defaults.budget.trace_usd"),
        ({"agent": ", budget: {hour_usd: 1}"}, "budget.hour_usd"),
        ({"then": ", budget: {day_usd: 1}"}, "then.budget.day_usd"),
        ({"budget": "{run_usd: 30, day_usd: 29}"}, "defaults.budget.day_usd"),
    ],
)
def test_a_budget_below_the_cap_of_one_run_is_an_error(
    tmp_path: Path, budget: dict[str, str], key: str
) -> None:
    finding = only(load(tmp_path, **budget))
    assert finding.code is Code.BAD_VALUE
    assert f"`{key}`" in finding.message
    assert f"`{key}`" in finding.hint


@pytest.mark.parametrize("key", ["hour_usd: 5", "day_usd: 5", "hour_tokens: 5", "day_tokens: 5"])
def test_who_does_not_tell_costs_can_keep_no_budget_of_them(tmp_path: Path, key: str) -> None:
    finding = only(load(tmp_path, script=f", budget: {{{key}}}"))
    assert (finding.code, finding.line) == (Code.BAD_VALUE, 7)
    assert "`runs_per_day`" in finding.hint


def test_an_actor_without_runs_has_no_use_for_one(tmp_path: Path) -> None:
    hand = "{id: hand, connector: webhook, config: {url: 'http://127.0.0.1/'}, budget: {runs_per_day: 1}}"
    text = f"""
metadata: {{name: test}}
sources: [{{id: in, connector: webhook}}]
actors: [{hand}]
routes: [{{name: one, when: {{source: in, events: [a]}}, then: {{actor: hand, budget: {{day_usd: 1}}}}}}]
"""
    loaded = load_project(write(tmp_path, {"orgloop.yaml": text}), INSTALLED, {})
    assert [one.code for one in loaded.findings] == [Code.NO_EFFECT] * 2


def test_every_key_of_a_budget_counts_something_and_is_in_the_table_of_budgets() -> None:
    keys = Budget.model_fields.keys() - {"run_usd"}
    assert keys == budgets._MEANING.keys()
    page = section("configuration.md", "Budgets")
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_a_price_lets_an_actor_keep_a_budget_of_dollars(tmp_path: Path) -> None:
    loaded = load(tmp_path, script=", budget: {day_usd: 5}, price: {input: 1, output: 10}")
    spec = sound(loaded).actors["script"]
    assert [one.most for one in spec.budget] == [5 * USD]
    assert spec.price is not None
    # What reads a cache costs as input, and what has no name as output: too much, if anything.
    assert spec.price.of({"input": 500_000, "cache_read": 500_000, "output": 100_000, "else": 100_000}) == 3.0


def test_a_budget_of_each_session_key_needs_one(tmp_path: Path) -> None:
    then = ", budget: {day_usd: 50, per_key: {runs_per_hour: 3, day_usd: 9}}"
    found = only(load(tmp_path, then=then))
    assert (found.code, "per_key" in found.message) == (Code.BAD_VALUE, True)
    key = ", config: {session_key: '{{payload.n}}'}"
    limits = sound(load(tmp_path, then=then + key)).routes[0].budget
    assert {(one.level, one.unit, one.most) for one in limits} == {
        (ScopeLevel.ROUTE, Unit.USD, 50 * USD),
        (ScopeLevel.KEY, Unit.USD, 9 * USD),
        (ScopeLevel.KEY, Unit.RUNS, 3),
    }
    found = only(load(tmp_path, then=f", budget: {{per_key: {{day_usd: 1}}}}{key}"))
    assert (found.code, "per_key.day_usd" in found.message) == (Code.BAD_VALUE, True)
