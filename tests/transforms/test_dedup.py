"""dedup: which events are the same."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from orgloop.plugin import Pass
from orgloop.transforms.dedup import DedupSettings, transform
from tests.transforms.given import EVENT, SCOPE, documents, opened


def once(config: Mapping[str, Any], document: Mapping[str, Any] = EVENT) -> Pass:
    step = opened(transform, config)
    assert step.bounded
    result = step.apply_now(document, SCOPE)
    assert isinstance(result, Pass)
    return result


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({}, "source\0github\0type\0resource.changed\0id\0evt_1"),
        ({"key": ["source"]}, "source\0github"),
        ({"key": "source"}, "source\0github"),
        ({"fields": ["source", "provenance.pr_number"]}, "source\0github\0provenance.pr_number\x0042"),
        ({"fields": "source"}, "source\0github"),
        ({"key_fields": ["source"]}, "source\0github"),
        ({"key": ["payload.ratio", "payload.empty"]}, "payload.ratio\x001\0payload.empty\0"),
        ({"key": ["payload.draft", "payload.ratio"]}, "payload.draft\0false\0payload.ratio\x001"),
        ({"key": "payload.labels"}, 'payload.labels\0["bug","p1"]'),
    ],
)
def test_the_key_is_the_hash_of_the_paths_and_their_values(config: dict[str, Any], key: str) -> None:
    assert once(config).once == sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("payload.nope", "the event has no payload.nope"),
        (["source", "payload.nothing"], "the event has no payload.nothing"),
        (["payload.nope", "id", "payload.labels.9"], "the event has no payload.nope and no payload.labels.9"),
    ],
)
def test_a_key_of_which_a_part_has_no_value_is_no_key(key: Any, why: str) -> None:
    """Else all events without it would be one another's duplicates."""
    assert once({"key": key}) == Pass(no_key=why)


def test_equal_values_at_other_paths_are_another_key() -> None:
    """Two steps of one route would otherwise take one's author for the other's reviewer."""
    same = {**EVENT, "payload": {"author": "ada", "reviewer": "ada"}}
    assert once({"key": "payload.author"}, same).once != once({"key": "payload.reviewer"}, same).once


@pytest.mark.parametrize(
    ("config", "window_ms"), [({}, 300_000), ({"window": "10s"}, 10_000), ({"window": "1d"}, 86_400_000)]
)
def test_the_window_is_handed_on(config: dict[str, Any], window_ms: int) -> None:
    assert once(config).window_ms == window_ms


async def test_apply_is_the_same_as_apply_now() -> None:
    step = opened(transform, {})
    assert await step.apply(EVENT, SCOPE) == step.apply_now(EVENT, SCOPE)
    await step.close()


def test_keys_of_older_files_are_taken_and_named_as_without_effect() -> None:
    assert once({"key": ["source"], "store": "memory", "track_delivery": True}).once
    assert DedupSettings.without_effect() == {"store", "track_delivery"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"keys": ["source"]}, "Extra inputs"),
        ({"key": ["source"], "fields": ["id"]}, "mean the same"),
        ({"window": "0s"}, "greater than 0"),
        ({"window": "5 minutes"}, "not a duration"),
        ({"store": "redis"}, "memory"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        opened(transform, config)


@pytest.mark.parametrize(("key", "message"), [([], "`key` is empty"), (["a..b"], "empty part")])
def test_a_key_that_cannot_work_is_refused_when_it_opens(key: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(transform, {"key": key})


STEP = opened(transform, {"key": ["source", "id", "type"]})


@given(documents, documents)
def test_events_have_one_key_exactly_if_their_values_read_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert STEP.apply_now(one, SCOPE) == STEP.apply_now({**one, "trace_id": "x"}, SCOPE)
    if other["id"] != one["id"] and "\0" not in f"{one}{other}" and "\\x00" not in f"{one}{other}":
        assert STEP.apply_now(one, SCOPE) != STEP.apply_now({**one, "id": other["id"]}, SCOPE)
