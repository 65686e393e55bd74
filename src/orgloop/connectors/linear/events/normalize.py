"""From one of Linear's webhook bodies to its events. Polls make such bodies of what they read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from orgloop.connectors.linear.events.changes import FIELDS, FieldChange, changes, name_of
from orgloop.connectors.linear.events.people import author_of
from orgloop.plugin import Draft, Json, dump_json, object_at, objects_at, text_at

LONGEST_KEY: Final = 200


def normalize(body: Json, entry: str = "") -> tuple[Draft, ...]:
    """The events of one body; none if it is an issue or comment without `data`.

    `entry`: the id of the entry in the issue's history, where the body was made of one. It names the
    change then, else the time of the update does.
    """
    kind, action = text_at(body, "type"), text_at(body, "action")
    data, before = object_at(body, "data"), object_at(body, "updatedFrom")
    match kind, action:
        case (("Issue" | "Comment"), _) if not data:
            return ()
        case "Issue", "create":
            return (_created(body, data),)
        case "Issue", "update" if before.keys() & FIELDS:
            return tuple(_changed(body, data, change, entry) for change in changes(data, before))
        case "Comment", "create":
            return (_commented(body, data),)
        case "AgentSessionEvent", "created" | "prompted" if text_at(object_at(body, "agentSession"), "id"):
            return (_asked(body, action),)
        case _:
            return (_other(body, kind, action),)


def _created(body: Json, data: Json) -> Draft:
    payload = {
        "action": "issue_created",
        **_subject(data),
        "issue_description": text_at(data, "description"),
        "state": _state(data),
    }
    key = f"issue:{text_at(data, 'id')}:created" if text_at(data, "id") else None
    return _draft(body, "issue.created", _issue(body, data), payload, key)


def _changed(body: Json, data: Json, change: FieldChange, entry: str) -> Draft:
    payload = {**_subject(data), **change.payload}
    id, version = text_at(data, "id"), entry or text_at(data, "updatedAt")
    key = f"issue:{id}:{change.event}:{change.values}@{version}" if id and version else None
    draft = _draft(body, change.event, _issue(body, data), payload, key)
    # A later value of a field says all; what came to the labels and what went must all be told.
    field = change.event.removeprefix("issue.").removesuffix("_changed")
    of_field = f"{draft.entity}-{field}" if draft.entity and field != "labels" else None
    return replace(draft, entity=of_field)


def _commented(body: Json, data: Json) -> Draft:
    issue, id = object_at(data, "issue"), text_at(data, "id")
    payload = {
        "action": "comment_created",
        **_subject(issue),
        "comment_body": text_at(data, "body"),
        "comment_id": id,
        "parent_id": text_at(data, "parentId") or text_at(object_at(data, "parent"), "id") or None,
    }
    details = {
        "issue_id": text_at(issue, "identifier", "unknown"),
        "issue_uuid": text_at(issue, "id"),
        "url": text_at(body, "url") or text_at(data, "url"),
        "team": text_at(object_at(issue, "team"), "key"),
        "issue_assignee": name_of(issue, "assignee"),
        "issue_creator": name_of(issue, "creator"),
    }
    return _draft(body, "comment.created", details, payload, f"comment:{id}:created" if id else None)


def _asked(body: Json, action: str) -> Draft:
    """What somebody asks of an app: a new session, or an answer in one."""
    session, activity = object_at(body, "agentSession"), object_at(body, "agentActivity")
    issue, id = object_at(session, "issue"), text_at(session, "id")
    said = text_at(object_at(activity, "content"), "body") or text_at(activity, "body")
    payload = {
        "action": f"agent_session_{action}",
        **_subject(issue),
        "issue_description": text_at(issue, "description"),
        "agent_session_id": id,
        "prompt": said if action == "prompted" else text_at(object_at(session, "comment"), "body"),
        "prompt_context": text_at(body, "promptContext"),
        "signal": text_at(activity, "signal") or None,
        "guidance": [words for one in objects_at(body, "guidance") if (words := text_at(one, "body"))],
    }
    details = {
        "issue_id": text_at(issue, "identifier", "unknown"),
        "issue_uuid": text_at(issue, "id"),
        "url": text_at(session, "url") or text_at(issue, "url"),
        "team": text_at(object_at(issue, "team"), "key"),
        "agent_session_id": id,
    }
    answer = text_at(activity, "id")
    key = f"agent-session:{id}:{answer or action}"
    if action == "prompted" and not answer:
        key = _key(body, id, action)
    draft = _draft(body, f"agent_session.{action}", details, payload, key)
    return replace(draft, entity=_bounded(f"agent-session-{id}-{answer}"))


def _other(body: Json, kind: str, action: str) -> Draft:
    """Everything else: under its own name, with its whole body; of an issue with its data alone."""
    data = object_at(body, "data")
    details: dict[str, Any] = {"url": text_at(body, "url")} if text_at(body, "url") else {}
    if kind == "Issue":
        details = _issue(body, data)
    elif issue := object_at(data, "issue") or object_at(body, "agentSession", "issue"):
        details |= {
            "issue_id": text_at(issue, "identifier", "unknown"),
            "team": text_at(object_at(issue, "team"), "key"),
        }
    payload: Mapping[str, Any] = {"data": data} if kind == "Issue" else body
    draft = _draft(body, f"{kind.casefold()}.{action}", details, payload, _key(body, kind, action))
    # An update tells what it changed: a later one does not say that again.
    changes_more = action == "update" and kind not in ("Issue", "Comment")
    return replace(draft, entity=None) if changes_more else draft


def _key(body: Json, kind: str, action: str) -> str:
    """The fact's name, which is the same from each webhook that tells of it, and at each try."""
    data = object_at(body, "data")
    fact = {key: value for key, value in body.items() if key not in ("webhookTimestamp", "webhookId")}
    id, at = text_at(data, "id"), text_at(data, "updatedAt")
    if id and at:
        fact = {"updatedFrom": body.get("updatedFrom")}
    digest = hashlib.sha256(dump_json(fact)).hexdigest()[:24]
    return f"{kind}:{id}:{action}@{at}.{digest}"


