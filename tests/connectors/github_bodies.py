"""Small webhook bodies in GitHub's form: what the connector reads, and little else."""

from __future__ import annotations

from typing import Any, Final

Body = dict[str, Any]

PAGE: Final = "https://github.com/octo-org/billing"
MONA: Final = {"login": "mona", "id": 1, "type": "User"}
HUBOT: Final = {"login": "hubot", "id": 2, "type": "User"}
STRANGER: Final = {"login": "stranger", "id": 3, "type": "User"}
RENOVATE: Final = {"login": "renovate[bot]", "id": 4, "type": "Bot"}
REPOSITORY: Final = {
    "id": 10,
    "full_name": "octo-org/billing",
    "html_url": PAGE,
    "default_branch": "main",
    "owner": {"login": "octo-org", "type": "Organization"},
}

HOME: Final = {"full_name": "octo-org/billing"}
FORK: Final = {"full_name": "stranger/billing"}


def body(action: str | None = None, sender: Body | None = None, **parts: Any) -> Body:
    """A delivery's body in the repository `octo-org/billing`."""
    head = {} if action is None else {"action": action}
    return {**head, **parts, "repository": REPOSITORY, "sender": sender or MONA}


def pull(**changes: Any) -> Body:
    fields: Body = {
        "id": 420,
        "number": 42,
        "html_url": f"{PAGE}/pull/42",
        "title": "Retry failed invoices",
        "user": HUBOT,
        "author_association": "MEMBER",
        "state": "open",
        "draft": False,
        "labels": [{"id": 5, "name": "backend"}],
        "body": "Invoices that failed are sent again.",
        "head": {"ref": "retry-invoices", "sha": "ec26c3e", "repo": HOME},
        "base": {"ref": "main"},
        "created_at": "2026-01-05T10:00:00Z",
        "updated_at": "2026-01-05T11:00:00Z",
        "closed_at": None,
        "merged_at": None,
    }
    return {**fields, **changes}


def issue(**changes: Any) -> Body:
    fields: Body = {
        "id": 70,
        "number": 7,
        "html_url": f"{PAGE}/issues/7",
        "title": "Invoices are sent twice",
        "body": "I got the same invoice again.",
        "user": STRANGER,
        "author_association": "NONE",
        "state": "open",
        "labels": [{"id": 6, "name": "bug"}],
        "created_at": "2026-01-05T09:00:00Z",
        "updated_at": "2026-01-05T11:00:00Z",
    }
    return {**fields, **changes}


def review(**changes: Any) -> Body:
    fields: Body = {
        "id": 2406118523,
        "html_url": f"{PAGE}/pull/42#pullrequestreview-2406118523",
        "user": MONA,
        "author_association": "MEMBER",
        "state": "changes_requested",
        "body": "The retry loop never gives up. Please bound it, and add a test for the last try.",
        "submitted_at": "2026-01-05T11:00:00Z",
    }
    return {**fields, **changes}


def comment(**changes: Any) -> Body:
    fields: Body = {
        "id": 900,
        "html_url": f"{PAGE}/pull/42#discussion_r900",
        "user": MONA,
        "author_association": "MEMBER",
        "body": "Name this constant.",
        "diff_hunk": "@@ -1,2 +1,3 @@",
        "path": "billing/retry.py",
        "created_at": "2026-01-05T11:00:00Z",
        "updated_at": "2026-01-05T11:00:00Z",
    }
    return {**fields, **changes}


def issue_note(**changes: Any) -> Body:
    note = comment(
        id=901, html_url=f"{PAGE}/issues/7#issuecomment-901", body="I can reproduce this.", **changes
    )
    return {key: value for key, value in note.items() if key not in ("diff_hunk", "path")}


