"""What Slack tells over its socket, as events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.connectors.slack.message import carried_by
from orgloop.connectors.slack.people import People, Person
from orgloop.plugin import AuthorType, Draft, EventType, Mark, identity, names_match

_SAID: Final = frozenset({"", "file_share", "me_message", "thread_broadcast", "bot_message"})
"""Subtypes of messages that somebody said something by."""

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """Of which workspace a socket tells, and who the app is in it; empty where nobody said."""

    id: str = ""
    url: str = ""
    user: str = ""
    bot: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackFact:
    """One thing that Slack tells, before it is known who did it."""

    name: str
    native: str
    user: str
    channel: str
    payload: dict[str, Any]
    key: str | None
    workspace: str = ""
    message: str = ""
    thread: str = ""
    bot: bool = False
    mark: object = ""


def told_by(kind: str, body: Body, app: Team) -> SlackFact | None:
    """What an envelope of this kind tells; None if it tells nothing, or of the app's own doings."""
    match kind:
        case "events_api":
            return _event(body, app)
        case "interactive" if text(body, "type") == "block_actions":
            return _click(body)
        case "interactive":
            return _other(text(body, "type") or "interactive", body, text(body, "trigger_id"))
        case "slash_commands":
            return _command(body)
        case _:
            return None


async def draft_of(
    told: SlackFact, app: Team, people: People, mark_in: Callable[[str], Mark | None]
) -> Draft:
    """The event, with who did it."""
    workspace = told.workspace or app.id
    person = (
        await people.who(told.user, workspace)
        if told.user
        else Person(id="", name="unknown", kind=AuthorType.UNKNOWN)
    )
    kind = AuthorType.BOT if told.bot and person.kind is AuthorType.UNKNOWN else person.kind
    provenance: dict[str, Any] = {
        "platform": "slack",
        "platform_event": told.name,
        "native_event": told.native,
        "author": person.name,
        "author_type": kind,
        "author_id": person.id,
        "channel": told.channel,
        "message": told.message,
        "thread": told.thread or told.message,
        "workspace": workspace,
    }
    if app.url and told.channel and told.message:
        provenance["url"] = f"{app.url.rstrip('/')}/archives/{told.channel}/p{told.message.replace('.', '')}"
    payload = dict(told.payload)
    if person.id:
        payload["user"] = {"id": person.id, "name": person.name, "email": person.email}
    return Draft(
        type=EventType.RESOURCE_CHANGED,
        provenance=provenance,
        payload=payload,
        key=told.key,
        entity=f"{told.channel}:{told.message}" if told.message else None,
        cause=mark_in(told.mark) if isinstance(told.mark, str) and told.mark else None,
    )


def is_wanted(told: SlackFact, events: tuple[str, ...], channels: tuple[str, ...]) -> bool:
    """Whether the settings ask for this."""
    if channels and told.channel not in channels:
        return False
    return not events or names_match(events, (told.name, told.native, EventType.RESOURCE_CHANGED))


def _event(body: Body, app: Team) -> SlackFact | None:
    event = part(body, "event")
    native = text(event, "type")
    if not native:
        return None
    key = text(body, "event_id") or None
    workspace = text(body, "team_id")
    if native not in ("message", "app_mention"):
        return _other(native, event, key, workspace, app)
    subtype = text(event, "subtype")
    inner = part(event, "message") if subtype == "message_changed" else event
    if subtype == "message_deleted":
        inner = part(event, "previous_message") or event
    user, bot = text(inner, "user"), text(inner, "bot_id")
    if _is_own(user, bot, app):
        return None
    name = "mention.created" if native == "app_mention" else _message_name(subtype)
    stamp = text(inner, "ts") or text(event, "deleted_ts") or text(event, "ts")
    return SlackFact(
        name=name,
        native=native,
        user=user,
        channel=text(event, "channel"),
        payload=_message(inner, event),
        key=key,
        workspace=workspace,
        message=stamp,
        thread=text(inner, "thread_ts"),
        bot=bool(bot),
    )


