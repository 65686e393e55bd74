"""What the pages of commands say of `--json` is what the commands print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.docs import pages
from tests.e2e.organization import Organization

COMMANDS = "docs/cli.md"
OPERATIONS = "docs/cli-operations.md"


def told(page: str, command: str) -> Iterator[set[str]]:
    """The keys of each document that a command's section shows."""
    text = " ".join(pages.section(page, f"`orgloop {command}`").split())
    for shape in re.findall(r"`(\{\".+?\})`", text):
        level, keys = 0, set()
        without_values = re.sub(r': "\w+"( \| "\w+")*', "", shape)
        for found in re.finditer(r'[{}\[\]]|"([^"]+)"', without_values):
            level += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found[0], 0)
            if found[1] and level == 1:
                keys.add(found[1])
        yield keys


@pytest.fixture
def organization_at_work(organization: Organization) -> Organization:
    organization.command("init", "--no-interactive")
    example = organization.command("test", "--generate", "webhook").stdout
    organization.write({"event.json": example})
    organization.start()
    return organization


def test_the_documents_have_the_keys_that_the_pages_tell(organization_at_work: Organization) -> None:
    def keys(*words: str) -> set[str]:
        said = organization_at_work.command(*words, "--json", check=False)
        return set(json.loads(said.stdout))

    event_id = json.loads(organization_at_work.command("emit", "event.json", "--json").stdout)["event_id"]
    for name in ("validate", "env", "doctor", "plan", "routes", "version"):
        assert keys(name) == next(told(COMMANDS, name)), name
    assert keys("test", "event.json") == next(told(COMMANDS, "test"))
    assert keys("trace", event_id) == next(told(OPERATIONS, "trace"))
    assert keys("status") == set().union(*told(OPERATIONS, "status"))
    assert next(told(OPERATIONS, "inspect")) <= keys("inspect", "process")
    assert keys("install-service", "--print") in [*told(OPERATIONS, "install-service")]
    assert keys("dead", "discard", "--all", "--yes") == next(told(OPERATIONS, "dead"))
    applied, stopped = [*told(OPERATIONS, "start")][1], [*told(OPERATIONS, "stop")]
    assert keys("start") == applied
    organization_at_work.stop()
    assert keys("stop") == stopped[1]
    assert keys("status") == next(told(OPERATIONS, "status"))
