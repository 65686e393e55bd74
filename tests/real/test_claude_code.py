"""The real Claude Code CLI, started by the actor and held by the real runner; the model is scripted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orgloop.connectors.agents.claude_code import connector
from orgloop.connectors.agents.claude_code.actor import ClaudeCodeActor
from orgloop.connectors.agents.claude_code.settings import ClaudeCodeSettings
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin import CheckStatus, NotBegun, Retry, Unavailable, WakeSession
from tests.connectors.agents.held import Bench, how
from tests.connectors.doubles import FakeContext, as_context
from tests.support.model_script import Refuse, Rule, Say, ToolCall, Usage
from tests.support.scripted_model import ScriptedModel

pytestmark = pytest.mark.real

MILLION = Usage(input_tokens=1_000_000, output_tokens=0)


@pytest.fixture
def bench(tmp_path: Path, claude_env: dict[str, str]) -> Iterator[Bench]:
    """Where runs happen. What every test's CLI sees is this environment, cut to the allow list."""
    bench = Bench(tmp_path, claude_env)
    yield bench
    bench.close()


def agent(app: Path, **config: Any) -> ClaudeCodeActor:
    settings = {"cwd": str(app), "model": "opus", **config}
    return ClaudeCodeActor("engineer", ClaudeCodeSettings.model_validate(settings))


