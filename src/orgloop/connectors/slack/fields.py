"""The fields of Slack's events, and one of them as an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from orgloop.plugin import ANYTHING, FLAG, TEXT, AuthorType, EventShape, EventType, Values

_PROVENANCE: Final[Mapping[str, Values]] = {
    "provenance.platform": ("slack",),
    "provenance.author": TEXT,
    "provenance.author_type": (
        AuthorType.TEAM_MEMBER,
        AuthorType.EXTERNAL,
        AuthorType.BOT,
        AuthorType.UNKNOWN,
    ),
    "provenance.author_id": TEXT,
    "provenance.native_event": TEXT,
    "provenance.channel": TEXT,
    "provenance.message": TEXT,
    "provenance.thread": TEXT,
    "provenance.workspace": TEXT,
    "provenance.url": TEXT,
    "provenance.delivery_id": TEXT,
    "provenance.run_actor": TEXT,
    "payload.user.id": TEXT,
    "payload.user.name": TEXT,
    "payload.user.email": ANYTHING,
}
_MESSAGE: Final[Mapping[str, Values]] = {
    **_PROVENANCE,
    "payload.text": TEXT,
    "payload.channel": TEXT,
    "payload.channel_type": TEXT,
    "payload.message": TEXT,
    "payload.thread": TEXT,
    "payload.in_thread": FLAG,
    "payload.files": ANYTHING,
    "payload.files.*": ANYTHING,
}

SHAPES: Final[Sequence[EventShape]] = (
    EventShape(
        names=("mention.created", "message.created", "message.changed", "message.deleted"), fields=_MESSAGE
    ),
    EventShape(
        names=("button.clicked",),
        fields={
            **_PROVENANCE,
            "payload.value": TEXT,
            "payload.context.*": ANYTHING,
            "payload.label": TEXT,
            "payload.action_id": TEXT,
            "payload.delivery_id": TEXT,
            "payload.channel": TEXT,
            "payload.message": TEXT,
            "payload.thread": TEXT,
            "payload.text": TEXT,
        },
    ),
    EventShape(
        names=("command.used",),
        fields={
            **_PROVENANCE,
            "payload.command": TEXT,
            "payload.text": TEXT,
            "payload.channel": TEXT,
            "payload.channel_name": TEXT,
        },
    ),
    EventShape(names=(), fields={**_PROVENANCE, "payload.*": ANYTHING}),
)

EXAMPLE: Final[Mapping[str, Any]] = {
    "type": EventType.RESOURCE_CHANGED,
    "provenance": {
        "platform": "slack",
        "platform_event": "mention.created",
        "native_event": "app_mention",
        "author": "Ada",
        "author_type": AuthorType.TEAM_MEMBER,
        "author_id": "U0ADA",
        "channel": "C0DEV",
        "message": "1767614400.000100",
        "thread": "1767614400.000100",
        "workspace": "T0ACME",
        "url": "https://acme.slack.com/archives/C0DEV/p1767614400000100",
    },
    "payload": {
        "text": "<@U0LOOP> why is the build red?",
        "channel": "C0DEV",
        "channel_type": "channel",
        "message": "1767614400.000100",
        "thread": "1767614400.000100",
        "in_thread": False,
        "files": [],
        "user": {"id": "U0ADA", "name": "Ada", "email": "ada@acme.example"},
    },
}
"""Somebody calls the app in a channel."""