def _bounded(key: str) -> str:
    """A key of any length, as one that an index can hold."""
    if len(key) <= LONGEST_KEY:
        return key
    return f"sha256:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _subject(issue: Json) -> dict[str, Any]:
    return {"issue_id": text_at(issue, "identifier", "unknown"), "issue_title": text_at(issue, "title")}


def _issue(body: Json, data: Json) -> dict[str, Any]:
    """The provenance of everything about an issue."""
    return {
        "issue_id": text_at(data, "identifier", "unknown"),
        "issue_uuid": text_at(data, "id"),
        "url": text_at(data, "url") or text_at(body, "url"),
        "team": text_at(object_at(data, "team"), "key"),
        "state": _state(data),
        "assignee": name_of(data, "assignee"),
        "delegate": name_of(data, "delegate"),
        "project": name_of(data, "project"),
        "labels": sorted(name for one in objects_at(data, "labels") if (name := text_at(one, "name"))),
    }


def _state(data: Json) -> str:
    return name_of(data, "state") or text_at(data, "state") or "Unknown"


def _draft(
    body: Json, name: str, details: Mapping[str, Any], payload: Mapping[str, Any], key: str | None
) -> Draft:
    author = author_of(body)
    kind, id = text_at(body, "type"), text_at(object_at(body, "data"), "id")
    return Draft(
        provenance={
            "platform": "linear",
            "platform_event": name,
            "native_event": kind,
            "native_action": text_at(body, "action"),
            "author": author.name,
            "author_type": author.type,
            "author_id": author.id or None,
            **details,
        },
        payload=payload,
        key=_bounded(key) if key is not None else None,
        entity=_bounded(f"{kind.casefold()}-{id}") if id else None,
    )
