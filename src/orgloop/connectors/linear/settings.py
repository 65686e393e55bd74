"""The `config:` map of Linear sources."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from orgloop.connectors.linear.api import URL, LinearApi, LinearCredential
from orgloop.connectors.linear.events.names import NAMES, is_polled
from orgloop.plugin import (
    Context,
    Duration,
    ProjectPath,
    Secrets,
    SecretStr,
    Settings,
    Size,
    misspelt_events,
    padded,
    require_api_url,
    require_one_word,
)

Name = Annotated[str, Field(min_length=1)]
Key = Annotated[SecretStr, AfterValidator(partial(require_one_word, secret="key"))]
Url = Annotated[str, AfterValidator(partial(require_api_url, form="https://HOST/graphql", secret="key"))]

NO_EFFECT: Final = frozenset({"cache_dir", "path", "buffer_dir", "max_buffer_size"})


class Access(Settings):
    """How Linear's API is asked."""

    api_key: Key | None = None
    """A personal API key. Linear's API is asked with it."""
    token: Key | None = None
    """Instead of `api_key`: an OAuth access token, such as that of an app."""
    api_url: Url | None = None
    """Where the API is; Linear's own address if it is not set."""
    team: Name | None = None
    """The key (`ENG`) or id of a team."""

    @property
    def has_key(self) -> bool:
        """Whether the API can be asked."""
        return self.api_key is not None or self.token is not None

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.api_url or URL

    def credential(self, environment: Mapping[str, str]) -> LinearCredential:
        """What is shown to Linear. Call it only with a key or a token."""
        name, secret = ("token", self.token) if self.token is not None else ("api_key", self.api_key)
        assert secret is not None
        value = secret.get_secret_value().strip()
        names = [key for key, one in environment.items() if one.strip() == value]
        kind = "token" if name == "token" else "key"
        return LinearCredential(
            header=f"Bearer {value}" if name == "token" else value,
            origin=f"the {kind} in ${min(names)}" if names else f"the {kind} in `{name}`",
        )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.token is not None:
            raise ValueError("`api_key` and `token` exclude each other: remove one of them")
        return self


class LinearSettings(Access):
    """A source that takes Linear's webhooks at `/webhook/<source id>`, polls its API, or both."""

    secret: Secrets | None = None
    """The webhook's signing secret; of a list any is taken. Without it and a key, this machine may send."""
    project: Name | None = None
    """The name or id of a project: issues outside it are left out."""
    events: tuple[Name, ...] = ()
    """Names or globs of the events to take, ours or Linear's (`Issue`, `Comment`); all if empty."""
    initial_lookback: Duration | None = None
    """How far back the first poll looks; without it, only what happens from then on is told."""
    acknowledge: Name | None = None
    """What an agent session is told at once, as a thought: Linear waits ten seconds for a first word."""
    cache_dir: ProjectPath | None = None
    """No effect: how far a poll came is in the journal."""
    path: str | None = None
    """No effect: the path is `/webhook/<source id>`."""
    buffer_dir: str | None = None
    """No effect: events are in the journal before Linear is answered."""
    max_buffer_size: Size | None = None
    """No effect, as `buffer_dir`."""

    @model_validator(mode="after")
    def _can_acknowledge(self) -> Self:
        if self.acknowledge is not None and not (self.has_key and self.secret is not None):
            raise ValueError("`acknowledge` needs the app's `token`, and the `secret` of its webhook")
        return self

    def warnings(self) -> Mapping[str, str]:
        """Names of events that are nearly one of Linear's, and what will never come."""
        return {**self._unheard(), **misspelt_events(self.events, NAMES), **padded(self.secret)}

    def _unheard(self) -> Mapping[str, str]:
        if not self.has_key and self.initial_lookback is not None:
            return {"initial_lookback": "has no effect without `api_key`: nothing is polled"}
        never = [name for name in self.events if not is_polled(name)]
        if self.has_key and self.secret is None and never:
            return {
                "events": f"has `{never[0]}`, which polls cannot find: set up a webhook, and its `secret`"
            }
        return {}

    @classmethod
    def meanwhile(cls) -> Mapping[str, str]:
        return {"poll": "Linear is polled with an `api_key`: add it, or remove `poll`"}

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return NO_EFFECT


def api_of(settings: Access, ctx: Context) -> LinearApi:
    """Linear's API with the settings' key."""
    return LinearApi(settings.url, settings.credential(ctx.environment), ctx.clock, ctx.http)
