"""Workflow runs, check suites and check runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orgloop.connectors.github.events.fact import Fact, repo_of, thing
from orgloop.connectors.github.events.people import app, runner
from orgloop.connectors.github.events.reading import labels, number, part, text

Body = Mapping[str, Any]

FAILURES: Final = frozenset({"failure", "startup_failure", "timed_out"})
"""Conclusions of a run that failed of itself; a cancelled one did not."""


def workflow_run(body: Body, team: frozenset[str]) -> Fact | None:
    """`workflow_run` completed, whatever its conclusion; the other actions pass as they are."""
    run = part(body, "workflow_run")
    if not run or text(body, "action") != "completed":
        return None
    author, id, conclusion = runner(body, team), number(run, "id"), text(run, "conclusion")
    pull = own_pull(body, run)
    return Fact(
        platform_event="workflow_run.completed",
        resource_id=f"run-{id}",
        author=author,
        details={
            "pr_author": text(part(pull, "user"), "login") or author.login,
            "labels": labels(pull),
            "repo": repo_of(body),
            **linked(pull),
            "url": text(run, "html_url"),
        },
        payload={
            "action": "workflow_run_failed" if conclusion in FAILURES else "workflow_run_completed",
            "workflow_name": text(run, "name") or text(part(body, "workflow"), "name"),
            "run_number": number(run, "run_number"),
            "conclusion": conclusion or None,
            "head_branch": run.get("head_branch"),
            "head_sha": text(run, "head_sha"),
            "head_repo": text(part(run, "head_repository"), "full_name") or None,
        },
        key=f"run-{id}.{number(run, 'run_attempt') or 1}:{conclusion}" if id is not None else None,
        entity=thing("run", id),
    )


def check_suite(body: Body, team: frozenset[str]) -> Fact | None:
    """`check_suite` completed; the other actions pass as they are."""
    suite = part(body, "check_suite")
    if not suite or text(body, "action") != "completed":
        return None
    id, conclusion, at = number(suite, "id"), text(suite, "conclusion"), text(suite, "updated_at")
    pull = own_pull(body, suite)
    pr_author = text(part(pull, "user"), "login")
    owner = part(suite, "app")
    return Fact(
        platform_event="check_suite.completed",
        resource_id=f"suite-{id}",
        author=app(suite, team),
        details={
            **({"pr_author": pr_author} if pr_author else {}),
            "repo": repo_of(body),
            **linked(pull),
            "url": text(suite, "url"),
        },
        payload={
            "action": "check_suite_completed",
            "conclusion": conclusion or None,
            "status": text(suite, "status"),
            "app_name": text(owner, "name") or text(owner, "slug"),
            "head_branch": suite.get("head_branch"),
            "head_sha": text(suite, "head_sha"),
            "before": suite.get("before"),
            "after": suite.get("after"),
        },
        key=f"suite-{id}@{at}:{conclusion}" if id is not None and at else None,
        entity=thing("suite", id),
    )


def check_run(body: Body, team: frozenset[str]) -> Fact | None:
    """`check_run` created or completed: what its app did. The other actions are those of a person."""
    run, action = part(body, "check_run"), text(body, "action")
    if not run or action not in ("created", "completed"):
        return None
    id, conclusion = number(run, "id"), text(run, "conclusion")
    at = text(run, "completed_at" if action == "completed" else "started_at")
    pull = own_pull(body, run) or own_pull(body, part(run, "check_suite"))
    return Fact(
        platform_event=f"check_run.{action}",
        author=app(run, team),
        details={
            "repo": repo_of(body),
            **linked(pull),
            "url": text(run, "html_url") or text(run, "url"),
        },
        payload=body,
        key=f"check-run-{id}-{action}@{at}:{conclusion}" if id is not None and at else None,
        entity=thing("check-run", id),
    )


def own_pull(body: Body, ran: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pull request of this repository that a run or suite ran for; empty if there is none.

    GitHub lists those of other repositories too, such as a fork's from this one's branch.
    """
    id = number(part(body, "repository"), "id")
    listed = ran.get("pull_requests")
    pulls = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    own = (one for one in pulls if id is not None and number(part(one, "base", "repo"), "id") == id)
    return next(own, {})


def linked(pull: Mapping[str, Any]) -> dict[str, Any]:
    """The number of the pull request that it ran for. GitHub links none from a fork."""
    count = number(pull, "number")
    return {} if count is None else {"pr_number": count}
