"""What the doctor finds, and that it leaves no trace."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from orgloop.config.load import load_project
from orgloop.errors import JournalDamaged
from orgloop.journal.model import AppliedRow, DaemonRow
from orgloop.journal.sqlite import open_journal
from orgloop.operations import doctor
from orgloop.operations.doctor import Diagnosis, Examination, Patient, examine
from orgloop.operations.status.item import dismiss
from orgloop.operations.status.live import Live
from orgloop.plugin import (
    ActorKind,
    CheckResult,
    CheckStatus,
    Connector,
    Context,
    Draft,
    Settings,
    Setup,
    SourceKind,
    Variable,
)
from orgloop.plugin.registry import Registry
from orgloop.plugin.settings import SecretStr
from orgloop.project.home import DaemonInfo, Home
from orgloop.runtime.support.clock import SystemClock
from orgloop.runtime.support.http import HttpClient

NOW = 1_800_000_000_000
HOUR = 3_600_000


class Clock(SystemClock):
    def now(self) -> int:
        return NOW


class ProbeSettings(Settings):
    """A token, and nothing else."""

    token: SecretStr | None = None
    """It."""


class Ends:
    """A source and an actor that do nothing."""

    def __init__(self, id: str, settings: Any) -> None:
        self.id = id

    async def open(self, ctx: Context) -> None: ...

    async def close(self) -> None: ...


Check = Callable[[Any, Context], Awaitable[Sequence[CheckResult]]]


def connector(name: str, check: Check | None) -> Connector:
    return Connector(
        name=name,
        title=name,
        source=SourceKind(settings=ProbeSettings, open=Ends),
        actor=ActorKind(settings=ProbeSettings, open=Ends),
        setup=Setup(
            variables=[
                Variable(name="PROBE_TOKEN", description="opens the probe", help_url="https://probe.example")
            ],
            check=check,
        ),
    )


class History:
    """A journal that knows what the test says."""

    def __init__(self, applied: AppliedRow | None = None, lives: Sequence[DaemonRow] = ()) -> None:
        self._applied = applied
        self._lives = lives

    def applied(self) -> AppliedRow | None:
        return self._applied

    def daemons(self, limit: int = 10) -> Sequence[DaemonRow]:
        return self._lives[:limit]


class Damaged(History):
    def applied(self) -> AppliedRow | None:
        raise JournalDamaged("the journal is damaged", hint="restore it")


PROJECT = """\
apiVersion: orgloop/v1alpha1
kind: Project
metadata: {name: acme}
sources:
  - {id: in, connector: probe}
actors:
  - {id: out, connector: probe}
routes:
  - {name: one, when: {source: in, events: ["*"]}, then: {actor: out}}
