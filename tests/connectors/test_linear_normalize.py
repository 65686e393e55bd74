"""From Linear's bodies to events."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.connectors.linear.events.changes import FIELDS
from orgloop.connectors.linear.events.names import NAMES
from orgloop.connectors.linear.events.normalize import LONGEST_KEY, normalize
from orgloop.connectors.linear.example import EXAMPLE
from orgloop.connectors.linear.fields import SHAPES
from orgloop.core.events.event import event_names
from orgloop.core.events.fields import Path
from orgloop.core.events.match import near_miss
from orgloop.core.events.shape import may_be, shapes_of
from orgloop.plugin import Draft
from tests.connectors.linear_bodies import (
    AGENT,
    BACKEND,
    BUG,
    CYCLE_7,
    CYCLE_8,
    DELIVERIES,
    DOING,
    DONE,
    HUBOT,
    MONA,
    OPS,
    STRANGER,
    WEB,
    Body,
    actor,
    asked,
    comment,
    created,
    delivery,
    issue,
    session,
    updated,
)


def only(body: Body) -> Draft:
    (draft,) = normalize(body)
    return draft


@pytest.mark.parametrize("name", DELIVERIES)
def test_each_body_is_one_event_with_its_name(name: str) -> None:
    draft = only(DELIVERIES[name])
    assert draft.provenance["platform"] == "linear"
    assert draft.provenance["platform_event"] == name
    assert draft.provenance["author"] == "Mona Lisa"
    assert draft.provenance["author_type"] == "team_member"
    assert draft.key
    assert draft.entity or name == "issue.labels_changed"


CHANGED = [
    ("state", DOING, "state-todo", "In Progress", "Unknown"),
    ("assignee", HUBOT, "user-mona", "Hubot", "Unknown"),
    ("assignee", None, "user-mona", None, "Unknown"),
    ("assignee", HUBOT, None, "Hubot", None),
    ("project", WEB, "project-billing", "Web", "Unknown"),
    ("project", None, "project-billing", None, "Unknown"),
    ("cycle", CYCLE_7, "cycle-6", "Cycle 7", "Unknown"),
    ("cycle", CYCLE_8, None, "Launch", None),
    ("delegate", AGENT, None, "Agent", None),
    ("delegate", None, "user-agent", None, "Unknown"),
]


@pytest.mark.parametrize(("field", "new", "old_id", "new_name", "old_name"), CHANGED)
def test_a_change_tells_the_old_and_the_new_value(
    field: str, new: Body | None, old_id: str | None, new_name: str | None, old_name: str | None
) -> None:
    draft = only(updated({f"{field}Id": old_id}, **{field: new}))
    told = {key: draft.payload[f"{key}_{field}"] for key in ("previous", "new")}
    ids = {key: draft.payload[f"{key}_{field}_id"] for key in ("previous", "new")}
    assert draft.provenance["platform_event"] == f"issue.{field}_changed"
    assert draft.payload["action"] == f"{field}_changed"
    assert (draft.payload["issue_id"], draft.payload["issue_title"]) == ("ENG-42", "Retry failed invoices")
    assert told == {"previous": old_name, "new": new_name}
    assert ids == {"previous": old_id, "new": new["id"] if new else None}


def test_old_names_are_told_where_linear_names_them() -> None:
    before = {"stateId": "state-todo", "state": {"id": "state-todo", "name": "Todo"}}
    assert only(updated(before, state=DOING)).payload["previous_state"] == "Todo"
    assert only(updated({"state": "Backlog"}, state=DOING)).payload["previous_state"] == "Backlog"


def test_labels_that_were_added_and_removed_are_told_apart() -> None:
    payload = only(updated({"labelIds": ["label-backend", "label-gone"]}, labels=[BACKEND, BUG])).payload
    assert payload["previous_labels"] == ["Unknown", "backend"]
    assert payload["new_labels"] == ["backend", "bug"]
    assert (payload["added_labels"], payload["added_label_ids"]) == (["bug"], ["label-bug"])
    assert (payload["removed_labels"], payload["removed_label_ids"]) == (["Unknown"], ["label-gone"])
    assert only(updated({"labelIds": ["label-bug"]}, labels=[])).payload["new_labels"] == []


def test_a_delegate_has_the_names_that_published_projects_use() -> None:
    payload = only(updated({"delegateId": "user-agent"}, delegate=None)).payload
    assert (payload["old_delegate_id"], payload["new_delegate"], payload["new_delegate_id"]) == (
        "user-agent",
        None,
        None,
    )


def test_one_update_of_several_fields_is_one_event_for_each() -> None:
    drafts = normalize(
        updated({"stateId": "state-todo", "assigneeId": None, "title": "x"}, state=DOING, assignee=HUBOT)
    )
    assert [one.provenance["platform_event"] for one in drafts] == [
        "issue.state_changed",
        "issue.assignee_changed",
    ]
    assert len({one.key for one in drafts}) == 2
    assert len({one.entity for one in drafts}) == 2


def test_an_update_of_anything_else_passes_with_its_data() -> None:
    body = updated({"title": "Retry"})
    draft = only(body)
    assert draft.provenance["platform_event"] == "issue.update"
    assert draft.payload == {"data": body["data"]}
    assert draft.provenance["issue_id"] == "ENG-42"
    removed = only(delivery("Issue", "remove", issue(), actor(MONA)))
    assert removed.provenance["platform_event"] == "issue.remove"


def test_other_types_pass_with_their_whole_body() -> None:
    body = delivery("ProjectUpdate", "create", {"id": "update-1", "body": "On track."}, actor(MONA))
    draft = only(body)
    assert draft.provenance["platform_event"] == "projectupdate.create"
    assert draft.payload == body
    edited = comment() | {"action": "update", "updatedFrom": {"body": "before"}}
    assert only(edited).provenance["platform_event"] == "comment.update"
    assert only(edited).payload == edited


def test_a_comment_on_something_else_than_an_issue_is_told_all_the_same() -> None:
    draft = only(comment(issue=None, issueId=None, projectUpdateId="update-1"))
    assert draft.provenance["platform_event"] == "comment.created"
    assert (draft.payload["issue_id"], draft.payload["issue_title"]) == ("unknown", "")


@pytest.mark.parametrize("kind", ["Issue", "Comment"])
@pytest.mark.parametrize("data", [None, [], "text", {}])
def test_an_issue_or_comment_without_data_is_no_event(kind: str, data: Any) -> None:
    assert normalize({"type": kind, "action": "create", "data": data}) == ()


AUTHORS: list[tuple[Body, str, str]] = [
    (created(), "Mona Lisa", "team_member"),
    (created(creator=AGENT), "Agent", "bot"),
    (created(creator=None, externalUserCreator=STRANGER), "Stranger", "external"),
    (created(creator=None), "unknown", "unknown"),
    (comment(user=HUBOT), "Hubot", "team_member"),
    (comment(user=None, externalUser=STRANGER), "Stranger", "external"),
    (comment(user=None), "unknown", "unknown"),
    # A comment that an integration brought in for somebody outside.
    (comment(externalUser=STRANGER), "Stranger", "external"),
    (updated({"priority": 0}), "Mona Lisa", "team_member"),
    (updated({"priority": 0}, actor({"id": "i", "service": "github"}, "integration")), "github", "bot"),
    (updated({"priority": 0}, actor({"id": "o", "name": "Bot"}, "OauthClient")), "Bot", "bot"),
    (updated({"priority": 0}, actor({"id": "o", "name": "Bot"}, "oauth_client")), "Bot", "bot"),
    (updated({"priority": 0}, actor(STRANGER, "externalUser")), "Stranger", "external"),
    (updated({"priority": 0}, actor(MONA, "somethingNew")), "Mona Lisa", "unknown"),
    (updated({"priority": 0}, {"isBot": True, **actor(MONA)}), "Mona Lisa", "bot"),
    (updated({"priority": 0}) | {"actor": None}, "linear", "system"),
    ({"type": "Cycle", "action": "update", "data": {"id": "c"}}, "unknown", "unknown"),
]


@pytest.mark.parametrize(("body", "author", "kind"), AUTHORS)
def test_the_author_is_who_did_it(body: Body, author: str, kind: str) -> None:
    provenance = only(body).provenance
    assert (provenance["author"], provenance["author_type"]) == (author, kind)


def test_who_changed_an_issue_is_its_author_not_who_it_is_assigned_to() -> None:
    draft = only(updated({"stateId": "state-todo"}, actor(HUBOT), state=DOING, assignee=MONA))
    assert (draft.provenance["author"], draft.provenance["author_id"]) == ("Hubot", "user-hubot")


def test_a_fact_has_one_key_however_it_is_sent() -> None:
    revoked = {"type": "OAuthApp", "action": "revoked", "organizationId": "a", "webhookTimestamp": 2}
    for name, body in {**DELIVERIES, "oauthapp.revoked": revoked}.items():
        again = copy.deepcopy(body) | {"webhookTimestamp": 1, "webhookId": "another"}
        assert only(again).key == only(body).key, name


def test_facts_that_differ_have_keys_that_differ() -> None:
    later = "2026-01-05T12:00:00.001Z"
    bodies = [
        *DELIVERIES.values(),
        updated({"stateId": "state-todo"}, state=DOING, updatedAt=later),
        updated({"stateId": "state-done"}, state=DOING),
        updated({"title": "a"}),
        updated({"title": "b"}),
        updated({"title": "a"}, updatedAt=later),
        delivery("Issue", "remove", issue()),
        created(id="issue-43"),
        comment(id="comment-901"),
        comment() | {"action": "update", "updatedFrom": {"body": "a"}},
        {"type": "OAuthApp", "action": "revoked", "organizationId": "a"},
        {"type": "OAuthApp", "action": "revoked", "organizationId": "b"},
    ]
    keys = [one.key for body in bodies for one in normalize(body)]
    assert len(keys) == len(set(keys))


def test_what_a_later_event_says_again_is_one_thing_and_what_it_does_not_say_is_another() -> None:
    """Of one thing, the last event of a batch counts: so each field is a thing, and each change of labels."""
    state = updated({"stateId": "state-todo"}, state=DOING)
    assert things(state) == things(updated({"stateId": "state-doing"}, state=DONE)) != [None]
    assert things(updated({"stateId": "a", "assigneeId": "b"})) != things(
        updated({"stateId": "a", "priority": 0})
    )
    assert things(updated({"labelIds": ["label-bug"]})) == [None]
    assert things(DELIVERIES["agent_session.prompted"]) != things(DELIVERIES["agent_session.created"])
    other = asked("prompted", session(), agentActivity={"id": "activity-8", "user": MONA})
    assert things(DELIVERIES["agent_session.prompted"]) != things(other)
    assert things(delivery("Project", "update", {"id": "p"}, updatedFrom={"state": "planned"})) == [None]
    edit = comment() | {"action": "update", "updatedFrom": {"body": "a"}}
    assert things(edit) == things(comment())
    assert things(updated({"title": "a"})) == things(updated({"description": "b"})) == things(created())


def things(body: Body) -> list[str | None]:
    return [one.entity for one in normalize(body)]


def test_a_key_is_bounded_whatever_stands_in_the_body() -> None:
    ids = [f"label-{number}" for number in range(20_000)]
    for body in (
        updated({"labelIds": ids}),
        created(id="x" * 100_000),
        updated({"title": 1}, id="y" * 99_999),
    ):
        draft = only(body)
        assert len(draft.key or "") <= LONGEST_KEY
        assert len(draft.entity or "") <= LONGEST_KEY


def test_every_name_is_known_and_no_known_name_is_a_slip() -> None:
    drafts = [only(body) for body in DELIVERIES.values()]
    given = {name for one in drafts for name in event_names(one.type, one.provenance)[1:]}
    assert given <= set(NAMES)
    assert all(near_miss(name, NAMES) is None for name in NAMES)
    assert near_miss("issue.state_change", NAMES) == "issue.state_changed"


def leaves(node: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(node, Mapping):
        return [leaf for key, value in node.items() for leaf in leaves(value, f"{path}.{key}")]
    return [] if isinstance(node, list) else [(path, node)]


@pytest.mark.parametrize("name", DELIVERIES)
def test_every_field_is_declared_with_its_values(name: str) -> None:
    draft = only(DELIVERIES[name])
    (shape,) = shapes_of([name], SHAPES)
    for path, value in (*leaves(draft.provenance, "provenance"), *leaves(draft.payload, "payload")):
        assert shape.has(Path.parse(path)), path
        assert may_be(value, shape.values(Path.parse(path))), path


def test_the_example_is_an_event_that_linear_leads_to() -> None:
    before = {"stateId": "state-todo", "state": {"name": "Todo"}}
    draft = only(updated(before, state=DOING, assignee=HUBOT, project={"id": "p", "name": "Billing"}))
    for shown, made in ((EXAMPLE["provenance"], draft.provenance), (EXAMPLE["payload"], draft.payload)):
        assert list(shown) == list(made)
        assert all(type(shown[key]) is type(made[key]) for key in made)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        *sorted(FIELDS),
        "id",
        "identifier",
        "team",
        "labels",
        "updatedAt",
        "url",
        "issue",
        "user",
        "externalUser",
    ]
)


@given(
    kind=st.sampled_from(["Issue", "Comment", "Reaction", "AgentSessionEvent"]),
    action=st.sampled_from(["create", "update", "remove"]),
    data=st.dictionaries(KEYS, JSON, max_size=8),
    before=st.dictionaries(KEYS, JSON, max_size=4) | JSON,
    by=JSON,
)
def test_no_body_breaks_the_reading(kind: str, action: str, data: Any, before: Any, by: Any) -> None:
    for draft in normalize(
        {"type": kind, "action": action, "data": data, "updatedFrom": before, "actor": by}
    ):
        json.dumps([draft.provenance, draft.payload])
        assert isinstance(draft.provenance["author"], str)


def test_a_team_of_another_kind_is_none() -> None:
    assert only(created(team=OPS)).provenance["team"] == "OPS"
    body = created()
    body["data"]["team"] = ["ENG"]
    assert only(body).provenance["team"] == ""
