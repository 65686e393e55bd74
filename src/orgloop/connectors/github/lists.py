"""Lists of GitHub's API: their pages, in bounds, from where the last step ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from orgloop.connectors.github.api import Api, TooLarge
from orgloop.connectors.github.times import iso, seconds
from orgloop.plugin import Json, PluginError, text_at

MOST_PAGES: Final = 10
"""Pages of one list that one step takes."""

MOST_WALKED: Final = 300
"""Pages that are walked through at most to find where the last step ended."""

SIZES: Final = (100, 10, 1)
"""Items of a page; fewer where they are too large together."""


class Lists:
    """Reads lists through the API."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def changed(self, path: str, since: int, **query: str) -> tuple[Sequence[Json], bool]:
        """What has changed since then, the oldest first, and whether that is all."""
        asked = {**query, "sort": "updated", "direction": "asc", "since": iso(since)}

        async def read(size: int) -> tuple[Sequence[Json], bool]:
            answer = await self._api.get(path, **asked, per_page=size)
            found = as_list(answer.data, path)
            for _ in range(MOST_WALKED):
                if answer.next is None:
                    return found, True
                if max(map(changed_at, found), default=0) - 1 > since:
                    return found, False
                answer = await self._api.after(answer)
                found = [*found, *as_list(answer.data, path)]
            return found, False

        return await _smaller(read)

    async def newest(
        self, path: str, key: str, since: int, *, most: int = MOST_PAGES, items: str = "", **query: str
    ) -> tuple[Sequence[Json], bool]:
        """What a list with the newest first has since then, the oldest first, and whether that is all.

        If it has more than `most` pages, it is the oldest of them. `key` is the time it is sorted by.
        """

        async def read(size: int) -> tuple[Sequence[Json], bool]:
            kept: deque[Sequence[Json]] = deque()
            ended = True
            answer = await self._api.get(path, **query, per_page=size)
            for _ in range(MOST_WALKED):
                page = as_list(answer.data, path, items)
                kept.append([one for one in page if time_of(one, key) >= since])
                # Without the newest page, the rest must lead on all the same.
                if len(kept) > most and max((time_of(one, key) for one in kept[1]), default=0) - 1 > since:
                    kept.popleft()
                    ended = False
                if len(kept[-1]) < len(page) or answer.next is None:
                    break
                answer = await self._api.after(answer)
            return [one for found in reversed(kept) for one in reversed(found)], ended

        return await _smaller(read)

    async def whole(
        self, path: str, *, items: str = "", pages: int = MOST_PAGES, **query: str
    ) -> Sequence[Json]:
        """A list, whole: at most so many pages of it."""

        async def read(size: int) -> tuple[Sequence[Json], bool]:
            answer = await self._api.get(path, **query, per_page=size)
            found = as_list(answer.data, path, items)
            while answer.next is not None and len(found) < pages * SIZES[0]:
                answer = await self._api.after(answer)
                found = [*found, *as_list(answer.data, path, items)]
            return found, True

        return (await _smaller(read))[0]


async def _smaller(
    read: Callable[[int], Awaitable[tuple[Sequence[Json], bool]]],
) -> tuple[Sequence[Json], bool]:
    """In pages of a hundred, or in smaller ones if these are too large to be read."""
    for size in SIZES[:-1]:
        with suppress(TooLarge):
            return await read(size)
    return await read(SIZES[-1])


def as_list(data: Any, path: str, items: str = "") -> list[Json]:
    """The objects of an answer, or of its member `items`. Raises PluginError."""
    found = data.get(items) if items and isinstance(data, dict) else data
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PluginError(f"GitHub's answer to {path} is not a list of objects: check `api_url`")
    return found


def as_object(data: Any, path: str) -> Json:
    """The object that an answer is. Raises PluginError."""
    if not isinstance(data, dict):
        raise PluginError(f"GitHub's answer to {path} is not an object: check `api_url`")
    return data


def time_of(thing: Json, key: str) -> int:
    """One of GitHub's times. Raises PluginError: without it, nobody knows what was read."""
    at = seconds(thing.get(key))
    if at is None:
        raise PluginError(
            f"GitHub lists something without `{key}`: {text_at(thing, 'url')[:200] or 'no URL'}"
        )
    return at


def changed_at(thing: Json) -> int:
    """When it was changed last."""
    return time_of(thing, "updated_at")
