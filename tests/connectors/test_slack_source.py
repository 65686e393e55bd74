"""Slack over Socket Mode: what people do is committed, then acknowledged, whatever connections do."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orgloop.connectors.slack.events import Team, draft_of, told_by
from orgloop.connectors.slack.fields import EXAMPLE
from orgloop.connectors.slack.message import pressed
from orgloop.connectors.slack.people import People
from orgloop.connectors.slack.settings import SlackSettings
from orgloop.connectors.slack.source import TRIES, SlackSource
from orgloop.plugin import Context, Draft, Mark, Overloaded, PluginError, TryLater
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, ManualClock, as_context, wake
from tests.connectors.slack_bodies import CLICK, COMMAND, DELETED, EDITED, MENTION, REACTION, envelope
from tests.support.slack_server import APP, BOT, SlackServer, slack_server


@dataclass(kw_only=True)
class Journal(FakeContext):
    """Takes events, unless `refusals` says how often it cannot. Notes what was acknowledged by then."""

    clock: ManualClock = field(default_factory=ManualClock)
    http: Any = field(default_factory=HttpClient)
    refusals: int = 0
    hold: asyncio.Event | None = None
    server: SlackServer | None = None
    too_early: list[str] = field(default_factory=list)

    async def emit(self, events: Sequence[Draft]) -> Sequence[str]:
        if self.hold is not None:
            await self.hold.wait()
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("full", hint="")
        if self.server is not None:
            said = [str(one["envelope_id"]) for one in self.server.acknowledged]
            self.too_early += [id for id in said if len(said) > len(self.emitted)]
        return await super().emit(events)


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with slack_server() as served:
        yield served


@asynccontextmanager
async def listening(slack: SlackServer, journal: Journal, **config: Any) -> AsyncIterator[asyncio.Task[None]]:
    given = {"app_token": APP, "bot_token": BOT, "api_url": f"{slack.url}/api", **config}
    source = SlackSource("slack", SlackSettings.model_validate(given))
    context: Context = journal
    journal.server = slack
    await source.open(context)
    task = asyncio.create_task(source.listen(context))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, PluginError, TryLater, Overloaded):
            await task
        await source.close()
        await journal.http.close()


async def test_what_people_do_is_committed_and_then_acknowledged(slack: SlackServer) -> None:
    journal = Journal()
    async with listening(slack, journal):
        socket = await slack.connected()
        for number, body in enumerate((MENTION, CLICK, COMMAND, REACTION, EDITED, DELETED)):
            await socket.send_json(envelope(f"e{number}", body))
        assert await slack.heard(6) == [f"e{number}" for number in range(6)]
    assert [one.provenance["platform_event"] for one in journal.emitted] == [
        "mention.created",
        "button.clicked",
        "command.used",
        "reaction_added",
        "message.changed",
        "message.deleted",
    ]
    assert journal.too_early == []
    (mention, *_) = journal.emitted
    assert {"type": mention.type, "provenance": mention.provenance, "payload": mention.payload} == EXAMPLE
    assert mention.key == "Ev0MENTION"
    assert mention.entity == "C0DEV:1767614400.000100"
    assert all("s3cret" not in repr(one) and "xoxb" not in repr(one) for one in journal.emitted)


async def test_an_event_is_not_acknowledged_while_the_journal_cannot_take_it(slack: SlackServer) -> None:
    journal = Journal(hold=asyncio.Event(), refusals=3)
    async with listening(slack, journal):
        socket = await slack.connected()
        await socket.send_json(envelope("e1", MENTION))
        await socket.send_json(envelope("e2", CLICK))
        assert slack.acknowledged == []
        assert journal.hold is not None
        journal.hold.set()
        assert await slack.heard(2) == ["e1", "e2"]
    assert len(journal.emitted) == 2
    assert journal.too_early == []


async def test_what_the_journal_never_takes_is_left_to_slack(slack: SlackServer) -> None:
    journal = Journal(refusals=TRIES)
    async with listening(slack, journal) as task:
        socket = await slack.connected()
        await socket.send_json(envelope("e1", MENTION))
        with pytest.raises(Overloaded):
            await asyncio.wait_for(task, 30)
    assert slack.acknowledged == []


async def test_a_lost_connection_is_opened_again_and_nothing_is_told_twice(slack: SlackServer) -> None:
    journal = Journal()
    async with listening(slack, journal):
        first = await slack.connected()
        await first.send_json(envelope("e1", MENTION))
        await slack.heard(1)
        await first.close()
        second = await slack.connected(2)
        await second.send_json(envelope("e1", MENTION, retry_attempt=1))
        await second.send_json(envelope("e2", COMMAND))
        assert await slack.heard(3) == ["e1", "e1", "e2"]
    keys = [one.key for one in journal.emitted]
    assert keys[0] == keys[1], "the journal knows the second by its key"


async def test_connections_that_do_not_last_are_opened_more_and_more_slowly(slack: SlackServer) -> None:
    journal = Journal()
    began = journal.clock.time
    async with listening(slack, journal):
        for count in range(1, 6):
            await (await slack.connected(count)).close()
        await slack.connected(6)
    assert journal.clock.time - began == (0 + 4 + 8 + 16 + 32) * 1000


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "something_new"])
async def test_a_connection_that_slack_replaces_is_heard_to_its_end(slack: SlackServer, reason: str) -> None:
    journal = Journal()
    async with listening(slack, journal):
        first = await slack.connected()
        await first.send_json({"type": "disconnect", "reason": reason})
        second = await slack.connected(2)
        await first.send_json(envelope("e1", MENTION))
        assert await slack.heard(1) == ["e1"]
        await second.send_json(envelope("e2", COMMAND))
        assert await slack.heard(2) == ["e1", "e2"]
        await first.close()


@pytest.mark.parametrize(
    ("faults", "said", "kind", "words"),
    [
        ({"auth.test": ["invalid_auth"]}, None, PluginError, "does not take"),
        ({"apps.connections.open": ["not_allowed_token_type"]}, None, PluginError, "does not take"),
        ({"apps.connections.open": [429]}, None, TryLater, "rate limit"),
        ({"apps.connections.open": [500]}, None, PluginError, "500"),
        ({"link": [408]}, None, PluginError, "refuses the connection (408)"),
        ({"link": ["close"]}, None, PluginError, "before it said anything"),
        ({}, "link_disabled", PluginError, "Socket Mode is switched off"),
        ({}, "too_many_websockets", TryLater, "as many connections"),
    ],
)
async def test_what_ends_listening_says_why(
    slack: SlackServer,
    faults: dict[str, list[str | int]],
    said: str | None,
    kind: type[Exception],
    words: str,
) -> None:
    slack.faults = faults
    async with listening(slack, Journal()) as task:
        if said is not None:
            await (await slack.connected()).send_json({"type": "disconnect", "reason": said})
        with pytest.raises(kind) as told:
            await asyncio.wait_for(task, 30)
    assert words in str(told.value)
    assert not {"s3cret", APP, BOT} & set(str(told.value).split())


async def test_what_cannot_be_read_ends_nothing(slack: SlackServer) -> None:
    journal = Journal()
    async with listening(slack, journal):
        socket = await slack.connected()
        for text in ("", "{", "[1]", "null", '"x"', '{"type": 7}', '{"envelope_id": ["x"], "type": {}}'):
            await socket.send_str(text)
        await socket.send_json({"envelope_id": "e1", "type": "news_of_tomorrow", "payload": {"a": 1}})
        payloads: list[Any] = [None, 7, [], {}, {"event": []}, {"event": {"type": 1}}]
        for number, payload in enumerate(payloads, 2):
            await socket.send_json({"envelope_id": f"e{number}", "type": "events_api", "payload": payload})
        await socket.send_json(
            {"envelope_id": "e8", "type": "interactive", "payload": {"type": "block_actions"}}
        )
        assert await slack.heard(8) == [f"e{number}" for number in range(1, 9)]
    assert journal.emitted == []


async def test_a_message_that_is_too_large_costs_one_connection(slack: SlackServer) -> None:
    journal = Journal()
    async with listening(slack, journal):
        with suppress(ConnectionError):
            await (await slack.connected()).send_str("x" * 5_000_000)
        await (await slack.connected(2)).send_json(envelope("e1", COMMAND))
        assert await slack.heard(1) == ["e1"]


async def test_only_what_is_asked_for_is_an_event_and_all_is_acknowledged(slack: SlackServer) -> None:
    journal = Journal()
    wanted = {"events": ["button.*", "command.used", "app_mention"], "channels": ["C0DEV"]}
    elsewhere = copy.deepcopy(MENTION)
    elsewhere["event"]["channel"] = "C0OTHER"
    async with listening(slack, journal, acknowledge="On it.", **wanted):
        socket = await slack.connected()
        for number, body in enumerate((MENTION, EDITED, elsewhere, CLICK, COMMAND)):
            await socket.send_json(envelope(f"e{number}", body))
        await slack.heard(5)
    assert [one.provenance["native_event"] for one in journal.emitted] == [
        "app_mention", "block_actions", "slash_command",
    ]  # fmt: skip
    answers = [one.get("payload") for one in slack.acknowledged]
    assert answers == [None] * 4 + [{"response_type": "ephemeral", "text": "On it."}]


@pytest.mark.parametrize(
    ("user", "kind", "name"),
    [
        ("U0ADA", "team_member", "Ada"),
        ("U0GUEST", "external", "guest"),
        ("U0OTHER", "external", "other"),
        ("U0BOT", "bot", "CI"),
        ("U0NOBODY", "unknown", "U0NOBODY"),
    ],
)
async def test_who_a_person_is_is_asked_once(slack: SlackServer, user: str, kind: str, name: str) -> None:
    journal = Journal()
    said = copy.deepcopy(MENTION)
    said["event"]["user"] = user
    async with listening(slack, journal):
        socket = await slack.connected()
        for id in ("e1", "e2"):
            await socket.send_json(envelope(id, said))
        await slack.heard(2)
    assert {one.provenance["author_type"] for one in journal.emitted} == {kind}
    assert {one.provenance["author"] for one in journal.emitted} == {name}
    assert [method for method, _ in slack.calls].count("users.info") == 1


async def test_whom_slack_does_not_tell_of_is_unknown_unless_the_team_is_named(slack: SlackServer) -> None:
    slack.faults["users.info"] = ["missing_scope", 429]
    journal = Journal()
    async with listening(slack, journal, team=["U0GUEST"]):
        socket = await slack.connected()
        for number, user in enumerate(("U0ADA", "U0GUEST")):
            said = copy.deepcopy(MENTION)
            said["event"]["user"] = user
            await socket.send_json(envelope(f"e{number}", said))
        await slack.heard(2)
    assert [one.provenance["author_type"] for one in journal.emitted] == ["unknown", "team_member"]


async def test_the_app_does_not_hear_itself(slack: SlackServer) -> None:
    journal = Journal()
    own = copy.deepcopy(MENTION)
    own["event"] |= {"type": "message", "user": "U0LOOP", "bot_id": "B0LOOP"}
    ours = copy.deepcopy(REACTION)
    ours["event"]["user"] = "U0LOOP"
    async with listening(slack, journal):
        socket = await slack.connected()
        await socket.send_json(envelope("e1", own))
        await socket.send_json(envelope("e2", ours))
        await slack.heard(2)
    assert journal.emitted == []


async def test_a_click_goes_on_with_the_trace_of_its_question(slack: SlackServer) -> None:
    journal = Journal()
    mark = Mark(run_id="dlv_0000000000000003", actor="team", event_id="evt_1", trace_id="trc_1", hops=1)
    click = copy.deepcopy(CLICK)
    value = pressed("approve", {"pr": 7}, wake(marker=journal.marks.comment(mark)))
    click["actions"][0] |= {"value": value, "block_id": "orgloop:dlv_0000000000000003"}
    forged = copy.deepcopy(click)
    forged["actions"][0]["value"] = value.replace("trc_1", "trc_2")
    async with listening(slack, journal):
        socket = await slack.connected()
        await socket.send_json(envelope("e1", click))
        await socket.send_json(envelope("e2", forged))
        await slack.heard(2)
    pressed_by_ada, copied = journal.emitted
    assert pressed_by_ada.cause == mark
    assert copied.cause is None
    assert pressed_by_ada.payload["value"] == "approve"
    assert pressed_by_ada.payload["context"] == {"pr": 7}
    assert pressed_by_ada.payload["delivery_id"] == "dlv_0000000000000003"
    assert pressed_by_ada.payload["user"]["email"] == "ada@acme.example"
    assert pressed_by_ada.provenance["author_type"] == "team_member"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "app_token"),
        ({"app_token": BOT}, "begins with xapp-"),
        ({"app_token": APP, "bot_token": APP}, "begins with xoxb-"),
        ({"app_token": " "}, "is not a token"),
    ],
)
def test_settings_that_cannot_work_say_why(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as told:
        SlackSettings.model_validate(config)
    assert words in str(told.value)
    assert BOT not in str(told.value)


def test_doubtful_settings_are_told() -> None:
    settings = SlackSettings.model_validate({"app_token": APP, "events": ["mention.craeted"]})
    assert settings.warnings().keys() == {"events", "bot_token"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["events_api", "interactive", "slash_commands"]), st.data())
def test_no_body_breaks_the_reader(kind: str, data: st.DataObject) -> None:
    body = copy.deepcopy({"events_api": MENTION, "interactive": CLICK, "slash_commands": COMMAND}[kind])
    for place in (body, body.get("event"), (body.get("actions") or [None])[0], body.get("container")):
        if isinstance(place, dict):
            key = data.draw(st.sampled_from(sorted(place)))
            place[key] = data.draw(JSON)
    told = told_by(kind, body, Team())
    if told is not None:
        people = People(None, ManualClock(), ())
        context = FakeContext()
        draft = asyncio.run(draft_of(told, Team(), people, as_context(context).mark_in))
        assert draft.provenance["author_type"] in ("unknown", "bot")


async def test_other_interactions_pass_under_their_own_name_without_their_keys() -> None:
    body = {
        "type": "message_action",
        "callback_id": "triage",
        "user": {"id": "U0ADA"},
        "team": {"id": "T0ACME"},
        "channel": {"id": "C0DEV"},
        **dict.fromkeys(("token", "trigger_id", "response_url"), "s3cret"),
    }
    told = told_by("interactive", body, Team())
    assert told is not None
    draft = await draft_of(told, Team(), People(None, ManualClock(), ()), lambda _: None)
    assert draft.provenance["platform_event"] == "message_action"
    assert (draft.provenance["channel"], draft.provenance["workspace"]) == ("C0DEV", "T0ACME")
    assert draft.payload["callback_id"] == "triage"
    assert "s3cret" not in repr((draft.provenance, draft.payload))
