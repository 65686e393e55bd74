"""Words of our own runs, known by the mark that a run leaves in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from orgloop.connectors.github.events.people import login
from orgloop.plugin import AuthorType, Draft, Json, Mark, object_at, text_at

# Where each event keeps what its sender has just written.
_WRITTEN: Final[Mapping[str, tuple[str, str]]] = {
    "commit_comment": ("comment", "body"),
    "discussion": ("discussion", "body"),
    "discussion_comment": ("comment", "body"),
    "issue_comment": ("comment", "body"),
    "issues": ("issue", "body"),
    "pull_request": ("pull_request", "body"),
    "pull_request_review": ("review", "body"),
    "pull_request_review_comment": ("comment", "body"),
    "push": ("head_commit", "message"),
    "release": ("release", "body"),
}
_MADE: Final = frozenset({"", "created", "opened", "submitted", "published"})


def words_of(event: str, body: Json) -> str:
    """What the event's sender has written with it; empty if that is nothing, or somebody else's."""
    where = _WRITTEN.get(event)
    if where is None:
        return ""
    written, action = object_at(body, where[0]), text_at(body, "action")
    writer = object_at(written, "user")
    if writer and login(writer) != login(object_at(body, "sender")):
        return ""
    if action in _MADE or (action == "edited" and object_at(body, "changes", "body")):
        return text_at(written, where[1])
    return ""


def marked(draft: Draft, mark: Mark) -> Draft:
    """The event as what a run did: it goes on with the run's trace, and its author is `self`.

    A mark can be copied. So it changes nothing for an outsider, and a bot that `team` does not name
    stays a bot: what is not trusted without the mark is not trusted with it.
    """
    author = draft.provenance["author_type"]
    if author not in (AuthorType.TEAM_MEMBER, AuthorType.BOT):
        return draft
    who = AuthorType.SELF if author == AuthorType.TEAM_MEMBER else author
    run = {"author_type": who, **mark.provenance}
    return replace(draft, provenance={**draft.provenance, **run}, cause=mark)
