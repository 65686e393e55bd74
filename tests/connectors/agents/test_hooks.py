"""Hooks of agents that were started elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from orgloop.connectors.agents.claude_code import connector as claude_code
from orgloop.connectors.agents.codex import connector as codex
from orgloop.connectors.agents.copilot import connector as copilot
from orgloop.connectors.agents.gemini import connector as gemini
from orgloop.connectors.agents.hooks import HookSettings, HookSource, connector, pi_rust
from orgloop.connectors.agents.opencode import connector as opencode
from orgloop.connectors.agents.pi import connector as pi
from orgloop.core.events.session_lifecycle import check
from orgloop.daemon.hook_body import body_of
from orgloop.errors import Refused
from orgloop.plugin import Connector, Draft, Received, Receiver
from orgloop.plugin.signature import sign
from tests.connectors.doubles import FakeContext, as_context, inbound

NOW = "2026-01-05T12:00:00.000Z"


async def receive(body: Any, headers: dict[str, str] | None = None, **config: Any) -> Received:
    source = HookSource("agents", HookSettings.model_validate(config))
    await source.open(as_context(FakeContext()))
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await source.receive(inbound(raw, **headers or {}))


async def draft(body: Any, **config: Any) -> Draft:
    (event,) = (await receive(body, **config)).events
    return event


async def test_the_end_of_a_session_says_all_that_the_hook_said() -> None:
    body = {
        "session_id": "s-1",
        "working_directory": "/home/me/app",
        "duration_seconds": 12,
        "exit_status": 0,
        "summary": "Done.",
        "transcript_path": "/t.jsonl",
        "hook_type": "stop",
        "meta": {"group": "a"},
        "timestamp": "ignored",
    }
    event = await draft(body, platform="claude-code", harness="claude")
    assert event.type == "actor.stopped"
    assert event.key is None
    assert event.provenance == {
        "platform": "claude-code",
        "platform_event": "session.completed",
        "author": "claude-code",
        "author_type": "bot",
        "session_id": "s-1",
        "working_directory": "/home/me/app",
    }
    assert event.payload == {
        "lifecycle": {
            "phase": "completed",
            "terminal": True,
            "outcome": "success",
            "reason": "exit_code_0",
            "dedupe_key": "claude-code:s-1:completed",
        },
        "session": {
            "id": "s-1",
            "adapter": "claude-code",
            "harness": "claude",
            "cwd": "/home/me/app",
            "ended_at": NOW,
            "exit_status": 0,
            "meta": {"group": "a"},
        },
        "session_id": "s-1",
        "working_directory": "/home/me/app",
        "duration_seconds": 12,
        "exit_status": 0,
        "summary": "Done.",
        "transcript_path": "/t.jsonl",
        "meta": {"group": "a"},
    }


async def test_a_start_is_no_end_whatever_its_status() -> None:
    event = await draft({"session_id": "s-1", "cwd": "/app", "hook_type": "start", "exit_status": 3})
    assert (event.type, event.provenance["platform_event"]) == ("resource.changed", "session.started")
    assert event.payload["lifecycle"] == {
        "phase": "started",
        "terminal": False,
        "dedupe_key": "agents:s-1:started",
    }
    assert event.payload["session"] == {
        "id": "s-1",
        "adapter": "agents",
        "harness": "agents",
        "cwd": "/app",
        "started_at": NOW,
    }


@pytest.mark.parametrize(
    ("status", "phase", "outcome", "reason"),
    [
        (None, "completed", "success", "exit_code_0"),
        (0, "completed", "success", "exit_code_0"),
        ("0", "completed", "success", "exit_code_0"),
        ("", "completed", "success", "exit_code_0"),
        (1.0, "failed", "failure", "exit_code_1"),
        (128, "failed", "failure", "exit_code_128"),
        (-1, "failed", "failure", "exit_code_-1"),
        (130, "stopped", "cancelled", "sigint"),
        (137, "stopped", "cancelled", "sigkill"),
        (143, "stopped", "cancelled", "sigterm"),
        ("129", "stopped", "cancelled", "signal_1"),
    ],
)
async def test_an_exit_status_says_how_it_ended(status: Any, phase: str, outcome: str, reason: str) -> None:
    event = await draft({"session_id": "s-1", "exit_status": status, "hook_type": "session.stopped"})
    lifecycle = event.payload["lifecycle"]
    assert (lifecycle["phase"], lifecycle["outcome"], lifecycle["reason"]) == (phase, outcome, reason)
    assert event.provenance["platform_event"] == f"session.{phase}"
    assert event.payload["session"]["exit_status"] == event.payload["exit_status"]
    assert check(event.payload, event.type) == []


async def test_what_the_hook_left_out_reads_as_nothing() -> None:
    payload = (await draft({"session_id": "s-1"})).payload
    assert "cwd" not in payload["session"]
    assert "meta" not in payload["session"]
    flat = ("working_directory", "duration_seconds", "exit_status", "summary", "transcript_path")
    assert [payload[name] for name in flat] == ["", 0, 0, "", ""]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"null", "not an object"),
        (b"[]", "not an object"),
        (b"{", "Invalid JSON payload"),
        ({}, "session_id is missing"),
        ({"session_id": ""}, "session_id is missing"),
        ({"session_id": 7}, "session_id must be text"),
        ({"session_id": "s", "cwd": []}, "cwd must be text"),
        ({"session_id": "s", "exit_status": True}, "exit_status must be a number"),
        ({"session_id": "s", "exit_status": "one"}, "exit_status must be a number"),
        ({"session_id": "s", "exit_status": [1]}, "exit_status must be a number"),
        ({"session_id": "s", "duration_seconds": "1e999"}, "duration_seconds must be a number"),
        ({"session_id": "s", "meta": "x"}, "meta must be an object"),
    ],
)
async def test_a_body_that_is_no_hook_is_refused(body: Any, told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        await receive(body)
    assert refused.value.status == 400
    assert refused.value.hint


async def test_only_posts_are_taken() -> None:
    source = HookSource("agents", HookSettings())
    with pytest.raises(Refused, match="Method not allowed") as refused:
        await source.receive(inbound(b"{}", method="GET"))
    assert refused.value.status == 405


async def test_with_a_secret_only_signed_hooks_are_taken() -> None:
    body = json.dumps({"session_id": "s-1"}).encode()
    secret = SecretStr("hush")
    for name in ("x_hub_signature_256", "x_signature"):
        received = await receive(body, {name: sign(secret, body)}, secret="hush")
        assert len(received.events) == 1
    with pytest.raises(Refused, match="Missing signature"):
        await receive(body, secret="hush")
    with pytest.raises(Refused, match="Invalid signature"):
        await receive(body, {"x_signature": sign(SecretStr("else"), body)}, secret="hush")
    assert HookSource("agents", HookSettings(secret=secret)).signed
    assert not HookSource("agents", HookSettings()).signed


async def test_the_senders_idempotency_key_names_the_request() -> None:
    body = {"session_id": "s-1"}
    assert (await receive(body, {"idempotency_key": "k-1"})).request == "k-1"
    assert (await receive(body)).request is None


def test_older_files_load_and_say_what_has_no_effect() -> None:
    HookSettings.model_validate({"hook_type": "post-exit", "buffer_dir": "x", "max_buffer_size": "5MB"})
    assert HookSettings.without_effect() == {"hook_type", "buffer_dir", "max_buffer_size"}
    with pytest.raises(ValidationError, match="secret is empty"):
        HookSettings.model_validate({"secret": ""})


def test_both_connectors_take_hooks_and_show_what_comes() -> None:
    for one in (connector, claude_code):
        assert one.source is not None
        example = one.source.example
        assert example is not None
        assert isinstance(one.source.open("x", HookSettings()), Receiver)
        assert check(example["payload"], example["type"]) == []
        assert example["provenance"]["platform"] == one.name


# As Claude Code writes them; the prompt's id stands in all hooks of a turn.
BASE = {"session_id": "s-1", "cwd": "/app", "transcript_path": "/t.jsonl", "prompt_id": "p-1"}
OLD = {key: value for key, value in BASE.items() if key != "prompt_id"}


async def told(*hooks: dict[str, Any]) -> list[tuple[str, str]]:
    """Type and platform event of what one source makes of these hooks, as a journal keeps it."""
    source = HookSource("agents", HookSettings())
    await source.open(as_context(FakeContext()))
    facts: dict[object, tuple[str, str]] = {}
    for number, hook in enumerate(hooks):
        received = await source.receive(inbound(json.dumps(hook).encode()))
        for event in received.events:
            assert check(event.payload, event.type) == []
            facts.setdefault(event.key or number, (event.type, event.provenance["platform_event"]))
    return list(facts.values())


END = ("actor.stopped", "session.completed")
FAILED = ("actor.stopped", "session.failed")
SUBAGENT = ("resource.changed", "subagent.stopped")
ACTIVE = ("resource.changed", "session.active")


def hook(name: str, base: dict[str, Any] = BASE, **more: Any) -> dict[str, Any]:
    return {**base, "hook_event_name": name, **more}


@pytest.mark.parametrize("base", [BASE, OLD], ids=["turns have ids", "turns have none"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["SubagentStop", "Stop", "SessionEnd"], [SUBAGENT, END]),
        (["Stop", "SessionEnd", "SessionEnd"], [END]),
        (["SessionEnd"], [END]),
        (["SubagentStop", "SessionEnd"], [SUBAGENT, END]),
        (["UserPromptSubmit", "PreToolUse", "Notification"], [ACTIVE, ACTIVE, ACTIVE]),
        (["SessionStart", "Stop"], [("resource.changed", "session.started"), END]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
async def test_a_turn_ends_once_and_no_subagent_ends_it(
    base: dict[str, Any], names: list[str], expected: list[tuple[str, str]]
) -> None:
    assert await told(*(hook(name, base, agent_id="a-1", agent_type="Explore") for name in names)) == expected


async def test_each_prompt_of_a_session_has_an_end_of_its_own() -> None:
    second = {**BASE, "prompt_id": "p-2"}
    assert await told(hook("Stop"), hook("Stop"), hook("Stop", second), hook("SessionEnd", second)) == [
        END,
        END,
    ]
    assert await told(hook("Stop", OLD), hook("Stop", OLD), hook("SessionEnd", OLD)) == [END, END]
    interrupted = [hook("Stop", OLD), hook("UserPromptSubmit", OLD), hook("SessionEnd", OLD)]
    assert await told(*interrupted) == [END, ACTIVE, END]


async def test_a_turn_that_failed_ends_once_too() -> None:
    failure = {**hook("StopFailure"), "exit_status": 1}
    assert await told(failure, hook("SessionEnd")) == [FAILED]


async def test_what_orgloop_hook_sends_is_understood_alike() -> None:
    def sent(name: str) -> dict[str, Any]:
        said = json.dumps(hook(name, agent_id="a-1", agent_type="Explore")).encode()
        return dict(json.loads(body_of("claude-code-stop", said, 0)))

    assert await told(sent("SubagentStop"), sent("Stop"), sent("SessionEnd")) == [SUBAGENT, END]
    subagent = await draft(sent("SubagentStop"))
    assert subagent.payload["subagent"] == {"id": "a-1", "type": "Explore"}
    assert "ended_at" not in subagent.payload["session"]


async def test_a_hook_that_nobody_knows_is_an_end() -> None:
    assert await told({"session_id": "s-1"}, {"session_id": "s-1", "type": "agent-turn-complete"}) == [
        END,
        END,
    ]


@pytest.mark.parametrize("agent", [codex, opencode, pi, pi_rust, gemini, copilot])
async def test_the_hooks_of_an_agent_have_its_name_whatever_the_source_is_called(agent: Connector) -> None:
    assert agent.source is not None
    for config, platform in (({}, agent.name), ({"platform": "mine"}, "mine")):
        source = agent.source.open("laptop", HookSettings.model_validate(config))
        assert isinstance(source, Receiver)
        await source.open(as_context(FakeContext()))
        (event,) = (await source.receive(inbound(b'{"session_id": "s", "cwd": "/x"}'))).events
        assert event.provenance["platform"] == event.payload["session"]["harness"] == platform
        assert event.payload["lifecycle"]["dedupe_key"] == f"{platform}:s:completed"
    assert agent.setup.variables[-1].name.endswith("_WEBHOOK_SECRET")


@pytest.mark.parametrize(
    ("hook", "event"),
    [("BeforeTool", "session.active"), ("AfterModel", "session.active"), ("AfterAgent", "session.completed")],
)
async def test_a_turn_of_gemini_ends_once(hook: str, event: str) -> None:
    told = await draft({"session_id": "s", "hook_event_name": hook})
    assert told.provenance["platform_event"] == event
