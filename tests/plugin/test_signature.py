"""Signed bodies."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from orgloop.errors import Refused
from orgloop.plugin.signature import sign, verify
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
    ["sha256=", "sha256=00", "sha1=abc", "é" * 20, "\udcff", sign(SECRET, b"x")[7:], "0" * 100_000],
)
def test_any_other_text_is_an_invalid_signature(signature: str) -> None:
    assert refusal(b"x", x_signature=signature) == ("Invalid signature", 401)


def test_no_signature_is_told_apart() -> None:
    assert refusal(b"x") == ("Missing signature", 401)
    assert refusal(b"x", x_signature="") == ("Missing signature", 401)
