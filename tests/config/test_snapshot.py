"""What `plan` compares: everything that is written, nothing that is secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orgloop.config.diff import Action, Kind, Plan, diff
from orgloop.config.reading.secrets import fingerprint, is_secret_key, redacted
from orgloop.plugin.settings import SecretStr, Settings
from tests.config.project import HEAD, ROUTES, VARIABLES, load, sound, write

FULL = (
    HEAD
    + ROUTES
    + """\
    transforms: [drop, {ref: clean, config: {exclude: {payload.a: 1}}}]
    with: {prompt_file: sop.md}
transforms:
  - {name: drop, type: script, script: drop.sh}
  - {name: clean, type: package, package: "@orgloop/transform-filter"}
loggers: [{name: log, type: console}]
defaults: {limits: {runs: 2}}
"""
)


DIRECT = "{ref: script, config: {script: x.sh}}"


def snap(
    root: Path, text: str = FULL, *, token: str = "ghp_0", sop: str = "Work.", script: str = "cat"
) -> Any:
    write(root, {"sop.md": sop, "drop.sh": f"#!/bin/sh\n{script}\n"})
    return sound(load(root, text, {**VARIABLES, "GITHUB_TOKEN": token})).snapshot


def changes(plan: Plan) -> list[tuple[str, str, str, list[str]]]:
    return [
        (item.action.symbol, item.kind, item.name, [path for path, _, _ in item.fields])
        for item in plan.items
        if item.action is not Action.SAME
    ]


def test_a_first_plan_adds_everything(tmp_path: Path) -> None:
    plan = diff(None, snap(tmp_path))
    assert [(item.kind, item.name) for item in plan.items] == [
        (Kind.SOURCE, "github"),
        (Kind.SOURCE, "hooks"),
        (Kind.ACTOR, "agent"),
        (Kind.ACTOR, "tell"),
        (Kind.TRANSFORM, "drop"),
        (Kind.TRANSFORM, "clean"),
        (Kind.ROUTE, "work"),
        (Kind.ROUTE, "notice"),
        (Kind.LOGGER, "log"),
        (Kind.SCRIPT, "drop.sh"),
        (Kind.SOP, "sop.md"),
        (Kind.DEFAULTS, "defaults"),
        (Kind.METADATA, "metadata"),
    ]
    assert plan.count(Action.ADD) == len(plan.items)
    assert not plan.is_empty


def test_the_same_project_changes_nothing_wherever_it_is_loaded_from_json(tmp_path: Path) -> None:
    first, again = snap(tmp_path), snap(tmp_path)
    assert diff(json.loads(json.dumps(first)), again).is_empty


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("repo: a/b", "repo: a/c", ("~", "source", "github", ["config.repo"])),
        ("config: {cwd: .}", "config: {cwd: ..}", ("~", "actor", "agent", ["config.cwd"])),
        ("events: [pull_request_review]", "events: [x]", ("~", "route", "work", ["when.events"])),
        ("payload.a: 1", "payload.a: true", ("~", "route", "notice", ["transforms"])),
        ("then: {actor: agent}", "then: {actor: tell}", ("~", "route", "work", ["then.actor"])),
        ("console}", "console, config: {level: warn}}", ("~", "logger", "log", ["config.level"])),
        ("runs: 2", "runs: 3", ("~", "defaults", "defaults", ["limits.runs"])),
        ("script: drop.sh}", "script: drop.sh, on_error: hold}", ("~", "transform", "drop", ["on_error"])),
        ("name: work", "name: job", ("+", "route", "job", [])),
    ],
)
def test_a_change_is_told_field_by_field(
    old: str, new: str, change: tuple[str, str, str, list[str]], tmp_path: Path
) -> None:
    assert FULL.count(old) == 1
    plan = diff(snap(tmp_path), snap(tmp_path, FULL.replace(old, new)))
    assert change in changes(plan)
    assert len(changes(plan)) == (2 if change[0] == "+" else 1)


def test_old_and_new_values_are_told(tmp_path: Path) -> None:
    plan = diff(snap(tmp_path), snap(tmp_path, FULL.replace("runs: 2", "runs: 3, max_hops: 1")))
    (item,) = [item for item in plan.items if item.action is Action.CHANGE]
    assert item.fields == (("limits.runs", 2, 3), ("limits.max_hops", None, 1))


def test_what_is_gone_is_removed(tmp_path: Path) -> None:
    before = snap(tmp_path)
    after = snap(tmp_path, HEAD + ROUTES)
    assert [(symbol, name) for symbol, _, name, _ in changes(diff(before, after))] == [
        ("-", "drop"),
        ("-", "clean"),
        ("~", "notice"),
        ("-", "log"),
        ("-", "drop.sh"),
        ("-", "sop.md"),
        ("~", "defaults"),
    ]


def test_a_changed_prompt_file_and_a_changed_script_are_seen(tmp_path: Path) -> None:
    before = snap(tmp_path)
    assert changes(diff(before, snap(tmp_path, sop="Work hard."))) == [("~", "sop", "sop.md", [""])]
    assert changes(diff(before, snap(tmp_path, script="true"))) == [("~", "script", "drop.sh", [""])]


def test_a_changed_variable_is_seen_without_its_value(tmp_path: Path) -> None:
    plan = diff(snap(tmp_path, token="first-token"), snap(tmp_path, token="second-token"))
    assert changes(plan) == [("~", "source", "github", ["variables"])]
    assert "token" not in str([item.fields for item in plan.items])


def test_a_variable_in_the_place_of_another_is_told_by_what_stands_there(tmp_path: Path) -> None:
    before = snap(tmp_path)
    after = snap(tmp_path, FULL.replace("${GITHUB_TOKEN}", "${PARTNER_SECRET}"))
    assert changes(diff(before, after)) == [("~", "source", "github", ["config.token"])]


def test_a_variable_of_a_route_or_a_transform_is_compared_too(tmp_path: Path) -> None:
    def at(value: str) -> Any:
        text = FULL.replace("payload.a: 1", 'payload.a: "${GITHUB_TOKEN}"')
        text = text.replace('token: "${GITHUB_TOKEN}"', "token: x")
        return snap(tmp_path, text, token=value)

    assert changes(diff(at("one"), at("two"))) == [("~", "route", "notice", ["variables"])]


def test_a_default_that_counts_for_a_thing_is_named(tmp_path: Path) -> None:
    more = FULL.replace("{limits: {runs: 2}}", "{limits: {runs: 2}, poll_interval: 1m, budget: {run_usd: 1}}")
    assert changes(diff(snap(tmp_path), snap(tmp_path, more)))[:2] == [
        ("~", "source", "github", ["defaults.poll_interval_ms"]),
        ("~", "actor", "agent", ["defaults.run_usd"]),
    ]


def test_a_script_that_a_route_names_itself_is_compared_too(tmp_path: Path) -> None:
    def at(script: str) -> Any:
        text = FULL.replace("{ref: clean, config: {exclude: {payload.a: 1}}}", DIRECT)
        write(tmp_path, {"x.sh": f"#!/bin/sh\n{script}\n"})
        return snap(tmp_path, text)

    assert changes(diff(at("cat"), at("true"))) == [("~", "script", "x.sh", [""])]


def test_the_spelling_of_a_plugins_name_is_no_change(tmp_path: Path) -> None:
    text = FULL.replace("connector: webhook", "connector: '@orgloop/connector-webhook'")
    text = text.replace("[drop, {ref: clean", "[{ref: drop}, {ref: clean").replace(
        "type: console", "type: '@orgloop/logger-console'"
    )
    assert text != FULL
    assert diff(snap(tmp_path), snap(tmp_path, text)).is_empty


def test_variables_stay_as_they_are_written(tmp_path: Path) -> None:
    config = snap(tmp_path, token="ghp_value_of_the_token")["sources"]["github"]["config"]
    assert config == {"repo": "a/b", "token": "${GITHUB_TOKEN}"}


def test_no_literal_secret_is_stored(tmp_path: Path) -> None:
    text = HEAD.replace("${GITHUB_TOKEN}", "ghp_literal").replace(
        '{url: "https://example.com"}',
        "{url: 'https://user:pa55@example.com', headers: {Authorization: Bearer l1teral, X-Kind: test}}",
    )
    text += (
        ROUTES
        + "    transforms: [{ref: enrich, config: {set: {payload.api_key: l2teral, payload.b: seen}}}]\n"
    )
    kept = json.dumps(sound(load(tmp_path, text)).snapshot)
    for secret in ("ghp_literal", "pa55", "l1teral", "l2teral"):
        assert secret not in kept
    for other in ("a/b", "X-Kind", "test", "seen"):
        assert other in kept


def test_a_changed_literal_secret_is_still_a_change(tmp_path: Path) -> None:
    one, two = (snap(tmp_path, FULL.replace("${GITHUB_TOKEN}", token)) for token in ("ghp_a", "ghp_b"))
    assert changes(diff(one, two)) == [("~", "source", "github", ["config.token"])]


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("token", True),
        ("auth_token_env", True),
        ("api_key", True),
        ("apiKey", True),
        ("APIKEY", True),
        ("Authorization", True),
        ("X-Api-Key", True),
        ("hmac_secret", True),
        ("db.password", True),
        ("private_key", True),
        ("authors", False),
        ("author_type", False),
        ("session_key", False),
        ("key", False),
        ("keys", False),
        ("tokenizer", False),
        ("secretary", False),
    ],
)
def test_a_key_that_holds_a_secret_is_known_by_its_words(key: str, secret: bool) -> None:
    assert is_secret_key(key) is secret


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("${TOKEN}", True),
        ("Bearer ${TOKEN}", True),
        ("${A}${B}", True),
        ("${TOKEN:-s3cret}", False),
        ("s3cret${TOKEN}", False),
        ("s3cret", False),
    ],
)
def test_only_what_is_nothing_but_variables_is_kept(value: str, kept: bool) -> None:
    shown = redacted({"token": value, "tokens": [value], "auth": {"deep": value}})
    assert shown == (
        {"token": value, "tokens": [value], "auth": {"deep": value}}
        if kept
        else {
            "token": fingerprint(value),
            "tokens": [fingerprint(value)],
            "auth": {"deep": fingerprint(value)},
        }
    )


def test_what_the_settings_call_secret_is_secret_whatever_its_key() -> None:
    class Odd(Settings):
        phrase: SecretStr
        more: list[SecretStr | int]
        name: str

    shown = redacted({"phrase": "open sesame", "more": ["hush", 1], "name": "seen"}, Odd)
    assert shown == {"phrase": fingerprint("open sesame"), "more": [fingerprint("hush"), 1], "name": "seen"}


def test_numbers_and_switches_are_no_secrets() -> None:
    assert redacted({"max_tokens": 5, "token": True}) == {"max_tokens": 5, "token": True}
    assert fingerprint("a") != fingerprint("b")
    assert "s3cret" not in fingerprint("s3cret")
