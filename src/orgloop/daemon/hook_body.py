"""What an agent's hook says, as a source of hooks takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

SUMMARY: Final = 4_000
"""Characters of an agent's last words that a hook carries."""

HEAD: Final = 65_536
"""Bytes at the beginning of a transcript in which its first time is looked for."""

_STARTS: Final = frozenset({"SessionStart", "session.created", "session_start"})
_FAILS: Final = frozenset({"StopFailure", "turn.failed"})


def source_of(name: str) -> str:
    """The source that a hook of this name is for: `claude-code-stop` is for `claude-code`."""
    for suffix in ("-stop", "-start", "-end", "-notify"):
        if name.endswith(suffix) and name != suffix:
            return name.removesuffix(suffix)
    return name


def body_of(name: str, raw: bytes, now: int) -> bytes:
    """The request's body. What is no report of an agent's session is handed on as it is."""
    try:
        document = json.loads(raw)
    except ValueError:
        return raw
    if not isinstance(document, dict):
        return raw
    session = _text(document, "session_id", "thread-id", "thread_id", "sessionID")
    if not session:
        return raw
    event = _text(document, "hook_event_name", "type")
    transcript = _text(document, "transcript_path")
    body: dict[str, Any] = {
        "session_id": session,
        "working_directory": _text(document, "cwd", "working_directory"),
        "duration_seconds": _duration(document, transcript, now),
        "exit_status": _exit_status(document, event),
        "summary": _summary(document)[:SUMMARY],
        "transcript_path": transcript,
    }
    if turn := _text(document, "prompt_id", "turn_id", "turn-id"):
        body["turn_id"] = turn
    if name.endswith("-start") or event in _STARTS:
        body["hook_type"] = "start"
    meta = _meta(document, event)
    if meta:
        body["meta"] = meta
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _text(document: Mapping[str, Any], *keys: str) -> str:
    """The first of these that is text."""
    return next((value for key in keys if isinstance(value := document.get(key), str) and value), "")


def _summary(document: Mapping[str, Any]) -> str:
    raw = _text(document, "summary", "last_assistant_message", "last-assistant-message")
    error = _text(document, "error")
    return f"{error}: {raw}" if error and raw else raw or error


def _exit_status(document: Mapping[str, Any], event: str) -> int:
    given = document.get("exit_status")
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    return 1 if event in _FAILS else 0


def _duration(document: Mapping[str, Any], transcript: str, now: int) -> int:
    """Whole seconds: as the agent says, else since the first time in its transcript, else 0."""
    given = document.get("duration_seconds")
    if isinstance(given, int | float) and not isinstance(given, bool) and given >= 0:
        return int(given)
    began = _began(transcript) if transcript else None
    return max(0, (now - began) // 1000) if began is not None else 0


def _began(transcript: str) -> int | None:
    try:
        path = Path(transcript).expanduser()
        if not path.is_file():
            return None
        with path.open("rb") as file:
            lines = file.read(HEAD).splitlines()
    except (OSError, ValueError):
        return None
    for line in lines:
        try:
            at = datetime.fromisoformat(json.loads(line)["timestamp"])
        except (ValueError, KeyError, TypeError):
            continue
        return int(at.astimezone(UTC).timestamp() * 1000)
    return None


def _meta(document: Mapping[str, Any], event: str) -> dict[str, Any]:
    """What routes may want to filter by, such as whether the agent still waits for something."""
    meta: dict[str, Any] = {"hook": event} if event else {}
    for key in ("reason", "error", "permission_mode", "agent_id", "agent_type", "client"):
        if value := _text(document, key):
            meta[key] = value
    for key in ("background_tasks", "session_crons"):
        if isinstance(document.get(key), list):
            meta[key] = len(document[key])
    if isinstance(document.get("stop_hook_active"), bool):
        meta["stop_hook_active"] = document["stop_hook_active"]
    return meta
