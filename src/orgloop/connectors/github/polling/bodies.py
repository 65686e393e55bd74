"""From what GitHub's API lists to the body of the webhook delivery that told of the same fact.

The API shows things as they are now. What can be told of then is put back: a pull request that was
closed after the fact was open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from orgloop.connectors.github.events.people import login
from orgloop.connectors.github.times import iso, seconds
from orgloop.plugin import Json, integer_at, object_at, text_at

SAME: Final = 5
"""Seconds within which two of GitHub's times are those of one deed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedFact:
    """One fact: the delivery's `event` and body, and when it was, in seconds since 1970.

    `words`: what its author wrote with it, where the body does not tell that it is theirs.
    """

    event: str
    body: Json
    at: int
    words: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Teller:
    """Makes bodies of one repository."""

    repository: Json

    def opened(self, kind: str, thing: Json, at: int) -> ReportedFact:
        """`issues` or `pull_request` opened."""
        return self.of(kind, "opened", at, thing.get("user"), _subject(kind, _as_of(thing, at)))

    def reviewed(self, review: Json, pull: Json, at: int) -> ReportedFact:
        """A review was submitted."""
        parts = {"review": review, "pull_request": _as_of(pull, at)}
        return self.of("pull_request_review", "submitted", at, review.get("user"), parts)

    def commented(self, kind: str, comment: Json, thing: Json, action: str, at: int) -> ReportedFact:
        """`issue_comment` or `pull_request_review_comment`, created or edited. Who edited is not told."""
        about = "issue" if kind == "issue_comment" else "pull_request"
        parts = {"comment": comment, about: _as_of(thing, at)}
        words = text_at(comment, "body") if action == "edited" else None
        return self.of(kind, action, at, comment.get("user"), parts, words)

    def closed(self, pull: Json, actor: Any, at: int) -> ReportedFact:
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
        return self.of("pull_request", "closed", at, actor, _subject("pull_request", then))

    def done(self, kind: str, action: str, thing: Json, actor: Any, at: int, given: Json) -> ReportedFact:
        """`issues` or `pull_request`: something was done with it. `given`: the label, or whatever else."""
        then = {**_as_of(thing, at), "updated_at": iso(at)}
        match action:
            case "ready_for_review":
                then["draft"] = False
            case "converted_to_draft":
                then["draft"] = True
            case "closed" if text_at(then, "state") != "closed":
                then |= {"state": "closed", "closed_at": iso(at)}
            case _:
                pass
        return self.of(kind, action, at, actor, {**_subject(kind, then), **given})

    def synchronized(self, pull: Json, actor: Any, before: str, after: str, at: int) -> ReportedFact:
        """A pull request has other commits."""
        then = {**_as_of(pull, at), "head": {**object_at(pull, "head"), "sha": after}, "updated_at": iso(at)}
        parts = {**_subject("pull_request", then), "before": before, "after": after}
        return self.of("pull_request", "synchronize", at, actor, parts)

    def pushed(self, done: Json, commits: Sequence[Json], head: Json | None, at: int) -> ReportedFact:
        """Commits were pushed to a branch, or it was made or deleted. `done` is GitHub's activity."""
        before, after, ref = text_at(done, "before"), text_at(done, "after"), text_at(done, "ref")
        made, gone = not before.strip("0"), not after.strip("0")
        between = ref.removeprefix("refs/heads/") if made else f"{before[:12]}...{after[:12]}"
        body = {
            "ref": ref,
            "before": before,
            "after": after,
            "created": made,
            "deleted": gone,
            "forced": text_at(done, "activity_type") == "force_push",
            "compare": f"{text_at(self.repository, 'html_url')}/compare/{between}",
            "commits": commits,
            "head_commit": head,
            "pusher": {"name": login(object_at(done, "actor"))},
            "repository": {**self.repository, "pushed_at": at},
            "sender": done.get("actor"),
        }
        return ReportedFact(event="push", body=body, at=at)

    def ran(self, run: Json, at: int) -> ReportedFact:
        """A workflow run completed."""
        sender = run.get("triggering_actor") or run.get("actor")
        return self.of("workflow_run", "completed", at, sender, {"workflow_run": run})

    def of(
        self, event: str, action: str, at: int, sender: Any, parts: Json, words: str | None = None
    ) -> ReportedFact:
        """The delivery of `event` with this action; `parts` are what it is about."""
        body = {"action": action, **parts, "repository": self.repository, "sender": sender}
        return ReportedFact(event=event, body=body, at=at, words=words)


def published(comment: Json, review: Json) -> int | None:
    """When a review comment was published: with its review, if it was written before."""
    created = seconds(comment.get("created_at"))
    submitted = seconds(review.get("submitted_at"))
    return created if created is None or submitted is None else max(created, submitted)


def is_pull(issue: Json) -> bool:
    """Whether an issue of the API is a pull request."""
    return bool(object_at(issue, "pull_request"))


def doer(event: Json) -> Any:
    """Who did it: of an assignment the one who assigned, of a request the one who asked."""
    return object_at(event, "assigner") or object_at(event, "review_requester") or event.get("actor")


def _subject(kind: str, thing: Json) -> Json:
    if kind == "issues":
        return {"issue": thing}
    return {"number": integer_at(thing, "number"), "pull_request": thing}


def _as_of(thing: Json, at: int) -> Json:
    """An issue or pull request as it was then: open, if it was closed only later."""
    closed = seconds(thing.get("closed_at"))
    if closed is None or closed <= at:
        return thing
    then = {**thing, "state": "open", "closed_at": None}
    if "merged_at" in thing:
        then |= {"merged_at": None, "merged": False, "merged_by": None}
    if is_pull(thing):
        then["pull_request"] = {**object_at(thing, "pull_request"), "merged_at": None}
    return then
