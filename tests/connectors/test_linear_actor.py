"""The actor that writes to Linear: what it does, once, and what each refusal means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orgloop.connectors.linear import connector
from orgloop.connectors.linear.events.normalize import normalize
from orgloop.connectors.linear.own_ids import id_of, is_by, is_ours
from orgloop.connectors.linear.writing.actor import LinearActor, LinearActorSettings
from orgloop.connectors.linear.writing.tasks import KEYS, check_route
from orgloop.plugin import (
    CheckStatus,
    Delivered,
    Deliverer,
    DeliverOutcome,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    Unavailable,
    Wake,
)
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, as_context, event, wake
from tests.connectors.linear_bodies import (
    AGENT,
    BACKEND,
    BILLING,
    BUG,
    HUBOT,
    MONA,
    OPS,
    Body,
    comment,
    created,
)
from tests.support.linear_server import KEY, LinearServer, failing

NOON = 1_767_614_400_000


@pytest.fixture
async def server() -> AsyncIterator[LinearServer]:
    async with LinearServer(NOON) as server:
        server.create(42, assignee=MONA)
        yield server


class Writer:
    """The actor, and wakes for it."""

    def __init__(self, server: LinearServer, http: HttpClient) -> None:
        self.server = server
        self.context = FakeContext(http=cast(Any, http))

    async def deliver(self, given: Wake, **config: Any) -> DeliverOutcome:
        settings = {"api_key": KEY, "api_url": self.server.url, **config}
        actor = LinearActor("clerk", LinearActorSettings.model_validate(settings))
        assert isinstance(actor, Deliverer)
        await actor.open(as_context(self.context))
        outcome = await actor.deliver(given)
        await actor.close()
        return outcome


@pytest.fixture
def writer(server: LinearServer, http: HttpClient) -> Writer:
    return Writer(server, http)


def order(provenance: Body | None = None, **config: Any) -> Wake:
    about = {"platform": "linear", "platform_event": "issue.state_changed", "issue_id": "ENG-42"}
    return wake(
        actor="clerk", event=event(provenance=about if provenance is None else provenance), config=config
    )


def the_issue(server: LinearServer) -> Body:
    return server.issues["issue-42"]


async def test_a_comment_is_written_on_the_events_issue(server: LinearServer, writer: Writer) -> None:
    outcome = await writer.deliver(order(comment="Looks **good**.\n"))
    assert outcome == Delivered(detail="commented on ENG-42")
    (written,) = server.comments.values()
    assert (written["body"], written["issueId"]) == ("Looks **good**.\n", "issue-42")


async def test_an_issue_may_be_named(server: LinearServer, writer: Writer) -> None:
    server.create(43)
    await writer.deliver(order({"platform": "github"}, issue="ENG-43", comment="See there.", reply_to="root"))
    (written,) = server.comments.values()
    assert (written["issueId"], written["parentId"]) == ("issue-43", "root")


CHANGES: list[tuple[Body, str, Any]] = [
    ({"state": "in progress"}, "state", "state-doing"),
    ({"assignee": "Hubot"}, "assignee", "user-hubot"),
    ({"assignee": "HUBOT@octo.example"}, "assignee", "user-hubot"),
    ({"assignee": "none"}, "assignee", None),
    ({"assignee": None}, "assignee", None),
    ({"delegate": "Agent"}, "delegate", "user-agent"),
    ({"delegate": "me"}, "delegate", "user-mona"),
    ({"project": "billing"}, "project", "project-billing"),
    ({"project": "none"}, "project", None),
    ({"priority": "urgent"}, "priority", 1),
    ({"priority": 3}, "priority", 3),
    ({"priority": "0"}, "priority", 0),
    ({"add_labels": "bug"}, "labels", ["label-backend", "label-bug"]),
    ({"add_labels": ["BUG", "bug"], "remove_labels": ["backend"]}, "labels", ["label-bug"]),
]


@pytest.mark.parametrize(("config", "field", "value"), CHANGES)
async def test_a_field_is_changed_by_name(
    config: Body, field: str, value: Any, server: LinearServer, writer: Writer
) -> None:
    outcome = await writer.deliver(order(**config))
    assert outcome == Delivered(detail="changed ENG-42")
    keys = {"priority": "priority", "labels": "labelIds"}
    assert the_issue(server)[keys.get(field, f"{field}Id")] == value


async def test_several_changes_and_a_comment_are_one_wake(server: LinearServer, writer: Writer) -> None:
    outcome = await writer.deliver(order(state="Done", assignee="Hubot", comment="Done."))
    assert outcome == Delivered(detail="changed ENG-42, commented on ENG-42")
    assert (the_issue(server)["stateId"], the_issue(server)["assigneeId"]) == ("state-done", "user-hubot")
    assert [name for name, _ in server.asked].count("UpdateIssue") == 1


async def test_an_issue_is_created(server: LinearServer, writer: Writer) -> None:
    config: Body = {"title": "Broken build", "description": "See\nthe log.", "state": "Todo"}
    config["assignee"] = "Hubot"
    config |= {"project": "Billing", "priority": "high", "add_labels": ["bug", "backend"]}
    outcome = await writer.deliver(order({"platform": "github"}, **config), team="ENG")
    (made,) = [one for one in server.issues.values() if one["id"] != "issue-42"]
    assert outcome == Delivered(detail=f"created {made['identifier']}")
    assert (made["title"], made["description"], made["priority"]) == ("Broken build", "See\nthe log.", 2)
    assert (made["team"]["id"], made["state"]["id"], made["assignee"]["id"]) == (
        "team-eng",
        "state-todo",
        HUBOT["id"],
    )
    assert (made["project"]["id"], made["labelIds"]) == (BILLING["id"], [BUG["id"], BACKEND["id"]])


async def test_a_state_is_that_of_the_team(server: LinearServer, writer: Writer) -> None:
    await writer.deliver(order(title="Disk full", team=OPS["key"], state="Todo"), team="ENG")
    assert {one["stateId"] for one in server.issues.values()} == {"state-todo", "state-ops-todo"}


ORDERS: list[tuple[Body, Callable[[LinearServer], int]]] = [
    ({"comment": "Once."}, lambda server: len(server.comments)),
    ({"title": "Once", "team": "ENG"}, lambda server: len(server.issues) - 1),
]


@pytest.mark.parametrize(("config", "count"), ORDERS)
@pytest.mark.parametrize("lost", [True, False])
async def test_a_second_try_writes_nothing_twice(
    lost: bool, config: Body, count: Callable[[LinearServer], int], server: LinearServer, writer: Writer
) -> None:
    """Also after an answer that got lost."""
    if lost:
        own = server._own

        def answered(request: web.Request, asked: Body) -> web.Response:
            answer = own(request, asked)
            return failing(502, "Bad gateway", "") if "mutation" in asked["query"] else answer

        server._own = answered  # type: ignore[method-assign]
        outcome = await writer.deliver(order(**config))
        assert isinstance(outcome, Retry)
        assert not outcome.known
        server._own = own  # type: ignore[method-assign]
    first = await writer.deliver(order(**config))
    again = await writer.deliver(order(**config))
    assert isinstance(first, Delivered)
    assert first == again
    assert count(server) == 1


async def test_each_delivery_writes_its_own(server: LinearServer, writer: Writer) -> None:
    for number in range(3):
        given = order(comment="Again.")
        await writer.deliver(wake(event=given.event, config=given.config, delivery_id=f"dlv_{number}"))
    assert len(server.comments) == 3


REFUSED: list[tuple[Body, str]] = [
    ({}, "does not say what to do"),
    ({"session_key": "a"}, "does nothing by itself"),
    ({"issue": "ENG-42"}, "does nothing by itself"),
    ({"reply_to": "a"}, "does nothing by itself"),
    ({"coment": "x"}, "is not something that a linear actor does"),
    ({"comment": ""}, "is empty"),
    ({"comment": " \n"}, "is empty"),
    ({"comment": ["x"]}, "no text"),
    ({"comment": None}, "no text"),
    ({"comment": "x", "issue": ""}, "is empty"),
    ({"comment": "x", "issue": "ENG-404"}, "Linear has no such thing"),
    ({"state": "Nowhere"}, "no state 'Nowhere'"),
    ({"state": "none"}, "always has a state"),
    ({"assignee": "Nobody Else"}, "no user 'Nobody Else'"),
    ({"assignee": ""}, "is empty"),
    ({"project": "Gone"}, "no project 'Gone'"),
    ({"priority": "highest"}, "one of none, urgent"),
    ({"priority": 5}, "one of none, urgent"),
    ({"priority": True}, "one of none, urgent"),
    ({"add_labels": []}, "is empty"),
    ({"add_labels": ["bug", ""]}, "is empty"),
    ({"remove_labels": ["unheard-of"]}, "no label 'unheard-of'"),
    ({"title": "x", "comment": "y"}, "beside `title`"),
    ({"title": "x", "issue": "ENG-42"}, "beside `title`"),
    ({"description": "x"}, "needs a `title`"),
    ({"title": "x"}, "needs a team"),
    ({"title": "x", "team": "NONE"}, "no team 'NONE'"),
    ({"title": ""}, "is empty"),
]


@pytest.mark.parametrize(("config", "words"), REFUSED, ids=str)
async def test_an_order_that_cannot_be_carried_out_changes_nothing(
    config: Body, words: str, server: LinearServer, writer: Writer
) -> None:
    before = str((server.issues, server.comments))
    outcome = await writer.deliver(order(**config))
    assert isinstance(outcome, Rejected)
    assert words in outcome.reason
    assert str((server.issues, server.comments)) == before
    assert KEY not in outcome.reason


async def test_a_name_that_two_have_is_told(server: LinearServer, writer: Writer) -> None:
    server.users.append({**HUBOT, "id": "user-hubot-2"})
    outcome = await writer.deliver(order(assignee="Hubot", comment="x"))
    assert isinstance(outcome, Rejected)
    assert "write the id of the user 'Hubot'" in outcome.reason
    assert server.comments == {}


@pytest.mark.parametrize("provenance", [{"platform": "github", "issue_id": "ENG-42"}, {"platform": "linear"}])
async def test_an_event_about_no_issue_is_told(provenance: Body, writer: Writer) -> None:
    outcome = await writer.deliver(order(provenance, comment="x"))
    assert isinstance(outcome, Rejected)
    assert "about no issue" in outcome.reason


Fault = Callable[[web.Request], web.StreamResponse]
OUTCOMES: list[tuple[Fault, type[DeliverOutcome], bool | None]] = [
    (lambda _: failing(401, "no", "AUTHENTICATION_ERROR"), Unavailable, None),
    (lambda _: failing(403, "no", "FORBIDDEN"), Rejected, None),
    (lambda _: failing(400, "Argument Validation Error", "INVALID_INPUT"), Rejected, None),
    (lambda _: failing(400, "Rate limit exceeded", "RATELIMITED"), Throttled, None),
    (lambda _: failing(429, "slow", "", retry_after="30"), Throttled, None),
    (lambda _: failing(500, "Oops", "INTERNAL"), Retry, False),
    (lambda _: web.Response(text="<html>log in</html>"), Retry, False),
    (lambda _: web.Response(text='{"data": {"issue"'), Retry, False),
]


@pytest.mark.parametrize(("fault", "outcome", "known"), OUTCOMES)
@pytest.mark.parametrize("query", ["Target", "UpdateIssue", "CreateComment"])
async def test_each_refusal_is_the_outcome_that_it_should_be(
    query: str,
    fault: Fault,
    outcome: type[DeliverOutcome],
    known: bool | None,
    server: LinearServer,
    writer: Writer,
) -> None:
    server.broken[query] = fault
    found = await writer.deliver(order(priority=1, comment="x"))
    assert isinstance(found, outcome)
    if isinstance(found, Retry):
        assert found.known is (query == "Target")
    if isinstance(found, Rejected) and outcome is Rejected:
        assert "Linear refuses" in found.reason
    if isinstance(found, Throttled):
        assert found.until > NOON


async def test_a_server_that_is_not_there_pauses_the_actor(http: HttpClient) -> None:
    async with LinearServer(NOON) as gone:
        writer = Writer(gone, http)
    assert isinstance(await writer.deliver(order(comment="x")), Unavailable)


async def test_no_wake_takes_longer_than_it_may(server: LinearServer, writer: Writer) -> None:
    given = order(comment="x")
    slow = writer.context.clock

    def late(_: web.Request) -> web.StreamResponse:
        slow.time += 40_000
        return server._own(_, {"query": "query Viewer { viewer { id } }", "variables": {}})

    server.faults.append(late)
    outcome = await writer.deliver(given)
    assert isinstance(outcome, Rejected | Retry)
    assert len(server.asked) == 1


async def test_an_actor_does_not_answer_itself(server: LinearServer, writer: Writer) -> None:
    """It would comment on its own comment, and on that, without an end."""
    await writer.deliver(order(comment="First."))
    await writer.deliver(order(title="Made", team="ENG"))
    (written,) = server.comments
    (issue,) = [id for id in server.issues if id != "issue-42"]
    for body in (comment(id=written), created(id=issue)):
        (draft,) = normalize(body)
        assert draft.provenance["author_type"] == "self"
        woken = event(provenance=draft.provenance, payload=draft.payload)
        outcome = await writer.deliver(wake(actor="clerk", event=woken, config={"comment": "Second."}))
        assert isinstance(outcome, Skipped)
        other = await writer.deliver(
            wake(
                actor="another",
                event=woken,
                config={"comment": "Second.", "issue": "ENG-42"},
                delivery_id="b",
            )
        )
        assert isinstance(other, Delivered)


async def test_what_others_wrote_is_not_taken_for_its_own(writer: Writer) -> None:
    (draft,) = normalize(comment())
    assert draft.provenance["author_type"] == "team_member"
    (by_app,) = normalize(comment(id=id_of("clerk", "comment", "a"), user=AGENT))
    assert by_app.provenance["author_type"] == "bot"


@given(
    actor=st.text(),
    other=st.text(),
    what=st.sampled_from(["comment", "issue"]),
    delivery=st.text(max_size=40),
)
def test_an_id_tells_who_wrote_it(actor: str, other: str, what: str, delivery: str) -> None:
    id = id_of(actor, what, delivery)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id)
    assert id == id_of(actor, what, delivery)
    assert is_ours(id)
    assert is_by(id, other) is (actor == other)
    assert id != id_of(actor, what, delivery + "x")


@given(st.uuids(version=4))
def test_any_other_id_is_not_ours(id: Any) -> None:
    assert not is_ours(str(id))
    assert not is_ours(str(id).upper())
    assert not is_ours(f"{id}0")


def test_what_every_wake_would_be_refused_for_is_seen_before() -> None:
    fine: list[Body] = [
        {"session_key": "a", "comment": "{{ payload.text }}"},
        {"title": "x", "description": "y", "team": "ENG", "add_labels": ["bug"]},
        {"state": "Done", "issue": "ENG-1", "remove_labels": "bug", "reply_to": "x"},
    ]
    assert [check_route(config) for config in fine] == [{}, {}, {}]
    assert set(check_route({"coment": 1, "title": "x", "comment": "y"})) == {"coment", "comment"}
    assert set(check_route({"issue": "ENG-1"})) == {"issue"}
    assert {key for config in fine for key in config} <= KEYS


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "needs an `api_key`"),
        ({"api_key": "a", "token": "b"}, "exclude each other"),
        ({"api_key": KEY, "team": ""}, "at least 1 character"),
        ({"api_key": KEY, "secret": "s"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(config: Body, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        LinearActorSettings.model_validate(config)


async def test_the_doctor_asks_for_the_actor_too(server: LinearServer, http: HttpClient) -> None:
    assert connector.setup.check is not None
    settings = LinearActorSettings.model_validate({"api_key": KEY, "api_url": server.url, "team": "OPS"})
    found = await connector.setup.check(settings, as_context(FakeContext(http=cast(Any, http))))
    assert [(one.name, one.status) for one in found] == [
        ("login", CheckStatus.OK),
        ("rate limit", CheckStatus.OK),
        ("team", CheckStatus.OK),
    ]


async def test_wakes_may_overlap(server: LinearServer, writer: Writer) -> None:
    wakes = [wake(event=order().event, config={"comment": "x"}, delivery_id=f"dlv_{n}") for n in range(8)]
    outcomes = await asyncio.gather(*(writer.deliver(one) for one in wakes))
    assert {type(one) for one in outcomes} == {Delivered}
    assert len(server.comments) == 8
