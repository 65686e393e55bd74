"""RSS and Atom as a list of entries: every dialect, and nothing that XML could do to a reader."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.connectors.http.feed import MOST_ENTRIES, NotAFeed, entries
from tests.connectors.test_http_source import Desk, Polling, answer

RSS = b"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/"
  xmlns:media="http://search.yahoo.com/mrss/" xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>The channel</title><link>https://news.example/</link>
<atom:link rel="self" href="https://news.example/feed.xml"/>
<image><title>logo</title></image>
<item>
  <title>Release 2 &amp; more</title><media:title>not this</media:title>
  <link>https://news.example/2</link>
  <guid isPermaLink="false">tag:2</guid>
  <description><![CDATA[<p>Two</p>]]></description>
  <content:encoded>All of it</content:encoded>
  <dc:creator>Ada</dc:creator>
  <category>a</category><category>b</category>
  <pubDate>Mon, 05 Jan 2026 12:00:00 +0100</pubDate>
  <enclosure url="https://news.example/2.mp3" length="1" type="audio/mpeg"/>
</item>
<item><title>No id</title><link>https://news.example/1</link></item>
</channel></rss>"""

ATOM = """<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Releases</title>
<author><name>The project</name></author>
<entry>
  <id>urn:1</id><title type="html">v1.0 \u2013 first</title>
  <link rel="self" href="https://x.example/self"/><link href="https://x.example/1"/>
  <link rel="edit" href="e"/>
  <published>2026-01-05T12:00:00Z</published><updated>2026-01-05T13:00:00.5Z</updated>
  <author><email>ada@x.example</email><name>Ada</name><uri>https://x.example/ada</uri></author>
  <category term="release"/>
  <content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">One <b>two</b> three</div></content>
</entry></feed>""".encode()

RDF = b"""<?xml version="1.0" encoding="iso-8859-1"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
  xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="x"><title>c</title></channel>
<item rdf:about="https://x.example/1"><title>Stra\xdfe</title><link>https://x.example/1</link>
<dc:date>2026-01-05</dc:date></item></rdf:RDF>"""


def test_each_dialect_reads_alike() -> None:
    two, one = entries(RSS)
    assert two == {
        "title": "Release 2 & more",
        "link": "https://news.example/2",
        "id": "tag:2",
        "summary": "<p>Two</p>",
        "content": "All of it",
        "author": "Ada",
        "categories": ["a", "b"],
        "published": "2026-01-05T11:00:00Z",
        "updated": "2026-01-05T11:00:00Z",
        "enclosures": ["https://news.example/2.mp3"],
    }
    assert one == {"title": "No id", "link": "https://news.example/1", "id": "https://news.example/1"}
    assert entries(ATOM) == [
        {
            "id": "urn:1",
            "title": "v1.0 \u2013 first",
            "link": "https://x.example/1",
            "published": "2026-01-05T12:00:00Z",
            "updated": "2026-01-05T13:00:00.500Z",
            "author": "Ada",
            "categories": ["release"],
            "content": "One two three",
        }
    ]
    (entry,) = entries(RDF)
    assert entry["title"] == "Straße"
    assert entry["updated"] == "2026-01-05T00:00:00Z"


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<rss><channel><item><title>&b;</title></item></channel></rss>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/hostname">]>
<rss><channel><item><title>&x;</title></item></channel></rss>"""
PARAMETER = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>
<rss><channel/></rss>"""


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (LAUGHS, "defines entities"),
        (OUTSIDE, "defines entities"),
        (PARAMETER, "defines entities"),
        (b"<rss><channel><item>&nbsp;</item></channel></rss>", "undefined entity (line 1, column 21)"),
        (b"<rss>" + b"<a>" * 200 + b"</a>" * 200 + b"</rss>", "nests deeper"),
        (b"<rss><channel>" + b"<item/>" * (MOST_ENTRIES + 1) + b"</channel></rss>", "more than 5000 entries"),
        (b"<html><body/></html>", "neither RSS nor Atom"),
        (b"<rss><channel><item>", "not a feed"),
        (b"", "not a feed"),
        (b"[1]", "not a feed"),
        (b'<?xml version="1.0" encoding="no-such"?><rss/>', "not a feed"),
        (b"<rss>\xff\xff</rss>", "not a feed"),
        (b"<rss>\x00</rss>", "not a feed"),
    ],
)
def test_what_is_no_feed_or_more_than_a_feed_is_refused(document: bytes, words: str) -> None:
    with pytest.raises(NotAFeed) as told:
        entries(document)
    assert words in str(told.value)


def test_a_document_type_without_entities_is_taken() -> None:
    old = b'<?xml version="1.0"?><!DOCTYPE rss PUBLIC "-//N//DTD RSS 0.91//EN" "http://127.0.0.1:9/x.dtd">'
    assert entries(old + b"<rss><channel><item><title>x</title></item></channel></rss>") == [{"title": "x"}]


def test_a_text_has_a_bound() -> None:
    (entry,) = entries(b"<rss><channel><item><title>" + b"x" * 300_000 + b"</title></item></channel></rss>")
    assert len(entry["title"]) == 100_000


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    for document in (data, b"<rss><channel><item>" + data + b"</item></channel></rss>"):
        with suppress(NotAFeed):
            entries(document)


async def test_a_new_entry_is_an_event_and_an_edited_one_another() -> None:
    def feed(*rows: tuple[str, str]) -> bytes:
        listed = "".join(f"<entry><id>{id}</id><updated>{at}</updated></entry>" for id, at in rows)
        return f'<feed xmlns="http://www.w3.org/2005/Atom">{listed}</feed>'.encode()

    old, new = ("a", "2026-01-05T10:00:00Z"), ("b", "2026-01-05T11:00:00Z")
    edited = ("a", "2026-01-05T12:00:00Z")
    desk = Desk(answers=[answer(200, feed(old)), answer(200, feed(new, old)), answer(200, feed(new, edited))])
    it = Polling(desk, format="feed")
    assert await it.all() == []
    seen: list[Any] = []
    for _ in range(2):
        seen += [
            (draft.provenance["platform_event"], draft.provenance["item_id"]) for draft in await it.all()
        ]
    assert seen == [("item.created", "b"), ("item.changed", "a")]
    assert "xml" in desk.headers[0]["accept"]
