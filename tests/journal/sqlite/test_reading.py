"""SQLite's reader: lists in short windows, and numbers that grow over all tables."""

from __future__ import annotations

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from orgloop.journal.protocols import Journal, Reader
from orgloop.journal.sqlite import reader as reading
from tests.journal import test_reader as suite
from tests.journal.build import accept, delivery, enter, event


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


@pytest.mark.parametrize(
    "query",
    [
        Query(source="nobody"),
        Query(route="nobody"),
        Query(actor="nobody"),
        Query(source="source", route="nobody"),
        Query(states=[State.DISCARDED]),
        Query(states=[State.DROPPED, State.DISCARDED], actor="actor1"),
    ],
    ids=str,
)
async def test_what_never_was_is_not_looked_for_in_history(
    journal: Journal, reader: Reader, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    await suite.story(journal)
    monkeypatch.setattr(reading.SqliteReader, "_page", None)
    lists = (reader.events, reader.deliveries, reader.steps, reader.runs)
    assert [list(look(query)) for look in lists] == [[]] * 4


async def test_numbers_grow_across_all_that_is_written(journal: Journal, reader: Reader) -> None:
    await suite.story(journal)
    lists = reader.events(Query()), reader.deliveries(Query()), reader.steps(Query()), reader.runs(Query())
    numbers = [int(found.cursor) for rows in lists for found in rows]
    assert len(numbers) == len(set(numbers)) == 13
    (last,), (step,) = reader.events(Query(limit=1)), reader.steps(Query(delivery_id="dlv_3"))
    assert int(last.cursor) > int(step.cursor)


async def test_what_is_due_first_is_looked_for_among_the_first(
    journal: Journal, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_HEADS", 2)
    for number in (1, 2):
        await enter(journal, f"first{number}", at=number)
    await accept(journal, event("late", delivery("late", route="slow")), at=7)
    first, late = reader.backlog()
    assert (first.route, first.count, first.since, first.due) == ("route", 2, 1, 1)
    assert (late.route, late.count, late.since, late.due) == ("slow", 1, 7, None)
