"""Records: which story they tell of what the journal holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

import pytest

from orgloop.core.deliveries.delivery import NEEDLESS, State
from orgloop.core.deliveries.prepare_steps import StepResult, step
from orgloop.core.deliveries.transition import HoldReason, Transition
from orgloop.core.records.from_journal import RESULTS, Happened, of_event, of_prepared, of_step
from orgloop.core.records.record import Level, Record, RecordPhase, timestamp

AT: Final = 1_772_359_200_123


@dataclass(frozen=True, kw_only=True, slots=True)
class AnEvent:
    """What the journal takes or gives, as far as records need it."""

    id: str = "evt_1"
    source: str = "github"
    type: str = "resource.changed"
    platform_event: str = "pull_request.opened"
    trace_id: str = "trc_1"


@dataclass(frozen=True, kw_only=True, slots=True)
class ADelivery:
    """As AnEvent."""

    id: str = "dlv_1"
    route: str = "pr-review"
    actor: str = "engineer"
    reason: str = ""
    steps: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AStep:
    """As AnEvent."""

    transition: str
    state: State
    reason: str = ""
    detail: str = ""
    at: int = AT
    began: int | None = AT - 250
    attempt: int = 2
    run_id: str | None = None
    run_outcome: str = ""
    run_ms: int | None = None
    sop_file: str | None = None
    delivery_id: str = "dlv_1"
    event_id: str = "evt_1"
    trace_id: str = "trc_1"
    source: str = "github"
    event_type: str = "resource.changed"
    platform_event: str = "pull_request.opened"
    route: str = "pr-review"
    actor: str = "engineer"


def told(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    return [(record.phase.value, record.result, record.error) for record in records]


def test_an_event_that_no_route_wants() -> None:
    emitted, unmatched = of_event(AnEvent(), [], AT)
    assert emitted == Record(
        at=AT,
        phase=RecordPhase.SOURCE_EMIT,
        event_id="evt_1",
        trace_id="trc_1",
        source="github",
        event_type="resource.changed",
        event_name="pull_request.opened",
        metadata={"platform_event": "pull_request.opened"},
    )
    assert unmatched == replace(emitted, phase=RecordPhase.ROUTE_NO_MATCH, metadata={})
    assert of_event(AnEvent(platform_event=""), [], AT)[0].metadata == {}


def test_every_delivery_is_a_match_with_its_steps() -> None:
    deliveries = [
        ADelivery(steps=[step("noise", StepResult.PASS, ms=0.25), step("enrich", StepResult.CHANGE)]),
        ADelivery(id="dlv_2", route="other", actor="ops"),
    ]
    records = of_event(AnEvent(), deliveries, AT)
    assert [(r.phase, r.delivery_id, r.route, r.target, r.transform, r.result) for r in records[1:]] == [
        ("route.match", "dlv_1", "pr-review", "engineer", "", ""),
        ("transform.pass", "dlv_1", "pr-review", "engineer", "noise", "pass"),
        ("transform.pass", "dlv_1", "pr-review", "engineer", "enrich", "change"),
        ("route.match", "dlv_2", "other", "ops", "", ""),
    ]
    assert records[2].duration_ms == 0.25
    assert {record.at for record in records} == {AT}
    assert {(r.event_id, r.trace_id, r.source) for r in records} == {("evt_1", "trc_1", "github")}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (step("t", StepResult.PASS), ("transform.pass", "pass", "")),
        (step("t", StepResult.ONCE), ("transform.pass", "pass", "")),
        (step("t", StepResult.CHANGE), ("transform.pass", "change", "")),
        (step("t", StepResult.DROP, reason="why"), ("transform.drop", "drop", "")),
        (step("t", StepResult.ERROR, reason="why", on_error="pass"), ("transform.error", "error", "why")),
        (step("t", StepResult.ERROR, reason="why", on_error="drop"), ("transform.error_drop", "drop", "why")),
        (step("t", StepResult.ERROR, reason="why", on_error="halt"), ("transform.error_halt", "held", "why")),
        (step("t", StepResult.ERROR, reason="why", on_error="hold"), ("transform.error_halt", "held", "why")),
        (step("untrusted", StepResult.HOLD, reason="why"), ("deliver.held", "held", "why")),
    ],
)
def test_what_a_step_did_is_one_record(entry: Mapping[str, Any], expected: tuple[str, str, str]) -> None:
    assert told(of_event(AnEvent(), [ADelivery(steps=[entry])], AT)[2:]) == [expected]


def test_a_drop_carries_its_reason() -> None:
    steps = [step("noise", StepResult.DROP, reason="exclude: provenance.author_type matches bot")]
    *_, drop = of_event(AnEvent(), [ADelivery(steps=steps, reason="transform")], AT)
    assert (drop.transform, drop.metadata) == (
        "noise",
        {"reason": "exclude: provenance.author_type matches bot"},
    )


def test_a_guard_that_holds_is_named_and_is_no_transform() -> None:
    steps = [step(HoldReason.UNTRUSTED, StepResult.HOLD, reason="author_type external")]
    *_, held = of_event(AnEvent(), [ADelivery(steps=steps, reason="untrusted")], AT)
    assert (held.transform, held.metadata, held.level) == ("", {"reason": "untrusted"}, Level.ERROR)


def test_a_duplicate_ends_at_the_step_that_asked_for_the_first() -> None:
    steps = [
        step("noise", StepResult.PASS),
        step("dedup", StepResult.ONCE),
        step("enrich", StepResult.CHANGE),
    ]
    records = of_event(AnEvent(), [ADelivery(steps=steps, reason="duplicate")], AT)[2:]
    assert [(record.transform, record.result, record.metadata) for record in records] == [
        ("noise", "pass", {}),
        ("dedup", "drop", {"reason": "duplicate"}),
    ]
    kept = of_event(AnEvent(), [ADelivery(steps=steps)], AT)[2:]
    assert [record.result for record in kept] == ["pass", "pass", "change"]


def test_steps_that_ran_later_are_told_later_and_once() -> None:
    later = ADelivery(steps=[step("script", StepResult.DROP, reason="no", at=AT + 900)], reason="transform")
    assert told(of_event(AnEvent(), [later], AT)) == [("source.emit", "", ""), ("route.match", "", "")]
    [record] = of_prepared(AnEvent(), later)
    assert (record.phase, record.at, record.delivery_id) == (RecordPhase.TRANSFORM_DROP, AT + 900, "dlv_1")
    assert of_prepared(AnEvent(), ADelivery(steps=[step("t", StepResult.PASS)])) == []


ATTEMPT = ("deliver.attempt", "", "")


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        (
            AStep(transition="delivered", state=State.DELIVERED),
            [ATTEMPT, ("deliver.success", "delivered", "")],
        ),
        (AStep(transition="started", state=State.STARTED), [ATTEMPT]),
        (
            AStep(transition="not_started", state=State.PENDING, run_id="run_1", reason="unavailable"),
            [("deliver.wait", "unavailable", "")],
        ),
        (
            AStep(transition="not_started", state=State.PENDING, run_id="run_1", reason="retry"),
            [("deliver.retry", "retry", "")],
        ),
        (AStep(transition="begun", state=State.STARTED), [("run.started", "started", "")]),
        (
            AStep(transition="skipped", state=State.DROPPED, reason="skipped", detail="closed"),
            [ATTEMPT, ("deliver.skipped", "skipped", "")],
        ),
        (
            AStep(transition="rejected", state=State.DEAD, reason="rejected", detail="422"),
            [ATTEMPT, ("deliver.failure", "dead", "422")],
        ),
        (
            AStep(transition="retry", state=State.PENDING, detail="500"),
            [ATTEMPT, ("deliver.retry", "retry", "500")],
        ),
        (
            AStep(transition="retry", state=State.DEAD, reason="attempts", detail="500"),
            [ATTEMPT, ("deliver.failure", "dead", "500")],
        ),
        (
            AStep(transition="throttled", state=State.PENDING, detail="slow down"),
            [ATTEMPT, ("deliver.wait", "throttled", "slow down")],
        ),
        (
            AStep(transition="unavailable", state=State.PENDING, detail="refused"),
            [ATTEMPT, ("deliver.wait", "unavailable", "refused")],
        ),
        (
            AStep(transition="limited", state=State.PENDING, detail="usage limit"),
            [ATTEMPT, ("deliver.wait", "limited", "usage limit")],
        ),
        (
            AStep(transition="interrupted", state=State.PENDING),
            [ATTEMPT, ("deliver.wait", "interrupted", "")],
        ),
        (
            AStep(transition="interrupted", state=State.PENDING, began=None),
            [("deliver.wait", "interrupted", "")],
        ),
        (
            AStep(transition="interrupted", state=State.HELD, reason="crashes", detail="died", began=None),
            [("deliver.held", "held", "died")],
        ),
        (AStep(transition="run_ended", state=State.DELIVERED), [("run.ended", "delivered", "")]),
        (
            AStep(transition="not_started", state=State.PENDING, detail="no such file"),
            [("deliver.retry", "retry", "no such file")],
        ),
        (
            AStep(transition="not_started", state=State.DEAD, reason="attempts", detail="no such file"),
            [("deliver.failure", "dead", "no such file")],
        ),
        (
            AStep(transition="hold", state=State.HELD, reason="stale", detail="2d old"),
            [ATTEMPT, ("deliver.held", "held", "2d old")],
        ),
        (
            AStep(transition="hold", state=State.HELD, reason="removed", began=None),
            [("deliver.held", "held", "")],
        ),
        (
            AStep(transition="drop", state=State.DROPPED, reason="expired", began=None),
            [("deliver.expired", "expired", "")],
        ),
        *(
            (
                AStep(transition="drop", state=State.DROPPED, reason=reason, began=None),
                [("deliver.skipped", str(reason), "")],
            )
            for reason in NEEDLESS
        ),
        (
            AStep(transition="released", state=State.PENDING, began=None),
            [("deliver.released", "released", "")],
        ),
        (AStep(transition="retried", state=State.PENDING, began=None), [("deliver.released", "retried", "")]),
        (
            AStep(transition="discarded", state=State.DISCARDED, began=None),
            [("deliver.discarded", "discarded", "")],
        ),
        # told by the delivery's steps, or nothing to tell
        (AStep(transition="ready", state=State.PENDING, began=None), []),
        (AStep(transition="claimed", state=State.RUNNING, began=None), []),
        (AStep(transition="prepare", state=State.PREPARING, began=None), []),
        (AStep(transition="drop", state=State.DROPPED, reason="transform", began=None), []),
        (AStep(transition="drop", state=State.DROPPED, reason="duplicate", began=None), []),
        (AStep(transition="hold", state=State.HELD, reason="transform", began=None), []),
        (AStep(transition="hold", state=State.HELD, reason="untrusted", began=None), []),
    ],
)
def test_what_happened_is_told(happened: AStep, expected: list[tuple[str, str, str]]) -> None:
    assert told(of_step(happened)) == expected


def test_skipped_is_no_failure() -> None:
    *_, record = of_step(AStep(transition="skipped", state=State.DROPPED, reason="skipped", detail="draft"))
    assert record.level is Level.INFO
    assert record.metadata == {"attempt": 2, "reason": "draft"}


def test_a_try_is_told_with_its_times_and_its_prompt() -> None:
    attempt, success = of_step(
        AStep(
            transition="delivered",
            state=State.DELIVERED,
            detail="200 OK",
            sop_file="sops/a.md",
        )
    )
    assert (attempt.at, attempt.metadata, attempt.level) == (AT - 250, {"sop": "sops/a.md"}, Level.DEBUG)
    assert success == Record(
        at=AT,
        phase=RecordPhase.DELIVER_SUCCESS,
        event_id="evt_1",
        trace_id="trc_1",
        delivery_id="dlv_1",
        source="github",
        target="engineer",
        route="pr-review",
        event_type="resource.changed",
        event_name="pull_request.opened",
        result="delivered",
        duration_ms=250,
        metadata={"attempt": 2, "detail": "200 OK"},
    )


@pytest.mark.parametrize(
    ("transition", "phase"),
    [("delivered", RecordPhase.DELIVER_SUCCESS), ("skipped", RecordPhase.DELIVER_SKIPPED)],
)
def test_a_run_without_a_result_is_no_second_try(transition: str, phase: RecordPhase) -> None:
    (record,) = of_step(AStep(transition=transition, state=State.DELIVERED, run_id="run_1"))
    assert (record.phase, record.run_id) == (phase, "run_1")


def test_a_word_that_nothing_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="exploded"):
        of_step(AStep(transition="exploded", state=State.DEAD))


def test_everything_that_can_happen_has_its_word() -> None:
    words = {re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in get_args(Transition)}
    assert words | {"begun"} == set(Happened)


def test_everything_that_can_happen_can_be_told() -> None:
    for word in Happened:
        for state in State:
            assert isinstance(of_step(AStep(transition=word, state=state)), list)


def test_every_result_is_known() -> None:
    for word in Happened:
        for state in State:
            for record in of_step(AStep(transition=word, state=state, run_outcome="")):
                assert record.result in RESULTS | {""}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (AT, "2026-03-01T10:00:00.123Z"),
        (AT + 877, "2026-03-01T10:00:01.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_has_three_decimals_and_a_z(at: int, expected: str) -> None:
    assert timestamp(at) == expected


def test_a_record_s_document_has_the_public_names_and_nothing_empty() -> None:
    assert Record(at=AT, phase=RecordPhase.RUNTIME_START).document() == {
        "timestamp": "2026-03-01T10:00:00.123Z",
        "level": "info",
        "phase": "runtime.start",
        "event_id": "",
        "trace_id": "",
    }
    everything = Record(
        at=AT,
        phase=RecordPhase.DELIVER_FAILURE,
        event_id="e",
        trace_id="t",
        delivery_id="d",
        run_id="r",
        source="s",
        target="a",
        route="o",
        transform="x",
        event_type="y",
        event_name="z",
        result="dead",
        error="why",
        duration_ms=0,
        metadata={"attempt": 1},
    ).document()
    assert list(everything) == [
        *("timestamp", "level", "phase", "event_id", "trace_id", "delivery_id", "run_id", "source", "target"),
        *("route", "transform", "event_type", "event_name", "result", "error", "duration_ms", "metadata"),
    ]


@pytest.mark.parametrize("outcome", ["failure", "cancelled", "unknown"])
def test_a_run_that_failed_never_reads_as_a_success(outcome: str) -> None:
    (record,) = of_step(
        AStep(transition="run_ended", state=State.DELIVERED, run_outcome=outcome, detail="cannot reach it")
    )
    assert (record.phase, record.result, record.error) == (RecordPhase.RUN_FAILED, outcome, "cannot reach it")
    assert record.level is Level.WARN


def test_a_run_that_came_out_well_says_so() -> None:
    (record,) = of_step(AStep(transition="run_ended", state=State.DELIVERED, run_outcome="success"))
    assert (record.phase, record.result, record.error) == (RecordPhase.RUN_ENDED, "success", "")
