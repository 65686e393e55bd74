"""Releases, deployments and checks, as GitHub's API lists them."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from orgloop.connectors.github.lists import MOST_PAGES, MOST_WALKED, changed_at, time_of
from orgloop.connectors.github.polling.checkpoint import BACK
from orgloop.connectors.github.polling.step import StepReading
from orgloop.connectors.github.times import seconds
from orgloop.plugin import Json, integer_at, object_at, text_at

MOST_HEADS: Final = 30
"""Open pull requests whose checks are looked at: those that were changed last."""


async def read_releases(reading: StepReading) -> None:
    """Releases that were published: one may be older than others that were published before it."""
    times = []
    for release in await reading.listed(f"{reading.root}/releases"):
        at = seconds(release.get("published_at"))
        if at is None or release.get("draft") is True:
            continue
        times.append(at)
        fact = f"release-{integer_at(release, 'id')}@{at}"
        if reading.is_new("releases", fact, at):
            item = reading.teller.of("release", "published", at, release.get("author"), {"release": release})
            reading.tell(fact, item)
    reading.reached("releases", times, ended=True)


async def read_deployments(reading: StepReading) -> None:
    """Deployments of the last day, and their statuses: each changes its deployment."""
    since = reading.progress.at["deployments"]
    found, _ = await reading.lists.newest(
        f"{reading.root}/deployments", "created_at", since - BACK, most=MOST_WALKED
    )
    for deployment in found:
        at, id = time_of(deployment, "created_at"), integer_at(deployment, "id")
        if reading.is_new("deployments", f"deployment-{id}", at):
            parts = {"deployment": deployment}
            item = reading.teller.of("deployment", "created", at, deployment.get("creator"), parts)
            reading.tell(f"deployment-{id}", item)
        if changed_at(deployment) >= since:
            await _statuses(reading, deployment)
    reading.reached("deployments", [changed_at(one) for one in found], ended=True)


async def _statuses(reading: StepReading, deployment: Json) -> None:
    path = f"{reading.root}/deployments/{integer_at(deployment, 'id')}/statuses"
    for status in reversed(await reading.listed(path)):
        at, fact = time_of(status, "created_at"), f"deployment-status-{integer_at(status, 'id')}"
        if reading.is_new("deployments", fact, at):
            parts = {"deployment": deployment, "deployment_status": status}
            item = reading.teller.of("deployment_status", "created", at, status.get("creator"), parts)
            reading.tell(fact, item)


async def read_checks(reading: StepReading, kind: str) -> None:
    """Check suites or check runs that completed on the default branch and on open pull requests."""
    key = "updated_at" if kind == "check_suites" else "completed_at"
    pulls = await reading.listed(f"{reading.root}/pulls", state="open", sort="updated", direction="desc")
    heads = [text_at(object_at(pull, "head"), "sha") for pull in pulls[:MOST_HEADS]]
    branch = text_at(reading.teller.repository, "default_branch")
    times = []
    for head in dict.fromkeys([quote(branch), *heads]):
        path = f"{reading.root}/commits/{head}/{kind.replace('_', '-')}"
        for check in await reading.listed(path, items=kind, pages=MOST_PAGES) if head else ():
            if text_at(check, "status") != "completed":
                continue
            at, conclusion = time_of(check, key), text_at(check, "conclusion")
            times.append(at)
            fact = f"{kind}-{integer_at(check, 'id')}@{at}:{conclusion}"
            if reading.is_new(kind, fact, at):
                # Who asked for it is not told; its author is the app.
                event = kind.removesuffix("s")
                reading.tell(fact, reading.teller.of(event, "completed", at, None, {event: check}))
    reading.reached(kind, times, ended=True)
