"""A polled workspace: the same events as by webhook, none twice, none lost."""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from graphql import build_schema, parse, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orgloop.connectors.linear import connector, queries
from orgloop.connectors.linear.events.normalize import normalize
from orgloop.connectors.linear.polling.checkpoint import MOST_SEEN, ReadSoFar, dump, iso, load, millis
from orgloop.connectors.linear.polling.poll import LinearBoth, LinearPoller, open_source
from orgloop.connectors.linear.polling.reader import MOST_THINGS, OVERLAP, team_filter
from orgloop.connectors.linear.settings import LinearSettings
from orgloop.plugin import Draft, Mark, PluginError, Received
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import inbound
from tests.connectors.following import Polled
from tests.connectors.linear_bodies import (
    AGENT,
    BACKEND,
    BILLING,
    BUG,
    CYCLE_7,
    CYCLE_8,
    DOING,
    DONE,
    HUBOT,
    MONA,
    OPS,
    STRANGER,
    TODO,
    WEB,
    Body,
)
from tests.support.linear_server import KEY, PLACE, LinearServer, failing, schema

NOON = 1_767_614_400_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SECRET = "lin_wh_0123456789abcdef"
GITHUB = {"id": "integration-1", "service": "github"}


@pytest.fixture
async def server() -> AsyncIterator[LinearServer]:
    async with LinearServer(NOON) as server:
        yield server


class Follower(Polled):
    """A source of one workspace. `skew`: how far our clock is ahead of Linear's."""

    def __init__(self, server: LinearServer, http: HttpClient, skew: int = 0, **config: Any) -> None:
        self.server = server
        given = {"api_key": KEY, "api_url": server.url, **config}
        super().__init__(connector, http, given, lambda: server.now + skew)

    async def push(self, body: Body) -> Received:
        self.context.clock.time = self.now()
        content = json.dumps(body | {"webhookTimestamp": self.server.now}).encode()
        signature = hmac.new(SECRET.encode(), content, "sha256").hexdigest()
        request = inbound(content, Linear_Signature=signature, Linear_Delivery=f"delivery-{len(content)}")
        received: Received = await self.source.receive(request)
        self.take(received.events)
        return received


def day(server: LinearServer) -> Iterator[list[Body]]:
    """An issue's life. The caller moves the clock in between."""
    yield [server.create(42)]
    yield [server.change(42, HUBOT, assignee=HUBOT)]
    yield [server.comment(42, "I can reproduce this.")]
    yield [server.change(42, GITHUB, state=DOING)]
    yield [server.change(42, priority=1, labels=[BACKEND, BUG])]
    yield [server.create(43, creator=AGENT, labels=[])]
    yield [server.comment(43, "Written by somebody outside.", None, externalUser=STRANGER)]
    yield [server.change(42, None, cycle=CYCLE_7)]
    yield [server.change(42, project=BILLING, labels=[BUG]), server.comment(42, "Moved.", HUBOT)]
    server.touch(43)
    yield []
    yield [server.change(42, AGENT, delegate=AGENT)]
    yield [server.change(42, None, cycle=CYCLE_8)]
    yield [server.change(43, state=DOING)]
    yield [server.change(43, state=TODO)]
    yield [server.change(43, state=DOING)]
    yield [server.change(42, project=WEB, assignee=None, delegate=None)]
    yield [server.change(42, GITHUB, state=DONE)]
    server.edit(next(iter(server.comments)), "I can reproduce this.")
    yield []


NAMED = ("platform_event", "native_event", "native_action", "author", "author_type", "author_id", "issue_id")
UNTOLD = frozenset({"issue_assignee", "issue_creator"})
"""What webhooks do not tell of a comment's issue."""


def _is_old(key: str) -> bool:
    """Whether this is the name of an old value, which webhooks do not tell."""
    return key.startswith(("previous_", "removed_")) and not key.endswith(("_id", "_ids"))


def facts(drafts: Any) -> list[tuple[Any, ...]]:
    """What a filter or a key of a route reads first, and all values of the payload that webhooks name."""
    return sorted(
        (
            *(str(one.provenance.get(name)) for name in NAMED),
            json.dumps({key: value for key, value in one.payload.items() if not _is_old(key)}),
        )
        for one in drafts
    )


