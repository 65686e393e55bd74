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
        ({}, 'source\0"github"\0type\0"resource.changed"\0id\0"evt_1"'),
        ({"key": ["source"]}, 'source\0"github"'),
        ({"key": "source"}, 'source\0"github"'),
        ({"fields": ["source", "provenance.pr_number"]}, 'source\0"github"\0provenance.pr_number\x0042'),
        ({"fields": "source"}, 'source\0"github"'),
        ({"key_fields": ["source"]}, 'source\0"github"'),
        ({"key": ["payload.draft", "payload.ratio"]}, "payload.draft\0false\0payload.ratio\x001"),
        ({"key": "payload.labels"}, 'payload.labels\0["bug","p1"]'),
    ],
)
def test_the_key_is_the_hash_of_the_paths_and_their_values(config: dict[str, Any], key: str) -> None:
    assert once(config).once == sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("payload.nope", "no value at payload.nope"),
        (["source", "payload.nothing"], "no value at payload.nothing"),
        (["payload.ratio", "payload.empty"], "no value at payload.empty"),
        (["payload.nope", "id", "payload.labels.9"], "no value at payload.nope, payload.labels.9"),
    ],
)
def test_a_key_of_which_a_part_has_no_value_is_no_key(key: Any, why: str) -> None:
    """Else all events without it would be one another's duplicates."""
    assert once({"key": key}) == Pass(no_key=why)


def test_numbers_and_text_are_other_keys_and_the_same_number_is_one() -> None:
    keys = [once({"key": "payload.n"}, {**EVENT, "payload": {"n": n}}).once for n in (100, 1e2, "100", "1e2")]
    assert [keys.index(key) for key in keys] == [0, 0, 2, 3]


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
def test_events_have_one_key_exactly_if_their_values_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    one |= {key: f"x{one[key]}" for key in ("source", "id", "type")}
    assert STEP.apply_now(one, SCOPE) == STEP.apply_now({**one, "trace_id": "x"}, SCOPE)
    other_id = f"x{other['id']}"
    is_same = STEP.apply_now(one, SCOPE) == STEP.apply_now({**one, "id": other_id}, SCOPE)
    assert is_same is (one["id"] == other_id)
