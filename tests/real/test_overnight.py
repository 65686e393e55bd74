"""The overnight story with the real Claude Code CLI: a ticket is implemented, judged, tested, closed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import EventRow
from orgloop.operations.views.chain import read_chain, trace_of
from orgloop.project.home import Home
from tests.e2e.organization import Organization, wait_for
from tests.e2e.sink import Sink
from tests.support.model_script import Say, ToolCall, Usage
from tests.support.scripted_model import ScriptedModel

pytestmark = pytest.mark.real

EXAMPLE = Path(__file__).parents[2] / "examples" / "supervisor"
TICKET = {
    "type": "ticket.ready",
    "id": "T-17",
    "updated_at": "2026-03-01T20:00:00Z",
    "title": "Let parse([]) through",
}
COST = Usage(input_tokens=100_000, output_tokens=1_000)
SOPS = {
    "implement": "# Implement the ticket",
    "supervise": "# Judge the implementer's work",
    "add-tests": "# Cover your last change with tests",
}


def said(**decision: object) -> str:
    return f"Here is what I found.\n\n```json\n{json.dumps(decision)}\n```"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit."""
    path = tmp_path / "repository"
    path.mkdir()
    (path / "parser.py").write_text("def parse(items):\n    return items[0]\n")
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "Dev"],
        ["config", "user.email", "dev@example.com"],
        ["add", "."],
        ["commit", "-qm", "Begin"],
    ):
        subprocess.run(["git", "-C", str(path), *arguments], check=True)
    return path


@pytest.fixture
def overnight(
    tmp_path: Path, claude_env: dict[str, str], repository: Path
) -> Iterator[tuple[Organization, Sink]]:
    """The supervisor example in a home of its own, wired to the scripted model and a ticket system."""
    root = tmp_path / "org"
    shutil.copytree(EXAMPLE, root)
    with Sink() as sink:
        organization = Organization(root=root, home=Home(tmp_path / "home"))
        organization.environ = {
            **claude_env,
            "TICKET_API": f"{sink.url}/ok",
            "REPOSITORY": str(repository),
            "IMPLEMENTER_MODEL": "claude-sonnet-4-5",
            "SUPERVISOR_MODEL": "claude-sonnet-4-5",
        }
        yield organization, sink
        organization.kill()


def script(model: ScriptedModel) -> None:
    """What the two agents say, turn by turn."""
    fix = ToolCall(
        name="Bash", input={"command": "echo fixed >> parser.py && git commit -qam 'Let parse([]) through'"}
    )
    model.script.on(SOPS["implement"], Say(text="I change the parser.", tools=[fix], usage=COST))
    model.script.on(
        "",
        Say(text=said(ticket="T-17", tests=False), usage=COST, gate="implemented"),
        conversation="I change",
    )
    model.script.on(
        SOPS["supervise"], Say(text=said(ticket="T-17", decision="add_tests", summary="untested"), usage=COST)
    )
    model.script.on(SOPS["add-tests"], Say(text=said(ticket="T-17", tests=True), usage=COST))
    model.script.on(
        SOPS["supervise"],
        Say(text=said(ticket="T-17", decision="done", summary="parse([]) works"), usage=COST),
    )


def test_a_ticket_is_closed_overnight_though_the_daemon_dies(
    overnight: tuple[Organization, Sink], scripted_model: ScriptedModel, repository: Path
) -> None:
    organization, sink = overnight
    script(scripted_model)
    organization.start()
    status, answer = organization.post("tickets", TICKET)
    assert status == 200

    # The daemon dies while the implementer works; the agent goes on, and its end is heard by the next daemon.
    scripted_model.script.gate("implemented").wait_reached(30)
    organization.kill()
    scripted_model.script.gate("implemented").open()
    organization.start()

    wait_for("the ticket to be closed", lambda: sink.bodies)
    (_, headers, body), *others = sink.bodies
    assert not others
    assert body == {"ticket": "T-17", "state": "done", "comment": "parse([]) works"}
    with organization.reader() as reader:
        trace_id = trace_of(reader, answer["event_id"])
        wait_for("the end", lambda: not read_chain(reader, trace_id).open)
        chain = read_chain(reader, trace_id)
        events, deliveries, _, runs = reader.trace(trace_id)
    assert organization.stop() == 0

    _is_one_chain(list(events))
    assert [(row.route, row.state) for row in deliveries] == [
        ("implement", State.DELIVERED),
        ("supervise", State.DELIVERED),
        ("add-tests", State.DELIVERED),
        ("supervise", State.DELIVERED),
        ("close-ticket", State.DELIVERED),
    ]
    assert headers["x-orgloop-delivery"] == deliveries[-1].id
    assert [run.outcome for run in runs] == ["success"] * 4
    # Both wakes of the implementer reached one session; the supervisor began a new one each time.
    implementer = [run.session_id for run in runs if run.actor == "implementer"]
    assert len(set(implementer)) == 1
    assert len({run.session_id for run in runs}) == 3
    _prompts_hold_one_sop_each(scripted_model)
    # Five answers, each of the same price; the chain's cost is their sum.
    assert chain.cost_usd == pytest.approx(5 * (100_000 * 3 + 1_000 * 15) / 1_000_000, rel=0.01)
    commits = subprocess.run(
        ["git", "-C", str(repository), "rev-list", "--count", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert commits.stdout.strip() == "2"
    first_end = next(event for event in events if event.type == "actor.stopped")
    assert first_end.document["payload"]["git"]["commits"] == 1


def _is_one_chain(events: list[EventRow]) -> None:
    """Each end has the event that woke its run as parent, and one hop more."""
    ends = [event for event in events if event.type == "actor.stopped"]
    assert [event.hops for event in events if event.source == "tickets"] == [0]
    assert [event.hops for event in ends] == [1, 2, 3, 4]
    before = [next(event for event in events if event.source == "tickets"), *ends]
    for cause, end in zip(before, ends, strict=False):
        assert end.document["parents"] == [cause.id]
    assert {event.trace_id for event in events} == {events[0].trace_id}


def _prompts_hold_one_sop_each(model: ScriptedModel) -> None:
    """Every prompt of every request holds the SOP of its route and no other, or is a tool's result."""
    woken = []
    for request in model.script.requests:
        held = [[name for name, title in SOPS.items() if title in prompt] for prompt in request.prompts]
        assert all(len(names) <= 1 for names in held)
        woken.append(next(names[0] for names in reversed(held) if names))
    assert woken == ["implement", "implement", "supervise", "add-tests", "supervise"]
