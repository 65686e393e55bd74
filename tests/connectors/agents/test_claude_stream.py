"""What each line of the CLI says while it runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.connectors.agents.claude_code.classify_exit import classify_exit
from orgloop.connectors.agents.claude_code.stream import progress
from orgloop.plugin import Completion, ExitInfo, NotBegun, Progress

NAMES = """type subtype message content text model name input command session_id error errors result is_error
    usage num_turns total_cost_usd modelUsage inputTokens costUSD permission_denials tool_name rate_limit_info
    status structured_output api_error_status terminal_reason attempt parent_tool_use_id"""
KEYS = st.sampled_from(NAMES.split())
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
TYPES = st.sampled_from(["assistant", "user", "system", "result", "rate_limit_event", "stream_event"])
LINES = st.builds(lambda kind, rest: json.dumps({**rest, "type": kind}), TYPES, st.dictionaries(KEYS, JSON))


def says(**line: Any) -> Progress | None:
    return progress(json.dumps(line))


def assistant(*content: Any) -> Progress | None:
    return says(type="assistant", message={"role": "assistant", "content": list(content)})


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ([{"type": "text", "text": "I look\n at it."}], "I look at it."),
        ([{"type": "tool_use", "name": "Bash", "input": {"command": "pytest -q\n"}}], "Bash: pytest -q"),
        ([{"type": "tool_use", "name": "Edit", "input": {"file_path": "/a.py", "old": "x"}}], "Edit: /a.py"),
        ([{"type": "tool_use", "name": "TodoWrite", "input": {"todos": []}}], "TodoWrite"),
        ([{"type": "text", "text": "First."}, {"type": "tool_use", "name": "Read", "input": {}}], "Read"),
    ],
)
def test_the_last_thing_that_the_agent_did_is_shown(content: list[Any], shown: str) -> None:
    assert assistant(*content) == Progress(text=shown)


@pytest.mark.parametrize(
    "content", [[], [{"type": "thinking", "thinking": "hm"}], ["text"], [{"type": "text"}]]
)
def test_a_turn_without_words_or_tools_shows_nothing(content: list[Any]) -> None:
    assert assistant(*content) is None


def test_the_first_line_tells_the_session() -> None:
    line = says(type="system", subtype="init", session_id="s-1", model="claude-opus-4-8")
    assert line == Progress(text="begun with claude-opus-4-8", session_id="s-1", alive=False)


def test_the_result_tells_the_cost() -> None:
    line = says(
        type="result", subtype="success", result="Done.", session_id="s", total_cost_usd=0.6300000000000001
    )
    assert line == Progress(text="Done.", session_id="s", cost_usd=0.63, result=True)


@pytest.mark.parametrize("cost", [-1, True, "1", None, [1]])
def test_a_cost_that_is_none_is_not_shown(cost: Any) -> None:
    line = says(type="result", subtype="success", result="Done.", total_cost_usd=cost)
    assert line == Progress(text="Done.", result=True)


def test_a_result_without_words_tells_why() -> None:
    line = says(type="result", subtype="error_max_turns", total_cost_usd=1)
    assert line == Progress(text="error max turns", cost_usd=1.0, result=True)


def test_refused_tools_are_named_once() -> None:
    denials = [{"tool_name": "Bash"}, {"tool_name": "Write"}, {"tool_name": "Bash"}, {}, None]
    line = says(type="result", subtype="success", result="Done.", permission_denials=denials)
    assert line == Progress(text="Done. (not allowed: Bash, Write)", result=True)


def test_waiting_for_the_model_is_shown() -> None:
    line = says(type="system", subtype="api_retry", attempt=2, error_status=429, error="rate_limit")
    assert line == Progress(text="asks the model again: rate limit, try 2", alive=False)
    rejected = says(type="rate_limit_event", rate_limit_info={"status": "rejected"})
    assert rejected == Progress(text="the usage limit is reached", alive=False)


def test_what_the_cli_says_without_a_model_is_no_work() -> None:
    message = {"model": "<synthetic>", "content": [{"type": "text", "text": "Invalid API key"}]}
    lines = [
        says(type="assistant", message=message, error="authentication_failed"),
        says(type="result", subtype="success", is_error=True, result="Invalid API key"),
    ]
    assert [line is not None and line.alive for line in lines] == [False, False]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "{",
        '{"type": "user"}',
        '{"type": 7}',
        '{"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}',
        "\ud800",
        '{"a":' * 2000,
    ],
)
def test_other_lines_say_nothing(line: str) -> None:
    assert progress(line) is None


@given(st.text() | LINES)
def test_no_line_is_too_strange_to_be_read(line: str) -> None:
    shown = progress(line)
    if shown is not None and shown.text is not None:
        assert shown.text
        assert shown.text.isprintable()
    assert shown is None or shown.cost_usd is None or shown.cost_usd >= 0


@given(
    st.lists(st.text(max_size=20) | LINES, max_size=6),
    st.none() | st.integers(0, 255),
    st.sampled_from([None, "start", "silence", "total", "output", "requested", "lost"]),
    st.text(max_size=30),
)
def test_no_output_is_too_strange_to_be_judged(
    lines: list[str], status: int | None, stopped: str | None, stderr: str
) -> None:
    exit = ExitInfo(status=status, stopped=stopped, stdout="\n".join(lines), stderr=stderr, duration_s=1.0)
    end = classify_exit(exit)
    if isinstance(end, Completion):
        assert end.phase.terminal
        assert end.reason
        json.dumps([end.text, end.json, end.cost_usd, end.tokens, end.turns, end.models], allow_nan=False)
    else:
        assert isinstance(end, NotBegun)
        assert stopped in (None, "start")
