"""Who caused an event, and what they are.

Linear's workspaces are closed: a user was invited. What comes from outside comes through an
integration or as an external user. In doubt the author is unknown, which no route trusts by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from orgloop.connectors.linear.own_ids import is_ours
from orgloop.plugin import AuthorType, Context, Draft, Json, Mark, object_at, text_at

UNKNOWN: Final = "unknown"
AUTOMATION: Final = "linear"
"""The author of changes that Linear made by itself, such as moving an issue to the next cycle."""

APP_ADDRESS: Final = "@oauthapp.linear.app"
"""The end of the e-mail address of each user that is an app."""

_TYPES: Final[Mapping[str, AuthorType]] = {
    "user": AuthorType.TEAM_MEMBER,
    "app": AuthorType.BOT,
    "oauthclient": AuthorType.BOT,
    "integration": AuthorType.BOT,
    "externaluser": AuthorType.EXTERNAL,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Doer:
    """A name, Linear's id for it, and what it is."""

    name: str
    id: str
    type: AuthorType


_NOBODY: Final = Doer(name=UNKNOWN, id="", type=AuthorType.UNKNOWN)


def author_of(body: Json) -> Doer:
    """Who did it: the writer of a new issue or comment, else the one who made the change."""
    author = _told(body)
    return replace(author, type=AuthorType.SELF) if _is_self(body, author.type) else author


def _told(body: Json) -> Doer:
    data, actor = object_at(body, "data"), object_at(body, "actor")
    if text_at(body, "type") == "AgentSessionEvent":
        asked = object_at(body, "agentActivity", "user") or object_at(body, "agentSession", "creator")
        return _actor({"type": "user", **asked}) if asked else _NOBODY
    if text_at(body, "action") == "create":
        for key in ("externalUser", "externalUserCreator"):
            if outsider := object_at(data, key):
                return _author(outsider, AuthorType.EXTERNAL)
    if actor:
        return _actor(actor)
    if text_at(body, "action") == "update" and text_at(body, "type") == "Issue":
        return Doer(name=AUTOMATION, id="", type=AuthorType.SYSTEM)
    return _NOBODY


def _actor(actor: Json) -> Doer:
    kind = text_at(actor, "type").replace("_", "").casefold()
    if kind == "integration":
        named = {"id": actor.get("id"), "name": text_at(actor, "service") or text_at(actor, "name")}
        return _author(named, AuthorType.BOT)
    if text_at(actor, "email").casefold().endswith(APP_ADDRESS) or actor.get("isBot") is True:
        return _author(actor, AuthorType.BOT)
    return _author(actor, _TYPES.get(kind, AuthorType.UNKNOWN))


def _is_self(body: Json, kind: AuthorType) -> bool:
    """Whether an actor of OrgLoop wrote it, with a user's key. What an app wrote is a bot's."""
    written = text_at(body, "action") == "create" and text_at(body, "type") in ("Issue", "Comment")
    return written and kind is AuthorType.TEAM_MEMBER and is_ours(text_at(object_at(body, "data"), "id"))


def _author(person: Json, kind: AuthorType) -> Doer:
    return Doer(name=text_at(person, "name") or UNKNOWN, id=text_at(person, "id"), type=kind)


def words_of(body: Json) -> str:
    """What the author has written with it; empty if that is nothing."""
    data, before = object_at(body, "data"), object_at(body, "updatedFrom")
    key = {"Issue": "description", "Comment": "body"}.get(text_at(body, "type"), "")
    written = text_at(body, "action") == "create" or (text_at(body, "action") == "update" and key in before)
    return text_at(data, key) if key and written else ""


def with_mark(draft: Draft, words: str, ctx: Context | None) -> Draft:
    """The event as what a run of this home did, if its mark stands in these words."""
    mark = ctx.mark_in(words) if ctx is not None and words else None
    return draft if mark is None else _marked(draft, mark)


def _marked(draft: Draft, mark: Mark) -> Draft:
    """A mark can be copied, so it trusts nobody: it changes nothing for an outsider, and a bot stays one."""
    author = draft.provenance["author_type"]
    if author not in (AuthorType.TEAM_MEMBER, AuthorType.BOT):
        return draft
    who = AuthorType.SELF if author == AuthorType.TEAM_MEMBER else author
    run = {"author_type": who, **mark.provenance}
    return replace(draft, provenance={**draft.provenance, **run}, cause=mark)
