"""GitHub: what happens in repositories, by webhook, polled, or both; and an actor that writes there."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.github.doctor import check
from orgloop.connectors.github.events.names import NAMES
from orgloop.connectors.github.example import EXAMPLE
from orgloop.connectors.github.fields import shapes_for
from orgloop.connectors.github.install import install
from orgloop.connectors.github.polling.poll import open_source
from orgloop.connectors.github.settings import GithubSettings
from orgloop.connectors.github.writing.actor import GithubActor
from orgloop.connectors.github.writing.tasks import GithubActorSettings, check_route
from orgloop.plugin import (
    ActorKind,
    Connector,
    Setup,
    SourceKind,
    Variable,
)

connector: Final = Connector(
    name="github",
    title="GitHub: reviews, comments, pull requests, issues, checks and every other webhook event",
    aliases=("github-webhook",),
    source=SourceKind(
        settings=GithubSettings,
        open=open_source,
        polled=lambda settings: settings.polls,
        team_only=True,
        names=lambda _: NAMES,
        shapes=shapes_for,
        scaffold={"secret": "${GITHUB_WEBHOOK_SECRET}"},
        example=EXAMPLE,
    ),
    actor=ActorKind(
        settings=GithubActorSettings,
        open=GithubActor,
        concurrency=8,
        check_route=check_route,
        scaffold={"do": "comment", "token": "${GITHUB_TOKEN}"},
    ),
    setup=Setup(
        variables=(
            Variable(
                name="GITHUB_WEBHOOK_SECRET",
                description="the secret of the webhook that you create on GitHub",
                help_url="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
                help_command="openssl rand -hex 32",
            ),
            Variable(
                name="GITHUB_TOKEN",
                description="a token that may read the repositories that are polled",
                help_url="https://github.com/settings/personal-access-tokens/new",
                help_command="gh auth token",
            ),
            Variable(
                name="GITHUB_APP_PRIVATE_KEY",
                description="the private key of a GitHub App, instead of a token",
                help_url="https://github.com/settings/apps",
            ),
        ),
        check=check,
        install=install,
    ),
)
