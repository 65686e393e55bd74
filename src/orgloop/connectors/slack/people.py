"""Who a person of a workspace is, and whether they belong to the team."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.connectors.slack.api import SlackApi
from orgloop.plugin import HOUR, AuthorType, Clock, PluginError, TryLater

SECONDS: Final = 1.0
"""How long may be asked who somebody is: Slack waits three seconds for an event to be acknowledged."""

KEPT: Final = 6 * HOUR
KEPT_UNKNOWN: Final = 60_000
MOST: Final = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A user of a workspace. `name` is the id where Slack did not say it."""

    id: str
    name: str
    kind: AuthorType
    email: str | None = None


class People:
    """Asks Slack once for each person, and remembers the answer for some hours."""

    def __init__(self, api: SlackApi | None, clock: Clock, team: Collection[str]) -> None:
        self._api = api
        self._clock = clock
        self._team = frozenset(team)
        self._known: dict[str, tuple[int, Person]] = {}

    async def who(self, id: str, workspace: str) -> Person:
        """Never fails: whom Slack does not tell of in time is of an unknown kind."""
        until, person = self._known.get(id, (0, None))
        if person is not None and self._clock.now() < until:
            return person
        found = await self._asked(id, workspace)
        person = found or Person(id=id, name=id, kind=AuthorType.UNKNOWN)
        if id in self._team:
            person = Person(id=id, name=person.name, kind=AuthorType.TEAM_MEMBER, email=person.email)
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[id] = (self._clock.now() + (KEPT if found else KEPT_UNKNOWN), person)
        return person

    async def _asked(self, id: str, workspace: str) -> Person | None:
        if self._api is None:
            return None
        try:
            user = (await self._api.call("users.info", {"user": id}, SECONDS)).data.get("user")
        except (PluginError, TryLater):
            return None
        return _person(id, user, workspace) if isinstance(user, Mapping) else None


def _person(id: str, user: Mapping[str, Any], workspace: str) -> Person:
    profile = user.get("profile")
    told = profile if isinstance(profile, Mapping) else {}
    names = (told.get("display_name"), told.get("real_name"), user.get("real_name"), user.get("name"))
    email = told.get("email")
    return Person(
        id=id,
        name=next((name[:200] for name in names if isinstance(name, str) and name.strip()), id),
        kind=_kind(user, workspace),
        email=email if isinstance(email, str) else None,
    )


def _kind(user: Mapping[str, Any], workspace: str) -> AuthorType:
    """Guests, and people of another workspace in a shared channel, do not belong to the team."""
    if user.get("is_bot") is True or user.get("id") == "USLACKBOT":
        return AuthorType.BOT
    guest = any(user.get(key) is True for key in ("is_restricted", "is_ultra_restricted", "is_stranger"))
    if guest or user.get("deleted") is True:
        return AuthorType.EXTERNAL
    enterprise = user.get("enterprise_user")
    teams = enterprise.get("teams") if isinstance(enterprise, Mapping) else None
    member = user.get("team_id") == workspace or (isinstance(teams, list) and workspace in teams)
    return AuthorType.TEAM_MEMBER if member else AuthorType.EXTERNAL
