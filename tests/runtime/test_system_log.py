"""What happens to sources and to the daemon itself is in the journal, in its order, and bounded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orgloop.core.records.record import Record, RecordPhase
from orgloop.errors import JournalUnavailable
from orgloop.journal.follow import Follower
from orgloop.plugin import Page
from orgloop.runtime.support.system_log import MOST, QUIET
from tests.runtime.engine import Engine, engine, turn, until
from tests.runtime.fakes import Stage
from tests.support.checkout import ROOT

PROJECT = """
sources:
  - {id: in, connector: receiver}
  - {id: polled, connector: poller, poll: {interval: 5m}}
actors: [{id: taker, connector: taker}]
routes: [{name: all, when: {source: in, events: ["*"]}, then: {actor: taker}}]
loggers: [{name: good, type: fake, config: {note: good}}]
"""


def written(it: Engine, prefix: str = "") -> list[Record]:
    follower = Follower.since(it.reader, 0)
    records: list[Record] = []
    while page := follower.next():
        records += page
    return [one for one in records if one.phase.startswith(prefix)]


async def test_start_apply_and_stop_are_told_to_loggers_and_to_followers_alike(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT, on_disk=True) as it:
        await it.emit()
        await it.delivered(1)
        await it.apply(PROJECT.replace("5m", "6m"))
        await until(lambda: "runtime.apply" in {one.phase for one in it.stage.records}, "the logger")
        assert [one.phase for one in written(it, "runtime.")] == ["runtime.start", "runtime.apply"]
        await it.runtime.stop()
        phases = [one.phase for one in written(it) if not one.phase.startswith("source.")]
    assert (phases[0], phases[-1]) == ("runtime.start", "runtime.stop")
    assert phases.index(RecordPhase.RUNTIME_APPLY) > phases.index(RecordPhase.DELIVER_SUCCESS)
    assert "runtime.stop" in {one.phase for one in it.stage.records}


async def test_a_source_that_fails_and_works_again_is_told(tmp_path: Path) -> None:
    answers: list[Page | ConnectionError] = [ConnectionError("away"), ConnectionError("away"), Page()]

    async def poll(_: str | None) -> Page:
        answer = answers.pop(0) if answers else Page()
        if isinstance(answer, ConnectionError):
            raise answer
        return answer

    async with engine(tmp_path, PROJECT, Stage(polls={"polled": poll})) as it:
        await until(lambda: len(answers) == 2, "the first poll")
        while answers:
            await it.pass_time(600)
        await until(lambda: len(written(it, "source.")) == 2, "both records")
        failed, recovered = written(it, "source.")
    assert (failed.phase, failed.source, failed.error) == (
        "source.failed",
        "polled",
        "ConnectionError: away",
    )
    assert (recovered.phase, recovered.source, recovered.error) == ("source.recovered", "polled", "")


async def test_a_flood_of_duplicates_is_one_record_and_one_with_a_count(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT) as it:
        first = await it.emit(fact="one")
        for _ in range(500):
            await it.emit(fact="one")
        await until(lambda: written(it, "source.duplicate"), "the first")
        (one,) = written(it, "source.duplicate")
        assert (one.event_id, one.source, one.metadata) == (first, "in", {})
        await it.pass_time(QUIET + 1)
        await until(lambda: len(written(it, "source.duplicate")) == 2, "the count")
        assert written(it, "source.duplicate")[1].metadata == {"times": 499}


async def test_what_breaks_is_told(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT) as it:
        it.runtime.supervisor.broke("the clockwork", KeyError("x"))
        it.runtime.supervisor.broke("the clockwork", KeyError("y"))
        await until(lambda: written(it, "system."), "the record")
        (error,) = written(it, "system.")
        assert (error.phase, error.error, error.metadata) == (
            "system.error",
            "KeyError: 'x'",
            {"part": "the clockwork"},
        )
        await it.runtime.stop()
        assert written(it, "system.")[1].error == "KeyError: 'y'", "what was counted is written at the end"


async def test_so_many_different_things_are_bounded(tmp_path: Path) -> None:
    async with engine(tmp_path, PROJECT) as it:
        for n in range(MOST + 100):
            it.runtime.system_log.note(RecordPhase.SOURCE_DUPLICATE, f"source-{n}")
        await until(lambda: len(written(it, "source.duplicate")) == MOST, "as many as are told apart")
        await turn()
        assert len(written(it, "source.duplicate")) == MOST


async def test_a_journal_that_cannot_be_written_makes_no_record_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: object) -> None:
        raise JournalUnavailable("the disk is full")

    async with engine(tmp_path, PROJECT) as it:
        monkeypatch.setattr(it.journal, "record", full)
        it.runtime.supervisor.broke("the clockwork", KeyError("x"))
        await turn()
        assert list(it.runtime.supervisor.troubles) == ["the clockwork"]


def test_every_phase_is_written_somewhere() -> None:
    sources = [
        path for path in (ROOT / "src/orgloop").rglob("*.py") if path.name not in ("record.py", "console.py")
    ]
    used = {
        name for path in sources for name in re.findall(r"RecordPhase\.([A-Z_]+)", path.read_text("utf-8"))
    }
    assert {phase.name for phase in RecordPhase} - used == set()
