"""Linear's agent sessions: an app is asked, says at once that it heard, works, asks back and answers."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from orgloop.connectors.linear.events.normalize import normalize
from orgloop.connectors.linear.polling import poll
from orgloop.connectors.linear.polling.poll import open_source
from orgloop.connectors.linear.settings import LinearSettings
from orgloop.connectors.linear.writing.tasks import ACTIVITIES, check_route
from orgloop.plugin import Delivered, Received, Rejected, Retry
from orgloop.runtime.support.http import HttpClient
from tests.compat.living import Living, living, until
from tests.connectors.doubles import FakeContext, as_context, event, inbound, wake
from tests.connectors.linear_bodies import AGENT, HUBOT, Body, asked, session
from tests.connectors.test_linear_actor import NOON, Writer
from tests.support.linear_server import KEY, LinearServer, failing

SECRET = "lin_wh_0123456789abcdef"


@pytest.fixture
async def server() -> AsyncIterator[LinearServer]:
    async with LinearServer(NOON) as server:
        server.create(42)
        yield server


async def receive(server: LinearServer, http: HttpClient, body: Body, **config: Any) -> Received:
    given = {
        "secret": SECRET,
        "token": KEY,
        "api_url": server.url,
        "acknowledge": "Looking into it.",
        **config,
    }
    source = open_source("linear", LinearSettings.model_validate(given))
    context = FakeContext(http=cast(Any, http))
    await source.open(as_context(context))
    content = json.dumps(body).encode()
    signature = hmac.new(SECRET.encode(), content, "sha256").hexdigest()
    received: Received = await cast(Any, source).receive(
        inbound(content, Linear_Signature=signature, Linear_Delivery="delivery-1")
    )
    return received


def said(server: LinearServer) -> list[tuple[str, Body]]:
    return [(one["agentSessionId"], one["content"]) for one in server.activities.values()]


async def test_a_session_hears_at_once_that_somebody_listens(server: LinearServer, http: HttpClient) -> None:
    received = await receive(server, http, server.ask(42, "@agent please fix this."))
    (draft,) = received.events
    assert draft.provenance["platform_event"] == "agent_session.created"
    assert (draft.payload["prompt"], draft.provenance["agent_session_id"]) == (
        "@agent please fix this.",
        "session-1",
    )
    assert said(server) == [("session-1", {"type": "thought", "body": "Looking into it."})]


async def test_the_same_delivery_again_is_not_acknowledged_twice(
    server: LinearServer, http: HttpClient
) -> None:
    body = server.ask(42, "Please.")
    for _ in range(2):
        assert (await receive(server, http, body)).events
    assert len(server.activities) == 1
    await receive(server, http, server.answer("session-1", "And now?"))
    assert len(server.activities) == 2


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (lambda server: server.ask(42, "Please."), {"acknowledge": None}),
        (lambda server: server.ask(42, "Please."), {"events": ["issue.created"]}),
        (lambda server: server.ask(42, "Please."), {"team": "OPS"}),
        (lambda server: (server.ask(42, "x"), server.answer("session-1", "Stop.", signal="stop"))[1], {}),
        (lambda server: server.change(42, priority=1), {}),
    ],
)
async def test_what_is_not_to_be_answered_is_not_acknowledged(
    make: Any, config: Body, server: LinearServer, http: HttpClient
) -> None:
    await receive(server, http, make(server), **config)
    assert server.activities == {}


@pytest.mark.parametrize(
    "fault",
    [
        failing(400, "Rate limit exceeded", "RATELIMITED"),
        failing(401, "no", "AUTHENTICATION_ERROR"),
        failing(502, "Bad gateway", ""),
    ],
)
async def test_a_session_is_not_lost_where_linear_does_not_hear(
    fault: Any, server: LinearServer, http: HttpClient
) -> None:
    server.broken["CreateActivity"] = lambda _: fault
    received = await receive(server, http, server.ask(42, "Please."))
    assert len(received.events) == 1
    assert received.request == "delivery-1"


async def test_linear_is_answered_in_time_also_if_it_does_not_answer(
    server: LinearServer, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll, "ANSWERED", 0.05)
    server.gate = asyncio.Event()
    async with asyncio.timeout(20):
        received = await receive(server, http, server.ask(42, "Please."))
        assert len(received.events) == 1
        delayed = await receive(server, http, server.change(42, priority=1))
        assert delayed.reply.body == {"ok": True, "polled": True}
    server.gate.set()


def test_an_answer_tells_who_gave_it_and_what_it_says() -> None:
    body = asked(
        "prompted",
        session("Please."),
        agentActivity={"id": "a", "content": {"body": "Stop."}, "signal": "stop", "user": HUBOT},
    )
    (draft,) = normalize(body)
    assert (draft.payload["prompt"], draft.payload["signal"]) == ("Stop.", "stop")
    assert (draft.provenance["author"], draft.provenance["author_type"]) == ("Hubot", "team_member")
    assert draft.payload["guidance"] == ["Write tests first."]


@pytest.mark.parametrize(
    ("creator", "author_type"), [(HUBOT, "team_member"), (AGENT, "bot"), (None, "unknown")]
)
def test_whoever_asks_is_the_author(creator: Body | None, author_type: str) -> None:
    (draft,) = normalize(asked("created", session(creator=creator)))
    assert draft.provenance["author_type"] == author_type


def test_each_answer_is_a_fact_of_its_own() -> None:
    def answer(id: str | None, body: str = "x") -> Body:
        return asked(
            "prompted", session(), agentActivity={"id": id, "content": {"body": body}, "user": HUBOT}
        )

    bodies = [
        asked("created", session()),
        asked("created", session(id="session-2")),
        answer("a"),
        answer("b"),
        answer(None, "x"),
        answer(None, "y"),
    ]
    keys = [one.key for body in bodies for one in normalize(body)]
    assert len(set(keys)) == len(bodies)
    again = [
        one.key for body in bodies for one in normalize(body | {"webhookTimestamp": 1, "webhookId": "b"})
    ]
    assert keys == again


def test_a_session_without_an_issue_is_told_all_the_same() -> None:
    (draft,) = normalize(asked("created", session("Hello.", issue=None, url=None)))
    assert (draft.provenance["issue_id"], draft.payload["prompt"]) == ("unknown", "Hello.")
    (other,) = normalize(asked("created", {}))
    assert other.provenance["platform_event"] == "agentsessionevent.created"


@pytest.fixture
def writer(server: LinearServer, http: HttpClient) -> Writer:
    server.ask(42, "Please.")
    return Writer(server, http)


ABOUT = {"platform": "linear", "platform_event": "agent_session.created", "agent_session_id": "session-1"}


@pytest.mark.parametrize("kind", [one for one in ACTIVITIES if one != "action"])
async def test_an_app_tells_of_its_work(kind: str, server: LinearServer, writer: Writer) -> None:
    outcome = await writer.deliver(wake(event=event(provenance=ABOUT), config={kind: "Words."}))
    assert outcome == Delivered(detail=f"told the session: {kind}")
    assert said(server) == [("session-1", {"type": kind, "body": "Words."})]


async def test_an_action_has_its_parameter_and_result(server: LinearServer, writer: Writer) -> None:
    config = {"session": "session-1", "action": "Ran", "parameter": "make test", "result": "42 passed"}
    await writer.deliver(wake(config=config))
    await writer.deliver(wake(config={"session": "session-1", "action": "Thinking"}, delivery_id="another"))
    assert [content for _, content in said(server)] == [
        {"type": "action", "action": "Ran", "parameter": "make test", "result": "42 passed"},
        {"type": "action", "action": "Thinking", "parameter": ""},
    ]


async def test_a_second_try_tells_nothing_twice(server: LinearServer, writer: Writer) -> None:
    given = wake(event=event(provenance=ABOUT), config={"response": "Done."})
    server.broken["FindActivity"] = lambda _: failing(502, "Bad gateway", "")
    first = await writer.deliver(given)
    assert isinstance(await writer.deliver(given), Retry)
    server.broken.clear()
    assert await writer.deliver(given) == first
    assert len(server.activities) == 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"response": ""}, "is empty"),
        ({"response": "x", "session": ""}, "is empty"),
        ({"response": "x", "session": "session-9"}, "Linear has no such thing"),
        ({"response": "x", "thought": "y"}, "cannot stand beside"),
        ({"response": "x", "comment": "y"}, "cannot stand beside `response`"),
        ({"response": "x", "parameter": "y"}, "cannot stand beside `response`"),
        ({"session": "session-1"}, "needs one of thought"),
        ({"parameter": "x"}, "needs one of thought"),
    ],
)
async def test_an_order_that_cannot_be_carried_out_tells_nothing(
    config: Body, words: str, server: LinearServer, writer: Writer
) -> None:
    outcome = await writer.deliver(wake(event=event(provenance=ABOUT), config=config))
    assert isinstance(outcome, Rejected)
    assert words in outcome.reason
    assert server.activities == {}


async def test_an_event_of_no_session_is_told(writer: Writer) -> None:
    outcome = await writer.deliver(wake(config={"response": "x"}))
    assert isinstance(outcome, Rejected)
    assert "about no agent session" in outcome.reason


def test_what_every_wake_would_be_refused_for_is_seen_before() -> None:
    assert check_route({"session_key": "a", "session": "{{ payload.x }}", "response": "x"}) == {}
    assert check_route({"action": "x", "parameter": "y", "result": "z"}) == {}
    assert set(check_route({"response": "x", "state": "Done", "team": "ENG"})) == {"state", "team"}


@pytest.mark.parametrize("config", [{"secret": "s"}, {"token": KEY}, {}])
def test_acknowledging_needs_a_token_and_a_webhook(config: Body) -> None:
    with pytest.raises(ValidationError, match="`acknowledge` needs"):
        LinearSettings.model_validate({"acknowledge": "x", **config})


PROJECT = """
metadata: {name: app}
defaults: {poll_interval: 1h}
sources:
  - id: linear
    connector: linear
    config:
      secret: "${SECRET}"
      token: "${TOKEN}"
      api_url: "URL"
      acknowledge: On it.
      events: [agent_session.*]
