"""`order: none`: deliveries with a session key that wait behind nothing."""

from __future__ import annotations

from typing import Any

import pytest

from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import (
    Delivered,
    Discarded,
    Hold,
    HoldReason,
    Interrupted,
    Ready,
    Released,
    Retry,
)
from orgloop.journal.model import Prepared
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import applied, claim, claim_one, enter, row, run_end, run_start, settle
from tests.journal.stores import Opened


async def loose(journal: Journal, *names: str, **more: Any) -> None:
    for name in names:
        await enter(journal, name, key="k", ordered=False, **more)


def ids(wakes: Any) -> list[str]:
    return [wake.id for wake in wakes]


async def test_wakes_of_one_key_go_at_once_and_know_their_key(journal: Journal, reader: Reader) -> None:
    await loose(journal, "a", "b")
    assert (row(reader, "a").key, row(reader, "a").head, row(reader, "b").head) == ("k", True, True)
    wakes = await claim(journal)
    assert [(wake.id, wake.key) for wake in wakes] == [("dlv_a", "k"), ("dlv_b", "k")]
    for wake in wakes:
        await settle(journal, wake, Delivered())


@pytest.mark.parametrize(
    "ending",
    [Retry(reason="x", after_ms=100), Interrupted(crash=False), Hold(reason=HoldReason.NO_SOP)],
    ids=lambda one: type(one).__name__,
)
async def test_one_that_is_tried_again_later_keeps_nothing_waiting(
    ending: Any, journal: Journal, reader: Reader
) -> None:
    await loose(journal, "a")
    await settle(journal, await claim_one(journal), ending)
    await loose(journal, "b", at=1)
    assert "dlv_b" in ids(await claim(journal, now=1))
    if row(reader, "a").state is State.HELD:
        await journal.operate("dlv_a", Released(), 2)
        assert ids(await claim(journal, now=2)) == ["dlv_a"]
    assert row(reader, "a").key == "k"


async def test_those_that_keep_their_order_are_not_concerned(journal: Journal) -> None:
    await enter(journal, "one", key="k")
    await loose(journal, "a")
    await enter(journal, "two", key="k")
    assert ids(await claim(journal)) == ["dlv_one", "dlv_a"]


async def test_its_run_belongs_to_the_key_and_takes_up_its_session(journal: Journal, reader: Reader) -> None:
    await loose(journal, "a", runs=True)
    wake = await claim_one(journal)
    await journal.start_run(run_start(wake, "run_a", session=("k", "s1")))
    await journal.end_run(run_end(wake, "run_a", session_id="s1"))
    found = reader.run("run_a")
    assert found is not None
    assert found.key == "k"
    await loose(journal, "b", runs=True)
    assert (await claim_one(journal)).session_id == "s1"


async def test_it_stays_so_after_a_crash(opened: Opened) -> None:
    await loose(opened.journal, "a", "b")
    await claim(opened.journal)
    await opened.restart()
    await opened.journal.recover(1)
    assert [wake.key for wake in await claim(opened.journal, now=1)] == ["k", "k"]


@pytest.mark.parametrize("ordered", [True, False])
async def test_what_is_prepared_later_is_as_its_route_says_then(
    ordered: bool, journal: Journal, reader: Reader
) -> None:
    for name in "ab":
        await enter(journal, name, state=State.PREPARING)
    ready = [Prepared(id=f"dlv_{name}", transition=Ready(), key="k", ordered=ordered) for name in "ab"]
    await journal.prepared(ready, 0)
    assert [row(reader, name).key for name in "ab"] == ["k", "k"]
    assert ids(await claim(journal)) == (["dlv_a"] if ordered else ["dlv_a", "dlv_b"])


async def test_a_route_that_keeps_order_from_now_on_orders_what_waits(journal: Journal) -> None:
    await loose(journal, "a", "b")
    routes = {"route": "actor"}
    await journal.apply(applied(), routes, 1, actors={"actor": False}, changed=["route"])
    ready = [Prepared(id=f"dlv_{name}", transition=Ready(), key="k") for name in "ab"]
    await journal.prepared(ready, 1)
    assert ids(await claim(journal, now=1)) == ["dlv_a"]


async def test_the_next_one_of_a_batch_has_its_key(journal: Journal, reader: Reader) -> None:
    batch = Batching(key="b", policy=BatchPolicy(window_ms=10, max_wait_ms=100, max_events=50))
    await loose(journal, "a", "b", batch=batch)
    await journal.operate("dlv_a", Discarded(), 1)
    wake = await claim_one(journal, now=10)
    assert (wake.id, wake.key) == ("dlv_b", "k")
