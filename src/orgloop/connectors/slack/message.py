"""What a route tells the actor to post: `then.config`, with its placeholders filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orgloop.plugin import NotJson, Wake, dump_json, load_json

KEYS: Final = frozenset(
    {"session_key", "channel", "thread", "text", "buttons", "context", "update", "broadcast"}
)
LONGEST_TEXT: Final = 12_000
LONGEST_SECTION: Final = 3_000
"""Characters of one block of text; a longer text is several blocks."""

LONGEST_LABEL: Final = 75
LONGEST_VALUE: Final = 2_000
MOST_BUTTONS: Final = 25
STYLES: Final = ("primary", "danger")
BLOCK: Final = "orgloop"
"""How the ids of our blocks with buttons begin."""

_TIME: Final = re.compile(r"[0-9]{1,12}\.[0-9]{1,8}", re.ASCII)
_CALL: Final = re.compile(r"<!(?=(?:channel|here|everyone|subteam\^))", re.IGNORECASE)


class UnfitMessage(ValueError):
    """The message cannot be posted as it is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button: what it is called, and what its click says."""

    label: str
    value: str
    style: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What to post. `update` is the time of a message that it replaces; `context` comes back with a click."""

    text: str
    channel: str | None = None
    thread: str | None = None
    update: str | None = None
    broadcast: bool = False
    buttons: Sequence[Button] = ()
    context: Mapping[str, Any] = field(default_factory=dict)

    def blocks(self, wake: Wake) -> list[dict[str, Any]]:
        """The text and the buttons as Slack's blocks; none without buttons."""
        if not self.buttons:
            return []
        parts = [self.text[at : at + LONGEST_SECTION] for at in range(0, len(self.text), LONGEST_SECTION)]
        sections = [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in parts]
        elements = [self._element(number, one, wake) for number, one in enumerate(self.buttons)]
        return [
            *sections,
            {"type": "actions", "block_id": f"{BLOCK}:{wake.delivery_id}", "elements": elements},
        ]

    def _element(self, number: int, button: Button, wake: Wake) -> dict[str, Any]:
        made: dict[str, Any] = {
            "type": "button",
            "action_id": f"{BLOCK}:{number}",
            "text": {"type": "plain_text", "text": button.label, "emoji": True},
        }
        if button.url is not None:
            return {**made, "url": button.url}
        if button.style is not None:
            made["style"] = button.style
        return {**made, "value": pressed(button.value, self.context, wake)}


def pressed(value: str, context: Mapping[str, Any], wake: Wake) -> str:
    """What a button carries. Raises Unfit if it is more than Slack takes."""
    carried = dump_json({"value": value, "context": context, "mark": wake.marker}).decode()
    if len(carried) > LONGEST_VALUE:
        most = LONGEST_VALUE - len(wake.marker or "") - 50
        raise UnfitMessage(
            f"`context` and the value of a button are too long: together at most {most} characters"
        )
    return carried


def carried_by(value: object) -> Mapping[str, Any]:
    """What one of our buttons carries; of any other button, its value."""
    if not isinstance(value, str):
        return {}
    try:
        data = load_json(value)
    except NotJson:
        return {"value": value}
    return data if isinstance(data, dict) and "mark" in data else {"value": value}


def check_route(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Keys of `then.config` that every wake would be refused for, each with why."""
    wrong = {key: "is not something that a slack actor does" for key in config if key not in KEYS}
    if "context" in config and "buttons" not in config:
        wrong["context"] = "comes back with a click: it needs `buttons`"
    if "update" in config and "thread" in config:
        wrong["thread"] = "cannot stand beside `update`, which changes a message where it is"
    if config.get("broadcast") and "thread" not in config:
        wrong["broadcast"] = "shows an answer in the channel, too: it needs `thread`"
    return wrong


def message_of(wake: Wake, *, notify_all: bool) -> Message:
    """The message of a wake. Raises Unfit."""
    config = wake.config
    for key, why in check_route(config).items():
        raise UnfitMessage(f"`then.config.{key}` {why}")
    text = _text(config, "text") or (wake.sop or "").strip()
    if not text:
        raise UnfitMessage(
            "there is nothing to post: write `text` into `then.config`, or give the route a prompt file"
        )
    if len(text) > LONGEST_TEXT:
        text = f"{text[: LONGEST_TEXT - 1]}…"
    context = config.get("context", {})
    if not isinstance(context, Mapping):
        raise UnfitMessage("`then.config.context` must be a map")
    return Message(
        text=text if notify_all else _CALL.sub("&lt;!", text),
        channel=_text(config, "channel"),
        thread=_time(config, "thread"),
        update=_time(config, "update"),
        broadcast=config.get("broadcast") is True,
        buttons=_buttons(config.get("buttons", ())),
        context=context,
    )


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UnfitMessage(f"`then.config.{key}` must be text")
    return value.strip() or None


def _time(config: Mapping[str, Any], key: str) -> str | None:
    """The time by which Slack calls a message. An empty one is none: the event may be of no thread."""
    value = _text(config, key)
    if value is not None and not _TIME.fullmatch(value):
        raise UnfitMessage(f"`then.config.{key}` is not the time of a message, such as 1767614400.000100")
    return value


def _buttons(given: Any) -> tuple[Button, ...]:
    if not isinstance(given, list | tuple):
        raise UnfitMessage("`then.config.buttons` must be a list")
    if len(given) > MOST_BUTTONS:
        raise UnfitMessage(f"`then.config.buttons` may have at most {MOST_BUTTONS} buttons")
    return tuple(_button(one) for one in given)


def _button(given: Any) -> Button:
    """`Approve`, or `{label, value, style, url}`."""
    if isinstance(given, str):
        given = {"label": given}
    if not isinstance(given, Mapping) or given.keys() - {"label", "value", "style", "url"}:
        raise UnfitMessage("a button is a text, or a map with `label` and `value`, `style` or `url`")
    label = _text(given, "label")
    if label is None:
        raise UnfitMessage("a button needs a `label`")
    style, url = _text(given, "style"), _text(given, "url")
    if style is not None and style not in STYLES:
        raise UnfitMessage(f"the `style` of a button must be one of {', '.join(STYLES)}")
    if url is not None and not url.startswith(("https://", "http://")):
        raise UnfitMessage("the `url` of a button must begin with https://")
    return Button(label=label[:LONGEST_LABEL], value=_text(given, "value") or label, style=style, url=url)
