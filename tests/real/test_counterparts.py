"""The kit works: the real Claude Code CLI talks to the scripted model, and the payloads are there."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from tests.support.github_payloads import GithubPayloads
from tests.support.model_script import Drop, Refuse, Say, ToolCall, Usage
from tests.support.scripted_model import ScriptedModel

pytestmark = pytest.mark.real

SECONDS = 60

Line = dict[str, Any]


class Claude:
    """Runs the CLI in one folder, as OrgLoop would: prompt on standard input, one JSON value a line."""

    def __init__(self, cli: Path, env: dict[str, str], cwd: Path) -> None:
        self._cli, self._env, self._cwd = cli / "claude", env, cwd

    async def start(self, prompt: str, *options: str) -> Process:
        fixed = ["-p", "--output-format", "stream-json", "--verbose", "--model", "opus"]
        process = await asyncio.create_subprocess_exec(
            self._cli, *fixed, *options, env=self._env, cwd=self._cwd, stdin=PIPE, stdout=PIPE, limit=1 << 24
        )
        assert process.stdin is not None
        process.stdin.write(prompt.encode())
        process.stdin.close()
        return process

    async def finish(self, process: Process) -> tuple[int, list[Line]]:
        """Exit status and lines."""
        try:
            output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, [json.loads(line) for line in output.splitlines()]

    async def run(self, prompt: str, *options: str) -> tuple[int, list[Line]]:
        return await self.finish(await self.start(prompt, *options))


@pytest.fixture
def claude(claude_cli: Path, claude_env: dict[str, str], tmp_path: Path) -> Claude:
    folder = tmp_path / "project"
    folder.mkdir()
    return Claude(claude_cli, claude_env, folder)


async def test_a_session_goes_on_where_it_stopped(claude: Claude, scripted_model: ScriptedModel) -> None:
    script, session = scripted_model.script, str(uuid.uuid4())
    script.on("review", Say(text="Fix the title.", usage=Usage(input_tokens=1_000_000, output_tokens=0)))
    script.on("title is fixed", Say(text="Approved."), conversation="Fix the title.")

    status, lines = await claude.run("Please review.", "--session-id", session)
    result = lines[-1]
    assert status == 0
    assert [line["type"] for line in lines] == ["system", "assistant", "result"]
    assert (result["result"], result["session_id"], result["is_error"]) == ("Fix the title.", session, False)
    assert result["total_cost_usd"] == pytest.approx(5.0)

    status, lines = await claude.run("The title is fixed.", "--resume", session)
    assert (status, lines[-1]["result"], lines[-1]["session_id"]) == (0, "Approved.", session)
    assert [request.prompts for request in script.requests] == [
        ["Please review."],
        ["Please review.", "The title is fixed."],
    ]
    assert {request.headers["x-api-key"] for request in script.requests} == {"dummy"}
    assert all("Bash" in request.tools and request.system for request in script.requests)


async def test_a_tool_call_is_really_made(
    claude: Claude, scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    script = scripted_model.script
    call = ToolCall(name="Bash", input={"command": "echo made by the agent | tee made.txt"})
    script.on("make it", Say(tools=[call]))
    script.on("made by the agent", Say(text="Done."))
    status, lines = await claude.run("make it", "--allowedTools", "Bash")
    assert (status, lines[-1]["result"]) == (0, "Done.")
    assert (tmp_path / "project/made.txt").read_text() == "made by the agent\n"
    assert script.requests[1].prompts == ["make it", "made by the agent"]


async def test_a_held_answer_keeps_its_session_waiting_while_another_goes_on(
    claude: Claude, scripted_model: ScriptedModel
) -> None:
    script = scripted_model.script
    script.on("first", Say(text="Here I am.", gate="door"))
    script.on("second", Say(text="At once."))
    first = await claude.start("the first")
    await script.gate("door").reached()
    _, lines = await claude.run("the second")
    assert lines[-1]["result"] == "At once."
    assert first.returncode is None
    script.gate("door").open()
    _, lines = await claude.finish(first)
    assert lines[-1]["result"] == "Here I am."


async def test_the_model_sees_that_an_agent_was_killed(claude: Claude, scripted_model: ScriptedModel) -> None:
    gate = scripted_model.script.gate("door")
    scripted_model.script.on("", Say(text="too late", gate="door"))
    process = await claude.start("hello")
    await gate.reached()
    process.kill()
    await gate.left()
    status, lines = await claude.finish(process)
    assert status == -signal.SIGKILL
    assert "result" not in {line["type"] for line in lines}


async def test_a_refused_request_is_tried_again(claude: Claude, scripted_model: ScriptedModel) -> None:
    limit = Refuse(status=429, kind="rate_limit_error", message="slow down", headers={"retry-after": "0"})
    scripted_model.script.on("", limit)
    scripted_model.script.on("", Say(text="Now."))
    status, lines = await claude.run("hello")
    retries = [line["error_status"] for line in lines if line.get("subtype") == "api_retry"]
    assert (status, retries, lines[-1]["result"]) == (0, [429], "Now.")


async def test_an_answer_that_breaks_off_is_asked_for_again(
    claude: Claude, scripted_model: ScriptedModel
) -> None:
    scripted_model.script.on("", Drop(mid_stream=True))
    scripted_model.script.on("", Say(text="In one piece."))
    status, lines = await claude.run("hello")
    assert (status, lines[-1]["result"]) == (0, "In one piece.")
    assert [request.body.get("stream", False) for request in scripted_model.script.requests] == [True, False]


async def test_a_prompt_without_a_rule_fails_and_is_quoted(
    claude: Claude, scripted_model: ScriptedModel
) -> None:
    scripted_model.script.on("something else", Say(text="never said"))
    status, lines = await claude.run("hello there")
    assert (status, lines[-1]["is_error"]) == (1, True)
    assert "the script has no rule for: 'hello there'" in lines[-1]["result"]


def test_payloads_are_found_by_event_and_action(github_payloads: GithubPayloads) -> None:
    assert len(github_payloads.events) > 50
    assert "review_requested" in github_payloads.actions("pull_request")
    closed = github_payloads.get("pull_request", "closed")
    assert (closed["action"], closed["pull_request"]["state"]) == ("closed", "closed")
    assert github_payloads.actions("push") == []
    assert all("commits" in push for push in github_payloads.all("push"))


def test_a_payload_is_a_copy(github_payloads: GithubPayloads) -> None:
    github_payloads.get("push")["ref"] = "changed"
    assert github_payloads.get("push")["ref"] != "changed"


@pytest.mark.parametrize(("event", "hint"), [("pull_request", "review_requested"), ("pull-request", "push")])
def test_a_payload_that_does_not_exist_names_those_that_do(
    github_payloads: GithubPayloads, event: str, hint: str
) -> None:
    with pytest.raises(LookupError, match=hint):
        github_payloads.get(event, "nonsense")
