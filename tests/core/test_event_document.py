"""What is an event, and what is not: one rule for `test`, `emit` and /control/emit."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.events.document import FILLED, MOST_HOPS, parse_event
from orgloop.errors import Refused

GIVEN = {
    "id": "evt_19b5a1c2d3e4f506",
    "timestamp": "2026-01-05T10:00:00.000Z",
    "trace_id": "trc_19b5a1c2d3e4f507",
}
SOUND: dict[str, Any] = {"source": "hooks", "type": "resource.changed", "provenance": {"platform": "webhook"}}


def parsed(document: Any) -> Any:
    return parse_event(document, GIVEN, {"hooks", "agent"})


def test_what_it_lacks_is_filled_in_and_told() -> None:
    found = parsed(SOUND)
    assert found.filled == list(FILLED)
    assert {name: getattr(found.event, name) for name in FILLED} == GIVEN
    assert (found.event.payload, found.event.hops, found.event.parents) == ({}, 0, ())


def test_what_it_has_is_kept() -> None:
    own = {
        "id": "evt_mine-1",
        "timestamp": "2025-12-31T23:59:59+01:00",
        "trace_id": "trc_a",
        "parents": ["evt_x"],
        "hops": 3,
    }
    found = parsed({**SOUND, **own, "payload": [1], "note": "more"})
    assert found.filled == []
    assert {name: found.event.document()[name] for name in own} == own
    assert found.event.extra == {"note": "more"}


def test_without_a_type_something_has_changed() -> None:
    found = parsed({"source": "hooks", "provenance": {"platform": "webhook"}})
    assert found.event.type == "resource.changed"


def test_who_only_tries_an_event_may_say_that_it_comes_from_elsewhere() -> None:
    found = parse_event({**SOUND, "source": "elsewhere"}, GIVEN, {"hooks"}, strict=False)
    assert found.event.source == "elsewhere"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"source": None}, "`source` is missing"),
    ({"source": 5}, "`source` is not text"),
    ({"source": "stranger"}, "`source` is 'stranger'"),
    ({"type": None}, "`type` is None"),
    ({"type": ""}, "`type` is ''"),
    ({"type": "foo"}, "`type` is 'foo'"),
    ({"type": ["resource.changed"]}, "`type` is ["),
    ({"provenance": None}, "`provenance` is missing"),
    ({"provenance": {}}, "`provenance.platform` is missing"),
    ({"provenance": []}, "`provenance` is not an object"),
    ({"provenance": {"platform": 1}}, "`provenance.platform`"),
    ({"provenance": {"platform": "x", "platform_event": 5}}, "`provenance.platform_event` is not text"),
    ({"provenance": {"platform": "x", "author_type": "root"}}, "`provenance.author_type` is 'root'"),
    ({"timestamp": "yesterday"}, "`timestamp` is 'yesterday'"),
    ({"timestamp": "2026-02-30T00:00:00Z"}, "`timestamp` is"),
    ({"timestamp": "2026-01-05T10:00:00"}, "`timestamp` is"),
    ({"timestamp": 5}, "`timestamp` is 5"),
    ({"id": "../../x y"}, "`id` is '../../x y'"),
    ({"id": "evt_$(id)"}, "`id` is"),
    ({"id": "evt_a\n"}, "`id` is"),
    ({"id": "evt_-f"}, "`id` is"),
    ({"id": f"evt_{'a' * 65}"}, "`id` is"),
    ({"id": 5}, "`id` is 5"),
    ({"trace_id": "evt_1"}, "`trace_id` is 'evt_1'"),
    ({"parents": 5}, "`parents` is not a list"),
    ({"parents": [1]}, "`parents` is 1"),
    ({"parents": ["x y"]}, "`parents` is 'x y'"),
    ({"hops": -1}, "`hops` is -1"),
    ({"hops": True}, "`hops` is True"),
    ({"hops": 0.5}, "`hops` is 0.5"),
    ({"hops": MOST_HOPS + 1}, "`hops` is"),
]


@pytest.mark.parametrize(("change", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_is_no_event_is_refused_with_field_and_reason(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused) as caught:
        parsed({**SOUND, **change})
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("document", [None, [], "event", 5])
def test_what_is_no_object_is_refused(document: Any) -> None:
    with pytest.raises(Refused, match="not a JSON object"):
        parsed(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*SOUND, *GIVEN, "parents", "hops", "payload"]), JSON))
def test_whatever_comes_is_an_event_or_is_refused(change: dict[str, Any]) -> None:
    try:
        event = parsed({**SOUND, **change}).event
    except Refused:
        return
    json.dumps(event.document())
    for id in (event.id, event.trace_id, *event.parents):
        assert shlex.quote(id) == id
