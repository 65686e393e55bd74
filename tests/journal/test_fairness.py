"""A key with very much work does not keep the others waiting."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.core.deliveries.admission import Go, Ledger, Verdict, Want
from orgloop.core.deliveries.transition import Delivered
from orgloop.journal.model import ClaimWant
from orgloop.journal.protocols import Journal
from tests.journal.build import accept, delivery, event, settle
from tests.journal.stores import MEMORY

HOT, OTHERS = 10_000, 100


def go(_: Want, __: Ledger) -> Verdict:
    return Go()


async def longest_wait(journal: Journal, *, hot: int, runs: bool, slots: int) -> int:
    """How many times wakes are claimed and settled until each of the other keys has had its turn."""
    for first in range(0, hot, 500):
        await accept(
            journal,
            *(event(f"h{n}", delivery(f"h{n}", key="hot", runs=runs)) for n in range(first, first + 500)),
        )
    await accept(journal, *(event(f"o{n}", delivery(f"o{n}", key=f"{n}", runs=runs)) for n in range(OTHERS)))
    want = ClaimWant(actor="actor", slots=slots, admit=go if runs else None, reserve={} if runs else None)
    left, rounds = OTHERS, 0
    while left:
        rounds += 1
        wakes = (await journal.claim([want], rounds)).wakes
        assert len(wakes) <= slots
        assert rounds <= 2 * OTHERS // slots, "the others wait too long"
        for wake in wakes:
            left -= wake.key != "hot"
            await settle(journal, wake, Delivered(), at=rounds)
    return rounds


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("runs", [False, True], ids=["answers at once", "has runs"])
async def test_a_hot_key_of_ten_thousand_wakes_at_most_doubles_how_long_others_wait(
    runs: bool, slots: int, tmp_path: Path
) -> None:
    async with MEMORY.open(tmp_path) as opened:
        alone = await longest_wait(opened.journal, hot=0, runs=runs, slots=slots)
    async with MEMORY.open(tmp_path) as opened:
        beside = await longest_wait(opened.journal, hot=HOT, runs=runs, slots=slots)
    assert alone == OTHERS // slots
    assert beside <= 2 * alone
