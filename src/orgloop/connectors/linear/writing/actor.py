"""Writes to Linear: comments, changes of issues, and new issues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from pydantic import model_validator

from orgloop.connectors.linear.api import (
    LinearAnswer,
    LinearApi,
    LinearDenied,
    LinearUnreachable,
    NotThere,
    Refusal,
    Unsure,
)
from orgloop.connectors.linear.own_ids import id_of, is_by
from orgloop.connectors.linear.polling.bodies import nodes
from orgloop.connectors.linear.polling.reader import is_id, team_filter
from orgloop.connectors.linear.queries import (
    CREATE_ACTIVITY,
    CREATE_COMMENT,
    CREATE_ISSUE,
    FIND_ACTIVITY,
    FIND_COMMENT,
    LABELS,
    PROJECTS,
    STATES,
    TARGET,
    TEAMS,
    UPDATE_ISSUE,
    USERS,
)
from orgloop.connectors.linear.settings import Access, api_of
from orgloop.connectors.linear.writing.tasks import Errand, Unclear, order_of
from orgloop.plugin import (
    Clock,
    Context,
    Delivered,
    DeliverOutcome,
    Json,
    PluginError,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    TryLater,
    Unavailable,
    Wake,
    object_at,
    text_at,
)

_OWN: Final = {"comment.created": ("payload", "comment_id"), "issue.created": ("provenance", "issue_uuid")}
"""Where an event tells the id of what was written."""


class LinearActorSettings(Access):
    """An actor that writes to Linear as `then.config` of its routes says; new issues go to `team`."""

    @model_validator(mode="after")
    def _some_key(self) -> Self:
        if not self.has_key:
            raise ValueError("needs an `api_key`, or a `token`")
        return self


class LinearActor:
    """Does what a route says. A second try of a delivery writes nothing twice."""

    def __init__(self, id: str, settings: LinearActorSettings) -> None:
        self._settings = settings
        self._open: tuple[LinearApi, Clock] | None = None

    async def open(self, ctx: Context) -> None:
        """Asks nothing yet: a key that is refused is told by the first wake."""
        self._open = api_of(self._settings, ctx), ctx.clock

    async def close(self) -> None:
        """Nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        """Carry the order out. Names are looked up first, so an order that cannot be done changes nothing."""
        assert self._open is not None, "the actor is not open"
        if _is_own(wake):
            return Skipped(reason=f"{wake.actor} wrote this itself")
        api, clock = self._open
        # A little less than the engine waits, so that the reason is ours and not just a cancellation.
        limit = wake.timeout - min(1.0, wake.timeout / 10)
        writing = _Writing(api=api, clock=clock, ends=clock.monotonic() + limit, wake=wake)
        try:
            order = order_of(wake)
            if order.session is not None:
                return Delivered(detail=await writing.tell(order.session, order.activity))
            if order.title is not None:
                return Delivered(detail=await writing.create(order, order.team or self._settings.team))
            return Delivered(detail=await writing.change(order))
        except Unclear as exc:
            return Rejected(reason=f"{exc} (route {wake.route})")
        except TryLater as exc:
            return Throttled(until=exc.until, reason=exc.reason)
        except (LinearDenied, LinearUnreachable) as exc:
            return Unavailable(reason=exc.message)
        except (NotThere, Refusal) as exc:
            return Rejected(reason=exc.message)
        except PluginError as exc:
            return Retry(reason=exc.message, known=not writing.wrote)


def _is_own(wake: Wake) -> bool:
    """Whether this actor wrote the thing that it is woken for: it would answer itself without an end."""
    provenance = wake.event.provenance
    where = _OWN.get(str(provenance.get("platform_event")))
    if provenance.get("platform") != "linear" or where is None:
        return False
    return is_by(text_at(object_at(wake.event.document(), where[0]), where[1]), wake.actor)


