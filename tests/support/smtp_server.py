"""A mail server on loopback: it speaks as much SMTP as a client asks for, and refuses what a test says."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Final

USER: Final = "orgloop@acme.example"
PASSWORD: Final = "s3cret-app-password"


@dataclass
class SmtpServer:
    """`answers` are given instead, by the verb, in turn; `close` ends the connection, `hang` says nothing."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    offers: list[str] = field(default_factory=lambda: ["AUTH PLAIN", "8BITMIME", "SMTPUTF8", "SIZE 1000000"])
    tls: ssl.SSLContext | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._session(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError, OSError):
                await writer.wait_closed()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to: list[str] = []
        if not await self._say(writer, "CONNECT", "220 mail.acme.example"):
            return
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            self.verbs.append(verb)
            match verb:
                case "EHLO":
                    starttls = ["STARTTLS"] if self.tls is not None and not _is_secure(writer) else []
                    listed = ["mail.acme.example", *self.offers, *starttls]
                    usual = "\r\n".join(f"250{'-' if one != listed[-1] else ' '}{one}" for one in listed)
                case "STARTTLS":
                    usual = "220 go on"
                case "AUTH":
                    given = base64.b64decode(rest.partition(" ")[2]).split(b"\0")[1:]
                    right = given == [USER.encode(), PASSWORD.encode()]
                    usual = "235 welcome" if right else "535 5.7.8 wrong"
                case "RCPT":
                    usual = "250 ok"
                    to.append(rest.partition("<")[2].partition(">")[0])
                case "DATA":
                    usual = "354 go on"
                case "QUIT":
                    usual = "221 bye"
                case _:
                    usual = "250 ok"
            if not await self._say(writer, verb, usual):
                return
            if verb == "STARTTLS" and self.tls is not None:
                await writer.start_tls(self.tls)
            if verb == "DATA" and self._last == usual:
                mail = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(message_from_bytes(mail[:-3].replace(b"\r\n..", b"\r\n."), policy=default))
                self.recipients.append(to)
                if not await self._say(writer, "DOT", "250 taken"):
                    return

    async def _say(self, writer: asyncio.StreamWriter, verb: str, usual: str) -> bool:
        said = self.answers[verb].pop(0) if self.answers.get(verb) else usual
        self._last = said
        self.asked.set()
        if said == "hang":
            await self.leave.wait()
        if said in ("hang", "close"):
            return False
        writer.write(f"{said}\r\n".encode())
        await writer.drain()
        return True


def _is_secure(writer: asyncio.StreamWriter) -> bool:
    return writer.get_extra_info("ssl_object") is not None


@asynccontextmanager
async def smtp_server(
    tls: ssl.SSLContext | None = None, *, at_once: bool = False
) -> AsyncIterator[SmtpServer]:
    """One that runs; with `at_once`, encrypted from the first byte on."""
    served = SmtpServer(tls=tls)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls if at_once else None)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        served.leave.set()
        server.close()
        await server.wait_closed()
