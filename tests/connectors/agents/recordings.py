"""What each harness writes, recorded from its real command line and cut down to what says something."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orgloop.connectors.agents.claude_code import connector as claude_code
from orgloop.connectors.agents.codex import connector as codex
from orgloop.connectors.agents.copilot import connector as copilot
from orgloop.connectors.agents.gemini import connector as gemini
from orgloop.connectors.agents.opencode import connector as opencode
from orgloop.connectors.agents.pi import connector as pi
from orgloop.connectors.process import connector as process
from orgloop.plugin import Connector, Supervised

Line = Mapping[str, Any]

WORDS = 'Looks fine.\n```json\n{"decision": "approve"}\n```'


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a program wrote, and its exit status."""

    lines: Sequence[Line] = ()
    stderr: str = ""
    status: int = 1

    @property
    def stdout(self) -> str:
        return "".join(f"{json.dumps(line)}\n" for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One harness: `greets` before a model answers, `works` once one has, `ends` with WORDS.

    `unpaid` are runs in which no model answered, by the kind of outcome that they have; `fails` is what comes
    behind `works` if the model fails midway, by the reason of the end; `gone` is a session that is not there.
    `cost` is that of `works` and `ends`, if the harness tells it. `resumes` are the words that take up
    `session`.
    """

    connector: Connector
    session: str
    config: Mapping[str, Any] = field(default_factory=dict)
    greets: Sequence[Line]
    works: Sequence[Line]
    ends: Sequence[Line]
    unpaid: Mapping[str, Output]
    fails: Mapping[str, Sequence[Line]]
    gone: Output
    cost: float | None = None
    tokens: Mapping[str, int]
    resumes: Sequence[str]

    @property
    def name(self) -> str:
        return self.connector.name

    def actor(self, **config: Any) -> Supervised:
        assert self.connector.actor is not None
        settings = self.connector.actor.settings.model_validate({"cwd": "/", **self.config, **config})
        actor = self.connector.actor.open("engineer", settings)
        assert isinstance(actor, Supervised)
        return actor


UUID = "6f8a2b54-6d0e-4c1b-9a57-0a4f4f3d3c11"


def _claude() -> Recording:
    init = {"type": "system", "subtype": "init", "session_id": UUID, "claude_code_version": "2.1.332"}

    def says(text: str, **more: Any) -> Line:
        usage = {"input_tokens": 10, "output_tokens": 5}
        message = {
            "id": "msg_1",
            "model": "opus",
            "content": [{"type": "text", "text": text}],
            "usage": usage,
        }
        return {
            "type": "assistant",
            "message": message,
            "session_id": UUID,
            "parent_tool_use_id": None,
            **more,
        }

    def broken(text: str, error: str) -> Line:
        message = {"model": "<synthetic>", "content": [{"type": "text", "text": text}]}
        return {"type": "assistant", "message": message, "error": error, "session_id": UUID}

    def result(text: str, cost: float = 0.12, **more: Any) -> Line:
        models = {"opus": {"inputTokens": 10, "outputTokens": 5, "costUSD": cost}} if cost else {}
        usual = {"subtype": "success", "is_error": False, "num_turns": 1, "session_id": UUID, "result": text}
        return {"type": "result", **usual, "total_cost_usd": cost, "modelUsage": models, **more}

    def refused(text: str, error: str, status: int) -> Output:
        end = result(text, 0.0, is_error=True, api_error_status=status)
        return Output(lines=[init, broken(text, error), end])

    limit = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1795345072}}
    reached = "You've hit your session limit"
    return Recording(
        connector=claude_code,
        session=UUID,
        greets=[init],
        works=[says("Looking.")],
        ends=[says(WORDS), result(WORDS)],
        cost=0.12,
        tokens={"input": 10, "output": 5, "cache_read": 0, "cache_creation": 0},
        unpaid={
            "limited": Output(
                lines=[init, limit, broken(reached, "rate_limit"), result(reached, 0.0, is_error=True)]
            ),
            "login": refused("Invalid API key", "authentication_failed", 401),
            "busy": refused("API Error: 500 oops", "server_error", 500),
            "option": Output(stderr="error: unknown option '--nope'\n"),
        },
        fails={
            "usage_limit": [limit, broken(reached, "rate_limit"), result(reached, is_error=True)],
            "refusal": [result("No.", is_error=True, stop_reason="refusal")],
        },
        gone=Output(
            lines=[
                result(
                    "",
                    0.0,
                    subtype="error_during_execution",
                    is_error=True,
                    errors=[f"No conversation found with session ID: {UUID}"],
                )
            ]
        ),
        resumes=["--resume", UUID],
    )


def _codex() -> Recording:
    started = {"type": "thread.started", "thread_id": UUID}
    turn = {"type": "turn.started"}
    harmless = {
        "type": "item.completed",
        "item": {"id": "item_0", "type": "error", "message": "Model metadata"},
    }

    def says(text: str) -> Line:
        return {"type": "item.completed", "item": {"id": "item_1", "type": "agent_message", "text": text}}

    def fails(text: str) -> Sequence[Line]:
        return [{"type": "error", "message": text}, {"type": "turn.failed", "error": {"message": text}}]

    def refused(text: str) -> Output:
        return Output(lines=[started, harmless, turn, *fails(text)])

    reached = "You\u2019ve hit your usage limit. Please try again at 4:40 AM."
    usage = {"input_tokens": 1000, "cached_input_tokens": 300, "output_tokens": 50}
    return Recording(
        connector=codex,
        session=UUID,
        config={"price": {"input": 1, "cached_input": 0.1, "output": 10}},
        greets=[started, harmless, turn],
        works=[says("Looking.")],
        ends=[says(WORDS), {"type": "turn.completed", "usage": usage}],
        cost=0.00123,
        tokens={"input": 700, "output": 50, "cache_read": 300, "cache_creation": 0},
        unpaid={
            "limited": refused(reached),
            "login": refused("unexpected status 401 Unauthorized: Incorrect API key"),
            "busy": refused("unexpected status 503 Service Unavailable"),
            "option": Output(stderr="error: unexpected argument '--nope' found\n", status=2),
        },
        fails={"usage_limit": fails(reached), "refusal": fails("Your prompt was flagged")},
        gone=Output(stderr=f"Error: thread/resume: no rollout found for thread id {UUID}\n"),
        resumes=["resume", UUID],
    )


def _opencode() -> Recording:
    session = "ses_dd35d80faffev1faRcC0fw4Fo4"

    def line(kind: str, **more: Any) -> Line:
        return {"type": kind, "timestamp": 1796045179767, "sessionID": session, **more}

    def step(reason: str, cost: float, number: int) -> Line:
        tokens = {"total": 15, "input": 10, "output": 5, "reasoning": 0, "cache": {"write": 0, "read": 0}}
        part = {
            "id": f"prt_{number}",
            "type": "step-finish",
            "reason": reason,
            "tokens": tokens,
            "cost": cost,
        }
        return line("step_finish", part=part)

    def text(words: str) -> Line:
        return line("text", part={"type": "text", "text": words})

    def fails(words: str, status: int) -> Line:
        data = {"message": words, "statusCode": status, "isRetryable": False}
        return line("error", error={"name": "APIError", "data": data})

    begins = line("step_start", part={"type": "step-start"})
    state = {"status": "completed", "input": {"command": "ls"}, "title": "ls"}
    tool = line("tool_use", part={"type": "tool", "tool": "bash", "state": state})
    blocked = {
        "name": "ContentFilterError",
        "data": {"message": "The response was blocked by the provider's content filter"},
    }
    return Recording(
        connector=opencode,
        session=session,
        greets=[],
        works=[begins, text("Looking."), tool, step("tool-calls", 0.00002, 1)],
        ends=[begins, text(WORDS), step("stop", 0.0012, 2)],
        cost=0.00122,
        tokens={"input": 20, "output": 10, "cache_read": 0, "cache_creation": 0},
        unpaid={
            "limited": Output(lines=[fails("You have exceeded your rate limit", 429)]),
            "login": Output(lines=[fails("Incorrect API key provided", 401)]),
            "credit": Output(lines=[fails("Payment required", 402)]),
            "model": Output(lines=[fails("The model `scripted` does not exist", 404)]),
            "busy": Output(lines=[fails("oops", 500)]),
            "option": Output(stderr="opencode run [message..]\n\nrun opencode with a message\n"),
        },
        fails={
            "usage_limit": [fails("You have exceeded your rate limit", 429)],
            "refusal": [begins, step("content-filter", 0, 3), line("error", error=blocked)],
            "error": [fails("bad request", 400)],
        },
        gone=Output(stderr="\x1b[91m\x1b[1mError: \x1b[0mSession not found\n"),
        resumes=["--session", session],
    )


def _pi() -> Recording:
    def message(words: str, cost: float, stop: str, **more: Any) -> Line:
        usage = {"input": 1000, "output": 100, "cacheRead": 200, "cacheWrite": 0, "cost": {"total": cost}}
        usage = usage if cost else {"input": 0, "output": 0, "cost": {"total": 0}}
        content = [{"type": "text", "text": words}] if words else []
        whole = {"role": "assistant", "content": content, "usage": usage, "stopReason": stop, **more}
        return {"type": "message_end", "message": whole}

    def fails(status: int, words: str) -> Sequence[Line]:
        said = f'{status}: {{"type":"x","message":"{words}"}}'
        failed = message("", 0, "error", errorMessage=said)
        return [failed, {"type": "agent_end", "messages": [], "willRetry": False}, settled]

    settled = {"type": "agent_settled", "aborted": False}
    begins: Sequence[Line] = [{"type": "agent_start"}, {"type": "turn_start"}]
    user = {"type": "message_end", "message": {"role": "user", "content": [{"type": "text", "text": "hi"}]}}
    greets: Sequence[Line] = [{"type": "session", "version": 3, "id": UUID, "cwd": "/"}, *begins, user]
    tool = {"type": "tool_execution_start", "toolName": "bash", "args": {"command": "ls"}}

    def refused(status: int, words: str) -> Output:
        return Output(lines=[*greets, *fails(status, words)], status=0)

    blocked = message("Filtered.", 0.00002, "error", errorMessage="Provider finish_reason: content_filter")
    return Recording(
        connector=pi,
        session=UUID,
        greets=greets,
        works=[message("Looking.", 0.0012, "toolUse", responseId="r1"), tool],
        ends=[message(WORDS, 0.0012, "stop", responseId="r2"), settled],
        cost=0.0024,
        tokens={"input": 2000, "output": 200, "cache_read": 400, "cache_creation": 0},
        unpaid={
            "limited": refused(429, "You have exceeded your rate limit"),
            "login": refused(401, "Incorrect API key provided"),
            "credit": refused(429, "You exceeded your current quota, please check your billing details"),
            "model": refused(404, "The model `scripted` does not exist"),
            "busy": refused(500, "oops"),
            "option": Output(stderr="Error: Unknown option: --nope\n"),
        },
        fails={
            "usage_limit": fails(429, "You have exceeded your rate limit"),
            "refusal": [blocked, settled],
            "error": fails(400, "bad request"),
        },
        gone=Output(stderr=f"No session found matching '{UUID}'\n"),
        resumes=["--session", UUID],
    )


def _copilot() -> Recording:
    def line(kind: str, **data: Any) -> Line:
        return {"type": kind, "data": data, "id": "9520dc28", "timestamp": "2026-11-30T13:18:05.650Z"}

    def result(status: int) -> Line:
        usage = {"premiumRequests": 0, "totalApiDurationMs": 16}
        return {"type": "result", "sessionId": UUID, "exitCode": status, "usage": usage}

    def says(words: str) -> Line:
        return line("assistant.message", messageId="m", content=words, toolRequests=[])

    def fails(status: int, words: str) -> Sequence[Line]:
        failure = line("model.call_failure", statusCode=status, errorMessage=words)
        error = line("session.error", errorType="query", message=f"{status} {words}", statusCode=status)
        return [failure, error, result(1)]

    greets = [line("session.skills_loaded", skills=[]), line("user.message", content="hi")]
    tool = line("tool.execution_start", toolCallId="c", toolName="bash", arguments={"command": "ls"})

    def refused(status: int, words: str) -> Output:
        return Output(lines=[*greets, *fails(status, words)])

    return Recording(
        connector=copilot,
        session=UUID,
        greets=greets,
        works=[says("Looking."), tool],
        ends=[says(WORDS), line("assistant.idle"), result(0)],
        tokens={},
        unpaid={
            "limited": refused(429, "You have exceeded your rate limit"),
            "login": refused(401, "Authentication failed with provider"),
            "credit": refused(402, "Payment required"),
            "model": refused(404, "Model 'scripted' not found on provider"),
            "busy": refused(500, "oops"),
            "option": Output(stderr="error: unexpected argument '--nope' found\n"),
        },
        fails={
            "usage_limit": fails(429, "You have exceeded your rate limit"),
            "refusal": fails(400, "content_filter"),
            "error": fails(400, "bad request"),
        },
        gone=Output(stderr=f"Error: No session, task, or name matched '{UUID}'.\n"),
        resumes=[f"--resume={UUID}"],
    )


def _gemini() -> Recording:
    def says(words: str) -> Sequence[Line]:
        half = len(words) // 2
        return [
            {"type": "message", "role": "assistant", "content": piece, "delta": True}
            for piece in (words[:half], words[half:])
        ]

    stats = {"total_tokens": 1100, "input_tokens": 1200, "output_tokens": 100, "cached": 200, "tool_calls": 1}

    def fails(status: int, words: str) -> Sequence[Line]:
        said = f'[API Error: {{"error":{{"code":{status},"message":"{words}"}}}}]'
        return [{"type": "result", "status": "error", "error": {"type": "unknown", "message": said}}]

    greets = [
        {"type": "init", "session_id": UUID, "model": "gemini-2.5-pro"},
        {"type": "message", "role": "user", "content": "hi\n"},
    ]
    tool = {"type": "tool_use", "tool_name": "read_file", "tool_id": "t", "parameters": {"file_path": "a"}}

    def refused(status: int, words: str) -> Output:
        return Output(lines=[*greets, *fails(status, words)], status=status & 255)

    return Recording(
        connector=gemini,
        session=UUID,
        greets=greets,
        works=[
            {"type": "message", "role": "assistant", "content": "Looking."},
            tool,
            {"type": "tool_result", "tool_id": "t", "status": "success"},
        ],
        ends=[*says(WORDS), {"type": "result", "status": "success", "stats": stats}],
        tokens={"input": 1000, "output": 100, "cache_read": 200},
        unpaid={
            "limited": refused(429, "You have exhausted your daily quota on this model."),
            "login": refused(401, "API key not valid"),
            "model": refused(404, "The model `scripted` does not exist"),
            "busy": refused(503, "The service is overloaded"),
            "option": Output(stderr="Usage: gemini\n\nUnknown argument: nope\n"),
        },
        fails={
            "usage_limit": fails(429, "You have exhausted your daily quota on this model."),
            "refusal": fails(400, "PROHIBITED_CONTENT"),
            "error": fails(400, "bad request"),
        },
        gone=Output(stderr=f'Error resuming session: Invalid session identifier "{UUID}".\n', status=42),
        resumes=["--resume", UUID],
    )


def _described() -> Recording:
    """An agent without a connector of its own, as YAML describes it."""

    def says(words: str) -> Line:
        return {"kind": "said", "type": "said", "thread": UUID, "data": {"parts": [{"text": words}]}}

    def result(ok: bool, cost: float, **more: Any) -> Line:
        usage = {"in": 10, "out": 5} if cost else {"in": 0, "out": 0}
        return {"kind": "end", "type": "end", "ok": ok, "usage": {**usage, "usd": cost}, **more}

    def fails(words: str, cost: float = 0.12) -> Line:
        return result(False, cost, problem={"why": words})

    reached = "Monthly allowance used up, try again in 2 hours"
    return Recording(
        connector=process,
        session=UUID,
        config={
            "command": ["agent", "--json"],
            "output": {
                "message": {"kind": "said"},
                "message_text": "data.parts.0.text",
                "result": {"kind": "end"},
                "failed": {"ok": False},
                "error": "problem.why",
                "session": "thread",
                "cost_usd": "usage.usd",
                "tokens": {"input": "usage.in", "output": "usage.out"},
                "usage_limit": ["allowance used up"],
            },
            "sessions": {"resume": ["--thread", "{session}"], "gone": ["no such thread"]},
        },
        greets=[{"kind": "hello", "type": "hello", "thread": UUID}],
        works=[says("Looking.")],
        ends=[says(WORDS), result(True, 0.12)],
        cost=0.12,
        tokens={"input": 10, "output": 5},
        unpaid={"limited": Output(lines=[fails(reached, 0.0)])},
        fails={
            "usage_limit": [fails(reached)],
            "error": [fails("it did not work")],
        },
        gone=Output(stderr="agent: no such thread\n", status=3),
        resumes=["--thread", UUID],
    )


RECORDINGS = [_described(), _claude(), _codex(), _opencode(), _pi(), _copilot(), _gemini()]
