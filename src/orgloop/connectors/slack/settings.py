"""The `config:` maps of Slack sources and actors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from orgloop.connectors.slack.api import URL, SlackApi
from orgloop.plugin import (
    Context,
    SecretStr,
    Settings,
    misspelt_events,
    require_api_url,
    require_one_word,
)

NAMES: Final = (
    "mention.created",
    "message.created",
    "message.changed",
    "message.deleted",
    "button.clicked",
    "command.used",
)


def _token(kind: str, prefixes: tuple[str, ...]) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        text = require_one_word(value, secret="token").get_secret_value().strip()
        if text.startswith(("xoxb-", "xoxp-", "xapp-")) and not text.startswith(prefixes):
            raise ValueError(f"is a token of another kind: the {kind} begins with {prefixes[0]}")
        return value

    return AfterValidator(check)


def _hook(value: SecretStr) -> SecretStr:
    url = urlsplit(value.get_secret_value().strip())
    local = url.hostname in ("127.0.0.1", "localhost", "::1")
    if not url.hostname or not (url.scheme == "https" or (url.scheme == "http" and local)):
        raise ValueError("must be the URL of an incoming webhook: https://hooks.slack.com/services/…")
    return value


AppToken = Annotated[SecretStr, _token("app token", ("xapp-",))]
BotToken = Annotated[SecretStr, _token("bot token", ("xoxb-", "xoxp-"))]
Name = Annotated[str, Field(min_length=1)]
ApiUrl = Annotated[str, AfterValidator(partial(require_api_url, form="https://HOST/api", secret="token"))]


class Workspace(Settings):
    """How Slack's API is asked."""

    bot_token: BotToken | None = None
    """The app's bot token (`xoxb-…`)."""
    api_url: ApiUrl = URL
    """Where the API is."""


class SlackSettings(Workspace):
    """A source that hears of a workspace over Socket Mode, which needs no public address."""

    app_token: AppToken
    """The app's token for Socket Mode (`xapp-…`), with the scope `connections:write`."""
    events: tuple[Name, ...] = ()
    """Names or globs of the events to take, ours or Slack's; all if empty."""
    channels: tuple[Name, ...] = ()
    """Ids of the channels whose events are taken (`C0123ABCD`); all if empty."""
    team: tuple[Name, ...] = ()
    """Ids of users that are team members even if Slack does not say so, such as guests."""
    acknowledge: Name | None = None
    """What a person who used a slash command is told at once, and only that person."""

    def warnings(self) -> Mapping[str, str]:
        """Names of events that are nearly one of ours, and what cannot be known without a bot token."""
        found = {**misspelt_events(self.events, NAMES)}
        if self.bot_token is None and not self.team:
            found["bot_token"] = (
                "is not set: who a person is cannot be asked, so `trust: team` holds all events"
            )
        return found


class SlackActorSettings(Workspace):
    """An actor that posts messages, with a bot token or an incoming webhook."""

    webhook_url: Annotated[SecretStr, AfterValidator(_hook)] | None = None
    """Instead of `bot_token`: the URL of an incoming webhook, which posts into one channel."""
    channel: Name | None = None
    """Where messages go if the route names no other place: `#name`, an id, or a person's address."""
    notify_all: bool = False
    """Let texts call everybody in a channel (`<!channel>`, `<!here>`): else such calls are plain text."""
    unfurl: bool = False
    """Let Slack show previews of links."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.bot_token is None) == (self.webhook_url is None):
            raise ValueError("needs a `bot_token` or a `webhook_url`, and not both")
        if self.webhook_url is not None and self.channel is not None:
            raise ValueError("`channel` has no meaning with `webhook_url`, which posts into its own channel")
        return self


def api_of(settings: Workspace, token: SecretStr, key: str, ctx: Context) -> SlackApi:
    """Slack's API with one of the settings' tokens."""
    value = token.get_secret_value().strip()
    names = [name for name, one in ctx.environment.items() if one.strip() == value]
    origin = f"the token in ${min(names)}" if names else f"the token in `{key}`"
    return SlackApi(settings.api_url, value, origin, ctx.clock, ctx.http)
