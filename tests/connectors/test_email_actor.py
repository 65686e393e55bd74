"""Mail by SMTP to a server on loopback: what arrives, and what each refusal means."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orgloop.connectors.email import connector
from orgloop.connectors.email.actor import EmailActor, check
from orgloop.connectors.email.message import UnfitMail, check_route, mail_of
from orgloop.connectors.email.settings import EmailSettings
from orgloop.plugin import Delivered, DeliverOutcome, Rejected, Retry, Unavailable
from tests.connectors.doubles import NOON, FakeContext, as_context, event, wake
from tests.support.smtp_server import PASSWORD, USER, SmtpServer, smtp_server

PLAIN: dict[str, Any] = {
    "host": "127.0.0.1",
    "security": "none",
    "username": USER,
    "password": PASSWORD,
    "from": "OrgLoop <orgloop@acme.example>",
    "to": "ada@acme.example",
}


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as served:
        yield served


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of `localhost`, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    place = tmp_path_factory.mktemp("tls")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "30"]
    files = ["-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")]
    subprocess.run([*make, *names, *files], check=True, capture_output=True)
    (place / "both.pem").write_text((place / "key.pem").read_text() + (place / "cert.pem").read_text())
    return place


async def deliver(
    server: SmtpServer, config: dict[str, Any], settings: dict[str, Any] | None = None, **changes: Any
) -> DeliverOutcome:
    given = {**PLAIN, "port": server.port, **(settings or {})}
    actor = EmailActor("mail", EmailSettings.model_validate(given))
    await actor.open(as_context(FakeContext()))
    return await actor.deliver(wake(config=config, **changes))


async def test_a_mail_arrives_as_the_route_says(server: SmtpServer) -> None:
    config = {
        "to": ["Ada L <ada@acme.example>", "bob@acme.example, cy@acme.example"],
        "cc": "dee@acme.example",
        "bcc": "eve@acme.example",
        "subject": "Build 7 of Straße\r\nBcc: all@acme.example",
        "text": "It failed.\n.\nSee below: ü",
        "reply_to": "team@acme.example",
        "in_reply_to": "<first@acme.example>",
    }
    done = await deliver(server, config)
    assert done == Delivered(detail="sent as <dlv_0000000000000003@acme.example>")
    (mail,) = server.mails
    assert server.recipients == [[f"{name}@acme.example" for name in ("ada", "bob", "cy", "dee", "eve")]]
    assert {name: str(mail[name]) for name in mail if name not in ("MIME-Version", "Content-Type")} == {
        "From": "OrgLoop <orgloop@acme.example>",
        "To": "Ada L <ada@acme.example>, bob@acme.example, cy@acme.example",
        "Cc": "dee@acme.example",
        "Reply-To": "team@acme.example",
        "Subject": "Build 7 of Straße Bcc: all@acme.example",
        "Date": "Mon, 05 Jan 2026 12:00:00 +0000",
        "Message-ID": "<dlv_0000000000000003@acme.example>",
        "In-Reply-To": "<first@acme.example>",
        "References": "<first@acme.example>",
        "Auto-Submitted": "auto-generated",
        "X-OrgLoop-Delivery": "dlv_0000000000000003",
        "X-OrgLoop-Trace": "trc_0000000000000002",
        "Content-Transfer-Encoding": "quoted-printable",
    }
    assert mail.get_content().replace("\r\n", "\n").rstrip("\n") == "It failed.\n.\nSee below: ü"


async def test_the_actor_and_the_prompt_file_fill_what_the_route_leaves_out(server: SmtpServer) -> None:
    await deliver(server, {}, sop="# Weekly report\n")
    (mail,) = server.mails
    assert (str(mail["To"]), str(mail["Subject"])) == ("ada@acme.example", "[test] build.failed")
    assert mail.get_content().strip() == "# Weekly report"


async def test_a_mail_that_may_have_been_sent_is_the_same_mail_the_next_time(server: SmtpServer) -> None:
    server.answers = {"DOT": ["close"]}
    lost = await deliver(server, {"text": "x"})
    assert isinstance(lost, Retry)
    assert not lost.known
    assert isinstance(await deliver(server, {"text": "x"}, attempt=2), Delivered)
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_password_goes_over_an_encrypted_connection(certificate: Path, at_once: bool) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "both.pem")
    async with smtp_server(context, at_once=at_once) as server:
        trusted = {"host": "localhost", "security": "tls" if at_once else "starttls"}
        trusted |= {"ca_file": str(certificate / "cert.pem")}
        assert isinstance(await deliver(server, {"text": "x"}, trusted), Delivered)
        stranger = await deliver(server, {"text": "x"}, {**trusted, "ca_file": None})
        assert isinstance(stranger, Unavailable)
        assert "invalid certificate" in stranger.reason
        named = await deliver(server, {"text": "x"}, {**trusted, "host": "127.0.0.1"})
        assert isinstance(named, Unavailable), "the certificate is of another name"
        assert server.verbs.count("AUTH") == 1
    async with smtp_server() as plain:
        refused = await deliver(plain, {"text": "x"}, {"security": "starttls"})
        assert isinstance(refused, Unavailable)
        assert "AUTH" not in plain.verbs


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ({"CONNECT": ["421 busy"]}, Unavailable, "421 busy"),
        ({"CONNECT": ["close"]}, Retry, "closed the connection"),
        ({"AUTH": ["535 5.7.8 no"]}, Unavailable, "does not take the password of orgloop@acme.example"),
        ({"AUTH": ["454 4.7.0 later"]}, Retry, "454"),
        ({"MAIL": ["550 spf"]}, Rejected, "550 spf"),
        ({"MAIL": ["451 later"]}, Retry, "451 later"),
        ({"RCPT": ["550 nobody"]}, Rejected, "refuses ada@acme.example: 550 nobody"),
        ({"RCPT": ["450 greylisted"]}, Retry, "greylisted"),
        ({"DATA": ["552 full"]}, Rejected, "552 full"),
        ({"DOT": ["554 spam"]}, Rejected, "554 spam"),
        ({"DOT": ["452 later"]}, Retry, "452 later"),
        ({"RCPT": ["close"]}, Retry, "closed the connection"),
        ({"DOT": ["close"]}, Retry, "did not say whether"),
        ({"DOT": ["hang"]}, Retry, "did not say whether"),
        ({"EHLO": ["hang"]}, Retry, "took longer than 0.3 s"),
        ({"CONNECT": ["hang"]}, Retry, "took longer than 0.3 s"),
        ({"MAIL": ["nonsense"]}, Retry, "refuses the mail"),
    ],
)
async def test_each_refusal_has_its_outcome(
    server: SmtpServer, answers: dict[str, list[str]], kind: type[DeliverOutcome], words: str
) -> None:
    hangs = "hang" in str(answers)
    server.answers = answers
    outcome = await deliver(server, {"text": "x"}, {"timeout": "300ms" if hangs else "30s"})
    assert type(outcome) is kind
    assert words in repr(outcome)
    assert PASSWORD not in repr(outcome)


async def test_of_several_recipients_those_who_are_refused_are_named(server: SmtpServer) -> None:
    server.answers = {"RCPT": ["250 ok", "550 nobody"]}
    done = await deliver(server, {"text": "x", "to": "ada@acme.example, bob@acme.example"})
    assert isinstance(done, Delivered)
    assert done.detail == "sent to 1 of 2; refused bob@acme.example: 550 nobody"


async def test_nobody_there_parks_the_actor() -> None:
    async with smtp_server() as gone:
        pass
    assert isinstance(await deliver(gone, {"text": "x"}), Unavailable)


async def test_a_wake_can_be_cancelled_and_its_thread_ends(server: SmtpServer) -> None:
    server.answers = {"MAIL": ["hang"]}
    server.asked.clear()
    task = asyncio.create_task(deliver(server, {"text": "x"}))
    while "MAIL" not in server.verbs:
        await server.asked.wait()
        server.asked.clear()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 10)


async def test_other_letters_need_a_server_that_takes_them(server: SmtpServer) -> None:
    address = "jürgen@acme.example"
    assert isinstance(await deliver(server, {"text": "x", "to": address}), Delivered)
    assert server.recipients == [[address]]
    server.offers = ["AUTH PLAIN"]
    refused = await deliver(server, {"text": "x", "to": address})
    assert "no addresses with other letters" in repr(refused)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "there is nothing to send"),
        ({"text": 7.5, "colour": 1}, "not something that an email actor does"),
        ({"text": "x", "to": "nobody"}, "is not an address"),
        ({"text": "x", "to": "a@b\r\nRCPT TO:<x@y>"}, "one line of text"),
        ({"text": "x", "to": [{"a": 1}]}, "must be an address"),
        ({"text": "x", "cc": "mallory@evil.example"}, "may not be written to"),
        ({"text": "x", "bcc": "Ada@acme.example <mallory@evil.example>"}, "may not be written to"),
        (
            {"text": "x", "to": ", ".join(f"a{n}@acme.example" for n in range(101))},
            "more than 100 recipients",
        ),
        ({"text": "x", "in_reply_to": "<a b@c>\r\nX: y"}, "not the Message-ID"),
        ({"text": ["x"]}, "must be text"),
    ],
)
async def test_a_mail_that_cannot_be_sent_is_rejected(
    server: SmtpServer, config: dict[str, Any], words: str
) -> None:
    outcome = await deliver(server, config, {"allow": ["*@ACME.example"]})
    assert isinstance(outcome, Rejected)
    assert words in outcome.reason
    assert server.verbs == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"from": "nobody"}, "is not an address"),
        ({"from": "a@b.example, c@d.example"}, "one address"),
        ({"to": ["x"]}, "is not an address"),
        ({"password": None}, "need each other"),
        ({"host": "smtp.example.com"}, "plain text"),
        ({"port": 0}, "port"),
        ({"security": "ssl"}, "security"),
    ],
)
def test_settings_that_cannot_work_say_why(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as told:
        EmailSettings.model_validate({**PLAIN, **config})
    assert words in str(told.value)
    assert PASSWORD not in str(told.value)


def test_ports_follow_from_the_encryption() -> None:
    ports = {"starttls": 587, "tls": 465, "none": 25}
    found = {one: EmailSettings.model_validate({**PLAIN, "security": one}).at[1] for one in ports}
    assert found == ports
    assert check_route({"to": "{{ payload.email }}", "subject": "x"}) == {}


async def test_the_doctor_logs_in_and_sends_nothing(server: SmtpServer) -> None:
    settings = EmailSettings.model_validate({**PLAIN, "port": server.port})
    context = as_context(FakeContext())
    (found,) = await check(settings, context)
    assert (found.status.value, found.identity) == ("ok", USER)
    server.answers = {"AUTH": ["535 no"]}
    (found,) = await check(settings, context)
    assert found.status.value == "error"
    assert found.hint
    assert server.mails == []
    assert connector.actor is not None


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_text_adds_a_header_or_a_recipient(subject: str, text: str, to: str) -> None:
    settings = EmailSettings.model_validate({**PLAIN, "allow": ["*@acme.example"]})
    config = {"subject": subject, "text": text or "x", "to": ["ada@acme.example", to] if to else None}
    try:
        mail, recipients = mail_of(wake(config=config, event=event()), settings, NOON)
    except UnfitMail:
        return
    assert all(one.casefold().endswith("@acme.example") for one in recipients)
    head = mail.as_bytes().partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n")
    names = {line.partition(b":")[0] for line in head.split(b"\n") if line[:1] not in (b" ", b"\t", b"")}
    assert names <= {name.encode() for name in mail}
    assert len(mail.keys()) == len(set(mail.keys()))
