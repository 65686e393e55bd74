"""An agent without a connector of its own, as the settings of `process` describe it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orgloop.connectors.agents.any_agent import at
from orgloop.connectors.process import ProcessSettings, connector
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.plugin import Completion, ExitInfo, Limited, NotBegun, Supervised, WakeSession
from orgloop.plugin.actor import Priced
from tests.connectors.agents.held import Bench
from tests.connectors.doubles import wake


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    yield bench
    bench.close()


AGENT = """
import json, sys, pathlib
args = sys.argv[1:]
log = pathlib.Path(args[args.index("--log") + 1])
prompt = pathlib.Path(args[-1]).read_text()
resumed = args[args.index("--thread") + 1] if "--thread" in args else None
if resumed is not None and not (log / resumed).exists():
    sys.exit("error: No Such Thread")
thread = resumed or "thread-1"
file = log / thread
file.write_text((file.read_text() if file.exists() else "") + prompt + ";")
say = lambda **line: print(json.dumps(line), flush=True)
say(kind="hello", thread=thread)
if "limit" in prompt:
    say(kind="end", ok=False, why="Allowance used up, try again in 3 hours", usage={"usd": 0})
    sys.exit(1)
say(kind="said", parts=[{"text": "Looking."}])
say(kind="said", parts=[{"text": "I know: "}, {"text": file.read_text()}])
count = file.read_text().count(";")
say(kind="end", ok="broken" not in prompt, why="it broke", usage={"usd": 0.25 * count, "in": 10, "out": 2})
"""


def described(tmp_path: Path, **changes: Any) -> Supervised:
    """An agent with a command line of its own, as YAML describes it."""
    script = tmp_path / "agent.py"
    script.write_text(AGENT)
    config = {
        "command": [sys.executable, str(script), "--log", str(tmp_path)],
        "cwd": str(tmp_path),
        "prompt": "file",
        "output": {
            "message": {"kind": "said"},
            "message_text": "parts",
            "result": {"kind": "end"},
            "failed": {"ok": False},
            "error": "why",
            "usage_limit": ["allowance used up"],
            "session": "thread",
            "cost_usd": "usage.usd",
            "cost_of": "session",
            "tokens": {"input": "usage.in", "output": "usage.out"},
        },
        "sessions": {"resume": ["--thread", "{session}"], "gone": ["no such thread"]},
    }
    assert connector.actor is not None
    actor = connector.actor.open("scribe", ProcessSettings.model_validate({**config, **changes}))
    assert isinstance(actor, Supervised)
    return actor


async def test_an_agent_that_yaml_describes_has_results_costs_and_sessions(
    bench: Bench, tmp_path: Path
) -> None:
    actor, key = described(tmp_path), WakeSession(key="pr:7")
    assert isinstance(actor, Priced)
    first = await bench.run(actor, "one", session=key).complete()
    assert (first.phase, first.outcome, first.reason) == (Phase.COMPLETED, RunOutcome.SUCCESS, "success")
    assert (first.text, first.session_id) == ("I know: \none;", "thread-1")
    assert (first.cost_usd, first.session_cost_usd) == (0.25, 0.25)
    assert first.tokens == {"input": 10, "output": 2}

    known = WakeSession(key="pr:7", id=first.session_id)
    second = await bench.run(actor, "two", session=known).complete()
    assert (second.text, second.session_id) == ("I know: \none;two;", "thread-1")
    assert (second.cost_usd, second.session_cost_usd) == (None, 0.5)

    broken = await bench.run(actor, "broken").complete()
    assert (broken.phase, broken.outcome, broken.reason) == (Phase.FAILED, RunOutcome.FAILURE, "error")
    assert broken.text.endswith("it broke")

    limited = await bench.run(actor, "limit").finish()
    assert isinstance(limited, NotBegun)
    assert isinstance(limited.outcome, Limited)
    assert limited.outcome.account == "scribe"

    gone = await bench.run(actor, "x", session=WakeSession(key="k", id="thread-9")).finish()
    assert isinstance(gone, NotBegun)
    assert gone.forget_session


def test_a_session_may_have_an_id_of_ours(tmp_path: Path) -> None:
    sessions = {"resume": ["-r={session}"], "begin": ["-n={session}"]}
    actor = described(tmp_path, sessions=sessions, prompt="argument")
    fresh = actor.start(wake(prompt="go", run_id="run_1"), WakeSession(key="k"))
    assert fresh.argv[-2:] == [f"-n={fresh.session_id}", "go"]
    assert fresh.take_over[-1] == f"-r={fresh.session_id}"
    again = actor.start(wake(prompt="go", run_id="run_2"), WakeSession(key="k", id=fresh.session_id))
    assert again.argv[-2:] == [f"-r={fresh.session_id}", "go"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b", 1), ("a.list.1", "y"), ("a.list.-1", "z"), ("a.list.9", None), ("a.list.x", None),
        ("a.none.b", None), ("b", None), ("a.text.0", None), ("a.list.99999999999999999999", None),
    ],
)  # fmt: skip
def test_a_path_leads_into_a_line(path: str, value: Any) -> None:
    line = {"a": {"b": 1, "list": ["x", "y", "z"], "none": None, "text": "word"}}
    assert at(line, path) == value


@pytest.mark.parametrize(("wanted", "value", "failed"), [
    (True, True, True), (True, 1, False), (1, True, False), (1, 1, True), ("x", "x", True),
    (["x", "y"], "y", True), (["x", "y"], "z", False), (False, None, False), (False, False, True),
])  # fmt: skip
def test_a_value_makes_a_result_a_failure(tmp_path: Path, wanted: Any, value: Any, failed: bool) -> None:
    actor = described(tmp_path, output={"result": {"kind": "end"}, "failed": {"ok": wanted}}, sessions=None)
    line = json.dumps({"kind": "end", "ok": value})
    end = actor.finish(ExitInfo(status=0, stopped=None, stdout=line, stderr="", duration_s=1))
    assert isinstance(end, Completion)
    assert (end.outcome is RunOutcome.FAILURE) is failed


@pytest.mark.parametrize(("status", "outcome"), [(0, RunOutcome.SUCCESS), (3, RunOutcome.FAILURE)])
def test_without_a_word_for_failures_the_exit_status_makes_one(
    tmp_path: Path, status: int, outcome: RunOutcome
) -> None:
    actor = described(tmp_path, output={"result": {"kind": "end"}}, sessions=None)
    exit = ExitInfo(status=status, stopped=None, stdout='{"kind": "end"}', stderr="", duration_s=1)
    end = actor.finish(exit)
    assert isinstance(end, Completion)
    assert end.outcome is outcome
    held = actor.finish(dataclasses.replace(exit, status=143, stopped="result"))
    assert isinstance(held, Completion)
    assert held.outcome is RunOutcome.SUCCESS
