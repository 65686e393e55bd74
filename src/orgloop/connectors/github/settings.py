"""The `config:` map of GitHub sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from orgloop.connectors.github.names import NAMES
from orgloop.plugin import (
    Duration,
    EventType,
    Secrets,
    SecretStr,
    Settings,
    Size,
    is_glob,
    near_miss,
    padded,
)

_REPO: Final = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def _repo(value: str) -> str:
    if not _REPO.fullmatch(value):
        raise ValueError(f"{value!r} is not a repository: write owner/name")
    return value


Name = Annotated[str, Field(min_length=1)]


class GithubSettings(Settings):
    """A source that takes GitHub's webhook deliveries at `/webhook/<source id>`."""

    secret: Secrets | None = None
    """The webhook's secret; of a list any is taken. Without it, requests from this machine only are taken."""
    repo: Annotated[str, AfterValidator(_repo)] | None = None
    """`owner/name`: events of other repositories, or of none, are left out."""
    events: tuple[Name, ...] = ()
    """Names or globs of the events to take, ours or GitHub's; all if empty."""
    authors: tuple[Name, ...] = ()
    """Logins whose events are taken; all if empty."""
    team: tuple[Name, ...] = ()
    """Logins that are team members even if GitHub does not say so: it hides private memberships."""
    token: SecretStr | None = None
    """No effect: nothing is asked of GitHub's API."""
    initial_lookback: Duration | None = None
    """No effect: nothing is polled."""
    rate_budget: float | None = None
    """No effect: nothing is polled."""
    path: str | None = None
    """No effect: the path is `/webhook/<source id>`."""
    buffer_dir: str | None = None
    """No effect: events are in the journal before GitHub is answered."""
    max_buffer_size: Size | None = None
    """No effect, as `buffer_dir`."""
    repo_owner: str | None = None
    """No effect: nothing is polled."""
    repo_name: str | None = None
    """No effect: nothing is polled."""
    reconciliation_interval_ms: int | None = None
    """No effect: nothing is polled."""
    reconciliation_lookback_ms: int | None = None
    """No effect: nothing is polled."""
    issue_comment_edit_debounce_ms: int | None = None
    """No effect: each edit is an event at once."""

    def warnings(self) -> Mapping[str, str]:
        """Names of events that are nearly one of GitHub's."""
        slips = ((name, near_miss(name, (*NAMES, *EventType))) for name in self.events if not is_glob(name))
        told = [f"`{name}` is no event that is known; write `{meant}`" for name, meant in slips if meant]
        slip = {"events": f"has a slip: {told[0]}"} if told else {}
        return {**slip, **padded(self.secret)}

    @classmethod
    def meanwhile(cls) -> Mapping[str, str]:
        return dict.fromkeys(
            ("token", "poll", "initial_lookback", "rate_budget", "repo_owner", "repo_name"),
            "GitHub is not polled yet: create a webhook for this source meanwhile; the key may stay",
        )

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset(
            {
                "token",
                "initial_lookback",
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