def run(**changes: Any) -> Body:
    fields: Body = {
        "id": 5000,
        "name": "tests",
        "html_url": f"{PAGE}/actions/runs/5000",
        "event": "push",
        "run_number": 128,
        "run_attempt": 1,
        "status": "completed",
        "conclusion": "failure",
        "head_branch": "retry-invoices",
        "head_sha": "ec26c3e",
        "head_repository": {"full_name": "octo-org/billing"},
        "actor": HUBOT,
        "pull_requests": [{"number": 42, "base": {"repo": {"id": 10}}}],
    }
    return {**fields, **changes}


def suite(**changes: Any) -> Body:
    fields: Body = {
        "id": 6000,
        "url": "https://api.github.com/repos/octo-org/billing/check-suites/6000",
        "status": "completed",
        "conclusion": "success",
        "head_branch": "retry-invoices",
        "head_sha": "ec26c3e",
        "before": "6113728",
        "after": "ec26c3e",
        "updated_at": "2026-01-05T11:00:00Z",
        "app": {"slug": "octo-checks", "name": "Octo Checks"},
        "pull_requests": [{"number": 42, "base": {"repo": {"id": 10}}}],
    }
    return {**fields, **changes}


def check_run(**changes: Any) -> Body:
    fields: Body = {
        "id": 8000,
        "name": "lint",
        "url": "https://api.github.com/repos/octo-org/billing/check-runs/8000",
        "html_url": f"{PAGE}/runs/8000",
        "status": "completed",
        "conclusion": "failure",
        "head_sha": "ec26c3e",
        "started_at": "2026-01-05T10:59:00Z",
        "completed_at": "2026-01-05T11:00:00Z",
        "output": {"title": "3 problems", "summary": "Unused imports."},
        "app": {"slug": "octo-checks", "name": "Octo Checks"},
        "check_suite": {"id": 6000},
        "pull_requests": [{"number": 42, "base": {"repo": {"id": 10}}}],
    }
    return {**fields, **changes}


def dated(**changes: Any) -> Body:
    """A pull request that is closed."""
    return pull(state="closed", closed_at="2026-01-05T11:00:00Z", **changes)


MERGED: Final = {"merged": True, "merged_at": "2026-01-05T11:00:00Z", "merged_by": MONA}

DELIVERIES: Final[dict[str, tuple[str, Body]]] = {
    "pull_request.review_submitted": (
        "pull_request_review",
        body("submitted", review=review(), pull_request=pull()),
    ),
    "pull_request_review_comment": (
        "pull_request_review_comment",
        body("created", comment=comment(), pull_request=pull()),
    ),
    "issue_comment": ("issue_comment", body("created", comment=issue_note(), issue=issue())),
    "pull_request.opened": ("pull_request", body("opened", HUBOT, number=42, pull_request=pull())),
    "pull_request.ready_for_review": (
        "pull_request",
        body("ready_for_review", HUBOT, number=42, pull_request=pull()),
    ),
    "pull_request.merged": ("pull_request", body("closed", number=42, pull_request=dated(**MERGED))),
    "pull_request.closed": ("pull_request", body("closed", HUBOT, number=42, pull_request=dated())),
    "issues.opened": ("issues", body("opened", STRANGER, issue=issue())),
    "issues.labeled": ("issues", body("labeled", issue=issue(), label={"name": "bug"})),
    "issues.assigned": ("issues", body("assigned", issue=issue(), assignee=HUBOT)),
    "workflow_run.completed": ("workflow_run", body("completed", HUBOT, workflow_run=run())),
    "check_suite.completed": ("check_suite", body("completed", check_suite=suite())),
    "push": (
        "push",
        {
            "ref": "refs/heads/main",
            "before": "6113728",
            "after": "ec26c3e",
            "compare": f"{PAGE}/compare/6113728...ec26c3e",
            "repository": {"full_name": "octo-org/billing"},
            "sender": {"login": "mona", "type": "User"},
        },
    ),
}
"""One delivery of each event that has a form of its own, and one of another, by `platform_event`."""
