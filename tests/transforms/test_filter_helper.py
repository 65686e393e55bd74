"""filter with a helper process: jq programs, and regular expressions that may never end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest

from orgloop.errors import PluginError
from orgloop.plugin import Change, Discard, Failure, Pass, Transform
from orgloop.transforms import helper
from orgloop.transforms.filter import transform
from orgloop.transforms.helper import Helper, HelperFailed
from tests.transforms.given import EVENT, SCOPE, opened

Opener = Callable[..., Transform]

ENDLESS = "last(range(1e18))"


@pytest.fixture
async def make() -> AsyncIterator[Opener]:
    """Opens filters, and closes them after the test."""
    steps: list[Transform] = []

    def open_filter(**config: Any) -> Transform:
        steps.append(opened(transform, config))
        return steps[-1]

    yield open_filter
    for step in steps:
        await step.close()


def helpers() -> list[psutil.Process]:
    program = str(helper.PROGRAM)
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # Or a zombie of somebody else's.
            if program in child.cmdline():
                found.append(child)
    return found


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("empty", Discard(reason="jq gave nothing")),
        ("null", Discard(reason="jq gave null")),
        (".payload.draft", Discard(reason="jq gave false")),
        ('.payload.labels | index("bug")', Pass()),
        ('.payload.labels | any(. == "p2")', Discard(reason="jq gave false")),
        ("true", Pass()),
        ("0", Pass()),
        ('""', Pass()),
        ("[.]", Pass()),
        ("{}", Pass()),
        ('{id: ""}', Pass()),
        (".", Pass()),
        ('{id: "x"}, {id: "y"}', Pass()),
        ("true, null", Discard(reason="jq gave null")),
        ("null, true", Pass()),
        ('{id: .id, payload: "é"}', Change(document={"id": "evt_1", "payload": "é"})),
        ('error("why")', Failure(reason="jq: why")),
        (".payload.title.x", Failure(reason='jq: Cannot index string with string ("x")')),
        ("$ENV | keys", Pass()),
    ],
)
async def test_what_jq_gives_decides(make: Opener, program: str, expected: object) -> None:
    step = make(jq=program)
    assert not step.bounded
    assert await step.apply(EVENT, SCOPE) == expected


async def test_a_helper_sees_nothing_of_our_environment(
    make: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    step = make(jq="if $ENV.GITHUB_TOKEN or $ENV.HOME then . else null end")
    assert await step.apply(EVENT, SCOPE) == Discard(reason="jq gave null")


async def test_an_endless_jq_program_is_ended_and_the_loop_stays_responsive(make: Opener) -> None:
    step = make(jq=f'if .id == "evt_1" then {ENDLESS} else true end', timeout="1s")
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(step.apply(EVENT, SCOPE))
    longest, last = 0.0, loop.time()
    while not work.done():
        await asyncio.wait((work,), timeout=0.005)
        longest, last = max(longest, loop.time() - last), loop.time()
    assert await work == Failure(reason="jq: no result within 1s")
    assert longest < 0.5
    assert helpers() == []
    assert await step.apply({**EVENT, "id": "evt_2"}, SCOPE) == Pass(), "a new helper answers"


async def test_a_jq_program_that_wants_all_memory_fails_alone(make: Opener) -> None:
    step = make(jq='if .id == "evt_1" then (.source * 300000000) else true end', timeout="20s")
    assert await step.apply(EVENT, SCOPE) == Failure(
        reason="jq: the helper process ended; too much memory, or a fault in its engine"
    )
    assert await step.apply({**EVENT, "id": "evt_2"}, SCOPE) == Pass()


async def test_a_helper_that_was_killed_is_started_again(make: Opener) -> None:
    step = make(jq="true")
    assert await step.apply(EVENT, SCOPE) == Pass()
    [first] = helpers()
    os.kill(first.pid, signal.SIGKILL)
    await asyncio.to_thread(psutil.wait_procs, [first], timeout=10)
    result = await step.apply(EVENT, SCOPE)
    if isinstance(result, Failure):
        # It may die between the question and the answer; then that one question has failed.
        result = await step.apply(EVENT, SCOPE)
    assert result == Pass()


async def test_one_helper_answers_many_questions_in_order(make: Opener) -> None:
    step = make(jq="{id: .id, n: (.payload * 2)}")
    asked = [{**EVENT, "payload": number} for number in range(50)]
    answers = await asyncio.gather(*(step.apply(document, SCOPE) for document in asked))
    assert [answer.document["n"] for answer in answers if isinstance(answer, Change)] == [
        number * 2 for number in range(50)
    ]
    assert len(helpers()) == 1


async def test_a_cancelled_question_does_not_answer_the_next_one(make: Opener) -> None:
    step = make(jq=f"if .payload == 1 then {ENDLESS} else {{id: .id, payload: .payload}} end")
    await step.apply({**EVENT, "payload": 0}, SCOPE)
    first = asyncio.create_task(step.apply({**EVENT, "payload": 1}, SCOPE))
    done, _ = await asyncio.wait((first,), timeout=0.02)
    assert not done
    first.cancel()
    assert await step.apply({**EVENT, "payload": 2}, SCOPE) == Change(document={"id": "evt_1", "payload": 2})
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_closing_ends_the_helper(make: Opener) -> None:
    step = make(jq="true")
    await step.apply(EVENT, SCOPE)
    assert len(helpers()) == 1
    await step.close()
    assert helpers() == []


async def test_a_helper_that_is_in_the_middle_of_a_long_answer_is_ended() -> None:
    process = await helper._start()
    assert process.stdin is not None
    for frame in ({"jq": '{id: "x", payload: ("y" * 9000000)}', "limit_s": 20}, {}):
        encoded = json.dumps(frame).encode()
        process.stdin.write(struct.pack(">I", len(encoded)) + encoded)
    # Until asyncio reads no further, since nobody takes the answer.
    buffer: bytearray = getattr(process.stdout, "_buffer")  # noqa: B009
    async with asyncio.timeout(20):
        while len(buffer) < 2**17:
            await asyncio.wait((asyncio.create_task(process.wait()),), timeout=0.01)
        await helper._end(process)


async def test_a_large_event_passes_through(make: Opener) -> None:
    text = "ä" * 1_000_000
    step = make(jq="{id: .id, payload: .payload}")
    assert await step.apply({**EVENT, "payload": text}, SCOPE) == Change(
        document={"id": "evt_1", "payload": text}
    )


async def test_a_result_without_end_is_refused(make: Opener) -> None:
    step = make(jq='{id: "x", payload: ("y" * 17000000)}')
    assert await step.apply(EVENT, SCOPE) == Failure(reason="jq: the result is larger than 16 MB")


async def test_an_error_that_says_the_whole_event_is_cut(make: Opener) -> None:
    result = await make(jq="error").apply({**EVENT, "payload": "x" * 100_000}, SCOPE)
    assert isinstance(result, Failure)
    assert len(result.reason) < 500


async def test_what_no_json_can_hold_does_not_stop_the_helper(make: Opener) -> None:
    step = make(jq='.payload | type == "string"')
    assert await step.apply({**EVENT, "payload": "\ud800"}, SCOPE) == Pass()


@pytest.mark.parametrize(
    ("pattern", "title", "passes"),
    [
        (r"/^(?!Draft)/", "Fix it", True),
        (r"/^(?!draft)/i", "Draft: x", False),
        (r"/^(?!draft)/", None, True),
        (r"/(?<word>\w+) \k<word>/", "the the", True),
        (r"/(\w)\1/", "abc", False),
        (r"/(?<=^a)\nb$/", "a\nb", True),
        (r"/(?=b)b$/", "b\n", False),
        (r"/(?=b)b$/m", "a\nb\nc", True),
        (r"/(?=a)a/y", "ba", False),
        (r"/(?=a)a.b/s", "a\nb", True),
        (r"/(?=.)\u{1F600}/", "\U0001f600", True),
    ],
)
async def test_lookaround_and_back_references_work(
    make: Opener, pattern: str, title: str | None, passes: bool
) -> None:
    step = make(match={"source": "github", "payload.title": [pattern, "never"]})
    assert not step.bounded
    result = await step.apply({**EVENT, "payload": {"title": title}}, SCOPE)
    assert isinstance(result, Pass if passes else Discard)


async def test_an_endless_regular_expression_is_ended(make: Opener) -> None:
    step = make(exclude={"payload.title": r"/(?=a)^(a+)+$/"}, timeout="1s")
    document = {**EVENT, "payload": {"title": "a" * 60 + "b"}}
    assert await step.apply(document, SCOPE) == Failure(reason="regular expression: no result within 1s")
    assert await step.apply(EVENT, SCOPE) == Pass()


async def test_fast_patterns_need_no_helper_even_beside_slow_ones(make: Opener) -> None:
    step = make(match={"source": "linear", "payload.title": "/(?!x)/"})
    assert isinstance(await step.apply(EVENT, SCOPE), Discard)
    assert helpers() == []


async def test_a_helper_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(HelperFailed, match="cannot be started"):
        await Helper({"jq": "."}, 1000).ask(b"1")


async def test_a_task_that_is_refused_says_why() -> None:
    with pytest.raises(HelperFailed, match="compile error"):
        await Helper({"jq": "("}, 1000).ask(b"1")
    assert helpers() == []


def test_a_jq_program_that_explodes_while_it_is_compiled_hurts_nobody() -> None:
    with pytest.raises(ValueError, match="is not a program that can run: the helper process ended"):
        opened(transform, {"jq": '"x" * 1500000000'})


def test_without_the_jq_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orgloop.transforms.filter.find_spec", lambda _: None)
    with pytest.raises(PluginError, match="pip install jq"):
        opened(transform, {"jq": "."})


def test_a_busy_helper_ends_by_itself_when_its_daemon_is_gone() -> None:
    frames = [{"jq": ENDLESS, "limit_s": 0.01}, {}]
    encoded = [json.dumps(frame).encode() for frame in frames]
    done = subprocess.run(
        [sys.executable, str(helper.PROGRAM)],
        input=b"".join(struct.pack(">I", len(frame)) + frame for frame in encoded),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == -signal.SIGALRM
