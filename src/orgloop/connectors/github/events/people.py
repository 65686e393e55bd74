"""Who caused an event, and whether they belong to the team.

GitHub says how an author is associated with the repository, but only for what they wrote. For
other deeds, those that need write access show that the sender has it. In doubt: external.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.connectors.github.events.shapes import proves
from orgloop.plugin import (
    AuthorType,
    Json,
    object_at,
    text_at,
)

UNKNOWN: Final = "unknown"

TEAM: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})

# Deeds that GitHub allows to people with rights on the repository only. Not among them: closing
# and synchronizing a pull request, which whoever can push to its fork does as well.
_ON_PULL_REQUESTS: Final = frozenset(
    {
        "assigned",
        "auto_merge_enabled",
        "converted_to_draft",
        "demilestoned",
        "enqueued",
        "labeled",
        "locked",
        "milestoned",
        "ready_for_review",
        "review_requested",
        "unassigned",
        "unlabeled",
        "unlocked",
    }
)
_WITH_WRITE_ACCESS: Final = frozenset(
    {
        "branch_protection_rule",
        "create",
        "delete",
        "deploy_key",
        "deployment",
        "deployment_status",
        "label",
        "member",
        "membership",
        "meta",
        "milestone",
        "org_block",
        "organization",
        "public",
        "push",
        "release",
        "repository",
        "repository_dispatch",
        "repository_ruleset",
        "team",
        "team_add",
        "workflow_dispatch",
    }
)
_RUN_BY_WRITERS: Final = frozenset(
    {
        "create",
        "delete",
        "deployment",
        "merge_group",
        "pull_request",
        "push",
        "release",
        "repository_dispatch",
        "schedule",
        "workflow_dispatch",
    }
)
_WRITTEN: Final = ("comment", "review", "answer", "discussion", "issue", "pull_request")


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """A login and what it is."""

    login: str
    type: AuthorType


def writer(written: Mapping[str, Any], team: frozenset[str]) -> Author:
    """The author of a comment or review."""
    user = object_at(written, "user")
    return _author(user, text_at(written, "author_association") in TEAM, team)


def sender(event: str, body: Mapping[str, Any], team: frozenset[str]) -> Author:
    """Whoever did it."""
    user = object_at(body, "sender")
    if not user:
        return Author(login=login(user), type=AuthorType.UNKNOWN)
    return _author(user, _is_trusted(event, body, login(user)), team)


def runner(body: Mapping[str, Any], team: frozenset[str]) -> Author:
    """Whoever started a workflow run."""
    run = object_at(body, "workflow_run")
    user = object_at(run, "actor") or object_at(run, "triggering_actor") or object_at(body, "sender")
    repository = object_at(body, "repository")
    at_home = text_at(object_at(run, "head_repository"), "full_name") == text_at(repository, "full_name")
    trusted = at_home and text_at(run, "event") in _RUN_BY_WRITERS and proves("workflow_run", body)
    return _author(user, trusted or _owns(repository, login(user)), team)


def app(check: Mapping[str, Any], team: frozenset[str]) -> Author:
    """The app that owns a check suite or run; `team` may name it as `slug[bot]`, or plainly."""
    owner = object_at(check, "app")
    name = text_at(owner, "slug") or text_at(owner, "name") or UNKNOWN
    named = {name.casefold(), f"{name.casefold()}[bot]"} & team
    return Author(login=name, type=AuthorType.TEAM_MEMBER if named else AuthorType.BOT)


def _author(user: Mapping[str, Any], trusted: bool, team: frozenset[str]) -> Author:
    name = login(user)
    if name.casefold() in team:
        return Author(login=name, type=AuthorType.TEAM_MEMBER)
    if text_at(user, "type") == "Bot" or name.endswith("[bot]"):
        return Author(login=name, type=AuthorType.BOT)
    if trusted:
        return Author(login=name, type=AuthorType.TEAM_MEMBER)
    return Author(login=name, type=AuthorType.EXTERNAL)


def _is_trusted(event: str, body: Mapping[str, Any], name: str) -> bool:
    for key in _WRITTEN:
        written = object_at(body, key)
        if written and login(object_at(written, "user")) == name and "author_association" in written:
            return text_at(written, "author_association") in TEAM
    if _owns(object_at(body, "repository"), name):
        return True
    if not proves(event, body):
        return False
    if event in _WITH_WRITE_ACCESS:
        return True
    action = text_at(body, "action")
    match event:
        case "pull_request":
            merged = action == "closed" and object_at(body, "pull_request").get("merged") is True
            return merged or action in _ON_PULL_REQUESTS
        case "issues":
            return action != "opened"
        case _:
            return False


def _owns(repository: Mapping[str, Any], name: str) -> bool:
    return name != UNKNOWN and login(object_at(repository, "owner")) == name


def login(user: Json) -> str:
    """A user's login; `unknown` for a deleted account."""
    return text_at(user, "login") or UNKNOWN
