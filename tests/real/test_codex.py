"""The real Codex CLI, started by the actor and held by the real runner; the model is scripted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orgloop.connectors.agents.codex import connector
from orgloop.connectors.agents.codex.actor import CodexActor
from orgloop.connectors.agents.codex.settings import CodexSettings
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin import CheckStatus, Limited, NotBegun, Retry, Unavailable, WakeSession
from tests.connectors.agents.held import Bench, how
from tests.connectors.doubles import FakeContext, as_context
from tests.support.model_script import Refuse, Say, ToolCall, Usage
from tests.support.scripted_model import ScriptedModel

pytestmark = pytest.mark.real

MUCH = Usage(input_tokens=10_000, output_tokens=1_000, cache_read_input_tokens=2_000)
PRICE = {"input": 100, "cached_input": 10, "output": 1000}


@pytest.fixture
def bench(tmp_path: Path, codex_env: dict[str, str]) -> Iterator[Bench]:
    bench = Bench(tmp_path, codex_env)
    yield bench
    bench.close()


def agent(app: Path, **config: Any) -> CodexActor:
    return CodexActor("engineer", CodexSettings.model_validate({"cwd": str(app), **config}))


async def test_a_run_ends_with_its_result_and_cost_and_its_session_goes_on(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    words = 'Looks fine.\n```json\n{"decision": "approve"}\n```'
    scripted_model.script.on("", Say(text=words, usage=MUCH), conversation="first-words")
    scripted_model.script.on("", Say(text="Merged.", usage=MUCH), conversation="second-words")
    key = WakeSession(key="pr:7")
    held = bench.run(agent(app, price=PRICE), "Review this: first-words.", session=key)
    end = await held.complete()
    assert how(end) == (Phase.COMPLETED, RunOutcome.SUCCESS, "success")
    assert (end.text, end.json) == (words, {"decision": "approve"})
    assert end.tokens == {
        "input": 8_000, "output": 1_000, "cache_read": 2_000, "cache_creation": 0
    }  # fmt: skip
    assert end.cost_usd == end.session_cost_usd == pytest.approx(0.8 + 0.02 + 1.0)
    begun = await held.line(lambda progress: progress.session_id is not None)
    assert begun.session_id == end.session_id

    known = WakeSession(key="pr:7", id=end.session_id)
    second = await bench.run(agent(app, price=PRICE), "Now merge: second-words.", session=known).complete()
    assert (second.text, second.session_id) == ("Merged.", end.session_id)
    assert second.cost_usd is None
    assert second.session_cost_usd == pytest.approx(2 * 1.82)
    assert second.details["session_tokens"]["output"] == 2_000
    assert "Looks fine." in scripted_model.script.requests[1].conversation


async def test_a_copy_of_a_session_knows_it_and_leaves_it_as_it_is(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    script = scripted_model.script
    script.on("", Say(text="Said.", usage=MUCH), times=None)
    first = await bench.run(agent(app, price=PRICE), "first-words", session=WakeSession(key="k")).complete()
    known = WakeSession(key="k", id=first.session_id, fork=True)
    copy = await bench.run(agent(app, price=PRICE), "second-words", session=known).complete()
    assert copy.session_id not in (None, first.session_id)
    assert "first-words" in script.requests[-1].conversation
    assert copy.session_cost_usd == pytest.approx(2 * 1.82)
    again = WakeSession(key="k", id=first.session_id)
    third = await bench.run(agent(app, price=PRICE), "third-words", session=again).complete()
    assert third.session_id == first.session_id
    assert "second-words" not in script.requests[-1].conversation


async def test_a_session_that_is_gone_is_forgotten_and_costs_nothing(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    lost = WakeSession(key="pr:7", id="01999999-1111-7222-8333-444444444444")
    end = await bench.run(agent(app), "Review this.", session=lost).finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Retry)
    assert (end.forget_session, end.outcome.after_ms) == (True, 0)
    assert scripted_model.script.requests == []


async def test_the_sandbox_holds(
    bench: Bench, app: Path, scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    script, outside = scripted_model.script, tmp_path.parent / "outside.txt"
    command = f"echo in > in.txt; echo out > {outside}; echo did-it"
    call = ToolCall(name="exec_command", input={"cmd": command})
    script.on("", Say(tools=[call]), conversation="Do it")
    script.on("", Say(text="Did what I could."), times=None)
    held = bench.run(agent(app, sandbox="danger-full-access"), "Do it.")
    end = await held.complete()
    assert (end.text, (app / "in.txt").read_text()) == ("Did what I could.", "in\n")
    outside.unlink()
    shown = await held.line(lambda progress: "did-it" in (progress.text or ""))
    assert shown.alive

    script.clear()
    (app / "in.txt").unlink()
    script.on("", Say(tools=[call]), conversation="Do it")
    script.on("", Say(text="Did what I could."), times=None)
    await bench.run(agent(app, sandbox="read-only"), "Do it.").complete()
    assert not (app / "in.txt").exists()
    assert not outside.exists()


REFUSALS = [
    (
        Refuse(status=401, kind="invalid_request_error", message="Incorrect API key"),
        Unavailable,
        "codex login",
    ),
    (Refuse(status=400, message="The requested model 'scripted' does not exist."), Unavailable, "`model`"),
    (Refuse(status=429, kind="insufficient_quota", message="You exceeded your quota"), Unavailable, "credit"),
    (Refuse(status=429, kind="rate_limit_exceeded", message="slow down"), Retry, "429"),
    (Refuse(status=500, message="oops"), Retry, "high demand"),
    (Refuse(status=429, kind="usage_limit_reached", message="limit"), Limited, "usage limit"),
]


@pytest.mark.parametrize(("refusal", "kind", "said"), REFUSALS, ids=lambda it: getattr(it, "kind", ""))
async def test_a_model_that_refuses_has_cost_nothing(
    bench: Bench, app: Path, scripted_model: ScriptedModel, refusal: Refuse, kind: type, said: str
) -> None:
    scripted_model.script.on("", refusal, times=None)
    end = await bench.run(agent(app), "Go.").finish()
    assert isinstance(end, NotBegun), end
    assert type(end.outcome) is kind, end
    assert said in end.outcome.reason


async def test_a_refusal_midway_is_a_failure(bench: Bench, app: Path, scripted_model: ScriptedModel) -> None:
    call = ToolCall(name="exec_command", input={"cmd": "echo x"})
    scripted_model.script.on("", Say(text="Beginning.", tools=[call]), conversation="Go.")
    scripted_model.script.on("", Refuse(status=429, kind="usage_limit_reached", message="limit"), times=None)
    end = await bench.run(agent(app, sandbox="danger-full-access"), "Go.").complete()
    assert how(end) == (Phase.FAILED, RunOutcome.FAILURE, "usage_limit")
    assert end.text.startswith("Beginning.")
    assert "limit_until" in end.details


async def test_without_a_login_the_work_waits(bench: Bench, app: Path, scripted_model: ScriptedModel) -> None:
    del bench.environment["CODEX_API_KEY"]
    end = await bench.run(agent(app), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert "Missing environment variable: `CODEX_API_KEY`" in end.outcome.reason
    assert scripted_model.script.requests == []


async def test_a_model_that_cannot_be_reached_leaves_the_work_waiting(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    config = Path(bench.environment["CODEX_HOME"], "config.toml")
    config.write_text(config.read_text().replace(scripted_model.url, "http://127.0.0.1:1"))
    end = await bench.run(agent(app, timeout="5s"), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)
    assert "cannot be reached" in end.outcome.reason


@pytest.mark.parametrize(
    ("limit", "reason"), [("timeout", "timeout_total"), ("silence_timeout", "timeout_silence")]
)
async def test_a_model_that_never_answers_is_not_waited_for(
    bench: Bench, app: Path, scripted_model: ScriptedModel, limit: str, reason: str
) -> None:
    scripted_model.script.on("", Say(text="never heard", gate="door"), times=None)
    end = await bench.run(agent(app, **{limit: "3s"}), "Go.").complete()
    assert how(end) == (Phase.STOPPED, RunOutcome.CANCELLED, reason)


async def test_a_run_that_is_stopped_midway_can_be_resumed(
    bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    script = scripted_model.script
    script.on("", Say(text="never heard", gate="door"), conversation="first-words")
    script.on("", Say(text="There you are."), conversation="second-words")
    held = bench.run(agent(app), "Go: first-words.", session=WakeSession(key="pr:7"))
    await script.gate("door").reached()
    held.stop()
    end = await held.complete()
    assert how(end) == (Phase.STOPPED, RunOutcome.CANCELLED, "requested")
    again = WakeSession(key="pr:7", id=end.session_id)
    second = await bench.run(agent(app), "Go on: second-words.", session=again).complete()
    assert second.text == "There you are."
    assert "first-words" in script.requests[-1].conversation


async def test_an_option_that_this_cli_does_not_know_leaves_the_work_waiting(bench: Bench, app: Path) -> None:
    end = await bench.run(agent(app, profile="not/there"), "Go.").finish()
    assert isinstance(end, NotBegun)
    assert isinstance(end.outcome, Unavailable)


@pytest.mark.parametrize("key", [True, False])
async def test_doctor_asks_the_cli_in_the_environment_of_a_run(
    app: Path, codex_env: dict[str, str], scripted_model: ScriptedModel, key: bool
) -> None:
    settings = CodexSettings.model_validate({"cwd": str(app)})
    environment = (
        codex_env if key else {name: codex_env[name] for name in codex_env if name != "CODEX_API_KEY"}
    )
    assert connector.setup.check is not None
    ctx = as_context(FakeContext(environment=environment))
    found = {result.name: result for result in await connector.setup.check(settings, ctx)}
    assert (found["cwd"].status, found["cli"].status) == (CheckStatus.OK, CheckStatus.OK)
    assert found["login"].status is (CheckStatus.OK if key else CheckStatus.WARNING)
    assert scripted_model.script.requests == []
