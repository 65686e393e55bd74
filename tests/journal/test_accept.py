"""Taking events in."""

from __future__ import annotations

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Delivered
from orgloop.journal.model import Query
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, claim, delivery, enter, event, row, settle


async def test_an_event_and_its_deliveries_are_there_once_accept_returns(
    journal: Journal, reader: Reader
) -> None:
    (answer,) = await accept(
        journal,
        event(
            "a",
            delivery(
                "1",
                route="one",
                key="k",
                document={"changed": True},
                steps=[{"name": "t", "result": "change"}],
            ),
            delivery("2", route="two", state=State.HELD, reason="untrusted"),
            trace="t",
            hops=3,
        ),
        at=7,
    )
    assert (answer.event_id, answer.duplicate) == ("evt_a", False)
    found = reader.event("evt_a")
    assert found is not None
    assert (found.at, found.source, found.type, found.platform_event) == (
        7,
        "source",
        "resource.changed",
        "push",
    )
    assert (found.trace_id, found.hops, found.routes, found.document) == ("trc_t", 3, 2, {"id": "evt_a"})
    one, two = row(reader, "1"), row(reader, "2")
    assert (one.state, one.key, one.head, one.due, one.accepted_at, one.age_from) == (
        "pending",
        "k",
        True,
        7,
        7,
        7,
    )
    assert (one.document, one.steps) == ({"changed": True}, [{"name": "t", "result": "change"}])
    assert (two.state, two.reason, two.head, two.document, two.steps) == (
        "held",
        "untrusted",
        False,
        None,
        (),
    )


async def test_an_event_that_matches_no_route_is_recorded(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("a"))
    assert [found.routes for found in reader.events(Query())] == [0]


async def test_a_request_that_was_seen_inserts_nothing_and_is_answered_with_its_first_event(
    journal: Journal, reader: Reader
) -> None:
    await accept(journal, event("a"), event("b"), request="r")
    answers = await accept(journal, event("c", delivery("c")), event("d"), request="r")
    assert [(answer.event_id, answer.duplicate) for answer in answers] == [("evt_a", True), ("evt_a", True)]
    assert [found.id for found in reader.events(Query())] == ["evt_b", "evt_a"]
    assert reader.deliveries(Query()) == []


async def test_one_sources_request_is_not_anothers(journal: Journal) -> None:
    await accept(journal, event("a"), request="r", source="one")
    (answer,) = await accept(journal, event("b"), request="r", source="two")
    assert not answer.duplicate


async def test_an_identity_that_was_seen_leaves_out_its_event_alone(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("a", identity="i"))
    answers = await accept(journal, event("b", identity="i"), event("c", identity="j"))
    assert [(answer.event_id, answer.duplicate) for answer in answers] == [("evt_a", True), ("evt_c", False)]
    assert [found.id for found in reader.events(Query())] == ["evt_c", "evt_a"]


async def test_an_identity_is_seen_within_one_acceptance_too(journal: Journal, reader: Reader) -> None:
    answers = await accept(journal, event("a", identity="i"), event("b", identity="i"))
    assert [answer.event_id for answer in answers] == ["evt_a", "evt_a"]
    assert len(reader.events(Query())) == 1


async def test_a_new_request_with_a_known_event_is_answered_with_the_known_one_ever_after(
    journal: Journal,
) -> None:
    await accept(journal, event("a", identity="i"), request="first")
    for _ in range(2):
        (answer,) = await accept(journal, event("b", identity="i"), request="second")
        assert (answer.event_id, answer.duplicate) == ("evt_a", True)


async def test_an_event_that_came_without_an_identity_is_known_by_its_id(
    journal: Journal, reader: Reader
) -> None:
    await accept(journal, event("1"))
    for source in ("source", "other"):
        again = event("1", delivery("again"), source=source, identity="evt_1")
        (answer,) = await accept(journal, again, source=source)
        assert (answer.event_id, answer.duplicate) == ("evt_1", True)
    assert len(reader.events(Query())) == 1
    assert reader.deliveries(Query()) == []


async def test_the_checkpoint_moves_also_if_every_event_is_known(journal: Journal) -> None:
    await accept(journal, event("a", identity="i"), checkpoint="1")
    await accept(journal, event("b", identity="i"), checkpoint="2")
    assert await journal.checkpoint("source") == "2"


async def test_a_source_nobody_heard_of_has_no_checkpoint(journal: Journal) -> None:
    assert await journal.checkpoint("source") is None


