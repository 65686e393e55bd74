"""Steps tried on the example event of their route's source: a filter that can never work is found here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orgloop.config.findings import Code, Report
from orgloop.config.model import RouteSpec, StepSpec
from orgloop.config.reading.documents import Spot
from orgloop.config.resolving.sources_and_actors import SourceEnd
from orgloop.core.events.event import event_names
from orgloop.core.events.match import names_match
from orgloop.errors import FAULTS
from orgloop.plugin.transform import Change, Discard, Failure, Scope, TransformResult, Trial

_ENVELOPE: Final[Mapping[str, Any]] = {
    "id": "evt_19b5a1c2d3e4f506",
    "timestamp": "2026-01-05T10:00:00.000Z",
    "trace_id": "trc_19b5a1c2d3e4f506",
    "parents": [],
    "hops": 0,
}
_THEN: Final = {"pass": "pass", "drop": "are dropped", "hold": "are held", "halt": "are held"}


def try_steps(spec: RouteSpec, source: SourceEnd | None, spot: Spot, report: Report) -> None:
    """Warn if one of a route's steps fails on the example, as far as steps can be tried."""
    trials = {number: trial for number, step in enumerate(spec.steps) if (trial := _trial(step)) is not None}
    if not trials or source is None or source.kind is None or source.kind.example is None:
        return
    example = source.kind.example
    names = event_names(str(example.get("type", "")), example.get("provenance", {}))
    if not names_match(_known_names(source), names):
        # Its events look as their senders want, and the example says nothing of them.
        return
    document: Mapping[str, Any] = {**_ENVELOPE, "source": spec.when.source, **example}
    scope = Scope(
        route=spec.name,
        actor=spec.actor,
        source=spec.when.source,
        event_type=str(document["type"]),
        event_id=str(document["id"]),
    )
    for number, step in enumerate(spec.steps):
        result = _result(step, trials.get(number), document, scope)
        if isinstance(result, Failure):
            message = (
                f"{spot.label}: {step.name} fails on the example event of {spec.when.source} "
                f"({names[-1]}): {result.reason}"
            )
            hint = f"events on which it fails {_THEN[step.on_error]}; try others with `orgloop test`"
            report.warn(Code.FAILS_ON_EXAMPLE, spot.where("transforms", number), message, hint)
        if result is None or isinstance(result, Failure | Discard):
            return
        document = {**document, **result.document} if isinstance(result, Change) else document


def _known_names(source: SourceEnd) -> tuple[str, ...]:
    """The names of events that a source knows; none if it knows none, or cannot say."""
    if source.kind is None or source.kind.names is None or source.spec is None:
        return ()
    try:
        return tuple(source.kind.names(source.spec.settings))
    except FAULTS:
        return ()


def _trial(step: StepSpec) -> Trial | None:
    try:
        return step.plugin.trial(step.settings) if step.plugin.trial is not None else None
    except FAULTS:
        return None


def _result(
    step: StepSpec, trial: Trial | None, document: Mapping[str, Any], scope: Scope
) -> TransformResult | None:
    """What the step says to the event; None if that cannot be known here."""
    try:
        if trial is not None:
            return trial(document)
        transform = step.plugin.open(step.settings)
        return transform.apply_now(document, scope) if transform.bounded else None
    except FAULTS:
        return None
