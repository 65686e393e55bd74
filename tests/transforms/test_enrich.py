"""enrich: what a changed event looks like."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from orgloop.core.events.fields import MISSING, Path
from orgloop.plugin import Change, Pass
from orgloop.transforms.enrich import transform
from tests.transforms.given import EVENT, SCOPE, documents, opened


def enriched(config: Mapping[str, Any], document: Mapping[str, Any] = EVENT) -> Mapping[str, Any]:
    step = opened(transform, config)
    assert step.bounded
    result = step.apply_now(document, SCOPE)
    assert isinstance(result, Change)
    return result.document


def at(path: str, document: Mapping[str, Any]) -> object:
    return Path.parse(path).get(document)


@pytest.mark.parametrize(
    ("config", "path", "value"),
    [
        ({"set": {"payload.team": "core"}}, "payload.team", "core"),
        ({"add": {"payload.team": "core"}}, "payload.team", "core"),
        ({"set": {"payload.a.b.c": 1}}, "payload.a.b", {"c": 1}),
        ({"set": {"payload.title.x": 1}}, "payload.title", {"x": 1}),
        ({"set": {"payload.count": None}}, "payload.count", None),
        ({"set": {"payload": [1]}}, "payload", [1]),
        ({"set": {"provenance.team": {"a": [True]}}}, "provenance.team", {"a": [True]}),
        ({"set": {"type": "message.received"}}, "type", "message.received"),
        ({"set": {"own.key": 1}}, "own", {"key": 1}),
        ({"set": {"payload.by": "{{provenance.author}}"}}, "payload.by", "ada"),
        ({"set": {"payload.by": "by {{ provenance.author }}!"}}, "payload.by", "by ada!"),
        ({"set": {"payload.n": "{{payload.count}}"}}, "payload.n", 5),
        ({"set": {"payload.n": "{{payload.absent}}"}}, "payload.n", ""),
        ({"set": {"payload.l": ["{{payload.labels.0}}"]}}, "payload.l", ["bug"]),
        ({"set": {"payload.at": "{{ now }}"}}, "payload.at", "2026-03-01T10:00:00.000Z"),
        ({"add": {"payload.at": "seen {{now}}"}}, "payload.at", "seen 2026-03-01T10:00:00.000Z"),
        ({"copy": {"payload.author": "provenance.author"}}, "payload.author", "ada"),
        ({"copy": {"payload.x": "payload.nothing"}}, "payload.x", None),
        ({"copy": {"payload.first": "payload.labels.0"}}, "payload.first", "bug"),
        ({"copy": {"payload.id": "id"}}, "payload.id", "evt_1"),
        ({"compute": {"payload.big": "payload.count > 4"}}, "payload.big", True),
        # in the order set, copy, compute
        ({"set": {"payload.a": 1}, "copy": {"payload.b": "payload.a"}}, "payload.b", 1),
        (
            {"copy": {"payload.b": "payload.count"}, "compute": {"payload.c": "payload.b === 5"}},
            "payload.c",
            True,
        ),
        ({"set": {"payload.count": 9, "payload.was": "{{payload.count}}"}}, "payload.was", 5),
        ({"set": {"payload.a": 1}, "add": {"payload.b": 2}}, "payload.b", 2),
    ],
)
def test_a_value_is_written(config: dict[str, Any], path: str, value: object) -> None:
    document = enriched(config)
    assert at(path, document) == value
    assert document["id"] == EVENT["id"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("payload.count === 5", True),
        ("payload.count===5", True),
        ('payload.count === "5"', True),
        ("payload.count === 5.0", True),
        ("payload.count === 6", False),
        ("payload.count !== 6", True),
        ("payload.count !== 5", False),
        ("payload.ratio === 1", True),
        ("payload.title === 'Fix the Parser'", True),
        ("payload.title === Fix the Parser", True),
        ("payload.title === fix", False),
        ("payload.draft === false", True),
        ("payload.draft === 0", False),
        ("payload.nothing === null", True),
        ("payload.absent === null", False),
        ("payload.absent === undefined", True),
        ("payload.absent !== 1", True),
        ('payload.empty === ""', True),
        ("payload.labels.1 === p1", True),
        ("payload.review.state === approved", True),
        ("payload.count > 4", True),
        ("payload.count > 5", False),
        ("payload.count >= 5", True),
        ("payload.count < 5.5", True),
        ("payload.count <= -1", False),
        ("payload.count < 1e3", True),
        ("payload.title > 1", False),
        ("payload.draft < 1", False),
        ("payload.absent < 1", False),
        ("payload.nothing <= 0", False),
        ("payload.large === 12345678901234567890", True),
        ("payload.large === 12345678901234567891", False),
        ("payload.large > 12345678901234567889", True),
        ("payload.large < 12345678901234567890", False),
        ("payload.exact === 0.12345678901234567890123", True),
        ("payload.exact > 0.12345678901234567890122", True),
        ("payload.exact >= 0.1234567890123456789013", False),
    ],
)
def test_a_comparison_is_computed(rule: str, expected: bool) -> None:
    large = {"large": 12345678901234567890, "exact": Decimal("0.12345678901234567890123")}
    event = {**EVENT, "payload": {**EVENT["payload"], **large}}
    assert at("payload.computed", enriched({"compute": {"payload.computed": rule}}, event)) is expected


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"copy": {"payload.x": "payload.absent", "payload.title": "payload.absent"}},
        {"set": {"payload.count": 5, "payload.ratio": 1}},
        {"compute": {"payload.draft": "payload.count > 5"}},
    ],
)
def test_an_event_that_has_it_all_passes_unchanged(config: dict[str, Any]) -> None:
    assert opened(transform, config).apply_now(EVENT, SCOPE) == Pass()


async def test_apply_is_the_same_as_apply_now() -> None:
    step = opened(transform, {"set": {"payload.x": 1}})
    assert await step.apply(EVENT, SCOPE) == step.apply_now(EVENT, SCOPE)
    await step.close()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"set": {"id": "x"}}, "'id' cannot be written"),
        ({"copy": {"trace_id": "id"}}, "'trace_id' cannot be written"),
        ({"compute": {"source": "a === 1"}}, "'source' cannot be written"),
        ({"set": {"hops": 0}}, "belongs to the event for good"),
        ({"set": {"parents.0": "x"}}, "belongs to the event for good"),
        ({"set": {"timestamp": "{{now}}"}}, "belongs to the event for good"),
        ({"set": {"type": 5}}, "must be text"),
        ({"set": {"type.x": 5}}, "has nothing below it"),
        ({"set": {"provenance": []}}, "must be a map"),
        ({"set": {"a..b": 1}}, "empty part"),
        ({"set": {"payload.x": "{{ }}"}}, "the placeholder .* is empty"),
        ({"set": {"payload.x": 1}, "add": {"payload.x": 2}}, "both write payload.x"),
        ({"copy": {"payload.x": "a..b"}}, "'a..b' is not a path"),
        ({"compute": {"payload.x": "payload.count"}}, "is not a comparison"),
        ({"compute": {"payload.x": "payload.count == 5"}}, "is not a comparison"),
        ({"compute": {"payload.x": "payload.count === "}}, "is not a comparison"),
        ({"compute": {"payload.x": "payload.count > many"}}, "'many' is not a number"),
    ],
)
def test_what_cannot_work_is_refused_when_it_opens(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(transform, config)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        opened(transform, {"sets": {"payload.x": 1}})


STEP = opened(
    transform,
    {
        "set": {"payload.a.b": {"x": ["{{id}}"]}, "provenance.a": 1, "own": "{{now}}"},
        "copy": {"payload.a.c": "provenance", "provenance.b.c": "payload"},
        "compute": {"payload.d": "payload.a === 1", "payload.e": "payload.f > 1"},
    },
)


@given(documents)
def test_no_event_is_ever_mutated(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    result = STEP.apply_now(document, SCOPE)
    assert document == before
    assert isinstance(result, Change)
    assert result.document["provenance"] is not document["provenance"]
    assert at("payload.a.b.x.0", result.document) == document["id"]
    assert at("payload.e", result.document) is not MISSING


def test_two_routes_never_see_each_others_changes() -> None:
    one = enriched({"set": {"provenance.team": "core"}})
    other = enriched({"set": {"provenance.squad": "ops"}})
    assert "squad" not in one["provenance"]
    assert "team" not in other["provenance"]
    assert EVENT["provenance"].keys().isdisjoint({"squad", "team"})


def test_a_constant_in_the_settings_is_not_shared_between_events() -> None:
    step = opened(transform, {"set": {"payload.list": [{}]}})
    one, other = step.apply_now(EVENT, SCOPE), step.apply_now(EVENT, SCOPE)
    assert isinstance(one, Change)
    assert isinstance(other, Change)
    one.document["payload"]["list"][0]["x"] = 1
    assert other.document["payload"]["list"] == [{}]
