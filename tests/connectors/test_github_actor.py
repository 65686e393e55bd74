"""What the actor writes to GitHub: once, however often it is tried, and ended as GitHub's answer says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from aiohttp import web

from orgloop.connectors.github import connector
from orgloop.connectors.github.events.normalize import normalize
from orgloop.connectors.github.events.own_mark import words_of
from orgloop.connectors.github.writing.actor import GithubActor
from orgloop.connectors.github.writing.requests import MOST_CHARACTERS
from orgloop.connectors.github.writing.tasks import FORMS, Do, GithubActorSettings, check_route
from orgloop.plugin import (
    Delivered,
    Deliverer,
    DeliverOutcome,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    Unavailable,
    Wake,
)
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, as_context, event, wake
from tests.connectors.following import text
from tests.connectors.github_bodies import HUBOT, STRANGER, Body
from tests.connectors.test_github_api import refusal
from tests.connectors.test_github_poll import NOON
from tests.support.github_server import REPO, TOKEN, GithubServer

MARK = wake().marker or ""
ON_PULL = {"platform": "github", "platform_event": "pull_request.opened", "repo": "octo-org/billing"}


@pytest.fixture
async def server() -> AsyncIterator[GithubServer]:
    async with GithubServer(NOON) as server:
        server.open_pull(42)
        server.open_issue(7)
        yield server


class Writing:
    """An actor on the server. `give` is one wake, each of them a fresh try of a fresh process."""

    def __init__(self, server: GithubServer, http: HttpClient, **config: Any) -> None:
        self.context = FakeContext(http=cast(Any, http))
        self.settings = GithubActorSettings.model_validate(
            {"do": "comment", "token": TOKEN, "api_url": server.url, **config}
        )

    async def give(self, wake: Wake) -> DeliverOutcome:
        actor = GithubActor("writer", self.settings)
        await actor.open(as_context(self.context))
        outcome = await actor.deliver(wake)
        await actor.close()
        return outcome


def about(config: Body | None = None, payload: Any = None, **provenance: Any) -> Wake:
    """A wake for an event about pull request 42."""
    told = event(provenance={**ON_PULL, "pr_number": 42, **provenance}, payload=payload or {})
    return wake().__class__(**{**fields_of(wake()), "event": told, "events": (told,), "config": config or {}})


def fields_of(given: Wake) -> dict[str, Any]:
    return {name: getattr(given, name) for name in given.__slots__}


def another(given: Wake, delivery: str = "dlv_0000000000000004", **changes: Any) -> Wake:
    """The same for another delivery."""
    mark = f"<!-- the mark of {delivery} -->"
    return Wake(**{**fields_of(given), "delivery_id": delivery, "marker": mark, **changes})


async def test_a_comment_is_written_with_the_mark_that_does_not_show(
    server: GithubServer, http: HttpClient
) -> None:
    outcome = await Writing(server, http).give(about({"body": " Looks fine. "}))
    assert isinstance(outcome, Delivered)
    assert outcome.detail.startswith("https://github.com/octo-org/billing")
    assert server.wrote == [("POST", "/issues/42/comments", {"body": f"Looks fine.\n\n{MARK}"})]


TASKS: list[tuple[str, Body]] = [
    ("comment", {"body": "Done."}),
    ("comment", {"body": "Done.", "sticky": "status"}),
    ("review", {"verdict": "approve"}),
    ("review", {"body": "Please bound it.", "verdict": "request_changes"}),
    ("label", {"add": ["ready", "backend"], "remove": "backend"}),
    ("check_run", {"name": "review", "head_sha": "ec26c3e", "conclusion": "success"}),
    ("dispatch", {"workflow": "deploy.yml", "ref": "main", "id_input": "delivery"}),
    ("issue", {"title": "It broke", "body": "See the log.", "labels": "bug"}),
]


def state(server: GithubServer) -> Any:
    """What there is on GitHub by now, whoever asks."""
    labels = [one["name"] for one in server.pulls[42]["labels"]]
    counts = [len(one) for one in (server.comments, server.reviews[42], server.issues, server.runs)]
    return [*counts, sorted(labels), {sha: len(of["check_runs"]) for sha, of in server.checks.items()}]


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize(("do", "config"), TASKS)
async def test_it_is_done_once_though_it_is_tried_again(
    do: str, config: Body, lost: int, server: GithubServer, http: HttpClient
) -> None:
    """Also by another process, and if GitHub's answer to the first try did not arrive."""
    writing = Writing(server, http, do=do)
    server.losing = lost
    first = await writing.give(about(config))
    if lost:
        assert isinstance(first, Retry)
        assert not first.known
    else:
        assert isinstance(first, Delivered)
        assert first.detail
    after, wrote = state(server), len(server.wrote)
    for attempt in (2, 3):
        server.now += 600
        assert isinstance(
            await writing.give(another(about(config), wake().delivery_id, attempt=attempt)), Delivered
        )
        if lost and attempt == 2 and do == "label":
            after = state(server)  # One request adds and one removes: the second was still to be sent.
        assert state(server) == after
    assert (len(server.wrote) == wrote) is (do not in ("label", "check_run"))
    assert isinstance(await writing.give(another(about(config))), Delivered)
    if do not in ("label", "check_run") and "sticky" not in config:
        assert state(server) != after


