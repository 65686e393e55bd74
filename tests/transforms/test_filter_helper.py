"""filter with a helper process: jq programs, and regular expressions that may never end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
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

BIG = 12345678901234567890123
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
            # The last argument is 0 for those that work for filters, and ends those that try them by itself.
            if program in (arguments := child.cmdline()) and float(arguments[-1]) == 0:
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


async def test_a_jq_program_sees_no_environment_at_all(make: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    step = make(jq="{id: ($ENV + env | keys | tojson)}")
    assert await step.apply(EVENT, SCOPE) == Change(document={"id": "[]"})


@pytest.mark.parametrize(
    "program", ["repeat(1)", "range(1e12)", "recurse(. + [1]; true)", "[range(1e9)]", "def f: 1 + f; f"]
)
async def test_a_program_that_makes_values_without_end_fails_within_its_bounds(
    make: Opener, program: str
) -> None:
    assert isinstance(await make(jq=program, timeout="500ms").apply(EVENT, SCOPE), Failure)


async def test_what_jq_writes_elsewhere_harms_nobody(make: Opener) -> None:
    for program in (
        "debug | stderr",
        "halt",
        "halt_error",
        "input",
        "input_filename",
        '@sh "\\(.id)" | debug',
    ):
        step = make(jq=program)
        await step.apply(EVENT, SCOPE)
        assert await make(jq=".id").apply(EVENT, SCOPE) == Pass(), program


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            ".payload.seen = true",
            {"big": BIG, "same": [2**64 + 1, 2**64 + 2], "seen": True},
        ),
        (".payload |= {moved: .big}", {"moved": 12345678901234567890123}),
        (".payload |= {small: (.big - .big)}", {"small": 0}),
        (".payload.same |= .[0:1]", {"big": BIG, "same": [2**64 + 1]}),
    ],
)
async def test_large_numbers_keep_their_digits(make: Opener, program: str, expected: object) -> None:
    payload = {"big": BIG, "same": [2**64 + 1, 2**64 + 2]}
    result = await make(jq=program).apply({**EVENT, "payload": payload}, SCOPE)
    assert isinstance(result, Change)
    assert result.document["payload"] == expected


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
    process.stdin.write(helper._framed({"jq": '{id: "x", payload: ("y" * 9000000)}', "limit_s": 20}, b"{}"))
    # Until asyncio reads no further, since nobody takes the answer.
    buffer: bytearray = getattr(process.stdout, "_buffer")  # noqa: B009
    async with asyncio.timeout(20):
        while len(buffer) < 2**17:
            await asyncio.wait((asyncio.create_task(process.wait()),), timeout=0.01)
        await helper._end(process)


async def test_many_filters_share_a_few_helpers(make: Opener) -> None:
    steps = [make(jq=f".payload.count != {number}") for number in range(60)]
    steps += [make(match={"payload.title": f"/^(?!Draft {number})/"}) for number in range(60)]
    for _ in range(2):
        assert await asyncio.gather(*(step.apply(EVENT, SCOPE) for step in steps)) == [
            Discard(reason="jq gave false") if number == EVENT["payload"]["count"] else Pass()
            for number in range(120)
        ]
    assert len(helpers()) <= helper.MOST
    assert sum(one.memory_info().rss for one in helpers()) < 60 * 1024**2
    for step in steps[1:]:
        await step.close()
    assert await steps[0].apply(EVENT, SCOPE) == Pass(), "others that close take nothing away"


async def test_slow_filters_leave_a_helper_to_the_others(
    make: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f'if .id == "evt_1" then {ENDLESS} else true end'
    slow = [make(jq=f"{program} # {number}", timeout="90s") for number in range(helper.MOST + 1)]
    good = make(jq="true", timeout="90s")
    with monkeypatch.context() as context:
        context.setattr(helper, "SLOW_S", 0.0)
        for step in slow:
            assert await step.apply({**EVENT, "id": "evt_2"}, SCOPE) == Pass()
    busy = [asyncio.create_task(step.apply(EVENT, SCOPE)) for step in slow]
    async with asyncio.timeout(60):
        for _ in range(5):
            assert await good.apply(EVENT, SCOPE) == Pass()
    assert not any(one.done() for one in busy)
    for one in busy:
        one.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def test_a_helper_that_became_large_is_replaced(make: Opener) -> None:
    step = make(jq='[range(if .id == "evt_1" then 4000000 else 1 end)] | length > 0', timeout="20s")
    assert await step.apply({**EVENT, "id": "evt_2"}, SCOPE) == Pass()
    assert len(helpers()) == 1
    large = make(jq='{id: .id, payload: ("y" * 15000000)}', timeout="20s")
    await large.apply(EVENT, SCOPE)
    assert all(one.memory_info().rss < 60 * 1024**2 for one in helpers())
    assert await step.apply(EVENT, SCOPE) == Pass()
    assert all(one.memory_info().rss < 60 * 1024**2 for one in helpers())
    assert await step.apply({**EVENT, "id": "evt_2"}, SCOPE) == Pass()


async def test_a_large_event_passes_through(make: Opener) -> None:
    text = "ä" * 1_000_000
    step = make(jq="{id: .id, payload: .payload}")
    assert await step.apply({**EVENT, "payload": text}, SCOPE) == Change(
        document={"id": "evt_1", "payload": text}
    )


async def test_a_result_without_end_is_refused(make: Opener) -> None:
    step = make(jq='{id: "x", payload: ("y" * 17000000)}', timeout="20s")
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
        await Helper(1000).ask({"jq": "."}, b"1")


def test_a_program_that_cannot_run_says_why() -> None:
    with pytest.raises(ValueError, match="compile error"):
        opened(transform, {"jq": "("})


def test_programs_are_tried_in_one_process_that_ends_by_itself() -> None:
    def trials() -> set[int]:
        working = {one.pid for one in helpers()}
        return {one.pid for one in psutil.Process().children() if one.pid not in working}

    before = trials()
    for number in range(20):
        opened(transform, {"jq": f". != {number}"})
    started = trials() - before
    assert len(started) <= 1
    psutil.wait_procs([psutil.Process(pid) for pid in started], timeout=60)
    assert not trials() & started
    opened(transform, {"jq": "."})


def test_a_jq_program_that_explodes_while_it_is_compiled_hurts_nobody() -> None:
    with pytest.raises(ValueError, match="is not a program that can run: the helper process ended"):
        opened(transform, {"jq": '"x" * 1500000000'})


def test_without_the_jq_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orgloop.transforms.filter.find_spec", lambda _: None)
    with pytest.raises(PluginError, match="pip install jq"):
        opened(transform, {"jq": "."})


def test_a_busy_helper_ends_by_itself_when_its_daemon_is_gone() -> None:
    done = subprocess.run(
        [*helper._argv()],
        input=helper._framed({"jq": ENDLESS, "limit_s": 0.01}, b"{}"),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == -signal.SIGALRM
