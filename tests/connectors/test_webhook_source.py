"""The webhook source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from orgloop.connectors.webhook import connector
from orgloop.connectors.webhook.settings import WebhookSourceSettings
from orgloop.connectors.webhook.source import WebhookSource
from orgloop.errors import Refused
from orgloop.plugin import Draft, Poller, Received, Receiver
from orgloop.plugin.signature import sign
from tests.connectors.doubles import NOON, FakeContext, as_context, inbound


def source(**config: Any) -> WebhookSource:
    return WebhookSource("hooks", WebhookSourceSettings.model_validate(config))


async def receive(body: bytes, headers: dict[str, str] | None = None, **config: Any) -> Received:
    return await source(**config).receive(inbound(body, **headers or {}))


async def draft(body: bytes, **config: Any) -> Draft:
    (event,) = (await receive(body, **config)).events
    return event


async def test_free_json_is_a_changed_resource_named_by_its_type() -> None:
    event = await draft(b'{"type": "deploy.finished", "ok": true}')
    assert event.type == "resource.changed"
    assert event.provenance == {
        "platform": "webhook",
        "platform_event": "deploy.finished",
        "author": "unknown",
        "author_type": "unknown",
    }
    assert event.payload == {"type": "deploy.finished", "ok": True}
    assert event.key is None


@pytest.mark.parametrize("kind", ["resource.changed", "actor.stopped", "message.received"])
async def test_a_canonical_type_is_kept(kind: str) -> None:
    event = await draft(b'{"type": "%s"}' % kind.encode())
    assert (event.type, event.provenance["platform_event"]) == (kind, kind)


@pytest.mark.parametrize(
    ("body", "field", "name"),
    [
        (b'{"meta": {"kind": "a"}}', "meta.kind", "a"),
        (b'[{"kind": "b"}]', "0.kind", "b"),
        (b"{}", "type", "unknown"),
        (b'{"type": 7}', "type", "unknown"),
        (b'{"type": ""}', "type", "unknown"),
        (b'{"type": null}', "type", "unknown"),
        (b'"text"', "type", "unknown"),
    ],
)
async def test_the_name_is_read_where_the_settings_say(body: bytes, field: str, name: str) -> None:
    assert (await draft(body, event_type_field=field)).provenance["platform_event"] == name


@pytest.mark.parametrize(
    ("body", "payload"), [(b"[1, 2]", [1, 2]), (b"7", 7), (b'"x"', "x"), (b"false", False), (b"null", {})]
)
async def test_every_json_value_is_a_payload(body: bytes, payload: object) -> None:
    assert (await draft(body)).payload == payload


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("id", b'{"id": "a7"}', "a7"),
        ("id", b'{"id": 7}', "7"),
        ("data.id", b'{"data": {"id": "x"}}', "x"),
        ("{{ data.id }}@{{version}}", b'{"data": {"id": "x"}, "version": 3}', "x@3"),
        ("id", b"{}", None),
        ("id", b'{"id": null}', None),
        ("id", b'{"id": ""}', None),
        ("id", b'{"id": " "}', None),
        ("id", b'{"id": []}', None),
        ("id", b'{"id": {"b": 1.0, "a": 2}}', '{"a":2,"b":1}'),
        ("{{ id ?? sha }}", b'{"id": "", "sha": "abc"}', "abc"),
        ("{{ id }}@{{ version }}", b'{"id": "x"}', None),
    ],
)
async def test_the_dedupe_key_is_whole_or_absent(key: str, body: bytes, expected: str | None) -> None:
    assert (await draft(body, dedupe_key=key)).key == expected


async def test_an_idempotency_key_names_the_request() -> None:
    assert (await receive(b"{}", {"Idempotency_Key": "k1"})).request == "k1"
    assert (await receive(b"{}")).request is None


async def test_the_engine_writes_the_answer() -> None:
    reply = (await receive(b"{}")).reply
    assert (reply.status, reply.body) == (200, None)


async def test_a_signed_body_is_taken() -> None:
    body = b'{"type": "x"}'
    signature = sign(SecretStr("s"), body)
    for header in ("X_Hub_Signature_256", "X_Signature"):
        assert (await receive(body, {header: signature}, secret="s")).events


@pytest.mark.parametrize(
    ("body", "headers", "message", "status"),
    [
        (b"{}", {}, "Missing signature", 401),
        (b"{}", {"X_Signature": "sha256=00"}, "Invalid signature", 401),
        (b"not json", {}, "Missing signature", 401),
        (b"not json", {"X_Signature": sign(SecretStr("s"), b"not json")}, "Invalid JSON payload", 400),
        (b"", {"X_Signature": sign(SecretStr("s"), b"")}, "The body is empty", 400),
    ],
)
async def test_the_signature_is_checked_before_the_body(
    body: bytes, headers: dict[str, str], message: str, status: int
) -> None:
    with pytest.raises(Refused, match=message) as refused:
        await receive(body, headers, secret="s")
    assert refused.value.status == status


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_post_is_taken(method: str) -> None:
    with pytest.raises(Refused, match="Method not allowed") as refused:
        await source().receive(inbound(b"{}", method))
    assert refused.value.status == 405


async def test_a_source_is_signed_if_it_has_a_secret() -> None:
    unsigned = source()
    await unsigned.open(as_context(FakeContext()))
    assert isinstance(unsigned, Receiver)
    assert (unsigned.signed, source(secret="s").signed) == (False, True)
    await unsigned.close()


def test_what_is_received_is_not_polled_as_well() -> None:
    assert not isinstance(source(buffer_dir="x"), Poller)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"secret": ""}, "the secret is empty"),
        ({"event_type_field": "a..b"}, "empty part"),
        ({"dedupe_key": ""}, "empty part"),
        ({"dedupe_key": "{{ }}"}, "is empty"),
        ({"dedupe_key": "{{ a"}, "same text for every body"),
        ({"secrets": "s"}, "Extra inputs"),
        ({"max_buffer_size": "much"}, "is not a size"),
    ],
)
def test_settings_that_cannot_work_say_why(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        WebhookSourceSettings.model_validate(config)


def test_settings_of_older_files_load_and_are_named() -> None:
    WebhookSourceSettings.model_validate({"path": "/hook", "buffer_dir": "x", "max_buffer_size": "50MB"})
    assert WebhookSourceSettings.without_effect() == {"path", "buffer_dir", "max_buffer_size"}


def test_a_secret_never_prints() -> None:
    assert "s3cret" not in repr(WebhookSourceSettings.model_validate({"secret": "s3cret"}))


async def test_the_example_is_what_the_source_makes_of_its_payload() -> None:
    assert connector.source is not None
    example = connector.source.example
    assert example is not None
    event = await draft(
        b'{"type": "deploy.finished", "service": "billing", "version": "1.4.2", "ok": true}',
    )
    assert (event.type, event.provenance, event.payload) == (
        example["type"],
        example["provenance"],
        example["payload"],
    )


async def receive_dated(body: bytes, **config: Any) -> Received:
    """A signed body at NOON whose time is at `at`."""
    opened = source(**{"timestamp_field": "at", "max_fact_age": "2d", "secret": "s", **config})
    await opened.open(as_context(FakeContext()))
    return await opened.receive(inbound(body, X_Signature=sign(SecretStr("s"), body)))


def at(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()


@pytest.mark.parametrize("days", [0, 1.9])
@pytest.mark.parametrize(
    "written",
    [
        lambda ms: f'"{at(ms)}"',
        lambda ms: '"' + at(ms).replace("+00:00", "Z") + '"',
        lambda ms: '"' + at(ms).removesuffix("+00:00") + '"',
        lambda ms: str(ms // 1000),
        lambda ms: str(ms),
        lambda ms: f'"{ms // 1000}"',
        lambda ms: str(ms / 1000),
    ],
    ids=["iso", "zulu", "no zone", "seconds", "milliseconds", "digits", "fraction"],
)
async def test_an_event_that_is_young_enough_passes(written: Callable[[int], str], days: float) -> None:
    body = b'{"at": %s}' % written(round(NOON - days * 86_400_000)).encode()
    assert len((await receive_dated(body)).events) == 1


@pytest.mark.parametrize(
    ("time", "status", "said"),
    [
        (f'"{at(NOON - 3 * 86_400_000)}"', 401, "The time at `at` is 3d ago, and at most 2d is allowed"),
        (str((NOON - 3 * 86_400_000) // 1000), 401, "3d ago"),
        (f'"{at(NOON + 3_600_000)}"', 401, "The time at `at` is 1h from now"),
        *(
            (text, 400, "The body has no time at `at`")
            for text in ("null", "true", '""', '"today"', "-1", "[]")
        ),
        *(
            (text, 400, "no time")
            for text in ("1e300", "9" * 400, '"' + "9" * 400 + '"', '"' + "1" * 65 + '"')
        ),
    ],
)
async def test_an_event_that_is_too_old_or_tells_no_time_is_refused(
    time: str, status: int, said: str
) -> None:
    with pytest.raises(Refused) as refused:
        await receive_dated(b'{"at": %s}' % time.encode())
    assert (refused.value.status, said in refused.value.message) == (status, True)


async def test_each_event_of_a_body_has_its_own_time() -> None:
    old, young = at(NOON - 3 * 86_400_000), at(NOON)
    with pytest.raises(Refused, match="3d ago"):
        await receive_dated(b'[{"at": "%s"}, {"at": "%s"}]' % (young.encode(), old.encode()), split="array")


@pytest.mark.parametrize("half", [{"timestamp_field": "at"}, {"max_fact_age": "2d"}])
def test_a_time_and_its_age_belong_together(half: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="needs"):
        source(**half)


def test_an_age_that_nobody_signs_is_doubted() -> None:
    given = {"timestamp_field": "at", "max_fact_age": "2d"}
    assert "max_fact_age" in WebhookSourceSettings.model_validate(given).warnings()
    assert WebhookSourceSettings.model_validate({**given, "secret": "s" * 20}).warnings() == {}