async def test_a_sources_health_is_kept(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("a"), event("b"), at=10)
    await journal.polled("source", 20, "refused")
    await journal.polled("source", 30, "refused again")
    (failing,) = reader.sources()
    assert (failing.events, failing.last_event, failing.last_poll, failing.last_success) == (2, 10, 30, None)
    assert (failing.errors, failing.error) == (2, "refused again")
    await journal.polled("source", 40, "")
    (well,) = reader.sources()
    assert (well.errors, well.error, well.last_poll, well.last_success) == (0, "", 40, 40)
    await journal.polled("source", 50, "refused")
    await accept(journal, at=60, checkpoint="c")
    (polled,) = reader.sources()
    assert (polled.errors, polled.error, polled.last_success, polled.last_event) == (0, "", 60, 10)
    assert polled.checkpoint == "c"


async def test_a_routes_deliveries_are_counted(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("a", delivery("1", route="one"), delivery("2", route="two")), at=5)
    await accept(
        journal, event("b", delivery("3", route="one", state=State.DROPPED, reason="transform")), at=6
    )
    assert reader.route_stats() == {"one": (2, 6), "two": (1, 5)}
    assert reader.counts() == {
        "pending": {"one": 1, "two": 1},
        "total": {"delivered": 0, "dropped": 1, "discarded": 0},
    }


async def test_of_a_key_only_the_first_is_head(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("a", delivery("1", key="k")), event("b", delivery("2", key="k")))
    await accept(journal, event("c", delivery("3", key="k"), delivery("4", actor="other", key="k")))
    assert [row(reader, name).head for name in "1234"] == [True, False, False, True]


@pytest.mark.parametrize("state", [State.DROPPED, State.HELD])
async def test_what_is_dropped_or_held_at_once_blocks_nothing(
    journal: Journal, reader: Reader, state: State
) -> None:
    await enter(journal, "1", key="k", state=state, reason="transform")
    await enter(journal, "2", key="k")
    assert [row(reader, name).head for name in "12"] == [False, True]


async def test_what_is_preparing_with_a_key_blocks_it(journal: Journal, reader: Reader) -> None:
    await enter(journal, "1", key="k", state=State.PREPARING)
    await enter(journal, "2", key="k")
    assert [row(reader, name).head for name in "12"] == [True, False]
    assert await claim(journal) == []


class TestOnce:
    async def test_the_second_with_a_key_is_dropped_and_says_who_came_first(
        self, journal: Journal, reader: Reader
    ) -> None:
        await enter(journal, "1", once=[("k", 100)])
        await enter(journal, "2", once=[("k", 100)], at=99)
        assert (row(reader, "2").state, row(reader, "2").reason) == ("dropped", "duplicate")
        assert row(reader, "2").detail == "dlv_1 came first"
        assert reader.counts()["total"]["dropped"] == 1

    @pytest.mark.parametrize(("at", "state"), [(99, "dropped"), (100, "pending"), (101, "pending")])
    async def test_exactly_a_window_later_it_passes(
        self, journal: Journal, reader: Reader, at: int, state: str
    ) -> None:
        await enter(journal, "1", once=[("k", 100)])
        await enter(journal, "2", once=[("k", 100)], at=at)
        assert row(reader, "2").state == state

    async def test_a_duplicate_does_not_extend_the_window(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", once=[("k", 100)])
        await enter(journal, "2", once=[("k", 100)], at=60)
        await enter(journal, "3", once=[("k", 100)], at=120)
        assert [row(reader, name).state for name in "123"] == ["pending", "dropped", "pending"]

    async def test_a_key_belongs_to_its_route(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", once=[("k", 100)], route="one")
        await enter(journal, "2", once=[("k", 100)], route="two")
        assert row(reader, "2").state == "pending"

    async def test_what_is_turned_away_owns_none_of_its_keys(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", once=[("k", 100)])
        await enter(journal, "2", once=[("other", 100), ("k", 100)])
        await enter(journal, "3", once=[("other", 100)])
        assert [row(reader, name).state for name in "123"] == ["pending", "dropped", "pending"]

    async def test_the_owner_keeps_its_key_when_it_is_done(self, journal: Journal, reader: Reader) -> None:
        await enter(journal, "1", once=[("k", 100)])
        (wake,) = await claim(journal)
        await settle(journal, wake, Delivered())
        await enter(journal, "2", once=[("k", 100)], at=50)
        assert row(reader, "2").state == "dropped"


async def test_a_replay_says_nothing_of_its_source(journal: Journal, reader: Reader) -> None:
    await accept(journal, event("first", delivery("first")), at=3)
    (before,) = reader.sources()
    again = event("again", delivery("again"))._replace(is_replay=True)
    assert [one.duplicate for one in await accept(journal, again, at=9)] == [False]
    assert list(reader.sources()) == [before]
    assert row(reader, "again").state == "pending"
