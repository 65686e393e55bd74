"""Which events polls can tell of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orgloop.plugin import EventType, event_names, names_match

_ON_ISSUES: Final = ("closed", "reopened", "labeled", "unlabeled", "assigned", "unassigned")
_ON_PULLS: Final = ("ready_for_review", "converted_to_draft", "review_requested", "review_request_removed")

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
        ("pull_request.merged", "pull_request", "closed"),
        *(
            (f"{event}.{action}", event, action)
            for event, actions in (
                ("issues", _ON_ISSUES),
                ("pull_request", _ON_ISSUES + _ON_PULLS),
            )
            for action in actions
        ),
    ),
    "runs": (("workflow_run.completed", "workflow_run", "completed"),),
    "pushes": (("push", "push", ""),),
    "heads": (("pull_request.synchronize", "pull_request", "synchronize"),),
    "releases": (("release.published", "release", "published"),),
    "deployments": (
        ("deployment.created", "deployment", "created"),
        ("deployment_status.created", "deployment_status", "created"),
    ),
    "check_suites": (("check_suite.completed", "check_suite", "completed"),),
    "check_runs": (("check_run.completed", "check_run", "completed"),),
}
"""What is polled, each kind with its events: `platform_event`, `native_event`, `native_action`."""

IF_NAMED: Final = frozenset({"deployments", "check_suites", "check_runs"})
"""Kinds that take many requests: read only if `events` names them."""


def kinds_for(events: Sequence[str]) -> frozenset[str]:
    """The kinds that have one of these events; if no event is named, all that take few requests."""
    if not events:
        return frozenset(KINDS) - IF_NAMED
    return frozenset(kind for kind, called in KINDS.items() if any(_calls(events, one) for one in called))


def is_polled(event: str) -> bool:
    """Whether polls can tell of this event, or of one that this glob names."""
    return bool(kinds_for((event,)))


def is_wanted(events: Sequence[str], native: str, action: str) -> bool:
    """Whether a poll can tell of GitHub's `native` with this action, and `events` asks for it or is empty."""
    names = [one for called in KINDS.values() for one in called if one[1:] == (native, action)]
    return any(not events or _calls(events, one) for one in names)


def _calls(events: Sequence[str], called: tuple[str, str, str]) -> bool:
    names = dict(zip(("platform_event", "native_event", "native_action"), called, strict=True))
    given = {key: name for key, name in names.items() if name}
    return names_match(events, event_names(EventType.RESOURCE_CHANGED, given))
