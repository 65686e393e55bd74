"""Bodies as Linear's webhooks have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Body = dict[str, Any]

PAGE: Final = "https://linear.app/octo/issue"
AT: Final = "2026-01-05T12:00:00.000Z"
STAMP: Final = 1_767_614_400_000

ENG: Final = {"id": "team-eng", "key": "ENG", "name": "Engineering"}
OPS: Final = {"id": "team-ops", "key": "OPS", "name": "Operations"}

MONA: Final = {"id": "user-mona", "name": "Mona Lisa", "email": "mona@octo.example", "url": f"{PAGE}/mona"}
HUBOT: Final = {"id": "user-hubot", "name": "Hubot", "email": "hubot@octo.example", "url": f"{PAGE}/hubot"}
AGENT: Final = {
    "id": "user-agent",
    "name": "Agent",
    "email": "user-agent@oauthapp.linear.app",
    "url": f"{PAGE}/agent",
}
STRANGER: Final = {"id": "outside-1", "name": "Stranger", "email": "stranger@elsewhere.example"}

TODO: Final = {"id": "state-todo", "name": "Todo", "type": "unstarted", "color": "#e2e2e2"}
DOING: Final = {"id": "state-doing", "name": "In Progress", "type": "started", "color": "#f2c94c"}
DONE: Final = {"id": "state-done", "name": "Done", "type": "completed", "color": "#5e6ad2"}

BUG: Final = {"id": "label-bug", "name": "bug", "color": "#eb5757"}
BACKEND: Final = {"id": "label-backend", "name": "backend", "color": "#bb87fc"}

BILLING: Final = {"id": "project-billing", "name": "Billing"}
WEB: Final = {"id": "project-web", "name": "Web"}
CYCLE_7: Final = {"id": "cycle-7", "number": 7, "name": None}
CYCLE_8: Final = {"id": "cycle-8", "number": 8, "name": "Launch"}


def actor(person: Mapping[str, Any], kind: str = "user") -> Body:
    return {**person, "type": kind}


def issue(**changes: Any) -> Body:
    """An issue's `data`; what it refers to is there as an object and as an id."""
    fields: Body = {
        "id": "issue-42",
        "identifier": "ENG-42",
        "number": 42,
        "title": "Retry failed invoices",
        "description": "Invoices that failed are never sent again.",
        "url": f"{PAGE}/ENG-42/retry-failed-invoices",
        "createdAt": AT,
        "updatedAt": AT,
        "priority": 2,
        "priorityLabel": "High",
        "team": ENG,
        "state": TODO,
        "creator": MONA,
        "assignee": None,
        "delegate": None,
        "project": None,
        "cycle": None,
        "labels": [BACKEND],
        **changes,
    }
    for key in ("team", "state", "creator", "assignee", "delegate", "project", "cycle"):
        fields[f"{key}Id"] = fields[key]["id"] if fields[key] else None
    fields["labelIds"] = [label["id"] for label in fields["labels"]]
    return fields


def delivery(kind: str, action: str, data: Body, by: Body | None = None, **more: Any) -> Body:
    return {
        "action": action,
        "actor": by,
        "createdAt": data.get("updatedAt", AT),
        "data": data,
        "type": kind,
        "organizationId": "organization-octo",
        "webhookTimestamp": STAMP,
        "webhookId": "webhook-1",
        **({"url": data["url"]} if "url" in data else {}),
        **more,
    }


def created(**changes: Any) -> Body:
    data = issue(**changes)
    return delivery("Issue", "create", data, actor(data["creator"]) if data["creator"] else None)


def updated(before: Body, by: Body | None = None, **changes: Any) -> Body:
    """An update: `before` is its `updatedFrom` without the time."""
    data = issue(**changes)
    was = {"updatedAt": "2026-01-05T11:00:00.000Z", **before}
    return delivery("Issue", "update", data, actor(MONA) if by is None else by, updatedFrom=was)


def child(data: Body) -> Body:
    """An issue as comments have it."""
    return {key: data[key] for key in ("id", "identifier", "title", "url", "team", "teamId")}


def comment(**changes: Any) -> Body:
    data = {
        "id": "comment-900",
        "body": "I can reproduce this.",
        "createdAt": AT,
        "updatedAt": AT,
        "issue": child(issue()),
        "issueId": "issue-42",
        "parentId": None,
        "user": MONA,
        "userId": "user-mona",
        **changes,
    }
    by = actor(data["user"]) if data["user"] else None
    return delivery("Comment", "create", data, by, url=f"{PAGE}/ENG-42#comment-{data['id'][-3:]}")


def reacted() -> Body:
    data = {"id": "reaction-5", "emoji": "eyes", "createdAt": AT, "updatedAt": AT, "user": MONA}
    return delivery("Reaction", "create", data, actor(MONA))


def session(said: str = "", **changes: Any) -> Body:
    """An agent session; `said` is the comment that it began with."""
    return {
        "id": "session-1",
        "appUserId": AGENT["id"],
        "status": "pending",
        "type": "commentThread",
        "createdAt": AT,
        "updatedAt": AT,
        "url": f"{PAGE}/ENG-42#agent-session-1",
        "creator": MONA,
        "issue": {**child(issue()), "description": issue()["description"]},
        "comment": {"id": "comment-1", "body": said} if said else None,
        **changes,
    }


def asked(action: str, given: Body, at: int = STAMP, **more: Any) -> Body:
    """An `AgentSessionEvent`."""
    return {
        "type": "AgentSessionEvent",
        "action": action,
        "createdAt": AT,
        "agentSession": given,
        "appUserId": AGENT["id"],
        "oauthClientId": "client-1",
        "organizationId": "organization-octo",
        "guidance": [{"body": "Write tests first.", "origin": {"type": "Organization"}}],
        "webhookTimestamp": at,
        "webhookId": "webhook-2",
        **more,
    }


PROMPTED: Final[Body] = {
    "agentActivity": {
        "id": "activity-7",
        "agentSessionId": "session-1",
        "content": {"type": "prompt", "body": "Use the new client, please."},
        "user": MONA,
    }
}

DELIVERIES: Final[Mapping[str, Body]] = {
    "issue.created": created(),
    "issue.state_changed": updated({"stateId": "state-todo"}, state=DOING, assignee=HUBOT),
    "issue.assignee_changed": updated({"assigneeId": None}, assignee=HUBOT),
    "issue.priority_changed": updated({"priority": 0}, priority=1),
    "issue.labels_changed": updated({"labelIds": ["label-backend"]}, labels=[BACKEND, BUG]),
    "issue.project_changed": updated({"projectId": None}, project=BILLING),
    "issue.cycle_changed": updated({"cycleId": "cycle-7"}, cycle=CYCLE_8),
    "issue.delegate_changed": updated({"delegateId": None}, delegate=AGENT),
    "comment.created": comment(),
    "agent_session.created": asked(
        "created", session("@agent please fix this."), promptContext="<issue>…</issue>"
    ),
    "agent_session.prompted": asked("prompted", session(), **PROMPTED),
    "reaction.create": reacted(),
}
"""One body for each event, by its name."""
