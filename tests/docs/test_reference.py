"""What pages list is what there is: keys, defaults, codes, settings, states, reasons, proofs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from orgloop import errors
from orgloop.config.findings import Code
from orgloop.config.model import Defaults
from orgloop.config.schema import limits as schema_limits
from orgloop.config.schema import models as schema
from orgloop.config.schema.limits import ConfigPart
from orgloop.connectors.agents import hooks
from orgloop.core.deliveries.delivery import DeliveryPolicy, State
from orgloop.core.deliveries.transition import DropReason, HoldReason
from orgloop.core.runs.environment import ALLOWED, ALLOWED_PREFIXES, NEVER
from orgloop.core.text.units import format_duration
from orgloop.plugin.registry import CONNECTORS, LOGGERS, TRANSFORMS, Registry
from orgloop.plugin.settings import Settings
from orgloop.project.home import Home
from tests.docs import pages
from tests.docs.pages import ROOT

CONFIGURATION = "docs/configuration.md"
DELIVERY = "docs/delivery.md"
HOOKS = "docs/agents/claude-code.md"
"""Has the connector `coding-agent` too, which has no page of its own."""

PARTS: dict[str, type[ConfigPart]] = {
    "The project": schema.DefaultsConfig,
    "Sources": schema.SourceConfig,
    "Actors": schema.ActorConfig,
    "Transforms": schema.TransformConfig,
    "Routes": schema.RouteConfig,
    "Loggers": schema.LoggerConfig,
}
UNDOCUMENTED = {"defaults.log_level"}
"""Accepted, and told in words."""


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a part, as a dot path; of a list's items behind []."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        found = re.search(r"schema\.(?:models|limits)\.(\w+)", str(field.annotation))
        inner = (vars(schema) | vars(schema_limits)).get(found[1]) if found else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{key}[]." if "list[" in str(field.annotation) else f"{key}.")
        else:
            yield key


def first_cells(text: str) -> set[str]:
    return {name for row in pages.rows(text) for name in re.findall(r"`([^`]+)`", row[0])}


@pytest.mark.parametrize("heading", PARTS)
def test_every_key_is_in_its_table(heading: str) -> None:
    prefix = "defaults." if heading == "The project" else ""
    documented = first_cells(pages.section(CONFIGURATION, heading))
    missing = {
        key
        for key in keys(PARTS[heading], prefix)
        if not any(key == one or key.startswith(f"{one}.") for one in documented)
    }
    assert missing - UNDOCUMENTED == set()


def test_the_defaults_are_those_of_the_code() -> None:
    told = {
        pages.code(row[0]): pages.code(row[1])
        for row in pages.rows(pages.section(CONFIGURATION, "The project"))
    }
    defaults, policy = Defaults(), DeliveryPolicy()
    real = {
        "defaults.poll_interval": format_duration(defaults.poll_interval_ms),
        "defaults.event_retention": format_duration(defaults.event_retention_ms),
        "defaults.limits.runs": str(defaults.runs),
        "defaults.limits.max_hops": str(defaults.max_hops),
        "defaults.limits.max_repeats": str(defaults.max_repeats),
        "defaults.limits.runs_per_key": str(defaults.runs_per_key),
        "defaults.budget.run_usd": f"{defaults.run_usd:g}",
        "defaults.budget.runs_per_hour": str(defaults.runs_per_hour),
        "defaults.delivery.timeout": format_duration(policy.timeout_ms),
        "defaults.delivery.max_age": format_duration(policy.max_age_ms),
        "defaults.delivery.retry.max_attempts": str(policy.retry.max_attempts),
        "defaults.delivery.retry.backoff": policy.retry.backoff,
        "defaults.delivery.retry.initial_delay": format_duration(policy.retry.initial_delay_ms),
        "defaults.delivery.retry.max_delay": format_duration(policy.retry.max_delay_ms),
    }
    assert {key: told[key] for key in real} == {
        key: "24h" if value == "1d" else value for key, value in real.items()
    }
    assert len(asdict(defaults)) == 13, "a new default belongs on the page"


@pytest.mark.parametrize(
    ("heading", "attribute"), [("Accepted without effect", "NO_EFFECT"), ("Not acted on yet", "NOT_YET")]
)
def test_keys_that_do_nothing_are_told(heading: str, attribute: str) -> None:
    told = {
        name
        for row in pages.rows(pages.section(CONFIGURATION, heading))
        for name in re.findall(r"`([^`]+)`", row[1])
    }
    models = [
        model
        for model in (vars(schema) | vars(schema_limits)).values()
        if isinstance(model, type) and issubclass(model, ConfigPart)
    ]
    real = set().union(*(getattr(model, attribute) for model in models))
    if attribute == "NOT_YET":
        real |= {key for *_, settings in plugins() for key in settings.not_yet()}
    assert told - {"inbox", "inbox_ttl", "inbox_max_batch"} == real


def test_every_code_is_told_with_its_meaning() -> None:
    told = {pages.code(row[0]): row[2] for row in pages.rows(pages.section(CONFIGURATION, "Findings"))}
    assert told == {code.value: code.meaning for code in Code}


def test_states_and_reasons_are_those_of_the_code() -> None:
    tables = pages.rows(pages.section(DELIVERY, "States"))
    told = [pages.code(row[0]) for row in tables]
    assert told == [*State, *DropReason, *HoldReason]


def plugins() -> Iterator[tuple[str, str, type[Settings]]]:
    """Name, page and settings of every installed plugin."""
    registry = Registry.installed()
    for name in registry.names(CONNECTORS):
        connector = registry.connector(name)
        # A page that is missing is told by the test that reads it, not by the collection of all tests.
        agents = f"docs/agents/{connector.name}.md"
        page = agents if (ROOT / agents).exists() else f"docs/connectors/{connector.name}.md"
        if connector in vars(hooks).values():
            page = HOOKS
        for kind in (connector.source, connector.actor):
            if kind is not None:
                yield name, page, kind.settings
    for name in registry.names(TRANSFORMS):
        yield name, "docs/transforms.md", registry.transform(name).settings
    for name in registry.names(LOGGERS):
        yield name, "docs/loggers.md", registry.logger(name).settings


@pytest.mark.parametrize(("name", "page", "settings"), [*plugins()])
def test_every_setting_of_every_plugin_is_on_its_page(name: str, page: str, settings: type[Settings]) -> None:
    cells = {re.split(r"[.\[]", cell)[0] for cell in first_cells(pages.text(page))}
    fields = {field.alias or key for key, field in settings.model_fields.items()}
    assert fields - cells == set()


@cache
def proofs_in(file: str) -> frozenset[str]:
    """The tests of a file, those of a class behind its name."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node.name for node in tree.body if isinstance(node, functions)]
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name}::{one.name}" for one in node.body if isinstance(one, functions)]
    return frozenset(found)


