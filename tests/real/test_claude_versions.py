"""What versions of the Claude Code CLI differ in, or could: costs, limits, results, background work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orgloop.connectors.agents.claude_code.actor import ClaudeCodeActor
from orgloop.connectors.agents.claude_code.settings import SCHEDULING, ClaudeCodeSettings
from orgloop.core.events.session_lifecycle import RunOutcome
from orgloop.plugin import Completion, Limited, NotBegun, Unavailable, WakeSession
from tests.connectors.agents.held import Bench, Held
from tests.connectors.doubles import FakeContext, as_context
from tests.support.model_script import Refuse, Rule, Say, ToolCall, Usage
from tests.support.scripted_model import ScriptedModel

pytestmark = pytest.mark.real

TEN = Usage(input_tokens=10, output_tokens=5)
REJECTED = {
    "anthropic-ratelimit-unified-status": "rejected",
    "anthropic-ratelimit-unified-reset": "4102444800",
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
}


@pytest.fixture(params=["bin", "newest"])
def claude_folder(request: pytest.FixtureRequest) -> str:
    """Both versions that scripts/counterparts installs."""
    return str(request.param)


@pytest.fixture
def bench(tmp_path: Path, claude_env: dict[str, str]) -> Iterator[Bench]:
    """Where runs happen."""
    bench = Bench(tmp_path, claude_env)
    yield bench
    bench.close()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The directory in which the agent works."""
    folder = tmp_path / "app"
    folder.mkdir()
    return folder


async def agent(bench: Bench, app: Path, **config: Any) -> ClaudeCodeActor:
    settings = ClaudeCodeSettings.model_validate({"cwd": str(app), "model": "opus", **config})
    actor = ClaudeCodeActor("engineer", settings)
    await actor.open(as_context(FakeContext(environment=bench.environment)))
    return actor


async def test_a_restricted_run_reads_nothing_outside_its_directory_and_runs_nothing(
    bench: Bench, app: Path, scripted_model: ScriptedModel, claude_folder: str
) -> None:
    home = Path(bench.environment["HOME"])
    (home / "secret.txt").write_text("MAGIC-WORDS")
    (app / "near.txt").write_text("NEARBY-WORDS")
    script = scripted_model.script
    calls = [
        ToolCall(name="Read", input={"file_path": str(home / "secret.txt")}),
        ToolCall(name="Grep", input={"pattern": "MAGIC", "path": str(home), "output_mode": "content"}),
        ToolCall(name="Bash", input={"command": f"cat {home}/secret.txt"}),
        ToolCall(name="Read", input={"file_path": str(app / "near.txt")}),
    ]
    script.on("", Say(text="Looking.", tools=calls), number=1)
    script.on("", Say(text="Done."), times=None)
    actor = await agent(bench, app, sandbox="restricted", allowed_tools=["Read", "Grep"])
    end = await bench.run(actor, "Look around.").finish()
    if claude_folder == "bin":
        # It does not know the option, so it does nothing at all.
        assert isinstance(end, NotBegun)
        assert isinstance(end.outcome, Unavailable)
        assert script.requests == []
        return
    assert isinstance(end, Completion), end
    assert "Bash" not in script.requests[0].tools
    asked = json.dumps([request.body for request in script.requests])
    assert "NEARBY-WORDS" in asked
    assert "MAGIC-WORDS" not in asked.replace("secret.txt", "")


