"""Names of events that Linear's webhooks lead to, so that a slip is seen. Any other name is taken as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orgloop.plugin import EventType, event_names, names_match

CHANGED: Final = (
    "issue.state_changed",
    "issue.assignee_changed",
    "issue.priority_changed",
    "issue.labels_changed",
    "issue.project_changed",
    "issue.cycle_changed",
    "issue.delegate_changed",
)

_CRUD: Final = "create update remove"
ACTIONS: Final[Mapping[str, str]] = {
    "AgentActivity": _CRUD,
    "AgentSession": _CRUD,
    "AgentSessionEvent": "created prompted",
    "AppUserNotification": "",
    "Attachment": _CRUD,
    "Comment": _CRUD,
    "Customer": _CRUD,
    "CustomerNeed": _CRUD,
    "Cycle": _CRUD,
    "Document": _CRUD,
    "Initiative": _CRUD,
    "InitiativeUpdate": _CRUD,
    "Issue": _CRUD,
    "IssueLabel": _CRUD,
    "IssueSLA": "set highRisk breached",
    "OAuthApp": "revoked",
    "Project": _CRUD,
    "ProjectLabel": _CRUD,
    "ProjectUpdate": _CRUD,
    "Reaction": _CRUD,
    "Release": _CRUD,
    "ReleaseNote": _CRUD,
    "User": _CRUD,
}
"""Linear's types, each with its actions."""

SESSIONS: Final = ("agent_session.created", "agent_session.prompted")
"""What people ask of an app: an issue was delegated to it, it was mentioned, or it was answered."""

POLLED: Final = (
    ("issue.created", "Issue", "create"),
    *((name, "Issue", "update") for name in CHANGED),
    ("comment.created", "Comment", "create"),
)
"""What polls tell of: `platform_event`, `native_event`, `native_action`."""

_RAW: Final = tuple(
    f"{kind.casefold()}.{action}" for kind, actions in ACTIONS.items() for action in actions.split()
)
_FORMED: Final = ("issue.create", "comment.create", "agentsessionevent.created", "agentsessionevent.prompted")
OTHER: Final = tuple(name for name in _RAW if name not in _FORMED)
"""Events that have no form of their own."""

NAMES: Final = (
    *(name for name, *_ in POLLED),
    *SESSIONS,
    *OTHER,
    *ACTIONS,
    *(f"{kind}.{action}" for kind, actions in ACTIONS.items() for action in actions.split()),
)


def is_polled(event: str) -> bool:
    """Whether polls can tell of this event, or of one that this glob names."""
    return any(names_match((event,), names_of(*told)) for told in POLLED)


def wants(events: Sequence[str], kind: str) -> bool:
    """Whether one of `events` is polled and of this type; without any, all are wanted."""
    return not events or any(
        names_match(events, names_of(name, native, action))
        for name, native, action in POLLED
        if native == kind
    )


def names_of(name: str, native: str, action: str) -> tuple[str, ...]:
    """Every name that a route may call such an event by."""
    provenance = {"platform_event": name, "native_event": native, "native_action": action}
    return event_names(EventType.RESOURCE_CHANGED, provenance)
