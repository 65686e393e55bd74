"""What kind of event a body is. Only the body is signed, not the header that names the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orgloop.connectors.github.events.names import ACTIONS
from orgloop.plugin import Json, Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyShape:
    """The keys that a kind's body always has, and those that it may have, as far as they tell kinds apart."""

    needs: frozenset[str]
    may: frozenset[str]


def _shape(needs: str, may: str = "") -> BodyShape:
    return BodyShape(needs=frozenset(needs.split()), may=frozenset(f"{needs} {may}".split()))


_SHAPES: Final[Mapping[str, BodyShape]] = {
    "branch_protection_rule": _shape("rule"),
    "check_run": _shape("check_run", "requested_action deployment"),
    "check_suite": _shape("check_suite"),
    "code_scanning_alert": _shape("alert commit_oid", "ref"),
    "commit_comment": _shape("comment"),
    "create": _shape("ref ref_type master_branch"),
    "delete": _shape("ref ref_type"),
    "dependabot_alert": _shape("alert"),
    "deploy_key": _shape("key"),
    "deployment": _shape("deployment", "workflow workflow_run check_run"),
    "deployment_protection_rule": _shape("deployment", "pull_requests ref"),
    "deployment_review": _shape("workflow_run", "workflow_job_run workflow_job_runs reviewers requestor"),
    "deployment_status": _shape(
        "deployment deployment_status", "check_run workflow workflow_run workflow_job"
    ),
    "discussion": _shape("discussion", "answer old_answer label"),
    "discussion_comment": _shape("comment discussion"),
    "fork": _shape("forkee"),
    "gollum": _shape("pages"),
    "issue_comment": _shape("comment issue"),
    "issue_dependencies": _shape("", "blocked_issue blocking_issue issue"),
    "issues": _shape("issue", "assignee label milestone type"),
    "label": _shape("label"),
    "marketplace_purchase": _shape("marketplace_purchase"),
    "member": _shape("member"),
    "membership": _shape("member team"),
    "merge_group": _shape("merge_group"),
    "meta": _shape("hook"),
    "milestone": _shape("milestone"),
    "org_block": _shape("blocked_user"),
    "organization": _shape("organization", "invitation membership"),
    "package": _shape("package"),
    "page_build": _shape("build"),
    "ping": _shape("hook", "zen"),
    "project": _shape("project"),
    "project_card": _shape("project_card"),
    "project_column": _shape("project_column"),
    "projects_v2": _shape("projects_v2"),
    "projects_v2_item": _shape("projects_v2_item"),
    "projects_v2_status_update": _shape("projects_v2_status_update"),
    "public": _shape("repository"),
    "pull_request": _shape(
        "pull_request", "after before assignee label milestone requested_reviewer requested_team"
    ),
    "pull_request_review": _shape("pull_request review"),
    "pull_request_review_comment": _shape("comment pull_request"),
    "pull_request_review_thread": _shape("pull_request thread"),
    "push": _shape("ref", "after before commits head_commit pusher"),
    "registry_package": _shape("registry_package"),
    "release": _shape("release"),
    "repository": _shape("repository"),
    "repository_advisory": _shape("repository_advisory"),
    "repository_dispatch": _shape("client_payload"),
    "repository_ruleset": _shape("repository_ruleset"),
    "repository_vulnerability_alert": _shape("alert"),
    "secret_scanning_alert": _shape("alert"),
    "secret_scanning_alert_location": _shape("alert location"),
    "security_advisory": _shape("security_advisory"),
    "sponsorship": _shape("sponsorship"),
    "star": _shape("starred_at"),
    "status": _shape("sha state", "commit context"),
    "sub_issues": _shape("", "sub_issue parent_issue"),
    "team": _shape("team"),
    "team_add": _shape("team"),
    "watch": _shape("repository"),
    "workflow_dispatch": _shape("workflow", "inputs ref"),
    "workflow_job": _shape("workflow_job", "deployment"),
    "workflow_run": _shape("workflow_run", "workflow"),
}

_EVERYWHERE: Final = frozenset({"repository", "organization"})
_SUBJECTS: Final = frozenset().union(*(shape.may for shape in _SHAPES.values())) - _EVERYWHERE
_ANY_ACTION: Final = frozenset({"repository_dispatch"})


def require_kind(event: str, body: Json) -> None:
    """Raises Refused if the body is of another kind than `event`, the header's word for it."""
    if event in _SHAPES and not proves(event, body) and (other := _other_kind(event, body)):
        raise Refused(
            f"X-GitHub-Event says {event}, but the body is a {other}",
            hint="the header must name what the body is: GitHub signs the body only",
        )


def proves(event: str, body: Json) -> bool:
    """Whether the body, which GitHub has signed, can be nothing but this kind."""
    shape = _SHAPES.get(event)
    return shape is not None and _fits(event, shape, _subjects(body), body)


def likeliest(event: str, body: Json) -> str:
    """`event`, or the known kind that a body under an unknown name looks like."""
    return event if event in _SHAPES else _other_kind(event, body) or event


def _other_kind(event: str, body: Json) -> str:
    subjects = _subjects(body)
    fitting = [
        kind for kind, shape in _SHAPES.items() if kind != event and _fits(kind, shape, subjects, body)
    ]
    return max(fitting, key=lambda kind: len(_SHAPES[kind].needs), default="")


def _fits(kind: str, shape: BodyShape, subjects: frozenset[str], body: Json) -> bool:
    if not shape.needs <= body.keys() or not subjects <= shape.may:
        return False
    action, known = body.get("action"), ACTIONS.get(kind, "").split()
    if kind in _ANY_ACTION:
        return True
    return action is None if not known else action in known


def _subjects(body: Json) -> frozenset[str]:
    return _SUBJECTS & body.keys()
