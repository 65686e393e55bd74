"""The real CLIs of OpenCode, Gemini, Copilot and Pi: started by their actors, held by the real runner."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orgloop import runner
from orgloop.connectors.agents import program
from orgloop.connectors.agents.copilot import connector as copilot
from orgloop.connectors.agents.gemini import connector as gemini
from orgloop.connectors.agents.opencode import connector as opencode
from orgloop.connectors.agents.pi import connector as pi
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.operations.views.chain import trace_of
from orgloop.plugin import (
    CheckStatus,
    Completion,
    Connector,
    Limited,
    NotBegun,
    Retry,
    Supervised,
    Unavailable,
    WakeSession,
)
from orgloop.project.home import Home
from tests.connectors.agents.held import Bench
from tests.connectors.doubles import FakeContext, as_context
from tests.e2e.organization import Organization, wait_for
from tests.real.conftest import INSTALL, NOWHERE
from tests.runner.waiting import until
from tests.support.model_script import Refuse, Say, ToolCall, Usage
from tests.support.scripted_model import ScriptedModel

pytestmark = pytest.mark.real

MUCH = Usage(input_tokens=10_000, output_tokens=1_000, cache_read_input_tokens=2_000)
WORDS = 'Looks fine.\n```json\n{"decision": "approve"}\n```'
LIMIT = Refuse(status=429, kind="rate_limit_exceeded", message="You have exceeded your rate limit")


@dataclass(frozen=True, kw_only=True)
class Real:
    """One CLI: how it is set up for a model at `url` in a home, and what it is told."""

    connector: Connector
    set_up: Callable[[Path, str], Mapping[str, str]]
    config: Mapping[str, Any]
    may_run: Mapping[str, Any]
    shell: str
    cost: float | None = None
    gone: str = "0198c0c4-0000-7000-8000-000000000000"

    @property
    def name(self) -> str:
        return self.connector.name

    def actor(self, app: Path, **config: Any) -> Supervised:
        assert self.connector.actor is not None
        given = {"cwd": str(app), **self.config, **config}
        actor = self.connector.actor.open("e", self.connector.actor.settings.model_validate(given))
        assert isinstance(actor, Supervised)
        return actor


def _write(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(value))


def _opencode(home: Path, url: str) -> Mapping[str, str]:
    models = {"scripted": {"name": "scripted", "cost": {"input": 100, "output": 1000, "cache_read": 10}}}
    options = {"baseURL": f"{url}/v1", "apiKey": "some-key"}
    local = {"npm": "@ai-sdk/openai-compatible", "name": "local", "options": options, "models": models}
    _write(home / ".config/opencode/opencode.json", {"provider": {"local": local}, "model": "local/scripted"})
    return {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }


def _pi(home: Path, url: str) -> Mapping[str, str]:
    cost = {"input": 100, "output": 1000, "cacheRead": 10, "cacheWrite": 0}
    model = {"id": "scripted", "name": "scripted", "reasoning": False, "input": ["text"], "cost": cost}
    model |= {"contextWindow": 100_000, "maxTokens": 4096}
    local = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "some-key", "models": [model]}
    _write(home / ".pi/agent/models.json", {"providers": {"local": local}})
    return {"PI_OFFLINE": "1", "PI_TELEMETRY": "0"}


def _copilot(home: Path, url: str) -> Mapping[str, str]:
    return {
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_PROVIDER_API_KEY": "some-long-key",
        "COPILOT_MODEL": "scripted",
        "COPILOT_OFFLINE": "true",
    }


def _gemini(home: Path, url: str) -> Mapping[str, str]:
    login = {"auth": {"selectedType": "gemini-api-key"}}
    _write(home / ".gemini/settings.json", {"security": login, "telemetry": {"enabled": False}})
    return {"GEMINI_API_KEY": "some-key", "GOOGLE_GEMINI_BASE_URL": url}


REALS = [
    Real(
        connector=opencode,
        set_up=_opencode,
        config={},
        may_run={},
        shell="bash",
        cost=2.02,
        gone="ses_dd0000000000000000000000000",
    ),
    Real(
        connector=pi,
        set_up=_pi,
        config={"provider": "local", "model": "scripted"},
        may_run={"tools": ["bash"]},
        shell="bash",
        cost=2.02,
    ),
    Real(
        connector=copilot,
        set_up=_copilot,
        config={},
        may_run={"allow_all_tools": True},
        shell="bash",
    ),
    Real(
        connector=gemini,
        set_up=_gemini,
        config={"model": "gemini-2.5-pro"},
        may_run={"approval_mode": "yolo"},
        shell="run_shell_command",
    ),
]


@pytest.fixture(params=[of.name for of in REALS])
def of(request: pytest.FixtureRequest) -> Real:
    return next(of for of in REALS if of.name == request.param)


def of_these(*names: str) -> pytest.MarkDecorator:
    """Only these CLIs. The others cannot, or try again for minutes: recordings stand for them."""
    return pytest.mark.parametrize("of", names, indirect=True)


@pytest.fixture
def environment(
    of: Real, counterparts: Path, scripted_model: ScriptedModel, tmp_path: Path
) -> dict[str, str]:
    """The whole environment of a CLI with a home of its own, cut off from all but the model."""
    folder = counterparts / "agents"
    if not os.access(folder / of.name, os.X_OK):
        pytest.skip(f"{folder}/{of.name} is missing. {INSTALL}")
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": str(tmp_path),
        "HTTPS_PROXY": NOWHERE,
        "HTTP_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1",
        **of.set_up(home, scripted_model.url),
    }


@pytest.fixture
def bench(tmp_path: Path, environment: dict[str, str]) -> Iterator[Bench]:
    bench = Bench(tmp_path, environment)
    yield bench
    bench.close()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    return folder


def how(end: Completion) -> tuple[Phase, RunOutcome, str]:
    return end.phase, end.outcome, end.reason


async def test_a_run_ends_with_its_result_and_its_session_goes_on(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    script = scripted_model.script
    call = ToolCall(name=of.shell, input={"command": "echo by-agent > made.txt", "description": "x"})
    script.on("do-it", Say(text="Doing.", tools=[call], usage=Usage(input_tokens=0, output_tokens=0)))
    script.on("", Say(text="Merged.", usage=MUCH), conversation="second-words", times=None)
    script.on("", Say(text=WORDS, usage=MUCH), times=None)
    key = WakeSession(key="pr:7")
    held = bench.run(of.actor(app, **of.may_run), "Please do-it: first-words.", session=key)
    end = await held.complete()
    assert how(end) == (Phase.COMPLETED, RunOutcome.SUCCESS, "success"), end
    assert (end.text, end.json) == (WORDS, {"decision": "approve"})
    assert (app / "made.txt").read_text() == "by-agent\n"
    assert end.session_id
    assert held.spec.session_id in (None, end.session_id)
    assert end.cost_usd == (None if of.cost is None else pytest.approx(of.cost))

    known = WakeSession(key="pr:7", id=end.session_id)
    second = await bench.run(of.actor(app, **of.may_run), "Now: second-words.", session=known).complete()
    assert (second.text, second.session_id) == ("Merged.", end.session_id)
    assert second.cost_usd == (None if of.cost is None else pytest.approx(of.cost))
    assert any(
        "first-words" in one.conversation and "second-words" in one.conversation for one in script.requests
    )


@of_these("opencode", "pi")
async def test_a_copy_of_a_session_knows_it_and_leaves_it_as_it_is(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    script = scripted_model.script
    script.on("", Say(text="Again."), conversation="third-words", times=None)
    script.on("", Say(text="Copied."), conversation="second-words", times=None)
    script.on("", Say(text="Begun."), times=None)
    first = await bench.run(of.actor(app), "first-words", session=WakeSession(key="k")).complete()
    known = WakeSession(key="k", id=first.session_id, fork=True)
    copy = await bench.run(of.actor(app), "second-words", session=known).complete()
    assert copy.text == "Copied."
    assert copy.session_id not in (None, first.session_id)
    assert "first-words" in script.requests[-1].conversation
    known = WakeSession(key="k", id=first.session_id)
    again = await bench.run(of.actor(app), "third-words", session=known).complete()
    assert (again.text, again.session_id) == ("Again.", first.session_id)
    assert "second-words" not in script.requests[-1].conversation


async def test_a_session_that_is_gone_is_forgotten_and_costs_nothing(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    end = await bench.run(of.actor(app), "Go.", session=WakeSession(key="k", id=of.gone)).finish()
    assert isinstance(end, NotBegun), end
    assert isinstance(end.outcome, Retry)
    assert (end.forget_session, end.outcome.after_ms) == (True, 0)
    assert scripted_model.script.requests == []


async def test_a_model_that_refuses_the_key_has_cost_nothing(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    refusal = Refuse(status=401, kind="invalid_request_error", message="Incorrect API key")
    scripted_model.script.on("", refusal, times=None)
    end = await bench.run(of.actor(app), "Go.").finish()
    assert isinstance(end, NotBegun), end
    assert isinstance(end.outcome, Unavailable), end


@of_these("pi")
async def test_a_usage_limit_parks_the_account(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    scripted_model.script.on("", LIMIT, times=None)
    end = await bench.run(of.actor(app), "Go.").finish()
    assert isinstance(end, NotBegun), end
    assert isinstance(end.outcome, Limited), end


@of_these("opencode")
async def test_a_usage_limit_that_a_cli_tries_to_get_over_in_silence_is_in_its_log(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    scripted_model.script.on("", LIMIT, times=None)
    held = bench.run(of.actor(app), "Go.")

    def logged() -> bool:
        return b"level=ERROR" in held.files.read(runner.STDERR)

    await asyncio.to_thread(until, logged, "an error in the log", 90)
    held.stop()
    exit = dataclasses.replace(await held.exit(), stopped="start")
    end = held.actor.finish(exit)
    assert isinstance(end, NotBegun), end
    assert isinstance(end.outcome, Limited), end


async def test_a_limit_midway_is_a_failure_that_is_not_repeated(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    call = ToolCall(name=of.shell, input={"command": "echo x", "description": "x"})
    scripted_model.script.on("go-now", Say(text="Beginning.", tools=[call]))
    refusal = Refuse(status=400, kind="invalid_request_error", message="bad request")
    scripted_model.script.on("", refusal, times=None)
    end = await bench.run(of.actor(app, **of.may_run), "Please go-now.").complete()
    assert how(end)[:2] == (Phase.FAILED, RunOutcome.FAILURE), end
    assert end.text.startswith("Beginning.")


async def test_a_run_that_hangs_is_stopped_with_all_that_it_started_and_its_session_goes_on(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    script = scripted_model.script
    script.on("", Say(text="There you are."), conversation="second-words", times=None)
    script.on("", Say(text="never heard", gate="door"), times=None)
    held = bench.run(of.actor(app, grace="3s"), "Go: first-words.", session=WakeSession(key="k"))
    await script.gate("door").reached()
    held.stop()
    end = await held.complete()
    assert how(end) == (Phase.STOPPED, RunOutcome.CANCELLED, "requested"), end
    await script.gate("door").left()
    known = WakeSession(key="k", id=end.session_id or held.spec.session_id)
    again = await bench.run(of.actor(app), "Go on: second-words.", session=known).finish()
    # What was stopped before its first answer may have no session yet: then the next try begins one.
    assert isinstance(again, Completion) or again.forget_session, again


async def test_an_option_that_the_cli_does_not_know_leaves_the_work_waiting(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    actor = of.actor(app)
    start = actor.start

    class Misled:
        """The same actor, with an option that there is not."""

        def __getattr__(self, name: str) -> Any:
            return getattr(actor, name)

        def start(self, *given: Any) -> Any:
            spec = start(*given)
            return dataclasses.replace(spec, argv=[*spec.argv, "--no-such-option"])

    end = await bench.run(Misled(), "Go.").finish()
    assert isinstance(end, NotBegun), end
    assert isinstance(end.outcome, Unavailable), end
    assert scripted_model.script.requests == []


async def test_doctor_names_the_version_that_was_verified(
    of: Real,
    environment: dict[str, str],
    app: Path,
    scripted_model: ScriptedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(program, "ASK", 60.0)
    assert of.connector.actor is not None
    assert of.connector.setup.check is not None
    settings = of.connector.actor.settings.model_validate({"cwd": str(app), **of.config})
    ctx = as_context(FakeContext(environment=environment))
    found = {one.name: one for one in await of.connector.setup.check(settings, ctx)}
    assert found["cli"].status is CheckStatus.OK, found
    assert "verified with" in found["cli"].detail
    assert scripted_model.script.requests == []


async def test_a_file_that_a_prompt_names_is_not_read_into_it(
    of: Real, bench: Bench, app: Path, scripted_model: ScriptedModel
) -> None:
    (app / "secret.txt").write_text("MAGIC-WORDS\n")
    scripted_model.script.on("", Say(text="ok"), times=None)
    said = (
        "@secret.txt (@secret.txt) x@secret.txt \\@secret.txt\n@./secret.txt\n!cat secret.txt\n/memory show"
    )
    await bench.run(of.actor(app), said).complete()
    asked = json.dumps([request.body for request in scripted_model.script.requests])
    assert "secret.txt" in asked
    assert "MAGIC-WORDS" not in asked


def test_a_daemon_that_is_killed_meanwhile_hears_of_the_end_once(
    of: Real, environment: dict[str, str], app: Path, scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    root = tmp_path / "org"
    root.mkdir()
    (root / "sop.md").write_text("Do the work.\n")
    config = {"cwd": str(app), **of.config}
    route = {"name": "work", "when": {"source": "in", "events": ["*"]}}
    route |= {"then": {"actor": "engineer"}, "with": {"prompt_file": "./sop.md"}}
    project = {
        "apiVersion": "orgloop/v1alpha1",
        "kind": "Project",
        "metadata": {"name": "test"},
        "sources": [{"id": "in", "connector": "webhook"}],
        "actors": [{"id": "engineer", "connector": of.name, "config": config}],
        "routes": [route],
    }
    (root / "orgloop.yaml").write_text(json.dumps(project))
    organization = Organization(root=root, home=Home(tmp_path / "home-of-orgloop"))
    organization.environ = dict(environment)
    scripted_model.script.on("", Say(text=WORDS, gate="door"), times=None)
    try:
        organization.start()
        status, answer = organization.post("in", {"type": "go"})
        assert status == 200
        scripted_model.script.gate("door").wait_reached(60)
        organization.kill()
        scripted_model.script.gate("door").open()
        organization.start()

        def ends() -> list[Any]:
            with organization.reader() as reader:
                events, *_ = reader.trace(trace_of(reader, answer["event_id"]))
            return [event for event in events if event.type == "actor.stopped"]

        wait_for("the end", ends)
        assert organization.stop() == 0
        (end,) = ends()
    finally:
        organization.kill()
    payload = end.document["payload"]
    assert (payload["lifecycle"]["outcome"], payload["result"]["json"]) == (
        "success",
        {"decision": "approve"},
    )
