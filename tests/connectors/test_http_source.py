"""A list of any API as a source: what is news in it, its pages, its limits, and what it must not do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orgloop.connectors.http import connector
from orgloop.connectors.http.doctor import check
from orgloop.connectors.http.settings import HttpSettings
from orgloop.connectors.http.source import HttpSource
from orgloop.connectors.http.times import iso, millis
from orgloop.plugin import Draft, HttpFailed, HttpReply, Page, PluginError, TryLater
from tests.connectors.doubles import NOON, FakeContext, ManualClock, as_context

URL = "https://desk.example/v1/tickets"
KEY = "sk-3f9a-0123456789"

Row = dict[str, Any]


@dataclass(kw_only=True)
class Desk:
    """An API with a list of tickets: pages, conditions, and whatever answers a test prepares."""

    clock: ManualClock = field(default_factory=ManualClock)
    tickets: list[Row] = field(default_factory=list)
    size: int = 100
    answers: list[HttpReply | HttpFailed] = field(default_factory=list)
    body: Callable[[list[Row], Mapping[str, str]], Any] = lambda rows, _: rows
    links: bool = False
    tags: bool = True
    ahead: int = 0
    asked: list[Mapping[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30.0,
        follow_redirects: bool = False,
        max_bytes: int = 16 * 1024 * 1024,
    ) -> HttpReply:
        query = dict(parse_qsl(urlsplit(url).query))
        self.asked.append(query)
        self.headers.append({name.lower(): value for name, value in (headers or {}).items()})
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, HttpFailed):
                raise answer
            self.statuses.append(answer.status)
            return answer
        since = millis(query.get("since")) or 0
        rows = [row for row in self.tickets if (millis(row.get("updated_at")) or 0) >= since or not since]
        first = (int(query.get("page", "1")) - 1) * self.size + int(query.get("offset", "0"))
        here = rows[first : first + self.size]
        said = {"date": formatdate((self.clock.time + self.ahead) / 1000, usegmt=True)}
        if self.links and first + self.size < len(rows):
            said["link"] = f'<{URL}?page={int(query.get("page", "1")) + 1}>; rel="next"'
        content = json.dumps(self.body(here, query)).encode()
        if self.tags:
            said["etag"] = f'"{hash(content)}"'
            if self.headers[-1].get("if-none-match") == said["etag"]:
                self.statuses.append(304)
                return HttpReply(status=304, reason="", headers=said, body=b"")
        self.statuses.append(200)
        return HttpReply(
            status=200, reason="", headers=said, body=content[:max_bytes], truncated=len(content) > max_bytes
        )


def ticket(number: int, minutes: float = 0, **more: Any) -> Row:
    """A ticket that changed `minutes` after noon."""
    return {
        "id": number,
        "subject": f"ticket {number}",
        "updated_at": iso(NOON + int(minutes * 60_000)),
        **more,
    }


def answer(status: int, body: bytes = b"", **headers: str) -> HttpReply:
    named = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status=status, reason="", headers=named, body=body)


class Polling:
    """A source on a desk. What a poll returns counts as committed, unless a test says that it was lost."""

    def __init__(self, desk: Desk, **config: Any) -> None:
        self.desk = desk
        self.settings = HttpSettings.model_validate({"url": URL, **config})
        self.context = FakeContext(clock=desk.clock, http=desk)  # type: ignore[arg-type]
        self.checkpoint: str | None = None
        self.source = HttpSource("desk", self.settings)
        self.keys: set[str | None] = set()

    async def once(self, *, lost: bool = False) -> Page:
        await self.source.open(as_context(self.context))
        page = await self.source.poll(self.checkpoint)
        if not lost and page.checkpoint is not None:
            self.checkpoint = page.checkpoint
        return page

    async def all(self) -> list[Draft]:
        """The events of a poll, and of those that follow it at once; as the journal sees them."""
        found: list[Draft] = []
        for _ in range(100):
            page = await self.once()
            found += [draft for draft in page.events if draft.key not in self.keys]
            self.keys |= {draft.key for draft in page.events}
            if not page.more:
                return found
        raise AssertionError("it never ends")

    async def ids(self) -> list[Any]:
        return [draft.payload["id"] for draft in await self.all()]


async def test_what_is_there_first_is_no_news_and_what_comes_is_told_once() -> None:
    desk = Desk(tickets=[ticket(1), ticket(2)])
    it = Polling(desk)
    assert await it.ids() == []
    desk.tickets.append(ticket(3))
    assert await it.ids() == [3]
    desk.tickets[0] = ticket(1, 5)
    assert await it.ids() == []
    assert it.context.emitted == []


async def test_another_version_is_another_event_and_its_name_says_so() -> None:
    desk = Desk(tickets=[ticket(1)])
    it = Polling(desk, version="updated_at", time="updated_at", link="url", author="by.name")
    await it.all()
    desk.tickets = [ticket(1, 5, url="https://desk.example/1", by={"name": "Ada"}), ticket(2, 6)]
    changed, created = await it.all()
    assert changed.provenance == {
        "platform": "http",
        "platform_event": "item.changed",
        "author": "Ada",
        "author_type": "unknown",
        "item_id": "1",
        "url": "https://desk.example/1",
    }
    assert (changed.key, changed.entity) == ("1@2026-01-05T12:05:00Z", "1")
    assert created.provenance["platform_event"] == "item.created"
    assert await it.all() == []


async def test_an_event_has_the_name_that_the_settings_make_of_the_item() -> None:
    desk = Desk()
    it = Polling(desk, event="ticket.{{ status }}", platform="desk", id="{{ id }}/{{ status }}")
    await it.all()
    desk.tickets = [ticket(1, status="open")]
    (draft,) = await it.all()
    assert draft.provenance["platform_event"] == "ticket.open"
    assert draft.provenance["platform"] == "desk"
    assert draft.key == "1/open"


@pytest.mark.parametrize("crash", [True, False])
async def test_a_crash_between_the_answer_and_the_commit_loses_and_repeats_nothing(crash: bool) -> None:
    desk = Desk(tickets=[ticket(1)])
    it = Polling(desk, version="updated_at")
    await it.all()
    desk.tickets.append(ticket(2))
    if crash:
        lost = await it.once(lost=True)
        assert [draft.key for draft in lost.events] == ["2@2026-01-05T12:00:00Z"]
        it.source = HttpSource("desk", it.settings)
    assert await it.ids() == [2]
    assert desk.statuses[-1] == 200
    it.source = HttpSource("desk", it.settings)
    assert await it.ids() == []
    assert desk.statuses[-1] == 304, "an answer is asked for again only if it is another one"


async def test_a_condition_is_sent_only_for_what_was_committed() -> None:
    desk = Desk(tickets=[ticket(1)])
    it = Polling(desk)
    await it.all()
    page = await it.once()
    assert (list(page.events), page.checkpoint, page.more) == ([], None, False), (
        "an answer that did not change leaves the checkpoint alone"
    )
    desk.tickets.append(ticket(2))
    await it.once(lost=True)
    await it.once()
    tags = [headers.get("if-none-match") for headers in desk.headers]
    assert tags[0] is None
    assert tags[1] == tags[2] == tags[3] is not None


@pytest.mark.parametrize(
    ("config", "links"),
    [
        ({"next": "link"}, True),
        ({"params": {"page": "{{ page }}"}}, False),
        ({"params": {"offset": "{{ offset }}"}}, False),
        ({"next": "paging.token", "params": {"page": "{{ next }}"}, "items": "data"}, False),
        ({"next": "paging.url", "items": "data"}, False),
        ({"next": "link", "max_pages": 2}, True),
    ],
)
async def test_all_pages_are_read(config: dict[str, Any], links: bool) -> None:
    def body(rows: list[Row], query: Mapping[str, str]) -> Any:
        if "items" not in config:
            return rows
        page = int(query.get("page", "1")) + 1
        more = page <= 4
        return {"data": rows, "paging": {"token": page, "url": f"/v1/tickets?page={page}"} if more else {}}

    desk = Desk(tickets=[ticket(number) for number in range(10)], size=3, links=links, body=body)
    it = Polling(desk, **config)
    assert await it.ids() == []
    desk.tickets += [ticket(10), ticket(11)]
    assert await it.ids() == [10, 11]
    assert await it.ids() == []


async def test_of_a_list_with_the_newest_first_no_more_is_read_than_needed() -> None:
    desk = Desk(tickets=[ticket(number, -number) for number in range(30)], size=3, links=True)
    it = Polling(desk, next="link", newest_first=True, time="updated_at", max_pages=4)
    assert await it.ids() == []
    assert len(desk.asked) == 4
    desk.tickets = [ticket(103, 3), ticket(102, 2), ticket(101, 1), *desk.tickets]
    desk.clock.time += 300_000
    assert await it.ids() == [101, 102, 103], "the oldest is told first"
    assert len(desk.asked) == 6, "the page that has nothing new is the last"
    del desk.tickets[3:12]
    assert await it.ids() == [], "what was on pages that nobody read is older than the source"
    await it.all()
    assert desk.statuses[-1] == 304


async def test_since_is_the_apis_own_time_and_what_is_late_is_found() -> None:
    desk = Desk(tickets=[ticket(1, -60)], ahead=3_600_000)
    it = Polling(desk, time="updated_at", version="updated_at", params={"since": "{{ since }}"})
    assert await it.ids() == []
    desk.clock.time += 60_000
    desk.tickets.append(ticket(2, 60.5))
    assert await it.ids() == [2]
    desk.tickets.append(ticket(3, 59.9))  # Late: it is listed after a newer one.
    assert await it.ids() == [3]
    assert desk.asked[-1]["since"] == "2026-01-05T12:58:30Z"
    desk.tickets.append(ticket(4, 9_999_999))
    assert await it.ids() == [4]
    await it.all()
    for number, (query, headers) in enumerate(zip(desk.asked, desk.headers, strict=True)):
        same = number > 1 and query == desk.asked[number - 1]
        assert ("if-none-match" in headers) == same, "a condition is about the very same request"
    assert desk.asked[-1]["since"] == "2026-01-05T12:58:30Z", "a time in the future does not hide the present"


@pytest.mark.parametrize("ahead", [-7_200_000, 0, 7_200_000])
async def test_a_lookback_tells_what_is_not_older(ahead: int) -> None:
    desk = Desk(tickets=[ticket(1, -180), ticket(2, -30), ticket(3, -10)], ahead=ahead)
    for row in desk.tickets:
        row["updated_at"] = iso((millis(row["updated_at"]) or 0) + ahead)
    since = {"params": {"since": "{{ since }}"}}
    for config in ({}, since):
        it = Polling(desk, time="updated_at", initial_lookback="1h", **config)
        assert await it.ids() == [2, 3]
        assert await it.ids() == []


async def test_a_cursor_goes_on_where_the_last_poll_ended() -> None:
    def body(rows: list[Row], query: Mapping[str, str]) -> Any:
        return {"rows": rows, "meta": {"cursor": int(query.get("offset", "0")) + len(rows)}}

    desk = Desk(tickets=[ticket(number) for number in range(5)], size=2, body=body)
    it = Polling(desk, items="rows", cursor="meta.cursor", params={"offset": "{{ cursor }}"})
    assert await it.ids() == []
    desk.tickets += [ticket(5), ticket(6), ticket(7)]
    assert await it.ids() == [5, 6, 7]
    assert desk.asked[-1]["offset"] == "8"
    assert await it.ids() == []


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (answer(429, Retry_After="90"), 90),
        (answer(503, Retry_After="5"), 5),
        (answer(429), 60),
        (answer(403, X_RateLimit_Remaining="0", X_RateLimit_Reset="120"), 120),
        (answer(429, RateLimit_Remaining="0", RateLimit_Reset="30"), 30),
        (
            answer(
                403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(NOON // 1000 + 3_700),
                Date=formatdate(NOON / 1000 + 3_600, usegmt=True),
            ),
            100,
        ),
        (answer(429, Retry_After="99999999999"), 86_400),
        (answer(429, Retry_After="-5"), 60),
    ],
)  # fmt: skip
async def test_a_limit_is_waited_for(reply: HttpReply, seconds: int) -> None:
    it = Polling(Desk(answers=[reply]))
    with pytest.raises(TryLater) as told:
        await it.once()
    assert told.value.until == NOON + seconds * 1000
    assert "https://desk.example" in told.value.reason


async def test_a_limit_that_names_no_time_is_waited_for_longer_each_time() -> None:
    it = Polling(Desk(answers=[answer(429)] * 9))
    waits = []
    await it.source.open(as_context(it.context))
    for _ in range(9):
        with pytest.raises(TryLater) as told:
            await it.source.poll(None)
        waits.append((told.value.until - NOON) // 60_000)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answer(401, KEY.encode()), "does not take the source's key"),
        (answer(403), "does not take the source's key"),
        (answer(404), "nothing at `url`"),
        (answer(500, b"boom " + KEY.encode()), "500 Internal Server Error: boom ***"),
        (answer(502), "502 Bad Gateway"),
        (answer(503), "503 Service Unavailable"),
        (answer(422, b'{"error": "unknown  parameter"}'), "unknown parameter"),
        (answer(300), "a redirect cannot be followed"),
        (answer(302, Location="ftp://x"), "not an http or https URL"),
        (answer(302, Location="http://desk.example/"), "from https to http"),
        (answer(200, b"<html>"), "is not JSON"),
        (answer(200, b"[1, 2"), "is not JSON"),
        (answer(200, b"\xff\xfe"), "is not JSON"),
        (answer(200, b"[" * 100_000), "is not JSON"),
        (answer(200, b"{}"), "is not a list"),
        (answer(200, b"null"), "is not a list"),
        (answer(200, b'{"tickets": [1]}'), "is not a list"),
        (answer(200, b'[{"name": 1}, {"id": null}]'), "no item has a value at `id`"),
        (answer(200, json.dumps([{"id": n} for n in range(5_001)]).encode()), "more than 5000 items"),
        (HttpFailed("no answer from https://desk.example", sent=True, timeout=True), "no answer from https"),
        (HttpReply(status=200, reason="", headers={}, body=b"[", truncated=True), "is larger than 8 MB"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_an_error_that_tells_no_secret(
    reply: HttpReply | HttpFailed, words: str
) -> None:
    it = Polling(Desk(answers=[reply] * 6), auth={"type": "bearer", "token": KEY}, params={"key": KEY})
    with pytest.raises(PluginError) as told:
        await it.once()
    assert words in told.value.message
    assert KEY not in f"{told.value.message} {told.value.hint} {it.settings!r}"
    assert it.desk.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_a_failure_after_some_pages_loses_nothing_and_is_told() -> None:
    desk = Desk(tickets=[ticket(number) for number in range(6)], size=2, links=True)
    it = Polling(desk, next="link", max_pages=2)
    await it.all()
    desk.tickets += [ticket(6), ticket(7), ticket(8)]
    told: list[int] = []
    for failure in (answer(502), answer(429, Retry_After="7"), answer(410)):
        page = await it.once()
        told += [draft.payload["id"] for draft in page.events]
        desk.answers = [failure]
        with pytest.raises((PluginError, TryLater)):
            await it.once()
    assert told + await it.ids() == [6, 7, 8]


async def test_the_pages_before_a_failure_count() -> None:
    desk = Desk(size=2, links=True)
    it = Polling(desk, next="link")
    await it.all()
    desk.tickets = [ticket(number) for number in range(4)]
    rows = json.dumps(desk.tickets[:2]).encode()
    desk.answers = [answer(200, rows, Link=f'<{URL}?page=2>; rel="next"'), answer(500)]
    page = await it.once()
    assert [draft.payload["id"] for draft in page.events] == [0, 1]
    assert page.more
    with pytest.raises(PluginError, match="500"):
        await it.once()
    assert [draft.payload["id"] for draft in (await it.once()).events] == [2, 3]
    pages = [one.get("page", "1") for one in desk.asked]
    assert pages[1:] == ["1", "2", "1", "2"], "a page that is spoilt for long hides nothing that is before it"


async def test_a_page_that_is_gone_makes_the_walk_begin_anew() -> None:
    desk = Desk(tickets=[ticket(number) for number in range(6)], size=2, links=True)
    it = Polling(desk, next="link", max_pages=1)
    assert (await it.once()).more
    desk.answers = [answer(410)]
    with pytest.raises(PluginError):
        await it.once()
    assert await it.ids() == []
    assert [one.get("page", "1") for one in desk.asked] == ["1", "2", "1", "2", "3"]


@pytest.mark.parametrize(
    "named",
    ["https://evil.example/v1?page=2", "//evil.example/", "http://desk.example/v1?page=2", "ftp://x", URL],
)
async def test_a_next_page_is_asked_for_on_the_same_host_only(named: str) -> None:
    desk = Desk(answers=[answer(200, b'[{"id": 1}]', Link=f'<{named}>; rel="next"')])
    it = Polling(desk, next="link", headers={"X-Key": KEY})
    with pytest.raises(PluginError, match=r"not on this host|names itself"):
        await it.once()
    assert len(desk.asked) == 1


async def test_a_redirect_to_another_host_gets_no_key() -> None:
    desk = Desk(answers=[answer(301, Location="https://other.example/list"), answer(200, b"[]")])
    it = Polling(desk, headers={"X-Key": KEY}, auth={"type": "basic", "username": "u", "password": KEY})
    await it.once()
    assert "x-key" in desk.headers[0]
    assert not {"x-key", "authorization"} & desk.headers[1].keys()
    it = Polling(Desk(answers=[answer(301, Location=URL)] * 9))
    with pytest.raises(PluginError, match="redirected more than 5 times"):
        await it.once()


@pytest.mark.parametrize("config", [{"params": {"page": "{{ page }}"}}, {"next": "link"}])
async def test_a_list_without_an_end_is_left(config: dict[str, Any]) -> None:
    class Endless(Desk):
        async def request(self, method: str, url: str, **more: Any) -> HttpReply:
            page = int(dict(parse_qsl(urlsplit(url).query)).get("page", "1"))
            rows = json.dumps([{"id": page * 1_000 + number} for number in range(1_000)]).encode()
            return answer(200, rows, Link=f'<{URL}?page={page + 1}>; rel="next"')

    it = Polling(Endless(), **config)
    assert (await it.once()).more
    with pytest.raises(PluginError, match="more than 5000 items"):
        await it.once()


async def test_an_api_that_repeats_its_last_page_is_read_to_its_end() -> None:
    desk = Desk(answers=[answer(200, b'[{"id": 1}]')] * 3)
    it = Polling(desk, params={"page": "{{ page }}"})
    assert await it.all() == []
    assert len(desk.asked) == 2


async def test_other_forms_of_answers() -> None:
    lines = Polling(
        Desk(answers=[answer(200, b""), answer(200, b'{"id": 1}\n\n{"id": 2}\n')]), format="lines"
    )
    assert [await lines.ids(), await lines.ids()] == [[], [1, 2]]
    words = Polling(Desk(answers=[answer(200, b"[]"), answer(200, b'["a", "b", "a"]')]), id="value")
    await words.all()
    assert [draft.payload for draft in await words.all()] == [{"value": "a"}, {"value": "b"}]
    levels = [answer(200, b'{"status": {"level": "ok"}}'), answer(200, b'{"status": {"level": "down"}}')]
    one = Polling(Desk(answers=[*levels]), items="status", id="level")
    await one.all()
    assert [draft.payload for draft in await one.all()] == [{"level": "down"}]
    some = Polling(
        Desk(answers=[answer(200, b"[]"), answer(200, b'[{"id": 1}, {"name": "x"}, {"name": "y"}]')])
    )
    await some.all()
    assert len(await some.all()) == 3, "an item without an id is named by its content"


async def test_a_post_sends_its_body() -> None:
    class Search(Desk):
        async def request(self, method: str, url: str, **more: Any) -> HttpReply:
            self.asked.append({"method": method, "body": more["body"].decode(), **more["headers"]})
            return answer(200, b'{"hits": []}')

    desk = Search()
    body = {"query": {"range": {"gte": "{{ since_unix_ms }}"}}, "size": 10}
    it = Polling(desk, method="post", body=body, items="hits", time="at", overlap="0s")
    await it.once()
    asked = desk.asked[0]
    assert asked["method"] == "POST"
    assert json.loads(asked["body"]) == {"query": {"range": {"gte": NOON}}, "size": 10}
    assert asked["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"url": "desk.example"}, "not a URL that can be asked"),
        ({"url": "https://me:pw@desk.example/"}, "move them to `auth`"),
        ({"url": "https://desk.example/{{ page }}"}, "put what differs into `params`"),
        ({"params": {"p": "{{ pages }}"}}, "is not known here"),
        ({"params": {"s": "{{ since }}"}}, "write where it stands into `time`"),
        ({"params": {"c": "{{ cursor }}"}}, "need each other"),
        ({"cursor": "c"}, "need each other"),
        ({"params": {"c": "{{ next }}"}}, "must be the dot path of the value"),
        ({"params": {"c": "{{ next }}"}, "next": "link"}, "must be the dot path of the value"),
        ({"params": {"c": "{{ page }}"}, "next": "link"}, "two ways to the next page"),
        ({"initial_lookback": "1h"}, "needs `time`"),
        ({"body": {"a": 1}}, "goes with `method: POST`"),
        ({"format": "feed", "items": "x"}, "no meaning for a feed"),
        ({"format": "lines", "items": "x"}, "each line is an item"),
        ({"headers": {"If-None-Match": "x"}}, "set by OrgLoop"),
        ({"headers": {"authorization": "x"}, "auth": {"type": "bearer", "token": "x"}}, "keep one of them"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "written twice"),
        ({"id": "fixed text"}, "is not a path"),
        ({"version": "{{ }}"}, "version"),
        ({"max_pages": 0}, "max_pages"),
        ({"max_bytes": "1GB"}, "max_bytes"),
    ],
)
def test_settings_that_cannot_work_say_why(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as told:
        HttpSettings.model_validate({"url": URL, **config})
    assert complaint in str(told.value)


async def test_a_changed_source_begins_anew_and_a_spoilt_checkpoint_heals() -> None:
    desk = Desk(tickets=[ticket(1)])
    it = Polling(desk)
    await it.all()
    desk.tickets.append(ticket(2))
    other = Polling(desk, version="updated_at")
    other.checkpoint = it.checkpoint
    assert await other.ids() == []
    for spoilt in ("", "{", "[]", '{"of": 1}', (it.checkpoint or "").replace('"at"', '"ta"')):
        it.checkpoint = spoilt
        assert await it.ids() == []


async def test_the_doctor_asks_once_and_tells_what_it_finds() -> None:
    desk = Desk(tickets=[ticket(1), ticket(2, 5)])
    it = Polling(desk, time="updated_at")
    (found,) = await check(it.settings, as_context(it.context))
    assert found.detail == "2 items; the newest is of 2026-01-05T12:05:00Z"
    desk.answers = [answer(200, b'[{"id": 1}]', X_RateLimit_Remaining="41")]
    told = await check(it.settings, as_context(it.context))
    assert [(one.name, one.status.value) for one in told] == [
        ("answer", "ok"), ("time", "warning"), ("rate limit", "ok"),
    ]  # fmt: skip
    for refusal, status in ((answer(401), "error"), (answer(429), "warning")):
        desk.answers = [refusal]
        (found,) = await check(it.settings, as_context(it.context))
        assert found.status.value == status
        assert found.hint
    assert len(desk.asked) == 4


def test_the_scaffold_is_a_source() -> None:
    assert connector.source is not None
    scaffold = json.loads(json.dumps(connector.source.scaffold).replace("${HTTP_URL}", URL))
    HttpSettings.model_validate(scaffold)


@given(st.integers(0, 253_402_300_799))
def test_times_are_read_in_each_form(second: int) -> None:
    at = second * 1000
    assert millis(iso(at)) == at
    if second < 100_000_000_000:
        assert millis(second) == millis(str(second)) == at
    if at >= 100_000_000_000:
        assert millis(at) == at


@given(
    st.one_of(
        st.text(max_size=70), st.floats(), st.integers(), st.none(), st.booleans(), st.lists(st.integers())
    )
)
def test_whatever_is_no_time_is_none(value: Any) -> None:
    found = millis(value)
    assert found is None or isinstance(found, int)
