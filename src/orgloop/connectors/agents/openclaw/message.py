"""What a gateway is sent for a wake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, TypeVar

from orgloop.connectors.agents.openclaw.settings import OpenClawSettings
from orgloop.plugin import SECOND, Event, Refused, Wake, dump_json, load_json

BODY_LIMIT: Final = 256 * 1024
"""Bytes of one request that a gateway takes."""

WAKE_MODES: Final = ("now", "next-heartbeat")

CALLBACK_SESSION: Final = "openclaw_callback_session_key"
CALLBACK_AGENT: Final = "openclaw_callback_agent_id"
"""Members of `payload.meta` by which an agent's session says who is to hear of its end."""

_REPORT: Final = """\
When you are done, report your result: send one POST request with a JSON body to
{address}
The address is a secret of this task. The body: {{"status": "ok", "text": "what you did", "json": {{}}}}
`status` is "ok", or "error" if you could not do it. `json` is the structured result, if one is asked for.
"""

_MARK: Final = """\
End each comment, review, issue and pull request that you write on GitHub for this task with this line:
{marker}
End the message of each commit with this line:
{trailer}
"""

Body = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What to send, in this order until the gateway takes one; or why nothing is sent."""

    bodies: tuple[Body, ...] = ()
    skip: str = ""

    def to_bytes(self) -> bytes:
        return dump_json({"bodies": list(self.bodies), "skip": self.skip})

    @classmethod
    def from_bytes(cls, stored: bytes) -> Order:
        """What `to_bytes` wrote."""
        document = load_json(stored)
        return cls(bodies=tuple(document["bodies"]), skip=document["skip"])


def order_of(settings: OpenClawSettings, wake: Wake) -> Order:
    """The turn of an agent that a wake asks for. Raises Refused for a wake that can never be sent.

    A session that names who is to hear of its end comes first to them, then to the actor's own agent.
    """
    session, agent = _callback_of(wake.event)
    if agent and settings.agent_id and agent != settings.agent_id:
        return Order(
            skip=f"the session's end is for the agent {agent}, and this actor's is {settings.agent_id}"
        )
    own = _turn(settings, wake)
    if not session:
        return Order(bodies=(own,))
    theirs = {**own, "sessionKey": session}
    theirs.pop("sessionMode", None)
    if agent:
        theirs["agentId"] = agent
    return Order(bodies=(theirs, own))


def notice_of(settings: OpenClawSettings, wake: Wake) -> Body:
    """What `/hooks/wake` is sent: the prompt file, and a line that says what happened.

    The gateway hands its text to the agent as its own words. So nothing of the event's text is in it.
    """
    _require_known(wake, ("session_key", "wake_mode"), "`hook: wake`")
    event = wake.event
    happened = f"[{event.source}] {event.type}, delivery {wake.delivery_id}"
    body: dict[str, Any] = {
        "text": "\n\n".join(filter(None, (happened, (wake.sop or "").strip()))),
        "mode": _read(wake, "wake_mode", _wake_mode) or "now",
    }
    _put(body, "agentId", settings.agent_id)
    if body["mode"] == "now":
        _put(body, "sessionKey", _text(wake, "session_key"))
    return _sized(body, wake)


def deadline_s(settings: OpenClawSettings, wake: Wake) -> float:
    """Seconds to wait for the end: a turn that may take longer is waited for."""
    asked = _read(wake, "timeout_seconds", _as_seconds)
    return max(settings.timeout / SECOND, asked + 60 if asked is not None else 0)


def check_route(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Keys of `then.config` for which the gateway, or this actor, would refuse every wake."""
    found = {}
    for key, value in config.items():
        read = _ROUTE.get(key)
        if read is None:
            found[key] = "is not an option of an OpenClaw wake: see docs/agents/openclaw.md"
        elif not (isinstance(value, str) and "{{" in value):
            try:
                read(value)
            except ValueError as exc:
                found[key] = str(exc)
    return found


