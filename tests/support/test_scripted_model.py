"""The scripted model does what its script says, in this process and as a program."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.model_script import Drop, Gate, Json, Refuse, Request, Rule, Say, Script, ToolCall, Usage
from tests.support.scripted_model import ScriptedModel

ROOT = Path(__file__).parents[2]
SECONDS = 20


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:
        yield session


def ask(*messages: Any, stream: bool = False, **fields: Json) -> dict[str, Json]:
    turns = [m if isinstance(m, dict) else {"role": "user", "content": m} for m in messages]
    return {"model": "claude-x", "max_tokens": 9, "messages": turns, "stream": stream, **fields}


async def send(http: aiohttp.ClientSession, method: str, url: str, body: Json = None) -> tuple[int, Json]:
    """Status and decoded body of one answer."""
    async with http.request(method, url, json=body) as answer:
        return answer.status, await answer.json()


def events_of(stream: str) -> list[dict[str, Json]]:
    return [
        json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")
    ]


def request(**body: Json) -> Request:
    return Request(number=1, path="/v1/messages", headers={}, body=body)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule(answer=Say(), says="merge"), True),
        (Rule(answer=Say(), says="first"), False),
        (Rule(answer=Say(), says="be brief"), False),
        (Rule(answer=Say(), conversation="first"), True),
        (Rule(answer=Say(), conversation="second"), False),
        (Rule(answer=Say(), system="be careful"), True),
        (Rule(answer=Say(), system="merge"), False),
        (Rule(answer=Say(), model="opus"), True),
        (Rule(answer=Say(), model="haiku"), False),
        (Rule(answer=Say(), number=1), True),
        (Rule(answer=Say(), number=2), False),
        (Rule(answer=Say(), says="merge", number=2), False),
    ],
)
def test_a_rule_fits_when_all_its_conditions_do(rule: Rule, fits: bool) -> None:
    asked = request(
        model="claude-opus-4",
        system=[{"type": "text", "text": "be careful"}],
        messages=[
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": [{"type": "text", "text": "ok"}]},
            {"role": "user", "content": "<system-reminder>\nbe brief\n</system-reminder>\nmerge it"},
        ],
    )
    assert rule.fits(asked) is fits


def test_prompts_are_what_the_user_said_and_what_tools_gave() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "42"}]}
    asked = request(
        messages=[
            {"role": "user", "content": "<system-reminder>x</system-reminder>\n\nadd"},
            {"role": "assistant", "content": "let me see"},
            {"role": "user", "content": [result]},
        ],
    )
    assert asked.prompts == ["add", "42"]


def test_rules_answer_in_order_and_are_used_up() -> None:
    script = Script()
    script.on("a", Say(text="first"))
    script.on("", Say(text="second"), times=2)
    answers = [script.take("/", {}, ask("a")) for _ in range(4)]
    said = [answer.text for answer in answers if isinstance(answer, Say)]
    assert said == ["first", "second", "second"]
    assert isinstance(answers[3], Refuse)
    assert "'a'" in answers[3].message


def test_a_rule_without_limit_is_never_used_up() -> None:
    script = Script()
    script.on("", Say(text="always"), times=None)
    assert [script.take("/", {}, ask("a")) for _ in range(3)] == [Say(text="always")] * 3


async def test_it_says_text_and_calls_tools(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    call = ToolCall(name="Bash", input={"command": "ls"})
    model.script.on("go", Say(text="now", tools=[call], usage=Usage(input_tokens=7)), times=2)
    _, whole = await send(http, "POST", f"{model.url}/v1/messages", ask("go"))
    assert [block["type"] for block in whole["content"]] == ["text", "tool_use"]
    assert whole["content"][1]["input"] == {"command": "ls"}
    assert (whole["stop_reason"], whole["usage"]["input_tokens"]) == ("tool_use", 7)
    async with http.post(f"{model.url}/v1/messages?beta=true", json=ask("go", stream=True)) as answer:
        events = events_of(await answer.text())
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "now"
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"command": "ls"}
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    assert events[-2]["usage"]["output_tokens"] == 5


async def test_a_refusal_has_its_status_its_headers_and_the_shape_of_the_api(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    refusal = Refuse(status=429, kind="rate_limit_error", message="slow", headers={"retry-after": "3"})
    model.script.on("", refusal)
    async with http.post(f"{model.url}/v1/messages", json=ask("hi")) as answer:
        assert (answer.status, answer.headers["retry-after"]) == (429, "3")
        assert (await answer.json())["error"] == {"type": "rate_limit_error", "message": "slow"}


async def test_a_dropped_answer_breaks_the_connection(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.script.on("", Drop())
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await send(http, "POST", f"{model.url}/v1/messages", ask("hi"))
    model.script.on("", Drop(mid_stream=True))
    async with http.post(f"{model.url}/v1/messages", json=ask("hi", stream=True)) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_gate_holds_an_answer_until_it_is_opened(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.script.on("first", Say(text="late", gate="door"))
    model.script.on("second", Say(text="at once"))
    asking = asyncio.create_task(send(http, "POST", f"{model.url}/v1/messages", ask("first")))
    await model.script.gate("door").reached()
    _, second = await send(http, "POST", f"{model.url}/v1/messages", ask("second"))
    assert second["content"] == [{"type": "text", "text": "at once"}]
    assert not asking.done()
    model.script.gate("door").open()
    _, first = await asking
    assert first["content"] == [{"type": "text", "text": "late"}]


async def test_a_gate_in_mid_stream_lets_the_first_half_through(
    model: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    model.script.on("", Say(text="half and half", gate="door", gate_mid_stream=True))
    async with http.post(f"{model.url}/v1/messages", json=ask("hi", stream=True)) as answer:
        await model.script.gate("door").reached()
        early = b""
        while b"half a" not in early:
            early += await answer.content.readany()
        assert b"nd half" not in early
        model.script.gate("door").open()
        assert b"nd half" in await answer.content.read()


async def test_a_gate_sees_that_a_client_leaves(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.script.on("", Say(text="too late", gate="door"))
    asking = asyncio.create_task(send(http, "POST", f"{model.url}/v1/messages", ask("hi")))
    await model.script.gate("door").reached()
    asking.cancel()
    await model.script.gate("door").left()


async def test_the_record_is_awaited(model: ScriptedModel, http: aiohttp.ClientSession) -> None:
    model.script.on("", Say(), times=None)
    waiting = asyncio.create_task(model.script.asked(2))
    for prompt in ("one", "two"):
        await send(http, "POST", f"{model.url}/v1/messages", ask(prompt))
    assert [seen.prompts for seen in await waiting] == [["one"], ["two"]]


async def test_waiting_for_what_does_not_come_ends_with_an_error() -> None:
    with pytest.raises(TimeoutError, match="nothing came to the gate"):
        Gate().wait_reached(0.01)
    with pytest.raises(TimeoutError, match="no client left the gate"):
        await Gate().left(0.01)
    with pytest.raises(TimeoutError, match="0 of 1 requests"):
        Script().wait_requests(1, 0.01)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_is_not_part_of_the_api_is_not_found(
    model: ScriptedModel, http: aiohttp.ClientSession, method: str
) -> None:
    status, body = await send(http, method, f"{model.url}/v1/other")
    assert (status, body["error"]["type"]) == (404, "not_found_error")


async def test_closing_ends_an_answer_that_is_held(http: aiohttp.ClientSession) -> None:
    with ScriptedModel() as model:
        model.script.on("", Say(gate="never"))
        asking = asyncio.create_task(send(http, "POST", f"{model.url}/v1/messages", ask("hi")))
        await model.script.gate("never").reached()
    with pytest.raises(aiohttp.ClientError):
        await asking


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Process]:
    """The model as a program, with one rule from a file."""
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"says": "one", "answer": {"text": "from the file", "gate": "door"}}]))
    command = [sys.executable, "-m", "tests.support.scripted_model", "--rules", str(rules)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_as_a_program_it_is_ruled_over_http(http: aiohttp.ClientSession, program: Process) -> None:
    assert program.stdout is not None
    url = json.loads(await asyncio.wait_for(program.stdout.readline(), SECONDS))["url"]
    asking = asyncio.create_task(send(http, "POST", f"{url}/v1/messages", ask("one")))
    assert await send(http, "GET", f"{url}/control/gates/door") == (200, None)
    assert await send(http, "POST", f"{url}/control/gates/door") == (200, None)
    _, first = await asking
    assert first["content"][0]["text"] == "from the file"

    limit = {"answer": {"status": 529, "kind": "overloaded_error"}, "times": None}
    assert await send(http, "POST", f"{url}/control/rules", [limit]) == (200, None)
    both = asyncio.create_task(send(http, "GET", f"{url}/control/requests?count=2"))
    _, so_far = await send(http, "GET", f"{url}/control/requests")
    assert [seen["number"] for seen in so_far] == [1]
    status, _ = await send(http, "POST", f"{url}/v1/messages", ask("two"))
    assert status == 529
    _, record = await both
    assert [seen["body"]["messages"][0]["content"] for seen in record] == ["one", "two"]

    status, wrong = await send(http, "POST", f"{url}/control/rules", [{"answer": {"txet": "x"}}])
    assert (status, "txet" in wrong["error"]) == (400, True)
    assert await send(http, "DELETE", f"{url}/control/rules") == (200, None)
    assert await send(http, "GET", f"{url}/control/requests") == (200, [])

    program.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(program.wait(), SECONDS) == 0
