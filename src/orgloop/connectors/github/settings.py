"""The `config:` map of GitHub sources."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orgloop.connectors.github.events.names import NAMES
from orgloop.connectors.github.polled_events import is_polled
from orgloop.plugin import (
    Duration,
    ProjectPath,
    Secret,
    Secrets,
    SecretStr,
    Settings,
    Size,
    misspelt_events,
    padded,
    require_api_url,
    require_one_word,
)

_REPO: Final = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def listed(value: Any) -> Any:
    """One text is a list of one."""
    return (value,) if isinstance(value, str) else value


def repository(value: str) -> str:
    """`owner/name`, if it is that. Raises ValueError."""
    if not _REPO.fullmatch(value) or value.rpartition("/")[2] in (".", ".."):
        raise ValueError(f"{value!r} is not a repository: write owner/name")
    return value


def _repositories(value: str) -> str:
    """`owner/name`, or `owner/*` for all of an owner's."""
    owner, _, name = value.partition("/")
    repository(f"{owner}/x" if name == "*" else value)
    return value


def _command(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as exc:
            raise ValueError(f"must be a command line: {str(exc).lower()}: write a list of words") from exc
    if isinstance(value, list | tuple) and not (value and all(value)):
        raise ValueError("must name a program, such as `gh auth token`")
    return value


def _app_id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Token = Annotated[SecretStr, AfterValidator(partial(require_one_word, secret="token"))]
ApiUrl = Annotated[str, AfterValidator(partial(require_api_url, form="https://HOST/api/v3", secret="token"))]
Repo = Annotated[str, AfterValidator(repository)]
Repos = Annotated[str, AfterValidator(_repositories)]
Word = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(min_length=1)]


class Enrichment(StrEnum):
    """What is asked of the API for runs and checks."""

    FAILURES = "failures"
    PULL_REQUEST = "pull_request"


class ApiSettings(Settings):
    """How GitHub's API is logged in to."""

    token: Token | None = None
    """A token for GitHub's API."""
    token_command: Annotated[
        tuple[Word, ...], BeforeValidator(_command, json_schema_input_type=str | list[str])
    ] = ()
    """Instead of `token`: a program that prints it, such as `gh auth token`."""
    app_id: Annotated[str, BeforeValidator(_app_id), Field(pattern=r"^[A-Za-z0-9.]{1,100}$")] | None = None
    """Instead of `token`: the id, or the client id, of a GitHub App."""
    private_key: Secret | None = None
    """The app's private key: the text of its `.pem` file, or that as base64."""
    private_key_file: ProjectPath | None = None
    """Instead of `private_key`: the `.pem` file."""
    installation_id: Annotated[int, Field(ge=1)] | None = None
    """Which installation of the app, if it has several."""
    api_url: ApiUrl | None = None
    """Where the API is, for GitHub Enterprise: `https://HOST/api/v3`."""

    @property
    def has_login(self) -> bool:
        """Whether there is one."""
        return self.token is not None or bool(self.token_command) or self.app_id is not None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.token is not None and self.token_command:
            raise ValueError("`token` and `token_command` exclude each other: remove one of them")
        if self.app_id is not None and (self.token is not None or self.token_command):
            raise ValueError("`app_id` logs in, too: remove `token` and `token_command`")
        keys = [key for key in (self.private_key, self.private_key_file) if key is not None]
        if len(keys) > 1:
            raise ValueError("`private_key` and `private_key_file` exclude each other: remove one of them")
        if (self.app_id is not None) != bool(keys):
            raise ValueError("`app_id` and the app's `private_key` or `private_key_file` need each other")
        if self.installation_id is not None and self.app_id is None:
            raise ValueError("`installation_id` is of a GitHub App: add its `app_id`")
        return self


class GithubSettings(ApiSettings):
    """A source that takes GitHub's webhook deliveries at `/webhook/<source id>`, polls its API, or both."""

    secret: Secrets | None = None
    """The webhook's secret; of a list any is taken. With neither it nor a token, this machine may send."""
    repo: Annotated[tuple[Repos, ...], BeforeValidator(listed, json_schema_input_type=str | list[str])] = ()
    """`owner/name` or `owner/*`, one or several: what is polled; events of others are left out."""
    max_fact_age: Annotated[Duration, Field(gt=0)] | None = None
    """How old the fact in a signed body may be; then its author counts as unknown."""
    initial_lookback: Duration | None = None
    """How far back the first poll looks; without it, only what happens from then on is told."""
    enrich: Annotated[
        tuple[Enrichment, ...],
        BeforeValidator(listed, json_schema_input_type=Enrichment | list[Enrichment]),
    ] = ()
    """What is asked of the API for each completed run or check: `failures`, `pull_request`, or both."""
    events: tuple[Name, ...] = ()
    """Names or globs of the events to take, ours or GitHub's; all if empty."""
    authors: tuple[Name, ...] = ()
    """Logins whose events are taken; all if empty."""
    team: tuple[Name, ...] = ()
    """Logins that are team members even if GitHub does not say so: it hides private memberships."""
    rate_budget: float | None = None
    """No effect: GitHub's limits are kept as it tells them."""
    path: str | None = None
    """No effect: the path is `/webhook/<source id>`."""
    buffer_dir: str | None = None
    """No effect: events are in the journal before GitHub is answered."""
    max_buffer_size: Size | None = None
    """No effect, as `buffer_dir`."""
    repo_owner: str | None = None
    """No effect: `repo` says what is polled."""
    repo_name: str | None = None
    """No effect: `repo` says what is polled."""
    reconciliation_interval_ms: int | None = None
    """No effect: `poll.interval` says how often is polled."""
    reconciliation_lookback_ms: int | None = None
    """No effect: a poll goes on where the last one ended."""
    issue_comment_edit_debounce_ms: int | None = None
    """No effect: each edit is an event at once."""

    @property
    def polls(self) -> bool:
        """Whether GitHub's API is polled."""
        return bool(self.repo) and self.has_login

    @model_validator(mode="after")
    def _needs_login(self) -> Self:
        if self.enrich and not self.has_login:
            raise ValueError("`enrich` asks GitHub's API: add a `token` or `token_command`")
        return self

    def warnings(self) -> Mapping[str, str]:
        """Names of events that are nearly one of GitHub's, and what will never come."""
        return {**self._unheard(), **misspelt_events(self.events, NAMES), **padded(self.secret)}

    def _unheard(self) -> Mapping[str, str]:
        if not self.repo and self.has_login and not self.enrich:
            ways = {"token": self.token, "token_command": self.token_command, "app_id": self.app_id}
            key = next(name for name, way in ways.items() if way)
            return {key: "is not used: `repo` must say what is polled, such as owner/name"}
        if not self.polls and self.initial_lookback is not None:
            return {"initial_lookback": "has no effect without `token` and `repo`: nothing is polled"}
        never = [name for name in self.events if not is_polled(name)]
        if self.polls and self.secret is None and never:
            return {
                "events": f"has `{never[0]}`, which polls cannot find: set up a webhook, and its `secret`"
            }
        return {}

    @classmethod
    def meanwhile(cls) -> Mapping[str, str]:
        poll = "GitHub is polled with `repo` and a `token`: add both, or remove it"
        repo = "write `repo: owner/name` and a `token` to poll it, or remove the key"
        return {"poll": poll, "repo_owner": repo, "repo_name": repo}

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset(
            {
                "rate_budget",
                "path",
                "buffer_dir",
                "max_buffer_size",
                "repo_owner",
                "repo_name",
                "reconciliation_interval_ms",
                "reconciliation_lookback_ms",
                "issue_comment_edit_debounce_ms",
            }
        )