def _turn(settings: OpenClawSettings, wake: Wake) -> Body:
    _require_known(wake, _ROUTE, "an OpenClaw actor")
    key = _text(wake, "session_key")
    body: dict[str, Any] = {
        "message": _message(settings, wake),
        "name": f"OrgLoop {wake.route}",
        "wakeMode": _read(wake, "wake_mode", _wake_mode) or "now",
        "deliver": _read(wake, "deliver", _as_flag),
    }
    _put(body, "sessionKey", key)
    if key is not None:
        _put(body, "sessionMode", settings.session_mode)
    _put(body, "agentId", settings.agent_id)
    _put(body, "channel", _text(wake, "channel") or settings.default_channel)
    _put(body, "to", _text(wake, "to") or settings.default_to)
    _put(body, "accountId", _text(wake, "account_id"))
    _put(body, "lane", _text(wake, "lane") or settings.lane)
    _put(body, "threadId", _text(wake, "thread_id"))
    _put(body, "model", _text(wake, "model"))
    _put(body, "thinking", _text(wake, "thinking"))
    _put(body, "timeoutSeconds", _read(wake, "timeout_seconds", _as_seconds))
    if settings.has_runs:
        body["waitForCompletion"] = True
    return _sized(body, wake)


def _message(settings: OpenClawSettings, wake: Wake) -> str:
    parts = [wake.prompt.rstrip()]
    if settings.completion == "callback" and wake.callback is not None:
        parts.append(_REPORT.format(address=wake.callback).rstrip())
    if wake.marker is not None and wake.trailer is not None:
        parts.append(_MARK.format(marker=wake.marker, trailer=wake.trailer).rstrip())
    return "\n\n".join(filter(None, parts))


def _callback_of(event: Event) -> tuple[str, str]:
    """Session key and agent that a session's `meta` names; empty if it does not."""
    for path in (("meta",), ("session", "meta")):
        node: Any = event.payload
        for step in path:
            node = node.get(step) if isinstance(node, Mapping) else None
        if isinstance(node, Mapping):
            found = [node.get(name) for name in (CALLBACK_SESSION, CALLBACK_AGENT)]
            session, agent = (value if isinstance(value, str) else "" for value in found)
            if session or agent:
                return session, agent
    return "", ""


def _sized(body: dict[str, Any], wake: Wake) -> Body:
    size = len(dump_json(body))
    if size > BODY_LIMIT:
        raise Refused(
            f"route {wake.route}: the request has {size} bytes, and a gateway takes {BODY_LIMIT}",
            hint="shorten the prompt file",
        )
    return body


def _require_known(wake: Wake, known: Mapping[str, Any] | tuple[str, ...], what: str) -> None:
    unknown = ", ".join(sorted(key for key in wake.config if key not in known))
    if unknown:
        raise Refused(
            f"route {wake.route}: `then.config` has {unknown}, which {what} does not know",
            hint="remove it, or see docs/agents/openclaw.md",
        )


def _put(body: dict[str, Any], name: str, value: object) -> None:
    if value is not None:
        body[name] = value


def _read(wake: Wake, key: str, read: Callable[[Any], T]) -> T:
    try:
        return read(wake.config.get(key))
    except ValueError as exc:
        raise Refused(f"route {wake.route}: `then.config.{key}` {exc}", hint="correct it") from exc


def _text(wake: Wake, key: str) -> str | None:
    return _read(wake, key, _as_text)


def _as_text(value: Any) -> str | None:
    """Text, or a number as text; None if there is nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError("must be text")


def _wake_mode(value: Any) -> str | None:
    mode = _as_text(value)
    if mode not in (None, *WAKE_MODES):
        raise ValueError(f"must be {' or '.join(WAKE_MODES)}, not {mode!r}")
    return mode


def _as_flag(value: Any) -> bool:
    """A placeholder makes text of what was true or false."""
    word = value.lower() if isinstance(value, str) else value
    if word in (True, "true"):
        return True
    if word in (False, "false", "", None):
        return False
    raise ValueError("must be true or false")


def _as_seconds(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        seconds = float(value) if isinstance(value, str | int | float) and value is not True else 0.0
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < inf:
        raise ValueError("must be a number of seconds from 1, without a unit")
    return int(seconds)


_ROUTE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "session_key": _as_text,
    "thread_id": _as_text,
    "wake_mode": _wake_mode,
    "deliver": _as_flag,
    "channel": _as_text,
    "to": _as_text,
    "account_id": _as_text,
    "lane": _as_text,
    "model": _as_text,
    "thinking": _as_text,
    "timeout_seconds": _as_seconds,
}
"""What a route may say, and how each is read."""
