"""What a source asks GitHub about runs and checks: within bounds, and never at the cost of an event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from orgloop.connectors.github import connector, source
from orgloop.connectors.github.enrich import (
    LINE_CHARACTERS,
    LOG_CHARACTERS,
    MOST_ENRICHED,
    MOST_JOBS,
    end_of_log,
)
from orgloop.connectors.github.fields import shapes_for
from orgloop.connectors.github.settings import GithubSettings
from orgloop.plugin import Draft, TryLater
from orgloop.runtime.support.http import HttpClient
from tests.config.test_event_fields import undeclared
from tests.connectors.github_bodies import FORK, HUBOT, PAGE, STRANGER, Body, body, check_run, run, suite
from tests.connectors.test_github_api import refusal
from tests.connectors.test_github_poll import NOON, Follower
from tests.support.github_server import TOKEN, Delivery, GithubServer

BOTH = ["failures", "pull_request"]


@pytest.fixture
async def server() -> AsyncIterator[GithubServer]:
    async with GithubServer(NOON) as server:
        server.open_pull(42, title="Retry failed invoices")
        server.now += 60
        yield server


def job(id: int, name: str, conclusion: str = "failure", attempt: int = 1) -> Body:
    steps = [
        {"name": "Set up job", "conclusion": "success"},
        {"name": "pytest", "conclusion": conclusion},
        {"name": "Post checkout", "conclusion": "skipped"},
    ]
    made = {"id": id, "name": name, "conclusion": conclusion, "run_attempt": attempt, "steps": steps}
    return {**made, "html_url": f"{PAGE}/actions/runs/5000/job/{id}"}


LOG = (
    "2026-01-05T12:00:00.1234567Z ##[group]Run pytest\n"
    "2026-01-05T12:00:01.1234567Z \x1b[31mFAILED\x1b[0m tests/test_retry.py\n"
    "2026-01-05T12:00:02.1234567Z ##[error]Process completed with exit code 1.\n"
    "2026-01-05T12:00:03.1234567Z Post job cleanup.\n"
)


def failed(server: GithubServer) -> Delivery:
    server.start_run(5000)
    server.jobs[5000] = [job(1, "lint", "success"), job(2, "tests"), job(3, "e2e", "timed_out")]
    server.jobs[5000].append(job(4, "tests", attempt=2))
    server.logs[2] = LOG.encode()
    return server.end_run(5000, "failure")


async def told(server: GithubServer, http: HttpClient, delivery: Delivery, **config: Any) -> Draft:
    """By webhook."""
    follower = await Follower(server, http, secret="s3cret", **config).begin()
    await follower.push(delivery, 1)
    [draft] = follower.events.values()
    assert undeclared(draft, shapes_for(follower.settings)) == []
    return draft


async def test_a_failed_run_tells_its_failed_jobs_their_steps_and_the_end_of_their_logs(
    server: GithubServer, http: HttpClient
) -> None:
    polls = await Follower(server, http, enrich="failures").begin()
    await polls.poll()
    pushed = await told(server, http, failed(server), enrich="failures")
    [polled] = await polls.poll()
    tests, e2e = pushed.payload["failed_jobs"]
    assert (tests["name"], tests["conclusion"], tests["failed_steps"]) == ("tests", "failure", ["pytest"])
    assert tests["url"] == f"{PAGE}/actions/runs/5000/job/2"
    assert tests["log"] == (
        "##[group]Run pytest\nFAILED tests/test_retry.py\nProcess completed with exit code 1."
    )
    # Its log is gone; that it failed is known all the same.
    assert (e2e["name"], e2e["log"]) == ("e2e", "")
    assert "not_enriched" not in pushed.payload
    assert polled.payload == pushed.payload
    assert TOKEN not in json.dumps(pushed.payload)


async def test_what_did_not_fail_or_is_not_asked_for_takes_no_request(
    server: GithubServer, http: HttpClient
) -> None:
    good = body("completed", HUBOT, workflow_run=run(conclusion="success"))
    for delivery, config in (
        (("workflow_run", good), {"enrich": "failures"}),
        (failed(server), {}),
        (server.open_issue(7), {"enrich": BOTH}),
        (("check_suite", body("requested", check_suite=suite(status="queued"))), {"enrich": BOTH}),
    ):
        plain = await told(server, http, delivery)
        assert await told(server, http, delivery, **config) == plain
    assert server.asked == []


async def test_a_log_of_any_size_is_read_from_its_end(server: GithubServer, http: HttpClient) -> None:
    delivery = failed(server)
    server.logs[2] = b"x" * 3_000_000 + b"\n" + "ü🙂\n".encode() * 40_000 + b"##[error]The end.\n"
    payload = (await told(server, http, delivery, enrich="failures")).payload
    log = payload["failed_jobs"][0]["log"]
    assert log.endswith("\nThe end.")
    assert len(log) <= LOG_CHARACTERS


async def test_many_failed_jobs_are_named_and_the_first_have_their_logs(
    server: GithubServer, http: HttpClient
) -> None:
    delivery = failed(server)
    server.jobs[5000] = [job(id, f"tests ({id})") for id in range(100, 140)]
    server.logs = dict.fromkeys(range(100, 140), b"No.")
    jobs = (await told(server, http, delivery, enrich="failures")).payload["failed_jobs"]
    assert [one["log"] for one in jobs] == ["No."] * MOST_JOBS + [""] * (40 - MOST_JOBS)


@pytest.mark.parametrize(
    ("log", "end"),
    [
        ("", ""),
        ("\n\n", ""),
        ("no error\nlast", "no error\nlast"),
        ("a\x00b\x1b[1;31mred\x1b[0m\tc\r\n", "a bred\tc"),
        ("2026-01-05T12:00:00.1Z 2026-01-05T12:00:00.1Z twice", "2026-01-05T12:00:00.1Z twice"),
        ("x" * 9_000, "x" * LINE_CHARACTERS),
        ("##[error]first\nx\n##[error]second\ny", "first\nx\nsecond"),
    ],
)
def test_the_end_of_a_log_is_plain_text(log: str, end: str) -> None:
    assert end_of_log(log) == end


def test_the_end_of_a_log_is_short_and_whole_lines() -> None:
    log = end_of_log("\n".join(f"line {number}" for number in range(100_000)))
    assert LOG_CHARACTERS - 20 < len(log) <= LOG_CHARACTERS
    assert log.splitlines()[-1] == "line 99999"
    assert log.splitlines()[0].startswith("line ")


FAULTS = [
    ([refusal(403, "Resource not accessible by personal access token")], "read access"),
    ([refusal(500, "x")], "500"),
    ([lambda _: web.Response(body=b'{"jobs": 7}')], "list of objects"),
    ([refusal(403, "You have exceeded a secondary rate limit.")], "slow down"),
    ([None, refusal(401, "Bad credentials")], "expired"),
]


@pytest.mark.parametrize(("faults", "words"), FAULTS)
async def test_an_event_comes_without_what_github_does_not_tell(
    faults: list[Any], words: str, server: GithubServer, http: HttpClient
) -> None:
    delivery = failed(server)
    server.faults.extend(faults)
    draft = await told(server, http, delivery, enrich="failures")
    assert words in draft.payload["not_enriched"]
    assert draft.payload["conclusion"] == "failure"
    assert [one["name"] for one in draft.payload.get("failed_jobs", [])] in ([], ["tests", "e2e"])


async def test_a_webhook_does_not_wait_for_github_for_long(
    server: GithubServer, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "IN_WEBHOOK", 0.05)
    delivery = failed(server)
    server.silent = True
    draft = await told(server, http, delivery, enrich="failures")
    assert "did not answer within" in draft.payload["not_enriched"]


async def test_a_poll_comes_again_when_a_limit_is_over(server: GithubServer, http: HttpClient) -> None:
    """So that a limit takes nothing from an event that can wait."""
    follower = await Follower(server, http, enrich="failures", events=["workflow_run.completed"]).begin()
    await follower.poll()
    failed(server)
    slow = refusal(403, "You have exceeded a secondary rate limit.")
    server.faults.extend([None, None, slow])
    with pytest.raises(TryLater) as later:
        await follower.poll()
    server.now = later.value.until // 1000
    [draft] = await follower.poll()
    assert [one["name"] for one in draft.payload["failed_jobs"]] == ["tests", "e2e"]


async def test_a_backlog_does_not_use_up_the_limit(server: GithubServer, http: HttpClient) -> None:
    follower = await Follower(server, http, enrich="failures", events=["workflow_run.completed"]).begin()
    await follower.poll()
    for id in range(1, MOST_ENRICHED + 4):
        server.start_run(id)
        server.jobs[id] = [job(id, "tests")]
        server.end_run(id, "failure")
    payloads = [draft.payload for draft in await follower.poll()]
    assert sum("failed_jobs" in payload for payload in payloads) == MOST_ENRICHED
    assert sum("at once" in payload.get("not_enriched", "") for payload in payloads) == 3


def linked(number: int = 42, repo: int = 10) -> list[Body]:
    return [{"number": number, "base": {"repo": {"id": repo}}}]


CHECKS: list[tuple[str, Body]] = [
    ("workflow_run", run(pull_requests=linked())),
    ("workflow_run", run(pull_requests=[])),
    ("check_suite", suite(pull_requests=[])),
    ("check_run", check_run(pull_requests=[])),
    ("check_run", check_run(pull_requests=[], check_suite={"id": 1, "pull_requests": linked()})),
    # Another repository's pull request from the same commit is not ours.
    ("workflow_run", run(pull_requests=linked(9, 11))),
]


@pytest.mark.parametrize(("event", "ran"), CHECKS)
async def test_a_check_is_joined_to_its_pull_request(
    event: str, ran: Body, server: GithubServer, http: HttpClient
) -> None:
    """As an event about the pull request itself is. GitHub links it, or its commit leads there."""
    ours, theirs = {"full_name": "Octo-Org/billing"}, {"full_name": "stranger/billing"}
    fork = {"ref": "patch-1", "sha": "ec26c3e", "repo": FORK}
    server.pulls.clear()
    server.open_pull(9, base={"ref": "main", "repo": theirs})
    server.open_pull(41, base={"ref": "main", "repo": ours}, state="closed")
    title = "Retry failed invoices"
    server.open_pull(42, title=title, user=STRANGER, head=fork, base={"ref": "main", "repo": ours})
    draft = await told(server, http, (event, body("completed", HUBOT, **{event: ran})), enrich=BOTH)
    assert ("failed_jobs" in draft.payload) is (event == "workflow_run")
    found = {name: draft.provenance[name] for name in ("pr_number", "pr_author", "pr_state", "pr_merged")}
    assert found == {"pr_number": 42, "pr_author": "stranger", "pr_state": "open", "pr_merged": False}
    assert draft.provenance["labels"] == ["backend"]
    plain = await told(server, http, (event, body("completed", HUBOT, **{event: ran})))
    assert draft.provenance["url"] == plain.provenance["url"]
    assert draft.key == plain.key
    about = {name: draft.payload[name] for name in ("pr_title", "pr_url", "head_ref", "base_ref")}
    assert about["pr_title"] == "Retry failed invoices"
    assert about["pr_url"] == f"{PAGE}/pull/42"
    assert (about["head_ref"], about["base_ref"]) == ("patch-1", "main")


async def test_a_check_without_a_pull_request_is_as_it_was(server: GithubServer, http: HttpClient) -> None:
    given = ("workflow_run", body("completed", HUBOT, workflow_run=run(head_sha="0ddba11", pull_requests=[])))
    assert await told(server, http, given, enrich="pull_request") == await told(server, http, given)


def test_what_is_asked_for_needs_a_login_and_is_known_to_filters() -> None:
    with pytest.raises(ValueError, match="add a `token`"):
        GithubSettings.model_validate({"secret": "s", "enrich": "failures"})
    with pytest.raises(ValueError, match="enrich"):
        GithubSettings.model_validate({"token": TOKEN, "enrich": "everything"})
    assert connector.source is not None
    assert connector.source.shapes is not None
    settings = GithubSettings.model_validate({"secret": "s", "token": TOKEN, "enrich": BOTH})
    assert settings.warnings() == {}
    for asked, config in ((True, settings), (False, GithubSettings.model_validate({"secret": "s"}))):
        shapes = connector.source.shapes(config)
        fields = {field for one in shapes if "workflow_run.completed" in one.names for field in one.fields}
        assert ("payload.failed_jobs.*" in fields) is asked
        assert ("payload.pr_title" in fields) is asked
