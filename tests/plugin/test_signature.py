"""Signed bodies."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from orgloop.errors import Refused
from orgloop.plugin import Settings
from orgloop.plugin.signature import (
    AUTO,
    SCHEMES,
    Secrets,
    authenticate,
    authenticate_head,
    padded,
    sign,
    signed_headers,
    verify,
)
from tests.connectors.doubles import inbound

SECRET = SecretStr("s3cret")
NAMES = ("x-hub-signature-256", "x-signature")


def refusal(body: bytes, secret: SecretStr = SECRET, **headers: str) -> tuple[str, int] | None:
    try:
        verify(inbound(body, **headers), secret, NAMES, missing="Missing signature")
    except Refused as exc:
        return exc.message, exc.status
    return None


def test_githubs_published_example_verifies() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret = SecretStr("It's a Secret to Everybody")
    assert refusal(b"Hello, World!", secret, x_hub_signature_256=signature) is None


@given(st.binary(), st.text(min_size=1))
def test_the_signature_is_over_the_raw_bytes(body: bytes, secret: str) -> None:
    key = SecretStr(secret) if secret.isascii() else SECRET
    digest = hmac.new(key.get_secret_value().encode(), body, hashlib.sha256).hexdigest()
    assert sign(key, body) == f"sha256={digest}"
    assert refusal(body, key, x_signature=f"sha256={digest}") is None
    assert refusal(body + b" ", key, x_signature=f"sha256={digest}") == ("Invalid signature", 401)


def test_bytes_that_are_no_text_are_verified_as_they_are() -> None:
    body = b'{"name": "\xff\xfe"}'
    assert refusal(body, x_signature=sign(SECRET, body)) is None
    assert refusal(body.decode("utf-8", "replace").encode(), x_signature=sign(SECRET, body)) is not None


def test_upper_case_hex_and_space_around_it_are_fine() -> None:
    signature = sign(SECRET, b"x").removeprefix("sha256=").upper()
    assert refusal(b"x", x_signature=f" sha256={signature} ") is None


def test_the_first_header_that_is_there_decides() -> None:
    good, bad = sign(SECRET, b"x"), sign(SECRET, b"y")
    assert refusal(b"x", x_hub_signature_256=good, x_signature=bad) is None
    assert refusal(b"x", x_hub_signature_256=bad, x_signature=good) == ("Invalid signature", 401)
    assert refusal(b"x", x_hub_signature_256="", x_signature=good) is None


@pytest.mark.parametrize(
    "signature",
    ["sha256=", "sha256=00", "sha1=abc", "é" * 20, "\udcff", sign(SECRET, b"y")[7:], "0" * 100_000],
)
def test_any_other_text_is_an_invalid_signature(signature: str) -> None:
    assert refusal(b"x", x_signature=signature) == ("Invalid signature", 401)


def test_no_signature_is_told_apart() -> None:
    assert refusal(b"x") == ("Missing signature", 401)
    assert refusal(b"x", x_signature="") == ("Missing signature", 401)


BODY = b'{"type": "deploy"}'
OLD, NEW = SecretStr("an-old-secret-of-many-letters"), SecretStr("user:a-new-secret")
NOW = 1_767_600_000_000


def attempt(
    scheme: str, secrets: Sequence[SecretStr], headers: Mapping[str, str], now: int = NOW, body: bytes = BODY
) -> str:
    """What is said of a request: the scheme that it was verified by, or why it was refused."""
    request = inbound(body, **{name.replace("-", "_"): value for name, value in headers.items()})
    try:
        return authenticate(request, secrets, scheme, lambda: now).scheme
    except Refused as exc:
        refused = exc
    said = f"{refused.message} {refused.hint}"
    for secret in secrets:
        assert secret.get_secret_value() not in said
        assert sign(secret, body)[7:] not in said
    assert refused.status == 401
    return refused.message


NAMED = [scheme for scheme in SCHEMES if scheme != AUTO]


@pytest.mark.parametrize("scheme", NAMED)
def test_each_scheme_takes_what_it_signs_by_name_and_by_form(scheme: str) -> None:
    headers = signed_headers(NEW, scheme, BODY, NOW)
    assert attempt(scheme, (NEW,), headers) == scheme
    assert attempt(AUTO, (OLD, NEW), headers) == scheme
    assert attempt(scheme, (OLD,), headers).startswith("Invalid")
    assert attempt(scheme, (NEW,), {}).startswith("Missing")
    head = inbound(b"", **{name.replace("-", "_"): value for name, value in headers.items()})
    for name in (scheme, AUTO):
        authenticate_head(head, (NEW,), name)
        with pytest.raises(Refused, match="Missing"):
            authenticate_head(inbound(b""), (NEW,), name)
    if scheme in ("gitlab", "bearer", "basic"):
        with pytest.raises(Refused, match="Invalid token"):
            authenticate_head(head, (OLD,), scheme)
    assert attempt(scheme, (SecretStr(" user:a-new-secret\n"),), headers) == scheme


@pytest.mark.parametrize("scheme", ["stripe", "slack", "standard"])
def test_a_signed_time_must_be_near(scheme: str) -> None:
    headers = signed_headers(NEW, scheme, BODY, NOW)
    for apart in (299_000, -299_000):
        assert attempt(scheme, (NEW,), headers, NOW + apart) == scheme
    for apart in (302_000, -302_000, 10**12):
        assert "more than 5m away" in attempt(scheme, (NEW,), headers, NOW + apart)


@pytest.mark.parametrize(
    "header", ["x-hub-signature-256", "x-hub-signature", "x-signature", "linear-signature"]
)
@pytest.mark.parametrize(
    "form",
    [
        "sha256={hex}",
        "{hex}",
        "{HEX}",
        "{b64}",
        "{url}",
        "v1={hex}",
        "sha256={b64}",
        "v1={other},v1={hex}",
        "sha1=0000000000000000000000000000000000000000,sha256={hex}",
    ],
)
def test_a_signature_of_the_body_may_be_written_in_several_forms(header: str, form: str) -> None:
    # A body whose signature has all signs in which the two alphabets of base64 differ.
    bodies = (b'{"n": %d}' % number for number in range(10_000))
    body = next(body for body in bodies if {"+", "/"} <= {*base64.b64encode(_mac(body)).decode()})
    mac = _mac(body)
    given = form.format(
        hex=mac.hex(),
        HEX=mac.hex().upper(),
        b64=base64.b64encode(mac).decode(),
        url=base64.urlsafe_b64encode(mac).decode().rstrip("="),
        other="0" * 64,
    )
    assert not attempt(AUTO, (NEW,), {header: given}, body=body).startswith("Invalid")
    assert attempt(AUTO, (OLD,), {header: given}, body=body) == "Invalid signature"


def _mac(body: bytes) -> bytes:
    return hmac.new(NEW.get_secret_value().encode(), body, hashlib.sha256).digest()


@pytest.mark.parametrize("word", ["", "Basic ", "Token ", "Bearer", "bearerx "])
def test_a_token_needs_the_word_of_its_scheme(word: str) -> None:
    given = {"authorization": f"{word}{NEW.get_secret_value()}"}
    assert attempt("bearer", (NEW,), given) == "Invalid token"
    assert attempt("bearer", (NEW,), {"authorization": f"bEARER  {NEW.get_secret_value()} "}) == "bearer"


def test_only_the_signatures_of_a_known_version_count() -> None:
    """Others are for tests of the sender, or weaker."""
    headers = signed_headers(NEW, "stripe", BODY, NOW)
    [(name, value)] = headers.items()
    assert attempt("stripe", (NEW,), {name: value.replace("v1=", "v0=")}, NOW) == "Invalid signature"
    headers = signed_headers(NEW, "standard", BODY, NOW)
    other = {**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}
    assert attempt("standard", (NEW,), other, NOW) == "Invalid signature"


def test_a_sha1_is_told_from_a_wrong_secret() -> None:
    mac = hmac.new(NEW.get_secret_value().encode(), BODY, hashlib.sha1).hexdigest()
    with pytest.raises(Refused) as refused:
        authenticate(inbound(BODY, x_hub_signature=f"sha1={mac}"), (NEW,), AUTO, lambda: NOW)
    assert "SHA-1" in refused.value.hint


def test_published_examples_verify() -> None:
    slack = inbound(
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
        b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        x_slack_request_timestamp="1531420618",
        x_slack_signature="v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    )
    secret = SecretStr("8f742231b10e8888abcd99yyyzzz85a5")
    assert authenticate(slack, (secret,), AUTO, lambda: 1_531_420_618_000).scheme == "slack"
    standard = inbound(
        b'{"test": 2432232314}',
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        webhook_timestamp="1614265330",
        webhook_signature="v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    )
    secret = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    proof = authenticate(standard, (secret,), AUTO, lambda: 1_614_265_330_000)
    assert (proof.scheme, proof.identity) == ("standard", "msg_p5jXN8AQM9LWM0D4loKWxJek")


@pytest.mark.parametrize("scheme", ["stripe", "slack", "standard"])
def test_signed_text_of_one_scheme_is_no_body_of_another(scheme: str) -> None:
    """Its signature would hold, and its time would not count."""
    headers = signed_headers(NEW, scheme, BODY, NOW)
    stamp = str(NOW // 1000)
    before = {
        "stripe": f"{stamp}.",
        "slack": f"v0:{stamp}:",
        "standard": f"{headers.get('webhook-id')}.{stamp}.",
    }
    forged = before[scheme].encode() + BODY
    request = inbound(forged, x_signature=sign(NEW, forged))
    with pytest.raises(Refused):
        authenticate(request, (NEW,), AUTO, lambda: NOW)


class Kept(Settings):
    secret: Secrets | None = None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc", ["abc"]),
        ("abc\n", ["abc\n"]),
        (["abc", "def"], ["abc", "def"]),
        ("a,b", ["a,b"]),
        (
            "sixteen-letters-a, sixteen-letters-b",
            ["sixteen-letters-a, sixteen-letters-b", "sixteen-letters-a", "sixteen-letters-b"],
        ),
    ],
)
def test_there_may_be_several_secrets(given: object, kept: list[str]) -> None:
    secrets = Kept.model_validate({"secret": given}).secret
    assert secrets is not None
    assert [one.get_secret_value() for one in secrets] == kept
    assert bool(padded(secrets)) == ("\n" in kept[0])


@pytest.mark.parametrize("given", ["", " \n", [], ["abc", ""], "$NAME", 7])
def test_a_secret_that_is_none_is_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        Kept.model_validate({"secret": given})


@given(
    st.text(),
    st.sampled_from(sorted({*signed_headers(NEW, "slack", b"", NOW), "stripe-signature", "authorization"})),
)
def test_any_header_is_refused_or_right(value: str, header: str) -> None:
    said = attempt(AUTO, (NEW,), {header: value, "x-slack-request-timestamp": value})
    assert said.startswith(("Invalid", "Missing"))