def whole(draft: Draft) -> tuple[Any, ...]:
    """All of an event but the names of old values, which webhooks do not tell."""
    provenance = {key: value for key, value in draft.provenance.items() if key not in UNTOLD}
    old = [
        key for key in draft.payload if key.startswith(("previous", "removed")) and not key.endswith("_id")
    ]
    payload = {key: value for key, value in draft.payload.items() if key not in old}
    return provenance, payload


@pytest.mark.parametrize("asleep", [range(0), range(3, 12), range(100)])
async def test_a_day_polled_is_the_day_pushed(asleep: range, server: LinearServer, http: HttpClient) -> None:
    """Whichever part of it the machine sleeps through. What is polled at once is the same in every field."""
    follower = await Follower(server, http).begin()
    assert await follower.poll() == []
    pushed: list[Draft] = []
    for number, bodies in enumerate(day(server)):
        now = [draft for body in bodies for draft in normalize(body)]
        pushed += now
        server.now += 1000
        if number not in asleep:
            found = await follower.poll()
            assert set(map(str, map(whole, now))) <= set(map(str, map(whole, found)))
        server.now += HOUR if number in asleep and asleep.stop < 100 else 7 * MINUTE
    await follower.poll()
    assert facts(follower.events.values()) == facts(pushed)
    assert follower.repeated == 0
    assert await follower.poll() == []


async def test_a_poll_tells_the_names_of_old_values(server: LinearServer, http: HttpClient) -> None:
    server.create(42, assignee=MONA, labels=[BACKEND], cycle=CYCLE_7)
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.now += MINUTE
    server.change(42, HUBOT, state=DOING, assignee=HUBOT, labels=[BUG], cycle=None, priority=1)
    told: dict[str, Any] = {}
    for draft in await follower.poll():
        told |= {
            key: value for key, value in draft.payload.items() if key.startswith(("previous_", "removed_"))
        }
    assert told == {
        "previous_state": "Todo",
        "previous_state_id": "state-todo",
        "previous_assignee": "Mona Lisa",
        "previous_assignee_id": "user-mona",
        "previous_priority": 2,
        "previous_labels": ["backend"],
        "removed_labels": ["backend"],
        "removed_label_ids": ["label-backend"],
        "previous_cycle": "Cycle 7",
        "previous_cycle_id": "cycle-7",
    }


