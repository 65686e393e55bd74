"""Agents that were started elsewhere: their hooks say when a session began and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Any, Final

from orgloop.plugin import (
    ANYTHING,
    SESSION_ENDED,
    SESSION_STARTED,
    AuthorType,
    Clock,
    Connector,
    Context,
    Draft,
    EventShape,
    EventType,
    Inbound,
    Lifecycle,
    Phase,
    Received,
    Refused,
    Secret,
    Session,
    Settings,
    Setup,
    Size,
    SourceKind,
    Variable,
    event_type,
    from_exit_status,
    lifecycle_key,
    parse_json,
    platform_event,
    verify,
)

SHAPES: Final = (
    EventShape(
        names=(EventType.RESOURCE_CHANGED, "session.started"),
        fields={**SESSION_STARTED, "payload.*": ANYTHING},
    ),
    EventShape(
        names=(EventType.ACTOR_STOPPED, "session.completed", "session.failed", "session.stopped"),
        fields={**SESSION_ENDED, "payload.*": ANYTHING},
    ),
)
"""What its events have. A hook may say more."""

SUBAGENT_STOPPED: Final = "subagent.stopped"
NAMES: Final = (
    *(name for shape in SHAPES for name in shape.names),
    platform_event(Phase.ACTIVE),
    SUBAGENT_STOPPED,
)
"""What routes call its events. Others do not come."""

SIGNATURE_HEADERS: Final = ("x-hub-signature-256", "x-signature")

REMEMBERED: Final = 10_000
"""Sessions of which a source remembers that an end was told, for agents that do not number their turns."""

_GOES_ON: Final = frozenset({
    "Notification", "PermissionRequest", "PostCompact", "PostToolUse", "PostToolUseFailure", "PreCompact",
    "PreToolUse", "Setup", "SubagentStart", "TaskCompleted", "TeammateIdle", "UserPromptSubmit",
    # Gemini CLI, whose turns end with AfterAgent.
    "AfterModel", "AfterTool", "BeforeAgent", "BeforeModel", "BeforeTool", "BeforeToolSelection",
    "PreCompress",
})  # fmt: skip
_STARTS: Final = frozenset({"SessionStart", "session.created", "session_start"})


class _Kind(Enum):
    """What a hook tells."""

    STARTS = "a session began"
    GOES_ON = "something happened within it"
    SUBAGENT = "an agent that the session started has ended"
    TURN = "an answer to a prompt has ended"
    SESSION = "the session is over"


class HookSettings(Settings):
    """A source that takes the hooks of coding agents at `/webhook/<source id>`."""

    secret: Secret | None = None
    """Verifies the signature of each request. Without it, requests from this machine only are taken."""
    platform: str | None = None
    """`provenance.platform` of its events. The agent's name by default, or the source's id."""
    harness: str | None = None
    """Which agent runs there: `claude-code`, `codex`, ... As `platform` by default."""
    hook_type: str | None = None
    """No effect: each hook says itself what it is."""
    buffer_dir: str | None = None
    """No effect: events are in the journal before the hook is answered."""
    max_buffer_size: Size | None = None
    """No effect, as `buffer_dir`."""

    @classmethod
    def without_effect(cls) -> frozenset[str]:
        return frozenset({"hook_type", "buffer_dir", "max_buffer_size"})


class HookSource:
    """What hooks tell: that a session began, goes on, or ended. A turn ends once, whichever hooks tell it.

    `agent` is whose hooks they are, if its connector is for one agent.
    """

    def __init__(self, id: str, settings: HookSettings, agent: str = "") -> None:
        self._secret = settings.secret
        self._platform = settings.platform or agent or id
        self._harness = settings.harness or self._platform
        self._clock: Clock | None = None
        self._told: dict[str, None] = {}

    async def open(self, ctx: Context) -> None:
        self._clock = ctx.clock

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def signed(self) -> bool:
        return self._secret is not None

    async def receive(self, request: Inbound) -> Received:
        """One hook. Refuses other methods (405), bad signatures (401) and bad bodies (400)."""
        if request.method != "POST":
            raise Refused("Method not allowed", hint="send the hook with POST", status=405)
        if self._secret is not None:
            verify(request, self._secret, SIGNATURE_HEADERS, missing="Missing signature")
        body = parse_json(request.body)
        if not isinstance(body, dict):
            raise Refused(
                "Invalid JSON payload: it is not an object", hint="send an object with a session_id"
            )
        draft = self._draft(body)
        return Received(
            events=(draft,) if draft is not None else (),
            request=request.headers.get("idempotency-key") or None,
        )

    def _draft(self, body: Mapping[str, Any]) -> Draft | None:
        """What the hook means; None if it tells the end of a turn that was told already."""
        session_id = _text(body, "session_id")
        if not session_id:
            raise Refused("session_id is missing", hint="send the id of the agent's session as session_id")
        directory = _text(body, "working_directory") or _text(body, "cwd")
        status = _number(body, "exit_status")
        meta = body.get("meta")
        if meta is not None and not isinstance(meta, dict):
            raise Refused("meta must be an object", hint="leave it out, or send a map of names and values")
        kind, turn = _kind(body, meta or {}), _text(body, "turn_id") or _text(body, "prompt_id")
        if not self._is_news(kind, session_id, turn):
            return None
        lifecycle = self._lifecycle(session_id, kind, status)
        ends = lifecycle.terminal
        session = Session(
            id=session_id,
            adapter=self._platform,
            harness=self._harness,
            cwd=directory or None,
            started_at=self._now() if kind is _Kind.STARTS else None,
            ended_at=self._now() if ends else None,
            exit_status=status if ends else None,
            meta=meta,
        )
        payload: dict[str, Any] = {
            "lifecycle": lifecycle.to_payload(),
            "session": session.to_payload(),
            "session_id": session_id,
            "working_directory": directory,
            "duration_seconds": _number(body, "duration_seconds"),
            "exit_status": status,
            "summary": _text(body, "summary"),
            "transcript_path": _text(body, "transcript_path"),
        }
        if turn:
            payload["turn_id"] = turn
        if meta is not None:
            payload["meta"] = meta
        subagent = _subagent(body, meta or {}) if kind is _Kind.SUBAGENT else None
        if subagent is not None:
            payload["subagent"] = subagent
        return Draft(
            key=_key(kind, session_id, turn, subagent or {}),
            type=event_type(lifecycle.phase),
            provenance={
                "platform": self._platform,
                "platform_event": platform_event(lifecycle.phase) if subagent is None else SUBAGENT_STOPPED,
                "author": self._platform,
                "author_type": AuthorType.BOT,
                "session_id": session_id,
                "working_directory": directory,
            },
            payload=payload,
        )

    def _is_news(self, kind: _Kind, session_id: str, turn: str) -> bool:
        """Whether that was not told yet. Where turns have ids, the journal knows; else this remembers."""
        if turn:
            return True
        if kind is _Kind.SESSION:
            return session_id not in self._told
        if kind is _Kind.TURN:
            self._told[session_id] = None
            if len(self._told) > REMEMBERED:
                del self._told[next(iter(self._told))]
        elif kind is not _Kind.SUBAGENT:
            # It began again, or a new prompt is what goes on: another end is still to come.
            self._told.pop(session_id, None)
        return True

    def _lifecycle(self, session_id: str, kind: _Kind, status: int) -> Lifecycle:
        if kind not in (_Kind.TURN, _Kind.SESSION):
            phase = Phase.STARTED if kind is _Kind.STARTS else Phase.ACTIVE
            return Lifecycle(phase=phase, dedupe_key=lifecycle_key(self._platform, session_id, phase))
        phase, outcome, reason = from_exit_status(status)
        key = lifecycle_key(self._platform, session_id, phase)
        return Lifecycle(phase=phase, outcome=outcome, reason=reason, dedupe_key=key)

    def _now(self) -> str:
        if self._clock is None:
            raise RuntimeError("the source is not open")
        now = datetime.fromtimestamp(self._clock.now() / 1000, UTC)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _kind(body: Mapping[str, Any], meta: Mapping[str, Any]) -> _Kind:
    """By its own word, else by the name of the agent's hook. What is not known is an end."""
    event = body.get("hook_event_name") or meta.get("hook")
    if body.get("hook_type") == "start" or _is_one_of(event, _STARTS):
        return _Kind.STARTS
    if event == "SubagentStop":
        return _Kind.SUBAGENT
    if event == "SessionEnd":
        return _Kind.SESSION
    return _Kind.GOES_ON if _is_one_of(event, _GOES_ON) else _Kind.TURN


