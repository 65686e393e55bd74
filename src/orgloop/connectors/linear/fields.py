"""Which fields the events have, so that a filter on one that never comes is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orgloop.connectors.linear.events.names import ACTIONS, CHANGED, OTHER, SESSIONS
from orgloop.plugin import ANYTHING, NUMBER, TEXT, EventShape, EventType, Values

Fields = Mapping[str, Values]

_MAYBE: Final[Values] = (str, None)
_EVERY: Final[Fields] = {
    "provenance.platform": ("linear",),
    "provenance.native_event": TEXT,
    "provenance.native_action": TEXT,
    "provenance.author_id": _MAYBE,
    "provenance.run_id": TEXT,
    "provenance.run_actor": TEXT,
    "provenance.issue_id": TEXT,
    "provenance.issue_uuid": TEXT,
    "provenance.url": TEXT,
    "provenance.team": TEXT,
}
_ISSUE: Final[Fields] = {
    "provenance.state": TEXT,
    "provenance.assignee": _MAYBE,
    "provenance.delegate": _MAYBE,
    "provenance.project": _MAYBE,
    "provenance.labels.*": ANYTHING,
}
_SUBJECT: Final[Fields] = {"payload.action": TEXT, "payload.issue_id": TEXT, "payload.issue_title": TEXT}
_LISTS: Final = (
    *("previous_labels", "new_labels", "added_labels", "removed_labels"),
    *("added_label_ids", "removed_label_ids"),
)


def _values(name: str) -> Fields:
    """The old and the new value of a changed field."""
    what = name.removeprefix("issue.").removesuffix("_changed")
    if what == "labels":
        return {f"payload.{key}.*": ANYTHING for key in _LISTS}
    if what == "priority":
        return {"payload.previous_priority": (*NUMBER, None), "payload.new_priority": (*NUMBER, None)}
    keys = [f"{when}_{what}{end}" for when in ("previous", "new") for end in ("", "_id")]
    more = ["old_delegate_id"] if what == "delegate" else []
    return {f"payload.{key}": _MAYBE for key in (*keys, *more)}


def _shape(names: tuple[str, ...], *fields: Fields) -> EventShape:
    together = {path: values for one in (_EVERY, *fields) for path, values in one.items()}
    return EventShape(names=names, fields=together)


SHAPES: Final = (
    _shape(
        ("issue.created", "Issue", "Issue.create"),
        _ISSUE,
        _SUBJECT,
        {"payload.issue_description": TEXT, "payload.state": TEXT},
    ),
    *(_shape((name, "Issue", "Issue.update"), _ISSUE, _SUBJECT, _values(name)) for name in CHANGED),
    _shape(
        ("comment.created", "Comment", "Comment.create"),
        _SUBJECT,
        {
            "provenance.issue_assignee": _MAYBE,
            "provenance.issue_creator": _MAYBE,
            "payload.comment_body": TEXT,
            "payload.comment_id": TEXT,
            "payload.parent_id": _MAYBE,
        },
    ),
    *(
        _shape(
            (name, "AgentSessionEvent", f"AgentSessionEvent.{name.rpartition('.')[2]}"),
            _SUBJECT,
            {
                "provenance.agent_session_id": TEXT,
                "payload.agent_session_id": TEXT,
                "payload.prompt": TEXT,
                "payload.prompt_context": TEXT,
                "payload.signal": _MAYBE,
                "payload.issue_description": TEXT,
                "payload.guidance.*": ANYTHING,
            },
        )
        for name in SESSIONS
    ),
    _shape(
        (
            EventType.RESOURCE_CHANGED,
            *OTHER,
            *ACTIONS,
            *(f"{kind}.{action}" for kind, actions in ACTIONS.items() for action in actions.split()),
        ),
        _ISSUE,
        {"payload.*": ANYTHING},
    ),
)
"""Events with a form of their own, and the others, which have Linear's data as payload."""
