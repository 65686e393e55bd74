"""The runner knows the program's own result: where it is, and that the program has to end now."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop import runner
from orgloop.runner.turns import members_of
from tests.runner.run_directory import RunDirectory, python, shell

TURNS = {
    "ends": [["type", "result"]],
    "begins": [["subtype", "init"]],
    "busy": ["subtype", "tasks_changed", "tasks"],
}
RESULT = '{"type":"result","result":"done"}'
BUSY = '{"type":"system","subtype":"tasks_changed","tasks":[{"id":"1"}]}'
IDLE = '{"type":"system","subtype":"tasks_changed","tasks": [ ]}'
INIT = '{"type":"system","subtype":"init"}'
SLEEP = "exec sleep 1000"


def says(*lines: str, then: str = SLEEP) -> list[str]:
    quoted = " ".join("'" + line.replace("'", "'\\''") + "'" for line in lines)
    return shell(f"printf '%s\\n' {quoted}; {then}")


def result_of(run: RunDirectory, end: dict[str, Any]) -> bytes:
    offset, length = end["result"]
    return run.read(runner.STDOUT)[offset : offset + length]


@pytest.mark.parametrize(
    "line",
    [
        RESULT,
        '{"stop_reason": "end_turn", "usage": {"a": [1]}, "result": "x", "type": "result", "n": 1}',
        '{"result":"cut \\ud83d","type":"result"}',
        '{"result":"a \\" and \\\\","type":"result"}',
        "\x1b]0;title\x07\x1b[?25h" + RESULT,
        'npm warn {"config" is old} ' + RESULT,
        "  " + RESULT + "  ",
    ],
)
def test_what_does_not_end_after_its_result_is_ended(run: RunDirectory, line: str) -> None:
    run.prepare(says("word", line), grace_s=0.3, limits={"silence_s": 3600}, turns=TURNS)
    end = run.hold()
    assert (end["stopped"], end["signal"]) == ("result", signal.SIGTERM)
    assert result_of(run, end) == line.encode()


@pytest.mark.parametrize(
    "line",
    [
        '{"type":"assistant","input":{"type":"result"}}',
        '{"type":"assistant","input":[{"type":"result"}]}',
        '{"type":"assistant","text":"{\\"type\\":\\"result\\"}"}',
        '{"a":"type","b":"result","type":"user"}',
        '{"type":"result"',
        '"type":"result"',
        '{"type":["result"]}',
    ],
)
def test_what_only_looks_like_a_result_is_none(run: RunDirectory, line: str) -> None:
    run.prepare(says(line), grace_s=0.3, limits={"total_s": 1.5}, turns=TURNS)
    end = run.hold()
    assert (end["stopped"], end["result"]) == ("total", None)


@pytest.mark.parametrize("more", [[INIT], [BUSY], [BUSY, IDLE, INIT]])
def test_what_works_on_after_a_result_is_left_alone(run: RunDirectory, more: list[str]) -> None:
    run.prepare(says(RESULT, *more), grace_s=0.2, limits={"total_s": 1.5}, turns=TURNS)
    end = run.hold()
    assert end["stopped"] == "total"
    assert result_of(run, end) == RESULT.encode()


def test_the_last_of_several_results_is_told(run: RunDirectory) -> None:
    last = '{"type":"result","result":"and done"}'
    end = run.prepare(says(RESULT, BUSY, IDLE, INIT, last), grace_s=0.2, turns=TURNS).hold()
    assert (end["stopped"], result_of(run, end)) == ("result", last.encode())


@pytest.mark.parametrize(
    ("limits", "stopped"), [({"total_s": 0.5}, "total"), ({"silence_s": 0.5}, "silence"), ({}, "requested")]
)
def test_a_result_that_comes_after_a_stop_is_told(
    run: RunDirectory, limits: dict[str, float], stopped: str
) -> None:
    script = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print({RESULT!r}), sys.exit()))"
    run.prepare(python(f"{script}; print('begun', flush=True); signal.pause()"), limits=limits, turns=TURNS)
    process = run.spawn()
    if not limits:
        run.said(b"begun")
        process.terminate()
    end = run.end()
    assert end["stopped"] == stopped
    assert result_of(run, end) == RESULT.encode()


def test_a_result_of_many_megabytes_is_found(run: RunDirectory) -> None:
    begin = '{"type":"result","denied":["'
    script = f"import signal; print({begin!r} + 'x' * (9 << 20) + '\"]}}', flush=True); signal.pause()"
    run.prepare(python(script), grace_s=0.3, turns=TURNS)
    end = run.hold()
    assert end["result"] == [0, run.path.joinpath(runner.STDOUT).stat().st_size - 1]


def test_a_result_without_a_newline_is_told_once_the_program_has_ended(run: RunDirectory) -> None:
    end = run.prepare(shell(f"printf '%s' '{RESULT}'"), turns=TURNS).hold()
    assert (end["stopped"], end["status"], result_of(run, end)) == (None, 0, RESULT.encode())


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.text() | st.integers() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()),
        max_size=6,
    )
)
def test_the_members_at_the_top_are_those_of_json(value: dict[str, Any]) -> None:
    found = members_of(json.dumps(value | {"type": "result"}).encode())
    assert found[b"type"] == b"result"
    plain = re.compile("[a-z0-9 ]+")
    for name, text in value.items():
        if isinstance(text, str) and plain.fullmatch(name) and plain.fullmatch(text) and name != "type":
            assert found[name.encode()] == text.encode()


def test_what_wrote_nothing_until_its_start_limit_gets_no_mild_signal(run: RunDirectory) -> None:
    script = "trap '' INT; sleep 1000 & wait"
    end = run.prepare(shell(script), limits={"start_s": 0.3}, stop_signal=signal.SIGINT).hold()
    assert (end["stopped"], end["signal"]) == ("start", signal.SIGTERM)


def test_output_beyond_its_limit_is_cut_off(run: RunDirectory) -> None:
    script = "trap '' TERM; exec cat /dev/zero"
    limit = 1 << 20
    end = run.prepare(shell(script), limits={"output_bytes": limit}, grace_s=3600).hold()
    assert (end["stopped"], end["signal"]) == ("output", signal.SIGKILL)
    assert run.path.joinpath(runner.STDOUT).stat().st_size <= limit + runner.FAREWELL


HOSTILE = {
    "a FIFO": "rm -f {0}; mkfifo {0}",
    "a directory": "rm -f {0}; mkdir -p {0}/inner; touch {0}/inner/file",
    "a link to another file": "echo precious > precious; ln -sf precious {0}",
    "a link to nowhere": "ln -sf nowhere/at/all {0}",
    "forged": 'echo \'{{"version":1,"duration_s":1e308}}\' > {0}',
}


@pytest.mark.parametrize("name", [runner.EXIT, runner.EXIT + ".tmp", runner.STDOUT, runner.LOG])
@pytest.mark.parametrize("trick", HOSTILE)
def test_a_program_that_replaces_the_files_of_its_run_has_an_end_all_the_same(
    run: RunDirectory, trick: str, name: str
) -> None:
    script = HOSTILE[trick].format(name) + f"; printf '%s\\n' '{RESULT}'; exit 3"
    end = run.prepare(shell(script), turns=TURNS).hold()
    assert (end["status"], end["stopped"]) == (3, None)
    assert end["result"] is not None
    assert run.read("precious") in (b"", b"precious\n")
    assert not run.path.joinpath(runner.EXIT).is_symlink()
