"""The mail that a wake is: `then.config` of its route, with placeholders filled in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from orgloop.connectors.email.settings import MOST_RECIPIENTS, EmailSettings, addresses
from orgloop.plugin import SECOND, Wake

KEYS: Final = frozenset({"session_key", "to", "cc", "bcc", "subject", "text", "reply_to", "in_reply_to"})
LONGEST_SUBJECT: Final = 250
LONGEST_TEXT: Final = 1_000_000


class UnfitMail(ValueError):
    """The mail cannot be sent as it is written."""


def check_route(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Keys of `then.config` that every wake would be refused for, each with why."""
    return {key: "is not something that an email actor does" for key in config if key not in KEYS}


def mail_of(wake: Wake, settings: EmailSettings, now: int) -> tuple[EmailMessage, list[str]]:
    """The mail, and the addresses that get it. The same delivery is always the same mail. Raises Unfit."""
    config = wake.config
    for key, why in check_route(config).items():
        raise UnfitMail(f"`then.config.{key}` {why}")
    text = _text(config, "text") or (wake.sop or "").strip()
    if not text:
        raise UnfitMail(
            "there is nothing to send: write `text` into `then.config`, or give the route a prompt file"
        )
    sender = addresses(settings.sender)[0]
    mail = EmailMessage(policy=SMTP.clone(utf8=False))
    mail["From"] = sender
    everybody: list[Address] = []
    for header in ("to", "cc", "bcc"):
        listed = _addresses(config, header)
        if header == "to" and not listed:
            listed = [one for text_of in settings.to for one in addresses(text_of)]
        everybody += listed
        if listed and header != "bcc":
            mail[header.capitalize()] = listed
    _check_recipients(everybody, settings)
    if reply_to := _addresses(config, "reply_to"):
        mail["Reply-To"] = reply_to
    mail["Subject"] = _subject(wake)
    mail["Date"] = format_datetime(datetime.fromtimestamp(now / SECOND, UTC))
    mail["Message-ID"] = f"<{wake.delivery_id}@{sender.domain}>"
    if (answered := _text(config, "in_reply_to")) is not None:
        mail["In-Reply-To"] = mail["References"] = _message_id(answered)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-OrgLoop-Delivery"] = wake.delivery_id
    mail["X-OrgLoop-Trace"] = wake.event.trace_id
    mail.set_content(f"{text[:LONGEST_TEXT]}\n", charset="utf-8", cte="quoted-printable")
    return mail, list(dict.fromkeys(one.addr_spec for one in everybody))


def _check_recipients(everybody: list[Address], settings: EmailSettings) -> None:
    if not everybody:
        raise UnfitMail("nobody gets the mail: write `to` into `then.config`, or into the actor")
    if len(everybody) > MOST_RECIPIENTS:
        raise UnfitMail(f"the mail has more than {MOST_RECIPIENTS} recipients")
    for one in everybody:
        address = one.addr_spec.casefold()
        if settings.allow and not any(fnmatchcase(address, glob.casefold()) for glob in settings.allow):
            raise UnfitMail(f"{one.addr_spec} may not be written to: `allow` of the actor does not have it")


def _subject(wake: Wake) -> str:
    named = wake.event.provenance.get("platform_event") or wake.event.type
    told = _text(wake.config, "subject") or f"[{wake.project}] {named}"
    return " ".join("".join(char if char.isprintable() else " " for char in told).split())[:LONGEST_SUBJECT]


def _message_id(value: str) -> str:
    inner = value.strip("<>")
    if not inner.isascii() or not inner.isprintable() or " " in inner or "@" not in inner or len(inner) > 500:
        raise UnfitMail("`then.config.in_reply_to` is not the Message-ID of a mail")
    return f"<{inner}>"


def _addresses(config: Mapping[str, Any], key: str) -> list[Address]:
    value = config.get(key)
    listed = value if isinstance(value, list | tuple) else [] if value in (None, "") else [value]
    found: list[Address] = []
    for one in listed:
        if not isinstance(one, str):
            raise UnfitMail(f"`then.config.{key}` must be an address, or a list of addresses")
        try:
            found += addresses(one)
        except ValueError as exc:
            raise UnfitMail(f"`then.config.{key}`: {exc}") from None
    return found


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UnfitMail(f"`then.config.{key}` must be text")
    return value.strip() or None
