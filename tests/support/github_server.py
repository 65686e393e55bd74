"""GitHub's REST API on loopback, as far as it is polled: pages, conditions, limits and faults.

What happens in its repository is done by methods, each of which returns the webhook delivery that
GitHub would send of it.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Self

from aiohttp import web

from tests.connectors import github_bodies as bodies
from tests.connectors.github_bodies import HUBOT, MONA, REPOSITORY, Body

Delivery = tuple[str, Body]
REPO = "/repos/octo-org/billing"
TOKEN = "ghp_0123456789abcdef"


def iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class GithubServer:
    """`now` is its time in seconds; `faults` are answers that come before its own, one for each request.

    `silent`: it takes requests and does not answer. `losing`: so many answers to requests that wrote
    something do not arrive. `wrote`: method, path and content of those.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self.token = TOKEN
        self.faults: deque[Callable[[web.Request], web.StreamResponse] | None] = deque()
        self.asked: list[tuple[str, int]] = []
        self.wrote: list[tuple[str, str, Any]] = []
        self.login: Body | None = MONA
        self.losing = 0
        self.largest = 100
        self.issues: dict[int, Body] = {}
        self.pulls: dict[int, Body] = {}
        self.reviews: dict[int, list[Body]] = {}
        self.comments: dict[int, Body] = {}
        self.review_comments: dict[int, Body] = {}
        self.deeds: list[Body] = []
        self.runs: dict[int, Body] = {}
        self.jobs: dict[int, list[Body]] = {}
        self.logs: dict[int, bytes] = {}
        self.activity: list[Body] = []
        self.commits: dict[str, Body] = {}
        self.releases: list[Body] = []
        self.deployments: dict[int, Body] = {}
        self.statuses: dict[int, list[Body]] = {}
        self.checks: dict[str, dict[str, list[Body]]] = {}
        self.silent = False
        self.hooks: list[Body] | None = None
        self.log: list[Body] = []
        self.owned: list[Body] = [REPOSITORY]
        self.again: list[int] = []
        self._ids = 1000

    async def __aenter__(self) -> Self:
        self._forever = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._forever.set()
        await self._runner.cleanup()

    # What happens.

    def open_pull(self, number: int, **changes: Any) -> Delivery:
        at = iso(self.now)
        self.pulls[number] = bodies.pull(
            **{
                "number": number,
                "html_url": f"{bodies.PAGE}/pull/{number}",
                "created_at": at,
                "updated_at": at,
                **changes,
            }
        )
        self.reviews[number] = []
        user = self.pulls[number]["user"]
        return self._told("pull_request", "opened", user, number=number, pull_request=self.pulls[number])

    def open_issue(self, number: int, **changes: Any) -> Delivery:
        at = iso(self.now)
        page = f"{bodies.PAGE}/issues/{number}"
        self.issues[number] = bodies.issue(
            **{"number": number, "html_url": page, "created_at": at, "updated_at": at, **changes}
        )
        return self._told("issues", "opened", self.issues[number]["user"], issue=self.issues[number])

    def ready(self, number: int) -> Delivery:
        pull = self._touch(self.pulls[number], draft=False)
        self._deed("ready_for_review", HUBOT, number)
        return self._told("pull_request", "ready_for_review", HUBOT, number=number, pull_request=pull)

    def push(
        self, ref: str, before: str, after: str, user: Body = MONA, kind: str = "push"
    ) -> list[Delivery]:
        """To a branch here: a delivery of the push, and one for each open pull request from the branch."""
        made, gone = not before.strip("0"), not after.strip("0")
        done = {"id": self._id(), "before": before, "after": after, "ref": ref, "actor": user}
        self.activity.append({**done, "timestamp": iso(self.now), "activity_type": kind})
        head = None if gone else self._commit(after, user)
        branch = ref.removeprefix("refs/heads/")
        delivery = bodies.body(
            None,
            user,
            ref=ref,
            before=before,
            after=after,
            created=made,
            deleted=gone,
            forced=kind == "force_push",
            compare=f"{bodies.PAGE}/compare/{branch if made else f'{before[:12]}...{after[:12]}'}",
            commits=[head] if head and not made else [],
            head_commit=head,
            pusher={"name": user["login"]},
        )
        delivery["repository"] = {**REPOSITORY, "pushed_at": self.now}
        told = [("push", copy.deepcopy(delivery))]
        for number, pull in self.pulls.items():
            if (
                pull["head"]["ref"] == branch
                and pull["head"]["repo"] == bodies.HOME
                and not made
                and not gone
            ):
                told.append(self.new_head(number, after, user))
        return told

    def new_head(self, number: int, after: str, user: Body = MONA) -> Delivery:
        """A pull request has other commits: by a push to its fork, too."""
        pull = self.pulls[number]
        before = pull["head"]["sha"]
        self._touch(pull, head={**pull["head"], "sha": after})
        parts = {"number": number, "pull_request": pull, "before": before, "after": after}
        return self._told("pull_request", "synchronize", user, **parts)

    def release(self, tag: str) -> Delivery:
        at = iso(self.now)
        made = {"id": self._id(), "tag_name": tag, "body": "", "draft": False, "author": MONA}
        release = {**made, "html_url": f"{bodies.PAGE}/releases/{tag}", "created_at": at, "published_at": at}
        self.releases.insert(0, release)
        return self._told("release", "published", MONA, release=release)

    def deploy(self, id: int, environment: str) -> Delivery:
        at = iso(self.now)
        self.deployments[id] = {
            "id": id,
            "environment": environment,
            "creator": HUBOT,
            "created_at": at,
            "updated_at": at,
            "url": f"https://api.github.com{REPO}/deployments/{id}",
        }
        self.statuses[id] = []
        return self._told("deployment", "created", HUBOT, deployment=self.deployments[id])

    def deployed(self, id: int, state: str) -> Delivery:
        at = iso(self.now)
        status = {"id": self._id(), "state": state, "creator": HUBOT, "created_at": at, "updated_at": at}
        self.statuses[id].insert(0, status)
        deployment = self._touch(self.deployments[id])
        parts = {"deployment": deployment, "deployment_status": status}
        return self._told("deployment_status", "created", HUBOT, **parts)

    def check(self, ref: str, kind: str, made: Body) -> Delivery:
        """A check run or suite of a commit, which completed now if it is complete."""
        at = iso(self.now)
        made |= {"completed_at" if kind == "check_run" else "updated_at": at}
        self.checks.setdefault(ref, {}).setdefault(f"{kind}s", []).append(made)
        return self._told(kind, "completed", HUBOT, **{kind: made})

    def review(self, number: int, state: str, said: str = "See below.", user: Body = MONA) -> Delivery:
        given = bodies.review(
            id=self._id(), state=state.upper(), body=said, user=user, submitted_at=iso(self.now)
        )
        self.reviews[number].append(given)
        pull = self._touch(self.pulls[number])
        return self._told("pull_request_review", "submitted", user, review=given, pull_request=pull)

    def review_comment(self, number: int, said: str, drafted: int = 0) -> Delivery:
        """Published with the newest review, and maybe written `drafted` seconds before."""
        pull, id = self._touch(self.pulls[number]), self._id()
        reviews = self.reviews[number]
        comment = bodies.comment(
            id=id,
            body=said,
            created_at=iso(self.now - drafted),
            updated_at=iso(self.now),
            pull_request_url=f"{self.url}{REPO}/pulls/{number}",
            pull_request_review_id=reviews[-1]["id"] if reviews else None,
        )
        self.review_comments[id] = comment
        return self._told("pull_request_review_comment", "created", MONA, comment=comment, pull_request=pull)

    def comment(self, number: int, said: str, user: Body = MONA) -> Delivery:
        id, at = self._id(), iso(self.now)
        comment = bodies.issue_note(
            user=user, created_at=at, updated_at=at, issue_url=f"{self.url}{REPO}/issues/{number}"
        ) | {"id": id, "body": said}
        self.comments[id] = comment
        return self._told("issue_comment", "created", user, comment=comment, issue=self._issue(number, True))

    def edit(self, id: int, said: str) -> Delivery:
        comment = self._touch(self.comments[id], body=said)
        count = int(comment["issue_url"].rpartition("/")[2])
        issue = self._issue(count, True)
        return self._told("issue_comment", "edited", comment["user"], comment=comment, issue=issue)

    def close(self, number: int, *, merged: bool, user: Body = MONA) -> Delivery:
        at = iso(self.now)
        done = {"merged": True, "merged_at": at, "merged_by": user} if merged else {"merged": False}
        pull = self._touch(self.pulls[number], state="closed", closed_at=at, **done)
        if merged:
            self._deed("merged", user, number)
        self._deed("closed", user, number)
        return self._told("pull_request", "closed", user, number=number, pull_request=pull)

    def reopen(self, number: int) -> Delivery:
        return self._do("reopened", "reopened", number, {}, state="open", closed_at=None)

    def close_issue(self, number: int) -> Delivery:
        return self._do("closed", "closed", number, {}, state="closed", closed_at=iso(self.now))

    def to_draft(self, number: int) -> Delivery:
        return self._do("convert_to_draft", "converted_to_draft", number, {}, draft=True)

    def label(self, number: int, name: str, action: str = "labeled") -> Delivery:
        label = {"name": name}
        kept = [one for one in self._thing(number)["labels"] if one["name"] != name]
        labels = [*kept, label] if action == "labeled" else kept
        return self._do(action, action, number, {"label": label}, labels=labels)

    def assign(self, number: int, user: Body, action: str = "assigned") -> Delivery:
        given = {"assignee": user, "assigner": MONA}
        assignees = [user] if action == "assigned" else []
        event, body = self._do(action, action, number, given, assignees=assignees)
        del body["assigner"]
        return event, body

    def ask_review(self, number: int, action: str = "review_requested", **who: Body) -> Delivery:
        event, body = self._do(action, action, number, {**who, "review_requester": MONA})
        del body["review_requester"]
        return event, body

    def _do(self, deed: str, action: str, number: int, given: Body, **changes: Any) -> Delivery:
        """Something that is done with an issue or a pull request, and noted among the issue events."""
        thing = self._touch(self._thing(number), **changes)
        self._deed(deed, MONA, number, **given)
        if number in self.issues:
            return self._told("issues", action, MONA, issue=thing, **given)
        return self._told("pull_request", action, MONA, number=number, pull_request=thing, **given)

    def _thing(self, number: int) -> Body:
        return self.issues[number] if number in self.issues else self.pulls[number]

    def start_run(self, id: int) -> None:
        at = iso(self.now)
        running = bodies.run(id=id, status="in_progress", conclusion=None, created_at=at, updated_at=at)
        self.runs[id] = running

    def end_run(self, id: int, conclusion: str) -> Delivery:
        run = self._touch(self.runs[id], status="completed", conclusion=conclusion)
        return self._told("workflow_run", "completed", HUBOT, workflow_run=run)

    def _commit(self, sha: str, user: Body) -> Body:
        """A commit as deliveries have it; the API has the same in another form."""
        said, at = f"Change {sha}", iso(self.now)
        named = {"name": user["login"], "email": f"{user['login']}@example.com"}
        page = f"{bodies.PAGE}/commit/{sha}"
        commit = {
            "tree": {"sha": "7ree"},
            "message": said,
            "author": named,
            "committer": {**named, "date": at},
        }
        self.commits[sha] = {
            "sha": sha,
            "html_url": page,
            "commit": commit,
            "author": user,
            "committer": user,
        }
        person = {**named, "username": user["login"]}
        return {
            "id": sha,
            "tree_id": "7ree",
            "message": said,
            "timestamp": at,
            "url": page,
            "author": person,
            "committer": person,
        }

    def sent(self, guid: str, code: int, event: str = "issues", action: str | None = "opened") -> int:
        """A line of the webhook's log: it was sent, and answered with `code` (0: not at all)."""
        again = any(one["guid"] == guid for one in self.log)
        row = {"id": self._id(), "guid": guid, "delivered_at": iso(self.now), "redelivery": again}
        self.log.append({**row, "status_code": code, "event": event, "action": action})
        return self._ids

    def _told(self, event: str, action: str, sender: Body, **parts: Any) -> Delivery:
        return event, copy.deepcopy(bodies.body(action, sender, **parts))

    def _touch(self, thing: Body, **changes: Any) -> Body:
        thing.update(changes, updated_at=iso(self.now))
        return thing

    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _issue(self, number: int, touched: bool = False) -> Body:
        """An issue, or a pull request as an issue."""
        if number in self.issues:
            return self._touch(self.issues[number]) if touched else self.issues[number]
        pull = self._touch(self.pulls[number]) if touched else self.pulls[number]
        kept = ("number", "title", "user", "author_association", "state", "labels", "closed_at", "updated_at")
        return {
            **{key: pull[key] for key in kept},
            "created_at": pull["created_at"],
            "pull_request": {"merged_at": pull["merged_at"]},
        }

    def _deed(self, what: str, actor: Body, number: int, **parts: Any) -> None:
        issue = copy.deepcopy(self._issue(number))
        at = iso(self.now)
        self.deeds.append(
            {"id": self._id(), "event": what, "actor": actor, "created_at": at, "issue": issue, **parts}
        )

    # How it is told.

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.silent:
            await self._forever.wait()
        fault = self.faults.popleft() if self.faults else None
        if fault is not None:
            answer = fault(request)
        elif request.method == "GET":
            answer = self._own(request)
        else:
            answer = self._written(request, json.loads(await request.read() or b"null"))
            if self.losing and answer.status < 400:
                self.losing -= 1
                assert request.transport is not None
                request.transport.abort()
        answer.headers.setdefault("date", formatdate(self.now, usegmt=True))
        self.asked.append((request.path_qs, answer.status))
        return answer

    def _own(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/logs/"):
            return self._log(request)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return failing(401, "Bad credentials")
        if request.path.startswith(f"{REPO}/actions/jobs/"):
            id = int(request.path.split("/")[-2])
            place = {"location": f"{self.url}/logs/{id}"}
            return web.Response(status=302, headers=place) if id in self.logs else failing(410, "Gone")
        found = self._find(request)
        if found is None:
            return failing(404, "Not Found")
        data, link = found
        body = json.dumps(data).encode()
        etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
        headers = {"etag": etag, "x-ratelimit-remaining": "4999", **link}
        if request.headers.get("if-none-match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _written(self, request: web.Request, content: Any) -> web.Response:
        """A request that changes something."""
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return failing(401, "Bad credentials")
        path = request.path.removeprefix(REPO)
        made = self._write(request.method, path.strip("/").split("/"), content)
        if made is None:
            return failing(404, "Not Found")
        self.wrote.append((request.method, path, content))
        return web.json_response(made) if made else web.Response(status=204)

    def _write(self, method: str, path: list[str], content: Any) -> Any:
        user = self.login or {"login": "octo-app[bot]", "type": "Bot"}
        match method, path:
            case "POST", ["hooks", _, "deliveries", id, "attempts"]:
                self.again.append(int(id))
                return {}
            case "POST", ["issues"]:
                self._ids += 1
                self.open_issue(self._ids, user=user, labels=[], title=content["title"], body=content["body"])
                return self.issues[self._ids]
            case "POST", ["issues", number, "comments"] if self._knows(number):
                self.comment(int(number), content["body"], user)
                return self.comments[self._ids]
            case "PATCH", ["issues", "comments", id]:
                return self._touch(self.comments[int(id)], body=content["body"])
            case "POST", ["issues", number, "labels"] if self._knows(number):
                for name in content["labels"]:
                    self.label(int(number), name)
                return self._thing(int(number))["labels"]
            case "DELETE", ["issues", number, "labels", name] if self._knows(number):
                thing = self._thing(int(number))
                if not any(one["name"] == name for one in thing["labels"]):
                    return None
                self.label(int(number), name, "unlabeled")
                return thing["labels"]
            case "POST", ["pulls", number, "reviews"] if self._knows(number):
                self.review(int(number), content["event"], content["body"], user)
                return self.reviews[int(number)][-1]
            case "POST", ["check-runs"]:
                made = bodies.check_run(id=self._id(), **content)
                self.checks.setdefault(content["head_sha"], {}).setdefault("check_runs", []).append(made)
                return made
            case "PATCH", ["check-runs", id]:
                runs = [one for of in self.checks.values() for one in of["check_runs"]]
                run = next(one for one in runs if one["id"] == int(id))
                run.update(content)
                return run
            case "POST", ["actions", "workflows", _, "dispatches"]:
                self.start_run(self._id())
                self.runs[self._ids]["display_title"] = f"Deploy {content['inputs'].get('delivery', '')}"
                return {}
            case _:
                return None

    def _knows(self, number: str) -> bool:
        return int(number) in self.issues or int(number) in self.pulls

    def _log(self, request: web.Request) -> web.StreamResponse:
        """Where logs lie: at a place that is not GitHub's, and must not see the token."""
        if "authorization" in request.headers:
            return failing(400, "InvalidAuthenticationInfo")
        log = self.logs[int(request.path.rpartition("/")[2])]
        asked = request.http_range
        if asked.start is None:
            return web.Response(body=log)
        return web.Response(status=206, body=log[asked.start : asked.stop])

    def _find(self, request: web.Request) -> tuple[Any, Mapping[str, str]] | None:
        path = request.path
        if path == "/user":
            return (self.login, {"x-oauth-scopes": "repo, read:org"}) if self.login else None
        if path == "/rate_limit":
            return {"resources": {"core": {"limit": 5000, "remaining": 4990}}}, {}
        if path in ("/orgs/octo-org/repos", "/users/mona/repos"):
            return self._paged(request, self.owned)
        if path.startswith("/repos/octo-org/empty-"):
            one = path.removeprefix("/repos/").split("/")
            return ({"full_name": "/".join(one[:2]), "id": 11}, {}) if len(one) == 2 else ([], {})
        if not path.startswith(REPO):
            return None
        match path.removeprefix(REPO).strip("/").split("/"):
            case [""]:
                return REPOSITORY, {}
            case ["issues"]:
                listed = [self._issue(number) for number in (*self.issues, *self.pulls)]
                return self._listed(request, listed, "updated_at")
            case ["pulls"]:
                return self._listed(request, self._pulls(request), "updated_at")
            case ["activity"]:
                return self._paged(request, list(reversed(self.activity)))
            case ["compare", between]:
                after = between.rpartition("...")[2]
                return ({"commits": [self.commits[after]]}, {}) if after in self.commits else None
            case ["commits", sha, "pulls"]:
                return [pull for pull in self.pulls.values() if pull["head"]["sha"] == sha], {}
            case ["actions", "runs", id, "attempts", attempt, "jobs"]:
                jobs = [one for one in self.jobs.get(int(id), []) if one["run_attempt"] == int(attempt)]
                return {"total_count": len(jobs), "jobs": jobs}, {}
            case ["commits", sha]:
                return (self.commits[sha], {}) if sha in self.commits else None
            case ["commits", ref, ("check-suites" | "check-runs") as kind]:
                name = kind.replace("-", "_")
                page, link = self._paged(request, self.checks.get(ref, {}).get(name, []))
                return {"total_count": 0, name: page}, link
            case ["hooks"]:
                return (self.hooks, {}) if self.hooks is not None else None
            case ["hooks", _, "deliveries"]:
                status = request.query.get("status", "")
                shown = [one for one in reversed(self.log) if status in ("", _status(one))]
                return self._paged(request, shown)
            case ["releases"]:
                return self._paged(request, self.releases)
            case ["deployments"]:
                return self._paged(request, list(reversed(self.deployments.values())))
            case ["deployments", id, "statuses"]:
                return self._paged(request, self.statuses[int(id)])
            case ["issues", "comments"]:
                return self._listed(request, list(self.comments.values()), "updated_at")
            case ["pulls", "comments"]:
                return self._listed(request, list(self.review_comments.values()), "updated_at")
            case ["issues", "events"]:
                return self._paged(request, list(reversed(self.deeds)))
            case ["pulls", number, "reviews"]:
                return self._paged(request, self.reviews[int(number)])
            case ["pulls", number, "reviews", id]:
                return next(one for one in self.reviews[int(number)] if one["id"] == int(id)), {}
            case ["issues", number, "comments"]:
                about = f"/issues/{number}"
                listed = [one for one in self.comments.values() if one["issue_url"].endswith(about)]
                return self._listed(request, listed, "updated_at")
            case ["issues", number, "labels"]:
                known = int(number) in self.issues or int(number) in self.pulls
                return (self._thing(int(number))["labels"], {}) if known else None
            case ["actions", "workflows", _, "runs"]:
                page, link = self._paged(request, list(self.runs.values()))
                return {"total_count": len(self.runs), "workflow_runs": page}, link
            case ["issues", number]:
                known = int(number) in self.issues or int(number) in self.pulls
                return (self._issue(int(number)), {}) if known else None
            case ["pulls", number]:
                return (self.pulls[int(number)], {}) if int(number) in self.pulls else None
            case ["actions", "runs"]:
                newest = sorted(self.runs.values(), key=lambda run: run["created_at"], reverse=True)
                page, link = self._paged(request, newest)
                return {"total_count": len(newest), "workflow_runs": page}, link
            case ["actions", "runs", id]:
                return (self.runs[int(id)], {}) if int(id) in self.runs else None
            case _:
                return None

    def _pulls(self, request: web.Request) -> list[Body]:
        state, head = request.query.get("state", "open"), request.query.get("head", "").partition(":")[2]
        return [
            pull
            for pull in self.pulls.values()
            if state in ("all", pull["state"]) and head in ("", pull["head"]["ref"])
        ]

    def _listed(self, request: web.Request, things: list[Body], key: str) -> tuple[Any, Mapping[str, str]]:
        since = request.query.get("since", "")
        newest = request.query.get("direction") == "desc"
        found = sorted((one for one in things if one[key] >= since), key=lambda one: one[key], reverse=newest)
        return self._paged(request, found)

    def _paged(self, request: web.Request, things: list[Body]) -> tuple[Any, Mapping[str, str]]:
        size = min(int(request.query.get("per_page", "30")), self.largest)
        page = int(request.query.get("page", "1"))
        shown, rest = things[(page - 1) * size : page * size], things[page * size :]
        url = request.url.update_query(page=str(page + 1)).with_scheme("http")
        link = {"link": f'<{url}>; rel="next", <{self.url}/last>; rel="last"'} if rest else {}
        return shown, link


def _status(row: Body) -> str:
    return "success" if 200 <= row["status_code"] < 300 else "failure"


def failing(status: int, message: str, **headers: str) -> web.Response:
    """An answer in GitHub's form; `retry_after="5"` is the header `retry-after`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"message": message, "documentation_url": "https://docs.github.com/rest"})
    return web.Response(status=status, text=body, content_type="application/json", headers=named)
