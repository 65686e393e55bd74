"""Issues, and the comments on issues and pull requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orgloop.connectors.github.events.fact import (
    Fact,
    deed_of,
    doing,
    labels,
    numbered,
    numbered_thing,
    repo_of,
    thing,
    with_whom,
)
from orgloop.connectors.github.events.people import login, sender, writer
from orgloop.connectors.github.events.pulls import comment_key
from orgloop.plugin import Json, integer_at, object_at, text_at


def issue_comment(body: Json, team: frozenset[str]) -> Fact | None:
    """`issue_comment`: created, edited or deleted, on an issue or a pull request."""
    comment, issue = object_at(body, "comment"), object_at(body, "issue")
    action = text_at(body, "action") or "created"
    if not comment:
        return None
    created, id = action == "created", integer_at(comment, "id")
    name = "issue_comment" if created else f"issue_comment.{action}"
    return Fact(
        platform_event=name,
        resource_id=f"issue-comment-{id}" if created else f"issue-comment-{id}-{action}",
        author=writer(comment, team),
        details={
            "pr_author": login(object_at(issue, "user")),
            "labels": labels(issue),
            "repo": repo_of(body),
            "pr_number": integer_at(issue, "number"),
            "pr_state": text_at(issue, "state"),
            "pr_merged": bool(object_at(issue, "pull_request").get("merged_at")),
            "url": text_at(comment, "html_url"),
        },
        payload={
            "action": name,
            "comment_body": text_at(comment, "body"),
            "issue_title": text_at(issue, "title"),
            "issue_number": integer_at(issue, "number"),
            "is_pull_request": bool(object_at(issue, "pull_request")),
            **doing(body, comment),
        },
        key=comment_key("issue-comment", comment, action),
        entity=thing("issue-comment", integer_at(comment, "id")),
    )


def issue(body: Json, team: frozenset[str]) -> Fact | None:
    """`issues`: opened, labeled and assigned have a form of their own, the rest passes as it is."""
    subject, action = object_at(body, "issue"), text_at(body, "action")
    if not subject or not action:
        return None
    count = integer_at(subject, "number")
    details: dict[str, Any] = {
        "repo": repo_of(body),
        "issue_number": count,
        "labels": labels(subject),
        "url": text_at(subject, "html_url"),
    }
    deed, version = deed_of(body, action, subject)
    given = with_whom(body, action)
    payload: Mapping[str, Any] = body
    what = action
    match action, given:
        case "opened", _:
            payload = _short(body, subject, action)
        case "labeled", (_, name):
            what, payload = deed, {**_short(body, subject, action), "label": name}
            details["label"] = name
        case "assigned", (_, name):
            what, payload = deed, {**_short(body, subject, action), "assignee": name}
        case _:
            pass
    return Fact(
        platform_event=f"issues.{action}",
        resource_id=f"issue-{count}-{what}",
        author=sender("issues", body, team),
        details=details,
        payload=payload,
        key=numbered(body, "issue", count, deed, version),
        entity=numbered_thing(body, "issue", count),
    )


def _short(body: Json, subject: Mapping[str, Any], action: str) -> dict[str, Any]:
    return {
        "action": action,
        "issue_title": text_at(subject, "title"),
        "issue_number": integer_at(subject, "number"),
        "issue_state": text_at(subject, "state"),
        "issue_body": text_at(subject, "body"),
        **doing(body, subject),
    }