async def test_a_sticky_comment_is_one_comment_that_is_edited(server: GithubServer, http: HttpClient) -> None:
    writing = Writing(server, http)
    for number, words in enumerate(("Started.", "Half done.", "Done.")):
        config = {"body": words, "sticky": "status {{ }}"}
        assert isinstance(await writing.give(another(about(config), f"dlv_{number}")), Delivered)
    [comment] = server.comments.values()
    assert comment["body"].startswith("Done.\n\n")
    assert "dlv_2" in comment["body"]
    assert "dlv_1" not in comment["body"]
    await writing.give(another(about({"body": "Other.", "sticky": "other"})))
    await writing.give(another(about({"body": "Elsewhere.", "sticky": "other", "number": 7})))
    assert len(server.comments) == 3


async def test_a_sticky_comment_is_found_among_many_and_written_once_by_two_at_once(
    server: GithubServer, http: HttpClient
) -> None:
    actor = GithubActor("writer", Writing(server, http).settings)
    await actor.open(as_context(Writing(server, http).context))
    for number in range(150):
        server.comment(42, f"note {number}")
    wakes = [another(about({"body": f"{n}", "sticky": "status"}), f"dlv_{n}") for n in range(8)]
    outcomes = await asyncio.gather(*map(actor.deliver, wakes))
    assert all(isinstance(one, Delivered) for one in outcomes)
    assert len(server.comments) == 151
    await actor.deliver(another(about({"body": "At last.", "sticky": "status"})))
    assert [one["body"][:8] for one in server.comments.values() if "sticky" in one["body"]] == ["At last."]


@pytest.mark.parametrize("who", [HUBOT, STRANGER])
async def test_a_mark_that_somebody_copied_hides_nothing_and_is_not_edited(
    who: Body, server: GithubServer, http: HttpClient
) -> None:
    writing = Writing(server, http)
    config = {"body": "Done.", "sticky": "status"}
    await writing.give(about(config))
    ours = next(iter(server.comments.values()))
    server.comment(7, ours["body"], who)
    await writing.give(about({**config, "number": 7}))
    theirs = [one for one in server.comments.values() if one["user"] == who]
    assert [one["body"] for one in theirs] == [ours["body"]]
    assert len(server.comments) == 3


async def test_an_app_finds_its_own_comments_though_it_is_no_user(
    server: GithubServer, http: HttpClient
) -> None:
    server.login = None
    writing = Writing(server, http)
    for number in range(2):
        await writing.give(another(about({"body": f"{number}", "sticky": "status"}), f"dlv_{number}"))
    assert len(server.comments) == 1


