"""Accounts and quiet hours: what the files say, and what cannot be meant."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orgloop.config.findings import Code
from orgloop.config.load import Loaded, load_project
from orgloop.connectors import process, webhook
from orgloop.connectors.agents import claude_code
from orgloop.core.deliveries.admission import ScopeLevel, Unit, Window
from orgloop.operations.views.accounts import each_login
from orgloop.plugin.registry import Registry
from tests.config.project import only, sound, write

INSTALLED = Registry.of(webhook.connector, process.connector, claude_code.connector)


def load(root: Path, *, accounts: str = "", agent: str = "", script: str = "", defaults: str = "") -> Loaded:
    text = f"""
metadata: {{name: test}}
{f"defaults: {defaults}" if defaults else ""}
{f"accounts: {accounts}" if accounts else ""}
sources: [{{id: in, connector: webhook}}]
actors:
  - {{id: agent, connector: claude-code, config: {{cwd: .}}{agent}}}
  - {{id: script, connector: process, config: {{command: ["true"], overlap: true}}{script}}}
routes:
  - {{name: one, when: {{source: in, events: [a]}}, then: {{actor: agent}}}}
  - {{name: two, when: {{source: in, events: [b]}}, then: {{actor: script}}}}
"""
    return load_project(write(root, {"orgloop.yaml": text}), INSTALLED, {"TOKEN": "t0psecret"})


def test_actors_name_accounts_in_the_order_in_which_they_are_tried(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        accounts="{work: {limits: {runs: 2}, budget: {day_usd: 50}}, spare: {env: {API: '${TOKEN}', N: 3}}}",
        agent=", accounts: [work, spare]",
        script=", account: spare",
    )
    found = sound(loaded)
    assert (found.actors["agent"].accounts, found.actors["script"].accounts) == (["work", "spare"], ["spare"])
    assert found.account_env("spare") == {"API": "t0psecret", "N": "3"}
    assert found.account_env("work") == found.account_env(None) == {}
    assert [(one.level, one.unit, one.window, one.most) for one in found.accounts["work"].limits] == [
        (ScopeLevel.ACCOUNT, Unit.RUNS, Window.AT_ONCE, 2),
        (ScopeLevel.ACCOUNT, Unit.USD, Window.DAY, 50_000_000),
    ]
    assert "t0psecret" not in str(found.snapshot)
    assert found.snapshot["accounts"]["spare"]["env"]["API"] == "${TOKEN}"


@pytest.mark.parametrize(
    ("more", "code", "hint"),
    [
        ({"agent": ", account: wrok"}, Code.UNKNOWN_ACCOUNT, "did you mean `work`?"),
        ({"agent": ", accounts: [work, work]"}, Code.DUPLICATE_NAME, "remove one of the two"),
        ({"agent": ", accounts: []"}, Code.BAD_VALUE, ""),
        ({"agent": ", account: work, accounts: [work]"}, Code.DUPLICATE_KEY, ""),
        ({"accounts": "{work: {env: {ORGLOOP_HOME: x}}}", "agent": ", account: work"}, Code.BAD_VALUE, ""),
        ({"accounts": "{work: {token: x}}", "agent": ", account: work"}, Code.UNKNOWN_KEY, ""),
        ({"accounts": "{'': {}}", "script": ""}, Code.BAD_VALUE, ""),
        # A budget that no run fits into, or that is never reached.
        ({"accounts": "{work: {budget: {day_usd: 1}}}", "agent": ", account: work"}, Code.BAD_VALUE, ""),
        ({"accounts": "{work: {budget: {day_usd: 90}}}", "script": ", account: work"}, Code.BAD_VALUE, ""),
        ({"agent": ", quiet_hours: '22-7'"}, Code.BAD_VALUE, ""),
        ({"agent": ", quiet_hours: '22:00-22:00'"}, Code.BAD_VALUE, ""),
        ({"agent": ", quiet_hours: '22:00-25:00'"}, Code.BAD_VALUE, ""),
        ({"agent": ", quiet_hours: '22:00-07:00 Europe/Berln'"}, Code.BAD_VALUE, ""),
        ({"defaults": "{quiet_hours: '7:61-8:00'}"}, Code.BAD_VALUE, ""),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_its_place(
    tmp_path: Path, more: dict[str, str], code: Code, hint: str
) -> None:
    given = {"accounts": "{work: {}}", "script": ", account: work", **more}
    if "script" not in more and "account: work" in given.get("agent", "") and code is Code.BAD_VALUE:
        given["script"] = ""
    found = only(load(tmp_path, **given))
    assert found.code is code
    assert (found.line or 0) > 1
    assert hint in found.hint


def test_an_account_that_nobody_uses_warns(tmp_path: Path) -> None:
    (found,) = load(tmp_path, accounts="{work: {}}").warnings
    assert (found.code, found.line) == (Code.NO_EFFECT, 4)


def test_variables_of_an_account_reach_programs_of_this_machine_only(tmp_path: Path) -> None:
    text = """
