"""The `config:` map of an OpenClaw actor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field

from orgloop.connectors.agents.settings import Limit
from orgloop.connectors.webhook.urls import is_host
from orgloop.plugin import MINUTE, Secret, SecretStr, Settings, padded

LOCAL: Final = "http://127.0.0.1:18789"
"""Where a gateway listens if nothing else is said."""

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not is_host(parts.hostname):
        raise ValueError("must be the URL of a gateway: http:// or https://, and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password: write the token into `token`")
    if parts.query or parts.fragment or any(char.isspace() for char in value):
        raise ValueError("must end after the host, or after a path")
    if parts.port == 0:
        raise ValueError("port 0 cannot be called")
    return value.rstrip("/")


def _path(value: str) -> str:
    path = "/" + value.strip("/")
    if path == "/" or any(char.isspace() or char in "?#{}" for char in path):
        raise ValueError("must be the path of the gateway's `hooks.path`, such as /hooks")
    return path


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be one word of ASCII letters, digits and signs, as a header can carry it")
    return value


def _word(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("must not be empty")
    return value


Word = Annotated[str, AfterValidator(_word)]


class OpenClawSettings(Settings):
    """An actor that wakes an agent of an OpenClaw gateway."""

    base_url: Annotated[str, AfterValidator(_base_url)] = LOCAL
    """The gateway."""
    token: Annotated[
        Annotated[Secret, AfterValidator(_token)] | None,
        Field(validation_alias=AliasChoices("token", "auth_token_env")),
    ] = None
    """The gateway's `hooks.token`."""
    path: Annotated[str, AfterValidator(_path)] = "/hooks"
    """The gateway's `hooks.path`."""
    hook: Literal["agent", "wake"] = "agent"
    """`agent` runs a turn of an agent; `wake` tells the agent's main session."""
    completion: Literal["wait", "accept", "callback"] = "wait"
    """When a wake is done: at the run's end, once it is accepted, or once the agent reports."""
    timeout: Limit = 30 * MINUTE
    """How long to wait for the end of a run. Then it ends as `unknown`."""
    agent_id: Word | None = None
    """The agent. The gateway's own default otherwise."""
    session_mode: Literal["isolated", "persistent"] | None = None
    """`persistent`: wakes with one session key share a conversation."""
    default_channel: Word | None = None
    """The channel to which replies go where a route names none."""
    default_to: Word | None = None
    """The recipient to whom replies go where a route names none."""
    lane: Word | None = None
    """The gateway's lane, for gateways that have them."""

    @property
    def has_runs(self) -> bool:
        """Whether a wake becomes a run: its end is known some time."""
        return self.hook == "agent" and self.completion != "accept"

    def url(self, hook: str) -> str:
        """The address of one of the gateway's hooks."""
        return f"{self.base_url}{self.path}/{hook}"

    def warnings(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        if self.token is not None and padded((self.token,)):
            found["token"] = "has space or a line break around it, which is left out"
        parts = urlsplit(self.base_url)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and self.token is not None:
            found["base_url"] = "sends the token without encryption; use https, or a tunnel"
        if self.hook == "wake" and self.completion != "wait":
            found["completion"] = "has no effect with `hook: wake`; remove it"
        return found
