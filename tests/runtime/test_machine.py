"""A machine with too little memory, or too much to do, starts no program; and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.operations.views.waits import Waits
from orgloop.runtime.support import machine
from orgloop.runtime.support.machine import Machine, memory_free
from tests.runtime.engine import engine, until
from tests.runtime.fakes import Stage

MB = 1024**2


def project(limits: str) -> str:
    return f"""
defaults: {{limits: {limits}}}
sources: [{{id: in, connector: receiver}}]
actors: [{{id: one, connector: agent}}, {{id: tell, connector: taker}}]
routes:
  - {{name: all, when: {{source: in, events: ["*"]}}, then: {{actor: one}}}}
  - {{name: told, when: {{source: in, events: ["*"]}}, then: {{actor: tell}}}}
"""


@pytest.mark.parametrize(
    ("limits", "short", "says"),
    [
        (
            "{memory_free: 2GB}",
            "memory_free",
            "Less than 2 GB of memory is free",
        ),
        ("{load: 7.5}", "load_average", "The load of this machine is above 7.5 (`defaults.limits.load`)"),
    ],
)
async def test_no_program_starts_until_there_is_room(
    limits: str, short: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = {"memory_free": 3 * 1024 * MB, "load_average": 1.0}
    reading[short] = 50 * MB if short == "memory_free" else 8.0
    monkeypatch.setattr(machine, "memory_free", lambda: reading["memory_free"])
    monkeypatch.setattr(machine, "load_average", lambda: reading["load_average"])
    async with engine(tmp_path, project(limits), Stage()) as it:
        await it.emit()
        await it.settled("pending", "delivered")
        await until(it.reader.waits, "the pressure is told")
        (wait,) = it.reader.waits()
        (row, _) = it.rows()
        assert says in Waits(it.reader, it.clock.now(), lambda: True).why(row)
        for _ in range(3):
            await it.pass_time(6)
            await until(
                lambda: [
                    one for one in it.reader.waits() if (one.waiting.until or 0) > it.clock.now() + 9_000
                ],
                "it is looked at again",
            )
        # It is one wait, and no part of the age.
        assert it.reader.waits()[0].since == wait.since
        reading |= {"memory_free": 3 * 1024 * MB, "load_average": 1.0}
        await it.pass_time(11)
        await it.delivered(2)


def test_what_was_read_holds_for_a_second() -> None:
    reads: list[int] = []

    def free() -> int:
        reads.append(1)
        return 5

    one = Machine(free=free, load=lambda: None)
    assert [one.pressure("a", 10, None, now) is None for now in (0, 500, 999, 1_000)] == [False] * 4
    assert len(reads) == 2
    assert one.pressure("a", None, 1.0, 1_000) is None


@pytest.mark.parametrize(
    ("meminfo", "cgroup", "free"),
    [
        ("MemTotal: 9 kB\nMemAvailable: 2048 kB\n", {}, 2 * MB),
        ("MemAvailable: 2048 kB\n", {"memory.max": "max"}, 2 * MB),
        (
            "MemAvailable: 2048 kB\n",
            {
                "memory.max": f"{MB}",
                "memory.current": f"{MB - 100}",
                "memory.stat": "anon 5\ninactive_file 50\n",
            },
            150,
        ),
        ("MemFree: 2048 kB\n", {}, None),
        ("garbage", {}, None),
        (None, {}, None),
    ],
)
def test_the_memory_of_the_machine_or_of_its_container_counts(
    meminfo: str | None, cgroup: dict[str, str], free: int | None, tmp_path: Path
) -> None:
    if meminfo is not None:
        (tmp_path / "meminfo").write_text(meminfo)
    for name, text in cgroup.items():
        (tmp_path / name).write_text(text)
    assert memory_free(tmp_path / "meminfo", tmp_path) == free
