"""How a request shows that its sender knows a source's secret: signed bodies, and tokens in a header."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator

from orgloop.core.text.units import MINUTE, SECOND, humanize
from orgloop.errors import Refused
from orgloop.plugin.settings import SecretStr
from orgloop.plugin.source import Inbound

SCHEME: Final = "sha256="
TOLERANCE: Final = 5 * MINUTE
"""How far a signed time may be from now (ms), unless a source says otherwise."""

AUTO: Final = "auto"


_BODY: Final[Mapping[str, str]] = {
    "github": "x-hub-signature-256",
    "hub": "x-hub-signature",
    "plain": "x-signature",
    "linear": "linear-signature",
    "shopify": "x-shopify-hmac-sha256",
    "gitea": "x-gitea-signature",
    "forgejo": "x-forgejo-signature",
    "gogs": "x-gogs-signature",
    "sentry": "sentry-hook-signature",
    "pagerduty": "x-pagerduty-signature",
}
"""Schemes that sign the body alone, and their headers."""

_STAMPED: Final = {
    "stripe": "stripe-signature",
    "slack": "x-slack-signature",
    "standard": "webhook-signature",
}
_SVIX: Final = "svix-signature"
_TOKENS: Final = {"gitlab": "x-gitlab-token", "bearer": "authorization", "basic": "authorization"}
SCHEMES: Final = (AUTO, *_BODY, *_STAMPED, *_TOKENS)
"""Every scheme by name. `auto` takes whichever of the others a request uses."""

_UNFILLED: Final = re.compile(r"\$[A-Za-z_]\w*", re.ASCII)
_PREFIX: Final = re.compile(r"(?:sha(?:1|256|512)|v[0-9])=", re.IGNORECASE)
_SIGNED_TEXT: Final = re.compile(
    rb"(?:v0:[0-9]{1,12}:|[0-9]{1,12}\.|[^{\[\"&=.\s][^&=.]{0,199}\.[0-9]{1,12}\.)"
)
_LONG: Final = 16
"""Characters from which on parts of a text with commas count as secrets of their own."""

_LARGEST: Final = 4096
"""Characters of a header that are looked at."""


def _not_empty(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text:
        raise ValueError("the secret is empty: set its variable, or remove the key to go without a secret")
    if _UNFILLED.fullmatch(text):
        raise ValueError("this is the name of a variable and not its value: write ${NAME}, with braces")
    return value


def _listed(value: Any) -> Any:
    """One secret, or several: a list, or a text with commas between long ones."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    several = len(parts) > 1 and all(len(part) >= _LONG for part in parts)
    return (value, *parts) if several else (value,)


