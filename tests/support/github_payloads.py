"""GitHub's published examples of webhook payloads, by event and action."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

Payload = dict[str, Any]


class GithubPayloads:
    """Reads the examples of the package `@octokit/webhooks-examples` that is installed below `folder`."""

    def __init__(self, folder: Path) -> None:
        index = folder / "node_modules/@octokit/webhooks-examples/api.github.com/index.json"
        entries: list[dict[str, Any]] = json.loads(index.read_text("utf-8"))
        self._examples: dict[str, list[Payload]] = {entry["name"]: entry["examples"] for entry in entries}

    @property
    def events(self) -> list[str]:
        """Names as in the header `X-GitHub-Event`."""
        return sorted(self._examples)

    def actions(self, event: str) -> list[str]:
        """Actions that `event` has examples of; none for events without actions, such as `push`."""
        return sorted({example["action"] for example in self.all(event) if "action" in example})

    def all(self, event: str, action: str | None = None) -> list[Payload]:
        """Copies of the examples of `event`, or of its `action`. Raises LookupError if there is none."""
        examples = self._examples.get(event, [])
        found = [example for example in examples if action is None or example.get("action") == action]
        if not found:
            raise LookupError(f"no example of {event} {action or ''}; there are {self._known(event)}")
        return copy.deepcopy(found)

    def get(self, event: str, action: str | None = None) -> Payload:
        """A copy of the first example. Raises LookupError if there is none."""
        return self.all(event, action)[0]

    def _known(self, event: str) -> str:
        return ", ".join(self.actions(event) if event in self._examples else self.events)
