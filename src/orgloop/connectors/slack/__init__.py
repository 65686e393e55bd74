"""Slack: what people say, press and type there, over Socket Mode; an actor that posts messages and asks."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.slack.actor import SlackActor
from orgloop.connectors.slack.doctor import check
from orgloop.connectors.slack.fields import EXAMPLE, SHAPES
from orgloop.connectors.slack.message import check_route
from orgloop.connectors.slack.settings import NAMES, SlackActorSettings, SlackSettings
from orgloop.connectors.slack.source import SlackSource
from orgloop.plugin import ActorKind, Connector, Setup, SourceKind, Variable

connector: Final = Connector(
    name="slack",
    title="Slack: mentions, messages, buttons and commands; an actor that posts and asks",
    source=SourceKind(
        settings=SlackSettings,
        open=SlackSource,
        team_only=True,
        names=lambda _: NAMES,
        shapes=lambda _: SHAPES,
        scaffold={"app_token": "${SLACK_APP_TOKEN}", "bot_token": "${SLACK_BOT_TOKEN}"},
        example=EXAMPLE,
    ),
    actor=ActorKind(
        settings=SlackActorSettings,
        open=SlackActor,
        concurrency=4,
        check_route=check_route,
        scaffold={"bot_token": "${SLACK_BOT_TOKEN}", "channel": "#orgloop"},
    ),
    setup=Setup(
        variables=(
            Variable(
                name="SLACK_BOT_TOKEN",
                description="the app's bot token (xoxb-…), under OAuth & Permissions",
                help_url="https://api.slack.com/apps",
            ),
            Variable(
                name="SLACK_APP_TOKEN",
                description="the app's token for Socket Mode (xapp-…), under Basic Information",
                help_url="https://api.slack.com/apps",
            ),
            Variable(
                name="SLACK_WEBHOOK_URL",
                description="the URL of an incoming webhook, for an actor without a bot token",
                help_url="https://api.slack.com/apps",
            ),
        ),
        check=check,
    ),
)