def _message_name(subtype: str) -> str:
    if subtype in _SAID:
        return "message.created"
    return {"message_changed": "message.changed", "message_deleted": "message.deleted"}.get(
        subtype, f"message.{subtype[:100]}"
    )


def _message(said: Body, event: Body) -> dict[str, Any]:
    files = said.get("files")
    listed = [one for one in files if isinstance(one, Mapping)] if isinstance(files, list) else []
    return {
        "text": text(said, "text"),
        "channel": text(event, "channel"),
        "channel_type": text(event, "channel_type"),
        "message": text(said, "ts"),
        "thread": text(said, "thread_ts") or text(said, "ts"),
        "in_thread": bool(text(said, "thread_ts")) and text(said, "thread_ts") != text(said, "ts"),
        "files": [
            {"name": text(one, "name"), "type": text(one, "mimetype"), "url": text(one, "permalink")}
            for one in listed
        ],
    }


def _click(body: Body) -> SlackFact | None:
    actions = body.get("actions")
    action = actions[0] if isinstance(actions, list) and actions else None
    if not isinstance(action, Mapping):
        return None
    carried = carried_by(action.get("value"))
    container, message = part(body, "container"), part(body, "message")
    channel = text(part(body, "channel"), "id") or text(container, "channel_id")
    stamp = text(container, "message_ts") or text(message, "ts")
    user = part(body, "user")
    block = text(action, "block_id")
    return SlackFact(
        name="button.clicked",
        native="block_actions",
        user=text(user, "id"),
        channel=channel,
        payload={
            "value": carried.get("value", _chosen(action)),
            "context": carried.get("context", {}),
            "label": text(part(action, "text"), "text"),
            "action_id": text(action, "action_id"),
            "delivery_id": block.partition(":")[2] if block.startswith("orgloop:") else "",
            "channel": channel,
            "message": stamp,
            "thread": text(message, "thread_ts") or stamp,
            "text": text(message, "text"),
        },
        key=identity(
            [channel, stamp, text(user, "id"), text(action, "action_id"), text(action, "action_ts")]
        ),
        workspace=text(part(body, "team"), "id"),
        message=stamp,
        thread=text(message, "thread_ts"),
        mark=carried.get("mark", ""),
    )


def _chosen(action: Body) -> Any:
    """What was chosen in an element of another app's message that is no button."""
    option = part(action, "selected_option")
    return text(option, "value") or text(action, "selected_date") or text(action, "selected_user")


def _command(body: Body) -> SlackFact:
    return SlackFact(
        name="command.used",
        native="slash_command",
        user=text(body, "user_id"),
        channel=text(body, "channel_id"),
        payload={
            "command": text(body, "command"),
            "text": text(body, "text"),
            "channel": text(body, "channel_id"),
            "channel_name": text(body, "channel_name"),
        },
        key=text(body, "trigger_id") or None,
        workspace=text(body, "team_id"),
    )


def _other(
    native: str, event: Body, key: str | None, workspace: str = "", app: Team | None = None
) -> SlackFact | None:
    """Anything else passes under Slack's own name, without what would let its reader act for the app."""
    user = event.get("user")
    id = text(user, "id") if isinstance(user, Mapping) else text(event, "user")
    if app is not None and _is_own(id, text(event, "bot_id"), app):
        return None
    item = part(event, "item")
    private = ("token", "response_url", "response_urls", "trigger_id", "bot_access_token")
    return SlackFact(
        name=native[:100],
        native=native[:100],
        user=id,
        channel=text(event, "channel") or text(item, "channel") or text(part(event, "channel"), "id"),
        payload={name: value for name, value in event.items() if name not in private},
        key=key,
        workspace=workspace or text(part(event, "team"), "id"),
        message=text(item, "ts"),
    )


def _is_own(user: str, bot: str, app: Team) -> bool:
    return (bool(user) and user == app.user) or (bool(bot) and bot == app.bot)


def text(body: Body, key: str) -> str:
    """The text at a key; empty for anything else."""
    value = body.get(key)
    return value if isinstance(value, str) else ""


def part(body: Body, key: str) -> Body:
    """The map at a key; empty for anything else."""
    value = body.get(key)
    return value if isinstance(value, Mapping) else {}
