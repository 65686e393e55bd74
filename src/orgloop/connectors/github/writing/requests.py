"""One wake's requests to GitHub. Each looks for what an earlier try has written before it writes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from orgloop.connectors.github.api import Api, Denied, NoAccess, Unreachable
from orgloop.connectors.github.events.people import login
from orgloop.connectors.github.lists import Lists
from orgloop.connectors.github.times import iso, seconds
from orgloop.connectors.github.writing.tasks import (
    AnyTask,
    CheckRun,
    Comment,
    Dispatch,
    Issue,
    Label,
    OnNumber,
    Review,
)
from orgloop.plugin import (
    Delivered,
    Json,
    Path,
    PluginError,
    Skipped,
    Wake,
    as_text,
    integer_at,
    is_missing,
    object_at,
    text_at,
)

MOST_CHARACTERS: Final = 60_000
"""Of a text; GitHub takes 65,536, and the marks come after it."""

BEFORE: Final = 3_600
"""Seconds before the event from which on earlier tries are looked for: clocks differ."""

MOST_PAGES: Final = 20
"""Pages of a hundred in which they are looked for."""

_RESULT: Final = Path.parse("payload.result.text")
_HEADS: Final = tuple(
    Path.parse(path)
    for path in ("payload.head_sha", "payload.pull_request.head.sha", "payload.git.after", "payload.after")
)
_ENDS: Final = {"success": "success", "failure": "failure", "cancelled": "cancelled", "unknown": "neutral"}


class UnfitTask(Exception):
    """This wake does not say what it takes."""


class GithubWriter:
    """Writes into one repository for one wake."""

    def __init__(self, api: Api, wake: Wake, repo: str) -> None:
        self._api = api
        self._lists = Lists(api)
        if wake.marker is None:
            raise RuntimeError("the wake has no mark, by which a second try finds what the first one did")
        self._wake = wake
        self._mark = wake.marker
        # What follows the id may differ between two tries of a batch.
        self._trace = wake.marker.partition(wake.delivery_id)[0] + wake.delivery_id
        self._root = f"/repos/{repo}"

    def place(self, task: AnyTask) -> str:
        """What is looked for and written: another wake may be about the same."""
        match task:
            case Comment(sticky=str(name)):
                return f"{self._root}#{self._number(task)}:{name}"
            case CheckRun():
                return f"{self._root}:{self._external_id()}"
            case _:
                return self._wake.delivery_id

    async def comment(self, task: Comment) -> Delivered:
        """Writes a comment, or edits the one with the name `sticky`."""
        about, marks = f"{self._root}/issues/{self._number(task)}/comments", [self._mark]
        if task.sticky is None:
            listed = await self._lists.whole(about, pages=MOST_PAGES, since=self._since())
            known = await self._mine(listed, self._trace)
        else:
            marks = [_sticky_mark(self._wake.project, task.sticky), self._mark]
            known = await self._mine(await self._lists.whole(about, pages=MOST_PAGES), marks[0])
        if known is not None and self._trace in text_at(known, "body"):
            return _already(known)
        content = {"body": self._text(task.body, marks)}
        if known is None:
            made = await self._api.send("POST", about, content)
        else:
            path = f"{self._root}/issues/comments/{integer_at(known, 'id')}"
            made = await self._api.send("PATCH", path, content)
        return _at(made.data)

    async def review(self, task: Review) -> Delivered:
        """Reviews a pull request."""
        path = f"{self._root}/pulls/{self._number(task)}/reviews"
        known = await self._mine(await self._lists.whole(path, pages=MOST_PAGES), self._trace)
        if known is not None:
            return _already(known)
        needs_words = task.verdict == "request_changes" or (task.verdict == "comment" and not task.comments)
        content: dict[str, Any] = {
            "event": task.verdict.upper(),
            "body": self._text(task.body, [self._mark], needed=needs_words),
            "comments": [one.model_dump() for one in task.comments],
        }
        return _at((await self._api.send("POST", path, content)).data)

    async def label(self, task: Label) -> Delivered:
        """Adds and removes labels; doing it again changes nothing."""
        if not task.add and not task.remove:
            raise UnfitTask("no label is named: write `add` or `remove` in `then.config`")
        path = f"{self._root}/issues/{self._number(task)}/labels"
        if task.add:
            await self._api.send("POST", path, {"labels": task.add})
        for name in task.remove:
            try:
                await self._api.send("DELETE", f"{path}/{quote(name, safe='')}")
            except NoAccess:
                # Either it did not have the label, or it is not there itself.
                await self._api.get(path)
        changed = [f"+{name}" for name in task.add] + [f"-{name}" for name in task.remove]
        return Delivered(detail=" ".join(changed)[:200])

    async def check_run(self, task: CheckRun) -> Delivered | Skipped:
        """Makes a check run, or brings the one of this run of ours up to date."""
        sha = task.head_sha or self._first(_HEADS)
        if not sha:
            raise UnfitTask("the event names no commit: write `head_sha` in `then.config`")
        content, id = self._check(task), self._external_id()
        path = f"{self._root}/commits/{sha}/check-runs"
        listed = await self._lists.whole(path, items="check_runs", check_name=task.name, filter="all")
        known = next((one for one in listed if text_at(one, "external_id") == id), None)
        if known is None:
            whole = {**content, "name": task.name, "head_sha": sha, "external_id": id}
            return _at((await self._api.send("POST", f"{self._root}/check-runs", whole)).data)
        if text_at(known, "status") == "completed" and content["status"] != "completed":
            return Skipped(reason="the check run has completed already")
        path = f"{self._root}/check-runs/{integer_at(known, 'id')}"
        return _at((await self._api.send("PATCH", path, content)).data)

    async def dispatch(self, task: Dispatch) -> Delivered:
        """Starts a workflow. Without `id_input`, only its answer says whether it was started."""
        path = f"{self._root}/actions/workflows/{quote(task.workflow, safe='')}"
        inputs = {name: as_text(value) for name, value in task.inputs.items()}
        if task.id_input is not None:
            inputs[task.id_input] = self._wake.delivery_id
            runs = await self._lists.whole(
                f"{path}/runs",
                items="workflow_runs",
                event="workflow_dispatch",
                created=f">={self._since()}",
            )
            known = next(
                (run for run in runs if self._wake.delivery_id in text_at(run, "display_title")), None
            )
            if known is not None:
                return _already(known)
        within = self._wake.timeout / 2
        try:
            content = {"ref": task.ref, "inputs": inputs}
            await self._api.send("POST", f"{path}/dispatches", content, within=within)
        except Denied:
            raise
        except PluginError as exc:
            if task.id_input is not None or (isinstance(exc, Unreachable) and not exc.sent):
                raise
            look = "look at GitHub before you release it, or set `id_input`"
            raise UnfitTask(f"{exc.message}; the workflow may have started: {look}") from exc
        return Delivered(detail=f"{task.workflow} on {task.ref}"[:200])

    async def issue(self, task: Issue) -> Delivered:
        """Opens an issue."""
        path = f"{self._root}/issues"
        listed = await self._lists.whole(
            path, state="all", since=self._since(), sort="created", direction="desc"
        )
        known = await self._mine(listed, self._trace)
        if known is not None:
            return _already(known)
        content: dict[str, Any] = {
            "title": " ".join(task.title.split())[:250],
            "body": self._text(task.body, [self._mark], needed=False),
            "labels": task.labels,
            "assignees": task.assignees,
        }
        return _at((await self._api.send("POST", path, content)).data)

    async def _mine(self, listed: Sequence[Json], mark: str) -> Json | None:
        """The first of these that has the mark and that this login wrote: anybody can copy a mark."""
        found = [one for one in listed if mark in text_at(one, "body")]
        if not found:
            return None
        me = await self._me()
        return next((one for one in found if _is_by(object_at(one, "user"), me)), None)

    async def _me(self) -> str:
        """This login; empty for an app, which has no user."""
        try:
            return text_at((await self._api.get("/user")).data, "login")
        except Denied as exc:
            if exc.status == 401:
                raise
            return ""

    def _number(self, task: OnNumber) -> int:
        provenance = self._wake.event.provenance
        found = task.number or integer_at(provenance, "pr_number") or integer_at(provenance, "issue_number")
        if found is None:
            raise UnfitTask("the event names no issue or pull request: write `number` in `then.config`")
        return found

    def _text(self, given: str | None, marks: Sequence[str], *, needed: bool = True) -> str:
        words = (given or self._wake.sop or self._first((_RESULT,))).strip()
        if needed and not words:
            raise UnfitTask("there is no text to write: write `body` in `then.config`, or add a prompt file")
        if len(words) > MOST_CHARACTERS:
            words = f"{words[:MOST_CHARACTERS]}…\n\n(The rest is cut off.)"
        return "\n\n".join([words, *(mark for mark in marks if mark)])

    def _first(self, paths: Sequence[Path]) -> str:
        """The first text at one of these places of the event."""
        document = self._wake.event.document()
        found = (path.get(document) for path in paths)
        return next((value for value in found if isinstance(value, str) and not is_missing(value)), "")

    def _check(self, task: CheckRun) -> dict[str, Any]:
        """The state of the check run: as the route says, or as the run is that woke us."""
        lifecycle = object_at(self._wake.event.payload, "lifecycle") if self._is_of_run() else {}
        ended = task.conclusion or _ENDS.get(text_at(lifecycle, "outcome"))
        if ended is None and not lifecycle:
            raise UnfitTask("the event is not of a run: write `conclusion` in `then.config`")
        title = task.title or (ended or "in progress").replace("_", " ")
        summary = self._text(task.summary, [self._mark], needed=False)
        content: dict[str, Any] = {"status": "completed" if ended else "in_progress"}
        if ended:
            content["conclusion"] = ended
        if task.details_url is not None:
            content["details_url"] = task.details_url
        return {**content, "output": {"title": " ".join(title.split())[:250], "summary": summary}}

    def _is_of_run(self) -> bool:
        payload = self._wake.event.payload
        return isinstance(payload, dict) and bool(object_at(payload, "lifecycle"))

    def _external_id(self) -> str:
        """One check run for a run of ours, else for a delivery."""
        run = self._wake.event.payload.get("run_id") if self._is_of_run() else None
        return run if isinstance(run, str) and run else self._wake.delivery_id

    def _since(self) -> str:
        return iso((seconds(self._wake.event.timestamp) or BEFORE) - BEFORE)


def _sticky_mark(project: str, name: str) -> str:
    digest = hashlib.sha256(f"{project}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return f"<!-- orgloop-sticky: {digest} -->"


def _is_by(user: Json, me: str) -> bool:
    return login(user) == me if me else text_at(user, "type") == "Bot"


def _already(known: Json) -> Delivered:
    return Delivered(detail=f"an earlier try did it: {text_at(known, 'html_url')[:200]}")


def _at(made: Any) -> Delivered:
    return Delivered(detail=text_at(made, "html_url")[:200] if isinstance(made, dict) else "")
