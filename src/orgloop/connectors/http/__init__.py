"""Any JSON API, RSS or Atom feed, as a source that is polled: for systems that have no connector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orgloop.connectors.http.doctor import check
from orgloop.connectors.http.settings import HttpSettings
from orgloop.connectors.http.source import HttpSource
from orgloop.plugin import (
    ANYTHING,
    TEXT,
    AuthorType,
    Connector,
    EventShape,
    EventType,
    Setup,
    SourceKind,
    Variable,
)


def shapes(settings: HttpSettings) -> Sequence[EventShape]:
    """What is known of the events: nothing of an item's fields."""
    return (
        EventShape(
            names=names(settings),
            fields={
                "provenance.platform": (settings.platform,),
                "provenance.platform_event": TEXT,
                "provenance.author": TEXT,
                "provenance.author_type": (AuthorType.UNKNOWN,),
                "provenance.item_id": TEXT,
                "provenance.url": TEXT,
                "payload": ANYTHING,
                "payload.*": ANYTHING,
            },
        ),
    )


def names(settings: HttpSettings) -> Sequence[str]:
    """The events' names, as far as they are known: a template may make any."""
    return () if settings.event is not None else ("item.created", "item.changed")


connector: Final = Connector(
    name="http",
    title="Any JSON API, RSS or Atom feed: what is new in it",
    source=SourceKind(
        settings=HttpSettings,
        open=HttpSource,
        polled=True,
        names=names,
        names_all=True,
        shapes=shapes,
        scaffold={
            "url": "${HTTP_URL}",
            "auth": {"type": "bearer", "token": "${HTTP_TOKEN}"},
            "id": "id",
        },
        example={
            "type": EventType.RESOURCE_CHANGED,
            "provenance": {
                "platform": "http",
                "platform_event": "item.created",
                "author": "unknown",
                "author_type": AuthorType.UNKNOWN,
                "item_id": "1042",
            },
            "payload": {
                "id": 1042,
                "status": "open",
                "subject": "Invoice 77 was charged twice",
                "updated_at": "2026-01-05T12:00:00Z",
            },
        },
    ),
    setup=Setup(
        variables=(
            Variable(name="HTTP_URL", description="what an http source asks: the list of an API"),
            Variable(name="HTTP_TOKEN", description="the API's token, sent as `Authorization: Bearer`"),
        ),
        check=check,
    ),
)
