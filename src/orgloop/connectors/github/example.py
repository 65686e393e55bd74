"""A review, as a route's author may try it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orgloop.plugin import (
    AuthorType,
    EventType,
)

EXAMPLE: Final[Mapping[str, Any]] = {
    "type": EventType.RESOURCE_CHANGED,
    "provenance": {
        "platform": "github",
        "platform_event": "pull_request.review_submitted",
        "native_event": "pull_request_review",
        "native_action": "submitted",
        "resource_id": "review-2406118523",
        "author": "mona",
        "author_type": AuthorType.TEAM_MEMBER,
        "pr_author": "hubot",
        "labels": ["backend"],
        "repo": "octo-org/billing",
        "pr_number": 42,
        "pr_state": "open",
        "pr_merged": False,
        "url": "https://github.com/octo-org/billing/pull/42#pullrequestreview-2406118523",
        "review_id": 2406118523,
        "review_state": "changes_requested",
    },
    "payload": {
        "action": "review_submitted",
        "review_id": 2406118523,
        "review_state": "changes_requested",
        "review_body": "The retry loop never gives up. Please bound it, and add a test for the last try.",
        "pr_title": "Retry failed invoices",
        "pr_number": 42,
        "head_ref": "retry-invoices",
        "head_sha": "ec26c3e",
        "head_repo": "octo-org/billing",
        "base_ref": "main",
        "sender": "mona",
        "performed_via_github_app": None,
    },
}
