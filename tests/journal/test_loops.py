"""Chains that repeat themselves are held."""

from __future__ import annotations

import pytest

from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Released
from orgloop.journal.model import Repeats
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import accept, delivery, event, row
from tests.journal.stores import Opened


async def come(journal: Journal, *hops: int, says: str = "same", most: int = 1, **more: object) -> list[str]:
    """Events of one chain with so many hops, one after the other. The names of their deliveries."""
    names: list[str] = []
    for hop in hops:
        name = f"{says}-{hop}-{len(names)}-{more.get('route', '')}-{more.get('trace', '')}"
        names.append(name)
        made = delivery(
            name,
            route=str(more.get("route", "route")),
            runs=bool(more.get("runs", True)),
            state=State(str(more.get("state", "pending"))),
            batch=more.get("batch"),  # type: ignore[arg-type]
        )
        new = event(name, made, trace=str(more.get("trace", "t")), hops=hop)
        await accept(journal, new._replace(repeats=Repeats(says, most)), at=hop)
    return names


def states(reader: Reader, names: list[str]) -> list[str]:
    return [row(reader, name).state for name in names]


@pytest.mark.parametrize("state", ["pending", "preparing"])
async def test_what_comes_too_often_in_one_chain_is_held(
    state: str, journal: Journal, reader: Reader
) -> None:
    names = await come(journal, 1, 3, 5, state=state)
    assert states(reader, names) == [state, state, "held"]
    held = row(reader, names[-1])
    assert (held.reason, "came 2 times before in this chain" in held.detail) == ("loop", True)
    assert (await journal.operate(held.id, Released(), 9)).state is State.PENDING


async def test_another_content_or_route_or_chain_begins_anew(journal: Journal, reader: Reader) -> None:
    await come(journal, 1, 2)
    names = [
        *await come(journal, 3, says="other"),
        *await come(journal, 3, route="other"),
        *await come(journal, 3, trace="other"),
    ]
    assert states(reader, names) == ["pending"] * 3


async def test_what_fans_out_may_be_alike(journal: Journal, reader: Reader) -> None:
    assert states(reader, await come(journal, 1, 2, 2, 2)) == ["pending"] * 4


async def test_what_only_hands_over_is_no_loop(journal: Journal, reader: Reader) -> None:
    assert states(reader, await come(journal, 1, 2, 3, 4, runs=False)) == ["pending"] * 4


async def test_one_in_a_batch_leaves_it(journal: Journal, reader: Reader) -> None:
    batch = Batching(key="b", policy=BatchPolicy(window_ms=10, max_wait_ms=100, max_events=50))
    names = await come(journal, 1, 2, 3, batch=batch)
    assert states(reader, names) == ["pending", "pending", "held"]
    assert len(row(reader, names[0]).members) == 2


async def test_it_is_known_after_a_restart_until_it_is_pruned(opened: Opened) -> None:
    await come(opened.journal, 1, 2)
    await opened.restart()
    names = await come(opened.journal, 3)
    await opened.journal.prune(1_000, 1_000, 100)
    names += await come(opened.journal, 4)
    reader = opened.reader()
    assert states(reader, names) == ["held", "pending"]
    reader.close()
