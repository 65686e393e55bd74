"""What a request to a webhook source holds: documents in JSON or a form, or a question who listens here."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

from orgloop.plugin import MISSING, Inbound, Path, Refused, Reply, SecretStr, parse_json

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
MAX_FIELDS: Final = 1000
MAX_EVENTS: Final = 1000
"""Events that one request may hold."""

MAX_WORD: Final = 2048
"""Characters of a word that is said again."""

_CHARSETS: Final = frozenset({"us-ascii", "iso-8859-1", "latin1", "windows-1252", "utf-16"})
"""What a body may be written in beside UTF-8, if its Content-Type says so."""


def handshake(request: Inbound, secrets: Sequence[SecretStr]) -> Reply | None:
    """The answer to a sender that only asks whether the address is ours; None for anything else.

    Raises Refused (403) if it names a verify token that is none of ours.
    """
    asked = dict(parse_qsl(request.query[: MAX_WORD * 2], max_num_fields=100)) if request.query else {}
    if request.method in ("POST", "GET") and (token := asked.get("validationToken")):
        return Reply(text=token[:MAX_WORD])
    if request.method == "HEAD":
        return Reply(text="")
    if request.method != "GET":
        return None
    if challenge := asked.get("hub.challenge"):
        given = asked.get("hub.verify_token", "").encode("utf-8", "surrogateescape")
        ours = [one.get_secret_value().strip().encode("utf-8", "surrogateescape") for one in secrets]
        if ours and not any(hmac.compare_digest(given, one) for one in ours):
            raise Refused("Invalid hub.verify_token", hint="it must be the secret of this source", status=403)
        return Reply(text=challenge[:MAX_WORD])
    if challenge := asked.get("challenge"):
        return Reply(text=challenge[:MAX_WORD])
    return None


def question(body: Any, secrets: Sequence[SecretStr]) -> Reply | None:
    """The answer to a verified body that only asks whether its secret and address are ours."""
    match body:
        case {"type": "url_verification", "challenge": str(challenge)}:
            return Reply(body={"challenge": challenge[:MAX_WORD]})
        case {"event": "endpoint.url_validation", "payload": {"plainToken": str(token)}} if secrets:
            key = secrets[0].get_secret_value().strip().encode("utf-8", "surrogateescape")
            echo = token[:MAX_WORD]
            mac = hmac.digest(key, echo.encode("utf-8", "replace"), "sha256").hex()
            return Reply(body={"plainToken": echo, "encryptedToken": mac})
        case _:
            return None


def documents(request: Inbound, split: str | None) -> Sequence[Any]:
    """The documents of a body, each of which is an event. Raises Refused (400)."""
    kind, charset = _content_type(request.headers.get("content-type", "")[:500])
    # curl says that it sends a form unless it is told what it sends; no form begins with a brace.
    if kind == URLENCODED and request.body.strip() and request.body.lstrip()[:1] not in (b"{", b"["):
        return [_form(_pairs(request.body, charset))]
    if kind == MULTIPART:
        return [_form(_parts(request))]
    body = _as_utf8(request.body, charset)
    if split == "lines":
        return _bounded(
            [_line(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
        )
    document = parse_json(body)
    if split is None:
        return [document]
    found = document if split == "array" else Path.parse(split).get(document)
    if found is MISSING or not isinstance(found, list):
        where = "the body" if split == "array" else f"`{split}`"
        raise Refused(f"{where} is not a list of events", hint="the source's `split` says that it is one")
    return _bounded(found)


def _bounded(found: list[Any]) -> list[Any]:
    if len(found) > MAX_EVENTS:
        raise Refused(f"the body holds more than {MAX_EVENTS} events", hint="send fewer at once", status=413)
    return found


def _line(number: int, line: bytes) -> Any:
    if number > MAX_EVENTS * 2:
        raise Refused(f"the body has more than {MAX_EVENTS} lines", hint="send fewer at once", status=413)
    try:
        return parse_json(line)
    except Refused as exc:
        raise Refused(f"line {number} of the body: {exc.message}", hint=exc.hint) from exc


@lru_cache(maxsize=64)
def _content_type(header: str) -> tuple[str, str]:
    message = Message()
    message["Content-Type"] = header.replace("\n", " ").replace("\r", " ") or "application/json"
    charset = message.get_param("charset")
    return message.get_content_type(), charset if isinstance(charset, str) else ""


def _as_utf8(body: bytes, charset: str) -> bytes:
    name = charset.strip().lower()
    if name not in _CHARSETS:
        return body
    try:
        return body.decode(name).encode()
    except UnicodeError as exc:
        raise Refused(f"the body is not {name}, as its Content-Type says", hint="send it as UTF-8") from exc


def _pairs(body: bytes, charset: str) -> list[tuple[str, Any]]:
    if b"=" not in body:
        raise Refused(
            "The body is not a form: it has no `=`",
            hint="send `name=value`, or say what it is: -H 'Content-Type: application/json'",
        )
    try:
        text = _as_utf8(body, charset).decode()
        return list(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError as exc:
        raise Refused(
            "The form cannot be read", hint=f"send at most {MAX_FIELDS} fields in UTF-8, or JSON"
        ) from exc


def _parts(request: Inbound) -> list[tuple[str, Any]]:
    if not request.body.strip():
        raise Refused("The body is empty", hint="send a form with at least one named part")
    head = (
        b"Content-Type: " + request.headers.get("content-type", "").encode("utf-8", "replace") + b"\r\n\r\n"
    )
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    if not message.is_multipart():
        raise Refused("The form cannot be read", hint="its parts must be as its Content-Type says")
    found: list[tuple[str, Any]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if len(found) >= MAX_FIELDS or not isinstance(name, str):
            raise Refused("The form cannot be read", hint=f"send at most {MAX_FIELDS} named fields")
        content = part.get_payload(decode=True)
        data = content if isinstance(content, bytes) else b""
        if (file := part.get_filename()) is not None:
            found.append(
                (name, {"filename": file, "content_type": part.get_content_type(), "size": len(data)})
            )
        else:
            found.append((name, data.decode("utf-8", "replace")))
    if not found:
        raise Refused("The form has no fields", hint="send at least one named part")
    return found


def _form(pairs: Sequence[tuple[str, Any]]) -> Any:
    """A map of the fields; one that is there several times is a list. A lone `payload` is the JSON in it."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    alone = fields.get("payload") if len(fields) == 1 else None
    if isinstance(alone, str) and alone.lstrip()[:1] in ("{", "["):
        return parse_json(alone.encode("utf-8", "replace"))
    return fields
