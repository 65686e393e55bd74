"""Which statements the verbs run: what an event does not use costs it nothing."""

from __future__ import annotations

from typing import Any

from orgloop.core.deliveries.transition import Delivered
from orgloop.journal.sqlite import memory_journal
from orgloop.journal.sqlite.statements import load
from tests.journal.build import claim_one, enter, settle

STATEMENTS = 16
"""Those of one event, its claim and its settlement, each in a transaction of its own."""


async def test_without_batches_no_statement_is_about_them() -> None:
    journal = await memory_journal(project="project", clock=lambda: 0)
    tx = journal._writer._store._tx
    assert tx is not None
    said: list[str] = []
    execute = tx._execute

    def listen(query: str, *values: Any) -> Any:
        said.append(query)
        return execute(query, *values)

    tx._execute = listen
    await enter(journal, "1", key="k")
    await settle(journal, await claim_one(journal), Delivered())
    await journal.close()
    assert set(said).isdisjoint(load("batches.sql").values())
    assert len(said) == STATEMENTS
