"""What the pages of commands say of `--json` is what the commands print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from orgloop.cli.root import main
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


def test_the_documents_have_the_keys_that_the_pages_tell(
    organization: Organization, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(organization.root)
    for name, value in organization.environment.items():
        monkeypatch.setenv(name, value)

    def said(*words: str) -> dict[str, object]:
        capsys.readouterr()
        main([*words, "--json"])
        document = json.loads(capsys.readouterr().out)
        assert isinstance(document, dict)
        return document

    def keys(*words: str) -> set[str]:
        return set(said(*words))

    said("init", "--no-interactive")
    organization.start()
    example = json.dumps(said("test", "--generate", "webhook"))
    organization.write({"event.json": example})
    event_id = str(said("emit", "event.json")["event_id"])
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
    organization.stop()
    assert keys("stop") == stopped[1]
    assert keys("status") == next(told(OPERATIONS, "status"))
