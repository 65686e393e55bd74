"""The Slack actor on a workspace on loopback: what it posts, how often, and what refusals mean."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from orgloop.connectors.slack import connector
from orgloop.connectors.slack.actor import SlackActor
from orgloop.connectors.slack.doctor import check
from orgloop.connectors.slack.message import carried_by, check_route
from orgloop.connectors.slack.settings import SlackActorSettings, SlackSettings
from orgloop.plugin import Delivered, DeliverOutcome, Rejected, Retry, Throttled, Unavailable
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import event, wake
from tests.connectors.test_webhook_live import Lent
from tests.support.slack_server import APP, BOT, SlackServer, slack_server

FUTURE = "2999-01-01T00:00:00.000Z"


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with slack_server() as served:
        yield served


async def deliver(
    slack: SlackServer, config: dict[str, Any], *, settings: dict[str, Any] | None = None, **changes: Any
) -> DeliverOutcome:
    given = {"bot_token": BOT, "channel": "C0DEV", **(settings or {})}
    model = SlackActorSettings.model_validate({"api_url": f"{slack.url}/api", **given})
    client = HttpClient()
    actor = SlackActor("team", model)
    await actor.open(Lent(http=client, environment={"SLACK_BOT_TOKEN": BOT}))
    changes.setdefault("event", event(timestamp=FUTURE))
    try:
        return await actor.deliver(wake(config=config, **changes))
    finally:
        await client.close()


async def test_a_message_goes_where_the_route_says_else_where_the_actor_says(slack: SlackServer) -> None:
    assert await deliver(slack, {"text": "Hello"}) == Delivered(detail="posted C0DEV 1767614400.000001")
    await deliver(slack, {"text": "Hello", "channel": "#releases"})
    await deliver(slack, {"text": "Hello", "channel": "@U0ADA"})
    await deliver(slack, {"text": "Hello", "channel": "ada@acme.example"})
    await deliver(slack, {"channel": "C1"}, sop="From the prompt file\n")
    assert [(one["channel"], one["text"]) for one in slack.messages] == [
        ("C0DEV", "Hello"),
        ("#releases", "Hello"),
        ("DU0ADA", "Hello"),
        ("DU0ADA", "Hello"),
        ("C1", "From the prompt file"),
    ]
    assert {one["unfurl_links"] for one in slack.messages} == {"false"}
    assert set(slack.tokens) == {BOT}


async def test_an_answer_goes_into_the_thread_of_the_event(slack: SlackServer) -> None:
    said = event(provenance={"platform": "slack", "platform_event": "mention.created", "channel": "C9"})
    thread = {"text": "Done", "thread": "1767614400.000100", "broadcast": True}
    await deliver(slack, thread, event=said, settings={"channel": None})
    assert slack.messages[0]["channel"] == "C9"
    assert slack.messages[0]["thread_ts"] == "1767614400.000100"
    assert slack.messages[0]["reply_broadcast"] == "true"
    await deliver(slack, {"text": "Hi", "thread": ""})
    assert "thread_ts" not in slack.messages[1], "an event of no thread has an empty one"


async def test_a_question_has_buttons_that_carry_their_context(slack: SlackServer) -> None:
    buttons = [
        "Approve",
        {"label": "Reject", "value": "no", "style": "danger"},
        {"label": "See", "url": "https://x"},
    ]
    await deliver(slack, {"text": "x" * 3_500, "buttons": buttons, "context": {"pr": 7}})
    first, second, actions = json.loads(slack.messages[0]["blocks"])
    assert [len(one["text"]["text"]) for one in (first, second)] == [3_000, 500]
    assert actions["block_id"] == "orgloop:dlv_0000000000000003"
    approve, reject, see = actions["elements"]
    assert carried_by(approve["value"]) == {"value": "Approve", "context": {"pr": 7}, "mark": wake().marker}
    assert (carried_by(reject["value"])["value"], reject["style"]) == ("no", "danger")
    assert (see["url"], "value" in see) == ("https://x", False)


async def test_a_message_is_replaced_with_its_buttons(slack: SlackServer) -> None:
    done = await deliver(slack, {"text": "Approved by Ada", "update": "1767614400.000001"})
    assert done == Delivered(detail="changed C0DEV 1767614400.000001")
    assert slack.messages[0]["blocks"] == "[]"


@pytest.mark.parametrize("channel", ["C0DEV", "U0ADA", "ada@acme.example"])
@pytest.mark.parametrize("thread", [None, "1767614400.000100"])
async def test_what_an_earlier_try_posted_is_not_posted_again(
    slack: SlackServer, channel: str, thread: str | None
) -> None:
    config = {"text": "Hello", "channel": channel, **({"thread": thread} if thread else {})}
    slack.faults["chat.postMessage"] = [-502]  # Slack has it, and its answer is lost.
    lost = await deliver(slack, config)
    assert isinstance(lost, Retry)
    assert not lost.known
    again = await deliver(slack, config, attempt=2)
    assert isinstance(again, Delivered)
    assert again.detail.startswith("was posted by an earlier try")
    restarted = await deliver(slack, config, event=event())
    assert isinstance(restarted, Delivered), (
        "an event from before this daemon may have been posted by the last"
    )
    assert len(slack.messages) == 1
    await deliver(slack, config, attempt=2, delivery_id="dlv_0000000000000004")
    assert len(slack.messages) == 2


async def test_an_app_that_may_not_look_posts_again(slack: SlackServer) -> None:
    slack.faults["conversations.history"] = ["missing_scope"]
    assert isinstance(await deliver(slack, {"text": "Hello"}, attempt=2), Delivered)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (429, Throttled, "rate limit"),
        ("ratelimited", Throttled, "rate limit"),
        ("invalid_auth", Unavailable, "the token in $SLACK_BOT_TOKEN"),
        ("token_revoked", Unavailable, "token_revoked"),
        ("account_inactive", Unavailable, "account_inactive"),
        ("channel_not_found", Rejected, "/invite"),
        ("missing_scope", Rejected, "chat:write"),
        ("is_archived", Rejected, "archived"),
        ("msg_too_long", Rejected, "msg_too_long"),
        ("<script>\n", Rejected, "unknown_error"),
        ("internal_error", Retry, "internal_error"),
        (500, Retry, "500"),
        (302, Retry, "302"),
    ],
)
async def test_each_refusal_has_its_outcome(
    slack: SlackServer, fault: str | int, kind: type[DeliverOutcome], words: str
) -> None:
    slack.faults["chat.postMessage"] = [fault]
    outcome = await deliver(slack, {"text": "Hello"})
    assert type(outcome) is kind
    assert words in repr(outcome)
    assert BOT not in repr(outcome)


async def test_a_limit_is_kept_without_asking_again(slack: SlackServer) -> None:
    slack.faults["chat.postMessage"] = [429]
    model = SlackActorSettings(api_url=f"{slack.url}/api", bot_token=BOT, channel="C1")  # type: ignore[arg-type]
    client = HttpClient()
    actor = SlackActor("team", model)
    context = Lent(http=client)
    await actor.open(context)
    for _ in range(2):
        told = await actor.deliver(wake(config={"text": "x"}, event=event(timestamp=FUTURE)))
        assert isinstance(told, Throttled)
        assert 6_000 < told.until - context.clock.now() <= 7_000
    await client.close()
    assert len(slack.calls) == 1


async def test_nobody_there_parks_the_actor() -> None:
    async with slack_server() as gone:
        pass
    assert isinstance(await deliver(gone, {"text": "Hello"}), Unavailable)


async def test_an_incoming_webhook_posts_into_its_own_channel(slack: SlackServer) -> None:
    hook = {"bot_token": None, "channel": None, "webhook_url": f"{slack.url}/services/T/B/s3cret"}
    done = await deliver(slack, {"text": "Hello", "buttons": ["Yes"]}, settings=hook)
    assert isinstance(done, Delivered)
    assert slack.hooked[0]["text"] == "Hello"
    assert slack.hooked[0]["blocks"][1]["type"] == "actions"
    for fault, kind in ((429, Throttled), (404, Unavailable), (400, Rejected), (500, Retry)):
        slack.faults["hook"] = [fault]
        outcome = await deliver(slack, {"text": "Hello"}, settings=hook)
        assert type(outcome) is kind
        assert "s3cret" not in repr(outcome)
    for key, value in (("channel", "C1"), ("thread", "1.2"), ("update", "1.2")):
        assert isinstance(await deliver(slack, {"text": "Hello", key: value}, settings=hook), Rejected)


async def test_a_text_from_outside_calls_nobody(slack: SlackServer) -> None:
    text = "<!channel> <!HERE> <!everyone> <!subteam^S1> <!date^1^{date}|x> <@U0ADA> <https://x|y>"
    await deliver(slack, {"text": text})
    told = slack.messages[0]["text"]
    assert told.startswith("&lt;!channel> &lt;!HERE> &lt;!everyone> &lt;!subteam^S1> <!date^")
    assert told.endswith("<@U0ADA> <https://x|y>")
    await deliver(slack, {"text": text}, settings={"notify_all": True})
    assert slack.messages[1]["text"] == text
    await deliver(slack, {"text": "x" * 50_000})
    assert len(slack.messages[2]["text"]) == 12_000


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "there is nothing to post"),
        ({"text": ""}, "there is nothing to post"),
        ({"text": {"a": 1}}, "must be text"),
        ({"text": "x", "colour": "red"}, "not something that a slack actor does"),
        ({"text": "x", "thread": "last week"}, "not the time of a message"),
        ({"text": "x", "buttons": "Yes"}, "must be a list"),
        ({"text": "x", "buttons": [{"value": "y"}]}, "needs a `label`"),
        ({"text": "x", "buttons": [{"label": "y", "style": "red"}]}, "one of primary, danger"),
        ({"text": "x", "buttons": [{"label": "y", "url": "ftp://x"}]}, "begin with https"),
        ({"text": "x", "buttons": [7]}, "a button is a text"),
        ({"text": "x", "buttons": ["y"] * 26}, "at most 25"),
        ({"text": "x", "buttons": ["y"], "context": {"a": "x" * 3_000}}, "too long"),
        ({"text": "x", "buttons": ["y"], "context": "a"}, "must be a map"),
        ({"text": "x", "context": {"a": 1}}, "needs `buttons`"),
        ({"text": "x", "update": "1.2", "thread": "1.2"}, "cannot stand beside"),
        ({"text": "x", "broadcast": True}, "needs `thread`"),
    ],
)
async def test_a_message_that_cannot_be_posted_is_rejected(
    slack: SlackServer, config: dict[str, Any], words: str
) -> None:
    outcome = await deliver(slack, config)
    assert isinstance(outcome, Rejected)
    assert words in outcome.reason
    assert slack.calls == []


def test_validate_refuses_what_every_wake_would_be_refused_for() -> None:
    assert check_route({"text": "x", "colour": 1, "session_key": "k"}).keys() == {"colour"}
    assert check_route({"text": "{{ payload.text }}", "buttons": ["y"], "context": {}}) == {}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "needs a `bot_token` or a `webhook_url`"),
        ({"bot_token": BOT, "webhook_url": "https://hooks.slack.com/x"}, "not both"),
        ({"bot_token": APP}, "begins with xoxb-"),
        ({"bot_token": "two words"}, "is not a token"),
        ({"webhook_url": "http://hooks.slack.com/x"}, "URL of an incoming webhook"),
        ({"webhook_url": "https://hooks.slack.com/x", "channel": "C1"}, "posts into its own channel"),
        ({"bot_token": BOT, "api_url": "http://slack.com/api"}, "must begin with https"),
    ],
)
def test_settings_that_cannot_work_say_why(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as told:
        SlackActorSettings.model_validate(config)
    assert words in str(told.value)
    assert BOT not in str(told.value)


async def test_the_doctor_says_who_is_logged_in_and_what_is_missing(slack: SlackServer) -> None:
    client = HttpClient()
    context = Lent(http=client)
    at = {"api_url": f"{slack.url}/api"}
    actor = SlackActorSettings.model_validate({"bot_token": BOT, **at})
    source = SlackSettings.model_validate({"bot_token": BOT, "app_token": APP, **at})
    hook = SlackActorSettings.model_validate({"webhook_url": "https://hooks.slack.com/s3cret"})
    try:
        slack.scopes = "users:read"
        told = [(one.name, one.status.value) for one in await check(actor, context)]
        assert told == [("login", "ok"), ("scopes", "warning")]
        told = [(one.name, one.status.value) for one in await check(source, context)]
        assert told == [("login", "ok"), ("socket mode", "ok")]
        slack.faults["auth.test"], slack.faults["apps.connections.open"] = ["invalid_auth"], [429]
        found = await check(source, context)
        assert [one.status.value for one in found] == ["error", "warning"]
        assert all(one.hint for one in found)
        assert [one.status.value for one in await check(hook, context)] == ["ok"]
    finally:
        await client.close()
    assert slack.messages == slack.hooked == slack.sockets == []


def test_the_scaffold_names_variables_that_are_explained() -> None:
    names = {variable.name for variable in connector.setup.variables}
    for kind in (connector.source, connector.actor):
        assert kind is not None
        used = {text[2:-1] for text in kind.scaffold.values() if str(text).startswith("${")}
        assert used <= names
