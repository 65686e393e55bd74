"""What a request to a webhook source may hold: JSON, forms, many events at once, or a question."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError

from orgloop.connectors.webhook.settings import WebhookSourceSettings
from orgloop.connectors.webhook.source import WebhookSource
from orgloop.errors import Refused
from orgloop.plugin import Inbound, Received, SecretStr, sign, signed_headers
from tests.connectors.doubles import FakeContext, as_context, inbound

SECRET = SecretStr("a secret of this source")


async def source(**config: Any) -> WebhookSource:
    made = WebhookSource("in", WebhookSourceSettings.model_validate(config))
    await made.open(as_context(FakeContext()))
    return made


async def received(body: bytes, headers: dict[str, str] | None = None, **config: Any) -> Received:
    named = {name.replace("-", "_"): value for name, value in (headers or {}).items()}
    return await (await source(**config)).receive(inbound(body, **named))


def payloads(found: Received) -> list[Any]:
    return [draft.payload for draft in found.events]


FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": 'multipart/form-data; boundary="xyz"'}
PARTS = (
    b'--xyz\r\nContent-Disposition: form-data; name="type"\r\n\r\nsent\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nabc\r\n--xyz--\r\n"
)


@pytest.mark.parametrize(
    ("body", "headers", "payload"),
    [
        (b"type=sent&n=1&n=2&empty=", FORM, {"type": "sent", "n": ["1", "2"], "empty": ""}),
        (b"n=1&n=2&n=3", FORM, {"n": ["1", "2", "3"]}),
        # curl says that it sends a form unless it is told what it sends.
        (b' {"type": "a=b&c"}', FORM, {"type": "a=b&c"}),
        (b"type=caf%C3%A9", {"content-type": FORM["content-type"] + "; charset=UTF-8"}, {"type": "café"}),
        (urlencode({"payload": '{"type": "sent"}'}).encode(), FORM, {"type": "sent"}),
        (urlencode({"payload": '{"a": 1}', "b": "2"}).encode(), FORM, {"payload": '{"a": 1}', "b": "2"}),
        (
            PARTS,
            MULTIPART,
            {"type": "sent", "file": {"filename": "a.txt", "content_type": "text/plain", "size": 3}},
        ),
        (b'{"type":"caf\xe9"}', {"content-type": "application/json; charset=ISO-8859-1"}, {"type": "café"}),
        (b'{"type":"sent"}', {"content-type": "text/plain"}, {"type": "sent"}),
        (
            b'{"type":"sent"}',
            {"content-type": "application/cloudevents+json; charset=utf-8"},
            {"type": "sent"},
        ),
        (b'{"type":"sent"}', {"content-type": "no kind of type"}, {"type": "sent"}),
    ],
)
async def test_a_body_is_read_as_its_content_type_says(
    body: bytes, headers: dict[str, str], payload: Any
) -> None:
    found = await received(body, headers)
    assert payloads(found) == [payload]
    assert found.events[0].provenance["platform_event"] == payload.get("type", "unknown")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"&".join([b"a=1"] * 1001), FORM),
        (b"a=%ff", FORM),
        (b"payload=%7B", FORM),
        (b"no parts", MULTIPART),
        (b"x", {"content-type": "multipart/form-data"}),
        (b"--xyz\r\n\r\nno name\r\n--xyz--\r\n", MULTIPART),
        (b'{"type":"caf\xe9"}', {"content-type": "application/json; charset=us-ascii"}),
        (b'{"type":"caf\xe9"}', {}),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        await received(body, headers)
    assert refused.value.status == 400


NO_PARTS = b"--xyz--\r\n"


@pytest.mark.parametrize(
    ("body", "headers", "says"),
    [
        (b"", FORM, "The body is empty"),
        (b" \r\n", FORM, "The body is empty"),
        (b"", FORM | {"content-type": FORM["content-type"] + "; charset=utf-8"}, "The body is empty"),
        (b"", MULTIPART, "The body is empty"),
        (b"", {"content-type": "text/plain"}, "The body is empty"),
        (b"", {}, "The body is empty"),
        (NO_PARTS, MULTIPART, "The form"),
        *[(body, FORM, "application/json") for body in (b"hello", b'"hello"', b"null", b"5", b"&", b"a&b")],
    ],
)
async def test_a_body_without_content_makes_no_event(body: bytes, headers: dict[str, str], says: str) -> None:
    with pytest.raises(Refused) as refused:
        await received(body, headers)
    assert refused.value.status == 400
    assert says in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize(
    ("split", "body", "found"),
    [
        ("lines", b'{"n":1}\n\n{"n":2}\r\n', [{"n": 1}, {"n": 2}]),
        ("array", b'[{"n":1},{"n":2}]', [{"n": 1}, {"n": 2}]),
        ("value.items", b'{"value":{"items":[{"n":1}]}}', [{"n": 1}]),
        ("array", b"[]", []),
        ("lines", b"\n", []),
        (None, b'[{"n":1},{"n":2}]', [[{"n": 1}, {"n": 2}]]),
    ],
)
async def test_one_body_may_be_several_events(split: str | None, body: bytes, found: list[Any]) -> None:
    given = await received(body, split=split)
    assert payloads(given) == found


@pytest.mark.parametrize(
    ("split", "body", "status"),
    [
        ("array", b'{"n":1}', 400),
        ("items", b'{"n":1}', 400),
        ("lines", b'{"n":1}\n{"n":', 400),
        ("array", b"[" + b",".join([b"1"] * 1001) + b"]", 413),
        ("lines", b"1\n" * 1001, 413),
    ],
)
async def test_what_is_not_as_split_says_is_refused_whole(split: str, body: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        await received(body, split=split)
    assert refused.value.status == status


async def test_empty_lines_and_parts_of_a_form_are_bounded_too() -> None:
    assert len((await received(b"\n" * 1000 + b"{}", split="lines")).events) == 1
    with pytest.raises(Refused, match="more than 1000 lines") as refused:
        await received(b"\n" * 2001 + b"{}", split="lines")
    assert refused.value.status == 413
    part = b'--xyz\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n'
    assert payloads(await received(part * 1000 + b"--xyz--\r\n", MULTIPART)) == [{"n": ["1"] * 1000}]
    with pytest.raises(Refused, match="form cannot be read"):
        await received(part * 1001 + b"--xyz--\r\n", MULTIPART)


async def test_a_word_that_is_said_again_is_bounded() -> None:
    asked = (await (await source()).receive(question("POST", f"validationToken={'x' * 3000}"))).reply
    assert len(asked.text or "") <= 2048


async def test_the_id_in_the_first_of_several_events_is_not_that_of_the_request() -> None:
    found = await received(b'[{"id": "a"}, {"id": "b"}]', split="array", delivery_id_field="id")
    assert found.request is None
    assert (await received(b'[{"id": "a"}]', split="array", delivery_id_field="id")).request == "a"
    assert (await received(b'{"id": " "}', delivery_id_field="id")).request is None


async def test_names_and_ids_come_from_any_header_or_field() -> None:
    headers = {"x-gitlab-event": "Push Hook", "x-gitlab-event-uuid": "u1"}
    config = {"event_type_header": "X-Gitlab-Event", "delivery_id_header": "X-Gitlab-Event-UUID"}
    found = await received(b'{"type": "other"}', headers, **config)
    assert (found.events[0].provenance["platform_event"], found.request) == ("Push Hook", "u1")
    found = await received(b'{"event_id": 1180591620717411303425}', delivery_id_field="event_id")
    assert found.request == "1180591620717411303425"
    assert (await received(b"{}", {"webhook-id": "msg_1"})).request == "msg_1"
    assert (await received(b"{}", {"idempotency-key": "k"})).request == "k"
    assert (await received(b"{}", event_type_header="X-Kind")).events[0].provenance[
        "platform_event"
    ] == "unknown"


async def test_a_request_is_what_its_signature_says() -> None:
    body, now = b'{"type": "sent"}', FakeContext().clock.now()
    for scheme in ("stripe", "slack", "standard"):
        headers = signed_headers(SECRET, scheme, body, now)
        first = await received(body, headers, secret=SECRET.get_secret_value())
        assert first.request
        again = await received(body, headers, secret=SECRET.get_secret_value())
        assert again.request == first.request


async def test_a_signature_of_ones_own_is_described() -> None:
    config = {"secret": "s", "signature": {"header": "X-Mine", "algorithm": "sha256"}}
    headers = {"x-mine": sign(SecretStr("s"), b"{}")}
    assert len((await received(b"{}", headers, **config)).events) == 1
    with pytest.raises(Refused, match="Invalid signature"):
        await received(b"{} ", headers, **config)


def question(method: str, query: str) -> Inbound:
    return Inbound(method=method, headers={}, body=b"", query=query)


@pytest.mark.parametrize(
    ("method", "query", "answer"),
    [
        ("POST", "validationToken=Validation%3A+a%26b", "Validation: a&b"),
        ("GET", "validationToken=abc", "abc"),
        ("GET", "hub.mode=subscribe&hub.challenge=123&hub.verify_token=a+secret+of+this+source", "123"),
        ("GET", "challenge=xyz", "xyz"),
        ("HEAD", "", ""),
    ],
)
async def test_who_asks_whether_the_address_is_ours_gets_an_answer(
    method: str, query: str, answer: str
) -> None:
    found = await (await source(secret=SECRET.get_secret_value())).receive(question(method, query))
    assert (found.events, found.reply.status, found.reply.text) == ((), 200, answer)


async def test_a_wrong_verify_token_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        await (await source(secret="s")).receive(question("GET", "hub.challenge=1&hub.verify_token=x"))
    assert refused.value.status == 403


async def test_a_page_that_is_looked_at_is_told_to_post() -> None:
    with pytest.raises(Refused) as refused:
        await (await source()).receive(question("GET", ""))
    assert refused.value.status == 405


async def test_a_signed_challenge_is_answered_and_is_no_event() -> None:
    body = b'{"type": "url_verification", "challenge": "3eZbrw1a"}'
    now = FakeContext().clock.now()
    found = await received(body, signed_headers(SECRET, "slack", body, now), secret=SECRET.get_secret_value())
    assert (found.events, found.reply.body) == ((), {"challenge": "3eZbrw1a"})
    with pytest.raises(Refused):
        await received(body, secret="s")
    zoom = b'{"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8"}}'
    found = await received(zoom, {"x-signature": sign(SecretStr("s"), zoom)}, secret="s")
    assert found.reply.body == {
        "plainToken": "qgg8",
        "encryptedToken": sign(SecretStr("s"), b"qgg8").removeprefix("sha256="),
    }


@pytest.mark.parametrize(
    "config",
    [
        {"signature": "nobody"},
        {"signature": {"header": "a b"}},
        {"signature": {"header": "X-A", "algorithm": "md5"}},
        {"split": "a..b"},
        {"event_type_header": "a b"},
        {"tolerance": "0s"},
    ],
)
def test_settings_that_cannot_work_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebhookSourceSettings.model_validate(config)
