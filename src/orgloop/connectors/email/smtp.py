"""One conversation with a mail server, in a thread, and how far it came."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from contextlib import suppress
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.policy import SMTP
from io import BytesIO
from typing import Final

from orgloop.connectors.email.settings import EmailSettings, Security, addresses

SHOWN: Final = 200


class Smtp:
    """Opens a connection, logs in, and sends at most one mail. `sent`: the server may have the mail."""

    def __init__(self, settings: EmailSettings, seconds: float) -> None:
        self._settings = settings
        self._seconds = seconds
        self._client: smtplib.SMTP | None = None
        self._ended = False
        self.sent = False

    async def send(self, mail: EmailMessage, to: list[str]) -> dict[str, tuple[int, bytes]]:
        """Who was refused, of several. Raises OSError, SMTPException, or TimeoutError after the time."""
        return await self._in_time(mail, to)

    async def log_in(self) -> None:
        """Log in and say goodbye. Raises as `send`."""
        await self._in_time(None, [])

    async def _in_time(self, mail: EmailMessage | None, to: list[str]) -> dict[str, tuple[int, bytes]]:
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.to_thread(self._send, mail, to)
        finally:
            self._end()

    def _end(self) -> None:
        """A thread cannot be stopped; what it waits for can."""
        self._ended = True
        client = self._client
        if client is not None and client.sock is not None:
            with suppress(OSError):
                client.sock.shutdown(socket.SHUT_RDWR)

    def _send(self, mail: EmailMessage | None, to: list[str]) -> dict[str, tuple[int, bytes]]:
        settings = self._settings
        sender = addresses(settings.sender)[0]
        context = ssl.create_default_context(
            cafile=None if settings.ca_file is None else str(settings.ca_file)
        )
        host, port = settings.at
        if settings.security is Security.TLS:
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                local_hostname=sender.domain, timeout=self._seconds, context=context
            )
        else:
            client = smtplib.SMTP(local_hostname=sender.domain, timeout=self._seconds)
        try:
            # The name is checked against the certificate, and is not known before `connect`.
            client._host = host  # type: ignore[attr-defined]
            self._client = client
            code, said = client.connect(host, port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            if settings.security is Security.STARTTLS:
                client.starttls(context=context)
            if settings.username is not None and settings.password is not None:
                client.login(settings.username, settings.password.get_secret_value().strip())
            refused = self._hand_over(client, mail, sender.addr_spec, to) if mail is not None else {}
            with suppress(smtplib.SMTPException, OSError):
                client.quit()
            return refused
        finally:
            client.close()

    def _hand_over(
        self, client: smtplib.SMTP, mail: EmailMessage, sender: str, to: list[str]
    ) -> dict[str, tuple[int, bytes]]:
        client.ehlo_or_helo_if_needed()
        plain = all(address.isascii() for address in (sender, *to))
        if not plain and not client.has_extn("smtputf8"):
            raise smtplib.SMTPNotSupportedError("the server takes no addresses with other letters than ASCII")
        options = () if plain else ("SMTPUTF8", "BODY=8BITMIME")
        code, said = client.mail(sender, options)
        if code != 250:
            raise smtplib.SMTPSenderRefused(code, said, sender)
        refused = {}
        for address in to:
            code, said = client.rcpt(address)
            if code not in (250, 251):
                refused[address] = (code, said)
        if len(refused) == len(to):
            raise smtplib.SMTPRecipientsRefused(refused)
        if self._ended:
            raise TimeoutError
        self.sent = True
        code, said = client.data(_bytes(mail, utf8=not plain))
        if code != 250:
            self.sent = False
            raise smtplib.SMTPDataError(code, said)
        return refused


def _bytes(mail: EmailMessage, *, utf8: bool) -> bytes:
    out = BytesIO()
    BytesGenerator(out, policy=SMTP.clone(utf8=utf8)).flatten(mail)
    return out.getvalue()


def words(said: object) -> str:
    """The server's words, on one short line."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * SHOWN]).split())[
        :SHOWN
    ]
