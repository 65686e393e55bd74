"""What Slack sends over its socket, in the shapes of its documentation."""

from __future__ import annotations

from typing import Any

MENTION: dict[str, Any] = {
    "token": "s3cret",
    "team_id": "T0ACME",
    "api_app_id": "A0LOOP",
    "event": {
        "type": "app_mention",
        "user": "U0ADA",
        "text": "<@U0LOOP> why is the build red?",
        "ts": "1767614400.000100",
        "channel": "C0DEV",
        "channel_type": "channel",
        "event_ts": "1767614400.000100",
    },
    "type": "event_callback",
    "event_id": "Ev0MENTION",
    "event_time": 1767614400,
}

EDITED: dict[str, Any] = {
    **MENTION,
    "event_id": "Ev0EDITED",
    "event": {
        "type": "message",
        "subtype": "message_changed",
        "channel": "C0DEV",
        "channel_type": "channel",
        "ts": "1767614460.000200",
        "message": {
            "type": "message",
            "user": "U0ADA",
            "text": "why is it red?",
            "ts": "1767614400.000100",
            "thread_ts": "1767614300.000100",
        },
        "previous_message": {"user": "U0ADA", "text": "why", "ts": "1767614400.000100"},
    },
}

DELETED: dict[str, Any] = {
    **MENTION,
    "event_id": "Ev0DELETED",
    "event": {
        "type": "message",
        "subtype": "message_deleted",
        "channel": "C0DEV",
        "channel_type": "channel",
        "ts": "1767614470.000300",
        "deleted_ts": "1767614400.000100",
        "previous_message": {"user": "U0ADA", "text": "why", "ts": "1767614400.000100"},
    },
}

REACTION: dict[str, Any] = {
    **MENTION,
    "event_id": "Ev0REACTION",
    "event": {
        "type": "reaction_added",
        "user": "U0ADA",
        "reaction": "eyes",
        "item": {"type": "message", "channel": "C0DEV", "ts": "1767614400.000100"},
        "event_ts": "1767614480.000400",
    },
}

CLICK: dict[str, Any] = {
    "type": "block_actions",
    "user": {"id": "U0ADA", "username": "ada", "name": "ada", "team_id": "T0ACME"},
    "api_app_id": "A0LOOP",
    "token": "s3cret",
    "container": {"type": "message", "message_ts": "1767614400.000100", "channel_id": "C0DEV"},
    "trigger_id": "s3cret",
    "team": {"id": "T0ACME", "domain": "acme"},
    "channel": {"id": "C0DEV", "name": "dev"},
    "message": {"bot_id": "B0LOOP", "type": "message", "text": "Deploy?", "ts": "1767614400.000100"},
    "response_url": "https://hooks.slack.com/actions/s3cret",
    "actions": [
        {
            "action_id": "orgloop:0",
            "block_id": "orgloop:dlv_0000000000000003",
            "text": {"type": "plain_text", "text": "Approve", "emoji": True},
            "value": '{"value": "approve", "context": {"pr": 7}, "mark": null}',
            "type": "button",
            "action_ts": "1767614490.000500",
        }
    ],
}

COMMAND: dict[str, Any] = {
    "token": "s3cret",
    "team_id": "T0ACME",
    "team_domain": "acme",
    "channel_id": "C0DEV",
    "channel_name": "dev",
    "user_id": "U0ADA",
    "user_name": "ada",
    "command": "/deploy",
    "text": "billing now",
    "api_app_id": "A0LOOP",
    "response_url": "https://hooks.slack.com/commands/s3cret",
    "trigger_id": "13345224609.738474920.8088930838d88f008e0",
}


def envelope(id: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As it comes over the socket."""
    kind = "events_api" if "event" in body else "interactive" if "actions" in body else "slash_commands"
    accepts = kind == "slash_commands"
    return {"envelope_id": id, "type": kind, "accepts_response_payload": accepts, "payload": body, **more}
