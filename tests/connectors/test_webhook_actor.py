"""The webhook actor: what it sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from orgloop.connectors.webhook.actor import WebhookActor
from orgloop.connectors.webhook.settings import WebhookActorSettings, WebhookSourceSettings
from orgloop.connectors.webhook.source import WebhookSource
from orgloop.plugin import (
    Delivered,
    Deliverer,
    DeliverOutcome,
    HttpFailed,
    Inbound,
    Rejected,
    Retry,
    Unavailable,
    Wake,
)
from tests.connectors.doubles import FakeContext, FakeHttp, Sent, as_context, event, reply, wake

URL = "https://hooks.example.com/T0/s3cret-path"


async def deliver(http: FakeHttp, given: Wake | None = None, **config: Any) -> DeliverOutcome:
    context = FakeContext(http=http)
    actor = WebhookActor("target", WebhookActorSettings.model_validate({"url": URL, **config}))
    await actor.open(as_context(context))
    outcome = await actor.deliver(given or wake())
    await actor.close()
    return outcome


async def sent(given: Wake | None = None, **config: Any) -> Sent:
    http = FakeHttp(reply(200))
    assert await deliver(http, given, **config) == Delivered(detail="200 OK")
    return http.sent[0]


async def test_a_wake_is_one_post_of_event_and_sop() -> None:
    request = await sent(wake(sop="Fix it."))
    assert (request.method, request.url, request.follow_redirects) == ("POST", URL, False)
    assert request.max_bytes <= 64 * 1024
    assert json.loads(request.body) == {"event": event().document(), "launch_prompt": "Fix it."}
    assert request.headers == {
        "content-type": "application/json",
        "idempotency-key": "dlv_0000000000000003.0",
        "x-orgloop-delivery": "dlv_0000000000000003",
        "x-orgloop-attempt": "1",
        "x-orgloop-trace": "trc_0000000000000002",
    }


async def test_without_a_sop_there_is_no_launch_prompt() -> None:
    assert json.loads((await sent()).body) == {"event": event().document()}


async def test_a_batch_carries_all_its_events() -> None:
    second = event(id="evt_0000000000000009")
    body = json.loads((await sent(wake(second))).body)
    assert body == {"event": event().document(), "events": [event().document(), second.document()]}


async def test_a_template_makes_the_body() -> None:
    template = {
        "text": "{{ event.payload.title }} #{{event.payload.number}} {{ event.payload.gone }}|",
        "number": "{{event.payload.number}}",
        "tags": ["{{ event.payload.tags }}", "tag {{ event.payload.tags.0 }}", 7, None],
        "none": "{{ event.payload.none }}",
        "sop": "{{ launch_prompt }}",
        "first": "{{ events.0.id }}",
        "{{ event.id }}": True,
    }
    body = json.loads((await sent(wake(sop="Do."), body_template=template)).body)
    assert body == {
        "text": "Straße #7 |",
        "number": 7,
        "tags": [["a", "b"], "tag a", 7, None],
        "none": "",
        "sop": "Do.",
        "first": "evt_0000000000000001",
        "{{ event.id }}": True,
    }


async def test_a_template_without_a_sop_has_empty_text() -> None:
    assert json.loads((await sent(body_template="{{ launch_prompt }}")).body) == ""


async def test_the_body_is_signed_so_that_our_source_verifies_it() -> None:
    request = await sent(secret="s")
    receiver = WebhookSource(
        "in", WebhookSourceSettings(secret=(SecretStr("s"),), event_type_field="event.type")
    )
    inbound = Inbound(method=request.method, headers=request.headers, body=request.body)
    received = await receiver.receive(inbound)
    assert received.request == "dlv_0000000000000003.0"
    assert received.events[0].payload == {"event": event().document()}


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"type": "bearer", "token": "t0k"}, "Bearer t0k"),
        ({"type": "basic", "username": "ann", "password": "pä:ss"}, "Basic YW5uOnDDpDpzcw=="),
        ({"type": "basic", "username": "key", "password": ""}, "Basic a2V5Og=="),
    ],
)
async def test_credentials(auth: dict[str, str], expected: str) -> None:
    assert (await sent(auth=auth)).headers["authorization"] == expected


async def test_headers_method_and_names_are_as_configured() -> None:
    headers = {"X-Team": "a", "content-type": "application/cloudevents+json"}
    request = await sent(method="put", headers=headers, idempotency_header="X-Request-Id")
    assert request.method == "PUT"
    assert request.headers["x-team"] == "a"
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["x-request-id"] == "dlv_0000000000000003.0"
    assert "idempotency-key" not in request.headers


@pytest.mark.parametrize(
    ("config", "wait", "expected"),
    [
        ({}, 30.0, 29.0),
        ({}, 2.0, 1.8),
        ({"timeout": "5s"}, 30.0, 5.0),
        ({"timeout": "60s"}, 30.0, 29.0),
    ],
)
async def test_a_hung_target_is_left_before_the_wake_times_out(
    config: dict[str, Any], wait: float, expected: float
) -> None:
    assert (await sent(wake(timeout=wait), **config)).timeout == pytest.approx(expected)


async def test_config_of_the_route_that_means_nothing_is_no_secret() -> None:
    http = FakeHttp()
    outcome = await deliver(http, wake(config={"session_key": "a", "wake_mode": "now", "channel": "x"}))
    assert isinstance(outcome, Rejected)
    assert "build-to-target holds channel, wake_mode" in outcome.reason
    assert http.sent == []
    assert isinstance(await deliver(FakeHttp(reply()), wake(config={"session_key": "a"})), Delivered)


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        (HttpFailed(f"cannot connect to {URL}", sent=False), Unavailable),
        (HttpFailed(f"no connection to {URL} within 5 s", sent=False, timeout=True), Unavailable),
        (HttpFailed(f"no answer from {URL}", sent=True, timeout=True), Retry),
        (HttpFailed(f"{URL}: reset", sent=True), Retry),
    ],
)
async def test_silence_is_unavailable_or_an_unknown_outcome(
    failed: HttpFailed, kind: type[DeliverOutcome]
) -> None:
    outcome = await deliver(FakeHttp(failed))
    assert isinstance(outcome, kind)
    if isinstance(outcome, Retry):
        assert not outcome.known
    assert "https://hooks.example.com:443" in str(outcome)
    assert "s3cret-path" not in str(outcome)


SECRETS: dict[str, Any] = {
    "auth": {"type": "bearer", "token": "t0k"},
    "headers": {"X-Api-Key": "k", "Content-Type": "application/x"},
    "secret": "s",
}


async def redirected(*locations: str, status: int = 307, **config: Any) -> tuple[DeliverOutcome, FakeHttp]:
    http = FakeHttp(*(reply(status, location=location) for location in locations), reply(200))
    return await deliver(http, **config), http


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_that_keeps_the_method_is_followed(status: int) -> None:
    outcome, http = await redirected("/elsewhere?a=1", status=status, **SECRETS)
    assert outcome == Delivered(detail="200 OK")
    first, second = http.sent
    assert second.url == "https://hooks.example.com/elsewhere?a=1"
    assert (second.method, second.body, second.headers) == (first.method, first.body, first.headers)


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_may_change_the_method_is_not_followed(status: int) -> None:
    outcome, http = await redirected("https://new.example.com/elsewhere", status=status)
    assert isinstance(outcome, Rejected)
    assert "leads to https://new.example.com:443:" in outcome.reason
    assert len(http.sent) == 1


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("/T0/s3cret-path", "another path of the same host"),
        ("https://hooks.example.com/T0/s3cret-path?t=s3cret", "https://hooks.example.com:443"),
        ("https://ann:s3cret@new.example.com/", "https://new.example.com:443"),
        ("https://[::s3cret", "something that is not a URL"),
        ("https://x:99999/s3cret", "something that is not a URL"),
    ],
)
async def test_where_a_redirect_leads_is_told_without_what_may_be_secret(location: str, place: str) -> None:
    outcome, _ = await redirected(location, status=301)
    assert isinstance(outcome, Rejected)
    assert f"it leads to {place}: set `url`" in outcome.reason
    assert "s3cret" not in outcome.reason


@pytest.mark.parametrize(
    "location", ["https://evil.example.com/x", "https://hooks.example.com:8443/", "//evil.example.com/x"]
)
async def test_credentials_stay_at_their_origin(location: str) -> None:
    outcome, http = await redirected(location, **SECRETS)
    assert outcome == Delivered(detail="200 OK")
    kept = http.sent[1].headers
    assert kept["content-type"] == "application/x"
    assert {"authorization", "x-api-key"} & kept.keys() == set()
    assert http.sent[1].body == http.sent[0].body


async def test_credentials_come_back_with_their_origin() -> None:
    _, http = await redirected("https://other.example.com/", URL, **SECRETS)
    assert ["authorization" in request.headers for request in http.sent] == [True, False, True]


@pytest.mark.parametrize(
    ("locations", "reason"),
    [
        (["http://hooks.example.com/"], "from https to http"),
        (["ftp://hooks.example.com/"], "not an http or https URL"),
        (["mailto:ann@example.com"], "not an http or https URL"),
        (["https://[::1"], "Invalid IPv6 URL"),
        (["https://x:99999/"], "Port out of range"),
        (["https://x..y/"], "not an http or https URL"),
        (["/again"] * 6, "more than 5 times"),
    ],
)
async def test_a_redirect_that_leads_astray_is_rejected(locations: list[str], reason: str) -> None:
    outcome, _ = await redirected(*locations)
    assert isinstance(outcome, Rejected)
    assert reason in outcome.reason


async def test_redirects_share_the_time_of_one_wake() -> None:
    context = FakeContext(http=FakeHttp())

    def slow(request: Sent) -> Any:
        context.clock.time += 20_000
        return reply(307, location="/next")

    context.http.answers = [slow, slow]
    actor = WebhookActor("target", WebhookActorSettings.model_validate({"url": URL}))
    await actor.open(as_context(context))
    outcome = await actor.deliver(wake(timeout=30.0))
    assert isinstance(outcome, Retry)
    assert "took too long" in outcome.reason
    assert [request.timeout for request in context.http.sent] == pytest.approx([29.0, 9.0])


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"url": "hooks.example.com"}, "http:// or https:// and a host"),
        ({"url": "ftp://x"}, "http:// or https:// and a host"),
        ({"url": "https://"}, "http:// or https:// and a host"),
        ({"url": "https://ann:pass@x/"}, "move them to `auth`"),
        ({"url": "https://x:99999/"}, "[Pp]ort"),
        ({"url": "https://x:0/"}, "port 0"),
        ({"url": "https://x..y/"}, "not the name of a host"),
        ({"url": "https://x/a b"}, "a space or a line break"),
        ({"url": "https://x/\r\nX-A: 1"}, "a space or a line break"),
        ({"url": "https://x/{{event.id}}"}, "put what differs into `body_template`"),
        ({"headers": {"X-A": "{{ event.id }}"}}, "cannot hold a placeholder"),
        ({"method": "GET"}, "'POST' or 'PUT'"),
        ({"timeout": "0s"}, "greater than 0"),
        ({"timeout": "soon"}, "is not a duration"),
        ({"headers": {"X A": "1"}}, "is not a header name"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "one line of text"),
        ({"headers": {"Host": "x"}}, "is set by OrgLoop"),
        ({"headers": {"x-orgloop-trace": "x"}}, "is set by OrgLoop"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "written twice"),
        ({"headers": {"idempotency-key": "1"}}, "is set by `idempotency_header` too"),
        (
            {"headers": {"AUTHORIZATION": "1"}, "auth": {"type": "bearer", "token": "t"}},
            "is set by `auth` too",
        ),
        ({"headers": {"X-Hub-Signature-256": "1"}, "secret": "s"}, "is set by `secret` too"),
        ({"auth": {"type": "bearer", "token": ""}}, "the secret is empty"),
        ({"auth": {"type": "bearer", "token": "a\nb"}}, "one line of text"),
        ({"auth": {"type": "basic", "username": "a:b", "password": ""}}, "pattern"),
        ({"auth": {"type": "digest"}}, "'bearer', 'basic'"),
        ({"secret": ""}, "the secret is empty"),
        ({"body_template": {"a": "{{ payload.title }}"}}, r"write \{\{ event.payload.title \}\}"),
        ({"body_template": {"a": "{{ }}"}}, "is empty"),
        ({"body_template": {1: "a"}}, "cannot be written as JSON"),
        ({"secret": "s", "hmac_secret": "t"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_say_why(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        WebhookActorSettings.model_validate({"url": URL, **config})


@pytest.mark.parametrize(
    ("template", "warned"),
    [
        ('{"text": "{{ event.payload.title }}"}', True),
        ("no placeholder", True),
        ("{{ event.payload }}", False),
        ({"text": "{{ event.payload.title }}!"}, False),
    ],
)
def test_a_template_that_is_sent_in_quotes_is_warned_of(template: Any, warned: bool) -> None:
    settings = WebhookActorSettings.model_validate({"url": URL, "body_template": template})
    assert ("body_template" in settings.warnings()) is warned


def test_secrets_and_the_url_never_print() -> None:
    settings = WebhookActorSettings.model_validate({"url": URL, **SECRETS, "headers": {"X-Api-Key": "k3y"}})
    assert not any(secret in repr(settings) for secret in ("s3cret-path", "t0k", "k3y", "'s'"))


def test_the_actor_answers_at_once() -> None:
    assert isinstance(WebhookActor("a", WebhookActorSettings.model_validate({"url": URL})), Deliverer)
