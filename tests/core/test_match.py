"""Matching: the index finds exactly what a plain look at every route finds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.events.event import event_names, event_title
from orgloop.core.events.fields import Path
from orgloop.core.events.match import Condition, Matcher, When, explain, names_match, near_miss


def when(source: str = "github", *events: str, **filters: Any) -> When:
    conditions = tuple(
        Condition(
            path=Path.parse(path.replace("__", ".")),
            values=tuple(value) if isinstance(value, list) else (value,),
        )
        for path, value in filters.items()
    )
    return When(source=source, events=events or ("resource.changed",), filter=conditions)


def document(**payload: Any) -> dict[str, Any]:
    provenance = {
        "platform": "github",
        "platform_event": "pull_request.review_submitted",
        "native_event": "pull_request_review",
        "native_action": "submitted",
    }
    return {"source": "github", "type": "resource.changed", "provenance": provenance, "payload": payload}


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("resource.changed", True),
        ("pull_request.review_submitted", True),
        ("pull_request_review", True),
        ("pull_request_review.submitted", True),
        ("pull_request_review.*", True),
        ("pull_request*", True),
        ("*", True),
        ("pull_request", False),
        ("resource", False),
        ("submitted", False),
        ("pull_request_review.dismissed", False),
    ],
)
def test_an_event_answers_to_each_of_its_names_and_no_bare_prefix(name: str, matches: bool) -> None:
    assert bool(Matcher([when("github", name)]).match(document())) is matches
    assert names_match([name], event_names("resource.changed", document()["provenance"])) is matches


@pytest.mark.parametrize(
    ("platform_event", "names"),
    [
        ("pull_request.merged", ["pull_request.merged", "pull_request"]),
        ("pull_request.closed", ["pull_request.closed", "pull_request"]),
        ("push", ["push", "pull_request", "pull_request.closed"]),
        ("", ["pull_request", "pull_request.closed"]),
    ],
)
def test_a_more_exact_name_stands_for_the_providers_own(platform_event: str, names: list[str]) -> None:
    native = {"native_event": "pull_request", "native_action": "closed"}
    found = event_names("resource.changed", {"platform_event": platform_event, **native})
    assert list(found) == ["resource.changed", *names]


@pytest.mark.parametrize(
    ("kind", "platform_event", "title"),
    [
        ("actor.stopped", "session.failed", "actor.stopped (session.failed)"),
        ("actor.stopped", "actor.stopped", "actor.stopped"),
        ("actor.stopped", "", "actor.stopped"),
        ("resource.changed", "push", "push"),
        ("resource.changed", "", "resource.changed"),
    ],
)
def test_the_end_of_a_run_is_shown_with_the_type_that_routes_name(
    kind: str, platform_event: str, title: str
) -> None:
    assert event_title(kind, platform_event) == title


@pytest.mark.parametrize(
    ("wanted", "found", "matches"),
    [
        (1, 1.0, True),
        (1, True, False),
        ("1", 1, False),
        (True, True, True),
        (None, None, True),
        (None, "absent", False),
        (["a", "b"], "b", True),
        (["a", "b"], "c", False),
        ("a", ["a"], False),
        ([{"x": 1}], {"x": 1}, True),
    ],
)
def test_a_filter_compares_types_and_takes_any_of_a_list(wanted: Any, found: Any, matches: bool) -> None:
    event = document() if found == "absent" else document(value=found)
    assert bool(Matcher([when(payload__value=wanted)]).match(event)) is matches


def test_all_matching_routes_come_in_their_order_once_each() -> None:
    routes = [
        when("github", "*", "resource.changed"),
        when("linear"),
        when("github", "pull_request_review", payload__n=[1, 2]),
        when("github", "pull_request_review", payload__n=3),
        when("github", "resource.changed"),
    ]
    assert Matcher(routes).match(document(n=2)) == [0, 2, 4]


def test_the_verdict_names_every_condition_with_what_was_found() -> None:
    verdict = explain(when("github", "pull_request_review", payload__n=2, payload__m="x"), document(n=2))
    assert (verdict.matched, verdict.source, verdict.events) == (False, True, True)
    assert [held for _, _, held in verdict.conditions] == [True, False]


scalars = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["a", "b", 1.0, 0.0]))
payloads = st.dictionaries(
    st.sampled_from(["p", "q"]), st.one_of(scalars, st.lists(scalars, max_size=1)), max_size=2
)
whens = st.builds(
    lambda source, events, filters: When(
        source=source,
        events=tuple(events),
        filter=tuple(
            Condition(path=Path.parse(f"payload.{key}"), values=tuple(values))
            for key, values in filters.items()
        ),
    ),
    st.sampled_from(["github", "linear"]),
    st.lists(
        st.sampled_from(["resource.changed", "pull_request_review", "pull*", "other", "*.submitted"]),
        min_size=1,
        max_size=2,
    ),
    st.dictionaries(
        st.sampled_from(["p", "q"]),
        st.lists(st.one_of(scalars, st.just([1])), min_size=1, max_size=2),
        max_size=2,
    ),
)


@given(routes=st.lists(whens, max_size=12), payload=payloads)
def test_the_index_agrees_with_looking_at_every_route(routes: list[When], payload: dict[str, Any]) -> None:
    event = document(**payload)
    plain = [number for number, route in enumerate(routes) if explain(route, event).matched]
    assert Matcher(routes).match(event) == plain


KNOWN = ("issues.opened", "issues.edited", "issue_comment", "pull_request.review_submitted", "x.created")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pull_request.review_sumbitted", "pull_request.review_submitted"),
        ("pull-request.review-submitted", "pull_request.review_submitted"),
        ("Issue_Comment", "issue_comment"),
        ("issue.opened", "issues.opened"),
        ("issues.opened", None),
        ("x.edited", None),
        ("issues.created", None),
        ("issues", None),
        ("deployment.created", None),
    ],
)
def test_a_near_miss_is_told_from_another_name(name: str, meant: str | None) -> None:
    assert near_miss(name, KNOWN) == meant
