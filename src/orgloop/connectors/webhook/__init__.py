"""Any system that can send or take JSON over HTTP: a source that receives, an actor that calls."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.webhook.actor import WebhookActor, check_route
from orgloop.connectors.webhook.doctor import check
from orgloop.connectors.webhook.settings import WebhookActorSettings, WebhookSourceSettings
from orgloop.connectors.webhook.source import WebhookSource, known_names, shapes
from orgloop.plugin import (
    ActorKind,
    Connector,
    EventType,
    Setup,
    SourceKind,
    Variable,
)

connector: Final = Connector(
    name="webhook",
    first_source=True,
    title="Any system that sends or takes JSON over HTTP",
    source=SourceKind(
        settings=WebhookSourceSettings,
        open=WebhookSource,
        emits=tuple(EventType),
        shapes=shapes,
        names=known_names,
        example={
            "type": EventType.RESOURCE_CHANGED,
            "provenance": {
                "platform": "webhook",
                "platform_event": "deploy.finished",
                "author": "unknown",
                "author_type": "unknown",
            },
            "payload": {"type": "deploy.finished", "service": "billing", "version": "1.4.2", "ok": True},
        },
    ),
    actor=ActorKind(
        settings=WebhookActorSettings,
        open=WebhookActor,
        concurrency=64,
        check_route=check_route,
        scaffold={"url": "${WEBHOOK_URL}", "method": "POST"},
    ),
    setup=Setup(
        variables=(
            Variable(
                name="WEBHOOK_SECRET",
                description="signs what a webhook source receives, or what a webhook actor sends",
                help_command="openssl rand -hex 32",
            ),
            Variable(name="WEBHOOK_URL", description="where a webhook actor sends its wakes"),
        ),
        check=check,
    ),
)
