"""docs/sops.md shows the prompt that its own project and prompt file make."""

from __future__ import annotations

import json
import re

from tests.docs import pages
from tests.e2e.organization import Organization

PAGE = "docs/sops.md"
EVENT = {
    "source": "ci",
    "type": "resource.changed",
    "provenance": {"platform": "webhook", "platform_event": "build.failed"},
    "payload": {"service": "billing"},
}


def without_ids(text: str) -> str:
    return re.sub(r"\b(evt|dlv)_[0-9a-f]{16}", r"\1_", text)


def test_the_prompt_is_the_one_of_the_page(organization: Organization) -> None:
    project = next(pages.blocks("yaml", pages=(PAGE,)))
    sop = next(pages.blocks("markdown", pages=(PAGE,)))
    shown = next(pages.blocks("text", pages=(PAGE,)))
    organization.write({"orgloop.yaml": project.text, "sops/fix-build.md": sop.text})
    said = organization.command("test", "-", "--prompt", "--json", stdin=json.dumps(EVENT)).stdout
    prompt = without_ids(json.loads(said)["routes"][0]["prompt"])
    before, after = without_ids(shown.text).split("  …\n")
    assert prompt.startswith(before)
    assert prompt.endswith(after)
