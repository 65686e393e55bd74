"""filter: which events pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from orgloop.plugin import Discard, Pass
from orgloop.transforms.filter import transform
from tests.transforms.given import EVENT, SCOPE, documents, opened


def decide(config: Mapping[str, Any], document: Mapping[str, Any] = EVENT) -> Any:
    step = opened(transform, config)
    assert step.bounded
    return step.apply_now(document, SCOPE)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"match": {}},
        {"exclude": {"provenance.author_type": "bot"}},
        {"exclude": {"payload.absent": "x", "provenance.author": "bob"}},
        {"match": {"provenance.author_type": "team_member", "payload.count": 5}},
        {"match": {"provenance.author_type": "bot, team_member"}},
        {"match": {"payload.labels.0": "bug"}},
        {"match": {"payload.nothing": None, "payload.absent": None}},
        {"match": {"payload.title": "/^fix/i"}},
        {"match_any": {"payload.absent": "x", "payload.draft": False}},
        {
            "exclude": {"payload.draft": True},
            "match": {"type": "resource.changed"},
            "match_any": {"payload.count": 5},
        },
    ],
)
def test_passes(config: dict[str, Any]) -> None:
    assert decide(config) == Pass()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"exclude": {"provenance.author": "ada"}}, "exclude: provenance.author matches ada"),
        ({"match": {"payload.count": "5"}}, "match: payload.count does not match 5"),
        ({"match": {"payload.labels": "bug"}}, "match: payload.labels does not match bug"),
        (
            {"match": {"type": "resource.changed", "payload.draft": True}},
            "match: payload.draft does not match true",
        ),
        ({"match_any": {"a": 1, "b": 2}}, "match_any: none of a, b matches"),
        (
            {"exclude": {"source": "github"}, "match": {"source": "linear"}},
            "exclude: source matches github",
        ),
        ({"match": {"a": ["x", None, 1], "b": "x" * 99}}, "match: b does not match " + "x" * 80 + "…"),
    ],
)
def test_a_drop_says_which_rule(config: dict[str, Any], reason: str) -> None:
    assert decide(config) == Discard(reason=reason)


async def test_apply_is_the_same_as_apply_now() -> None:
    step = opened(transform, {"match": {"source": "linear"}})
    assert await step.apply(EVENT, SCOPE) == step.apply_now(EVENT, SCOPE)
    await step.close()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"match": {"payload.title": "/(/"}}, "'/\\(/' is not a regular expression"),
        ({"match": {"payload..title": "x"}}, "has an empty part"),
        ({"jq": ".payload |"}, "`jq` is not a program that can run: jq: error: syntax error"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_it_opens(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(transform, config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"match_any": {}}, "nothing could pass"),
        ({"jq": ".", "match": {"a": 1}}, "excludes patterns"),
        ({"matches": {"a": 1}}, "Extra inputs"),
        ({"timeout": "0s"}, "greater than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        opened(transform, config)


FILTERS = [
    opened(transform, config)
    for config in (
        {"exclude": {"payload": "/b/i", "payload.0.a": None, "provenance.a": ["/^$/", 1, "x,y"]}},
        {"match": {"payload": {"a": [1]}, "type": "/./s"}},
        {"match_any": {"payload.a": 1, "id": "/[^a]/", "trace_id": "a, b"}},
    )
]


@given(documents)
def test_no_event_makes_a_filter_raise(document: dict[str, Any]) -> None:
    for step in FILTERS:
        assert isinstance(step.apply_now(document, SCOPE), Pass | Discard)