metadata: {name: test}
accounts: {work: {env: {A: b}}}
sources: [{id: in, connector: webhook}]
actors: [{id: tell, connector: webhook, account: work, config: {url: "https://example.com"}}]
routes: [{name: one, when: {source: in, events: [a]}, then: {actor: tell}}]
"""
    found = only(load_project(write(tmp_path, {"orgloop.yaml": text}), INSTALLED, {}))
    assert found.code is Code.BAD_VALUE


@pytest.mark.parametrize(
    ("defaults", "agent", "at", "until"),
    [
        ("{quiet_hours: '22:00-07:00 UTC'}", "", "2026-01-05T23:30", "2026-01-06T07:00"),
        ("{quiet_hours: '22:00-07:00 UTC'}", "", "2026-01-05T06:59", "2026-01-05T07:00"),
        ("{quiet_hours: '22:00-07:00 UTC'}", "", "2026-01-05T07:00", None),
        ("{quiet_hours: '22:00-07:00 UTC'}", ", quiet_hours: null", "2026-01-05T23:30", None),
        ("{quiet_hours: '22:00-07:00 UTC'}", ", quiet_hours: '9:00 - 17:00 UTC'", "2026-01-05T23:30", None),
        ("", ", quiet_hours: '9:00-17:00 Europe/Berlin'", "2026-01-05T08:30", "2026-01-05T16:00"),
        # The clock there goes from 02:00 to 03:00, and in autumn from 03:00 back to 02:00.
        ("", ", quiet_hours: '23:00-02:30 Europe/Berlin'", "2026-03-29T00:30", "2026-03-29T01:30"),
        ("", ", quiet_hours: '23:00-03:00 Europe/Berlin'", "2026-10-25T00:30", "2026-10-25T02:00"),
    ],
)
def test_quiet_hours_are_those_of_the_actor_else_of_the_project(
    tmp_path: Path, defaults: str, agent: str, at: str, until: str | None
) -> None:
    quiet = sound(load(tmp_path, defaults=defaults, agent=agent)).actors["agent"].quiet
    found = quiet.until(millis(at)) if quiet is not None else None
    assert found == (millis(until) if until is not None else None)


def test_the_doctor_asks_with_each_login(tmp_path: Path) -> None:
    found = sound(
        load(
            tmp_path,
            accounts="{work: {}, spare: {env: {API: '${TOKEN}', B: c}}}",
            agent=", accounts: [work, spare]",
            script=", account: spare",
        )
    )
    asked = {one.id: one.settings.variables for one in each_login(found)}  # type: ignore[attr-defined]
    assert asked.keys() == {"agent", "agent (spare)", "script (spare)"}
    assert "API" not in asked["agent"]
    assert (asked["agent (spare)"]["API"], asked["script (spare)"]["B"]) == ("t0psecret", "c")


def millis(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)