async def test_a_copy_of_a_session_costs_what_it_adds_and_leaves_it_as_it_is(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    script, actor = scripted_model.script, await agent(bench, app)
    script.on("", Say(text="Said.", usage=TEN), times=None)
    first = await bench.run(actor, "first-words", session=WakeSession(key="k")).complete()
    known = WakeSession(key="k", id=first.session_id, fork=True)
    held = bench.run(actor, "second-words", session=known)
    copy = await held.complete()
    assert copy.session_id == held.spec.session_id != first.session_id
    assert "first-words" in script.requests[-1].conversation
    again = WakeSession(key="k", id=first.session_id)
    third = await bench.run(actor, "third-words", session=again).complete()
    assert third.session_id == first.session_id
    assert "second-words" not in script.requests[-1].conversation
    assert first.context_tokens is not None
    assert first.context_tokens >= 10
    if copy.cost_usd is not None:
        assert copy.cost_usd == pytest.approx(first.cost_usd)


def spent(held: Held) -> dict[str, float]:
    """By request what it cost, by our own estimate."""
    lines = held.files.read("stdout").decode().split("\n")
    read = (held.actor.read(line) for line in lines)
    return dict(one.spent for one in read if one is not None and one.spent is not None)


async def test_each_run_of_a_session_has_its_own_cost(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    scripted_model.script.add([Rule(answer=Say(text="Hello.", usage=TEN), times=None)])
    actor, known, costs = await agent(bench, app), WakeSession(key="k"), []
    for _ in range(3):
        end = await bench.run(actor, "Go.", session=known).complete()
        known = WakeSession(key="k", id=end.session_id)
        costs.append(end.cost_usd)
        assert end.tokens == {"input": 10, "output": 5, "cache_read": 0, "cache_creation": 0}
    assert costs[0] is not None
    assert costs == pytest.approx([costs[0]] * 3)


async def test_what_was_stopped_has_an_estimated_cost(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    call = ToolCall(name="Bash", input={"command": "echo x"})
    scripted_model.script.on("Go", Say(text="I begin.", tools=[call], usage=Usage(input_tokens=1_000_000)))
    scripted_model.script.on("", Say(text="never heard", gate="door"))
    held = bench.run(await agent(bench, app, allowed_tools=["Bash"]), "Go.")
    await scripted_model.script.gate("door").reached()
    held.stop()
    assert (await held.complete()).outcome is RunOutcome.CANCELLED
    assert sum(spent(held).values()) == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize("headers", [REJECTED])
async def test_a_usage_limit_at_the_first_request_is_waited_for(
    bench: Bench, app: Path, scripted_model: ScriptedModel, headers: dict[str, str]
) -> None:
    scripted_model.script.on("", Refuse(status=429, kind="rate_limit_error", headers=headers), times=None)
    bench.environment |= {"CLAUDE_CODE_OAUTH_TOKEN": "dummy", "ANTHROPIC_API_KEY": ""}
    end = await bench.run(await agent(bench, app), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Limited)
    assert (end.outcome.account, end.outcome.until) == ("CLAUDE_CODE_OAUTH_TOKEN", 4102444800000)


async def test_what_a_key_is_told_to_wait_is_waited(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    refused = Refuse(status=429, kind="rate_limit_error", headers={"retry-after": "1"})
    scripted_model.script.on("", refused, times=None)
    bench.environment["CLAUDE_CODE_MAX_RETRIES"] = "1"
    held = bench.run(await agent(bench, app), "Go.")
    exit = await held.exit()
    end = held.actor.finish(exit)
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Limited)
    assert 1_000 <= end.outcome.until - exit.ended_at <= 2_000


async def test_a_limit_after_paid_work_ends_the_run(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    scripted_model.script.on("Go", Say(tools=[ToolCall(name="Bash", input={"command": "echo x"})]))
    scripted_model.script.on("", Refuse(status=429, kind="rate_limit_error", headers=REJECTED), times=None)
    bench.environment |= {"CLAUDE_CODE_OAUTH_TOKEN": "dummy", "ANTHROPIC_API_KEY": ""}
    end = await bench.run(await agent(bench, app, allowed_tools=["Bash"]), "Go.").complete()
    assert end.reason == "usage_limit"
    assert end.details["limit_until"] == "2100-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (403, "permission_error", "OAuth authentication is currently not allowed for this organization."),
        (400, "invalid_request_error", "This organization has been disabled."),
    ],
)
async def test_a_login_that_is_not_allowed_leaves_the_work_waiting(
    bench: Bench, app: Path, scripted_model: ScriptedModel, status: int, kind: str, message: str
) -> None:
    scripted_model.script.on("", Refuse(status=status, kind=kind, message=message), times=None)
    bench.environment |= {
        "CLAUDE_CODE_OAUTH_TOKEN": "dummy",
        "ANTHROPIC_API_KEY": "",
        "CLAUDE_CODE_MAX_RETRIES": "0",
    }
    end = await bench.run(await agent(bench, app), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert "claude auth login" in end.outcome.reason


async def test_a_changed_system_prompt_reaches_a_session_that_goes_on(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    scripted_model.script.add([Rule(answer=Say(text="Hello."), times=None)])
    first = await agent(bench, app, append_system_prompt="Be a FIRST one.")
    end = await bench.run(first, "Go.", session=WakeSession(key="k")).complete()
    second = await agent(bench, app, append_system_prompt="Be a SECOND one.")
    known = WakeSession(key="k", id=end.session_id)
    await bench.run(second, "Go on.", session=known).complete()
    assert "Be a SECOND one." in json.dumps(scripted_model.script.requests[-1].body["system"])


async def test_commands_in_the_background_are_named_and_do_not_cost_the_result(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    call = ToolCall(name="Bash", input={"command": "sleep 1000", "run_in_background": True})
    scripted_model.script.on("Go", Say(tools=[call]))
    scripted_model.script.add([Rule(answer=Say(text="Started it."), times=None)])
    actor = await agent(bench, app, allowed_tools=["Bash"], silence_timeout="9s")
    end = await bench.run(actor, "Go.").complete()
    assert (end.outcome, end.text) == (RunOutcome.SUCCESS, "Started it.")
    assert end.details["ended_tasks"] == ["sleep 1000"]


async def test_the_result_of_resumed_background_work_is_the_last(
    bench: Bench, app: Path, scripted_model: ScriptedModel, claude_folder: str
) -> None:
    call = ToolCall(name="Bash", input={"command": "sleep 3; echo x", "run_in_background": True})
    scripted_model.script.on("Go", Say(tools=[call], usage=TEN))
    scripted_model.script.add([Rule(answer=Say(text="Started it.", usage=TEN))])
    scripted_model.script.add([Rule(answer=Say(text="It is done.", usage=TEN), times=None)])
    actor = await agent(bench, app, allowed_tools=["Bash"], grace="1s")
    end = await bench.run(actor, "Go.").complete()
    assert end.outcome is RunOutcome.SUCCESS
    if claude_folder == "newest":
        assert (end.text, end.tokens) == (
            "It is done.",
            {"input": 30, "output": 15, "cache_read": 0, "cache_creation": 0},
        )
        assert end.cost_usd == pytest.approx(3 * (10 * 4 + 5 * 20) / 1e6)


async def test_a_question_to_nobody_is_told_apart_from_done(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    option = {"label": "A", "description": "a"}
    question = {"question": "Which?", "header": "Pick", "multiSelect": False, "options": [option, option]}
    asks = ToolCall(name="AskUserQuestion", input={"questions": [question]})
    scripted_model.script.on("Go", Say(text="Tell me.", tools=[asks]))
    scripted_model.script.add([Rule(answer=Say(text="I cannot ask."), times=None)])
    end = await bench.run(await agent(bench, app), "Go.").complete()
    assert (end.outcome, end.reason) == (RunOutcome.SUCCESS, "asked")
    assert end.details == {"needs_you": True, "asked": "Which?"}


@pytest.mark.parametrize("allowed", [False, True])
async def test_tools_that_schedule_are_not_offered(
    bench: Bench, app: Path, scripted_model: ScriptedModel, allowed: bool
) -> None:
    scripted_model.script.add([Rule(answer=Say(text="Hello."), times=None)])
    held = bench.run(await agent(bench, app, scheduling=allowed), "Go.")
    await held.complete()
    init = json.loads(held.files.read("stdout").split(b"\n")[0])
    assert bool(set(init["tools"]) & set(SCHEDULING)) is allowed


async def test_a_start_limit_ends_the_session_and_not_only_its_hook(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    hook = {"hooks": [{"type": "command", "command": "sleep 1000", "timeout": 1000}]}
    settings = Path(bench.environment["HOME"]) / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"hooks": {"SessionStart": [hook]}}))
    actor = await agent(bench, app, start_timeout="4s", timeout="8s", grace="1s")
    end = await bench.run(actor, "Go.").finish()
    assert scripted_model.script.requests == [], "no session was paid for"
    assert isinstance(end, NotBegun) or end.outcome is not RunOutcome.SUCCESS


@pytest.mark.parametrize(
    "message",
    ["prompt is too long: 210000 tokens > 200000 maximum", "messages.1: `tool_use` without `tool_result`"],
)
async def test_a_history_that_is_refused_has_no_output_of_the_agent(
    bench: Bench, app: Path, scripted_model: ScriptedModel, message: str
) -> None:
    scripted_model.script.on("Go", Say(text="Hello."))
    scripted_model.script.on(
        "", Refuse(status=400, kind="invalid_request_error", message=message), times=None
    )
    actor = await agent(bench, app)
    first = await bench.run(actor, "Go.", session=WakeSession(key="k")).complete()
    held = bench.run(actor, "Again.", session=WakeSession(key="k", id=first.session_id))
    end = await held.finish()
    assert isinstance(end, Completion)
    assert end.outcome is RunOutcome.FAILURE
    read = [actor.read(line) for line in held.files.read("stdout").decode().split("\n")]
    assert not any(line.alive for line in read if line is not None)
