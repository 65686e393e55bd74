"""Linear's deliveries, as they come in."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from pydantic import ValidationError

from orgloop.connectors.linear import connector
from orgloop.connectors.linear.settings import LinearSettings
from orgloop.connectors.linear.source import OLDEST, LinearSource
from orgloop.errors import Refused
from orgloop.plugin import CheckStatus, Inbound, Mark, Poller, Received, Receiver
from tests.connectors.doubles import FakeContext, as_context, inbound
from tests.connectors.linear_bodies import (
    AGENT,
    BILLING,
    DELIVERIES,
    STAMP,
    STRANGER,
    Body,
    actor,
    comment,
    created,
    updated,
)

GUID = "234d1a4e-b617-4388-90fe-adc3633d6b72"
SECRET = "lin_wh_0123456789abcdef"


def raw(content: bytes, secret: str = SECRET, **headers: str) -> Inbound:
    signature = hmac.new(secret.encode(), content, "sha256").hexdigest()
    return inbound(content, **{"Linear_Signature": signature, "Linear_Delivery": GUID, **headers})


def sent(body: Body, secret: str = SECRET, **headers: str) -> Inbound:
    return raw(json.dumps(body).encode(), secret, **headers)


async def source(context: FakeContext | None = None, **config: Any) -> LinearSource:
    made = LinearSource("linear", LinearSettings.model_validate({"secret": SECRET, **config}))
    await made.open(as_context(context or FakeContext()))
    return made


async def receive(request: Inbound, context: FakeContext | None = None, **config: Any) -> Received:
    return await (await source(context, **config)).receive(request)


async def refused(request: Inbound, **config: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        await receive(request, **config)
    return refusal.value.status, refusal.value.message


def names(received: Received) -> list[str]:
    return [draft.provenance["platform_event"] for draft in received.events]


@pytest.mark.parametrize("name", DELIVERIES)
async def test_a_signed_delivery_is_its_event_with_linears_id(name: str) -> None:
    received = await receive(sent(DELIVERIES[name]))
    assert names(received) == [name]
    assert (received.request, received.reply.status, received.reply.body) == (GUID, 200, None)


async def test_what_is_refused_and_in_which_order() -> None:
    good = json.dumps(DELIVERIES["issue.created"]).encode()
    missing = (401, "Missing Linear-Signature header")
    assert await refused(inbound(good, Linear_Delivery=GUID)) == missing
    assert await refused(inbound(good, Linear_Delivery=GUID, X_Signature="00")) == missing
    assert await refused(raw(good, "another secret")) == (401, "Invalid signature")
    assert await refused(raw(b"no json", "another secret")) == (401, "Invalid signature")
    assert (await refused(raw(b"no json")))[1].startswith("Invalid JSON payload: ")
    assert (await refused(raw(b"null")))[1] == "Invalid JSON payload: it is not an object"
    assert await refused(raw(good, Linear_Delivery=" ")) == (400, "Missing Linear-Delivery header")
    assert (await refused(inbound(b"{}", "GET")))[0] == 405


@pytest.mark.parametrize("key", ["type", "action"])
@pytest.mark.parametrize("value", [None, "", 7, {}, "two words", "a.b", "x" * 65, "Issue\n"])
async def test_a_body_must_say_what_it_is(key: str, value: Any) -> None:
    assert await refused(sent(created() | {key: value})) == (400, "Missing type or action field")


@pytest.mark.parametrize("age", [0, OLDEST, -OLDEST, 6 * 3_600_000 + 15 * 60_000])
async def test_each_of_linears_tries_is_taken(age: int) -> None:
    context = FakeContext()
    context.clock.time = STAMP + age
    assert names(await receive(sent(created()), context)) == ["issue.created"]


@pytest.mark.parametrize("age", [OLDEST + 1, -OLDEST - 1, 10**15])
async def test_a_body_that_was_signed_long_ago_is_refused(age: int) -> None:
    context = FakeContext()
    context.clock.time = STAMP + age
    with pytest.raises(Refused) as refusal:
        await receive(sent(created()), context)
    assert (refusal.value.status, "7h 15m" in refusal.value.message) == (401, True)


@pytest.mark.parametrize("stamp", [None, "now", True, []])
async def test_a_signed_body_must_have_its_time(stamp: Any) -> None:
    missing = (400, "Missing webhookTimestamp field")
    assert await refused(sent(created() | {"webhookTimestamp": stamp})) == missing


async def test_without_a_secret_neither_signature_nor_time_is_needed() -> None:
    made = LinearSource("linear", LinearSettings())
    await made.open(as_context(FakeContext()))
    assert isinstance(made, Receiver)
    assert not isinstance(made, Poller)
    assert not made.signed
    body = created() | {"webhookTimestamp": None}
    received = await made.receive(inbound(json.dumps(body).encode(), Linear_Delivery=GUID))
    assert names(received) == ["issue.created"]
    await made.close()


async def test_one_of_several_secrets_is_enough() -> None:
    both = ["lin_wh_old_0123456789", SECRET]
    assert (await source(secret=both)).signed
    assert names(await receive(sent(created(), both[0]), secret=both)) == ["issue.created"]


async def test_a_body_without_its_signature_is_refused_at_its_head() -> None:
    made = await source()
    made.check_head(inbound(b"", Linear_Signature="00"))
    with pytest.raises(Refused) as refusal:
        made.check_head(inbound(b""))
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"team": "ENG"}, None),
        ({"team": "eng"}, None),
        ({"team": "team-eng"}, None),
        ({"team": "OPS"}, "team_mismatch"),
        ({"project": "Billing"}, None),
        ({"project": "project-billing"}, None),
        ({"project": "Web"}, "project"),
        ({"events": ["issue.created"]}, None),
        ({"events": ["Issue"]}, None),
        ({"events": ["Issue.create"]}, None),
        ({"events": ["issue.*"]}, None),
        ({"events": ["resource.changed"]}, None),
        ({"events": ["Comment", "issue.state_changed"]}, "events"),
        ({"team": "ENG", "project": "Billing", "events": ["issue.created"]}, None),
    ],
)
async def test_settings_say_which_events_are_taken(config: Body, reason: str | None) -> None:
    received = await receive(sent(created(project=BILLING)), **config)
    assert bool(received.events) is (reason is None)
    if reason is not None:
        assert received.reply.body == {"ok": True, "filtered": True, "reason": reason}
        # Another try after the settings changed must not count as a duplicate.
        assert received.request is None


async def test_a_comment_belongs_to_the_team_of_its_issue() -> None:
    assert names(await receive(sent(comment()), team="ENG")) == ["comment.created"]
    assert (await receive(sent(comment()), team="OPS")).events == ()
    # What belongs to no team is taken, as published projects expect.
    assert names(await receive(sent(DELIVERIES["reaction.create"]), team="OPS")) == ["reaction.create"]


async def test_of_an_update_only_the_wanted_changes_are_events() -> None:
    body = updated({"stateId": "a", "priority": 0, "labelIds": []})
    received = await receive(sent(body), events=["issue.priority_changed", "issue.labels_changed"])
    assert names(received) == ["issue.priority_changed", "issue.labels_changed"]


async def test_an_issue_without_data_is_answered_and_is_no_event() -> None:
    received = await receive(sent(created() | {"data": None}))
    assert received.events == ()
    assert received.reply.body == {"ok": True, "events_created": 0, "event_ids": []}


MARK = Mark(run_id="run_0123456789abcdef", actor="engineer", event_id="evt_1", trace_id="trc_1", hops=1)


@pytest.mark.parametrize(
    ("make", "author_type", "cause"),
    [
        (lambda words: comment(body=words), "self", MARK),
        (lambda words: created(description=words), "self", MARK),
        (lambda words: updated({"description": "before"}, description=words), "self", MARK),
        # Somebody else's words, which the update did not touch.
        (lambda words: updated({"stateId": "a"}, description=words), "team_member", None),
        # A mark can be copied: it trusts nobody.
        (lambda words: comment(body=words, user=None, externalUser=STRANGER), "external", None),
        (lambda words: comment(body=words, user=None), "unknown", None),
        (lambda words: comment(body=words, user=AGENT), "bot", MARK),
        (lambda words: updated({"description": ""}, actor(AGENT), description=words), "bot", MARK),
    ],
)
async def test_the_words_of_our_own_runs_are_known_by_their_mark(
    make: Any, author_type: str, cause: Mark | None
) -> None:
    context = FakeContext()
    received = await receive(sent(make(f"Done. {context.marks.comment(MARK)}")), context)
    (draft,) = received.events
    assert (draft.provenance["author_type"], draft.cause) == (author_type, cause)
    assert draft.provenance.get("run_actor") == ("engineer" if cause else None)


def test_settings_of_published_projects_load_and_those_without_effect_are_named() -> None:
    config = {"secret": "s", "path": "/x", "events": ["Issue", "Comment"], "team": "ENG"}
    LinearSettings.model_validate({**config, "buffer_dir": "b", "max_buffer_size": "50MB"})
    assert LinearSettings.without_effect() == {"cache_dir", "path", "buffer_dir", "max_buffer_size"}
    assert LinearSettings.model_validate(config).warnings() == {}


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"secret": ""}, "empty"),
        ({"team": ""}, "at least 1 character"),
        ({"project": ""}, "at least 1 character"),
        ({"events": [""]}, "at least 1 character"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(config: Body, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        LinearSettings.model_validate(config)


def test_a_slip_in_the_events_to_take_is_doubted() -> None:
    told = LinearSettings(events=("issue.state_change", "Issue", "project.*")).warnings()
    assert "issue.state_changed" in told["events"]


async def test_doctor_warns_of_a_missing_secret() -> None:
    check = connector.setup.check
    assert check is not None
    found = [
        await check(LinearSettings.model_validate(config), as_context(FakeContext()))
        for config in ({}, {"secret": "s"})
    ]
    assert [result.status for (result,) in found] == [CheckStatus.WARNING, CheckStatus.OK]


@pytest.mark.parametrize(
    "odd", [None, 7, [], {}, [[]], {"name": [], "id": {}, "key": 7}, {"team": {"key": []}}]
)
@pytest.mark.parametrize("place", ["team", "project", "issue", "teamId", "projectId", "agentSession"])
async def test_no_place_of_a_body_breaks_its_reading(place: str, odd: Any) -> None:
    for name, body in DELIVERIES.items():
        broken = {**body, place: odd}
        if "data" in body:
            broken["data"] = {**body["data"], place: odd}
        received = await receive(sent(broken), team="ENG", project="Billing")
        assert received.reply.status == 200, name
