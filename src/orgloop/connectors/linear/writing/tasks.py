"""What a route tells the actor to do: `then.config`, with its placeholders filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orgloop.plugin import Wake, text_at

NOBODY: Final = "none"
"""The value that takes an assignee, delegate or project away."""

PRIORITIES: Final = ("none", "urgent", "high", "medium", "low")
"""Linear's priorities, by their number."""

ACTIVITIES: Final = ("thought", "action", "elicitation", "response", "error")
"""What an app may tell of its work in an agent session."""

_ACTION: Final = frozenset({"parameter", "result"})
_SESSION: Final = frozenset({"session", *_ACTION, *ACTIVITIES})
_THINGS: Final = ("state", "assignee", "delegate", "project")
_BOTH: Final = frozenset({"session_key", *_THINGS, "priority", "add_labels"})
_CHANGE: Final = frozenset({"issue", "comment", "reply_to", "remove_labels"})
_CREATE: Final = frozenset({"title", "description", "team"})
KEYS: Final = _BOTH | _CHANGE | _CREATE | _SESSION
WRITES: Final = frozenset(
    {*_THINGS, *("priority", "add_labels", "remove_labels", "comment", "title"), *ACTIVITIES}
)
"""Keys of which a route needs at least one: the others do nothing by themselves."""


class Unclear(ValueError):
    """The order cannot be carried out as it is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """What to do: an `activity` in a `session`, a new issue if there is a `title`, or changes of `issue`
    and a comment on it.

    Of `fields`, each is a name or an id; None takes it away. `priority` is Linear's number.
    """

    issue: str | None = None
    comment: str | None = None
    reply_to: str | None = None
    title: str | None = None
    description: str | None = None
    team: str | None = None
    session: str | None = None
    activity: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str | None] = field(default_factory=dict)
    priority: int | None = None
    add_labels: Sequence[str] = ()
    remove_labels: Sequence[str] = ()


def check_route(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Keys of `then.config` that every wake would be refused for, each with why."""
    wrong = {key: "is not something that a linear actor does" for key in config if key not in KEYS}
    known = config.keys() & KEYS
    if activity := next((key for key in ACTIVITIES if key in config), None):
        alone = known - {"session_key", "session", activity} - (_ACTION if activity == "action" else set())
        wrong |= dict.fromkeys(alone, f"cannot stand beside `{activity}`, which goes into an agent session")
    elif known & _SESSION:
        wrong |= dict.fromkeys(known & _SESSION, f"needs one of {', '.join(ACTIVITIES)}")
    elif "title" in config:
        wrong |= dict.fromkeys(known & _CHANGE, "cannot stand beside `title`, which makes a new issue")
    else:
        wrong |= dict.fromkeys(known & _CREATE, "needs a `title`: it is for a new issue")
    if not wrong and not config.keys() & WRITES:
        wrong = dict.fromkeys(config, "does nothing by itself: write `comment`, `state` or the like")
    return wrong


def order_of(wake: Wake) -> Errand:
    """The order of a wake. Raises Unclear."""
    config = wake.config
    for key, why in check_route(config).items():
        raise Unclear(f"`then.config.{key}` {why}")
    if not config.keys() & WRITES:
        raise Unclear("`then.config` does not say what to do: write `comment`, `state`, `title` or the like")
    for activity in ACTIVITIES:
        if activity in config:
            return Errand(session=_session(wake), activity=_activity(activity, config))
    fields: dict[str, str | None] = {}
    for key in _THINGS:
        if key in config:
            fields[key] = _name(config, key)
    if "state" in fields and fields["state"] is None:
        raise Unclear("`then.config.state` is none: an issue always has a state")
    return Errand(
        issue=None if "title" in config else _issue(wake),
        comment=_text(config, "comment"),
        reply_to=_text(config, "reply_to"),
        title=_text(config, "title"),
        description=_text(config, "description"),
        team=_text(config, "team"),
        fields=fields,
        priority=_priority(config),
        add_labels=_names(config, "add_labels"),
        remove_labels=_names(config, "remove_labels"),
    )


def _issue(wake: Wake) -> str:
    """The issue that the route names, else the event's."""
    named = _text(wake.config, "issue") or wake.event.provenance.get("issue_id")
    if wake.event.provenance.get("platform") != "linear" and "issue" not in wake.config:
        named = None
    if not isinstance(named, str) or named in ("", "unknown"):
        raise Unclear('the event is about no issue: write `issue: "{{ … }}"` into `then.config`')
    return named


def _session(wake: Wake) -> str:
    """The agent session that the route names, else the event's."""
    named = _text(wake.config, "session")
    if named is None and wake.event.provenance.get("platform") == "linear":
        named = text_at(wake.event.provenance, "agent_session_id") or None
    if named is None:
        raise Unclear('the event is about no agent session: write `session: "{{ … }}"` into `then.config`')
    return named


def _activity(kind: str, config: Mapping[str, Any]) -> Mapping[str, str]:
    """The content of an activity, as Linear wants it."""
    said = _text(config, kind) or ""
    if kind != "action":
        return {"type": kind, "body": said}
    more = {key: words for key in sorted(_ACTION) if (words := _text(config, key))}
    return {"type": kind, "action": said, "parameter": "", **more}


def _text(config: Mapping[str, Any], key: str) -> str | None:
    """The text at a key; None without the key. Raises Unclear for anything else, and for an empty text."""
    value = config.get(key)
    if key not in config:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise Unclear(f"`then.config.{key}` is empty, or no text")
    return value if key in ("comment", "description", *ACTIVITIES) else value.strip()


def _name(config: Mapping[str, Any], key: str) -> str | None:
    if config[key] is None:
        return None
    name = _text(config, key)
    return None if name is not None and name.casefold() == NOBODY else name


def _names(config: Mapping[str, Any], key: str) -> Sequence[str]:
    value = config.get(key, [])
    listed = value if isinstance(value, list | tuple) else [value]
    if key in config and not listed:
        raise Unclear(f"`then.config.{key}` is empty")
    names = [_text({key: one}, key) or "" for one in listed]
    return tuple(dict.fromkeys(names))


def _priority(config: Mapping[str, Any]) -> int | None:
    if "priority" not in config:
        return None
    said = str(config["priority"]).strip().casefold()
    if said in PRIORITIES:
        return PRIORITIES.index(said)
    if said in ("0", "1", "2", "3", "4"):
        return int(said)
    raise Unclear(f"`then.config.priority` must be one of {', '.join(PRIORITIES)}, or 0 to 4")