async def test_what_is_told_late_is_told_as_it_was_then(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.create(42)
    for state in (DOING, DONE):
        server.now += MINUTE
        server.change(42, state=state)
    found = await follower.poll()
    assert [(one.provenance["platform_event"], one.provenance["state"]) for one in found] == [
        ("issue.created", "Todo"),
        ("issue.state_changed", "In Progress"),
        ("issue.state_changed", "Done"),
    ]
    assert found[0].payload["state"] == "Todo"


async def test_issues_and_comments_come_in_the_order_of_their_times(
    server: LinearServer, http: HttpClient
) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    for number in (1, 2):
        server.now += MINUTE
        server.create(number)
        server.now += MINUTE
        server.comment(number, "Hello.")
    found = [(one.provenance["platform_event"], one.provenance["issue_id"]) for one in await follower.poll()]
    assert found == [
        ("issue.created", "ENG-1"),
        ("comment.created", "ENG-1"),
        ("issue.created", "ENG-2"),
        ("comment.created", "ENG-2"),
    ]


async def test_both_ways_are_one_event_each(server: LinearServer, http: HttpClient) -> None:
    """Webhooks come for two of three facts, before or after the poll."""
    both = await Follower(server, http, secret=SECRET).begin()
    assert isinstance(both.source, LinearBoth)
    await both.poll()
    pushed: list[Draft] = []
    late: list[Body] = []
    for number, bodies in enumerate(day(server)):
        pushed += [draft for body in bodies for draft in normalize(body)]
        for body in bodies:
            if number % 3 == 0:
                await both.push(body)
            elif number % 3 == 1:
                late.append(body)
        server.now += MINUTE
        if number % 4 == 3:
            await both.poll()
            await both.begin()
    await both.poll()
    for body in late:
        await both.push(body)
    assert facts(both.events.values()) == facts(pushed)
    assert both.repeated >= len(late)


async def test_a_webhook_is_told_at_once_in_the_form_of_a_poll(
    server: LinearServer, http: HttpClient
) -> None:
    both = await Follower(server, http, secret=SECRET).begin()
    await both.poll()
    server.create(42)
    received = await both.push(server.change(42, HUBOT, state=DOING))
    names = [one.provenance["platform_event"] for one in received.events]
    assert names == ["issue.created", "issue.state_changed"]
    _, changed = received.events
    assert (changed.payload["previous_state"], changed.provenance["author"]) == ("Todo", "Hubot")
    assert received.request is not None
    server.now += MINUTE
    assert await both.poll() == []


async def test_a_history_that_comes_late_is_waited_for_a_moment(
    server: LinearServer, http: HttpClient
) -> None:
    both = await Follower(server, http, secret=SECRET).begin()
    await both.poll()
    server.create(42)
    server.lag = 500

    async def later(seconds: float) -> None:
        server.now += int(seconds * 1000)

    both.context.clock.sleep = later  # type: ignore[method-assign]
    await both.begin()
    received = await both.push(server.change(42, state=DOING))
    assert "issue.state_changed" in {one.provenance["platform_event"] for one in received.events}


@pytest.mark.parametrize(
    "fault",
    [
        lambda: failing(400, "Rate limit exceeded", "RATELIMITED"),
        lambda: failing(502, "Bad gateway", ""),
        lambda: failing(401, "no", "AUTHENTICATION_ERROR"),
    ],
)
async def test_what_the_api_does_not_say_to_a_webhook_the_next_poll_tells(
    fault: Callable[[], Any], server: LinearServer, http: HttpClient
) -> None:
    both = await Follower(server, http, secret=SECRET).begin()
    await both.poll()
    body = server.create(42)
    server.faults.append(lambda _: fault())
    received = await both.push(body)
    assert (received.events, received.request, received.reply.status) == ((), None, 200)
    assert received.reply.body == {"ok": True, "polled": True}
    server.now += HOUR
    assert [one.provenance["platform_event"] for one in await both.poll()] == ["issue.created"]


async def test_a_webhook_without_its_time_makes_nobody_tell_the_whole_history(
    server: LinearServer, http: HttpClient
) -> None:
    server.create(42)
    server.change(42, state=DOING)
    server.now += HOUR
    both = await Follower(server, http, secret=SECRET).begin()
    await both.poll()
    body = server.change(42, priority=1)
    del body["data"]["updatedAt"]
    assert (await both.push(body)).events == ()
    assert [one.provenance["platform_event"] for one in await both.poll()] == ["issue.priority_changed"]


async def test_a_comment_of_another_project_is_told_neither_way(
    server: LinearServer, http: HttpClient
) -> None:
    both = await Follower(server, http, secret=SECRET, project="Billing").begin()
    await both.poll()
    server.create(1, project=WEB)
    server.create(2, project=BILLING)
    received = [await both.push(server.comment(number, "Hello.")) for number in (1, 2)]
    assert [len(one.events) for one in received] == [0, 1]
    assert [one.provenance["issue_id"] for one in await both.poll()] == ["ENG-2"]


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
async def test_the_clock_of_this_machine_does_not_matter(
    skew: int, server: LinearServer, http: HttpClient
) -> None:
    follower = await Follower(server, http, skew=skew).begin()
    await follower.poll()
    for number in range(3):
        server.create(number)
        server.now += MINUTE
        assert len(await follower.poll()) == 1
    assert follower.repeated == 0


async def test_what_polls_cannot_tell_of_is_taken_from_the_webhook(
    server: LinearServer, http: HttpClient
) -> None:
    both = await Follower(server, http, secret=SECRET).begin()
    await both.poll()
    server.create(42)
    asked = len(server.asked)
    received = await both.push(server.change(42, title="Retry"))
    assert [one.provenance["platform_event"] for one in received.events] == ["issue.update"]
    assert len(server.asked) == asked


async def test_a_crash_before_the_commit_loses_and_repeats_nothing(
    server: LinearServer, http: HttpClient
) -> None:
    """In the same process, and in a fresh one."""
    follower = await Follower(server, http).begin()
    await follower.poll()
    pushed: list[Draft] = []
    for number, bodies in enumerate(day(server)):
        pushed += [draft for body in bodies for draft in normalize(body)]
        server.now += 1000
        lost = await follower.poll(crash=True)
        if number % 2:
            await follower.begin()
        assert {one.key for one in await follower.poll()} == {one.key for one in lost}
        server.now += MINUTE
    assert facts(follower.events.values()) == facts(pushed)
    assert follower.repeated == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["create", "state", "assignee", "labels", "comment", "touch", "poll", "crash", "new"]
        ),
        st.integers(0, 2),
        st.sampled_from([0, 1, 900, 30_000, 130_000, HOUR, 20 * HOUR]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, groups=st.sampled_from([0, 0, 5 * MINUTE]), largest=st.sampled_from([1, 3, 50]))