def _is_one_of(event: object, names: frozenset[str]) -> bool:
    return isinstance(event, str) and event in names


def _subagent(body: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, str]:
    agent = {name: body.get(f"agent_{name}") or meta.get(f"agent_{name}") for name in ("id", "type")}
    return {name: value for name, value in agent.items() if isinstance(value, str)}


def _key(kind: _Kind, session_id: str, turn: str, subagent: Mapping[str, str]) -> str | None:
    """The fact within the source: the end of one turn is one fact, whether Stop or SessionEnd tells it."""
    if kind is _Kind.SUBAGENT:
        who = subagent.get("id")
        return f"subagent:{session_id}:{turn}:{who}" if who and turn else None
    if kind in (_Kind.TURN, _Kind.SESSION) and turn:
        return f"turn:{session_id}:{turn}"
    return f"session:{session_id}:over" if kind is _Kind.SESSION else None


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(f"{key} must be text", hint="put it in quotes, or leave it out")
    return value


def _number(body: Mapping[str, Any], key: str) -> int:
    """A whole number; 0 if it is not there. Shell scripts write numbers as text, others with a fraction."""
    value = body.get(key)
    if value is None or value == "":
        return 0
    try:
        if isinstance(value, bool):
            raise TypeError
        return int(float(value))
    except (TypeError, ValueError, OverflowError) as exc:
        raise Refused(f"{key} must be a number", hint="send it as a number, or leave it out") from exc


