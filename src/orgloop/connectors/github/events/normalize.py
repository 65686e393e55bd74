"""From a webhook delivery to an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from orgloop.connectors.github.events.check_runs import check_run, check_suite, workflow_run
from orgloop.connectors.github.events.fact import Fact
from orgloop.connectors.github.events.issues import issue, issue_comment
from orgloop.connectors.github.events.other import other
from orgloop.connectors.github.events.pulls import pull_request, review, review_comment
from orgloop.plugin import (
    Draft,
    text_at,
)

_Reader = Callable[[Mapping[str, Any], frozenset[str]], Fact | None]

_READERS: Final[Mapping[str, _Reader]] = {
    "check_run": check_run,
    "check_suite": check_suite,
    "issue_comment": issue_comment,
    "issues": issue,
    "pull_request": pull_request,
    "pull_request_review": review,
    "pull_request_review_comment": review_comment,
    "workflow_run": workflow_run,
}


def normalize(event: str, body: Mapping[str, Any], team: frozenset[str] = frozenset()) -> Draft:
    """The event of one delivery: `event` is its X-GitHub-Event, `team` are lower-case logins.

    An event that none of the readers knows, or whose body lacks its subject, passes under its own
    name with its whole body.
    """
    read = _READERS.get(event)
    fact = read(body, team) if read is not None else None
    if fact is None:
        fact = other(event, body, team)
    native: dict[str, Any] = {"native_event": event}
    if action := text_at(body, "action"):
        native["native_action"] = action
    if fact.resource_id is not None:
        native["resource_id"] = fact.resource_id
    return Draft(
        provenance={
            "platform": "github",
            "platform_event": fact.platform_event,
            **native,
            "author": fact.author.login,
            "author_type": fact.author.type,
            **fact.details,
        },
        payload=fact.payload,
        key=fact.key,
        entity=fact.entity,
    )