def test_whatever_happens_between_polls_each_fact_is_told_once(
    steps: list[tuple[str, int, int]], groups: int, largest: int
) -> None:
    """Also where Linear sums up changes in one entry: then what it sums up is told."""
    import asyncio

    async def scenario() -> None:
        async with LinearServer(NOON) as server:
            server.groups, server.largest = groups, largest
            http = HttpClient()
            try:
                await _lived(server, http, steps, grouped=bool(groups))
            finally:
                await http.close()

    asyncio.run(scenario())


async def _lived(
    server: LinearServer, http: HttpClient, steps: list[tuple[str, int, int]], *, grouped: bool
) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    pushed: list[Draft] = []
    for what, number, later in steps:
        exists = f"issue-{number}" in server.issues
        issue = server.issues.get(f"issue-{number}", {})
        body: Body | None = None
        match what:
            case "create" if not exists:
                body = server.create(number)
            case "state" if exists:
                body = server.change(number, state=DOING if issue["state"] == TODO else TODO)
            case "assignee" if exists:
                body = server.change(number, HUBOT, assignee=None if issue["assignee"] else HUBOT)
            case "labels" if exists:
                body = server.change(number, labels=[] if issue["labels"] else [BUG])
            case "comment" if exists:
                body = server.comment(number, "Hello.")
            case "touch" if exists:
                server.touch(number)
            case "poll":
                await follower.poll()
            case "crash":
                await follower.poll(crash=True)
            case "new":
                await follower.begin()
            case _:
                pass
        pushed += normalize(body) if body else ()
        server.now += later + 10
    server.now += MINUTE
    await follower.poll()
    told = facts(follower.events.values())
    if grouped:
        assert {one[:2] for one in told} <= {one[:2] for one in facts(pushed)}
        assert [one for one in told if "created" in one[0]] == [
            one for one in facts(pushed) if "created" in one[0]
        ]
    else:
        assert told == facts(pushed)
    assert follower.repeated == 0


@pytest.mark.parametrize("largest", [3, 50])
async def test_a_backlog_comes_in_bounded_steps(largest: int, server: LinearServer, http: HttpClient) -> None:
    """Of days, in pages of any size, with many changes in one millisecond."""
    server.largest = largest
    follower = await Follower(server, http).begin()
    await follower.poll()
    for number in range(MOST_THINGS + 12):
        server.create(number)
        server.now += 0 if number % 10 else 1000
    server.now += HOUR
    page = await follower.source.poll(follower.checkpoint)
    assert page.more
    assert 0 < len(page.events) < MOST_THINGS + 12
    assert len(await follower.poll()) == MOST_THINGS + 12
    assert follower.repeated == 0


