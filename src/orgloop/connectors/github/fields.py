"""Which fields the events have, so that a filter on one that never comes is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orgloop.connectors.github.events.names import NAMES
from orgloop.connectors.github.settings import Enrichment, GithubSettings
from orgloop.plugin import ANYTHING, FLAG, NUMBER, TEXT, EventShape, EventType, Values

Fields = Mapping[str, Values]

_STATES: Final = ("open", "closed")
_REVIEW_STATES: Final = ("approved", "changes_requested", "commented", "dismissed", "pending")
_CONCLUSIONS: Final = (
    *("success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required", "stale"),
    *("startup_failure", None),
)

_EVERY: Final[Fields] = {
    "provenance.platform": ("github",),
    "provenance.outdated": FLAG,
    "provenance.native_event": TEXT,
    "provenance.native_action": TEXT,
    "provenance.resource_id": TEXT,
    "provenance.repo": TEXT,
    "provenance.url": TEXT,
}
_PULL: Final[Fields] = {
    "provenance.pr_author": TEXT,
    "provenance.labels.*": ANYTHING,
    "provenance.pr_number": NUMBER,
    "provenance.pr_state": _STATES,
    "provenance.pr_merged": FLAG,
}
_DOING: Final[Fields] = {
    "payload.sender": TEXT,
    "payload.performed_via_github_app": ANYTHING,
    "payload.changes.*": ANYTHING,
}
_HEAD: Final[Fields] = {
    "payload.head_ref": TEXT,
    "payload.head_sha": TEXT,
    "payload.head_repo": ANYTHING,
    "payload.base_ref": TEXT,
}
_PULL_SHORT: Final[Fields] = {
    **_PULL,
    **_HEAD,
    **_DOING,
    "payload.action": TEXT,
    "payload.pr_title": TEXT,
    "payload.pr_number": NUMBER,
}
_ISSUE: Final[Fields] = {
    **_DOING,
    "provenance.issue_number": NUMBER,
    "provenance.labels.*": ANYTHING,
    "provenance.label": TEXT,
    "payload.action": TEXT,
    "payload.issue_title": TEXT,
    "payload.issue_number": NUMBER,
    "payload.issue_state": _STATES,
    "payload.issue_body": TEXT,
    "payload.label": TEXT,
    "payload.assignee": TEXT,
}
_CHECKED: Final[Fields] = {
    **_PULL,
    "payload.pr_title": TEXT,
    "payload.pr_url": TEXT,
    "payload.head_ref": TEXT,
    "payload.base_ref": TEXT,
}
_FAILED: Final[Fields] = {"payload.failed_jobs.*": ANYTHING}
_NOT_ENRICHED: Final[Fields] = {"payload.not_enriched": TEXT}
_WHOLE_BODY: Final[Fields] = {
    **_PULL,
    "provenance.issue_number": NUMBER,
    "provenance.number": NUMBER,
    "provenance.label": TEXT,
    "provenance.review_id": NUMBER,
    "provenance.review_state": _REVIEW_STATES,
    "payload.*": ANYTHING,
}


def _shape(names: str, *fields: Fields) -> EventShape:
    """Names that end in a star stand for all known names that begin so."""
    stems = tuple(name[:-1] for name in names.split() if name.endswith("*"))
    known = [name for name in NAMES if name.startswith(stems)] if stems else []
    named = [name for name in names.split() if not name.endswith("*")]
    together = {path: values for one in (_EVERY, *fields) for path, values in one.items()}
    return EventShape(names=(*named, *known), fields=together)


_TOLD: Final = (
    _shape(
        "pull_request.review_* pull_request_review pull_request_review.*",
        _PULL_SHORT,
        {
            "provenance.review_id": NUMBER,
            "provenance.review_state": _REVIEW_STATES,
            "payload.review_id": NUMBER,
            "payload.review_state": _REVIEW_STATES,
            "payload.review_body": ANYTHING,
        },
    ),
    _shape(
        "pull_request_review_comment pull_request_review_comment.*",
        _PULL_SHORT,
        {"payload.comment_body": TEXT, "payload.diff_hunk": TEXT, "payload.path": TEXT},
    ),
    _shape(
        "issue_comment issue_comment.*",
        _PULL,
        _DOING,
        {
            "payload.action": TEXT,
            "payload.comment_body": TEXT,
            "payload.issue_title": TEXT,
            "payload.issue_number": NUMBER,
            "payload.is_pull_request": FLAG,
        },
    ),
    _shape("pull_request pull_request.opened", _PULL_SHORT, {"payload.pr_body": TEXT, "payload.draft": FLAG}),
    _shape("pull_request pull_request.ready_for_review", _PULL_SHORT, {"payload.pr_body": TEXT}),
    _shape(
        "pull_request pull_request.closed pull_request.merged",
        _PULL_SHORT,
        {"payload.pr_body": TEXT, "payload.merged": FLAG, "payload.merged_by": TEXT},
    ),
    _shape("issues issues.opened issues.labeled issues.assigned", _ISSUE),
    _shape(
        "workflow_run workflow_run.completed",
        {
            "provenance.pr_author": TEXT,
            "provenance.labels.*": ANYTHING,
            "provenance.pr_number": NUMBER,
            "payload.action": ("workflow_run_failed", "workflow_run_completed"),
            "payload.workflow_name": TEXT,
            "payload.run_number": NUMBER,
            "payload.conclusion": _CONCLUSIONS,
            "payload.head_branch": ANYTHING,
            "payload.head_sha": TEXT,
            "payload.head_repo": ANYTHING,
        },
    ),
    _shape(
        "check_suite check_suite.completed",
        {
            "provenance.pr_author": TEXT,
            "provenance.pr_number": NUMBER,
            "payload.action": ("check_suite_completed",),
            "payload.conclusion": _CONCLUSIONS,
            "payload.status": TEXT,
            "payload.app_name": TEXT,
            "payload.head_branch": ANYTHING,
            "payload.head_sha": TEXT,
            "payload.before": ANYTHING,
            "payload.after": ANYTHING,
        },
    ),
)
_OWN_FORM: Final = frozenset(name for shape in _TOLD for name in shape.names if "." in name) | {
    *("pull_request_review", "pull_request_review_comment", "issue_comment"),
}
_OTHERS: Final = EventShape(
    names=(EventType.RESOURCE_CHANGED, *(name for name in NAMES if name not in _OWN_FORM)),
    fields={**_EVERY, **_WHOLE_BODY},
)


def shapes_for(settings: GithubSettings) -> Sequence[EventShape]:
    """Events with a form of their own, and the others, which have their whole body as payload."""
    joined = _CHECKED if Enrichment.PULL_REQUEST in settings.enrich else {}
    failed = _FAILED if Enrichment.FAILURES in settings.enrich else {}
    more = {
        "workflow_run.completed": {**joined, **failed, **_NOT_ENRICHED},
        "check_suite.completed": {**joined, **_NOT_ENRICHED},
    }
    if not settings.enrich:
        return (*_TOLD, _OTHERS)
    told = [
        EventShape(names=one.names, fields={**one.fields, **more.get(one.names[-1], {})}) for one in _TOLD
    ]
    return (*told, _OTHERS)
