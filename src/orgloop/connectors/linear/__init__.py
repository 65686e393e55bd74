"""Linear: issues, their changes and their comments, as a source and as an actor."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.linear.doctor import check
from orgloop.connectors.linear.events.names import NAMES
from orgloop.connectors.linear.example import EXAMPLE
from orgloop.connectors.linear.fields import SHAPES
from orgloop.connectors.linear.polling.poll import open_source
from orgloop.connectors.linear.settings import LinearSettings
from orgloop.connectors.linear.writing.actor import LinearActor, LinearActorSettings
from orgloop.connectors.linear.writing.tasks import check_route
from orgloop.plugin import ActorKind, Connector, Setup, SourceKind, Variable

connector: Final = Connector(
    name="linear",
    title="Linear: issues, their changes and comments; an actor that writes them",
    aliases=("linear-webhook",),
    source=SourceKind(
        settings=LinearSettings,
        open=open_source,
        polled=lambda settings: settings.has_key,
        team_only=True,
        names=lambda _: NAMES,
        shapes=lambda _: SHAPES,
        scaffold={"team": "${LINEAR_TEAM_KEY}", "api_key": "${LINEAR_API_KEY}"},
        example=EXAMPLE,
    ),
    actor=ActorKind(
        settings=LinearActorSettings,
        open=LinearActor,
        concurrency=8,
        check_route=check_route,
        scaffold={"api_key": "${LINEAR_API_KEY}"},
    ),
    setup=Setup(
        variables=(
            Variable(
                name="LINEAR_API_KEY",
                description="a personal API key of Linear",
                help_url="https://linear.app/settings/api",
            ),
            Variable(
                name="LINEAR_TEAM_KEY",
                description="the key of the team that is polled: ENG, if its issues are called ENG-42",
            ),
            Variable(
                name="LINEAR_WEBHOOK_SECRET",
                description="the signing secret that Linear shows for the webhook",
                help_url="https://linear.app/settings/api",
            ),
        ),
        check=check,
    ),
)
