"""Several workers on one journal: what each has claimed is its own, until its lease is over."""

from __future__ import annotations

import asyncio

from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Delivered
from orgloop.journal.model import ClaimWant, Lease, Query
from orgloop.journal.protocols import Reader
from tests.journal.build import claim, claim_one, enter, row, run_end, run_start, settle
from tests.journal.stores import Opened, Store


async def test_two_that_claim_at_once_never_get_the_same_wake(opened: Opened) -> None:
    workers = [opened.worker(Lease(worker=name)) for name in ("a", "b")]
    for number in range(20):
        await enter(opened.journal, str(number), key=f"k{number % 15}")
    wants = [ClaimWant(actor="actor", slots=4)]
    claims = await asyncio.gather(*(worker.claim(wants, 0) for worker in workers * 3))
    ids = [wake.id for claimed in claims for wake in claimed.wakes]
    keys = [wake.key for claimed in claims for wake in claimed.wakes]
    assert len(ids) == len(set(ids)) == len(set(keys)) == 15


async def test_a_worker_recovers_its_own_and_leaves_what_others_have(opened: Opened, reader: Reader) -> None:
    first, second = (opened.worker(Lease(worker=name)) for name in ("a", "b"))
    await enter(opened.journal, "1", key="k")
    await enter(opened.journal, "2")
    wake = (await claim(first, slots=1))[0]
    await claim(second, slots=1)
    assert await second.recover(5) == {"pending": 1}
    assert (row(reader, "1").state, row(reader, "2").state) == (State.RUNNING, State.PENDING)
    assert [(step.delivery_id, step.transition) for step in reader.steps(Query())] == [
        ("dlv_2", "interrupted")
    ]
    assert await settle(first, wake, Delivered())


async def test_what_has_a_lease_that_is_over_is_anybodys_to_recover(opened: Opened, reader: Reader) -> None:
    first, second = (opened.worker(Lease(worker=name, until=10)) for name in ("a", "b"))
    await enter(opened.journal, "1")
    wake = await claim_one(first, now=1)
    assert await second.recover(9) == {}
    assert await second.recover(10) == {"pending": 1}
    again = await claim_one(second, now=10)
    assert not await settle(first, wake, Delivered())
    assert await settle(second, again, Delivered())
    assert (row(reader, "1").state, row(reader, "1").crashes) == (State.DELIVERED, 1)


async def test_a_run_belongs_to_the_worker_that_started_it_however_late_it_is(
    opened: Opened, reader: Reader
) -> None:
    first, second = (opened.worker(Lease(worker=name, until=10)) for name in ("a", "b"))
    await enter(opened.journal, "1", runs=True)
    wake = await claim_one(first)
    await first.start_run(run_start(wake, "run_1"))
    assert await second.recover(1_000) == {}
    assert await second.open_runs() == []
    assert [run.run_id for run in await first.open_runs()] == ["run_1"]
    assert await first.end_run(run_end(wake, "run_1"))
    assert row(reader, "1").state == State.DELIVERED


async def test_a_role_has_one_worker(opened: Opened, store: Store) -> None:
    workers = [opened.worker(Lease(worker=name)) for name in ("a", "b")]
    for role in ("poll:source", "prune"):
        granted = [await worker.lead(role) for worker in workers]
        assert granted[0]
        assert granted[1] == store.leads_everywhere
        assert await workers[0].lead(role), "who leads goes on to"
