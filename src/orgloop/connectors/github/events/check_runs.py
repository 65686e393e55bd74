"""Workflow runs, check suites and check runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orgloop.connectors.github.events.fact import Fact, labels, repo_of, thing
from orgloop.connectors.github.events.people import app, runner
from orgloop.plugin import Json, integer_at, object_at, objects_at, text_at

FAILURES: Final = frozenset({"failure", "startup_failure", "timed_out"})
"""Conclusions of a run that failed of itself; a cancelled one did not."""


def workflow_run(body: Json, team: frozenset[str]) -> Fact | None:
    """`workflow_run` completed, whatever its conclusion; the other actions pass as they are."""
    run = object_at(body, "workflow_run")
    if not run or text_at(body, "action") != "completed":
        return None
    author, id, conclusion = runner(body, team), integer_at(run, "id"), text_at(run, "conclusion")
    pull = own_pull(body, run)
    return Fact(
        platform_event="workflow_run.completed",
        resource_id=f"run-{id}",
        author=author,
        details={
            "pr_author": text_at(object_at(pull, "user"), "login") or author.login,
            "labels": labels(pull),
            "repo": repo_of(body),
            **linked(pull),
            "url": text_at(run, "html_url"),
        },
        payload={
            "action": "workflow_run_failed" if conclusion in FAILURES else "workflow_run_completed",
            "workflow_name": text_at(run, "name") or text_at(object_at(body, "workflow"), "name"),
            "run_number": integer_at(run, "run_number"),
            "conclusion": conclusion or None,
            "head_branch": run.get("head_branch"),
            "head_sha": text_at(run, "head_sha"),
            "head_repo": text_at(object_at(run, "head_repository"), "full_name") or None,
        },
        key=f"run-{id}.{integer_at(run, 'run_attempt') or 1}:{conclusion}" if id is not None else None,
        entity=thing("run", id),
    )


def check_suite(body: Json, team: frozenset[str]) -> Fact | None:
    """`check_suite` completed; the other actions pass as they are."""
    suite = object_at(body, "check_suite")
    if not suite or text_at(body, "action") != "completed":
        return None
    id, conclusion, at = integer_at(suite, "id"), text_at(suite, "conclusion"), text_at(suite, "updated_at")
    pull = own_pull(body, suite)
    pr_author = text_at(object_at(pull, "user"), "login")
    owner = object_at(suite, "app")
    return Fact(
        platform_event="check_suite.completed",
        resource_id=f"suite-{id}",
        author=app(suite, team),
        details={
            **({"pr_author": pr_author} if pr_author else {}),
            "repo": repo_of(body),
            **linked(pull),
            "url": text_at(suite, "url"),
        },
        payload={
            "action": "check_suite_completed",
            "conclusion": conclusion or None,
            "status": text_at(suite, "status"),
            "app_name": text_at(owner, "name") or text_at(owner, "slug"),
            "head_branch": suite.get("head_branch"),
            "head_sha": text_at(suite, "head_sha"),
            "before": suite.get("before"),
            "after": suite.get("after"),
        },
        key=f"suite-{id}@{at}:{conclusion}" if id is not None and at else None,
        entity=thing("suite", id),
    )


def check_run(body: Json, team: frozenset[str]) -> Fact | None:
    """`check_run` created or completed: what its app did. The other actions are those of a person."""
    run, action = object_at(body, "check_run"), text_at(body, "action")
    if not run or action not in ("created", "completed"):
        return None
    id, conclusion = integer_at(run, "id"), text_at(run, "conclusion")
    at = text_at(run, "completed_at" if action == "completed" else "started_at")
    pull = own_pull(body, run) or own_pull(body, object_at(run, "check_suite"))
    return Fact(
        platform_event=f"check_run.{action}",
        author=app(run, team),
        details={
            "repo": repo_of(body),
            **linked(pull),
            "url": text_at(run, "html_url") or text_at(run, "url"),
        },
        payload=body,
        key=f"check-run-{id}-{action}@{at}:{conclusion}" if id is not None and at else None,
        entity=thing("check-run", id),
    )


def own_pull(body: Json, ran: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pull request of this repository that a run or suite ran for; empty if there is none.

    GitHub lists those of other repositories too, such as a fork's from this one's branch.
    """
    id = integer_at(object_at(body, "repository"), "id")
    pulls = objects_at(ran, "pull_requests")
    own = (one for one in pulls if id is not None and integer_at(object_at(one, "base", "repo"), "id") == id)
    return next(own, {})


def linked(pull: Mapping[str, Any]) -> dict[str, Any]:
    """The number of the pull request that it ran for. GitHub links none from a fork."""
    count = integer_at(pull, "number")
    return {} if count is None else {"pr_number": count}