@dataclass(kw_only=True, slots=True)
class _Writing:
    """One wake at work. `wrote`: something was sent that Linear may have done."""

    api: LinearApi
    clock: Clock
    ends: float
    wake: Wake
    wrote: bool = False

    async def tell(self, session: str, activity: Mapping[str, str]) -> str:
        """An activity in an agent session; says which."""
        id = id_of(self.wake.actor, "activity", self.wake.delivery_id)
        given = {"id": id, "agentSessionId": session, "content": activity}
        await self._once(CREATE_ACTIVITY, given, FIND_ACTIVITY, id)
        return f"told the session: {activity['type']}"

    async def create(self, order: Errand, team: str | None) -> str:
        """A new issue; says which."""
        if team is None:
            raise Unclear("a new issue needs a team: write `team: ENG` into `then.config` or into the actor")
        team = await self._found("team", team, TEAMS, "teams", team_filter(team))
        id = id_of(self.wake.actor, "issue", self.wake.delivery_id)
        given: dict[str, Any] = {"id": id, "teamId": team, "title": order.title}
        if order.description is not None:
            given["description"] = order.description
        if order.add_labels:
            given["labelIds"] = await self._labels(order.add_labels, team)
        given |= await self._fields(order, team)
        answer = await self._once(CREATE_ISSUE, given, TARGET, id)
        issue = object_at(answer.data, "issueCreate", "issue") or object_at(answer.data, "issue")
        return f"created {text_at(issue, 'identifier')}"

    async def change(self, order: Errand) -> str:
        """Changes of an issue, then a comment on it; says what was done."""
        issue = object_at((await self._ask(TARGET, id=order.issue)).data, "issue")
        id, team = text_at(issue, "id"), text_at(object_at(issue, "team"), "id")
        given = await self._fields(order, team)
        for key, names in (("addedLabelIds", order.add_labels), ("removedLabelIds", order.remove_labels)):
            if names:
                given[key] = await self._labels(names, team)
        done = []
        if given:
            await self._write(UPDATE_ISSUE, id=id, input=given)
            done.append(f"changed {text_at(issue, 'identifier')}")
        if order.comment is not None:
            own = id_of(self.wake.actor, "comment", self.wake.delivery_id)
            body = {"id": own, "issueId": id, "body": order.comment}
            if order.reply_to is not None:
                body["parentId"] = order.reply_to
            await self._once(CREATE_COMMENT, body, FIND_COMMENT, own)
            done.append(f"commented on {text_at(issue, 'identifier')}")
        return ", ".join(done)

    async def _fields(self, order: Errand, team: str) -> dict[str, Any]:
        """What Linear takes for these fields: ids in place of names."""
        given: dict[str, Any] = {} if order.priority is None else {"priority": order.priority}
        for key, name in order.fields.items():
            given[f"{key}Id"] = None if name is None else await self._id(key, name, team)
        return given

    async def _id(self, key: str, name: str, team: str) -> str:
        match key:
            case "state":
                wanted = {"team": {"id": {"eq": team}}, "name": {"eqIgnoreCase": name}}
                return await self._found(key, name, STATES, "workflowStates", wanted)
            case "project":
                return await self._found(key, name, PROJECTS, "projects", {"name": {"eqIgnoreCase": name}})
            case _:
                if name.casefold() == "me":
                    return await self._found("user", name, USERS, "users", {"isMe": {"eq": True}})
                names = [{one: {"eqIgnoreCase": name}} for one in ("name", "displayName", "email")]
                return await self._found("user", name, USERS, "users", {"or": names})

    async def _labels(self, names: Sequence[str], team: str) -> list[str]:
        """Labels of the team, or of the whole workspace."""
        found = []
        for name in names:
            places = [{"team": {"id": {"eq": team}}}, {"team": {"null": True}}]
            wanted = {"name": {"eqIgnoreCase": name}, "or": places}
            found.append(await self._found("label", name, LABELS, "issueLabels", wanted))
        return list(dict.fromkeys(found))

    async def _found(self, what: str, name: str, query: str, connection: str, filter: Json) -> str:
        """The id of the one thing of this name. Raises Unclear if there is none, or more than one."""
        if is_id(name):
            return name
        found = {
            text_at(one, "id") for one in nodes((await self._ask(query, filter=filter)).data, connection)
        }
        if len(found) == 1:
            return found.pop()
        if not found:
            raise Unclear(f"Linear has no {what} {name!r}")
        raise Unclear(f"there are several: write the id of the {what} {name!r} that is meant")

    async def _once(self, query: str, given: Mapping[str, Any], find: str, id: str) -> LinearAnswer:
        """Make the thing with this id. What Linear refuses may be there already, from an earlier try."""
        try:
            return await self._write(query, input=given)
        except Refusal as exc:
            try:
                return await self._ask(find, id=id)
            except NotThere:
                raise exc from None

    async def _write(self, query: str, **variables: Any) -> LinearAnswer:
        self.wrote = True
        return await self._ask(query, **variables)

    async def _ask(self, query: str, **variables: Any) -> LinearAnswer:
        left = self.ends - self.clock.monotonic()
        if left <= 0:
            raise Unsure("Linear took too long to answer")
        return await self.api.ask(query, left, **variables)
