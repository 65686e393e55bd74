"""What GitHub tells only if it is asked: why a run failed, and which pull request a check was for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from orgloop.connectors.github.api import Api, NoAccess
from orgloop.connectors.github.events.check_runs import FAILURES, own_pull
from orgloop.connectors.github.events.fact import head_of, pull_details, repo_of
from orgloop.connectors.github.lists import as_list, as_object
from orgloop.connectors.github.settings import Enrichment
from orgloop.plugin import Draft, Json, PluginError, integer_at, object_at, objects_at, text_at

MOST_JOBS: Final = 5
"""Failed jobs of one run that are told with their logs; the names of all come with the first hundred."""

LOG_CHARACTERS: Final = 4_000
"""The end of a log that an event carries."""

LINE_CHARACTERS: Final = 500
"""A longer line of a log is cut."""

IN_POLL: Final = 60.0
"""Seconds that one event of a poll may take."""

MOST_ENRICHED: Final = 50
"""Events of one poll that something is asked for: a backlog must not use up GitHub's limit."""

IN_WEBHOOK: Final = 5.0
"""Seconds for one webhook: GitHub waits ten for its answer."""

_CHECKS: Final = {"workflow_run": "workflow_run", "check_suite": "check_suite", "check_run": "check_run"}
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z ?")
_STYLE: Final = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_ERROR: Final = "##[error]"


class Enricher:
    """Adds to events about checks what their deliveries do not tell. It costs no event: see `enrich`."""

    def __init__(self, api: Api, wanted: Sequence[Enrichment]) -> None:
        self._api = api
        self._wanted = frozenset(wanted)

    def asks(self, event: str, body: Json) -> bool:
        """Whether something is asked for this event."""
        ran = object_at(body, _CHECKS.get(event, ""))
        if not ran or text_at(body, "action") != "completed":
            return False
        return Enrichment.PULL_REQUEST in self._wanted or self._tells_jobs(event, ran)

    async def enrich(self, event: str, body: Json, draft: Draft, within: float) -> Draft:
        """The event with what GitHub tells within so many seconds; 0: nothing is asked.

        What it does not tell is left out, and `payload.not_enriched` says why. Raises TryLater.
        """
        if not self.asks(event, body):
            return draft
        if not within:
            why = f"more than {MOST_ENRICHED} runs and checks came at once"
            return replace(draft, payload={**draft.payload, "not_enriched": why})
        ran = object_at(body, _CHECKS[event])
        jobs: list[Json] = []
        pull: Json = {}
        why = ""
        try:
            async with asyncio.timeout(within):
                if Enrichment.PULL_REQUEST in self._wanted:
                    pull = await self._pull(body, ran)
                if self._tells_jobs(event, ran):
                    await self._jobs(body, ran, jobs)
        except TimeoutError:
            why = f"GitHub did not answer within {within:g} s"
        except PluginError as exc:
            why = exc.message
        payload = {**draft.payload, **_about(pull)}
        if self._tells_jobs(event, ran):
            payload["failed_jobs"] = jobs
        if why:
            payload["not_enriched"] = why
        details = pull_details(body, pull, str(draft.provenance.get("url", ""))) if pull else {}
        return replace(draft, provenance={**draft.provenance, **details}, payload=payload)

    def _tells_jobs(self, event: str, ran: Json) -> bool:
        failed = event == "workflow_run" and text_at(ran, "conclusion") in FAILURES
        return failed and Enrichment.FAILURES in self._wanted

    async def _pull(self, body: Json, ran: Json) -> Json:
        """The pull request of this repository that it ran for: as GitHub links it, or by its commit."""
        root = f"/repos/{repo_of(body)}"
        linked = own_pull(body, ran) or own_pull(body, object_at(ran, "check_suite"))
        try:
            if (count := integer_at(linked, "number")) is not None:
                path = f"{root}/pulls/{count}"
                return as_object((await self._api.get(path)).data, path)
            sha = text_at(ran, "head_sha")
            path = f"{root}/commits/{sha}/pulls"
            found = as_list((await self._api.get(path)).data, path) if sha else []
        except NoAccess:
            return {}
        home = repo_of(body).lower()
        own = [one for one in found if text_at(object_at(one, "base", "repo"), "full_name").lower() == home]
        at_head = [one for one in own if text_at(object_at(one, "head"), "sha") == sha]
        return max(at_head, key=lambda one: text_at(one, "state") == "open", default={})

    async def _jobs(self, body: Json, ran: Json, jobs: list[Json]) -> None:
        """The failed jobs, into `jobs` as far as they are known: first their names, then their logs."""
        root = f"/repos/{repo_of(body)}/actions"
        attempt = integer_at(ran, "run_attempt") or 1
        path = f"{root}/runs/{integer_at(ran, 'id')}/attempts/{attempt}/jobs"
        try:
            listed = as_list((await self._api.get(path, per_page=100)).data, path, "jobs")
        except NoAccess:
            return
        failed = [job for job in listed if text_at(job, "conclusion") in FAILURES]
        jobs += [_job(job) for job in failed]
        for place, job in enumerate(failed[:MOST_JOBS]):
            log = await self._api.end_of_text(f"{root}/jobs/{integer_at(job, 'id')}/logs")
            jobs[place] = {**jobs[place], "log": end_of_log(log)}


def end_of_log(log: str) -> str:
    """The end of a job's log up to its last error, without times and colours: what follows is cleaning up."""
    lines = [_plain(line) for line in log.splitlines()]
    last = max((place for place, line in enumerate(lines) if line.startswith(_ERROR)), default=len(lines))
    kept: list[str] = []
    left = LOG_CHARACTERS
    for line in reversed(lines[: last + 1]):
        left -= len(line) + 1
        if left < 0:
            break
        kept.append(line.removeprefix(_ERROR))
    return "\n".join(reversed(kept)).strip("\n")


def _plain(line: str) -> str:
    line = _STAMP.sub("", line[: 4 * LINE_CHARACTERS], count=1) if _STAMP.match(line) else line
    line = _STYLE.sub("", line[: 4 * LINE_CHARACTERS])
    return "".join(char if char.isprintable() or char == "\t" else " " for char in line)[:LINE_CHARACTERS]


def _job(job: Json) -> Json:
    listed = objects_at(job, "steps")
    return {
        "name": text_at(job, "name"),
        "conclusion": text_at(job, "conclusion"),
        "url": text_at(job, "html_url"),
        "failed_steps": [text_at(one, "name") for one in listed if text_at(one, "conclusion") in FAILURES],
        "log": "",
    }


def _about(pull: Json) -> dict[str, Any]:
    """What the payload gets of a pull request. The commit that was checked is the check's own."""
    if not pull:
        return {}
    head = {key: value for key, value in head_of(pull).items() if key in ("head_ref", "base_ref")}
    return {"pr_title": text_at(pull, "title"), "pr_url": text_at(pull, "html_url"), **head}
