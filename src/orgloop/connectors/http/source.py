"""Polls a list of any API: what is new in it, or has another version, is an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from orgloop.connectors.http.checkpoint import (
    MOST_SEEN,
    Answered,
    ListProgress,
    Walk,
    dump,
    load,
    short,
    version,
)
from orgloop.connectors.http.items import ItemReader, ListItem, Read
from orgloop.connectors.http.request import Asker, Expired, Question, next_link
from orgloop.connectors.http.settings import LINK, SINCE, HttpSettings
from orgloop.connectors.http.times import iso
from orgloop.plugin import (
    MISSING,
    SECOND,
    Context,
    Draft,
    HttpReply,
    Page,
    Path,
    PluginError,
    TryLater,
    dump_json,
    identity,
    is_missing,
)

LONGEST_TOKEN: Final = 4_000
"""Characters of a cursor, or of what stands for a next page."""


@dataclass(kw_only=True)
class _Found:
    """What one poll has found so far, and how far it has come."""

    progress: ListProgress
    fresh: list[tuple[ListItem, Draft]] = field(default_factory=list)
    asked: int = 0
    again: bool = False


class HttpSource:
    """One poll is a walk through the pages of the list, or a part of it if there are many."""

    def __init__(self, id: str, settings: HttpSettings) -> None:
        self._settings = settings
        self._reader = ItemReader(settings)
        self._of = _name_of(settings)
        self._next = Path.parse(settings.next) if settings.next not in (None, LINK) else None
        self._cursor = None if settings.cursor is None else Path.parse(settings.cursor)
        self._since = settings.uses(*SINCE)
        self._counted = settings.uses("page", "offset")
        self._open: tuple[Context, Asker] | None = None
        self._failure: PluginError | TryLater | None = None
        self._restart = False

    async def open(self, ctx: Context) -> None:
        """Asks nothing yet: a key that is refused is a poll that failed, and is told as such."""
        self._open = ctx, Asker(self._settings, ctx)

    async def close(self) -> None:
        """Nothing to give back."""

    async def poll(self, checkpoint: str | None) -> Page:
        """What is new. What was read before a failure counts; the failure is told by the next poll."""
        assert self._open is not None, "the source is not open"
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        found = _Found(progress=load(checkpoint, self._of) or self._beginning(self._open[0].clock.now()))
        if self._restart:
            found.progress, self._restart = replace(found.progress, walk=None), False
        try:
            await self._walk(found)
        except (PluginError, TryLater) as exc:
            if found.asked == 0:
                # The page that an earlier answer named may be gone: the next poll begins anew.
                self._restart = found.progress.walk is not None and isinstance(exc, Expired)
                raise
            self._failure = exc
            found.progress = replace(found.progress, walk=None, answered=Answered())
        events = [draft for _, draft in _in_order(found.fresh, self._settings.newest_first)]
        after = dump(found.progress, self._of)
        unchanged = not events and after == checkpoint
        more = found.progress.walk is not None or self._failure is not None
        return Page(events=events, checkpoint=None if unchanged else after, more=more)

    async def glance(self) -> tuple[HttpReply, list[ListItem]]:
        """The first page, as a first poll asks for it. Raises PluginError or TryLater."""
        assert self._open is not None, "the source is not open"
        ctx, asker = self._open
        reply = await asker.ask(self._question(self._beginning(ctx.clock.now()), Walk(), asker))
        return reply, (await self._reader.read(reply.body, reply.headers.get("content-type", ""))).items

    def _beginning(self, now: int) -> ListProgress:
        at = max(now - self._settings.initial_lookback, 0)
        return ListProgress(at=at, floor=at)

    async def _walk(self, found: _Found) -> None:
        """Reads pages until there are no more, or as many as a poll may have."""
        while True:
            await self._page(found)
            if found.progress.walk is None or found.asked >= self._settings.max_pages:
                return

    async def _page(self, found: _Found) -> None:
        """One request, and what is known after it. Nothing is kept of an answer that cannot be read."""
        assert self._open is not None
        asker, progress = self._open[1], found.progress
        alone = progress.walk is None
        question = self._question(progress, progress.walk or Walk(), asker)
        asked = short(f"{question.url}\n{(question.body or b'').decode('utf-8', 'replace')}")
        last = progress.answered
        if alone and last.asked == asked and not progress.first:
            question = replace(question, etag=last.etag, modified=last.modified)
        reply = await asker.ask(question)
        if reply.status == 304:
            found.asked += 1
            return
        read = await self._reader.read(reply.body, reply.headers.get("content-type", ""))
        now = asker.now(reply)
        if progress.first and alone:
            # The API's clock, and not this machine's, says when the source began.
            began = max(now - self._settings.initial_lookback, 0)
            found.progress = replace(progress, at=began, floor=began)
            if self._since and began < progress.at - SECOND and not found.again:
                found.again = True
                await self._page(found)
                return
        answered = Answered()
        if alone:
            etag, modified = _validator(reply, "etag"), _validator(reply, "last-modified")
            answered = Answered(asked=asked, etag=etag, modified=modified)
        following = self._following(found.progress, question, reply, read)
        self._take(found, read, following, now, answered)

    def _take(self, found: _Found, read: Read, following: Walk | None, now: int, answered: Answered) -> None:
        """Keep what is on a page. `answered` counts if there are no other pages."""
        progress = found.progress
        found.asked += 1
        fresh = self._fresh(progress, read.items)
        found.fresh += fresh
        before = progress.walk.newest if progress.walk is not None else None
        times = [one.at for one in read.items if one.at is not None and one.at <= now]
        newest = max([*times, *([before] if before is not None else [])], default=None)
        progress = progress.remembering({short(one.id): version(one.version) for one in read.items})
        if self._cursor is not None:
            progress = replace(progress, cursor=self._cursor_of(read, progress.cursor))
        if following is not None and not self._is_enough(progress, found, fresh):
            found.progress = replace(progress, walk=replace(following, newest=newest), answered=Answered())
            return
        at = progress.at if newest is None else max(progress.at, newest)
        found.progress = replace(progress, at=at, walk=None, first=False, answered=answered)

    def _is_enough(self, progress: ListProgress, found: _Found, fresh: Sequence[object]) -> bool:
        """Whether what is on the next pages is known, or so old that nobody asked for it."""
        if not self._settings.newest_first:
            return False
        return found.asked >= self._settings.max_pages if progress.first else not fresh

    def _question(self, progress: ListProgress, walk: Walk, asker: Asker) -> Question:
        at = max(progress.at - self._settings.overlap, 0)
        values: dict[str, Any] = {
            "since": iso(at),
            "since_unix": at // SECOND,
            "since_unix_ms": at,
            "since_date": iso(at)[:10],
            "page": walk.page,
            "offset": walk.items,
            "next": walk.token,
            "cursor": progress.cursor,
        }
        question = asker.question({key: value for key, value in values.items() if value is not None})
        return question if walk.url is None else replace(question, url=walk.url)

    def _following(
        self, progress: ListProgress, question: Question, reply: HttpReply, read: Read
    ) -> Walk | None:
        """Where the walk goes on; None at its end. Raises PluginError for a walk in a circle."""
        assert self._open is not None
        walk = progress.walk or Walk()
        last = short(identity([one.id for one in read.items]))
        whole = not (self._since or self._settings.newest_first or self._cursor is not None)
        if whole and walk.items + len(read.items) > MOST_SEEN:
            raise PluginError(
                f"the list has more than {MOST_SEEN} items",
                hint="narrow it down in `params`, with {{ since }} if the API has such a parameter",
            )
        step = replace(walk, page=walk.page + 1, items=walk.items + len(read.items), last=last)
        if self._counted:
            # Some APIs answer with the last page again where there is none.
            return step if read.items and last != walk.last else None
        if self._cursor is not None:
            cursor = self._cursor_of(read, progress.cursor)
            return step if read.items and not _same(cursor, progress.cursor) else None
        if self._settings.next == LINK:
            named: Any = next_link(reply)
        else:
            named = MISSING if self._next is None else self._next.get(read.document)
        if is_missing(named) or named is False:
            return None
        if self._settings.uses("next"):
            if _same(named, walk.token):
                raise PluginError("the answer names itself as its next page", hint="check `next`")
            return replace(step, token=_token(named, "next"))
        if not isinstance(named, str):
            raise PluginError(
                f"the answer's `next` is not a URL: {identity(named)[:80]}",
                hint="write the placeholder {{ next }} into `params`",
            )
        url = self._open[1].beside(question, _token(named, "next"))
        if url == question.url:
            raise PluginError("the answer names itself as its next page", hint="check `next`")
        return replace(step, url=url)

    def _cursor_of(self, read: Read, before: Any) -> Any:
        assert self._cursor is not None
        found = self._cursor.get(read.document)
        return before if is_missing(found) else _token(found, "cursor")

    def _fresh(self, progress: ListProgress, items: list[ListItem]) -> list[tuple[ListItem, Draft]]:
        """The items that are news, each with its event."""
        found = []
        here: set[str] = set()
        for item in items:
            name = short(item.id)
            known = progress.seen.get(name)
            if known == version(item.version) or name in here:
                continue
            here.add(name)
            if self._is_news(progress, item, known is not None):
                found.append((item, self._reader.draft(item, known=known is not None)))
        return found

    def _is_news(self, progress: ListProgress, item: ListItem, known: bool) -> bool:
        if progress.first:
            return bool(self._settings.initial_lookback) and item.at is not None and item.at >= progress.floor
        # What was on pages that the first poll did not read comes up when something before it goes away.
        unread = self._settings.newest_first and not known
        return not (unread and item.at is not None and item.at < progress.floor)


def _name_of(settings: HttpSettings) -> str:
    """Which list this is: with another place, or other names in it, the source begins anew."""
    parts = urlsplit(settings.url)
    place = f"{parts.scheme}://{parts.netloc}{parts.path}"
    told = [settings.format, settings.method, place, settings.items, settings.place("id")]
    return short(dump_json([*told, settings.place("version")]).decode())


def _in_order(found: list[tuple[ListItem, Draft]], newest_first: bool) -> list[tuple[ListItem, Draft]]:
    """Oldest first, as far as that can be told."""
    times = [item.at for item, _ in found]
    if all(at is not None for at in times):
        ordered = reversed(found) if newest_first else found
        return sorted(ordered, key=lambda one: one[0].at or 0)
    return found[::-1] if newest_first else found


def _validator(reply: HttpReply, name: str) -> str:
    value = reply.headers.get(name, "")
    return value if len(value) <= 1_000 and value.isprintable() else ""


def _same(one: Any, other: Any) -> bool:
    return identity(one) == identity(other)


def _token(value: Any, key: str) -> Any:
    """What stands for a place in the list: short, and one value. Raises PluginError."""
    if isinstance(value, dict | list) or len(str(value)) > LONGEST_TOKEN:
        raise PluginError(f"the answer's `{key}` is not one short value", hint=f"check `{key}`")
    return value
