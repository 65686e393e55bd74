"""A change of an issue, as a route's author may try it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orgloop.plugin import AuthorType, EventType

EXAMPLE: Final[Mapping[str, Any]] = {
    "type": EventType.RESOURCE_CHANGED,
    "provenance": {
        "platform": "linear",
        "platform_event": "issue.state_changed",
        "native_event": "Issue",
        "native_action": "update",
        "author": "Mona Lisa",
        "author_type": AuthorType.TEAM_MEMBER,
        "author_id": "b5ea5f1f-8adc-4f52-b4bd-ab4e84cf51ba",
        "issue_id": "ENG-42",
        "issue_uuid": "0b3d1c6e-8a52-4a0f-9a4e-5f2c7d9e1b40",
        "url": "https://linear.app/octo/issue/ENG-42/retry-failed-invoices",
        "team": "ENG",
        "state": "In Progress",
        "assignee": "Hubot",
        "delegate": None,
        "project": "Billing",
        "labels": ["backend"],
    },
    "payload": {
        "issue_id": "ENG-42",
        "issue_title": "Retry failed invoices",
        "action": "state_changed",
        "previous_state": "Todo",
        "new_state": "In Progress",
        "previous_state_id": "4a1e9d7c-5f0b-4c1e-9a53-0d2b6f7e8c11",
        "new_state_id": "9c2f7b1a-3d44-4e0f-8b6a-71c5d9e0f322",
    },
}
