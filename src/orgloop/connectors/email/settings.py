"""The `config:` map of actors that send mail."""

from __future__ import annotations

from collections.abc import Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orgloop.plugin import SECOND, Duration, ProjectPath, Secret, Settings

LOCAL: Final = ("127.0.0.1", "localhost", "::1")
MOST_RECIPIENTS: Final = 100


class Security(StrEnum):
    """How the connection is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


PORTS: Final = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


def addresses(value: str) -> list[Address]:
    """The addresses of a text, which commas part: `Ada <ada@acme.example>`. Raises ValueError."""
    if any(not char.isprintable() for char in value):
        raise ValueError("an address is one line of text")
    found = []
    for name, address in getaddresses([value]):
        try:
            user, _, domain = address.rpartition("@")
            if not user or not domain or " " in address:
                raise ValueError(address)
            found.append(Address(display_name=name, username=user, domain=domain))
        except (MessageError, ValueError):
            raise ValueError(f"{(address or name or value)[:100]!r} is not an address") from None
    if not found:
        raise ValueError("there is no address")
    return found


def _one(value: str) -> str:
    if len(addresses(value)) != 1:
        raise ValueError("must be one address")
    return value


def _some(value: str) -> str:
    addresses(value)
    return value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Sender = Annotated[str, AfterValidator(_one)]
Recipients = Annotated[
    tuple[Annotated[str, AfterValidator(_some)], ...],
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
]
Word = Annotated[str, Field(min_length=1)]


class EmailSettings(Settings):
    """An actor that sends mail by SMTP."""

    host: Word
    """The mail server, such as `smtp.example.com`."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Its port: 587 with `starttls`, 465 with `tls`, 25 with `none`."""
    security: Security = Security.STARTTLS
    """How the connection is encrypted: `starttls`, `tls`, or `none` on this machine."""
    username: Word | None = None
    """Who logs in; without it, nobody does."""
    password: Secret | None = None
    """The password, or the app password, of `username`."""
    sender: Annotated[Sender, Field(alias="from")]
    """Who the mail is from: `OrgLoop <orgloop@acme.example>`."""
    to: Recipients = ()
    """Who gets the mail if the route does not say it."""
    allow: tuple[Word, ...] = ()
    """Globs of addresses that may be written to, such as `*@acme.example`; everybody if empty."""
    ca_file: ProjectPath | None = None
    """Certificates that are trusted instead of the system's, for a server of your own."""
    timeout: Annotated[Duration, Field(gt=0)] = 30 * SECOND
    """How long sending may take. The route's `delivery.timeout` bounds it in any case."""

    @property
    def at(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or PORTS[self.security]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` need each other")
        if self.security is Security.NONE and self.password is not None and self.host not in LOCAL:
            raise ValueError("`security: none` would send the password in plain text: use starttls or tls")
        return self

    def missing(self) -> Mapping[str, str]:
        """The file with certificates."""
        if self.ca_file is None or self.ca_file.is_file():
            return {}
        return {"ca_file": f"{self.ca_file} is not a file"}
