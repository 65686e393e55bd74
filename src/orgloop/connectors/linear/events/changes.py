"""What an update changed in an issue: each field with its old and its new value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.plugin import Json, number_at, object_at, objects_at, text_at, texts_at

UNNAMED: Final = "Unknown"
"""The name of a value of which Linear told the id only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """One field: the event's name, what the payload says of it, and the values that tell it from others."""

    event: str
    payload: Mapping[str, Any]
    values: str


def changes(data: Json, before: Json) -> Iterator[FieldChange]:
    """The changes that an update made: `data` is the issue now, `before` its `updatedFrom`."""
    for keys, read in _READERS.items():
        if any(key in before for key in keys):
            yield read(data, before)


def _state(data: Json, before: Json) -> FieldChange:
    old, new = _thing(before, "state"), _thing(data, "state")
    return FieldChange(
        event="issue.state_changed",
        payload={
            "action": "state_changed",
            "previous_state": old.name or UNNAMED,
            "new_state": new.name or UNNAMED,
            "previous_state_id": old.id,
            "new_state_id": new.id,
        },
        values=f"{old.id}>{new.id}",
    )


def _named(what: str) -> Callable[[Json, Json], FieldChange]:
    """A field that names another thing, or nothing."""

    def read(data: Json, before: Json) -> FieldChange:
        old, new = _thing(before, what), _thing(data, what)
        return FieldChange(
            event=f"issue.{what}_changed",
            payload={
                "action": f"{what}_changed",
                f"previous_{what}": old.shown,
                f"new_{what}": new.shown,
                f"previous_{what}_id": old.id,
                f"new_{what}_id": new.id,
            },
            values=f"{old.id}>{new.id}",
        )

    return read


def _delegate(data: Json, before: Json) -> FieldChange:
    change = _named("delegate")(data, before)
    old = {"old_delegate_id": change.payload["previous_delegate_id"]}
    return FieldChange(event=change.event, payload={**change.payload, **old}, values=change.values)


def _priority(data: Json, before: Json) -> FieldChange:
    old, new = number_at(before, "priority"), number_at(data, "priority")
    payload = {"action": "priority_changed", "previous_priority": old, "new_priority": new}
    return FieldChange(event="issue.priority_changed", payload=payload, values=f"{old}>{new}")


def _labels(data: Json, before: Json) -> FieldChange:
    names = {
        text_at(one, "id"): text_at(one, "name")
        for one in (*objects_at(before, "labels"), *objects_at(data, "labels"))
    }
    old, new = (sorted(label_ids(one), key=lambda id: (names.get(id, ""), id)) for one in (before, data))
    added, removed = [id for id in new if id not in old], [id for id in old if id not in new]

    def named(ids: list[str]) -> list[str]:
        return [names.get(id) or UNNAMED for id in ids]

    return FieldChange(
        event="issue.labels_changed",
        payload={
            "action": "labels_changed",
            "previous_labels": named(old),
            "new_labels": named(new),
            "added_labels": named(added),
            "removed_labels": named(removed),
            "added_label_ids": added,
            "removed_label_ids": removed,
        },
        values=f"{','.join(sorted(removed))}>{','.join(sorted(added))}",
    )


def label_ids(data: Json) -> list[str]:
    """The ids of an issue's labels."""
    return texts_at(data, "labelIds") or [
        id for one in objects_at(data, "labels") if (id := text_at(one, "id"))
    ]


_READERS: Final[Mapping[tuple[str, ...], Callable[[Json, Json], FieldChange]]] = {
    ("state", "stateId"): _state,
    ("assignee", "assigneeId"): _named("assignee"),
    ("priority",): _priority,
    ("labels", "labelIds"): _labels,
    ("project", "projectId"): _named("project"),
    ("cycle", "cycleId"): _named("cycle"),
    ("delegate", "delegateId"): _delegate,
}

FIELDS: Final = frozenset(key for keys in _READERS for key in keys)
"""Keys of `updatedFrom` that have an event of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Thing:
    id: str | None
    name: str | None

    @property
    def shown(self) -> str | None:
        return self.name or (UNNAMED if self.id else None)


def _thing(data: Json, key: str) -> _Thing:
    """The thing that a field names: an object, a plain name, or an id alone. A cycle may have no name."""
    thing, plain = object_at(data, key), text_at(data, key)
    name = name_of(data, key)
    if name is None and key == "cycle" and (count := number_at(thing, "number")) is not None:
        name = f"Cycle {count}"
    return _Thing(id=text_at(data, f"{key}Id") or text_at(thing, "id") or None, name=name or plain or None)


def name_of(data: Json, key: str) -> str | None:
    """The name of the thing at `key`; None if there is no such thing."""
    return text_at(object_at(data, key), "name") or None
