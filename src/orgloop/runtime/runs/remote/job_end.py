"""How a job ended: checked, bounded, and as the bytes of a callback's row."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from orgloop.core.deliveries.transition import Limited, Rejected, Retry, Throttled, Unavailable
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.core.text.json_text import dump_json, load_json
from orgloop.plugin import TEXT_LIMIT, Completion, Delivered, NotBegun, Ref, RemoteEnd, Skipped
from orgloop.runtime.support.sanitize import storable, text

_WHY: Final = {kind.__name__: kind for kind in (Retry, Unavailable, Throttled, Limited, Rejected)}

_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "tokens": dict,
    "models": dict,
    "denied_tools": (list, tuple),
}

DEADLINE: Final = "deadline"
"""Why a run is over whose end did not come in time."""


class NoEnd(Exception):
    """A connector's answer is none that its contract knows. The message says which."""


def checked(answer: object) -> RemoteEnd:
    """This end, bounded and storable. Raises NoEnd if it is none."""
    match answer:
        case Completion(phase=Phase() as phase, outcome=RunOutcome()) if phase.terminal:
            return _completion(answer)
        case Delivered() | Skipped():
            kept = storable(answer)
            if isinstance(kept, Delivered | Skipped):
                return kept
        case NotBegun(outcome=Retry() | Unavailable() | Throttled() | Limited() | Rejected() as outcome):
            why = storable(outcome)
            if isinstance(why, Retry | Unavailable | Throttled | Limited | Rejected):
                return NotBegun(outcome=why, forget_session=bool(answer.forget_session))
        case _:
            pass
    raise NoEnd(f"an error of its connector: {type(answer).__name__} is not the end of a run")


def checked_ref(ref: Ref) -> Ref:
    """This ref, bounded and storable."""
    session = ref.session_id
    return Ref(id=text(ref.id), session_id=text(session) if session else None)


def unknown(reason: str, why: str = "") -> Completion:
    """The end of a run of which nobody can say how it ended."""
    return Completion(phase=Phase.STOPPED, outcome=RunOutcome.UNKNOWN, reason=reason, text=why)


def to_bytes(end: RemoteEnd) -> bytes:
    """A checked end, for the journal."""
    document: dict[str, Any] = {"is": type(end).__name__, "end": dataclasses.asdict(end)}
    if isinstance(end, NotBegun):
        document["outcome"] = type(end.outcome).__name__
    return dump_json(document)


def from_bytes(row: bytes) -> RemoteEnd:
    """What `to_bytes` wrote."""
    document = load_json(row)
    end = document["end"]
    match document["is"]:
        case "Delivered":
            return Delivered(**end)
        case "Skipped":
            return Skipped(**end)
        case "NotBegun":
            why = _WHY[document["outcome"]](**end["outcome"])
            return NotBegun(outcome=why, forget_session=end["forget_session"])
        case _:
            known = {"phase": Phase(end["phase"]), "outcome": RunOutcome(end["outcome"])}
            return Completion(**{**end, **known, "denied_tools": tuple(end["denied_tools"])})


def _completion(end: Completion) -> Completion:
    """What is no JSON, or more of it than an event carries, is left out."""
    kept: dict[str, Any] = {"phase": end.phase, "outcome": end.outcome, "reason": text(end.reason)}
    kept["text"] = str(end.text)[:TEXT_LIMIT].encode("utf-8", "replace").decode()
    for field in dataclasses.fields(Completion):
        value = getattr(end, field.name)
        if field.name not in kept and isinstance(value, _KINDS.get(field.name, object)) and _fits(value):
            kept[field.name] = value
    kept["denied_tools"] = tuple(kept.get("denied_tools", ()))
    return Completion(**kept)


def _fits(value: object) -> bool:
    try:
        return len(dump_json(value)) <= TEXT_LIMIT
    except (TypeError, ValueError, RecursionError):
        return False