def example(platform: str) -> dict[str, Any]:
    """The end of a session, as a route's author may try it."""
    session, directory = "8d1f6c52-3b0e-4c55-9d3c-52f1a3a7c0de", "/home/mona/billing"
    phase, outcome, reason = from_exit_status(0)
    key = lifecycle_key(platform, session, phase)
    return {
        "type": event_type(phase).value,
        "provenance": {
            "platform": platform,
            "platform_event": platform_event(phase),
            "author": platform,
            "author_type": AuthorType.BOT.value,
            "session_id": session,
            "working_directory": directory,
        },
        "payload": {
            "lifecycle": Lifecycle(phase=phase, outcome=outcome, reason=reason, dedupe_key=key).to_payload(),
            "session": Session(
                id=session,
                adapter=platform,
                harness=platform,
                cwd=directory,
                ended_at="2026-01-05T10:00:00.000Z",
                exit_status=0,
            ).to_payload(),
            "session_id": session,
            "working_directory": directory,
            "duration_seconds": 120,
            "exit_status": 0,
            "summary": "Fixed the failing test.",
            "transcript_path": "",
        },
    }


def source_of(agent: str) -> SourceKind:
    """The source that hears sessions of this agent."""
    return SourceKind(
        settings=HookSettings,
        open=partial(HookSource, agent=agent),
        emits=(EventType.RESOURCE_CHANGED, EventType.ACTOR_STOPPED),
        names=lambda _: NAMES,
        names_all=True,
        shapes=lambda _: SHAPES,
        example=example(agent),
    )


def secret_of(name: str) -> Variable:
    """The variable with the secret of a source of hooks."""
    return Variable(
        name=name,
        description="the secret with which hooks sign, if the source has one",
        help_command="openssl rand -hex 32",
    )


connector: Final = Connector(
    name="coding-agent",
    title="A coding agent that was started elsewhere and reports by hooks",
    source=replace(source_of("coding-agent"), open=HookSource),
    setup=Setup(variables=(secret_of("WEBHOOK_SECRET"),)),
)

pi_rust: Final = Connector(
    name="pi-rust",
    title="Pi in Rust: hooks of its sessions are events",
    source=source_of("pi-rust"),
    setup=Setup(variables=(secret_of("PI_RUST_WEBHOOK_SECRET"),)),
)