async def test_many_changes_of_just_now_are_told_once_each(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    for number in range(MOST_THINGS + 20):
        server.create(number)
        server.now += 1
    assert len(await follower.poll()) == MOST_THINGS + 20
    server.now += OVERLAP
    assert await follower.poll() == []


async def test_a_long_history_is_read_to_its_beginning(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.create(42)
    for number in range(35):
        server.now += 1000
        server.change(42, state=TODO if number % 2 else DOING)
    assert len(await follower.poll()) == 36


async def test_an_idle_poll_asks_for_little(server: LinearServer, http: HttpClient) -> None:
    """Linear counts what a list may hold. What did not change is not read again."""
    server.create(42)
    server.comment(42, "Hello.")
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.now += MINUTE
    server.change(42, state=DOING)
    for _ in range(6):
        await follower.poll()
        server.now += MINUTE
    server.asked.clear()
    await follower.poll()
    assert [name for name, _ in server.asked] == ["ChangedIssues", "ChangedComments"]
    assert sum(server.costs[name] for name, _ in server.asked) < 250
    assert server.costs["Issue"] < 600


async def test_only_what_is_wanted_is_read(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http, events=["comment.created"]).begin()
    await follower.poll()
    server.create(42)
    server.comment(42, "Hello.")
    assert [one.provenance["platform_event"] for one in await follower.poll()] == ["comment.created"]
    assert {name for name, _ in server.asked} == {"Viewer", "ChangedComments", "Comment"}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, {"ENG-1", "OPS-2", "ENG-3"}),
        ({"team": "eng"}, {"ENG-1", "ENG-3"}),
        ({"team": "OPS"}, {"OPS-2"}),
        ({"project": "Billing"}, {"ENG-3"}),
        ({"team": "ENG", "project": "Web"}, set[str]()),
    ],
)
async def test_one_team_or_project_is_polled_alone(
    config: Body, told: set[str], server: LinearServer, http: HttpClient
) -> None:
    follower = await Follower(server, http, **config).begin()
    await follower.poll()
    server.create(1)
    server.create(2, team=OPS)
    server.create(3, project=BILLING)
    for number in (1, 2, 3):
        server.comment(number, "Hello.")
    found = await follower.poll()
    assert {one.provenance["issue_id"] for one in found} == told
    assert len(found) == 2 * len(told)
    assert [name for name, _ in server.asked].count("Comment") == len(told)


@pytest.mark.parametrize(("lookback", "told"), [(None, 0), ("0s", 0), ("30m", 1), ("3h", 2)])
async def test_the_first_poll_looks_back_as_far_as_it_should(
    lookback: str | None, told: int, server: LinearServer, http: HttpClient
) -> None:
    server.now -= 2 * HOUR
    server.create(1)
    server.now += 2 * HOUR - 10 * MINUTE
    server.create(2)
    server.now += 10 * MINUTE
    config: Body = {} if lookback is None else {"initial_lookback": lookback}
    follower = await Follower(server, http, **config).begin()
    assert len(await follower.poll()) == told


async def test_what_happened_before_the_first_poll_is_not_told_with_later_changes(
    server: LinearServer, http: HttpClient
) -> None:
    server.create(42)
    server.change(42, state=DOING)
    server.comment(42, "Before.")
    server.now += 5 * MINUTE
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.now += 5 * MINUTE
    server.change(42, priority=1)
    server.edit(next(iter(server.comments)), "Edited.")
    assert [one.provenance["platform_event"] for one in await follower.poll()] == ["issue.priority_changed"]