async def test_what_it_writes_comes_back_as_its_own_words(server: GithubServer, http: HttpClient) -> None:
    writing = Writing(server, http)
    await writing.give(about({"body": "Done."}))
    comment = next(iter(server.comments.values()))
    body = {"action": "created", "comment": comment, "issue": {}, "sender": comment["user"]}
    assert MARK in words_of("issue_comment", body)
    assert normalize("issue_comment", body).provenance["author"] == "mona"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"config": {"body": "Given."}, "sop": "A prompt."}, "Given."),
        ({"config": {"body": ""}, "sop": "A prompt."}, "A prompt."),
        ({"sop": None}, "What the run said."),
    ],
)
async def test_the_text_is_what_the_route_says_or_its_prompt_or_what_the_run_said(
    given: Body, words: str, server: GithubServer, http: HttpClient
) -> None:
    payload = {"result": {"text": "What the run said."}}
    await Writing(server, http).give(Wake(**{**fields_of(about({}, payload)), **given}))
    assert server.wrote[0][2]["body"] == f"{words}\n\n{MARK}"


async def test_a_text_of_any_kind_is_written(server: GithubServer, http: HttpClient) -> None:
    await Writing(server, http).give(about({"body": "\ud800x" * MOST_CHARACTERS}))
    body = server.wrote[0][2]["body"]
    assert len(body) < 65_536
    assert body.endswith(MARK)
    assert "cut off" in body


LIFE = {"started": {"phase": "started", "terminal": False}}
LIFE |= {
    outcome: {"phase": "completed", "terminal": True, "outcome": outcome}
    for outcome in ("success", "failure", "cancelled", "unknown")
}


def of_run(phase: str, run: str = "run_1", **config: Any) -> Wake:
    payload = {
        "lifecycle": LIFE[phase],
        "run_id": run,
        "result": {"text": "All fine."},
        "git": {"after": "f00dfee"},
    }
    given = about({"name": "engineer", "repo": "octo-org/billing", **config}, payload, platform="claude-code")
    return another(given, f"dlv_{phase}_{run}")


@pytest.mark.parametrize(
    ("outcome", "conclusion"),
    [("success", "success"), ("failure", "failure"), ("cancelled", "cancelled"), ("unknown", "neutral")],
)
async def test_a_check_run_has_the_runs_state(
    outcome: str, conclusion: str, server: GithubServer, http: HttpClient
) -> None:
    writing = Writing(server, http, do="check_run")
    assert isinstance(await writing.give(of_run("started")), Delivered)
    [check] = server.checks["f00dfee"]["check_runs"]
    assert (check["status"], check["name"], check["external_id"]) == ("in_progress", "engineer", "run_1")
    assert isinstance(await writing.give(of_run(outcome)), Delivered)
    assert (check["status"], check["conclusion"]) == ("completed", conclusion)
    assert check["output"]["summary"].startswith("All fine.")
    # What comes late does not begin it again; another run has one of its own.
    assert isinstance(await writing.give(of_run("started")), Skipped)
    await writing.give(of_run("started", "run_2"))
    assert len(server.checks["f00dfee"]["check_runs"]) == 2


async def test_a_review_has_comments_on_lines(server: GithubServer, http: HttpClient) -> None:
    lines = [{"path": "billing/retry.py", "line": "7", "body": "Bound it."}]
    await Writing(server, http, do="review").give(about({"comments": lines}))
    [(_, path, content)] = server.wrote
    assert path == "/pulls/42/reviews"
    assert content["event"] == "COMMENT"
    assert content["comments"] == [
        {"path": "billing/retry.py", "line": 7, "body": "Bound it.", "side": "RIGHT"}
    ]


async def test_labels_that_are_not_there_are_removed_already(server: GithubServer, http: HttpClient) -> None:
    writing = Writing(server, http, do="label")
    assert await writing.give(about({"remove": ["a/b", "backend"]})) == Delivered(detail="-a/b -backend")
    assert server.pulls[42]["labels"] == []
    assert isinstance(await writing.give(about({"remove": "x", "number": 404})), Rejected)


