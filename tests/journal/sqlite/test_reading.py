"""SQLite's reader: lists in short windows, and numbers that grow over all tables."""

from __future__ import annotations

import pytest

from orgloop.journal.model import Query
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.sqlite import reader as reading
from tests.journal import test_reader as suite


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize(("query", "expected"), [*suite.FILTERS, *suite.TIMES], ids=str)
async def test_lists_are_the_same_in_windows_of_any_size(
    journal: Journal,
    reader: Reader,
    query: Query,
    expected: str,
    window: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "WINDOW", window)
    await suite.test_events_and_deliveries_are_found_by_every_filter(journal, reader, query, expected)


async def test_numbers_grow_across_all_that_is_written(journal: Journal, reader: Reader) -> None:
    await suite.story(journal)
    lists = reader.events(Query()), reader.deliveries(Query()), reader.steps(Query()), reader.runs(Query())
    numbers = [int(found.cursor) for rows in lists for found in rows]
    assert len(numbers) == len(set(numbers)) == 13
    (last,), (step,) = reader.events(Query(limit=1)), reader.steps(Query(delivery_id="dlv_3"))
    assert int(last.cursor) > int(step.cursor)
