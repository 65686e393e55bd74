"""Linear's GraphQL API on loopback: each query is validated against Linear's schema and carried out.

What happens in its workspace is done by methods, each of which returns the body of the webhook that
Linear would send of it.
"""

from __future__ import annotations

import asyncio
import copy
import json
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import cache
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from orgloop.connectors.linear.polling.checkpoint import iso
from tests.connectors import linear_bodies as bodies
from tests.connectors.linear_bodies import BACKEND, BUG, DOING, DONE, ENG, HUBOT, MONA, OPS, TODO, Body

KEY = "lin_api_0123456789abcdef"
LAG = 4
"""Milliseconds between an issue's change and the entry in its history."""

PLACE = Path(__file__).parent / "linear.graphql"
Fault = Callable[[web.Request], web.StreamResponse]


@cache
def schema() -> GraphQLSchema:
    return build_schema(PLACE.read_text("utf-8"))


@cache
def understood(query: str) -> tuple[DocumentNode, Sequence[GraphQLError]]:
    """A query, and what is wrong with it by the schema."""
    document = parse(query)
    return document, validate(schema(), document)


class LinearServer:
    """`now` is its time in ms; `faults` are answers that come before its own, one for each request.

    `gate`: nothing is answered until it is set.
    `broken`: what it answers to each query of a name instead.
    `lag`: how long (ms) an entry of a history is not shown yet. `groups`: how long changes of one person
    go into one entry. `largest`: how many things a page has at most.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self.key = KEY
        self.faults: deque[Fault | None] = deque()
        self.broken: dict[str, Fault] = {}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.costs: dict[str, float] = {}
        self.limits: dict[str, str] = {}
        self.largest = 250
        self.lag = 0
        self.groups = 0
        self.issues: dict[str, Body] = {}
        self.history: dict[str, list[Body]] = {}
        self.comments: dict[str, Body] = {}
        self.sessions: dict[str, Body] = {}
        self.activities: dict[str, Body] = {}
        self.gate: asyncio.Event | None = None
        self.users: list[Body] = [MONA, HUBOT, bodies.AGENT]
        self.states: list[Body] = [{**one, "team": ENG} for one in (TODO, DOING, DONE)]
        self.states.append({"id": "state-ops-todo", "name": "Todo", "type": "unstarted", "team": OPS})
        self.labels: list[Body] = [{**BUG, "team": None}, {**BACKEND, "team": ENG}]
        self.projects: list[Body] = [dict(bodies.BILLING), dict(bodies.WEB)]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/graphql", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/graphql"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    # What happens.

    def create(self, number: int, **changes: Any) -> Body:
        """A new issue."""
        key = changes.get("team", ENG)["key"]
        body = bodies.created(
            **{
                "id": f"issue-{number}",
                "identifier": f"{key}-{number}",
                "number": number,
                "url": f"{bodies.PAGE}/{key}-{number}/an-issue",
                "createdAt": iso(self.now),
                "updatedAt": iso(self.now),
                **changes,
            }
        )
        self.issues[body["data"]["id"]] = copy.deepcopy(body["data"])
        self.history.setdefault(body["data"]["id"], [])
        return copy.deepcopy(body)

    def change(self, number: int, by: Body | None = MONA, **fields: Any) -> Body:
        """Fields of an issue get new values, by a user, an integration (with `service`) or by themselves."""
        issue = self.issues[f"issue-{number}"]
        old = {key: issue[key] for key in fields}
        before: Body = {"updatedAt": issue["updatedAt"]}
        for key, value in old.items():
            if key == "labels":
                before["labelIds"] = issue["labelIds"]
            elif key in ("priority", "title", "description"):
                before[key] = value
            else:
                before[f"{key}Id"] = value["id"] if value else None
        given = {key: issue[key] for key in issue if not key.endswith(("Id", "Ids"))}
        data = bodies.issue(**{**given, **fields, "updatedAt": iso(self.now)})
        self.issues[f"issue-{number}"] = data
        self._enter(issue["id"], by, old, fields)
        kind = "integration" if by and "service" in by else "user"
        body = bodies.delivery(
            "Issue", "update", data, {**by, "type": kind} if by else None, updatedFrom=before
        )
        return copy.deepcopy(body)

    def touch(self, number: int) -> None:
        """An issue changes in something that is in no history."""
        self.issues[f"issue-{number}"]["updatedAt"] = iso(self.now)

    def comment(self, number: int, said: str, user: Body | None = MONA, **more: Any) -> Body:
        """A new comment."""
        issue = self.issues[f"issue-{number}"]
        id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{number}{said}{self.now}{len(self.comments)}"))
        at = iso(self.now)
        fields = {"id": id, "body": said, "createdAt": at, "updatedAt": at, "user": user, **more}
        body = bodies.comment(**fields, issue=bodies.child(issue), issueId=issue["id"])
        self.comments[body["data"]["id"]] = {**body["data"], "url": body["url"]}
        return copy.deepcopy(body)

    def edit(self, id: str, said: str) -> None:
        """A comment is edited."""
        self.comments[id] |= {"body": said, "updatedAt": iso(self.now)}

    def ask(self, number: int, prompt: str, by: Body = MONA) -> Body:
        """Somebody gives an issue to the app, or mentions it in a comment."""
        issue = self.issues[f"issue-{number}"]
        id = f"session-{len(self.sessions) + 1}"
        self.sessions[id] = bodies.session(
            id=id, issue={**bodies.child(issue), "description": issue["description"]}, creator=by, said=prompt
        )
        return bodies.asked(
            "created", self.sessions[id], at=self.now, promptContext=f"<issue>{issue['title']}"
        )

    def answer(self, session: str, said: str, by: Body = MONA, **more: Any) -> Body:
        """Somebody answers in an agent session."""
        id = f"{session}-activity-{len(self.activities) + 1}-{self.now}"
        activity = {"id": id, "content": {"type": "prompt", "body": said}, "user": by, **more}
        return bodies.asked("prompted", self.sessions[session], at=self.now, agentActivity=activity)

    def _enter(self, id: str, by: Body | None, old: Body, new: Body) -> None:
        entries, at = self.history[id], self.now + LAG
        entry = entries[-1] if entries else {}
        open_since = entry.get("at", 0)
        if not (entry and self.now - open_since < self.groups and entry["by"] == by):
            entry = {"id": f"{id}-entry-{len(entries)}", "at": at, "createdAt": iso(at), "by": by}
            entries.append(entry)
        entry |= {"updatedAt": iso(at), "shown": at + self.lag}
        for key, value in new.items():
            if key == "labels":
                entry["addedLabels"] = [one for one in value if one not in old["labels"]]
                entry["removedLabels"] = [one for one in old["labels"] if one not in value]
            elif key not in ("title", "description"):
                entry.setdefault(f"from{key.title()}", _node(old[key]))
                entry[f"to{key.title()}"] = _node(value)

    # How it is told.

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.text())
        name = asked["query"].split("(")[0].split("{")[0].split()[-1]
        if self.gate is not None:
            await self.gate.wait()
        fault = self.faults.popleft() if self.faults else self.broken.get(name)
        answer = fault(request) if fault is not None else self._own(request, asked)
        answer.headers.setdefault("date", formatdate(self.now / 1000, usegmt=True))
        self.asked.append((name, asked["variables"]))
        return answer

    def _own(self, request: web.Request, asked: Body) -> web.Response:
        if request.headers.get("authorization") not in (self.key, f"Bearer {self.key}"):
            return failing(401, "Authentication required, not authenticated", "AUTHENTICATION_ERROR")
        document, errors = understood(asked["query"])
        if errors:
            return failing(400, str(errors[0]), "GRAPHQL_VALIDATION_FAILED")
        (operation,) = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        assert operation.name is not None
        cost = _cost(operation.selection_set, fragments(document.definitions))
        self.costs[operation.name.value] = cost
        roots = self._mutations() if operation.operation.value == "mutation" else self._queries()
        result = execute_sync(schema(), document, roots, variable_values=asked["variables"])
        return _response(result, {"x-complexity": str(round(cost)), **self.limits})

    def _queries(self) -> Mapping[str, Any]:
        return {
            "viewer": _node(MONA),
            "organization": {"id": "organization-octo", "name": "Octo", "urlKey": "octo"},
            "teams": lambda _, **asked: self._page([ENG, OPS], asked),
            "issues": lambda _, **asked: self._page(self._newest(self.issues), asked),
            "comments": lambda _, **asked: self._page(
                list(map(self._shown, self._newest(self.comments))), asked
            ),
            "issue": lambda _, id: self._issue(id),
            "comment": lambda _, id: self._comment(id),
            "agentActivity": lambda _, id: self._activity(id),
            "users": lambda _, **asked: self._page(
                [{**_node(one), "isMe": one is MONA} for one in self.users], asked
            ),
            "workflowStates": lambda _, **asked: self._page(self.states, asked),
            "issueLabels": lambda _, **asked: self._page(self.labels, asked),
            "projects": lambda _, **asked: self._page(self.projects, asked),
        }

    def _mutations(self) -> Mapping[str, Any]:
        return {
            "agentActivityCreate": lambda _, input: self._create_activity(input),
            "commentCreate": lambda _, input: self._create_comment(input),
            "issueCreate": lambda _, input: self._create_issue(input),
            "issueUpdate": lambda _, id, input: self._update_issue(id, input),
        }

    def _newest(self, things: Mapping[str, Body]) -> list[Body]:
        return sorted(things.values(), key=lambda one: (one["updatedAt"], one["id"]), reverse=True)

    def _issue(self, id: str) -> Body:
        found = next((one for one in self.issues.values() if id in (one["id"], one["identifier"])), None)
        if found is None:
            raise missing("Issue")
        entries = [one for one in reversed(self.history[found["id"]]) if one["shown"] <= self.now + LAG]
        people = {key: _node(found[key]) for key in ("creator", "assignee", "delegate")}
        return {
            **found,
            **people,
            "labels": {"nodes": found["labels"]},
            "history": lambda _, **asked: self._page([_entry(one) for one in entries], asked),
        }

    def _comment(self, id: str) -> Body:
        if id not in self.comments:
            raise missing("Comment")
        return self._shown(self.comments[id])

    def _shown(self, comment: Body) -> Body:
        issue = comment["issue"] and self._issue(comment["issue"]["id"])
        return {**comment, "user": _node(comment["user"]), "issue": issue}

    def _page(self, things: Sequence[Any], asked: Mapping[str, Any]) -> Body:
        found = [one for one in things if _fits(one, asked.get("filter") or {})]
        begin = int(asked.get("after") or 0)
        end = begin + min(asked.get("first", 50), self.largest)
        page = {"hasNextPage": end < len(found), "endCursor": str(end)}
        return {"nodes": found[begin:end], "pageInfo": page}

    def _create_comment(self, given: Body) -> Body:
        id = given.get("id") or str(uuid.uuid4())
        if id in self.comments:
            raise GraphQLError("conflict on insert of Comment", extensions={"code": "INPUT_ERROR"})
        number = self._issue(given["issueId"])["number"]
        self.comment(number, given["body"], id=id, parentId=given.get("parentId"))
        return {"success": True, "comment": self._comment(id)}

    def _activity(self, id: str) -> Body:
        if id not in self.activities:
            raise missing("AgentActivity")
        return self.activities[id]

    def _create_activity(self, given: Body) -> Body:
        if given["agentSessionId"] not in self.sessions:
            raise missing("AgentSession")
        if given["id"] in self.activities:
            raise GraphQLError("conflict on insert of AgentActivity", extensions={"code": "INPUT_ERROR"})
        self.activities[given["id"]] = {**given, "at": self.now}
        return {"success": True, "agentActivity": self.activities[given["id"]]}

    def _create_issue(self, given: Body) -> Body:
        id = given.get("id") or str(uuid.uuid4())
        if id in self.issues:
            raise GraphQLError("conflict on insert of Issue", extensions={"code": "INPUT_ERROR"})
        known = {one["id"]: one for one in (*self.states, *self.users, *self.labels, *self.projects)}
        fields: Body = {"title": given["title"], "description": given.get("description")}
        for key in ("state", "assignee", "project"):
            if key + "Id" in given:
                fields[key] = known[given[key + "Id"]]
        fields["labels"] = [known[one] for one in given.get("labelIds", [])]
        if "priority" in given:
            fields["priority"] = given["priority"]
        team = next(one for one in (ENG, OPS) if one["id"] == given["teamId"])
        self.create(len(self.issues) + 100, id=id, team=team, **fields)
        return {"success": True, "issue": self._issue(id)}

    def _update_issue(self, id: str, given: Body) -> Body:
        issue = self._issue(id)
        known = {one["id"]: one for one in (*self.states, *self.users, *self.labels, *self.projects)}
        fields: Body = {
            key: known[given[f"{key}Id"]] if given[f"{key}Id"] else None
            for key in ("state", "assignee", "delegate", "project")
            if f"{key}Id" in given
        }
        if "priority" in given:
            fields["priority"] = given["priority"]
        added, removed = given.get("addedLabelIds") or [], given.get("removedLabelIds") or []
        if added or removed:
            kept = [one for one in issue["labels"]["nodes"] if one["id"] not in (*added, *removed)]
            fields["labels"] = [*kept, *(known[one] for one in added)]
        self.change(issue["number"], **fields)
        return {"success": True, "issue": self._issue(id)}


def failing(status: int, message: str, code: str, **headers: str) -> web.Response:
    """A refusal in Linear's form; `retry_after="5"` is the header `retry-after`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"errors": [{"message": message, "extensions": {"code": code}}], "data": None}
    return web.json_response(body, status=status, headers=named)