async def test_a_workflow_is_started_with_inputs_that_are_texts(
    server: GithubServer, http: HttpClient
) -> None:
    inputs = {"count": 3, "dry": True, "what": "all"}
    await Writing(server, http, do="dispatch").give(
        about({"workflow": "deploy.yml", "ref": "main", "inputs": inputs})
    )
    [(_, path, content)] = server.wrote
    assert path == "/actions/workflows/deploy.yml/dispatches"
    assert content == {"ref": "main", "inputs": {"count": "3", "dry": "true", "what": "all"}}


@pytest.mark.parametrize("fault", [refusal(502, "x"), None])
async def test_a_workflow_that_may_have_started_is_not_started_again(
    fault: Any, server: GithubServer, http: HttpClient
) -> None:
    server.losing = fault is None
    server.faults.extend([fault])
    outcome = await Writing(server, http, do="dispatch").give(
        about({"workflow": "deploy.yml", "ref": "main"})
    )
    assert isinstance(outcome, Rejected)
    assert "may have started" in outcome.reason
    assert "id_input" in outcome.reason


async def test_a_workflow_is_not_asked_for_longer_than_the_engine_waits(
    server: GithubServer, http: HttpClient
) -> None:
    """It would ask again, not knowing whether the first one started."""
    server.silent = True
    given = about({"workflow": "deploy.yml", "ref": "main"})
    async with asyncio.timeout(1):
        outcome = await Writing(server, http, do="dispatch").give(Wake(**fields_of(given) | {"timeout": 1.0}))
    assert isinstance(outcome, Rejected)


ANSWERS: list[tuple[Callable[[web.Request], web.StreamResponse], type[DeliverOutcome], str]] = [
    (refusal(401, "Bad credentials"), Unavailable, "expired"),
    (refusal(403, "Resource not accessible by personal access token"), Rejected, "write access"),
    (refusal(404, "Not Found"), Rejected, "write access"),
    (refusal(410, "Issues are disabled"), Rejected, "410"),
    (refusal(422, "Validation Failed"), Rejected, "Validation Failed"),
    (refusal(409, "Conflict"), Retry, "409"),
    (refusal(403, "You have exceeded a secondary rate limit."), Throttled, "slow down"),
    (refusal(429, "x", retry_after="30"), Throttled, "slow down"),
    (refusal(403, "x", x_ratelimit_remaining="0", x_ratelimit_reset=str(NOON + 60)), Throttled, "rate limit"),
    (refusal(500, "x"), Retry, "500"),
    (refusal(503, "x"), Retry, "503"),
    (text(301, "", location="https://api.github.com/repositories/1"), Rejected, "301"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), ANSWERS)
async def test_githubs_answer_says_what_becomes_of_the_wake(
    answer: Any, kind: type[Any], words: str, server: GithubServer, http: HttpClient
) -> None:
    # The first request looks for an earlier try.
    server.faults.extend([None, answer])
    writing = Writing(server, http)
    writing.context.clock.time = NOON * 1000
    outcome = await writing.give(about({"body": "Done."}))
    assert isinstance(outcome, kind)
    assert words in outcome.reason
    assert TOKEN not in outcome.reason
    if isinstance(outcome, Throttled):
        assert NOON * 1000 < outcome.until <= (NOON + 61) * 1000
    assert server.comments == {}


async def test_the_reasons_of_a_refusal_are_told(server: GithubServer, http: HttpClient) -> None:
    errors = (
        '{"message": "Validation Failed", "errors": [{"field": "body", "code": "too_long"}, "Bad\\nline"]}'
    )
    server.faults.extend([None, text(422, errors)])
    outcome = await Writing(server, http).give(about({"body": "Done."}))
    assert isinstance(outcome, Rejected)
    assert "body too_long" in outcome.reason
    assert "Bad line" in outcome.reason


async def test_a_github_that_is_not_there_parks_the_actor(http: HttpClient) -> None:
    async with GithubServer(NOON) as server:
        pass
    assert isinstance(await Writing(server, http).give(about({"body": "Done."})), Unavailable)


