"""Every other webhook event: under its own name, with its whole body."""

from __future__ import annotations

from typing import Any, Final

from orgloop.connectors.github.events.check_runs import linked, own_pull
from orgloop.connectors.github.events.fact import Fact, pull_details, repo_of, thing
from orgloop.connectors.github.events.people import sender
from orgloop.connectors.github.times import iso
from orgloop.plugin import Json, integer_at, object_at, objects_at, text_at

LAST: Final = 1 << 33
"""A time, in seconds since 1970, that no push has."""

# Where an event keeps what it is about; the most particular thing first.
_SUBJECTS: Final = (
    "comment",
    "review",
    "workflow_job",
    "workflow_run",
    "check_run",
    "check_suite",
    "release",
    "discussion",
    "issue",
    "pull_request",
    "alert",
    "security_advisory",
    "deployment_status",
    "deployment",
    "forkee",
    "package",
    "registry_package",
    "milestone",
    "project_card",
    "project_column",
    "project",
    "commit",
    "team",
    "label",
    "key",
    "member",
    "installation",
    "sponsorship",
)


def other(event: str, body: Json, team: frozenset[str]) -> Fact:
    """`<event>` or `<event>.<action>`."""
    action = text_at(body, "action")
    return Fact(
        platform_event=f"{event}.{action}" if action else event,
        author=sender(event, body, team),
        details=_details(event, body),
        payload=body,
        key=_key(event, action, body),
        entity=_entity(event, body),
    )


def _key(event: str, action: str, body: Json) -> str | None:
    """The name of a fact that a poll tells of, too."""
    subject = object_at(body, event)
    id = integer_at(subject, "id")
    match event, action:
        case "push", _:
            pushed = integer_at(object_at(body, "repository"), "pushed_at") or -1
            what = (
                repo_of(body).lower(),
                text_at(body, "ref"),
                text_at(body, "before"),
                text_at(body, "after"),
            )
            return f"push:{':'.join(what)}@{iso(pushed)}" if 0 <= pushed < LAST and all(what) else None
        case "release", "published" if at := text_at(subject, "published_at"):
            return f"release-{id}-published@{at}" if id is not None else None
        case (("deployment" | "deployment_status"), "created"):
            return f"{event}-{id}" if id is not None else None
        case _:
            return None


def _entity(event: str, body: Json) -> str | None:
    match event:
        case "push":
            return f"push:{repo_of(body).lower()}:{text_at(body, 'ref')}"
        case "release" | "deployment":
            return thing(event, integer_at(object_at(body, event), "id"))
        case "deployment_status":
            return thing("deployment", integer_at(object_at(body, "deployment"), "id"))
        case _:
            return None


def _details(event: str, body: Json) -> dict[str, Any]:
    url, pull = _url(event, body), object_at(body, "pull_request")
    if pull:
        return pull_details(body, pull, url)
    details: dict[str, Any] = {}
    if repo := repo_of(body):
        details["repo"] = repo
    if (count := integer_at(object_at(body, "issue"), "number")) is not None:
        details["issue_number"] = count
    elif (count := _number(body)) is not None:
        details["number"] = count
    for name in ("check_run", "check_suite", "workflow_run"):
        ran = object_at(body, name)
        details.update(linked(own_pull(body, ran)) or linked(own_pull(body, object_at(ran, "check_suite"))))
    if url:
        details["url"] = url
    return details


def _number(body: Json) -> int | None:
    subjects = (object_at(body, name) for name in ("discussion", "alert", "milestone", "project"))
    return next((count for subject in subjects if (count := integer_at(subject, "number")) is not None), None)


def _url(event: str, body: Json) -> str:
    """The page of what the event is about, else the repository's or organization's."""
    if compare := text_at(body, "compare"):
        return compare
    if page := text_at(next(iter(objects_at(body, "pages")), {}), "html_url"):
        return page
    for name in (event, *_SUBJECTS):
        subject = object_at(body, name)
        if found := text_at(subject, "html_url") or text_at(subject, "url"):
            return found
    for name in ("repository", "organization", "enterprise"):
        if found := text_at(object_at(body, name), "html_url") or text_at(object_at(body, name), "url"):
            return found
    return ""
