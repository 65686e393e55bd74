"""GitHub's deliveries, as they come in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr, ValidationError

from orgloop.connectors.github import connector
from orgloop.connectors.github.events.names import NAMES
from orgloop.connectors.github.events.normalize import normalize
from orgloop.connectors.github.settings import GithubSettings
from orgloop.connectors.github.source import GithubSource
from orgloop.core.events.event import event_names
from orgloop.core.events.match import near_miss
from orgloop.errors import Refused
from orgloop.plugin import CheckStatus, Draft, Inbound, Mark, Poller, Received, Receiver
from orgloop.plugin.signature import sign
from tests.connectors.doubles import FakeContext, as_context, inbound
from tests.connectors.github_bodies import (
    DELIVERIES,
    HUBOT,
    MONA,
    RENOVATE,
    STRANGER,
    Body,
    body,
    issue,
    issue_note,
    pull,
    review,
    run,
)

GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def delivery(name: str = "pull_request.review_submitted", **headers: str) -> Inbound:
    event, body = DELIVERIES[name]
    return raw(event, json.dumps(body).encode(), **headers)


def raw(event: str, body: bytes, **headers: str) -> Inbound:
    return inbound(body, **{"X_GitHub_Event": event, "X_GitHub_Delivery": GUID, **headers})


def source(**config: Any) -> GithubSource:
    return GithubSource("github", GithubSettings.model_validate(config))


async def names(received: Received) -> list[str]:
    return [draft.provenance["platform_event"] for draft in received.events]


async def refused(request: Inbound, **config: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        await source(**config).receive(request)
    return refusal.value.status, refusal.value.message


@pytest.mark.parametrize("name", sorted(DELIVERIES))
async def test_a_delivery_is_one_event_with_githubs_id(name: str) -> None:
    received = await source().receive(delivery(name))
    assert await names(received) == [name]
    assert (received.request, received.reply.status, received.reply.body) == (GUID, 200, None)


async def test_a_ping_is_no_event() -> None:
    received = await source().receive(raw("ping", b'{"zen": "Keep it logically awesome.", "hook_id": 1}'))
    assert (received.events, received.request) == ((), None)
    assert (received.reply.status, received.reply.body) == (
        200,
        {"ok": True, "ping": "Keep it logically awesome."},
    )


async def test_a_form_carries_the_same_event() -> None:
    event, body = DELIVERIES["issues.opened"]
    form = urlencode({"payload": json.dumps(body, ensure_ascii=False)}).encode()
    headers = {
        "Content_Type": "application/x-www-form-urlencoded; charset=utf-8",
        "X_Hub_Signature_256": sign(SecretStr("s"), form),
    }
    received = await source(secret="s").receive(raw(event, form, **headers))
    plain = await source().receive(delivery("issues.opened"))
    assert received.events == plain.events


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (b"", "no field `payload`"),
        (b"body=%7B%7D", "no field `payload`"),
        (b"payload=%FF", "form cannot be read"),
        (b"\xff", "form cannot be read"),
        (b"&".join([b"a=1"] * 20), "form cannot be read"),
        (b"payload=%7B", "Invalid JSON payload"),
    ],
)
async def test_a_bad_form_is_refused(form: bytes, message: str) -> None:
    status, said = await refused(raw("push", form, Content_Type="application/x-www-form-urlencoded"))
    assert (status, message in said) == (400, True)


async def test_a_signed_delivery_is_taken() -> None:
    event, body = DELIVERIES["push"]
    content = json.dumps(body).encode()
    signed = raw(event, content, X_Hub_Signature_256=sign(SecretStr("s"), content))
    assert await names(await source(secret="s").receive(signed)) == ["push"]


async def test_what_is_refused_and_in_which_order() -> None:
    missing_signature = (401, "Missing X-Hub-Signature-256 header")
    bad = {"X_Hub_Signature_256": "sha256=00"}
    assert await refused(delivery(), secret="s") == missing_signature
    assert await refused(delivery(X_Signature=sign(SecretStr("s"), b"x")), secret="s") == missing_signature
    assert await refused(delivery(**bad), secret="s") == (401, "Invalid signature")
    assert await refused(raw("push", b"no json", **bad), secret="s") == (401, "Invalid signature")
    assert await refused(inbound(b"no json", X_GitHub_Delivery=GUID)) == (
        400,
        "Missing X-GitHub-Event header",
    )
    assert await refused(inbound(b"{}", X_GitHub_Event="push")) == (400, "Missing X-GitHub-Delivery header")
    assert (await refused(raw("push", b"no json")))[1].startswith("Invalid JSON payload: ")
    assert await refused(raw("push", b"[]")) == (400, "Invalid JSON payload: it is not an object")
    assert await refused(raw("push", b"null")) == (400, "Invalid JSON payload: it is not an object")
    assert (await refused(raw("ping", b"")))[0] == 400
    assert (await refused(inbound(b"{}", "GET")))[0] == 405


@pytest.mark.parametrize(
    ("config", "taken"),
    [
        ({"repo": "octo-org/billing"}, True),
        ({"repo": "Octo-Org/Billing"}, True),
        ({"repo": "octo-org/other"}, False),
        ({"events": []}, True),
        ({"events": ["pull_request.review_submitted"]}, True),
        ({"events": ["pull_request_review"]}, True),
        ({"events": ["pull_request_review.submitted"]}, True),
        ({"events": ["pull_request.*"]}, True),
        ({"events": ["resource.changed"]}, True),
        ({"events": ["issues.opened", "pull_request"]}, False),
        ({"authors": ["MONA"]}, True),
        ({"authors": ["hubot"]}, False),
        ({"repo": "octo-org/billing", "events": ["pull_request_review"], "authors": ["mona"]}, True),
    ],
)
async def test_settings_say_which_events_are_taken(config: Body, taken: bool) -> None:
    received = await source(**config).receive(delivery())
    assert len(received.events) == taken
    if not taken:
        (reason,) = config
        assert received.reply.body == {"ok": True, "filtered": True, "reason": reason}
        # A redelivery after the settings changed must not count as a duplicate.
        assert received.request is None


@pytest.mark.parametrize(
    ("wanted", "merged", "closed"),
    [
        (["pull_request.merged"], 1, 0),
        (["pull_request.closed"], 0, 1),
        (["pull_request.closed", "pull_request.merged"], 1, 1),
    ],
)
async def test_closed_and_merged_are_asked_for_apart(wanted: list[str], merged: int, closed: int) -> None:
    asked = source(events=wanted)
    assert len((await asked.receive(delivery("pull_request.merged"))).events) == merged
    assert len((await asked.receive(delivery("pull_request.closed"))).events) == closed


def test_a_slip_in_the_events_to_take_is_doubted() -> None:
    settings = GithubSettings(events=("push", "team.invented", "pull_request.review_sumbitted"))
    assert settings.warnings() == {
        "events": "has a slip: `pull_request.review_sumbitted` is not a known event; "
        "write `pull_request.review_submitted`"
    }
    assert (
        GithubSettings(events=("resource.changed", "pull_request.*", "pull_request.merged")).warnings() == {}
    )


def test_every_name_that_deliveries_get_is_known() -> None:
    drafts = [normalize(event, body) for event, body in DELIVERIES.values()]
    given = {name for draft in drafts for name in event_names(draft.type, draft.provenance)[1:]}
    assert given <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_that_is_known_is_taken_for_a_slip(name: str) -> None:
    assert near_miss(name, NAMES) is None


async def test_an_event_of_no_repository_is_left_out_if_one_is_named() -> None:
    received = await source(repo="octo-org/billing").receive(raw("organization", b'{"action": "renamed"}'))
    assert received.events == ()


async def test_the_team_setting_knows_logins_in_any_case() -> None:
    received = await source(team=["Stranger"]).receive(delivery("issues.opened"))
    assert received.events[0].provenance["author_type"] == "team_member"


async def test_a_source_is_signed_if_it_has_a_secret() -> None:
    unsigned = source()
    await unsigned.open(as_context(FakeContext()))
    assert isinstance(unsigned, Receiver)
    assert (unsigned.signed, source(secret="s").signed) == (False, True)
    await unsigned.close()


def test_what_is_received_is_not_polled_as_well() -> None:
    assert not isinstance(source(buffer_dir="x", reconciliation_interval_ms=1), Poller)


async def test_doctor_warns_of_a_missing_secret() -> None:
    check = connector.setup.check
    assert check is not None
    found = [
        await check(GithubSettings.model_validate(c), as_context(FakeContext()))
        for c in ({}, {"secret": "s"})
    ]
    assert [result.status for (result,) in found] == [CheckStatus.WARNING, CheckStatus.OK]


def test_settings_of_public_projects_load_and_those_without_effect_are_named() -> None:
    polled = {
        "repo": "octo-org/billing",
        "token": "ghp_x",
        "events": ["pull_request.review_submitted"],
        "authors": ["mona"],
        "initial_lookback": "7d",
        "rate_budget": 0.8,
    }
    pushed = {
        "secret": "s",
        "path": "/github",
        "buffer_dir": "buffer",
        "max_buffer_size": "50MB",
        "repo_owner": "octo-org",
        "repo_name": "billing",
        "reconciliation_interval_ms": 300000,
        "reconciliation_lookback_ms": 900000,
        "issue_comment_edit_debounce_ms": 120000,
    }
    GithubSettings.model_validate({**polled, **pushed})
    honoured = {"secret", "repo", "events", "authors", "team"}
    honoured |= {"token", "token_command", "initial_lookback", "api_url", "enrich", "max_fact_age"}
    honoured |= {"app_id", "installation_id", "private_key", "private_key_file"}
    assert GithubSettings.without_effect() == set(GithubSettings.model_fields) - honoured


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"repo": "billing"}, "write owner/name"),
        ({"repo": "https://github.com/octo-org/billing"}, "write owner/name"),
        ({"secret": ""}, "the secret is empty"),
        ({"events": [""]}, "at least 1 character"),
        ({"events": "push"}, "valid tuple"),
        ({"event": ["push"]}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_say_why(config: Body, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        GithubSettings.model_validate(config)


def test_the_connector_is_found_by_both_names_and_takes_team_events_only() -> None:
    assert (connector.name, connector.aliases) == ("github", ("github-webhook",))
    assert connector.source is not None
    assert connector.source.team_only


STAR = body("created", STRANGER, starred_at="2026-01-05T11:00:00Z")
FORK = body(None, STRANGER, forkee={"id": 11, "html_url": "https://github.com/stranger/billing"})
WATCH = body("started", STRANGER)
REMARK = body("edited", STRANGER, comment=issue_note(user=STRANGER), issue=issue())
SUBMITTED = DELIVERIES["pull_request.review_submitted"][1]


@pytest.mark.parametrize(
    ("said", "given", "found"),
    [
        ("push", FORK, "fork"),
        ("public", FORK, "fork"),
        ("repository", STAR, "star"),
        ("repository", WATCH, "watch"),
        ("public", WATCH, "watch"),
        ("member", WATCH, "watch"),
        ("issues", REMARK, "issue_comment"),
        ("push", REMARK, "issue_comment"),
        ("pull_request", SUBMITTED, "pull_request_review"),
        ("release", DELIVERIES["issues.opened"][1], "issues"),
    ],
)
async def test_a_body_of_another_kind_than_the_header_says_is_refused(
    said: str, given: Body, found: str
) -> None:
    status, message = await refused(raw(said, json.dumps(given).encode()))
    assert (status, f"says {said}, but the body is a {found}" in message) == (400, True)


@pytest.mark.parametrize("said", ["push", "release", "repository", "deployment", "team", "some_new_event"])
async def test_a_name_alone_makes_nobody_a_team_member(said: str) -> None:
    """Also where nothing is known that the body could be instead."""
    given = json.dumps({**body("of_a_new_kind", STRANGER), "news": {"id": 1}}).encode()
    [draft] = (await source().receive(raw(said, given))).events
    assert draft.provenance["author_type"] == "external"


async def keys_of(event: str, given: Body, **headers: str) -> tuple[str | None, str | None]:
    received = await source().receive(raw(event, json.dumps(given).encode(), **headers))
    return received.events[0].key, received.request


@pytest.mark.parametrize("name", [*sorted(DELIVERIES), "fork", "star"])
async def test_a_body_with_another_delivery_id_is_the_same_fact(name: str) -> None:
    event, given = {**DELIVERIES, "fork": ("fork", FORK), "star": ("star", STAR)}[name]
    first, again = [await keys_of(event, given, X_GitHub_Delivery=id) for id in ("one", "two")]
    assert first[0] is not None
    assert first[0] == again[0]
    assert first[1] != again[1]
    # A name of which nothing is known does not make it another fact either.
    assert (await keys_of("some_new_event", given))[0] == first[0]


async def test_another_body_is_another_fact() -> None:
    later = {**FORK, "forkee": {"id": 12}}
    assert (await keys_of("fork", FORK))[0] != (await keys_of("fork", later))[0]


@pytest.mark.parametrize(
    ("event", "given"),
    [
        ("repository_dispatch", body("deploy", client_payload={}, branch="main")),
        ("workflow_dispatch", body(None, workflow="ci.yml", inputs={}, ref="refs/heads/main")),
    ],
)
async def test_two_dispatches_may_look_alike(event: str, given: Body) -> None:
    assert (await keys_of(event, given))[0] is None


MARK = Mark(run_id="run_00000000000000ab", actor="engineer", event_id="evt_1", trace_id="trc_1", hops=1)


REWORDED = {"body": {"from": "x"}}


async def drafted(event: str, given: Body, **config: Any) -> Draft:
    opened = source(**config)
    await opened.open(as_context(FakeContext()))
    return (await opened.receive(raw(event, json.dumps(given).encode()))).events[0]


def said_by(user: Body, association: str = "MEMBER", **changes: Any) -> Body:
    words = f"Done. {FakeContext().marks.comment(MARK)}"
    return {**issue_note(user=user, author_association=association), "body": words, **changes}


@pytest.mark.parametrize(
    ("event", "make"),
    [
        (
            "issue_comment",
            lambda words: body("created", comment={**issue_note(), "body": words}, issue=issue()),
        ),
        ("pull_request_review", lambda w: body("submitted", review=review(body=w), pull_request=pull())),
        ("pull_request", lambda words: body("opened", HUBOT, number=42, pull_request=pull(body=words))),
        (
            "pull_request",
            lambda words: body(
                "edited", HUBOT, number=42, pull_request=pull(body=words), changes={"body": {"from": ""}}
            ),
        ),
        ("push", lambda words: body(None, ref="refs/heads/main", head_commit={"message": words})),
    ],
)
async def test_words_of_our_own_runs_come_back_as_self(event: str, make: Callable[[str], Body]) -> None:
    for words in (FakeContext().marks.comment(MARK), f"Fix.\n\n{FakeContext().marks.trailer(MARK)}\n"):
        draft = await drafted(event, make(words))
        assert draft.provenance["author_type"] == "self"
        assert (draft.provenance["run_id"], draft.provenance["run_actor"]) == (MARK.run_id, "engineer")
        assert draft.cause == MARK


@pytest.mark.parametrize(
    ("user", "association", "config", "kind", "is_ours"),
    [
        (MONA, "MEMBER", {}, "self", True),
        (STRANGER, "NONE", {}, "external", False),
        (RENOVATE, "NONE", {}, "bot", True),
        (RENOVATE, "NONE", {"team": ["renovate[bot]"]}, "self", True),
    ],
)
async def test_a_mark_makes_nobody_trusted(
    user: Body, association: str, config: dict[str, Any], kind: str, is_ours: bool
) -> None:
    given = body("created", user, comment=said_by(user, association), issue=issue())
    draft = await drafted("issue_comment", given, **config)
    assert (draft.provenance["author_type"], draft.cause is not None) == (kind, is_ours)


@pytest.mark.parametrize(
    ("event", "given"),
    [
        ("issue_comment", body("edited", HUBOT, comment=said_by(MONA), issue=issue(), changes=REWORDED)),
        ("issue_comment", body("deleted", comment=said_by(MONA), issue=issue())),
        ("pull_request", body("labeled", HUBOT, number=42, pull_request=pull(body=said_by(HUBOT)["body"]))),
        (
            "pull_request",
            body("edited", HUBOT, number=42, pull_request=pull(body=said_by(HUBOT)["body"]), changes={}),
        ),
        ("workflow_run", body("completed", workflow_run=run(head_commit={"message": said_by(MONA)["body"]}))),
    ],
)
async def test_what_others_do_with_our_words_is_theirs(event: str, given: Body) -> None:
    draft = await drafted(event, given)
    assert (draft.provenance["author_type"] == "self", draft.cause) == (False, None)