UNFIT: list[tuple[str, Body, Body, str]] = [
    ("comment", {}, {}, "`body`"),
    ("comment", {"body": "  "}, {}, "`body`"),
    ("comment", {"body": "x"}, {"pr_number": None}, "`number`"),
    ("comment", {"body": "x", "number": "0"}, {}, "`number`"),
    ("comment", {"body": "x", "number": "{}"}, {}, "`number`"),
    ("comment", {"body": "x"}, {"platform": "linear"}, "`repo: owner/name`"),
    ("comment", {"body": "x", "repo": "../../user"}, {}, "`repo`"),
    ("comment", {"body": "x"}, {"repo": "a/b/../.."}, "owner/name"),
    ("comment", {"body": "x"}, {"repo": "a/.."}, "owner/name"),
    ("comment", {"body": "x", "verdict": "approve"}, {}, "not a key of `do: comment`"),
    ("comment", {"do": "comments"}, {}, "comments"),
    ("review", {"verdict": "aprove"}, {}, "`verdict`"),
    ("review", {"verdict": "request_changes"}, {}, "`body`"),
    ("label", {}, {}, "`add`"),
    ("check_run", {"name": "x"}, {}, "`head_sha`"),
    ("check_run", {"name": "x", "head_sha": "../x"}, {}, "`head_sha`"),
    ("check_run", {"name": "x", "head_sha": "ec26c3e"}, {}, "`conclusion`"),
    ("dispatch", {"workflow": "../x", "ref": "main"}, {}, "`workflow`"),
    ("dispatch", {"workflow": "..", "ref": "main"}, {}, "`workflow`"),
    ("issue", {"title": ""}, {}, "`title`"),
]


@pytest.mark.parametrize(("do", "config", "provenance", "words"), UNFIT)
async def test_what_a_wake_does_not_say_is_asked_for(
    do: str, config: Body, provenance: Body, words: str, server: GithubServer, http: HttpClient
) -> None:
    outcome = await Writing(server, http, do=do).give(about(config, **provenance))
    assert isinstance(outcome, Rejected)
    assert words in outcome.reason
    assert server.wrote == []


async def test_where_it_writes_is_said_by_the_route_then_the_event_then_the_actor(
    server: GithubServer, http: HttpClient
) -> None:
    writing = Writing(server, http, repo="octo-org/other")
    for config, provenance in (
        ({}, {}),
        ({"repo": "octo-org/third"}, {}),
        ({}, {"platform": "claude-code", "repo": "octo-org/evil"}),
    ):
        await writing.give(about({"body": "x", **config}, **provenance))
    asked = [path.split("/issues")[0] for path, _ in server.asked if "/issues" in path]
    assert list(dict.fromkeys(asked)) == [REPO, "/repos/octo-org/third", "/repos/octo-org/other"]


@pytest.mark.parametrize(
    ("config", "faults"),
    [
        ({"do": "comment", "body": "{{ payload.text }}", "number": "{{ provenance.pr_number }}"}, set()),
        ({"do": "review", "verdict": "{{ payload.verdict }}", "session_key": "x"}, set()),
        ({"do": "dispatch", "workflow": "deploy.yml", "ref": "main", "inputs": {"a": "{{ id }}"}}, set()),
        ({"body": "x"}, set()),
        ({"do": "coment"}, {"do"}),
        ({"do": "comment", "verdict": "approve"}, {"verdict"}),
        ({"do": "review", "verdict": "aprove"}, {"verdict"}),
        ({"boddy": "x"}, {"boddy"}),
        ({"do": "label", "add": [""]}, {"add"}),
    ],
)
def test_a_route_is_told_which_of_its_keys_cannot_work(config: Body, faults: set[str]) -> None:
    assert check_route(config).keys() == faults


def test_each_thing_it_does_has_a_form_and_its_settings_need_a_login() -> None:
    assert FORMS.keys() == set(Do)
    assert isinstance(
        GithubActor("x", GithubActorSettings.model_validate({"do": "issue", "token": "t"})), Deliverer
    )
    assert connector.actor is not None
    assert connector.actor.has_runs is None
    for config, words in (
        ({"do": "comment"}, "token"),
        ({"token": "t"}, "do"),
        ({"do": "merge", "token": "t"}, "do"),
    ):
        with pytest.raises(ValueError, match=words):
            GithubActorSettings.model_validate(config)
