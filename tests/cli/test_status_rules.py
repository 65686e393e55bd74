"""What needs a person, as rules: a picture goes in, sentences and commands come out."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orgloop import runner
from orgloop.cli.screen.words import run_words
from orgloop.core.deliveries.delivery import State
from orgloop.core.records.record import timestamp
from orgloop.core.text.units import HOUR, MINUTE, SECOND
from orgloop.journal.model import (
    AppliedRow,
    BacklogRow,
    Cursor,
    DaemonRow,
    PauseKind,
    PauseRow,
    RunRow,
    SourceRow,
)
from orgloop.operations.status.attention import attention, gaps, unheard
from orgloop.operations.status.item import Item, start_command
from orgloop.operations.status.live import Live, Occurrences, live_of_document
from orgloop.operations.status.status import ActorStatus, RouteStatus, SourceStatus, Status
from orgloop.operations.status.stuck import SILENT, last_sign
from orgloop.operations.views.words import short_moment
from orgloop.project.home import DaemonInfo, Home
from orgloop.runtime.runs.local.local_runner import seems_alive

NOW = 1_800_000_000_000
APPLIED = AppliedRow(at=NOW - HOUR, project="acme", root="/srv/acme", snapshot={})
INFO = DaemonInfo(
    pid=4711, started_at=NOW - HOUR, port=4800, project="acme", root="/srv/acme", version="0.1.0"
)


def picture(tmp_path: Path, **given: Any) -> Status:
    """An organization at which nothing is wrong, but for what is given."""
    return Status(
        now=NOW,
        since=NOW - 12 * HOUR,
        home=Home(tmp_path),
        **{"daemon": INFO, "live": Live(), "applied": APPLIED, "lives": [life(HOUR)], **given},
    )


def life(began: int, ended: int | None = None, *, seen: int = 0) -> DaemonRow:
    return DaemonRow(
        started_at=NOW - began,
        last_seen=NOW - (seen if ended is None else ended),
        ended_at=None if ended is None else NOW - ended,
        pid=1,
        port=4800,
        version="0.1.0",
    )


def backlog(state: State, *, count: int = 1, since: int = MINUTE, **more: Any) -> BacklogRow:
    given = {"actor": "engineer", "route": "pr-review", "reason": "", "due": None, **more}
    return BacklogRow(state=state, count=count, since=NOW - since, **given)


def refusing(at: str) -> dict[str, Any]:
    return {"id": "github", "refused": 5, "last_refused": at, "refused_why": "Invalid signature"}


def pending(due: int) -> BacklogRow:
    return backlog(State.PENDING, due=NOW - due)


def run(tmp_path: Path, *, began: int, seen: int | None = None) -> RunRow:
    return RunRow(
        cursor=Cursor("1"),
        id="run_1",
        delivery_id="dlv_1",
        event_id="evt_1",
        trace_id="trc_1",
        hops=0,
        actor="engineer",
        route="pr-review",
        harness="process",
        key=None,
        session_id=None,
        directory=None,
        run_dir=str(tmp_path),
        spec={},
        started_at=NOW - began,
        ended_at=None,
        outcome="",
        reason="",
        text="",
        exit_status=None,
        cost_usd=None,
        completion={},
        last_line="",
        last_seen=None if seen is None else NOW - seen,
    )


def source(errors: int) -> SourceStatus:
    row = SourceRow(
        source="github",
        checkpoint=None,
        last_poll=NOW,
        last_success=NOW - HOUR,
        last_event=None,
        errors=errors,
        error="401 Unauthorized\n",
        events=3,
    )
    return SourceStatus(id="github", connector="github", row=row)


def actor(paused: int | None, waiting: int = 2) -> ActorStatus:
    pause = None
    if paused is not None:
        pause = PauseRow(actor="engineer", since=NOW - paused, until=NOW, tries=3, reason="refused")
    return ActorStatus(id="engineer", connector="process", counts={"pending": waiting}, pause=pause)


def broken() -> ActorStatus:
    """An actor whose circuit breaker is open."""
    pause = PauseRow(
        actor="engineer",
        since=NOW - MINUTE,
        until=NOW + MINUTE,
        tries=2,
        reason="5 runs in a row failed",
        kind=PauseKind.BREAKER,
    )
    return replace(actor(None), pause=pause)


def test_a_sound_organization_needs_nobody(tmp_path: Path) -> None:
    assert attention(picture(tmp_path, sources=[source(0)], actors=[actor(None)])) == []


def test_failed_runs_that_nobody_hears_of_are_told_once_and_do_not_need_anybody(tmp_path: Path) -> None:
    ended = replace(run(tmp_path, began=HOUR), ended_at=NOW - MINUTE, outcome="failure", reason="exit_code_1")
    seen = picture(tmp_path, ended_runs=[ended])
    assert attention(seen) == []
    (item,) = unheard(seen)
    assert item.text == "1 run of engineer failed, and no route listens to its end"
    assert item.command == "orgloop inspect run_1"
    heard = RouteStatus(name="tell", source="engineer", actor="notify", fired=0, last_fired=None, counts={})
    assert list(unheard(replace(seen, routes=[heard]))) == []


def test_a_home_in_which_nothing_has_ever_run_needs_nobody(tmp_path: Path) -> None:
    assert attention(picture(tmp_path, daemon=None, live=None, applied=None, lives=[])) == []


CASES: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "a daemon that stopped",
        {"daemon": None, "live": None, "lives": [life(9 * HOUR, 3 * HOUR)], "backlog": [pending(HOUR)]},
        "the daemon does not run; it stopped 3h ago; 1 delivery waits for it",
        "orgloop start --daemon --config /srv/acme",
    ),
    (
        "a daemon that died",
        {"daemon": None, "live": None, "lives": [life(9 * HOUR, seen=3 * HOUR)]},
        "the daemon does not run; it died, last alive 3h ago",
        "orgloop start --daemon --config /srv/acme",
    ),
    (
        "a daemon that hangs",
        {"live": None, "fault": "the daemon (process 4711) has not answered within 3 s"},
        "the daemon (process 4711) has not answered within 3 s",
        "orgloop stop --force",
    ),
    (
        "a source that begins to fail",
        {"sources": [source(1)]},
        "github: 1 poll has failed: 401 Unauthorized",
        "orgloop inspect source github",
    ),
    (
        "a source that fails",
        {"sources": [source(12)]},
        "github: 12 polls in a row have failed: 401 Unauthorized",
        "orgloop inspect source github",
    ),
    (
        "an open circuit breaker",
        {"actors": [broken()]},
        (
            "the circuit breaker of engineer is open: 5 runs in a row failed; 2 deliveries wait, and one "
            f"wake probes it at {short_moment(NOW + MINUTE, NOW)}"
        ),
        "orgloop resume engineer",
    ),
    (
        "an actor that does not answer",
        {"actors": [actor(2 * HOUR)]},
        f"engineer is unavailable since {short_moment(NOW - 2 * HOUR, NOW)}, 2 deliveries wait: refused",
        "orgloop inspect actor engineer",
    ),
    (
        "an actor that does not answer and for which nothing waits",
        {"actors": [actor(2 * HOUR, waiting=0)]},
        f"engineer is unavailable since {short_moment(NOW - 2 * HOUR, NOW)}: refused",
        "orgloop inspect actor engineer",
    ),
    (
        "an open circuit breaker while its probe is on its way",
        {"actors": [replace(broken(), counts={})]},
        (
            "the circuit breaker of engineer is open: 5 runs in a row failed; one wake probes it at "
            f"{short_moment(NOW + MINUTE, NOW)}"
        ),
        "orgloop resume engineer",
    ),
    (
        "a wake that hangs",
        {"backlog": [backlog(State.RUNNING, since=7 * MINUTE)]},
        "1 of pr-review → engineer: being woken for 7m",
        "orgloop deliveries --actor engineer --state running",
    ),
    (
        "transforms that hang",
        {"backlog": [backlog(State.PREPARING, since=7 * MINUTE, count=3)]},
        "3 of pr-review → engineer: its transforms have taken 7m",
        "orgloop deliveries --actor engineer --state preparing",
    ),
    (
        "work that nothing keeps waiting",
        {"backlog": [pending(7 * MINUTE)], "actors": [actor(None)]},
        "1 of pr-review → engineer: due for 7m",
        "orgloop deliveries --actor engineer --state pending",
    ),
]


@pytest.mark.parametrize(("what", "given", "text", "command"), CASES, ids=[case[0] for case in CASES])
def test_each_trouble_is_told_with_the_command_to_type(
    what: str, given: dict[str, Any], text: str, command: str, tmp_path: Path
) -> None:
    (item,) = attention(picture(tmp_path, **given))
    assert (item.text, item.command) == (text, command)


QUIET: list[tuple[str, dict[str, Any]]] = [
    ("while a daemon starts or ends", {"daemon": None, "live": None, "holder": "a daemon (pid 1)"}),
    ("work that is just being woken", {"backlog": [backlog(State.RUNNING, since=MINUTE)]}),
    ("work that is just due", {"backlog": [pending(MINUTE)]}),
    ("work that is due later", {"backlog": [pending(-HOUR)]}),
    ("what waits for its key", {"backlog": [backlog(State.PENDING, since=9 * HOUR)]}),
    ("runs that go on", {"backlog": [backlog(State.STARTED, since=5 * HOUR)]}),
    ("a planned stop", {"lives": [life(HOUR), life(2 * HOUR, HOUR + 3 * MINUTE)]}),
    (
        "what was refused before the time that was asked about",
        {"live": live_of_document({"sources": [refusing("2026-01-01T00:00:00.000Z")]})},
    ),
    ("a gap before the time that was asked about", {"lives": [life(20 * HOUR), life(40 * HOUR, 30 * HOUR)]}),
]


@pytest.mark.parametrize(("what", "given"), QUIET, ids=[case[0] for case in QUIET])
def test_what_is_usual_needs_nobody(what: str, given: dict[str, Any], tmp_path: Path) -> None:
    assert attention(picture(tmp_path, **given)) == []


def test_work_that_waits_behind_runs_may_wait_for_an_hour(tmp_path: Path) -> None:
    at_work = [run(tmp_path, began=MINUTE)]
    assert attention(picture(tmp_path, backlog=[pending(59 * MINUTE)], open_runs=at_work)) == []
    (item,) = attention(picture(tmp_path, backlog=[pending(61 * MINUTE)], open_runs=at_work))
    assert item.text == "1 of pr-review → engineer: due for 1h, while 1 run goes on"


def test_held_and_dead_work_is_told_by_route_and_reason(tmp_path: Path) -> None:
    rows = [
        backlog(State.HELD, reason="no_sop", count=41),
        backlog(State.DEAD, reason="rejected", route="it's", count=2),
    ]
    examples = {("engineer", "pr-review", "held", "no_sop"): "sops/x.md\nis gone"}
    dead, held = attention(picture(tmp_path, backlog=rows, examples=examples))
    assert (dead.urgent, dead.count, held.urgent, held.count) == (True, 2, False, 41)
    assert held.text.startswith("41 held since ")
    assert held.text.endswith("pr-review → engineer, no_sop: sops/x.md is gone")
    assert held.command == "orgloop held list --route pr-review --reason no_sop"
    assert dead.text.endswith(": it's → engineer, rejected")
    assert dead.command == """orgloop dead list --route 'it'"'"'s' --reason rejected"""


def test_what_is_broken_comes_first(tmp_path: Path) -> None:
    rows = [backlog(State.HELD, reason="no_sop"), backlog(State.DEAD, reason="rejected")]
    found = attention(picture(tmp_path, sources=[source(1)], backlog=rows))
    assert [item.kind for item in found] == ["dead", "source", "held"]


# --- runs -----------------------------------------------------------------------------------------


def write(path: Path, text: str, *, ago: int) -> None:
    path.write_text(text)
    os.utime(path, (0, (NOW - ago) / 1000))


def test_a_run_is_silent_if_neither_its_files_nor_the_journal_know_of_anything_new(tmp_path: Path) -> None:
    silent = run(tmp_path, began=SILENT + MINUTE)
    (item,) = attention(picture(tmp_path, open_runs=[silent]))
    assert (item.kind, item.text) == ("silent", "engineer (pr-review) has written no output for 16m")
    assert item.command == "orgloop runs show run_1"
    noted = run(tmp_path, began=SILENT + MINUTE, seen=MINUTE)
    assert attention(picture(tmp_path, open_runs=[noted])) == []
    write(tmp_path / runner.STDERR, "warning", ago=2 * MINUTE)
    assert last_sign(silent) == NOW - 2 * MINUTE
    assert attention(picture(tmp_path, open_runs=[silent])) == []


def test_an_empty_output_is_no_sign(tmp_path: Path) -> None:
    write(tmp_path / runner.STDOUT, "", ago=MINUTE)
    assert last_sign(run(tmp_path, began=HOUR)) == NOW - HOUR


def test_a_run_that_takes_very_long_is_told_even_if_it_speaks(tmp_path: Path) -> None:
    (item,) = attention(picture(tmp_path, open_runs=[run(tmp_path, began=7 * HOUR, seen=MINUTE)]))
    assert item.text == "engineer (pr-review) has been active for 7h"
    assert item.command == "orgloop runs tail run_1"


def test_a_daemon_that_has_just_died_was_alive_a_moment_ago(tmp_path: Path) -> None:
    (item,) = attention(picture(tmp_path, daemon=None, live=None, lives=[life(HOUR, seen=0)]))
    assert item.text == "the daemon does not run; it died, last alive a moment ago"


def test_without_a_daemon_a_run_whose_process_is_gone_is_told(tmp_path: Path) -> None:
    one = run(tmp_path, began=MINUTE, seen=SECOND)
    without = partial(picture, tmp_path, daemon=None, live=None, open_runs=[one])
    assert "run" not in {item.kind for item in attention(without())}
    assert "run" in {item.kind for item in attention(without(gone={"run_1"}))}


CHILD: dict[str, Any] = {"pid": 1_000, "boot_id": None, "started_at": 1.0}

CHILDREN: list[tuple[str, dict[str, Any] | None, bool]] = [
    ("alive", {**CHILD, "runner_pid": os.getpid()}, True),
    ("gone", {**CHILD, "runner_pid": 2**22 + 1}, False),
    ("of another boot", {**CHILD, "runner_pid": os.getpid(), "boot_id": "another"}, False),
    ("unknown", None, False),
]


@pytest.mark.parametrize(("what", "child", "alive"), CHILDREN, ids=[case[0] for case in CHILDREN])
def test_a_run_is_at_work_as_long_as_its_runner_lives(
    what: str, child: dict[str, Any] | None, alive: bool, tmp_path: Path
) -> None:
    if child is not None:
        (tmp_path / runner.CHILD).write_text(json.dumps(child))
    assert seems_alive(tmp_path) is alive


# --- gaps, loggers --------------------------------------------------------------------------------


def test_gaps_are_the_times_between_two_lives() -> None:
    lives = [life(HOUR), life(3 * HOUR, 2 * HOUR), life(5 * HOUR, seen=4 * HOUR)]
    assert [((NOW - gap.begin) // HOUR, (NOW - gap.end) // HOUR, gap.died) for gap in gaps(lives, 0)] == [
        (4, 3, True),
        (2, 1, False),
    ]


def gap_item(tmp_path: Path, *lives: DaemonRow) -> Item:
    (item,) = attention(picture(tmp_path, lives=lives))
    return item


def test_one_gap_is_told_with_its_times(tmp_path: Path) -> None:
    item = gap_item(tmp_path, life(HOUR), life(5 * HOUR, 3 * HOUR))
    assert item.text.startswith("no daemon ran from ")
    assert item.text.endswith(" (2h)")
    assert item.command == "orgloop logs --since 3h"


def test_a_gap_within_a_minute_has_seconds_and_is_the_longest_that_it_can_have_been(tmp_path: Path) -> None:
    item = gap_item(tmp_path, life(HOUR), life(5 * HOUR, seen=HOUR + 21 * SECOND))
    at = r"(\S+ )?\d\d:\d\d:\d\d"
    assert re.match(rf"no daemon ran from {at} to {at} \(at most 21s\)", item.text)


def test_many_gaps_are_summed_up(tmp_path: Path) -> None:
    lives = [life(HOUR), life(3 * HOUR, seen=2 * HOUR), life(5 * HOUR, 4 * HOUR)]
    assert gap_item(tmp_path, *lives).text == "no daemon ran 2 times, at most 2h in all; it had died 1 time"


def test_after_a_death_the_daemons_own_log_is_what_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "daemon.log").write_text("Traceback")
    item = gap_item(tmp_path, life(HOUR), life(5 * HOUR, seen=3 * HOUR))
    assert item.text.endswith("; it had died")
    assert item.command == f"tail -n 50 {tmp_path}/logs/daemon.log"


def test_requests_that_a_source_refuses_are_told(tmp_path: Path) -> None:
    at = timestamp(NOW - 2 * MINUTE)
    calm = {"id": "hooks", "refused": 0, "last_refused": None, "refused_why": ""}
    (item,) = attention(picture(tmp_path, live=live_of_document({"sources": [calm, refusing(at)]})))
    assert item.text == "github: 5 requests were refused, the last 2m ago: Invalid signature"
    assert (item.kind, item.command) == ("refused", "orgloop inspect source github")


def test_a_logger_that_fails_is_told(tmp_path: Path) -> None:
    loggers = [
        {"name": "file-log", "failures": 3, "error": "OSError: no space left"},
        {"name": "fine", "failures": 0, "error": ""},
    ]
    (item,) = attention(picture(tmp_path, live=live_of_document({"loggers": loggers})))
    assert item.text == "logger file-log has failed 3 times: OSError: no space left"
    assert item.command == "orgloop inspect logger file-log"


def test_what_the_daemon_says_of_itself_is_told(tmp_path: Path) -> None:
    said = {
        "not_open": {"notify": "the token is not valid"},
        "troubles": {
            "dispatcher": {"at": "2027-01-15T07:00:00.000Z", "times": 2, "error": "KeyError: 'x'"},
            "janitor": {"at": "2027-01-14T07:00:00.000Z", "times": 9, "error": "long ago"},
        },
    }
    closed, broken = attention(picture(tmp_path, live=live_of_document(said)))
    assert closed.text == "actor notify cannot be opened, its work waits: the token is not valid"
    assert (closed.command, closed.urgent) == ("orgloop inspect actor notify", True)
    assert broken.text == "dispatcher broke 2 times, 1h ago: KeyError: 'x'"
    assert broken.command == "orgloop logs", "a daemon in a terminal has no log of its own"


def test_in_the_projects_directory_no_command_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sops").mkdir()
    monkeypatch.chdir(tmp_path / "sops")
    assert start_command(str(tmp_path)) == "orgloop start --daemon"
    assert start_command("/srv/my org") == "orgloop start --daemon --config '/srv/my org'"


def refused(times: int, ago: int) -> Live:
    return Live(refused={"github": Occurrences(times=times, at=NOW - ago, why="Invalid signature")})


@pytest.mark.parametrize(
    ("times", "ago", "told"),
    [
        (1, 0, False),
        (2, MINUTE, False),
        (3, MINUTE, True),
        (3, 2 * HOUR, True),
        (3, 13 * HOUR, False),
    ],
)
def test_one_or_two_refused_requests_are_no_alarm(times: int, ago: int, told: bool, tmp_path: Path) -> None:
    assert bool(attention(picture(tmp_path, live=refused(times, ago)))) is told


def test_a_sender_that_is_not_proven_is_told_at_once(tmp_path: Path) -> None:
    """Its secret may be wrong, and then none of its events comes in."""
    told = live_of_document({"sources": [{**refusing(timestamp(NOW)), "refused": 1, "refused_unproven": 1}]})
    (item,) = attention(picture(tmp_path, live=told))
    assert (item.kind, item.name) == ("refused", "github")


def test_what_was_dismissed_is_told_again_once_it_happens_again(tmp_path: Path) -> None:
    seen = picture(tmp_path, live=refused(5, MINUTE))
    (item,) = attention(seen)
    assert item.as_json()["dismissible"] is True
    assert attention(replace(seen, dismissed={item.id: NOW})) == []
    assert attention(replace(seen, dismissed={item.id: NOW - 2 * MINUTE})) == [item]


def test_what_still_is_so_cannot_be_dismissed(tmp_path: Path) -> None:
    seen = picture(tmp_path, backlog=[backlog(State.DEAD, reason="rejected")])
    (item,) = attention(seen)
    assert attention(replace(seen, dismissed={item.id: NOW})) == [item]


def test_a_paused_actor_is_told_at_once_with_the_command_that_helps(tmp_path: Path) -> None:
    waits = [pending(HOUR)]
    (item,) = attention(picture(tmp_path, actors=[actor(SECOND)], backlog=waits))
    assert (item.kind, item.urgent, item.command) == ("paused", False, "orgloop inspect actor engineer")
    login = replace(actor(SECOND).pause, reason="not logged in; type `claude auth login`")  # type: ignore[type-var]
    (item,) = attention(picture(tmp_path, actors=[replace(actor(SECOND), pause=login)]))
    assert (item.urgent, item.command) == (True, "claude auth login")


def test_a_journal_that_cannot_be_written_is_urgent_and_an_error(tmp_path: Path) -> None:
    full = picture(tmp_path, live=Live(journal_fault="the disk is full"))
    (item,) = attention(full)
    assert (full.health, item.kind, item.urgent, item.command) == ("error", "journal", True, "orgloop doctor")
    assert "the disk is full" in item.text


@pytest.mark.parametrize(("room", "told"), [(None, []), (1 << 40, []), (1 << 25, [False]), (1 << 20, [True])])
def test_little_room_on_the_disk_is_told(room: int | None, told: list[bool], tmp_path: Path) -> None:
    assert [one.urgent for one in attention(picture(tmp_path, room=room))] == told


HEALTH: list[tuple[dict[str, Any], str]] = [
    ({}, "ok"),
    ({"daemon": None, "live": None}, "stopped"),
    ({"live": None, "fault": "no answer"}, "error"),
    ({"sources": [source(0)]}, "ok"),
    ({"sources": [source(1)]}, "degraded"),
    ({"sources": [source(5)]}, "error"),
    ({"actors": [actor(SECOND)]}, "degraded"),
    ({"live": Live(not_open={"notify": "no token"})}, "degraded"),
]


@pytest.mark.parametrize(("given", "health"), HEALTH)
def test_health_is_one_word(given: dict[str, Any], health: str, tmp_path: Path) -> None:
    assert picture(tmp_path, **given).health == health


def test_a_source_without_an_event_is_healthy_while_a_daemon_listens_and_unknown_else() -> None:
    new = SourceStatus(id="hooks", connector="webhook", row=None)
    assert (new.health, replace(new, heard=False).health) == ("healthy", "unknown")


@pytest.mark.parametrize(
    ("outcome", "text", "said"),
    [
        ("success", "Done.\n```sh\nmake\n```\n", "Done."),
        ("success", "```text\nall is well\n```", "all is well"),
        ("success", "\x1b[32mDone.\x1b[0m", "Done."),
        ("failure", "the build fails\n```", "the build fails"),
        ("failure", "\x1b[31mthe build fails\x1b[0m\n~~~\n", "the build fails"),
    ],
)
def test_what_a_run_says_is_words(outcome: str, text: str, said: str, tmp_path: Path) -> None:
    ended = replace(run(tmp_path, began=HOUR), ended_at=NOW, outcome=outcome, text=text)
    assert run_words(ended) == (said, "")
