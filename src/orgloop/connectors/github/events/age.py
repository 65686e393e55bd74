"""How old a fact is by what its signed body says: headers are not signed, and a body never expires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from orgloop.connectors.github.times import seconds
from orgloop.plugin import SECOND, AuthorType, Draft, object_at

_SUBJECTS: Final = (
    *("pull_request", "issue", "comment", "review", "discussion", "release", "milestone"),
    *("workflow_run", "workflow_job", "check_suite", "check_run", "deployment", "deployment_status"),
)
_TIMES: Final = (
    *("updated_at", "created_at", "submitted_at", "published_at", "closed_at", "merged_at"),
    *("run_started_at", "started_at", "completed_at"),
)


def newest(event: str, body: Mapping[str, Any]) -> int | None:
    """The newest time that the things tell which the event is about, in ms; None if they tell none.

    The repository's own times do not count: much happens that does not change them. Only a push does.
    """
    found = [seconds(object_at(body, subject).get(name)) for subject in _SUBJECTS for name in _TIMES]
    if event == "push":
        pushed = object_at(body, "repository").get("pushed_at")
        found += [pushed if type(pushed) is int else seconds(pushed)]
        found += [seconds(object_at(body, "head_commit").get("timestamp"))]
    known = [time * SECOND for time in found if time is not None]
    return max(known, default=None)


def doubted(draft: Draft, event: str, body: Mapping[str, Any], now: int, oldest: int) -> Draft:
    """The event as of an unknown author if its body proves that it is more than `oldest` ms old.

    It may have been captured and sent again after its first event was forgotten. A redelivery by GitHub,
    which offers it for three days, is not that old.
    """
    time = newest(event, body)
    if time is None or now - time <= oldest:
        return draft
    doubt = {"author_type": AuthorType.UNKNOWN, "outdated": True}
    return replace(draft, provenance={**draft.provenance, **doubt})
