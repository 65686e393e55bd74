"""Pull requests and their reviews."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orgloop.connectors.github.events.fact import (
    Fact,
    deed_of,
    doing,
    head_of,
    is_merged,
    numbered,
    numbered_thing,
    pull_details,
    thing,
    version_of,
)
from orgloop.connectors.github.events.people import login, sender, writer
from orgloop.plugin import Json, integer_at, object_at, text_at


def review(body: Json, team: frozenset[str]) -> Fact | None:
    """`pull_request_review`: submitted, edited or dismissed."""
    given, pull, action = object_at(body, "review"), object_at(body, "pull_request"), text_at(body, "action")
    if not given or not action:
        return None
    id, state = integer_at(given, "id"), text_at(given, "state").lower()
    submitted, dismissed = action == "submitted", action == "dismissed"
    key = f"review-{id}-{action}" if id is not None and (submitted or dismissed) else None
    return Fact(
        platform_event=f"pull_request.review_{action}",
        resource_id=f"review-{id}" if submitted else f"review-{id}-{action}",
        author=writer(given, team),
        details={
            **pull_details(body, pull, text_at(given, "html_url")),
            "review_id": id,
            "review_state": state,
        },
        payload={
            "action": f"review_{action}",
            "review_id": id,
            "review_state": state,
            "review_body": given.get("body"),
            "pr_title": text_at(pull, "title"),
            "pr_number": integer_at(pull, "number"),
            **head_of(pull),
            **doing(body, given),
        },
        key=key,
        entity=thing("review", id),
    )


def review_comment(body: Json, team: frozenset[str]) -> Fact | None:
    """`pull_request_review_comment`: created, edited or deleted."""
    comment, pull, action = (
        object_at(body, "comment"),
        object_at(body, "pull_request"),
        text_at(body, "action"),
    )
    if not comment or not action:
        return None
    created, id = action == "created", integer_at(comment, "id")
    return Fact(
        platform_event="pull_request_review_comment" + ("" if created else f".{action}"),
        resource_id=f"comment-{id}" if created else f"comment-{id}-{action}",
        author=writer(comment, team),
        details=pull_details(body, pull, text_at(comment, "html_url")),
        payload={
            "action": "review_comment" if created else f"review_comment_{action}",
            "comment_body": text_at(comment, "body"),
            "pr_title": text_at(pull, "title"),
            "pr_number": integer_at(pull, "number"),
            "diff_hunk": text_at(comment, "diff_hunk"),
            "path": text_at(comment, "path"),
            **head_of(pull),
            **doing(body, comment),
        },
        key=comment_key("comment", comment, action),
        entity=thing("comment", id),
    )


def comment_key(kind: str, comment: Mapping[str, Any], action: str) -> str | None:
    """The key of what happened to a comment: it is created and deleted once, and edited as often as it is."""
    id, version = integer_at(comment, "id"), version_of(comment)
    if id is not None and action in ("created", "deleted"):
        return f"{kind}-{id}-{action}"
    return f"{kind}-{id}-{action}@{version}" if id is not None and version else None


def pull_request(body: Json, team: frozenset[str]) -> Fact | None:
    """`pull_request`: four moments have a form of their own, the rest passes as it is."""
    pull, action = object_at(body, "pull_request"), text_at(body, "action")
    if not pull or not action:
        return None
    merged = is_merged(pull)
    what = "merged" if action == "closed" and merged else action
    count = integer_at(pull, "number")
    deed, version = deed_of(body, action, pull)
    payload: Mapping[str, Any]
    match what:
        case "closed" | "merged":
            deed, payload = what, _closed(body, pull, what)
        case "opened":
            payload = {**_short(body, pull, what), "draft": pull.get("draft") is True}
        case "ready_for_review":
            payload = _short(body, pull, what)
        case _:
            payload = body
    return Fact(
        platform_event=f"pull_request.{what}",
        resource_id=f"pr-{count}-{'ready' if what == 'ready_for_review' else what}",
        author=sender("pull_request", body, team),
        details=pull_details(body, pull, text_at(pull, "html_url")),
        payload=payload,
        key=numbered(body, "pr", count, deed, version),
        entity=numbered_thing(body, "pr", count),
    )


def _short(body: Json, pull: Mapping[str, Any], action: str) -> dict[str, Any]:
    return {
        "action": action,
        "pr_title": text_at(pull, "title"),
        "pr_number": integer_at(pull, "number"),
        "pr_body": text_at(pull, "body"),
        **head_of(pull),
        **doing(body, pull),
    }


def _closed(body: Json, pull: Mapping[str, Any], action: str) -> dict[str, Any]:
    payload = {**_short(body, pull, action), "merged": action == "merged"}
    if action == "merged":
        payload["merged_by"] = login(object_at(pull, "merged_by"))
    return payload
