"""From what GitHub's API lists to the body of the webhook delivery that told of the same fact.

The API shows things as they are now. What can be told of then is put back: a pull request that was
closed after the fact was open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.connectors.github.checkpoint import iso, seconds
from orgloop.connectors.github.reading import number, part, text

Body = Mapping[str, Any]

SAME: Final = 5
"""Seconds within which two of GitHub's times are those of one deed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One fact: the delivery's `event` and body, and when it was, in seconds since 1970.

    `words`: what its author wrote with it, where the body does not tell that it is theirs.
    """

    event: str
    body: Body
    at: int
    words: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Teller:
    """Makes bodies of one repository."""

    repository: Body

    def opened(self, kind: str, thing: Body, at: int) -> Told:
        """`issues` or `pull_request` opened."""
        return self._of(kind, "opened", at, thing.get("user"), _subject(kind, _as_of(thing, at)))

    def reviewed(self, review: Body, pull: Body, at: int) -> Told:
        """A review was submitted."""
        parts = {"review": review, "pull_request": _as_of(pull, at)}
        return self._of("pull_request_review", "submitted", at, review.get("user"), parts)

    def commented(self, kind: str, comment: Body, thing: Body, action: str, at: int) -> Told:
        """`issue_comment` or `pull_request_review_comment`, created or edited. Who edited is not told."""
        about = "issue" if kind == "issue_comment" else "pull_request"
        parts = {"comment": comment, about: _as_of(thing, at)}
        words = text(comment, "body") if action == "edited" else None
        return self._of(kind, action, at, comment.get("user"), parts, words)

    def closed(self, pull: Body, actor: Any, at: int) -> Told:
        """A pull request was closed. It was merged if its merge was at that time."""
        merged_at, closed_at = seconds(pull.get("merged_at")), seconds(pull.get("closed_at"))
        merged = merged_at is not None and abs(merged_at - at) <= SAME
        same = closed_at is not None and abs(closed_at - at) <= SAME
        then = {
            **pull,
            "state": "closed",
            "closed_at": pull["closed_at"] if same else iso(at),
            "merged_at": pull["merged_at"] if merged else None,
            "merged": merged,
            "merged_by": pull.get("merged_by") if merged else None,
        }
        return self._of("pull_request", "closed", at, actor, _subject("pull_request", then))

    def ready(self, pull: Body, actor: Any, at: int) -> Told:
        """A draft became ready for review."""
        then = {**_as_of(pull, at), "draft": False, "updated_at": iso(at)}
        return self._of("pull_request", "ready_for_review", at, actor, _subject("pull_request", then))

    def labeled(self, issue: Body, label: Body, actor: Any, at: int) -> Told:
        """An issue got a label."""
        parts = {"issue": {**_as_of(issue, at), "updated_at": iso(at)}, "label": label}
        return self._of("issues", "labeled", at, actor, parts)

    def assigned(self, issue: Body, assignee: Body, actor: Any, at: int) -> Told:
        """An issue was assigned to somebody."""
        parts = {"issue": {**_as_of(issue, at), "updated_at": iso(at)}, "assignee": assignee}
        return self._of("issues", "assigned", at, actor, parts)

    def ran(self, run: Body, at: int) -> Told:
        """A workflow run completed."""
        sender = run.get("triggering_actor") or run.get("actor")
        return self._of("workflow_run", "completed", at, sender, {"workflow_run": run})

    def _of(
        self, event: str, action: str, at: int, sender: Any, parts: Body, words: str | None = None
    ) -> Told:
        body = {"action": action, **parts, "repository": self.repository, "sender": sender}
        return Told(event=event, body=body, at=at, words=words)


def published(comment: Body, review: Body) -> int | None:
    """When a review comment was published: with its review, if it was written before."""
    created = seconds(comment.get("created_at"))
    submitted = seconds(review.get("submitted_at"))
    return created if created is None or submitted is None else max(created, submitted)


def is_pull(issue: Body) -> bool:
    """Whether an issue of the API is a pull request."""
    return bool(part(issue, "pull_request"))


def doer(event: Body) -> Any:
    """Who did it: of an assignment the one who assigned."""
    return part(event, "assigner") or event.get("actor")


def _subject(kind: str, thing: Body) -> Body:
    if kind == "issues":
        return {"issue": thing}
    return {"number": number(thing, "number"), "pull_request": thing}


def _as_of(thing: Body, at: int) -> Body:
    """An issue or pull request as it was then: open, if it was closed only later."""
    closed = seconds(thing.get("closed_at"))
    if closed is None or closed <= at:
        return thing
    then = {**thing, "state": "open", "closed_at": None}
    if "merged_at" in thing:
        then |= {"merged_at": None, "merged": False, "merged_by": None}
    if is_pull(thing):
        then["pull_request"] = {**part(thing, "pull_request"), "merged_at": None}
    return then