def missing(kind: str) -> GraphQLError:
    return GraphQLError(f"Entity not found: {kind}", extensions={"code": "INPUT_ERROR"})


def _response(result: ExecutionResult, headers: Mapping[str, str]) -> web.Response:
    errors = [one.formatted for one in result.errors or ()]
    status = 200 if result.data is not None or not errors else 400
    body: Body = {"data": result.data, **({"errors": errors} if errors else {})}
    return web.json_response(body, status=status, headers=headers)


def _node(value: Any) -> Any:
    """A person as the API shows it; anything else as it is."""
    if isinstance(value, dict) and "email" in value:
        return {**value, "app": value["email"].endswith("@oauthapp.linear.app")}
    return value


def _entry(entry: Body) -> Body:
    by = entry["by"]
    is_bot = by is not None and "service" in by
    bot = {"id": by["id"], "type": by["service"], "name": by["service"].title()} if is_bot and by else None
    return {**entry, "actor": None if is_bot else _node(by), "botActor": bot}


def _fits(thing: Any, filter: Mapping[str, Any]) -> bool:
    """Whether a filter takes a thing. A comparison that is not known here fails the test that asks it."""
    for key, wanted in filter.items():
        match key:
            case "or":
                fits = any(_fits(thing, one) for one in wanted)
            case "and":
                fits = all(_fits(thing, one) for one in wanted)
            case "eq":
                fits = thing == wanted
            case "in":
                fits = thing in wanted
            case "eqIgnoreCase":
                fits = str(thing).casefold() == wanted.casefold()
            case "gte":
                fits = thing >= wanted
            case "lt":
                fits = thing < wanted
            case "null":
                fits = (thing is None) is wanted
            case _:
                fits = thing is not None and key in thing and _fits(thing[key], wanted)
        if not fits:
            return False
    return True


def fragments(definitions: Sequence[Any]) -> Mapping[str, SelectionSetNode]:
    found = [one for one in definitions if isinstance(one, FragmentDefinitionNode)]
    return {one.name.value: one.selection_set for one in found}


def _cost(selected: SelectionSetNode, known: Mapping[str, SelectionSetNode]) -> float:
    """What Linear counts: 0.1 for a value, 1 for an object, and a list as often as it may have things."""
    cost = 0.0
    for one in selected.selections:
        if isinstance(one, FragmentSpreadNode):
            cost += _cost(known[one.name.value], known)
        elif isinstance(one, FieldNode) and one.selection_set is None:
            cost += 0.1
        elif isinstance(one, FieldNode) and one.selection_set is not None:
            sizes = [
                int(argument.value.value)
                for argument in one.arguments or ()
                if argument.name.value == "first" and isinstance(argument.value, IntValueNode)
            ]
            cost += 1 + _cost(one.selection_set, known) * (sizes[0] if sizes else 1)
    return cost
