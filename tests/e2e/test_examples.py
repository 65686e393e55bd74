"""The example projects load without a finding, and do what their README says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orgloop.config.load import load_project
from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from orgloop.plugin.registry import Registry
from tests.e2e.organization import Organization, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
VARIABLES = {"TICKET_API": "http://127.0.0.1:9/"}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_every_example_validates_without_a_finding(name: str) -> None:
    loaded = load_project(EXAMPLES / name, Registry.installed(), VARIABLES)
    assert [f"{one.code} {one.message}" for one in loaded.findings] == []
    assert loaded.organization is not None


def test_minimal_wakes_its_clerk_with_the_sop(organization: Organization) -> None:
    shutil.copytree(EXAMPLES / "minimal", organization.root, dirs_exist_ok=True)
    organization.start()
    status, answer = organization.post("webhook", {"type": "test", "message": "hello"})
    assert (status, answer["ok"], answer["duplicate"]) == (200, True, False)

    def delivered() -> bool:
        with organization.reader() as reader:
            return [row.state for row in reader.deliveries(Query(event_id=answer["event_id"]))] == [
                State.DELIVERED
            ]

    wait_for("the clerk", delivered)
    shown = organization.command("trace", answer["event_id"]).stdout
    assert "# Greet the sender" in shown
    assert "I was asked to: Greet the sender" in shown