def _some(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not value:
        raise ValueError("the list is empty: name a secret, or remove the key to go without one")
    return value


Secret = Annotated[SecretStr, AfterValidator(_not_empty)]
"""A secret that is set. An empty one would switch verification off without a word."""

Secrets = Annotated[
    tuple[Secret, ...],
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    AfterValidator(_some),
]
"""One secret or several, of which a sender needs to know one: so that they can be changed one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """How a request was verified. `identity` is what the signature says that it is, if it says so."""

    scheme: str
    identity: str | None = None


def padded(secrets: Sequence[SecretStr] | None) -> Mapping[str, str]:
    """A warning for the key `secret` if one of them has space around it, which does not count."""
    values = [secret.get_secret_value() for secret in secrets or ()]
    if all(value == value.strip() for value in values):
        return {}
    return {"secret": "has space or a line break around it, which is left out: remove it there, too"}


def sign(secret: SecretStr, body: bytes) -> str:
    """The value of `X-Hub-Signature-256` for `body`."""
    return SCHEME + hmac.digest(_key(secret), body, "sha256").hex()


def signed_headers(secret: SecretStr, scheme: str, body: bytes, now: int) -> dict[str, str]:
    """What a sender adds to a request with this body, by a scheme of SCHEMES; `now` in milliseconds."""
    stamp = str(now // SECOND)
    match scheme:
        case "stripe":
            return {_STAMPED[scheme]: f"t={stamp},v1={_hex(_key(secret), f'{stamp}.', body)}"}
        case "slack":
            signed = f"v0={_hex(_key(secret), f'v0:{stamp}:', body)}"
            return {"x-slack-request-timestamp": stamp, _STAMPED[scheme]: signed}
        case "standard":
            id = f"msg_{hashlib.sha256(body).hexdigest()[:24]}"
            mac = hmac.digest(_standard_key(secret), f"{id}.{stamp}.".encode() + body, "sha256")
            signed = f"v1,{base64.b64encode(mac).decode()}"
            return {"webhook-id": id, "webhook-timestamp": stamp, _STAMPED[scheme]: signed}
        case "gitlab":
            return {_TOKENS[scheme]: _key(secret).decode("utf-8", "surrogateescape")}
        case "bearer":
            return {_TOKENS[scheme]: f"Bearer {_key(secret).decode('utf-8', 'surrogateescape')}"}
        case "basic":
            return {_TOKENS[scheme]: f"Basic {base64.b64encode(_key(secret)).decode()}"}
        case _:
            return {_BODY.get(scheme, _BODY["github"]): sign(secret, body)}


def _hex(key: bytes, before: str, body: bytes) -> str:
    return hmac.digest(key, before.encode() + body, "sha256").hex()


def require_signature(request: Inbound, headers: Sequence[str], *, missing: str) -> str:
    """The name of the first of `headers` (lower-case) that is there. Raises Refused (401) with `missing`."""
    name = next((name for name in headers if request.headers.get(name, "")), None)
    if name is None:
        raise Refused(missing, hint="sign the body with the secret of this source", status=401)
    return name


def verify(
    request: Inbound,
    secrets: SecretStr | Sequence[SecretStr],
    headers: Sequence[str],
    *,
    missing: str,
    algorithm: str = "sha256",
) -> None:
    """Check the first of `headers` (lower-case names) that is there: an HMAC of the body, in constant time.

    It may be written as hex digits or base64, with a prefix such as `sha256=`; one of several that a
    comma separates is enough. Raises Refused (401) with the message `missing`, or `Invalid signature`.
    """
    name = require_signature(request, headers, missing=missing)
    given = request.headers.get(name, "").strip()[:_LARGEST]
    keys = [secrets] if isinstance(secrets, SecretStr) else secrets
    wanted = [hmac.digest(_key(secret), request.body, algorithm) for secret in keys]
    if not any(_same(one, mac) for one in _macs(given) for mac in wanted):
        raise _invalid(name, given, algorithm)


def require_delivery(
    request: Inbound, secrets: Sequence[SecretStr] | None, headers: Sequence[str], *, missing: str, hint: str
) -> None:
    """Refuse what is no POST (405, with `hint`), and a body that none of a source's secrets signed (401)."""
    if request.method != "POST":
        raise Refused("Method not allowed", hint=hint, status=405)
    if secrets is not None:
        verify(request, secrets, headers, missing=missing)


def require_header(request: Inbound, name: str, *, hint: str) -> str:
    """A header's value. Raises Refused (400) if it is missing or empty."""
    value = request.headers.get(name.lower(), "").strip()
    if not value:
        raise Refused(f"Missing {name} header", hint=hint)
    return value


def authenticate(
    request: Inbound,
    secrets: Sequence[SecretStr],
    scheme: str,
    now: Callable[[], int],
    tolerance: int = TOLERANCE,
) -> Proof:
    """Check a request by a scheme of SCHEMES; times in milliseconds. Raises Refused (401)."""
    found = _used(request) if scheme == AUTO else scheme
    match found:
        case "stripe" | "slack" | "standard":
            return _stamped(found, request, secrets, now(), tolerance)
        case "gitlab" | "bearer" | "basic":
            _token(found, request, secrets)
        case _:
            if scheme == AUTO and _SIGNED_TEXT.match(request.body):
                raise Refused(
                    "Invalid signature",
                    hint="the body looks like the signed text of another scheme: name yours in `signature`",
                    status=401,
                )
            name = _BODY[found]
            verify(request, secrets, (name,), missing=f"Missing signature: there is no header {_shown(name)}")
    return Proof(scheme=found)


def authenticate_head(request: Inbound, secrets: Sequence[SecretStr], scheme: str) -> None:
    """What `authenticate` can say before the body is there. Raises Refused (401)."""
    found = _used(request) if scheme == AUTO else scheme
    if found in _TOKENS:
        _token(found, request, secrets)
        return
    names = [_BODY[found]] if found in _BODY else [_STAMPED[found], *([_SVIX] if found == "standard" else [])]
    require_signature(request, names, missing=f"Missing signature: there is no header {_shown(names[0])}")


def _used(request: Inbound) -> str:
    headers = request.headers
    for scheme, name in (*_BODY.items(), *_STAMPED.items(), ("standard", _SVIX)):
        if headers.get(name, ""):
            return scheme
    if headers.get(_TOKENS["gitlab"], ""):
        return "gitlab"
    word = headers.get("authorization", "").strip().partition(" ")[0].lower()
    if word in ("bearer", "basic"):
        return word
    raise Refused(
        "Missing signature",
        hint="sign the body with the secret of this source, for example in X-Hub-Signature-256",
        status=401,
    )


def _stamped(scheme: str, request: Inbound, secrets: Sequence[SecretStr], now: int, tolerance: int) -> Proof:
    """Schemes that sign a time with the body."""
    headers, body = request.headers, request.body
    identity = None
    match scheme:
        case "stripe":
            name = _STAMPED["stripe"]
            pairs = [part.strip().partition("=") for part in headers.get(name, "")[:_LARGEST].split(",")]
            stamp = next((value for key, _, value in pairs if key == "t"), "")
            given = ",".join(value for key, _, value in pairs if key == "v1")
            signed = f"{stamp}.".encode("utf-8", "replace") + body
        case "slack":
            name = _STAMPED["slack"]
            stamp, given = headers.get("x-slack-request-timestamp", "").strip(), headers.get(name, "").strip()
            signed = f"v0:{stamp}:".encode("utf-8", "replace") + body
        case _:
            name = _STAMPED["standard"] if headers.get(_STAMPED["standard"], "") else _SVIX
            family = name.removesuffix("signature")
            identity, stamp = (
                headers.get(f"{family}id", "").strip(),
                headers.get(f"{family}timestamp", "").strip(),
            )
            listed = headers.get(name, "")[:_LARGEST].split()
            given = ",".join(part[3:] for part in listed if part.startswith("v1,"))
            signed = f"{identity}.{stamp}.".encode("utf-8", "replace") + body
    require_signature(request, (name,), missing=f"Missing signature: there is no header {_shown(name)}")
    keys = [_standard_key(secret) if scheme == "standard" else _key(secret) for secret in secrets]
    wanted = [hmac.digest(key, signed, "sha256") for key in keys]
    if not any(_same(one, mac) for one in _macs(given) for mac in wanted):
        raise _invalid(name, given, "sha256")
    if not (stamp.isascii() and stamp.isdigit() and abs(now - int(stamp[:15]) * SECOND) <= tolerance):
        raise Refused(
            f"The signed time is more than {humanize(tolerance)} away",
            hint="compare the clocks of both sides, or raise `tolerance`; it may be a captured request",
            status=401,
        )
    return Proof(scheme=scheme, identity=identity or f"signed:{hashlib.sha256(signed).hexdigest()}")


def _token(scheme: str, request: Inbound, secrets: Sequence[SecretStr]) -> None:
    name = _TOKENS[scheme]
    given = request.headers.get(name, "").strip()
    if not given:
        raise Refused(
            f"Missing token: there is no header {_shown(name)}",
            hint="send the source's secret",
            status=401,
        )
    if scheme != "gitlab":
        word, _, given = given.partition(" ")
        given = given.strip() if word.lower() == scheme else ""
    token = given.encode("utf-8", "surrogateescape")
    if scheme == "basic":
        token = _decoded(given) or b""
    if not any(hmac.compare_digest(token, _key(secret)) for secret in secrets):
        form = {
            "gitlab": "the secret",
            "bearer": "`Bearer <secret>`",
            "basic": "`Basic <base64>`, of user:password",
        }
        raise Refused(
            "Invalid token", hint=f"{_shown(name)} must hold {form[scheme]} as this source has it", status=401
        )


def _invalid(name: str, given: str, algorithm: str) -> Refused:
    """Says how the two differ as far as it can be told without a word of the secret."""
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    lengths = {len(mac) for mac in _macs(given)}
    if size not in lengths and lengths & {20} and algorithm == "sha256":
        hint = f"{_shown(name)} holds a SHA-1; it must be an HMAC-SHA256 of the body"
    elif size not in lengths:
        digits = f"{size * 2} hex digits or their base64"
        hint = f"{_shown(name)} must hold {digits}: the HMAC-{algorithm.upper()} of the body"
    else:
        hint = (
            "both sides need the same secret, and the body as it was sent: "
            f"the form of {_shown(name)} is right, its value is not"
        )
    return Refused("Invalid signature", hint=hint, status=401)


def _macs(given: str) -> Iterator[bytes]:
    """What a header's value may mean, as bytes."""
    for part in given.split(","):
        text = part.strip()
        if prefix := _PREFIX.match(text):
            text = text[prefix.end() :]
        try:
            yield bytes.fromhex(text)
        except ValueError:
            decoded = _decoded(text)
            if decoded is not None:
                yield decoded


def _decoded(text: str) -> bytes | None:
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)


def _key(secret: SecretStr) -> bytes:
    return secret.get_secret_value().strip().encode("utf-8", "surrogateescape")


def _standard_key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value().strip()
    return (_decoded(text[6:]) if text.startswith("whsec_") else None) or _key(secret)


def _shown(name: str) -> str:
    """A header's name as it is usually written."""
    return "-".join(part.upper() if part == "hmac" else part.capitalize() for part in name.split("-"))
