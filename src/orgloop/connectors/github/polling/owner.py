"""The repositories of an organization or a person."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.github.api import Api, NoAccess
from orgloop.connectors.github.lists import Lists
from orgloop.connectors.github.settings import repository
from orgloop.plugin import text_at

MOST_REPOS: Final = 50
"""Repositories of one owner that are polled: those that were pushed to last."""


async def owned(api: Api, owner: str) -> list[str]:
    """The names of an owner's repositories in use, the one that was pushed to last first."""
    query = {"sort": "pushed", "direction": "desc"}
    lists = Lists(api)
    try:
        found = await lists.whole(f"/orgs/{owner}/repos", pages=1, **query)
    except NoAccess:
        found = await lists.whole(f"/users/{owner}/repos", pages=1, **query)
    used = [one for one in found if one.get("archived") is not True and one.get("disabled") is not True]
    names = [text_at(one, "full_name") for one in used]
    own = [repository(name) for name in names if name.partition("/")[0].casefold() == owner.casefold()]
    return own[:MOST_REPOS]
