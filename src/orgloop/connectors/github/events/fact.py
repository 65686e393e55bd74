"""What a delivery says, before it becomes an event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orgloop.connectors.github.events.people import Author, login
from orgloop.plugin import Json, integer_at, object_at, objects_at, text_at


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
    return text_at(object_at(body, "repository"), "full_name")


def pull_details(body: Mapping[str, Any], pull: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The provenance of everything about a pull request."""
    return {
        "pr_author": login(object_at(pull, "user")),
        "labels": labels(pull),
        "repo": repo_of(body),
        "pr_number": integer_at(pull, "number"),
        "pr_state": text_at(pull, "state"),
        "pr_merged": is_merged(pull),
        "url": url,
    }


def is_merged(pull: Mapping[str, Any]) -> bool:
    """Whether it is merged; reviews carry the time only, older data the flag only."""
    return bool(pull.get("merged_at") or pull.get("merged"))


def is_from_fork(body: Mapping[str, Any], pull: Mapping[str, Any]) -> bool:
    """Whether its branch is in another repository, or in one that is gone."""
    return text_at(object_at(pull, "head", "repo"), "full_name").lower() != repo_of(body).lower()


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
    at = text_at(written, "updated_at")
    digest = hashlib.sha256(text_at(written, "body").encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{at}.{digest}" if at else None


def doing(body: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Who did it, through which app, and what an edit changed: the same for all that somebody writes."""
    changes = body.get("changes")
    app = object_at(written, "performed_via_github_app")
    return {
        "sender": login(object_at(body, "sender")),
        "performed_via_github_app": text_at(app, "slug") or text_at(app, "name") or None,
        **({"changes": changes} if isinstance(changes, dict) and changes else {}),
    }


def head_of(pull: Mapping[str, Any]) -> dict[str, Any]:
    """Where a pull request comes from: branch, commit and repository. None if its fork is gone."""
    head = object_at(pull, "head")
    return {
        "head_ref": text_at(head, "ref"),
        "head_sha": text_at(head, "sha"),
        "head_repo": text_at(object_at(head, "repo"), "full_name") or None,
        "base_ref": text_at(object_at(pull, "base"), "ref"),
    }


def with_whom(body: Mapping[str, Any], action: str) -> tuple[str, str] | None:
    """What an action on an issue or pull request is done with, such as a label: its kind and its name."""
    match action:
        case "labeled" | "unlabeled":
            name = text_at(object_at(body, "label"), "name")
            return ("label", name) if name else None
        case "assigned" | "unassigned":
            name = text_at(object_at(body, "assignee"), "login")
            return ("assignee", name) if name else None
        case "review_requested" | "review_request_removed":
            name = text_at(object_at(body, "requested_reviewer"), "login")
            team = text_at(object_at(body, "requested_team"), "slug")
            return ("reviewer", name) if name else ("team", f"team/{team}") if team else None
        case _:
            return None


def deed_of(body: Mapping[str, Any], action: str, thing: Mapping[str, Any]) -> tuple[str, str]:
    """What was done with an issue or pull request, and the version that it has by that.

    Empty if GitHub's data cannot tell it from the next of its kind: several edits can share a second.
    """
    match action:
        case "closed":
            return action, text_at(thing, "merged_at") or text_at(thing, "closed_at")
        case "opened":
            return action, text_at(thing, "created_at")
        case "synchronize":
            before, after = text_at(body, "before"), text_at(body, "after")
            # A fork is polled by its commits alone, so that their time is not known.
            at = "" if is_from_fork(body, thing) else f"@{text_at(thing, 'updated_at')}"
            return action, f"{before}..{after}{at}" if before and after else ""
        case "reopened" | "ready_for_review" | "converted_to_draft":
            return action, text_at(thing, "updated_at")
        case _:
            given = with_whom(body, action)
            return (action, "") if given is None else (f"{action}-{given[1]}", text_at(thing, "updated_at"))


def labels(data: Json) -> list[str]:
    """The names of an issue's or pull request's labels."""
    return [name for label in objects_at(data, "labels") if (name := text_at(label, "name"))]
