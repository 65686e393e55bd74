"""The OpenClaw actor: what it sends, what answers mean, and when a request is sent again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from orgloop.connectors.agents.openclaw import connector
from orgloop.connectors.agents.openclaw.actor import MEMORY, NO_REPORT, OpenClawActor
from orgloop.connectors.agents.openclaw.message import BODY_LIMIT, Order
from orgloop.connectors.agents.openclaw.settings import OpenClawSettings
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin import (
    CalledBack,
    CheckStatus,
    Completion,
    Delivered,
    Deliverer,
    Event,
    Findable,
    HttpFailed,
    HttpReply,
    NotBegun,
    Progress,
    Ref,
    Refused,
    Rejected,
    RemoteRun,
    Retry,
    Skipped,
    Throttled,
    Unavailable,
    Wake,
)
from tests.connectors.doubles import (
    NOON,
    FakeContext,
    FakeHttp,
    Sent,
    as_context,
    event,
    inbound,
    reply,
    wake,
)

MINUTE = 60_000
DONE = {"ok": True, "runId": "gw-1", "completion": {"status": "ok", "replyDisposition": "visible"}}
BROKEN = HttpFailed("the connection broke", sent=True)
REFUSED = HttpFailed("cannot connect", sent=False)


def settings(**config: Any) -> OpenClawSettings:
    return OpenClawSettings.model_validate({"token": "t0k", **config})


def woken(*, by: Event | None = None, **config: Any) -> Wake:
    lead = by or event()
    return wake(event=lead, events=(lead,), prompt="Fix it.\n", sop="Fix it.", run_id="run_1", config=config)


def order(given: Wake | None = None, **config: Any) -> Order:
    return Order.from_bytes(OpenClawActor("claw", settings(**config)).request(given or woken()).body)


def body(given: Wake | None = None, **config: Any) -> Mapping[str, Any]:
    (only,) = order(given, **config).bodies
    return only


def answer(document: Any, status: int = 200, **headers: str) -> HttpReply:
    return reply(status, json.dumps(document).encode(), **headers)


async def opened(http: FakeHttp, **config: Any) -> tuple[OpenClawActor, FakeContext]:
    actor, context = OpenClawActor("claw", settings(**config)), FakeContext(http=http)
    await actor.open(as_context(context))
    return actor, context


def run_of(given: Wake | None = None, *, started: int = NOON, waited: int = 0, **config: Any) -> RemoteRun:
    request = OpenClawActor("claw", settings(**config)).request(given or woken())
    return RemoteRun(
        id="run_1",
        request=request.body,
        started_at=started,
        waited_until=max(started, waited),
        deadline=started + round(request.timeout_s * 1000),
    )


def about(**meta: Any) -> Event:
    return event(payload={"meta": meta})


# What is sent.


def test_a_wake_is_one_turn_of_the_agent_that_is_waited_for() -> None:
    assert body() == {
        "message": "Fix it.",
        "name": "OrgLoop build-to-target",
        "wakeMode": "now",
        "deliver": False,
        "waitForCompletion": True,
    }


def test_each_option_of_actor_and_route_has_its_place() -> None:
    given = woken(
        session_key="hook:pr:7",
        thread_id=1700,
        wake_mode="next-heartbeat",
        deliver="true",
        channel="slack",
        to="#eng",
        account_id="work",
        lane="fast",
        model="big",
        thinking="high",
        timeout_seconds="90",
    )
    sent = body(given, agent_id="main", default_channel="x", default_to="y", lane="slow")
    assert {name: sent[name] for name in sent.keys() - {"message", "name", "waitForCompletion"}} == {
        "sessionKey": "hook:pr:7",
        "threadId": "1700",
        "wakeMode": "next-heartbeat",
        "deliver": True,
        "channel": "slack",
        "to": "#eng",
        "accountId": "work",
        "lane": "fast",
        "model": "big",
        "thinking": "high",
        "timeoutSeconds": 90,
        "agentId": "main",
    }
    plain = body(woken(thread_id="", model="", channel=""), default_channel="x", default_to="y", lane="slow")
    assert (plain["channel"], plain["to"], plain["lane"]) == ("x", "y", "slow")
    assert not {"threadId", "model", "timeoutSeconds", "sessionKey"} & plain.keys()


def test_a_persistent_session_is_the_session_of_its_key() -> None:
    keyed = woken(session_key="hook:pr:7")
    actor = OpenClawActor("claw", settings(session_mode="persistent"))
    assert actor.request(keyed).session_id == "hook:pr:7"
    assert body(keyed, session_mode="persistent")["sessionMode"] == "persistent"
    assert "sessionMode" not in body(woken(), session_mode="persistent")
    assert OpenClawActor("claw", settings()).request(keyed).session_id is None


def test_the_message_carries_the_mark_of_the_run_and_where_to_report() -> None:
    given = woken()
    marked = Wake(**{name: getattr(given, name) for name in given.__slots__} | {
        "marker": "<!-- orgloop-run: x -->", "trailer": "OrgLoop-Run: x", "callback": "https://us/callback/1",
    })  # fmt: skip
    message = body(marked, completion="callback")["message"]
    assert message.startswith("Fix it.\n\n")
    for part in ("<!-- orgloop-run: x -->", "\nOrgLoop-Run: x", "https://us/callback/1", '"status": "ok"'):
        assert part in message
    assert "callback" not in body(marked)["message"]


def test_a_turn_that_may_take_longer_is_waited_for() -> None:
    def timeout(given: Wake, **config: Any) -> float:
        return OpenClawActor("claw", settings(**config)).request(given).timeout_s

    assert timeout(woken()) == 1800
    assert timeout(woken(timeout_seconds=3600)) == 3660
    assert timeout(woken(timeout_seconds=60), timeout="5m") == 300


async def test_what_no_request_can_carry_is_sent_as_near_as_can_be() -> None:
    given = woken(session_key="hook:\ud800\0x", model="a\ud800")
    actor, context = await opened(FakeHttp(answer(DONE)))
    assert isinstance(await actor.begin(run_of(given)), Completion)
    assert b"hook:" in context.http.sent[0].body


def test_a_message_that_no_gateway_takes_is_refused_before_it_is_sent() -> None:
    with pytest.raises(Refused, match=str(BODY_LIMIT)):
        body(wake(prompt="x" * BODY_LIMIT))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"wake_mode": "later"}, "must be now or next-heartbeat"),
        ({"deliver": "yes"}, "must be true or false"),
        ({"timeout_seconds": 0}, "seconds from 1"),
        ({"timeout_seconds": "10m"}, "seconds from 1"),
        ({"timeout_seconds": True}, "seconds from 1"),
        ({"timeout_seconds": float("inf")}, "seconds from 1"),
        ({"session_key": ["a"]}, "must be text"),
        ({"model": True}, "must be text"),
        ({"sesion_key": "a"}, "sesion_key"),
    ],
)
def test_what_a_route_says_wrong_is_refused_and_found_before(config: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        body(woken(**config))
    assert connector.actor is not None
    assert connector.actor.check_route is not None
    assert connector.actor.check_route(config).keys() == config.keys()
    templated = {key: "{{payload.x}}" for key in config if key != "sesion_key"}
    assert connector.actor.check_route(templated) == {}


@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "gateway:18789"},
        {"base_url": "http://user:pw@x"},
        {"base_url": "http://x/?token=1"},
        {"base_url": "http://a..b"},
        {"path": "/"},
        {"path": "/hooks?x"},
        {"token": ""},
        {"token": "a\nX-Other: b"},
        {"token": "two words"},
        {"token": "tök"},
        {"agent_id": " "},
        {"completion": "later"},
        {"timeout": 30},
        {"hook": "gmail"},
    ],
)
def test_settings_that_cannot_work_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**config)


def test_settings_that_are_risky_or_do_nothing_warn() -> None:
    assert settings().warnings() == {}
    assert settings(base_url="https://claw.example").warnings() == {}
    assert settings(base_url="http://claw.example").warnings().keys() == {"base_url"}
    assert settings(hook="wake", completion="accept").warnings().keys() == {"completion"}
    assert settings(token=" t0k\n").warnings().keys() == {"token"}
    older = OpenClawSettings.model_validate({"auth_token_env": "t0k"})
    assert older == settings()
    assert "t0k" not in repr(older)


# Sessions that name who is to hear of their end.


def test_a_session_that_names_who_is_to_hear_comes_first_to_them() -> None:
    meta = {"openclaw_callback_session_key": "hook:theirs", "openclaw_callback_agent_id": "main"}
    for payload in ({"meta": meta}, {"session": {"meta": meta}}, {"meta": {}, "session": {"meta": meta}}):
        given = woken(by=event(payload=payload), session_key="hook:ours")
        first, second = order(given, agent_id="main").bodies
        assert (first["sessionKey"], first["agentId"]) == ("hook:theirs", "main")
        assert second == body(woken(by=event(), session_key="hook:ours"), agent_id="main")
    odds: list[Any] = [
        {"meta": "x"},
        {"meta": {"openclaw_callback_session_key": 7}},
        {"session": []},
        None,
        [1],
    ]
    for odd in odds:
        assert len(order(woken(by=event(payload=odd))).bodies) == 1


async def test_a_session_of_another_agent_wakes_nobody() -> None:
    given = woken(by=about(openclaw_callback_agent_id="other"))
    actor, context = await opened(FakeHttp(), agent_id="main")
    assert isinstance(await actor.begin(run_of(given, agent_id="main")), Skipped)
    assert isinstance(await actor.deliver(given), Skipped)
    assert context.http.sent == []
    assert len(order(given).bodies) == 1


async def test_whoever_is_to_hear_is_asked_first_and_the_own_session_only_if_nothing_began() -> None:
    given = woken(by=about(openclaw_callback_session_key="hook:theirs"))
    http = FakeHttp(answer({"ok": False, "error": "sessionKey is disabled"}, 400), answer(DONE))
    actor, context = await opened(http)
    assert isinstance(await actor.begin(run_of(given)), Completion)
    assert [json.loads(sent.body).get("sessionKey") for sent in http.sent] == ["hook:theirs", None]
    context.http.answers = [BROKEN]
    with pytest.raises(HttpFailed):
        await actor.begin(run_of(given))
    assert len(http.sent) == 3


# What answers mean.

ENDS = [
    (DONE, (Phase.COMPLETED, RunOutcome.SUCCESS, "ok")),
    ({**DONE, "completion": {"status": "error"}}, (Phase.FAILED, RunOutcome.FAILURE, "error")),
    ({**DONE, "completion": {"status": "ok", "deliveryError": "delivery-failed"}},
     (Phase.COMPLETED, RunOutcome.SUCCESS, "delivery_failed")),
    ({**DONE, "completion": {"status": "???"}}, (Phase.STOPPED, RunOutcome.UNKNOWN, "bad_answer")),
    ({"ok": "yes"}, (Phase.STOPPED, RunOutcome.UNKNOWN, "bad_answer")),
    ([], (Phase.STOPPED, RunOutcome.UNKNOWN, "bad_answer")),
]  # fmt: skip


@pytest.mark.parametrize(("document", "how"), ENDS)
async def test_the_answer_tells_the_end(document: Any, how: tuple[Phase, RunOutcome, str]) -> None:
    actor, context = await opened(FakeHttp(answer(document)))
    end = await actor.begin(run_of())
    assert isinstance(end, Completion)
    assert (end.phase, end.outcome, end.reason) == how
    (sent,) = context.http.sent
    assert (sent.method, sent.url) == ("POST", "http://127.0.0.1:18789/hooks/agent")
    assert (sent.headers["authorization"], sent.headers["idempotency-key"]) == ("Bearer t0k", "run_1")
    assert sent.timeout > 1800


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff\xfe", b"[" * 10_000, b'{"ok": true, "runId"'])
async def test_garbage_is_an_end_that_nobody_knows(content: bytes) -> None:
    actor, _ = await opened(FakeHttp(reply(200, content)))
    end = await actor.begin(run_of())
    assert isinstance(end, Completion)
    assert (end.outcome, end.reason) == (RunOutcome.UNKNOWN, "bad_answer")


async def test_what_the_gateway_says_of_the_reply_is_in_the_event_and_declared() -> None:
    told = {"status": "ok", "replyDisposition": "silent", "delivered": False, "deliveryAttempted": True,
            "deliverySuppressionReason": "silent", "deliveryError": "delivery-failed"}  # fmt: skip
    actor, _ = await opened(FakeHttp(answer({**DONE, "completion": told})))
    end = await actor.begin(run_of())
    assert isinstance(end, Completion)
    assert end.details["reply_disposition"] == "silent"
    assert connector.actor is not None
    declared = {name for shape in connector.actor.shapes for name in shape.fields}
    assert {f"payload.{name}" for name in end.details} == declared


async def test_an_answer_that_breaks_off_leaves_it_in_doubt() -> None:
    actor, _ = await opened(FakeHttp(replace(answer(DONE), truncated=True)))
    with pytest.raises(HttpFailed) as failed:
        await actor.begin(run_of())
    assert failed.value.sent


async def test_a_gateway_that_does_not_tell_the_end_has_it_or_the_agent_reports() -> None:
    accepted = {"ok": True, "runId": "gw-9"}
    actor, _ = await opened(FakeHttp(answer(accepted)))
    assert isinstance(await actor.begin(run_of()), Delivered)
    actor, _ = await opened(FakeHttp(answer(accepted)), completion="callback")
    assert await actor.begin(run_of()) == Ref(id="gw-9")
    assert await actor.follow(run_of(), lambda _: None) is None


async def test_an_agent_that_does_not_report_is_noted() -> None:
    actor, _ = await opened(FakeHttp(answer(DONE)), completion="callback")
    end = await actor.begin(run_of())
    assert isinstance(end, Completion)
    assert end.details["notes"] == [NO_REPORT]
    skipped = {**DONE, "completion": {"status": "skipped"}}
    actor, _ = await opened(FakeHttp(answer(skipped)))
    assert isinstance(await actor.begin(run_of()), Skipped)


OURS = {"ok": False, "error": "not now", "runId": "gw-1"}
FAILURES = [
    (reply(401, b"Unauthorized"), Unavailable),
    (reply(403), Unavailable),
    (reply(404, b"Not Found"), Unavailable),
    (answer({"ok": False, "error": "message required"}, 400), Rejected),
    (reply(405), Rejected),
    (reply(413), Rejected),
    (reply(302, location="/login"), Rejected),
    (reply(408), Retry),
    (answer(OURS, 409), Throttled),
    (reply(429, retry_after="7"), Throttled),
    (reply(429), Throttled),
    (answer(OURS, 502), Retry),
    (answer(OURS, 503), Throttled),
    (answer(OURS, 503, retry_after="90"), Throttled),
    (reply(503, b"down", retry_after="90"), Throttled),
]


@pytest.mark.parametrize(("refusal", "kind"), FAILURES, ids=lambda it: str(getattr(it, "status", "")))
async def test_a_refusal_begins_nothing(refusal: HttpReply, kind: type) -> None:
    actor, _ = await opened(FakeHttp(refusal))
    end = await actor.begin(run_of())
    assert isinstance(end, NotBegun)
    assert type(end.outcome) is kind
    actor, _ = await opened(FakeHttp(refusal), completion="accept")
    assert type(await actor.deliver(woken())) is kind
    waits = {"7": NOON + 7_000, "90": NOON + 90_000}.get(refusal.headers.get("retry-after", ""))
    if waits and isinstance(end.outcome, Throttled):
        assert end.outcome.until == waits


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_proxy_that_gives_up_leaves_it_in_doubt(status: int) -> None:
    actor, _ = await opened(FakeHttp(reply(status, b"<h1>Bad Gateway</h1>")))
    with pytest.raises(HttpFailed) as failed:
        await actor.begin(run_of())
    assert failed.value.sent
    actor, _ = await opened(FakeHttp(reply(status, b"<h1>Bad Gateway</h1>")), completion="accept")
    outcome = await actor.deliver(woken())
    assert isinstance(outcome, Retry)
    assert not outcome.known


# When it is sent again.


def up(for_ms: int | None) -> HttpReply:
    return answer({"ready": True} if for_ms is None else {"ready": True, "uptimeMs": for_ms})


LONG = 60 * MINUTE
FINDS = [
    # when it began and was last waited for, before now; what the probe and the second request say; the reason
    (MINUTE, 0, [up(LONG), answer(DONE)], "ok"),
    (20 * MINUTE, MINUTE, [up(LONG), answer(DONE)], "ok"),
    (20 * MINUTE, MEMORY + 1, [up(LONG)], "in_doubt"),
    (20 * MINUTE, MINUTE, [up(10 * MINUTE)], "gateway_restarted"),
    (20 * MINUTE, MINUTE, [up(None), up(None)], "in_doubt"),
    (20 * MINUTE, MINUTE, [up(None), up(LONG), answer(DONE)], "ok"),
    (20 * MINUTE, MINUTE, [reply(404), reply(200, b"<html>")], "in_doubt"),
]


@pytest.mark.parametrize(("began", "waited", "says", "reason"), FINDS)
async def test_a_request_is_sent_again_only_to_a_gateway_that_surely_knows_it(
    began: int, waited: int, says: list[Any], reason: str
) -> None:
    actor, context = await opened(FakeHttp(*says))
    run = run_of(started=NOON - began, waited=NOON - (waited or began))
    end = await actor.find(run)
    assert isinstance(end, Completion)
    assert end.reason == reason
    again = [sent for sent in context.http.sent if sent.method == "POST"]
    assert len(again) == (reason == "ok")
    assert context.http.answers == []


async def test_a_connection_that_breaks_late_is_taken_up_again_while_this_daemon_waits() -> None:
    def breaks_late(_: Sent) -> HttpReply:
        context.clock.time += 20 * MINUTE
        raise BROKEN

    actor, context = await opened(FakeHttp(breaks_late), timeout="2h")
    run = run_of(timeout="2h")
    with pytest.raises(HttpFailed):
        await actor.begin(run)
    context.http.answers = [up(LONG), breaks_late]
    with pytest.raises(HttpFailed):
        await actor.find(run)
    context.clock.time += MEMORY - 1
    context.http.answers = [REFUSED]
    with pytest.raises(HttpFailed):
        await actor.find(run)
    context.http.answers = [up(LONG), answer(DONE)]
    assert isinstance(await actor.find(run), Completion)
    assert [sent.method for sent in context.http.sent] == ["POST", "GET", "POST", "GET", "GET", "POST"]


@pytest.mark.parametrize("refusal", [reply(401), answer(OURS, 400), answer(OURS, 503), REFUSED])
async def test_a_refusal_of_the_second_request_says_nothing_of_the_first(refusal: Any) -> None:
    actor, _ = await opened(FakeHttp(up(LONG), refusal))
    with pytest.raises(HttpFailed) as failed:
        await actor.find(run_of(started=NOON - MINUTE))
    assert failed.value.sent


async def test_of_two_requests_the_one_that_was_sent_is_sent_again_and_after_a_crash_none() -> None:
    given = woken(by=about(openclaw_callback_session_key="hook:theirs"))
    run = run_of(given)
    actor, context = await opened(FakeHttp(answer(OURS, 400), BROKEN, up(LONG), answer(DONE)))
    with pytest.raises(HttpFailed):
        await actor.begin(run)
    assert isinstance(await actor.find(run), Completion)
    posts = [sent.body for sent in context.http.sent if sent.method == "POST"]
    assert posts[1] == posts[2] != posts[0]
    later, _ = await opened(FakeHttp())
    end = await later.find(run)
    assert isinstance(end, Completion)
    assert end.reason == "in_doubt"


async def test_a_gateway_cannot_be_told_to_stop() -> None:
    actor, _ = await opened(FakeHttp())
    with pytest.raises(HttpFailed):
        await actor.stop(run_of())


# What the agent reports.


def report(document: Any) -> Any:
    actor = OpenClawActor("claw", settings(completion="callback"))
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return actor.called(run_of(), inbound(content))


def test_an_agent_reports_its_result() -> None:
    end = report({"status": "ok", "text": "Merged.", "json": {"decision": "merge"}})
    assert (end.outcome, end.text, end.json) == (RunOutcome.SUCCESS, "Merged.", {"decision": "merge"})
    end = report({"text": 'Done.\n```json\n{"n": 1}\n```'})
    assert (end.outcome, end.json) == (RunOutcome.SUCCESS, {"n": 1})
    assert report({"status": "error", "text": "No."}).outcome is RunOutcome.FAILURE
    assert report({"status": "working", "text": "half\nof it"}) == Progress(text="half of it")
    assert report({"text": "```json\n{\n```"}).details.keys() == {"json_error"}


@pytest.mark.parametrize("content", [b"", b"{", [], {"status": "fine"}, {"status": []}, {"text": 7}])
def test_what_is_no_report_is_refused(content: Any) -> None:
    with pytest.raises(Refused):
        report(content)


# Handing over.


async def test_a_run_whose_end_does_not_count_is_handed_over() -> None:
    actor, context = await opened(FakeHttp(answer({"ok": True, "runId": "gw-3"})), completion="accept")
    assert await actor.deliver(woken()) == Delivered(detail="run gw-3")
    (sent,) = context.http.sent
    assert sent.headers["idempotency-key"] == "dlv_0000000000000003.0"
    assert "waitForCompletion" not in json.loads(sent.body)
    assert sent.timeout < 30
    context.http.answers = [BROKEN, REFUSED]
    lost, away = await actor.deliver(woken()), await actor.deliver(woken())
    assert isinstance(lost, Retry)
    assert not lost.known
    assert isinstance(away, Unavailable)
    assert isinstance(await actor.deliver(woken(deliver="yes")), Rejected)


async def test_a_notice_holds_the_prompt_file_and_nothing_of_the_event() -> None:
    http = FakeHttp(answer({"ok": True, "mode": "now", "eventOutcome": "queued"}))
    actor, context = await opened(http, hook="wake", agent_id="main")
    assert await actor.deliver(woken(session_key="hook:a")) == Delivered(detail="queued")
    (sent,) = context.http.sent
    assert sent.url == "http://127.0.0.1:18789/hooks/wake"
    assert json.loads(sent.body) == {
        "text": "[ci] resource.changed, delivery dlv_0000000000000003\n\nFix it.",
        "mode": "now",
        "agentId": "main",
        "sessionKey": "hook:a",
    }
    context.http.answers = [answer({"ok": True})]
    await actor.deliver(woken(session_key="hook:a", wake_mode="next-heartbeat"))
    assert "sessionKey" not in json.loads(context.http.sent[-1].body)
    outcome = await actor.deliver(woken(model="big"))
    assert isinstance(outcome, Rejected)
    assert "model" in outcome.reason


def test_it_has_runs_where_their_end_is_known() -> None:
    assert connector.actor is not None
    assert connector.actor.has_runs is not None
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"completion": "callback"}, True),
        ({"completion": "accept"}, False),
        ({"hook": "wake"}, False),
    ]
    assert [connector.actor.has_runs(settings(**config)) for config, _ in cases] == [has for _, has in cases]
    actor = OpenClawActor("claw", settings())
    assert isinstance(actor, Findable)
    assert isinstance(actor, CalledBack)
    assert isinstance(actor, Deliverer)


# doctor

CHECKS = [
    (answer({"ok": False, "error": "message required"}, 400), CheckStatus.OK, "accepts the token"),
    (reply(401, b"Unauthorized"), CheckStatus.ERROR, "refuses the token"),
    (reply(404, b"Not Found"), CheckStatus.ERROR, "no hooks at /hooks"),
    (reply(429), CheckStatus.WARNING, "429"),
    (reply(503), CheckStatus.WARNING, "503"),
    (reply(200, b"<html>"), CheckStatus.ERROR, "does not answer as"),
    (reply(400, b"Bad Request"), CheckStatus.ERROR, "does not answer as"),
    (REFUSED, CheckStatus.WARNING, "cannot connect"),
]


@pytest.mark.parametrize(("says", "status", "detail"), CHECKS)
async def test_doctor_asks_without_a_message(says: Any, status: CheckStatus, detail: str) -> None:
    http = FakeHttp(says)
    assert connector.setup.check is not None
    (found,) = await connector.setup.check(settings(), as_context(FakeContext(http=http)))
    assert found.status is status
    assert detail in found.detail
    assert bool(found.hint) is (status is not CheckStatus.OK)
    (sent,) = http.sent
    assert (sent.url, sent.body) == ("http://127.0.0.1:18789/hooks/agent", b"{}")
    assert sent.headers["authorization"] == "Bearer t0k"