async def test_a_thing_that_is_gone_by_then_is_left_out(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.create(1)
    server.create(2)
    listed = server._newest(server.issues)
    server._newest = lambda things: listed if things is server.issues else []  # type: ignore[method-assign]
    del server.issues["issue-1"]
    assert [one.provenance["issue_id"] for one in await follower.poll()] == ["ENG-2"]


HOSTILE = [
    "\x00\x1b[31m" * 50,
    "{{ payload.secret }} ${HOME} $(id)",
    "x" * 900_000,
    "\U0001f600\u202e <script>alert(1)</script> --- \n---\n",
    '"}}) { viewer { id } } #',
]


@pytest.mark.parametrize("words", HOSTILE)
async def test_whatever_people_write_is_told_as_it_is(
    words: str, server: LinearServer, http: HttpClient
) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.create(42, title=words, description=words)
    server.comment(42, words)
    issue, comment = await follower.poll()
    assert (issue.payload["issue_title"], issue.payload["issue_description"]) == (words, words)
    assert comment.payload["comment_body"] == words


async def test_the_words_of_our_own_runs_are_known_by_their_mark(
    server: LinearServer, http: HttpClient
) -> None:
    mark = Mark(run_id="run_0123456789abcdef", actor="engineer", event_id="evt_1", trace_id="trc_1", hops=1)
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.create(42)
    server.comment(42, f"Done. {follower.context.marks.comment(mark)}")
    _, draft = await follower.poll()
    assert (draft.provenance["author_type"], draft.cause) == ("self", mark)


async def test_a_checkpoint_that_cannot_be_read_begins_anew(server: LinearServer, http: HttpClient) -> None:
    server.create(1)
    for broken in (
        "",
        "{",
        "[]",
        '{"kinds": 7}',
        '{"kinds": {"Issue": {"at": "soon"}}}',
        "2026-01-05T12:00:00Z",
    ):
        follower = await Follower(server, http).begin()
        follower.checkpoint = broken
        assert await follower.poll() == []
        assert set(load(follower.checkpoint)) == {"Issue", "Comment"}


def test_a_checkpoint_is_bounded_and_read_back() -> None:
    progress = ReadSoFar(at=NOON, floor=NOON - DAY)
    for number in range(3 * MOST_SEEN):
        progress = progress.reached(NOON + number, ended=True, facts=[f"fact {number}"])
    assert len(progress.seen) == MOST_SEEN
    assert load(dump({"Issue": progress})) == {"Issue": progress}


@given(at=st.integers(0, 4_000_000_000_000))
def test_times_are_read_as_they_are_written(at: int) -> None:
    assert millis(iso(at)) == at


@pytest.mark.parametrize("value", [None, 7, "", "soon", "2026-13-01T00:00:00Z", "9" * 50])
def test_what_is_no_time_is_none(value: Any) -> None:
    assert millis(value) is None


async def test_something_without_its_time_fails_the_poll(server: LinearServer, http: HttpClient) -> None:
    follower = await Follower(server, http).begin()
    await follower.poll()
    server.create(42)
    server.issues["issue-42"]["updatedAt"] = "soon"
    with pytest.raises(PluginError, match="without `updatedAt`"):
        await follower.poll()


@pytest.mark.parametrize(
    ("team", "filter"),
    [
        ("ENG", {"key": {"eqIgnoreCase": "ENG"}}),
        ("0b3d1c6e-8a52-4a0f-9a4e-5f2c7d9e1b40", {"id": {"eq": "0b3d1c6e-8a52-4a0f-9a4e-5f2c7d9e1b40"}}),
        ("0b3d1c6e-8a52-4a0f", {"key": {"eqIgnoreCase": "0b3d1c6e-8a52-4a0f"}}),
    ],
)
def test_a_team_is_found_by_its_key_or_by_its_id(team: str, filter: Body) -> None:
    assert team_filter(team) == filter


def test_ways_in_are_those_that_the_settings_ask_for() -> None:
    polled = open_source("linear", LinearSettings.model_validate({"api_key": KEY}))
    assert isinstance(polled, LinearPoller)
    assert isinstance(open_source("linear", LinearSettings.model_validate({"token": KEY})), LinearPoller)
    both = open_source("linear", LinearSettings.model_validate({"api_key": KEY, "secret": SECRET}))
    assert isinstance(both, LinearBoth)


def test_every_query_is_valid_in_linears_schema() -> None:
    texts = {name: text for name, text in vars(queries).items() if name.isupper() and name[0] != "_"}
    assert len(texts) > 5
    assert {name: validate(schema(), parse(text)) for name, text in texts.items()} == {
        name: [] for name in texts
    }


def test_the_schema_is_what_its_script_makes() -> None:
    script = PLACE.parents[2] / "scripts/linear_schema.py"
    made = subprocess.run(
        [sys.executable, str(script), str(PLACE)], capture_output=True, text=True, check=True, timeout=120
    )
    assert made.stdout == PLACE.read_text("utf-8")
    assert build_schema(made.stdout).query_type is not None
