"""Which events polls can tell of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orgloop.plugin import EventType, event_names, names_match

KINDS: Final[Mapping[str, Sequence[tuple[str, str, str]]]] = {
    "issues": (("issues.opened", "issues", "opened"),),
    "pulls": (("pull_request.opened", "pull_request", "opened"),),
    "reviews": (("pull_request.review_submitted", "pull_request_review", "submitted"),),
    "comments": (
        ("issue_comment", "issue_comment", "created"),
        ("issue_comment.edited", "issue_comment", "edited"),
    ),
    "review_comments": (
        ("pull_request_review_comment", "pull_request_review_comment", "created"),
        ("pull_request_review_comment.edited", "pull_request_review_comment", "edited"),
    ),
    "deeds": (
        ("pull_request.closed", "pull_request", "closed"),
        ("pull_request.merged", "pull_request", "closed"),
        ("pull_request.ready_for_review", "pull_request", "ready_for_review"),
        ("issues.labeled", "issues", "labeled"),
        ("issues.assigned", "issues", "assigned"),
    ),
    "runs": (("workflow_run.completed", "workflow_run", "completed"),),
}
"""What is polled, each kind with its events: `platform_event`, `native_event`, `native_action`."""


def kinds_for(events: Sequence[str]) -> frozenset[str]:
    """The kinds that have one of these events; all of them if no event is named."""
    return frozenset(
        kind for kind, told in KINDS.items() if not events or any(_calls(events, one) for one in told)
    )


def is_polled(event: str) -> bool:
    """Whether polls can tell of this event, or of one that this glob names."""
    return bool(kinds_for((event,)))


def _calls(events: Sequence[str], told: tuple[str, str, str]) -> bool:
    names = dict(zip(("platform_event", "native_event", "native_action"), told, strict=True))
    return names_match(events, event_names(EventType.RESOURCE_CHANGED, names))
