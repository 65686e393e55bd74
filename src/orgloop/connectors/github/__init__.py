"""GitHub: what happens in repositories, received by webhook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from orgloop.connectors.github.example import EXAMPLE
from orgloop.connectors.github.fields import SHAPES
from orgloop.connectors.github.names import NAMES
from orgloop.connectors.github.settings import GithubSettings
from orgloop.connectors.github.source import GithubSource
from orgloop.plugin import (
    CheckResult,
    CheckStatus,
    Connector,
    Context,
    Setup,
    SourceKind,
    Variable,
)


async def _check(settings: Any, _ctx: Context) -> Sequence[CheckResult]:
    if not isinstance(settings, GithubSettings):
        return []
    if settings.secret is not None:
        return [CheckResult(name="signature", status=CheckStatus.OK, detail="deliveries are verified")]
    return [
        CheckResult(
            name="signature",
            status=CheckStatus.WARNING,
            detail="no secret: deliveries are not verified, and only this machine can send them",
            hint="set `secret` here and in the webhook's settings on GitHub",
        )
    ]


connector: Final = Connector(
    name="github",
    title="GitHub: reviews, comments, pull requests, issues, checks and every other webhook event",
    aliases=("github-webhook",),
    source=SourceKind(
        settings=GithubSettings,
        open=GithubSource,
        team_only=True,
        names=lambda _: NAMES,
        shapes=lambda _: SHAPES,
        scaffold={"secret": "${GITHUB_WEBHOOK_SECRET}"},
        example=EXAMPLE,
    ),
    setup=Setup(
        variables=(
            Variable(
                name="GITHUB_WEBHOOK_SECRET",
                description="the secret of the webhook that you create on GitHub",
                help_url="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
                help_command="openssl rand -hex 32",
            ),
        ),
        check=_check,
    ),
)