actors:
  - {id: engineer, connector: process, config: {command: [./agent]}}
  - {id: linear-app, connector: linear, config: {token: "${TOKEN}", api_url: "URL"}}
routes:
  - name: work
    when: {source: linear, events: [agent_session.*]}
    then: {actor: engineer, config: {session_key: "linear:{{provenance.agent_session_id}}"}}
    with: {prompt_file: work.md}
  - name: answer
    when: {source: engineer, events: [actor.stopped], filter: {payload.result.json.kind: answer}}
    then:
      actor: linear-app
      config: {session: "{{payload.result.json.session}}", response: "{{payload.result.json.text}}"}
  - name: question
    when: {source: engineer, events: [actor.stopped], filter: {payload.result.json.kind: question}}
    then:
      actor: linear-app
      config: {session: "{{payload.result.json.session}}", elicitation: "{{payload.result.json.text}}"}
"""
AGENT_SCRIPT = """#!/bin/sh
told=$(cat)
session=$(printf '%s' "$told" | grep -o 'session-[0-9]*' | head -1)
case "$told" in
*"the new client"*) kind=answer; text="Fixed with the new client." ;;
*) kind=question; text="With the old or the new client?" ;;
esac
printf '```json\\n{"session": "%s", "kind": "%s", "text": "%s"}\\n```\\n' "$session" "$kind" "$text"
"""


async def test_a_session_from_its_first_word_to_its_answer(server: LinearServer, tmp_path: Path) -> None:
    """The app hears within ten seconds, asks back, is answered, and answers."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "orgloop.yaml").write_text(PROJECT.replace("URL", server.url))
    (root / "work.md").write_text("Do it.\n")
    (root / "agent").write_text(AGENT_SCRIPT)
    (root / "agent").chmod(0o755)

    async def push(org: Living, body: Body, delivery: str) -> None:
        content = json.dumps(body | {"webhookTimestamp": org.runtime.clock.now()}).encode()
        signature = hmac.new(SECRET.encode(), content, "sha256").hexdigest()
        await org.send("linear", content, {"linear-signature": signature, "linear-delivery": delivery})

    def told(count: int) -> list[Body]:
        contents = [content for _, content in said(server)]
        return contents if len(contents) >= count else []

    environ = {"SECRET": SECRET, "TOKEN": KEY, "PATH": "/usr/bin:/bin"}
    async with living(root, environ, tmp_path / "home") as org:
        async with asyncio.timeout(10):
            await push(org, server.ask(42, "@agent please fix this."), "first")
            assert told(1)[0] == {"type": "thought", "body": "On it."}
        assert (await until(lambda: told(2), "a question"))[1] == {
            "type": "elicitation",
            "body": "With the old or the new client?",
        }
        await push(org, server.answer("session-1", "Use the new client."), "second")
        assert (await until(lambda: told(4), "an answer"))[3] == {
            "type": "response",
            "body": "Fixed with the new client.",
        }
