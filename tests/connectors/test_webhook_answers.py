"""What a target's answer means."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.connectors.webhook.answers import MAX_WAIT, outcome_of, retry_after
from orgloop.plugin import Delivered, DeliverOutcome, HttpReply, Rejected, Retry, Throttled, Unavailable
from tests.connectors.doubles import NOON, reply

DATE = "Mon, 05 Jan 2026 12:01:00 GMT"
IN_A_MINUTE = NOON + 60_000


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200), Delivered(detail="200 OK")),
        (reply(204), Delivered(detail="204 No Content")),
        (HttpReply(status=299, reason="Fine", headers={}, body=b""), Delivered(detail="299 Fine")),
        (reply(299), Delivered(detail="299")),
        (reply(408), Retry(reason="408 Request Timeout")),
        (reply(425), Retry(reason="425 Too Early")),
        (reply(429), Retry(reason="429 Too Many Requests")),
        (reply(429, retry_after="60"), Throttled(until=IN_A_MINUTE, reason="429 Too Many Requests")),
        (reply(429, retry_after=DATE), Throttled(until=IN_A_MINUTE, reason="429 Too Many Requests")),
        (reply(429, retry_after="soon"), Retry(reason="429 Too Many Requests")),
        (reply(503), Unavailable(reason="503 Service Unavailable")),
        (reply(503, retry_after="60"), Throttled(until=IN_A_MINUTE, reason="503 Service Unavailable")),
        (reply(502), Unavailable(reason="502 Bad Gateway")),
        (reply(504), Retry(reason="504 Gateway Timeout: the target may have got it", known=False)),
        (reply(500), Retry(reason="500 Internal Server Error")),
        (
            reply(500, b"boom", retry_after="60"),
            Retry(reason="500 Internal Server Error: boom", after_ms=60_000),
        ),
        (reply(507), Retry(reason="507 Insufficient Storage")),
        (reply(404, b"no such\nhook"), Rejected(reason="404 Not Found: no such hook")),
        (reply(400, b"x" * 1000), Rejected(reason="400 Bad Request: " + "x" * 200)),
        (reply(400, b"\xff\x00\x1b[31m"), Rejected(reason="400 Bad Request: \ufffd [31m")),
        (reply(410), Rejected(reason="410 Gone")),
        (
            reply(301, location="https://x.example/y?token=1"),
            Rejected(
                reason="301 Moved Permanently: a redirect cannot be followed; "
                "it leads to https://x.example:443: set `url` to the right place"
            ),
        ),
        (reply(307), Rejected(reason="307 Temporary Redirect: a redirect cannot be followed")),
    ],
)
def test_each_answer_has_its_outcome(answer: HttpReply, outcome: DeliverOutcome) -> None:
    assert outcome_of(answer, NOON) == outcome


@given(st.integers(100, 599), st.text(max_size=30), st.binary(max_size=50))
def test_every_answer_has_an_outcome(status: int, wait: str, body: bytes) -> None:
    outcome = outcome_of(reply(status, body, retry_after=wait), NOON)
    assert isinstance(outcome, get_args(DeliverOutcome))
    assert isinstance(outcome, Delivered) == (200 <= status < 300)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 1),
        ("1.5", 1.5),
        ("999999999999", MAX_WAIT / 1000),
        ("Mon, 05 Jan 2026 11:00:00 GMT", 1),
        ("Mon, 05 Jan 2026 12:00:30 -0000", 30),
        ("Mon, 05 Jan 2026 13:00:30 +0100", 30),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT / 1000),
        ("-5", None),
        ("", None),
        ("tomorrow", None),
        ("9" * 30, None),
    ],
)
def test_retry_after_is_a_time_within_a_day(header: str, seconds: float | None) -> None:
    expected = None if seconds is None else NOON + int(seconds * 1000)
    assert retry_after({"retry-after": header}, NOON) == expected


def test_no_header_is_no_wait() -> None:
    assert retry_after({}, NOON) is None
