"""From GitHub's deliveries to events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.connectors.github import connector
from orgloop.connectors.github.events.normalize import normalize
from orgloop.core.events.event import event_names
from orgloop.plugin import Draft
from tests.connectors.github_bodies import (
    DELIVERIES,
    HUBOT,
    MERGED,
    MONA,
    PAGE,
    RENOVATE,
    STRANGER,
    Body,
    body,
    check_run,
    comment,
    dated,
    issue,
    issue_note,
    pull,
    review,
    run,
    suite,
)

PULL = {
    "pr_author": "hubot",
    "labels": ["backend"],
    "repo": "octo-org/billing",
    "pr_number": 42,
    "pr_state": "open",
    "pr_merged": False,
    "url": f"{PAGE}/pull/42",
}
SHORT_PULL = {"pr_title": "Retry failed invoices", "pr_number": 42}
SHORT_ISSUE = {
    "issue_body": "I got the same invoice again.",
    "issue_title": "Invoices are sent twice",
    "issue_number": 7,
    "issue_state": "open",
}
ISSUE = {
    "repo": "octo-org/billing",
    "issue_number": 7,
    "labels": ["bug"],
    "url": f"{PAGE}/issues/7",
}


def of(name: str) -> Draft:
    return normalize(*DELIVERIES[name])


def head(platform_event: str, native: str, resource_id: str, author: str, kind: str) -> dict[str, Any]:
    event, _, action = native.partition(":")
    return {
        "platform": "github",
        "platform_event": platform_event,
        "native_event": event,
        "native_action": action,
        "resource_id": resource_id,
        "author": author,
        "author_type": kind,
    }


HEAD = {
    "head_ref": "retry-invoices",
    "head_sha": "ec26c3e",
    "head_repo": "octo-org/billing",
    "base_ref": "main",
}
OPEN_PULL = {**SHORT_PULL, **HEAD, "pr_body": "Invoices that failed are sent again."}


def done_by(sender: str) -> Body:
    return {"sender": sender, "performed_via_github_app": None}


def test_a_review() -> None:
    draft = of("pull_request.review_submitted")
    assert draft.type == "resource.changed"
    assert draft.provenance == {
        **head(
            "pull_request.review_submitted",
            "pull_request_review:submitted",
            "review-2406118523",
            "mona",
            "team_member",
        ),
        **PULL,
        "url": f"{PAGE}/pull/42#pullrequestreview-2406118523",
        "review_id": 2406118523,
        "review_state": "changes_requested",
    }
    assert draft.payload == {
        "action": "review_submitted",
        "review_id": 2406118523,
        "review_state": "changes_requested",
        "review_body": review()["body"],
        **SHORT_PULL,
        **HEAD,
        **done_by("mona"),
    }


def test_a_review_state_is_in_lower_case_and_an_empty_body_is_null() -> None:
    given = review(state="APPROVED", body=None)
    draft = normalize("pull_request_review", body("submitted", review=given, pull_request=pull()))
    assert (draft.provenance["review_state"], draft.payload["review_state"]) == ("approved", "approved")
    assert draft.payload["review_body"] is None


def test_a_review_of_a_merged_pull_request_says_so() -> None:
    merged = pull(state="closed", merged_at="2026-01-05T11:00:00Z")
    draft = normalize("pull_request_review", body("submitted", review=review(), pull_request=merged))
    assert (draft.provenance["pr_state"], draft.provenance["pr_merged"]) == ("closed", True)


@pytest.mark.parametrize("action", ["edited", "dismissed"])
def test_only_a_submitted_review_is_submitted(action: str) -> None:
    draft = normalize("pull_request_review", body(action, review=review(), pull_request=pull()))
    assert draft.provenance["platform_event"] == f"pull_request.review_{action}"
    assert draft.provenance["resource_id"] == f"review-2406118523-{action}"
    assert draft.payload["action"] == f"review_{action}"


def test_a_review_comment() -> None:
    draft = of("pull_request_review_comment")
    assert draft.provenance == {
        **head(
            "pull_request_review_comment",
            "pull_request_review_comment:created",
            "comment-900",
            "mona",
            "team_member",
        ),
        **PULL,
        "url": f"{PAGE}/pull/42#discussion_r900",
    }
    assert draft.payload == {
        "action": "review_comment",
        "comment_body": "Name this constant.",
        **SHORT_PULL,
        "diff_hunk": "@@ -1,2 +1,3 @@",
        "path": "billing/retry.py",
        **HEAD,
        **done_by("mona"),
    }


@pytest.mark.parametrize("action", ["edited", "deleted"])
def test_a_changed_review_comment_has_a_name_of_its_own(action: str) -> None:
    draft = normalize("pull_request_review_comment", body(action, comment=comment(), pull_request=pull()))
    assert draft.provenance["platform_event"] == f"pull_request_review_comment.{action}"
    assert draft.provenance["resource_id"] == f"comment-900-{action}"
    assert draft.payload["action"] == f"review_comment_{action}"


@pytest.mark.parametrize("event", ["issue_comment", "pull_request_review_comment"])
@pytest.mark.parametrize("action", ["created", "edited", "deleted"])
def test_new_comments_can_be_told_from_changed_ones_by_name(event: str, action: str) -> None:
    sent = body(action, comment=comment(), pull_request=pull(), issue=issue())
    draft = normalize(event, sent)
    names = event_names(draft.type, draft.provenance)
    assert event in names
    assert f"{event}.{action}" in names
    assert (f"{event}.created" in names) is (action == "created")


def test_a_comment_on_an_issue() -> None:
    draft = of("issue_comment")
    assert draft.provenance == {
        **head("issue_comment", "issue_comment:created", "issue-comment-901", "mona", "team_member"),
        "pr_author": "stranger",
        "labels": ["bug"],
        "repo": "octo-org/billing",
        "pr_number": 7,
        "pr_state": "open",
        "pr_merged": False,
        "url": f"{PAGE}/issues/7#issuecomment-901",
    }
    assert draft.payload == {
        "action": "issue_comment",
        "comment_body": "I can reproduce this.",
        "issue_title": "Invoices are sent twice",
        "issue_number": 7,
        "is_pull_request": False,
        **done_by("mona"),
    }


def test_a_comment_on_a_merged_pull_request() -> None:
    on_pull = issue(pull_request={"url": "x", "merged_at": "2026-01-05T11:00:00Z"}, state="closed")
    draft = normalize("issue_comment", body("created", comment=issue_note(), issue=on_pull))
    assert (draft.provenance["pr_state"], draft.provenance["pr_merged"]) == ("closed", True)
    assert draft.payload["is_pull_request"] is True


@pytest.mark.parametrize("action", ["edited", "deleted"])
def test_a_changed_comment_has_a_name_of_its_own(action: str) -> None:
    draft = normalize("issue_comment", body(action, comment=issue_note(), issue=issue()))
    assert draft.provenance["platform_event"] == f"issue_comment.{action}"
    assert draft.provenance["resource_id"] == f"issue-comment-901-{action}"
    assert draft.payload["action"] == f"issue_comment.{action}"
    assert "issue_comment" in event_names(draft.type, draft.provenance)


def test_an_opened_pull_request() -> None:
    draft = of("pull_request.opened")
    assert draft.provenance == {
        **head("pull_request.opened", "pull_request:opened", "pr-42-opened", "hubot", "team_member"),
        **PULL,
    }
    assert draft.payload == {
        "action": "opened",
        **OPEN_PULL,
        **done_by("hubot"),
        "draft": False,
    }


def test_a_pull_request_that_becomes_ready() -> None:
    draft = of("pull_request.ready_for_review")
    assert draft.provenance["resource_id"] == "pr-42-ready"
    assert draft.payload == {
        "action": "ready_for_review",
        **OPEN_PULL,
        **done_by("hubot"),
    }


def test_merged_is_not_closed() -> None:
    merged, closed = of("pull_request.merged"), of("pull_request.closed")
    assert merged.provenance["platform_event"] == "pull_request.merged"
    assert merged.payload == {
        "action": "merged",
        **OPEN_PULL,
        **done_by("mona"),
        "merged": True,
        "merged_by": "mona",
    }
    assert (merged.provenance["pr_state"], merged.provenance["pr_merged"]) == ("closed", True)
    assert closed.provenance["platform_event"] == "pull_request.closed"
    assert closed.payload == {"action": "closed", **OPEN_PULL, **done_by("hubot"), "merged": False}
    assert (closed.provenance["pr_state"], closed.provenance["pr_merged"]) == ("closed", False)
    assert merged.key != closed.key


@pytest.mark.parametrize("action", ["synchronize", "labeled", "reopened", "converted_to_draft", "edited"])
def test_other_actions_on_a_pull_request_keep_body_and_provenance(action: str) -> None:
    given = body(action, HUBOT, number=42, pull_request=pull(), label={"name": "urgent"})
    draft = normalize("pull_request", given)
    assert draft.provenance == {
        **head(f"pull_request.{action}", f"pull_request:{action}", f"pr-42-{action}", "hubot", "team_member"),
        **PULL,
    }
    assert draft.payload == given


def test_an_opened_issue() -> None:
    draft = of("issues.opened")
    assert draft.provenance == {
        **head("issues.opened", "issues:opened", "issue-7-opened", "stranger", "external"),
        **ISSUE,
    }
    assert draft.payload == {"action": "opened", **SHORT_ISSUE, **done_by("stranger")}


def test_a_labeled_issue() -> None:
    draft = of("issues.labeled")
    assert draft.provenance == {
        **head("issues.labeled", "issues:labeled", "issue-7-labeled-bug", "mona", "team_member"),
        **ISSUE,
        "label": "bug",
    }
    assert draft.payload == {"action": "labeled", **SHORT_ISSUE, **done_by("mona"), "label": "bug"}


def test_an_assigned_issue() -> None:
    draft = of("issues.assigned")
    assert draft.provenance["resource_id"] == "issue-7-assigned-hubot"
    assert draft.payload == {"action": "assigned", **SHORT_ISSUE, **done_by("mona"), "assignee": "hubot"}


def test_other_actions_on_an_issue_keep_their_body() -> None:
    given = body("closed", issue=issue(state="closed"))
    draft = normalize("issues", given)
    assert draft.provenance == {
        **head("issues.closed", "issues:closed", "issue-7-closed", "mona", "team_member"),
        **ISSUE,
    }
    assert draft.payload == given


def test_a_failed_workflow_run() -> None:
    draft = of("workflow_run.completed")
    assert draft.provenance == {
        **head("workflow_run.completed", "workflow_run:completed", "run-5000", "hubot", "team_member"),
        "pr_author": "hubot",
        "labels": [],
        "repo": "octo-org/billing",
        "pr_number": 42,
        "url": f"{PAGE}/actions/runs/5000",
    }
    assert draft.payload == {
        "action": "workflow_run_failed",
        "workflow_name": "tests",
        "run_number": 128,
        "conclusion": "failure",
        "head_branch": "retry-invoices",
        "head_sha": "ec26c3e",
        "head_repo": "octo-org/billing",
    }


@pytest.mark.parametrize(
    ("conclusion", "action"),
    [
        ("failure", "workflow_run_failed"),
        ("timed_out", "workflow_run_failed"),
        ("startup_failure", "workflow_run_failed"),
        ("success", "workflow_run_completed"),
        ("cancelled", "workflow_run_completed"),
        ("skipped", "workflow_run_completed"),
        (None, "workflow_run_completed"),
    ],
)
def test_every_completion_of_a_run_is_an_event(conclusion: str | None, action: str) -> None:
    draft = normalize("workflow_run", body("completed", workflow_run=run(conclusion=conclusion)))
    assert draft.provenance["platform_event"] == "workflow_run.completed"
    assert (draft.payload["conclusion"], draft.payload["action"]) == (conclusion, action)


def test_a_linked_pull_requests_author_comes_first() -> None:
    foreign = {"number": 7, "base": {"repo": {"id": 11}}, "user": STRANGER, "labels": [{"name": "foreign"}]}
    own = {"number": 42, "base": {"repo": {"id": 10}}, "user": MONA, "labels": [{"name": "ci"}]}
    linked = run(pull_requests=[foreign, own])
    draft = normalize("workflow_run", body("completed", workflow_run=linked))
    assert (draft.provenance["pr_author"], draft.provenance["labels"]) == ("mona", ["ci"])
    assert draft.provenance["pr_number"] == 42
    draft = normalize("workflow_run", body("completed", workflow_run=run(pull_requests=[foreign])))
    assert (draft.provenance["pr_author"], draft.provenance["labels"]) == ("hubot", [])
    assert "pr_number" not in draft.provenance
    draft = normalize("workflow_run", body("completed", workflow_run=run(pull_requests=[])))
    assert draft.provenance["pr_author"] == "hubot"
    assert "pr_number" not in draft.provenance


@pytest.mark.parametrize(
    ("event", "given"),
    [
        ("workflow_run", lambda pulls: body("completed", workflow_run=run(pull_requests=pulls))),
        ("workflow_run", lambda pulls: body("requested", workflow_run=run(pull_requests=pulls))),
        ("check_suite", lambda pulls: body("completed", check_suite=suite(pull_requests=pulls))),
        ("check_suite", lambda pulls: body("requested", check_suite=suite(pull_requests=pulls))),
        ("check_run", lambda pulls: body("completed", check_run={"id": 1, "pull_requests": pulls})),
        (
            "check_run",
            lambda pulls: body(
                "completed",
                check_run={"id": 1, "pull_requests": [], "check_suite": {"pull_requests": pulls}},
            ),
        ),
    ],
)
@pytest.mark.parametrize("foreign", [{"repo": {"id": 11}}, {"repo": {}}, {}, {"repo": {"id": "10"}}])
def test_only_pull_requests_of_the_events_repository_count(
    event: str, given: Callable[[list[Body]], Body], foreign: Body
) -> None:
    stranger = {"number": 7, "base": foreign, "user": STRANGER}
    own = {"number": 42, "base": {"repo": {"id": 10}}, "user": MONA}
    assert normalize(event, given([stranger, own])).provenance["pr_number"] == 42
    alone = normalize(event, given([stranger])).provenance
    assert "pr_number" not in alone
    assert alone.get("pr_author") != "stranger"


def test_what_was_edited_by_whom_and_through_what_is_in_the_event() -> None:
    written = {**issue_note(), "performed_via_github_app": {"slug": "octo-checks"}}
    edited = body("edited", MONA, comment=written, issue=issue(), changes={"body": {"from": "I can."}})
    payload = normalize("issue_comment", edited).payload
    assert payload["changes"] == {"body": {"from": "I can."}}
    assert (payload["sender"], payload["performed_via_github_app"]) == ("mona", "octo-checks")
    dismissed = body("dismissed", HUBOT, review=review(state="dismissed"), pull_request=pull())
    assert normalize("pull_request_review", dismissed).payload["sender"] == "hubot"
    gone = pull(head={"ref": "x", "sha": "1", "repo": None})
    assert (
        normalize("pull_request", body("opened", number=42, pull_request=gone)).payload["head_repo"] is None
    )


def test_a_completed_check_suite() -> None:
    draft = of("check_suite.completed")
    assert draft.provenance == {
        **head("check_suite.completed", "check_suite:completed", "suite-6000", "octo-checks", "bot"),
        "repo": "octo-org/billing",
        "pr_number": 42,
        "url": "https://api.github.com/repos/octo-org/billing/check-suites/6000",
    }
    assert draft.payload == {
        "action": "check_suite_completed",
        "conclusion": "success",
        "status": "completed",
        "app_name": "Octo Checks",
        "head_branch": "retry-invoices",
        "head_sha": "ec26c3e",
        "before": "6113728",
        "after": "ec26c3e",
    }


def test_any_other_event_passes_under_its_own_name_with_its_author() -> None:
    name, given = DELIVERIES["push"]
    draft = normalize(name, given)
    assert draft.provenance == {
        "platform": "github",
        "platform_event": "push",
        "native_event": "push",
        "author": "mona",
        "author_type": "team_member",
        "repo": "octo-org/billing",
        "url": f"{PAGE}/compare/6113728...ec26c3e",
    }
    assert draft.payload == given
    assert draft.key is None


@pytest.mark.parametrize(
    ("event", "given", "details"),
    [
        (
            "workflow_run",
            body("requested", workflow_run=run()),
            {"repo": "octo-org/billing", "pr_number": 42, "url": f"{PAGE}/actions/runs/5000"},
        ),
        (
            "check_suite",
            body("rerequested", check_suite=suite()),
            {"repo": "octo-org/billing", "pr_number": 42},
        ),
        (
            "pull_request_review_thread",
            body("resolved", thread={"comments": []}, pull_request=pull()),
            {"pr_number": 42, "url": f"{PAGE}/pull/42", "pr_author": "hubot"},
        ),
        (
            "discussion",
            body("created", discussion={"number": 5, "html_url": f"{PAGE}/discussions/5"}),
            {"number": 5, "url": f"{PAGE}/discussions/5"},
        ),
        ("star", body("created", starred_at="x"), {"url": PAGE}),
        (
            "deployment_status",
            body("created", deployment_status={"url": "https://status"}, workflow_run=run()),
            {"url": "https://status"},
        ),
        ("gollum", body(pages=[{"html_url": f"{PAGE}/wiki/Home"}]), {"url": f"{PAGE}/wiki/Home"}),
        (
            "organization",
            {"action": "member_added", "organization": {"url": "https://api.github.com/orgs/octo-org"}},
            {"url": "https://api.github.com/orgs/octo-org"},
        ),
    ],
)
def test_an_event_that_passes_has_repo_number_and_url(
    event: str, given: Body, details: dict[str, Any]
) -> None:
    draft = normalize(event, given)
    assert draft.provenance["platform_event"] == f"{event}.{given['action']}" if "action" in given else event
    assert {key: draft.provenance.get(key) for key in details} == details
    assert draft.payload is given


@pytest.mark.parametrize("event", sorted({event for event, _ in DELIVERIES.values()}))
def test_a_delivery_without_its_subject_passes_too(event: str) -> None:
    draft = normalize(event, {"action": "created"})
    assert draft.provenance["platform_event"] == f"{event}.created"
    assert (draft.provenance["author"], draft.provenance["author_type"]) == ("unknown", "unknown")


def test_a_deleted_account_is_unknown() -> None:
    ghost = comment(user=None, author_association="NONE")
    draft = normalize(
        "pull_request_review_comment", body("created", comment=ghost, pull_request=pull(user=None))
    )
    assert draft.provenance["author"] == "unknown"
    assert draft.provenance["pr_author"] == "unknown"
    assert draft.provenance["author_type"] == "external"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from(sorted(DELIVERIES)), st.data())
def test_no_shape_of_a_body_is_an_error(name: str, data: st.DataObject) -> None:
    event, given = DELIVERIES[name]
    changed = dict(given)
    key = data.draw(st.sampled_from(sorted(given)))
    part = given[key]
    if isinstance(part, dict) and data.draw(st.booleans()):
        changed[key] = {**part, data.draw(st.sampled_from(sorted(part))): data.draw(JSON)}
    else:
        changed[key] = data.draw(JSON)
    draft = normalize(event, changed)
    assert isinstance(draft.provenance["author"], str)
    assert isinstance(draft.provenance["native_event"], str)


def test_the_example_is_a_review_as_it_is_normalized() -> None:
    assert connector.source is not None
    draft = of("pull_request.review_submitted")
    assert connector.source.example == {
        "type": draft.type,
        "provenance": draft.provenance,
        "payload": draft.payload,
    }


def key(event: str, given: Body) -> str | None:
    return normalize(event, given).key


def test_the_same_fact_has_the_same_key() -> None:
    for event, content in DELIVERIES.values():
        assert key(event, content) == key(event, {**content, "installation": {"id": 1}})
    assert key("issues", body("opened", issue=issue())) == key(
        "issues", body("opened", issue=issue(title="Edited since", updated_at="2026-02-01T00:00:00Z"))
    )


def test_each_version_of_a_comment_is_a_fact_of_its_own() -> None:
    later = "2026-01-05T11:05:00Z"
    versions = [
        body("created", comment=issue_note(), issue=issue()),
        body("edited", comment=issue_note(updated_at=later), issue=issue()),
        # Two edits within one second.
        body("edited", comment={**issue_note(updated_at=later), "body": "Fixed."}, issue=issue()),
        body("deleted", comment=issue_note(updated_at=later), issue=issue()),
    ]
    assert len({key("issue_comment", version) for version in versions}) == 4


@pytest.mark.parametrize(
    ("event", "one", "other"),
    [
        (
            "pull_request",
            body("closed", pull_request=dated()),
            body("closed", pull_request={**dated(), "closed_at": "2026-01-06T00:00:00Z"}),
        ),
        ("pull_request", body("opened", pull_request=pull()), body("opened", pull_request=pull(number=43))),
        (
            "pull_request",
            body("ready_for_review", pull_request=pull()),
            body("ready_for_review", pull_request=pull(updated_at="2026-01-06T00:00:00Z")),
        ),
        ("pull_request", body("closed", pull_request=dated()), body("closed", pull_request=dated(**MERGED))),
        (
            "pull_request_review",
            body("submitted", review=review(), pull_request=pull()),
            body("dismissed", review=review(), pull_request=pull()),
        ),
        (
            "issues",
            body("labeled", issue=issue(), label={"name": "bug"}),
            body("labeled", issue=issue(), label={"name": "urgent"}),
        ),
        (
            "issues",
            body("assigned", issue=issue(), assignee=MONA),
            body("assigned", issue=issue(), assignee=HUBOT),
        ),
        (
            "pull_request",
            body("labeled", pull_request=pull(), label={"name": "bug"}),
            body("unlabeled", pull_request=pull(), label={"name": "bug"}),
        ),
        (
            "pull_request",
            body("review_requested", pull_request=pull(), requested_reviewer=MONA),
            body("review_requested", pull_request=pull(), requested_team={"slug": "mona"}),
        ),
        (
            "pull_request",
            body("synchronize", pull_request=pull(), before="a", after="b"),
            body("synchronize", pull_request=pull(), before="b", after="a"),
        ),
        (
            "check_run",
            body("created", check_run=check_run()),
            body("completed", check_run=check_run()),
        ),
        (
            "workflow_run",
            body("completed", workflow_run=run()),
            body("completed", workflow_run=run(run_attempt=2)),
        ),
        (
            "check_suite",
            body("completed", check_suite=suite()),
            body("completed", check_suite=suite(updated_at="2026-01-06T00:00:00Z")),
        ),
    ],
)
def test_different_facts_have_different_keys(event: str, one: Body, other: Body) -> None:
    assert None not in (key(event, one), key(event, other))
    assert key(event, one) != key(event, other)


@pytest.mark.parametrize(
    ("event", "given"),
    [
        # Several within one second look the same; only the delivery's id tells them apart.
        ("pull_request", body("edited", pull_request=pull())),
        ("pull_request", body("synchronize", pull_request=pull())),
        ("pull_request_review", body("edited", review=review(), pull_request=pull())),
        ("issues", body("unlabeled", issue=issue())),
        ("push", DELIVERIES["push"][1]),
        ("pull_request", {**body("opened", pull_request=pull()), "repository": None}),
    ],
)
def test_what_cannot_be_told_apart_has_no_key(event: str, given: Body) -> None:
    assert key(event, given) is None


def author_type(event: str, given: Body, team: frozenset[str] = frozenset()) -> str:
    return str(normalize(event, given, team).provenance["author_type"])


@pytest.mark.parametrize(
    ("association", "expected"),
    [
        ("OWNER", "team_member"),
        ("MEMBER", "team_member"),
        ("COLLABORATOR", "team_member"),
        ("CONTRIBUTOR", "external"),
        ("FIRST_TIME_CONTRIBUTOR", "external"),
        ("NONE", "external"),
        (None, "external"),
    ],
)
def test_a_writer_is_what_github_says(association: str | None, expected: str) -> None:
    written = comment(user=STRANGER, author_association=association)
    given = body("created", comment=written, pull_request=pull())
    assert author_type("pull_request_review_comment", given) == expected
    given = body(
        "submitted", review=review(user=STRANGER, author_association=association), pull_request=pull()
    )
    assert author_type("pull_request_review", given) == expected
    opened = body("opened", STRANGER, pull_request=pull(user=STRANGER, author_association=association))
    assert author_type("pull_request", opened) == expected


@pytest.mark.parametrize("user", [RENOVATE, {"login": "app[bot]"}, {"login": "app", "type": "Bot"}])
def test_a_bot_is_a_bot_whatever_its_association(user: Body) -> None:
    written = comment(user=user, author_association="MEMBER")
    given = body("created", comment=written, pull_request=pull())
    assert author_type("pull_request_review_comment", given, frozenset({"other"})) == "bot"


def test_a_bot_that_the_team_setting_names_is_a_team_member() -> None:
    opened = body("opened", RENOVATE, number=42, pull_request=pull(user=RENOVATE))
    assert author_type("pull_request", opened) == "bot"
    assert author_type("pull_request", opened, frozenset({"renovate[bot]"})) == "team_member"
    suited = body("completed", check_suite=suite())
    for name in ("octo-checks", "octo-checks[bot]"):
        assert author_type("check_suite", suited, frozenset({name})) == "team_member"


def test_logins_of_the_team_setting_are_team_members() -> None:
    opened = body("opened", STRANGER, issue=issue())
    assert author_type("issues", opened) == "external"
    assert author_type("issues", opened, frozenset({"stranger"})) == "team_member"


def test_an_edited_comment_is_as_trusted_as_who_wrote_it() -> None:
    written = issue_note(user=STRANGER, author_association="NONE")
    draft = normalize("issue_comment", body("edited", MONA, comment=written, issue=issue()))
    assert (draft.provenance["author"], draft.provenance["author_type"]) == ("stranger", "external")


@pytest.mark.parametrize(
    ("event", "given", "expected"),
    [
        # Needs rights on the repository, so whoever did it has them.
        ("pull_request", body("labeled", MONA, pull_request=pull(user=STRANGER)), "team_member"),
        ("pull_request", body("closed", MONA, pull_request=dated(user=STRANGER, **MERGED)), "team_member"),
        ("issues", body("closed", MONA, issue=issue()), "team_member"),
        ("push", body(None, STRANGER, ref="refs/heads/main"), "team_member"),
        ("release", body("published", STRANGER, release={"id": 1}), "team_member"),
        # Anybody can do that.
        ("star", body("created", STRANGER), "external"),
        ("fork", body(None, STRANGER), "external"),
        ("issues", body("opened", STRANGER, issue=issue()), "external"),
        ("issues", body("opened", STRANGER, issue=issue(user=HUBOT)), "external"),
        # The author's own deeds need no rights.
        (
            "pull_request",
            body("labeled", STRANGER, pull_request=pull(user=STRANGER, author_association="NONE")),
            "external",
        ),
        # Whoever can push to the fork closes a pull request by deleting its branch.
        ("pull_request", body("closed", MONA, pull_request=dated(user=STRANGER)), "external"),
        ("pull_request", body("synchronize", MONA, pull_request=pull(user=STRANGER)), "external"),
        # The owner of a personal repository.
        ("star", {**body("created", MONA), "repository": {"owner": MONA}}, "team_member"),
        ("star", {**body("created", {"type": "User"}), "repository": {}}, "external"),
    ],
)
def test_a_sender_is_trusted_for_what_needs_rights(event: str, given: Body, expected: str) -> None:
    assert author_type(event, given) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "team_member"),
        ({"event": "pull_request"}, "team_member"),
        ({"head_repository": {"full_name": "stranger/billing"}}, "external"),
        ({"event": "issue_comment"}, "external"),
        ({"event": "pull_request_target"}, "external"),
        ({"actor": RENOVATE}, "bot"),
        ({"actor": None, "triggering_actor": RENOVATE}, "bot"),
    ],
)
def test_who_started_a_run(changes: Body, expected: str) -> None:
    assert author_type("workflow_run", body("completed", workflow_run=run(**changes))) == expected