async def test_a_run_ends_with_its_result_cost_and_turns(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    words = 'Looks fine.\n```json\n{"decision": "approve"}\n```'
    scripted_model.script.on("Review", Say(text=words, usage=MILLION))
    held = bench.run(agent(app), "Review this.")
    end = await held.complete()
    assert how(end) == (Phase.COMPLETED, RunOutcome.SUCCESS, "success")
    assert (end.text, end.json) == (words, {"decision": "approve"})
    assert end.cost_usd == pytest.approx(5.0)
    assert end.turns == 1
    assert end.tokens == {"input": 1_000_000, "output": 0, "cache_read": 0, "cache_creation": 0}
    assert end.models is not None
    assert [model["cost_usd"] for model in end.models.values()] == [pytest.approx(5.0)]
    assert end.session_id == held.spec.session_id
    assert scripted_model.script.requests[0].prompts == ["Review this."]


async def test_the_session_of_a_key_goes_on(bench: Bench, app: Path, scripted_model: ScriptedModel) -> None:
    scripted_model.script.on("Review", Say(text="Fix the title."))
    scripted_model.script.on("fixed", Say(text="Approved."), conversation="Fix the title.")
    first = await bench.run(agent(app), "Review this.", session=WakeSession(key="pr:7")).complete()
    known = WakeSession(key="pr:7", id=first.session_id)
    second = await bench.run(agent(app), "The title is fixed.", session=known).complete()
    assert (second.text, second.session_id) == ("Approved.", first.session_id)
    assert scripted_model.script.requests[1].prompts == ["Review this.", "The title is fixed."]


async def test_a_session_that_is_gone_is_forgotten_and_costs_nothing(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    lost = WakeSession(key="pr:7", id="11111111-2222-4333-8444-000000000099")
    end = await bench.run(agent(app), "Review this.", session=lost).finish()
    assert isinstance(end, NotBegun)
    assert end.forget_session
    assert isinstance(end.outcome, Retry)
    assert end.outcome.after_ms == 0
    assert scripted_model.script.requests == []


async def test_tools_do_what_they_are_allowed_to_and_no_more(
    bench: Bench, app: Path, scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    calls = [
        ToolCall(name="Write", input={"file_path": str(app / "made.txt"), "content": "made"}),
        ToolCall(name="Bash", input={"command": "echo ran, too > ran.txt"}),
        ToolCall(name="Write", input={"file_path": str(outside), "content": "no"}),
        ToolCall(name="Bash", input={"command": "env > forbidden.txt"}),
    ]
    scripted_model.script.on("Do it", Say(tools=calls))
    scripted_model.script.on("", Say(text="Did what I could."))
    rules = ["Bash(echo *)"]
    actor = agent(app, permission_mode="acceptEdits", allowed_tools=rules)
    held = bench.run(actor, "Do it.")
    end = await held.complete()
    assert how(end) == (Phase.COMPLETED, RunOutcome.SUCCESS, "success")
    assert {path.name for path in app.iterdir()} == {"made.txt", "ran.txt"}
    assert not outside.exists()
    shown = await held.line(lambda progress: progress.cost_usd is not None)
    assert shown.text == "Did what I could. (not allowed: Write, Bash)"


async def test_turns_run_out(bench: Bench, app: Path, scripted_model: ScriptedModel) -> None:
    work = Say(text="One more.", tools=[ToolCall(name="Bash", input={"command": "echo x"})])
    scripted_model.script.on("", work, times=None)
    end = await bench.run(agent(app, max_turns=2, allowed_tools="Bash"), "Go.").complete()
    assert how(end) == (Phase.FAILED, RunOutcome.FAILURE, "error_max_turns")
    assert len(scripted_model.script.requests) == 2
    assert end.text == "One more."
    assert end.cost_usd == pytest.approx(0.00035)


async def test_the_budget_ends_a_run(bench: Bench, app: Path, scripted_model: ScriptedModel) -> None:
    call = ToolCall(name="Bash", input={"command": "echo x"})
    scripted_model.script.on("", Say(text="Half done.", tools=[call], usage=MILLION), times=None)
    end = await bench.run(agent(app, max_budget_usd=7.5, allowed_tools=["Bash"]), "Go.").complete()
    assert how(end) == (Phase.FAILED, RunOutcome.FAILURE, "error_max_budget_usd")
    assert end.text == "Half done."
    assert end.cost_usd == pytest.approx(10.0)
    assert len(scripted_model.script.requests) == 2


async def test_a_key_that_is_refused_leaves_the_work_waiting(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    refused = Refuse(status=401, kind="authentication_error", message="invalid x-api-key")
    scripted_model.script.on("", refused, times=None)
    bench.environment["CLAUDE_CODE_MAX_RETRIES"] = "0"
    end = await bench.run(agent(app), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert end.outcome.reason.startswith("authentication failed: Invalid API key")
    assert "claude auth login" in end.outcome.reason


async def test_a_key_that_is_refused_midway_is_a_failure(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    scripted_model.script.on("Go", Say(tools=[ToolCall(name="Bash", input={"command": "echo x"})]))
    scripted_model.script.on("", Refuse(status=401, kind="authentication_error"), times=None)
    bench.environment["CLAUDE_CODE_MAX_RETRIES"] = "0"
    end = await bench.run(agent(app, allowed_tools=["Bash"]), "Go.").complete()
    assert how(end) == (Phase.FAILED, RunOutcome.FAILURE, "api_error_401")
    assert end.cost_usd == pytest.approx(0.000175)


async def test_without_a_login_the_work_waits(bench: Bench, app: Path, scripted_model: ScriptedModel) -> None:
    del bench.environment["ANTHROPIC_API_KEY"]
    end = await bench.run(agent(app), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert end.outcome.reason.startswith("authentication failed: Not logged in")
    assert "claude auth login" in end.outcome.reason
    assert scripted_model.script.requests == []


async def test_a_model_that_cannot_be_reached_leaves_the_work_waiting(bench: Bench, app: Path) -> None:
    bench.environment |= {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "CLAUDE_CODE_MAX_RETRIES": "0"}
    end = await bench.run(agent(app), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert "Unable to connect to API (ConnectionRefused)" in end.outcome.reason


async def test_a_run_that_is_stopped_midway_can_be_resumed(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    script = scripted_model.script
    script.on("Go", Say(text="never heard", gate="door"))
    script.on("Go on", Say(text="There you are."), conversation="Go.")
    held = bench.run(agent(app), "Go.", session=WakeSession(key="pr:7"))
    await script.gate("door").reached()
    begun = await held.line(lambda progress: progress.session_id is not None)
    assert begun.session_id == held.spec.session_id
    held.stop()
    end = await held.complete()
    assert how(end) == (Phase.STOPPED, RunOutcome.CANCELLED, "requested")
    again = WakeSession(key="pr:7", id=end.session_id)
    second = await bench.run(agent(app), "Go on.", session=again).complete()
    assert second.text == "There you are."


async def test_a_run_that_somebody_interrupts_is_never_a_success(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    script = scripted_model.script
    script.on("Go", Say(tools=[ToolCall(name="Bash", input={"command": "echo x"})], usage=MILLION))
    script.on("", Say(text="never heard", gate="door"))
    held = bench.run(agent(app, allowed_tools=["Bash"], max_budget_usd=50), "Go.")
    await script.gate("door").reached()
    os.kill(held.files.program(), signal.SIGINT)
    end = await held.complete()
    # The CLI may or may not have the time for a result line; its exit status may be 0 either way.
    assert how(end) in (
        (Phase.STOPPED, RunOutcome.CANCELLED, "sigint"),
        (Phase.STOPPED, RunOutcome.UNKNOWN, "no_result"),
    )


@pytest.mark.parametrize(
    ("limit", "reason"), [("timeout", "timeout_total"), ("silence_timeout", "timeout_silence")]
)
async def test_a_model_that_never_answers_is_not_waited_for(
    bench: Bench, app: Path, scripted_model: ScriptedModel, limit: str, reason: str
) -> None:
    scripted_model.script.on("", Say(text="never heard", gate="door"), times=None)
    end = await bench.run(agent(app, **{limit: "1500ms"}), "Go.").complete()
    assert how(end) == (Phase.STOPPED, RunOutcome.CANCELLED, reason)


async def test_outside_text_neither_reads_files_nor_gives_commands(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    (app / "secret.txt").write_text("TOP SECRET")
    scripted_model.script.add([Rule(answer=Say(text="Heard."), times=None)])
    for prompt in ("/cost", f"see @secret.txt and @{app}/secret.txt"):
        end = await bench.run(agent(app), prompt).complete()
        assert end.text == "Heard."
    asked = scripted_model.script.requests
    assert [request.prompts for request in asked] == [
        ["/cost"],
        [f"see @secret.txt and @{app}/secret.txt"],
    ]
    assert all("TOP SECRET" not in str(request.body) for request in asked)


async def test_a_mode_that_the_cli_refuses_leaves_the_work_waiting(bench: Bench, app: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root is refused bypassPermissions")
    end = await bench.run(agent(app, permission_mode="bypassPermissions"), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert "cannot be used with root" in end.outcome.reason


@pytest.mark.parametrize(
    ("login", "status", "detail"),
    [
        ({}, CheckStatus.OK, "the API key of ANTHROPIC_API_KEY; runs bill that account"),
        ({"ANTHROPIC_API_KEY": ""}, CheckStatus.MISSING, "a run of this actor would not be logged in"),
    ],
)
async def test_doctor_asks_the_cli_in_the_environment_of_a_run(
    app: Path,
    claude_env: dict[str, str],
    scripted_model: ScriptedModel,
    login: dict[str, str],
    status: CheckStatus,
    detail: str,
) -> None:
    settings = ClaudeCodeSettings.model_validate({"cwd": str(app)})
    assert connector.setup.check is not None
    ctx = as_context(FakeContext(environment={**claude_env, **login}))
    found = {result.name: result for result in await connector.setup.check(settings, ctx)}
    assert (found["cwd"].status, found["cli"].status) == (CheckStatus.OK, CheckStatus.OK)
    assert (found["login"].status, found["login"].detail) == (status, detail)
    assert scripted_model.script.requests == []
