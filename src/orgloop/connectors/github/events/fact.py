"""What a delivery says, before it becomes an event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orgloop.connectors.github.events.people import Author
from orgloop.connectors.github.events.reading import labels, login, number, part, text


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing that happened.

    `details` is the rest of the provenance. `key` names the fact with its version, so that it is one
    event whichever way it is learned; None if GitHub's data cannot tell it from the next of its kind.
    `entity` names what it is about, in all its versions.
    """

    platform_event: str
    author: Author
    details: Mapping[str, Any]
    payload: Mapping[str, Any]
    resource_id: str | None = None
    key: str | None = None
    entity: str | None = None


def repo_of(body: Mapping[str, Any]) -> str:
    """`owner/name`, empty for what happens outside a repository."""
    return text(part(body, "repository"), "full_name")


def pull_details(body: Mapping[str, Any], pull: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The provenance of everything about a pull request."""
    return {
        "pr_author": login(part(pull, "user")),
        "labels": labels(pull),
        "repo": repo_of(body),
        "pr_number": number(pull, "number"),
        "pr_state": text(pull, "state"),
        "pr_merged": is_merged(pull),
        "url": url,
    }


def is_merged(pull: Mapping[str, Any]) -> bool:
    """Whether it is merged; reviews carry the time only, older data the flag only."""
    return bool(pull.get("merged_at") or pull.get("merged"))


def is_from_fork(body: Mapping[str, Any], pull: Mapping[str, Any]) -> bool:
    """Whether its branch is in another repository, or in one that is gone."""
    return text(part(pull, "head", "repo"), "full_name").lower() != repo_of(body).lower()


def numbered(body: Mapping[str, Any], kind: str, number: int | None, what: str, version: str) -> str | None:
    """The key of a fact about an issue or pull request, which its number names within a repository."""
    repo = repo_of(body).lower()
    return f"{kind}:{repo}#{number}:{what}@{version}" if repo and number is not None and version else None


def numbered_thing(body: Mapping[str, Any], kind: str, number: int | None) -> str | None:
    """An issue or pull request, whatever happens to it."""
    repo = repo_of(body).lower()
    return f"{kind}:{repo}#{number}" if repo and number is not None else None


def thing(kind: str, id: int | None) -> str | None:
    """What has an id of its own, in all its versions."""
    return f"{kind}-{id}" if id is not None else None


def version_of(written: Mapping[str, Any]) -> str | None:
    """The version of a comment: when it was written, and what. Two edits can share a second."""
    at = text(written, "updated_at")
    digest = hashlib.sha256(text(written, "body").encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{at}.{digest}" if at else None


def doing(body: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Who did it, through which app, and what an edit changed: the same for all that somebody writes."""
    changes = body.get("changes")
    app = part(written, "performed_via_github_app")
    return {
        "sender": login(part(body, "sender")),
        "performed_via_github_app": text(app, "slug") or text(app, "name") or None,
        **({"changes": changes} if isinstance(changes, dict) and changes else {}),
    }


def head_of(pull: Mapping[str, Any]) -> dict[str, Any]:
    """Where a pull request comes from: branch, commit and repository. None if its fork is gone."""
    head = part(pull, "head")
    return {
        "head_ref": text(head, "ref"),
        "head_sha": text(head, "sha"),
        "head_repo": text(part(head, "repo"), "full_name") or None,
        "base_ref": text(part(pull, "base"), "ref"),
    }


def with_whom(body: Mapping[str, Any], action: str) -> tuple[str, str] | None:
    """What an action on an issue or pull request is done with, such as a label: its kind and its name."""
    match action:
        case "labeled" | "unlabeled":
            name = text(part(body, "label"), "name")
            return ("label", name) if name else None
        case "assigned" | "unassigned":
            name = text(part(body, "assignee"), "login")
            return ("assignee", name) if name else None
        case "review_requested" | "review_request_removed":
            name = text(part(body, "requested_reviewer"), "login")
            team = text(part(body, "requested_team"), "slug")
            return ("reviewer", name) if name else ("team", f"team/{team}") if team else None
        case _:
            return None


def deed_of(body: Mapping[str, Any], action: str, thing: Mapping[str, Any]) -> tuple[str, str]:
    """What was done with an issue or pull request, and the version that it has by that.

    Empty if GitHub's data cannot tell it from the next of its kind: several edits can share a second.
    """
    match action:
        case "closed":
            return action, text(thing, "merged_at") or text(thing, "closed_at")
        case "opened":
            return action, text(thing, "created_at")
        case "synchronize":
            before, after = text(body, "before"), text(body, "after")
            # A fork is polled by its commits alone, so that their time is not known.
            at = "" if is_from_fork(body, thing) else f"@{text(thing, 'updated_at')}"
            return action, f"{before}..{after}{at}" if before and after else ""
        case "reopened" | "ready_for_review" | "converted_to_draft":
            return action, text(thing, "updated_at")
        case _:
            given = with_whom(body, action)
            return (action, "") if given is None else (f"{action}-{given[1]}", text(thing, "updated_at"))