def test_every_promise_has_a_proof_that_exists() -> None:
    promises = pages.rows(pages.section(DELIVERY, "What is promised"))
    assert len(promises) > 10
    for promise, proof in promises:
        file, _, test = pages.code(proof).partition("::")
        assert Path(ROOT / file).exists(), promise
        assert test in proofs_in(file), promise


def test_every_file_that_the_architecture_names_exists() -> None:
    named = [one for one in pages.spans("docs/architecture.md") if re.fullmatch(r"[\w/*]+\.(py|sql)", one)]
    assert len(named) > 15
    source = ROOT / "src/orgloop"
    places = [ROOT, source, *(path for path in source.iterdir() if path.is_dir())]
    assert [one for one in named if not any([*place.glob(one)] for place in places)] == []


def test_the_messages_that_operations_quotes_are_those_of_the_code() -> None:
    code = " ".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    quoted = [
        message
        for row in pages.rows(pages.section("docs/operations.md", "When something is wrong"))
        for message in re.findall(r'"([^"]+)"', row[0])
    ]
    assert len(quoted) >= 5
    parts = [part.strip(" ;") for message in quoted for part in message.split("…")]
    assert [part for part in parts if part not in code] == []


@pytest.mark.parametrize(
    "page",
    ["docs/security.md", "docs/transforms.md", "docs/agents/process.md"],
    ids=lambda page: Path(page).stem,
)
def test_a_page_that_lists_what_a_child_sees_lists_all_of_it(page: str) -> None:
    text = pages.text(page).replace("\\*", "*")
    names = [*sorted(ALLOWED), *(f"{prefix}*" for prefix in ALLOWED_PREFIXES)]
    assert [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)] == []
    assert re.search(r"name (says|indicates)[^.]* secret", " ".join(text.split()))


def test_every_file_of_a_home_is_in_the_table() -> None:
    told = {name.rstrip("/") for name in first_cells(pages.section("docs/operations.md", "The home"))}
    home = Home(Path("/home"))
    files = (home.journal, home.token, home.daemon_file, home.spool)
    assert {path.name for path in files} <= told
    assert {home.runs.name, home.logs.name} <= {name.partition("/")[0] for name in told}


def test_every_kind_of_error_is_told() -> None:
    table = first_cells(pages.section("docs/cli.md", "What all commands share"))
    tree = {error.__name__ for error in vars(errors).values() if isinstance(error, type)} - {
        "Any",
        "Sequence",
    }
    assert {name for name in table if re.fullmatch(r"[A-Z][A-Za-z]+", name)} == {*tree, "UsageError", "Fault"}


def test_every_kind_of_thing_that_needs_a_person_is_told() -> None:
    code = " ".join(path.read_text("utf-8") for path in (ROOT / "src/orgloop").rglob("*.py"))
    # A `failure` has happened and needs nobody.
    kinds = {*re.findall(r'Item\(\s*kind="(\w+)"', code), "dead", "held"} - {"failure"}
    assert len(kinds) > 10
    assert first_cells(pages.section("docs/cli-operations.md", "`orgloop status`")) == kinds


def test_every_variable_of_our_own_is_on_a_page() -> None:
    code = " ".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    text = " ".join(pages.text(page) for page in pages.PAGES)
    assert {name for name in re.findall(r"\bORGLOOP_[A-Z_]*[A-Z]\b", code) if name not in text} == NEVER


def test_every_status_that_the_daemon_answers_is_told() -> None:
    code = " ".join(path.read_text("utf-8") for path in (ROOT / "src/orgloop/web").glob("*.py"))
    told = {row[0] for row in pages.rows(pages.section("docs/http.md", "Errors, times and lists"))}
    assert set(re.findall(r"status=([45]\d\d)", code)) <= told
