"""Phases, exit statuses, and what an outside lifecycle may look like."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.events.event import EventType
from orgloop.core.events.session_lifecycle import (
    Lifecycle,
    LifecycleError,
    Phase,
    RunOutcome,
    Session,
    check,
    event_type,
    from_exit_status,
    lifecycle_key,
    platform_event,
)

words = st.text(min_size=1, max_size=8)
maybe = st.none() | words


@st.composite
def lifecycles(draw: st.DrawFn) -> Lifecycle:
    phase = draw(st.sampled_from(Phase))
    outcome = draw(st.sampled_from(RunOutcome)) if phase.terminal else None
    return Lifecycle(phase=phase, outcome=outcome, reason=draw(maybe), dedupe_key=draw(words))


@st.composite
def sessions(draw: st.DrawFn, terminal: bool) -> Session:
    return Session(
        id=draw(words),
        adapter=draw(words),
        harness=draw(words),
        cwd=draw(maybe),
        started_at=draw(maybe),
        ended_at=draw(maybe),
        exit_status=draw(st.none() | st.integers(-(2**31), 2**31)) if terminal else None,
        meta=draw(st.none() | st.dictionaries(words, words)),
    )


def completed(**changes: Any) -> dict[str, Any]:
    """The payload of a session that ended well; `part__key=value` sets a key, `...` takes it away."""
    payload: dict[str, Any] = {
        "lifecycle": {
            "phase": "completed",
            "terminal": True,
            "outcome": "success",
            "dedupe_key": "codex:s:completed",
        },
        "session": {"id": "s", "adapter": "codex", "harness": "codex", "exit_status": 0},
    }
    for name, value in changes.items():
        part, _, key = name.partition("__")
        where, key = (payload[part], key) if key else (payload, part)
        if value is ...:
            where.pop(key, None)
        else:
            where[key] = value
    return payload


def started(**changes: Any) -> dict[str, Any]:
    """The payload of a session that began, changed likewise."""
    beginning = {
        "lifecycle__phase": "started",
        "lifecycle__terminal": False,
        "lifecycle__outcome": ...,
        "session__exit_status": ...,
    }
    return completed(**beginning | changes)


@pytest.mark.parametrize(
    ("phase", "terminal", "kind", "name"),
    [
        ("started", False, "resource.changed", "session.started"),
        ("active", False, "resource.changed", "session.active"),
        ("completed", True, "actor.stopped", "session.completed"),
        ("failed", True, "actor.stopped", "session.failed"),
        ("stopped", True, "actor.stopped", "session.stopped"),
    ],
)
def test_each_phase_has_its_event(phase: str, terminal: bool, kind: str, name: str) -> None:
    assert Phase(phase).terminal is terminal
    assert event_type(Phase(phase)) == kind
    assert platform_event(Phase(phase)) == name


def test_there_are_no_other_phases_and_outcomes() -> None:
    assert list(Phase) == ["started", "active", "completed", "failed", "stopped"]
    assert list(RunOutcome) == ["success", "failure", "cancelled", "unknown"]


@pytest.mark.parametrize(
    ("status", "phase", "outcome", "reason"),
    [
        (0, "completed", "success", "exit_code_0"),
        (1, "failed", "failure", "exit_code_1"),
        (2, "failed", "failure", "exit_code_2"),
        (75, "failed", "failure", "exit_code_75"),
        (127, "failed", "failure", "exit_code_127"),
        (128, "failed", "failure", "exit_code_128"),
        (-1, "failed", "failure", "exit_code_-1"),
        (-9, "failed", "failure", "exit_code_-9"),
        (129, "stopped", "cancelled", "signal_1"),
        (130, "stopped", "cancelled", "sigint"),
        (131, "stopped", "cancelled", "signal_3"),
        (137, "stopped", "cancelled", "sigkill"),
        (143, "stopped", "cancelled", "sigterm"),
        (255, "failed", "failure", "exit_code_255"),
        (300, "failed", "failure", "exit_code_300"),
        (132, "failed", "failure", "sigill"),
        (133, "failed", "failure", "sigtrap"),
        (134, "failed", "failure", "sigabrt"),
        (135, "failed", "failure", "sigbus"),
        (136, "failed", "failure", "sigfpe"),
        (139, "failed", "failure", "sigsegv"),
        (159, "failed", "failure", "sigsys"),
        (138, "stopped", "cancelled", "signal_10"),
    ],
)
def test_an_exit_status_says_how_a_session_ended(status: int, phase: str, outcome: str, reason: str) -> None:
    assert from_exit_status(status) == (phase, outcome, reason)


@given(st.integers())
def test_every_exit_status_ends_a_session(status: int) -> None:
    phase, outcome, reason = from_exit_status(status)
    assert Lifecycle(phase=phase, outcome=outcome, reason=reason, dedupe_key="k").terminal


def test_a_dedupe_key_names_harness_session_and_phase() -> None:
    assert lifecycle_key("claude-code", "abc", Phase.STOPPED) == "claude-code:abc:stopped"


class TestPayload:
    def test_a_full_lifecycle_has_every_documented_key(self) -> None:
        lifecycle = Lifecycle(
            phase=Phase.STOPPED, outcome=RunOutcome.CANCELLED, reason="sigterm", dedupe_key="codex:s:stopped"
        )
        assert list(lifecycle.to_payload().items()) == [
            ("phase", "stopped"),
            ("terminal", True),
            ("outcome", "cancelled"),
            ("reason", "sigterm"),
            ("dedupe_key", "codex:s:stopped"),
        ]

    def test_a_full_session_has_every_documented_key(self) -> None:
        session = Session(
            id="s",
            adapter="codex",
            harness="codex",
            cwd="/src",
            started_at="2026-01-01T00:00:00.000Z",
            ended_at="2026-01-01T00:01:00.000Z",
            exit_status=0,
            meta={},
        )
        assert list(session.to_payload().items()) == [
            ("id", "s"),
            ("adapter", "codex"),
            ("harness", "codex"),
            ("cwd", "/src"),
            ("started_at", "2026-01-01T00:00:00.000Z"),
            ("ended_at", "2026-01-01T00:01:00.000Z"),
            ("exit_status", 0),
            ("meta", {}),
        ]

    def test_what_is_not_known_is_left_out(self) -> None:
        lifecycle = Lifecycle(phase=Phase.STARTED, dedupe_key="k")
        assert lifecycle.to_payload() == {"phase": "started", "terminal": False, "dedupe_key": "k"}
        session = Session(id="s", adapter="a", harness="h")
        assert session.to_payload() == {"id": "s", "adapter": "a", "harness": "h"}

    @given(st.data(), lifecycles())
    def test_what_we_write_passes_the_check_also_after_json(
        self, data: st.DataObject, lifecycle: Lifecycle
    ) -> None:
        session = data.draw(sessions(lifecycle.terminal))
        payload = {"lifecycle": lifecycle.to_payload(), "session": session.to_payload()}
        assert check(payload, event_type(lifecycle.phase)) == []
        assert check(orjson.loads(orjson.dumps(payload)), event_type(lifecycle.phase)) == []

    @pytest.mark.parametrize("phase", Phase)
    def test_an_outcome_belongs_to_a_terminal_phase(self, phase: Phase) -> None:
        outcome = None if phase.terminal else RunOutcome.SUCCESS
        with pytest.raises(LifecycleError, match=f"the phase {phase} is"):
            Lifecycle(phase=phase, outcome=outcome, dedupe_key="k")

    def test_a_lifecycle_needs_a_dedupe_key(self) -> None:
        with pytest.raises(LifecycleError, match="dedupe_key is empty"):
            Lifecycle(phase=Phase.STARTED, dedupe_key="")

    @pytest.mark.parametrize("name", ["id", "adapter", "harness"])
    def test_a_session_needs_its_names(self, name: str) -> None:
        with pytest.raises(LifecycleError, match=f"session's {name} is empty"):
            dataclasses.replace(Session(id="s", adapter="a", harness="h"), **{name: ""})  # type: ignore[arg-type]


class TestCheck:
    @pytest.mark.parametrize(
        ("payload", "kind"),
        [
            (completed(), "actor.stopped"),
            (completed(lifecycle__reason="exit_code_0", session__cwd="/src", other=1), "actor.stopped"),
            (
                completed(lifecycle__reason=None, session__cwd=None, session__exit_status=None),
                "actor.stopped",
            ),
            (completed(session__exit_status=1.5, session__harness="my own"), "actor.stopped"),
            (started(), "resource.changed"),
            (started(lifecycle__outcome="unknown"), "resource.changed"),
        ],
    )
    def test_a_sound_lifecycle_has_no_problems(self, payload: object, kind: str) -> None:
        assert check(payload, kind) == []

    @pytest.mark.parametrize(
        ("payload", "fields"),
        [
            (None, ["lifecycle", "session"]),
            ([], ["lifecycle", "session"]),
            ({}, ["lifecycle", "session"]),
            (completed(lifecycle=...), ["lifecycle"]),
            (completed(session="s"), ["session"]),
            (completed(lifecycle__phase="done", session=[]), ["session"]),
            (completed(lifecycle__phase=...), ["lifecycle.phase"]),
            (completed(lifecycle__phase="done"), ["lifecycle.phase"]),
            (completed(lifecycle__phase=["completed"]), ["lifecycle.phase"]),
            (completed(lifecycle__terminal=...), ["lifecycle.terminal"]),
            (completed(lifecycle__terminal=1), ["lifecycle.terminal"]),
            (completed(lifecycle__terminal=False), ["lifecycle.terminal"]),
            (completed(lifecycle__outcome=...), ["lifecycle.outcome"]),
            (completed(lifecycle__outcome=None), ["lifecycle.outcome"]),
            (completed(lifecycle__outcome="ok"), ["lifecycle.outcome"]),
            (completed(lifecycle__outcome={}), ["lifecycle.outcome"]),
            (completed(lifecycle__dedupe_key=...), ["lifecycle.dedupe_key"]),
            (completed(lifecycle__dedupe_key=""), ["lifecycle.dedupe_key"]),
            (completed(lifecycle__dedupe_key=7), ["lifecycle.dedupe_key"]),
            (completed(lifecycle__reason=7), ["lifecycle.reason"]),
            (completed(session__id=...), ["session.id"]),
            (completed(session__id=""), ["session.id"]),
            (completed(session__adapter=None), ["session.adapter"]),
            (completed(session__harness=1), ["session.harness"]),
            (completed(session__cwd=1), ["session.cwd"]),
            (completed(session__started_at=1), ["session.started_at"]),
            (completed(session__ended_at=True), ["session.ended_at"]),
            (completed(session__exit_status="0"), ["session.exit_status"]),
            (completed(session__exit_status=True), ["session.exit_status"]),
            (
                {"lifecycle": {}, "session": {}},
                [
                    "lifecycle.phase",
                    "lifecycle.terminal",
                    "lifecycle.dedupe_key",
                    "session.id",
                    "session.adapter",
                    "session.harness",
                ],
            ),
        ],
    )
    def test_each_problem_is_named_by_its_field(self, payload: object, fields: list[str]) -> None:
        assert [field for field, _ in check(payload, "actor.stopped")] == fields

    @pytest.mark.parametrize(
        ("payload", "fields"),
        [
            (started(lifecycle__terminal=True), ["lifecycle.terminal"]),
            (started(lifecycle__outcome="ok"), ["lifecycle.outcome"]),
            (started(session__exit_status=0), ["session.exit_status"]),
        ],
    )
    def test_a_session_that_goes_on_has_not_ended(self, payload: object, fields: list[str]) -> None:
        assert [field for field, _ in check(payload, "resource.changed")] == fields

    @pytest.mark.parametrize("payload", [completed(), started()])
    @pytest.mark.parametrize("kind", EventType)
    def test_the_event_type_agrees_with_the_phase(self, payload: dict[str, Any], kind: EventType) -> None:
        fits = kind == event_type(Phase(payload["lifecycle"]["phase"]))
        assert [field for field, _ in check(payload, kind)] == ([] if fits else ["type"])

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            (completed(lifecycle="x"), "must be a map under payload.lifecycle; got a string"),
            (
                completed(lifecycle__phase="done"),
                "must be one of started, active, completed, failed, stopped; got 'done'",
            ),
            (
                completed(lifecycle__outcome=...),
                "must be one of success, failure, cancelled, unknown; got nothing",
            ),
            (completed(lifecycle__terminal=False), "must be true in the phase completed"),
            (completed(lifecycle__terminal=1), "must be true or false; got a number"),
            (completed(session__exit_status=False), "must be a number; got a boolean"),
            (completed(session__id=""), "must be a non-empty string; got an empty string"),
            (completed(session__cwd=[]), "must be a string, or left out; got a list"),
            (completed(session__exit_status={}), "must be a number; got a map"),
        ],
    )
    def test_a_problem_says_what_is_expected_and_what_came(self, payload: object, message: str) -> None:
        assert [found for _, found in check(payload, "actor.stopped")] == [message]

    def test_what_came_is_shown_in_short(self) -> None:
        problems = check(completed(lifecycle__phase="x" * 10_000), "y" * 10_000)
        assert all(len(message) < 200 for _, message in problems)
        assert problems

    def test_a_long_event_type_is_shown_in_short(self) -> None:
        [(field, message)] = check(completed(), "y" * 10_000)
        assert field == "type"
        assert len(message) < 200

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.dictionaries(
                    st.sampled_from(
                        ["lifecycle", "session", "phase", "terminal", "outcome", "id", "exit_status"]
                    ),
                    inner,
                )
                | st.lists(inner, max_size=2)
            ),
        )
    )
    def test_any_json_can_be_checked(self, payload: object) -> None:
        assert check(payload, "actor.stopped")
