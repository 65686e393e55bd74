"""Mail: an actor that sends it by SMTP."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.email.actor import EmailActor, check
from orgloop.connectors.email.message import check_route
from orgloop.connectors.email.settings import EmailSettings
from orgloop.plugin import ActorKind, Connector, Setup, Variable

connector: Final = Connector(
    name="email",
    title="Mail, sent by SMTP",
    actor=ActorKind(
        settings=EmailSettings,
        open=EmailActor,
        concurrency=2,
        check_route=check_route,
        scaffold={
            "host": "${SMTP_HOST}",
            "username": "${SMTP_USERNAME}",
            "password": "${SMTP_PASSWORD}",
            "from": "OrgLoop <orgloop@example.com>",
            "to": "team@example.com",
        },
    ),
    setup=Setup(
        variables=(
            Variable(name="SMTP_HOST", description="the mail server, such as smtp.example.com"),
            Variable(name="SMTP_USERNAME", description="who logs in there, often an address"),
            Variable(name="SMTP_PASSWORD", description="the password; many servers want an app password"),
        ),
        check=check,
    ),
)
