"""Sessions of agents: one row for each, one active for each key, with what it has cost."""

from __future__ import annotations

from typing import Any

from orgloop.core.deliveries.transition import NotStarted, Rejected
from orgloop.journal.model import SessionRow
from orgloop.journal.protocols import Journal, Reader
from tests.journal.build import claim_one, enter, run_end, run_start
from tests.journal.test_runs import begin

NOTHING = NotStarted(outcome=Rejected(reason="nothing began"))


async def run(journal: Journal, name: str, session: str, *, at: int = 0, key: str = "k", **end: Any) -> None:
    """A run of a key in this session, and its end."""
    wake = await begin(journal, name, key=key, session=session, at=at)
    await journal.end_run(run_end(wake, f"run_{name}", at=at, **end))


def active(reader: Reader) -> list[str]:
    return [row.id for row in reader.sessions(key="k", active_only=True)]


def session(reader: Reader, id: str) -> SessionRow:
    (found,) = reader.sessions(id=id)
    return found


async def test_a_key_has_one_active_session_and_remembers_the_others(
    journal: Journal, reader: Reader
) -> None:
    for name, id in (("1", "a"), ("2", "b"), ("3", "a")):
        await run(journal, name, id, at=int(name))
        assert active(reader) == [id]
    assert [(row.id, row.active, row.runs) for row in reader.sessions(actor="actor")] == [
        ("a", True, 2),
        ("b", False, 1),
    ]


async def test_a_session_that_a_run_made_of_another_inherits_its_total(
    journal: Journal, reader: Reader
) -> None:
    await run(journal, "1", "a", session_usd=0.5)
    wake = await begin(journal, "2", key="k", session="a")
    await journal.note_run("run_2", last_line="", offset=0, at=1, session_id="fork")
    await journal.end_run(run_end(wake, "run_2", session_id="fork"))
    found = session(reader, "fork")
    assert (found.parent, found.total_usd, found.active) == ("a", 0.5, True)
    assert active(reader) == ["fork"]


async def test_failures_in_a_row_are_counted_and_an_answer_ends_them(
    journal: Journal, reader: Reader
) -> None:
    await run(journal, "1", "a", heard=True)
    for name, heard, failed in (("2", False, 1), ("3", None, 1), ("4", False, 2), ("5", True, 0)):
        end: dict[str, Any] = {"transition": NOTHING} if not heard else {}
        await run(journal, name, "a", heard=heard, text=f"why {name}", **end)
        assert session(reader, "a").failed == failed
    assert session(reader, "a").why == ""


async def test_a_key_leads_again_to_where_it_led_before_a_run_that_never_began(
    journal: Journal, reader: Reader
) -> None:
    await run(journal, "1", "a", heard=False)
    await run(journal, "2", "b", transition=NOTHING)
    assert active(reader) == ["a"]
    assert session(reader, "a").failed == 1
    assert reader.sessions(id="b") == []


async def test_the_total_and_the_end_of_a_run_commit_together_and_once(
    journal: Journal, reader: Reader
) -> None:
    wake = await begin(journal, "1", key="k", session="a")
    end = run_end(wake, "run_1", session_usd=0.5, cost_usd=0.5)
    assert await journal.end_run(end)
    assert not await journal.end_run(end)
    assert (session(reader, "a").total_usd, session(reader, "a").runs) == (0.5, 1)


async def test_a_run_that_goes_on_is_found_with_what_its_session_cost_before(journal: Journal) -> None:
    await run(journal, "1", "a", session_usd=0.5)
    await begin(journal, "2", key="k", session="a")
    await journal.note_run("run_2", last_line="", offset=0, at=1, answered=True)
    await journal.note_run("run_2", last_line="", offset=0, at=2)
    await journal.claim([], 3)
    (found,) = await journal.open_runs()
    assert (found.session_usd, found.answered) == (0.5, True)


async def test_old_sessions_are_forgotten_but_for_those_at_work(journal: Journal, reader: Reader) -> None:
    await run(journal, "1", "old", at=5)
    await run(journal, "2", "new", at=20, key="new")
    await enter(journal, "3", key="other", runs=True, at=5)
    wake = await claim_one(journal, now=5)
    assert await journal.start_run(run_start(wake, "run_3", at=5, session=("other", "working")))
    await journal.prune(10, 10, 100)
    assert {row.id for row in reader.sessions()} == {"new", "working"}