"""


async def examined(
    root: Path,
    home: Path,
    *,
    check: Check | None = None,
    text: str = PROJECT,
    environ: dict[str, str] | None = None,
    port: int = 0,
    daemon: DaemonInfo | None = None,
    reader: Any = None,
    live: Live | None = None,
) -> Examination:
    (root / "orgloop.yaml").write_text(text)
    registry = Registry.of(connector("probe", check))
    http = HttpClient()
    try:
        return await examine(
            Patient(
                loaded=load_project(root, registry, environ or {}, home),
                registry=registry,
                environ=environ or {},
                home=Home(home),
                port=port,
                daemon=daemon,
                reader=reader,
                live=live,
                clock=Clock(),
                http=http,
            )
        )
    finally:
        await http.close()


def only(examination: Examination, category: str) -> list[Diagnosis]:
    return [check for check in examination.checks if check.category == category]


def one(examination: Examination, category: str, name: str) -> Diagnosis:
    (found,) = [check for check in only(examination, category) if check.name == name]
    return found


def running(root: Path) -> DaemonInfo:
    return DaemonInfo(pid=7, started_at=NOW, port=4800, project="acme", root=str(root), version="1")


async def test_a_sound_project_is_ok(tmp_path: Path, home: Path) -> None:
    examination = await examined(tmp_path, home)
    assert (examination.project, examination.status) == ("acme", "ok")
    assert {check.status for check in examination.checks} == {CheckStatus.OK}
    assert one(examination, "dependency", "SQLite").detail >= "3.51.3"
    assert one(examination, "config", "files").detail == "nothing wrong"


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([], "ok"),
        ([CheckStatus.OK], "ok"),
        ([CheckStatus.OK, CheckStatus.WARNING], "degraded"),
        ([CheckStatus.MISSING], "degraded"),
        ([CheckStatus.WARNING, CheckStatus.ERROR], "error"),
    ],
)
async def test_the_worst_finding_is_the_verdict(
    found: list[CheckStatus], verdict: str, tmp_path: Path, home: Path
) -> None:
    async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
        results = [CheckResult(name=f"n{number}", status=status) for number, status in enumerate(found)]
        return results if ctx.id == "in" else []

    examination = await examined(tmp_path, home, check=check)
    assert examination.status == verdict
    names = [line.name for line in only(examination, "service")]
    assert names == [f"in: n{number}" for number in range(len(found))]


async def test_a_check_gets_settings_environment_and_who_it_is(tmp_path: Path, home: Path) -> None:
    seen: list[tuple[str, str, str, Any]] = []

    async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
        seen.append((ctx.id, ctx.project, ctx.environment["PROBE_TOKEN"], settings.token))
        return [CheckResult(name="login", status=CheckStatus.OK, identity="mona", detail="works")]

    examination = await examined(tmp_path, home, check=check, environ={"PROBE_TOKEN": "t"})
    assert sorted(seen) == [("in", "acme", "t", None), ("out", "acme", "t", None)]
    assert one(examination, "service", "in: login").as_json() == {
        "category": "service",
        "name": "in: login",
        "status": "ok",
        "detail": "works",
        "identity": "mona",
    }


async def test_a_check_that_hangs_is_cut_off_and_delays_nobody(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.05)
    began: list[str] = []

    async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
        began.append(ctx.id)
        await asyncio.Event().wait()
        return []

    examination = await examined(tmp_path, home, check=check)
    assert began == ["in", "out"]
    assert [(line.status, line.detail) for line in only(examination, "service")] == [
        (CheckStatus.WARNING, "no answer within 0.05 s")
    ] * 2


async def test_checks_run_at_the_same_time(tmp_path: Path, home: Path) -> None:
    both = asyncio.Barrier(2)

    async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
        await both.wait()
        return [CheckResult(name="met", status=CheckStatus.OK)]

    examination = await examined(tmp_path, home, check=check)
    assert [line.name for line in only(examination, "service")] == ["in: met", "out: met"]


async def test_a_check_that_fails_is_a_finding(tmp_path: Path, home: Path) -> None:
    async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
        raise RuntimeError("no luck")

    examination = await examined(tmp_path, home, check=check)
    assert examination.status == "error"
    assert only(examination, "service")[0].detail == "the check failed: RuntimeError: no luck"


async def test_a_check_cannot_emit(tmp_path: Path, home: Path) -> None:
    async def check(settings: Any, ctx: Context) -> Sequence[CheckResult]:
        await ctx.emit([Draft(provenance={"platform": "x"}, payload={})])
        return []

    examination = await examined(tmp_path, home, check=check)
    assert "cannot emit" in only(examination, "service")[0].detail


WITH_TOKEN = PROJECT.replace("{id: in,", '{config: {token: "${PROBE_TOKEN}"}, id: in,')


async def test_a_missing_variable_is_told_with_where_to_get_it(tmp_path: Path, home: Path) -> None:
    async def check(_settings: Any, _ctx: Context) -> Sequence[CheckResult]:
        return [CheckResult(name="token", status=CheckStatus.OK, detail="is good")]

    examination = await examined(tmp_path, home, text=WITH_TOKEN, check=check)
    assert examination.status == "error"
    line = one(examination, "credential", "PROBE_TOKEN")
    assert (line.status, line.description, line.help_url) == (
        CheckStatus.ERROR,
        "opens the probe",
        "https://probe.example",
    )
    assert [line.name for line in only(examination, "service")] == ["in", "out: token"]
    assert one(examination, "service", "in").status is CheckStatus.MISSING
    assert only(examination, "config")[0].detail == "nothing wrong", "it is told once"


async def test_a_variable_that_is_set_is_told_without_its_value(tmp_path: Path, home: Path) -> None:
    examination = await examined(tmp_path, home, text=WITH_TOKEN, environ={"PROBE_TOKEN": "hush"})
    assert one(examination, "credential", "PROBE_TOKEN").detail == "set in the environment"
    assert "hush" not in str(examination.as_json())


async def test_findings_of_the_files_are_lines(tmp_path: Path, home: Path) -> None:
    examination = await examined(tmp_path, home, text=PROJECT.replace("{actor: out}", "{actor: uot}"))
    assert examination.status == "error"
    (error,) = [line for line in only(examination, "config") if line.status is CheckStatus.ERROR]
    assert error.name.startswith("orgloop.yaml:9:")
    assert error.hint == "did you mean `out`?"


async def test_a_home_that_does_not_exist_stays_so(tmp_path: Path) -> None:
    examination = await examined(tmp_path, tmp_path / "none")
    assert examination.status == "ok"
    assert "created at the first start" in only(examination, "home")[0].detail
    assert not (tmp_path / "none").exists()


async def test_a_home_that_others_may_enter_is_doubtful(tmp_path: Path, home: Path) -> None:
    home.chmod(0o755)
    (home / "token").write_text("t")
    (home / "token").chmod(0o644)
    examination = await examined(tmp_path, home)
    assert [(line.name, line.status, line.hint) for line in only(examination, "home")] == [
        (str(home), CheckStatus.WARNING, f"type: chmod go= {home}"),
        (str(home / "token"), CheckStatus.WARNING, f"type: chmod go= {home / 'token'}"),
    ]
    assert home.stat().st_mode & 0o777 == 0o755


async def test_a_home_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    examination = await examined(tmp_path, tmp_path / "file")
    assert only(examination, "home")[0].status is CheckStatus.ERROR


async def test_a_port_that_is_taken_is_an_error(tmp_path: Path, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        examination = await examined(tmp_path, home, port=other.getsockname()[1])
    (line,) = only(examination, "daemon")
    assert (line.status, line.hint) == (
        CheckStatus.ERROR,
        "stop that program, or choose another port with ORGLOOP_PORT",
    )


async def test_the_daemons_own_port_is_not_taken(tmp_path: Path, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        examination = await examined(tmp_path, home, port=port, daemon=running(tmp_path))
    assert only(examination, "daemon")[0].detail == "process 7 serves acme at port 4800"


async def test_another_project_in_this_home_is_doubtful(tmp_path: Path, home: Path) -> None:
    examination = await examined(tmp_path, home, daemon=running(Path("/elsewhere")))
    (line,) = only(examination, "daemon")
    assert line.status is CheckStatus.WARNING
    assert "/elsewhere" in line.detail


async def test_what_is_not_applied_is_named(tmp_path: Path, home: Path) -> None:
    (tmp_path / "orgloop.yaml").write_text(PROJECT)
    snapshot = load_project(tmp_path, Registry.of(connector("probe", None)), {}, home).organization
    assert snapshot is not None
    history = History(AppliedRow(at=1, project="acme", root=str(tmp_path), snapshot=snapshot.snapshot))
    same = await examined(tmp_path, home, daemon=running(tmp_path), reader=history)
    assert same.status == "ok"

    changed = PROJECT.replace('["*"]', "[a]")
    other = await examined(tmp_path, home, text=changed, daemon=running(tmp_path), reader=history)
    assert one(other, "daemon", "applied").detail == "changed in the files, but not applied: one"
    stopped = await examined(tmp_path, home, text=changed, reader=history)
    assert [line.name for line in only(stopped, "daemon")] == ["daemon"]


def life(started: int, seen: int, ended: int | None) -> DaemonRow:
    return DaemonRow(started_at=started, last_seen=seen, ended_at=ended, pid=1, port=1, version="1")


@pytest.mark.parametrize(
    ("lives", "runs", "says"),
    [
        ([life(NOW - 9 * HOUR, NOW - 3 * HOUR, NOW - 2 * HOUR)], False, "it has been down for 2h"),
        ([life(1, NOW - 3 * HOUR, None)], False, "the daemon crashed, and was last alive 3h ago"),
        ([life(NOW, NOW, None), life(1, 2, NOW - HOUR)], True, "before this start, it was down for 1h"),
        (
            [life(NOW, NOW, None), life(1, NOW - HOUR, None)],
            True,
            "before this start, the daemon crashed, and was last alive 1h earlier",
        ),
        ([life(NOW, NOW, None)], True, None),
        ([], False, None),
    ],
)
async def test_the_time_in_which_nobody_listened_is_named(
    lives: list[DaemonRow], runs: bool, says: str | None, tmp_path: Path, home: Path
) -> None:
    examination = await examined(
        tmp_path, home, daemon=running(tmp_path) if runs else None, reader=History(lives=lives)
    )
    gaps = [line for line in only(examination, "daemon") if line.name == "gap"]
    assert [line.detail for line in gaps] == ([] if says is None else [says])
    doubtful = [line for line in gaps if "crashed" in line.detail]
    assert [line.status for line in doubtful] == [CheckStatus.WARNING] * len(doubtful)
    log = home / "logs" / "daemon.log"
    assert all("orgloop logs" in line.hint and str(log) not in line.hint for line in doubtful)


async def test_the_log_of_a_daemon_that_died_is_named_if_it_is_there(tmp_path: Path, home: Path) -> None:
    log = home / "logs" / "daemon.log"
    log.parent.mkdir(parents=True)
    log.write_text("it broke\n")
    examination = await examined(tmp_path, home, reader=History(lives=[life(1, NOW - HOUR, None)]))
    assert str(log) in one(examination, "daemon", "gap").hint


@pytest.mark.parametrize(("at", "told"), [(NOW - 1, 1), (NOW, 0), (NOW + 1, 0)])
async def test_a_gap_that_was_dismissed_since_it_ended_is_not_told(
    at: int, told: int, tmp_path: Path, home: Path
) -> None:
    dismiss(Home(home), ["gap"], at)
    history = History(lives=[life(NOW, NOW, None), life(1, NOW - HOUR, None)])
    examination = await examined(tmp_path, home, daemon=running(tmp_path), reader=history)
    assert [line.name for line in only(examination, "daemon")].count("gap") == told


async def test_a_damaged_journal_is_an_error_with_the_way_out(tmp_path: Path, home: Path) -> None:
    examination = await examined(tmp_path, home, reader=Damaged())
    assert one(examination, "home", "journal").hint == "restore it"
    assert examination.status == "error"


async def test_it_leaves_no_trace(tmp_path: Path, home: Path) -> None:
    def state() -> dict[str, tuple[int, int, int]]:
        stats = {str(path): path.stat() for path in tmp_path.rglob("*")}
        return {path: (stat.st_mode, stat.st_size, stat.st_ino) for path, stat in stats.items()}

    await examined(tmp_path, home)
    before = state()
    await examined(tmp_path, home)
    assert state() == before


async def test_a_journal_that_cannot_be_written_is_an_error(tmp_path: Path, home: Path) -> None:
    found = await examined(tmp_path, home, live=Live(journal_fault="the disk is full"))
    assert one(found, "home", "journal").status is CheckStatus.ERROR
    assert found.status == "error"


@pytest.mark.parametrize(("room", "status"), [(1 << 25, CheckStatus.WARNING), (1 << 20, CheckStatus.ERROR)])
async def test_little_room_on_the_disk_shows(
    room: int, status: CheckStatus, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Home, "room", room)
    assert one(await examined(tmp_path, home), "home", "disk").status is status


async def test_a_home_that_a_start_would_refuse_is_told(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await open_journal(home, project="acme", clock=lambda: 0)).close()
    assert [found.status for found in only(await examined(tmp_path, home), "home")] == [CheckStatus.OK]
    (home / "journal.db").unlink()
    lost = one(await examined(tmp_path, home), "home", "journal")
    assert (lost.status, "journal.mark" in lost.hint) == (CheckStatus.ERROR, True)
    assert not (home / "journal.db").exists()
    uid = home.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert f"uid {uid}" in one(await examined(tmp_path, home), "home", str(home)).detail
