"""Projects in the forms that the public documentation shows: they load, they can be looked at, they work."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from orgloop.config.load import load_project
from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from orgloop.plugin.registry import Registry
from tests.compat.living import Living, living, until
from tests.connectors.github_bodies import DELIVERIES, RENOVATE, STRANGER
from tests.connectors.linear_bodies import DOING, OPS
from tests.e2e.organization import Organization
from tests.e2e.sink import Sink
from tests.support.github_server import GithubServer
from tests.support.linear_server import LinearServer

PROJECTS = Path(__file__).parent / "projects"
NAMES = sorted(path.name for path in PROJECTS.iterdir())
SECRET = "a-shared-secret"
VARIABLES = {
    "GITHUB_REPO": "octo-org/billing",
    "GITHUB_TOKEN": "ghp_0123456789abcdef",
    "GITHUB_WEBHOOK_SECRET": SECRET,
    "LINEAR_API_KEY": "lin_api_0123456789abcdef",
    "LINEAR_TEAM_KEY": "ENG",
    "TICKET_SECRET": f"{SECRET} of the tickets",
    "PARTNER_SECRET": f"{SECRET} of the partner",
    "SLACK_WEBHOOK_URL": "http://127.0.0.1:9",
    "SUPPLIER_URL": "http://127.0.0.1:9",
    "BUYER_URL": "http://127.0.0.1:9",
    "BOOKS_URL": "http://127.0.0.1:9",
    "PATH": "/usr/bin:/bin",
}


NOWHERE = "http://127.0.0.1:1"


def copied(name: str, tmp_path: Path, github: str = NOWHERE, linear: str = NOWHERE) -> Path:
    """The project in a directory of its own, with the APIs of GitHub and Linear at these addresses."""
    root = Path(shutil.copytree(PROJECTS / name, tmp_path / name))
    places = {'token: "${GITHUB_TOKEN}"\n': github, 'api_key: "${LINEAR_API_KEY}"\n': linear}
    for path in root.rglob("*.yaml"):
        text = path.read_text("utf-8")
        for key, url in places.items():
            text = text.replace(key, f'{key}      api_url: "{url}"\n')
        path.write_text(text, "utf-8")
    return root


def delivery(name: str, number: int = 1) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and body of one of GitHub's webhook deliveries."""
    event, body = DELIVERIES[name]
    headers = {"x-github-event": event, "x-github-delivery": f"{name}-{number}"}
    return headers, copy.deepcopy(body)


async def from_github(org: Living, name: str, number: int = 1, **changes: Any) -> str:
    headers, body = delivery(name, number)
    body.update(changes)
    return await org.send("github", body, headers, secret=SECRET)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_project_loads_and_warns_of_what_it_should(name: str) -> None:
    loaded = load_project(PROJECTS / name, Registry.installed(), VARIABLES)
    assert loaded.errors == ()
    told = re.search(r"^# warns: (.*)$", (PROJECTS / name / "orgloop.yaml").read_text("utf-8"), re.MULTILINE)
    assert {str(finding.code) for finding in loaded.findings} == set(told[1].split() if told else [])


@pytest.mark.parametrize("name", NAMES)
def test_a_public_project_can_be_validated_planned_and_drawn(name: str, organization: Organization) -> None:
    shutil.copytree(PROJECTS / name, organization.root, dirs_exist_ok=True)
    organization.environ.update(VARIABLES)
    assert json.loads(organization.command("validate", "--json").stdout)["errors"] == 0
    plan = json.loads(organization.command("plan", "--json").stdout)
    assert {one["action"] for one in plan["routes"]} <= {"add"}
    drawn = json.loads(organization.command("routes", "--json").stdout)
    loaded = load_project(PROJECTS / name, Registry.installed(), VARIABLES).organization
    assert loaded is not None
    names = [route.name for route in loaded.routes]
    assert [one["route"] for one in drawn["edges"]] == [one["name"] for one in plan["routes"]] == names


def test_a_generated_event_can_be_tried_on_a_public_project(organization: Organization) -> None:
    shutil.copytree(PROJECTS / "engineering-org", organization.root, dirs_exist_ok=True)
    organization.environ.update(VARIABLES)
    event = organization.command("test", "--generate", "github").stdout
    tried = json.loads(organization.command("test", "-", "--json", stdin=event).stdout)
    assert tried["matched_routes"] == 1
    shown = organization.command("test", "-", "--prompt", stdin=event).stdout
    assert "github-pr-review" in shown
    assert "Answer every comment of the review." in shown


class TestEngineeringOrganization:
    """One file per kind of thing, routes found in their folder."""

    async def test_a_review_wakes_the_agent_with_its_prompt_file(self, tmp_path: Path) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            event = await from_github(org, "pull_request.review_submitted")
            found = await org.settled(event)
            assert {name: row.state for name, row in found.items()} == {"github-pr-review": State.DELIVERED}
            said = (await org.ended("engineering-agent"))[0]["payload"]["result"]
            assert "# Answer every comment of the review." in said["text"]
            assert "owner: platform" not in said["text"]
            assert event in said["text"]
            assert said["json"] == {"decision": "done"}

    async def test_bots_are_dropped_before_they_count_as_seen(self, tmp_path: Path) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            _, body = delivery("pull_request_review_comment")
            by_bot = {**body["comment"], "id": 1, "user": RENOVATE}
            noise = await from_github(org, "pull_request_review_comment", 1, comment=by_bot)
            person = await from_github(org, "pull_request_review_comment", 2)
            dropped = (await org.settled(noise))["github-pr-comment"]
            assert (dropped.state, dropped.reason) == (State.DROPPED, "transform")
            assert (await org.settled(person))["github-pr-comment"].state is State.DELIVERED

    async def test_the_second_review_of_a_pull_request_within_the_window_is_a_duplicate(
        self, tmp_path: Path
    ) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            _, body = delivery("pull_request.review_submitted")
            first = await from_github(org, "pull_request.review_submitted", 1)
            again = await from_github(
                org, "pull_request.review_submitted", 2, review={**body["review"], "id": 77}
            )
            other = {**body["pull_request"], "number": 43}
            third = await from_github(
                org,
                "pull_request.review_submitted",
                3,
                review={**body["review"], "id": 78},
                pull_request=other,
            )
            states = [(await org.settled(one))["github-pr-review"].state for one in (first, again, third)]
            assert states == [State.DELIVERED, State.DROPPED, State.DELIVERED]

    async def test_a_failed_build_passes_the_script_and_a_good_one_does_not(self, tmp_path: Path) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            _, body = delivery("workflow_run.completed")
            good = {**body["workflow_run"], "id": 9, "conclusion": "success"}
            failed = await from_github(org, "workflow_run.completed", 1)
            passed = await from_github(org, "workflow_run.completed", 2, workflow_run=good)
            assert (await org.settled(passed))["github-ci-failure"].state is State.DROPPED
            assert (await org.settled(failed))["github-ci-failure"].state is State.DELIVERED
            (end,) = await org.ended("engineering-agent")
            assert "Find the root cause" in end["payload"]["result"]["text"]
            assert "asked by github for github-ci-failure" in end["payload"]["result"]["text"]

    async def test_a_session_that_ended_elsewhere_reaches_the_agent(self, tmp_path: Path) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            hook = {"session_id": "s-1", "cwd": "/srv/app", "exit_status": 1, "summary": "stuck"}
            event = await org.send("claude-code", hook)
            assert (await org.settled(event))["claude-code-to-supervisor"].state is State.DELIVERED
            assert "stuck" in (await org.ended("engineering-agent"))[0]["payload"]["result"]["text"]

    async def test_what_changes_in_linear_reaches_the_agent_by_polling(self, tmp_path: Path) -> None:
        async with LinearServer(1_767_614_400_000) as linear:
            root = copied("engineering-org", tmp_path, linear=linear.url)
            file = root / "connectors/linear.yaml"
            file.write_text(file.read_text("utf-8").replace("interval: 5m", "interval: 50ms"), "utf-8")
            async with living(root, VARIABLES, tmp_path / "home") as org:
                await until(lambda: len(linear.asked) > 2, "a poll after the first one")
                linear.now += 60_000
                linear.create(42)
                linear.create(43, team=OPS)
                linear.change(42, state=DOING)
                linear.comment(42, "I can reproduce this.")
                ends = await org.ended("engineering-agent", 3)
                assert all(
                    "React to the state of the issue." in one["payload"]["result"]["text"] for one in ends
                )
                assert [one.document["provenance"]["platform_event"] for one in org.events("linear")] == [
                    "issue.created",
                    "comment.created",
                    "issue.state_changed",
                ]

    async def test_what_no_route_names_is_kept_and_wakes_nobody(self, tmp_path: Path) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            for name in ("issue_comment", "pull_request.closed", "pull_request.merged"):
                event = await from_github(org, name)
                assert await org.settled(event) == {}
            assert len(org.events("github")) == 3

    async def test_a_strangers_review_waits_for_a_person(self, tmp_path: Path) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            _, body = delivery("pull_request.review_submitted")
            review = {**body["review"], "user": STRANGER, "author_association": "NONE"}
            event = await from_github(org, "pull_request.review_submitted", review=review)
            held = (await org.settled(event))["github-pr-review"]
            assert (held.state, held.reason) == (State.HELD, "untrusted")

    @pytest.mark.parametrize(
        ("ticket", "wakes"),
        [
            ({"state": "Todo", "labels": ["backend"]}, True),
            ({"state": "In Progress", "labels": ["backend", "x"]}, True),
            ({"state": "Done", "labels": ["backend"]}, False),
            ({"state": "Todo", "labels": ["x", "backend"]}, False),
            ({"labels": ["backend"]}, False),
        ],
    )
    async def test_a_filter_takes_any_of_a_list_and_all_of_its_lines(
        self, tmp_path: Path, ticket: Mapping[str, Any], wakes: bool
    ) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            event = await org.send("tickets", {"id": 7, **ticket}, secret=VARIABLES["TICKET_SECRET"])
            assert (await org.settled(event)).keys() == ({"ticket-to-engineering"} if wakes else set())

    async def test_the_routes_own_settings_of_a_transform_count(self, tmp_path: Path) -> None:
        async with living(copied("engineering-org", tmp_path), VARIABLES, tmp_path / "home") as org:
            ticket = {"state": "Todo", "labels": ["backend"]}
            events = [
                await org.send("tickets", {"id": id, **ticket}, secret=VARIABLES["TICKET_SECRET"])
                for id in (7, 8, 7)
            ]
            found = [(await org.settled(event))["ticket-to-engineering"] for event in events]
            assert [row.state for row in found] == [State.DELIVERED, State.DELIVERED, State.DROPPED]
            assert [row.key for row in found[:2]] == ["ticket:7", "ticket:8"]


class TestGithubToSlack:
    """Everything in one file."""

    async def test_the_channel_gets_text_and_the_archive_the_event(self, tmp_path: Path, sink: Sink) -> None:
        variables = {**VARIABLES, "SLACK_WEBHOOK_URL": sink.url}
        async with GithubServer(1_767_614_400) as github:
            github.token = VARIABLES["GITHUB_TOKEN"]
            root = copied("github-to-slack", tmp_path, github.url)
            file = root / "orgloop.yaml"
            file.write_text(
                file.read_text("utf-8").replace("poll_interval: 5m", "poll_interval: 50ms"), "utf-8"
            )
            async with living(root, variables, tmp_path / "home") as org:
                await until(lambda: len(github.asked) > 10, "a poll after the first one")
                github.now += 60
                github.open_pull(42)
                github.review(42, "changes_requested")
                rows = await until(lambda: org.reader.deliveries(Query()), "an event")
                await self.is_told(org, sink, rows[0].event_id)

    async def is_told(self, org: Living, sink: Sink, event: str) -> None:
        found = await org.settled(event)
        assert {row.state for row in found.values()} == {State.DELIVERED}
        bodies = {path: content for path, _, content in sink.bodies}
        assert bodies["/slack"] == {"text": "mona: pull_request.review_submitted on octo-org/billing#42"}
        assert bodies["/archive"]["event"]["id"] == event
        assert "launch_prompt" not in bodies["/archive"]


class TestSupervisor:
    """Sessions that end are judged."""

    async def test_every_end_is_judged_and_a_failed_one_escalates(self, tmp_path: Path, sink: Sink) -> None:
        variables = {**VARIABLES, "SLACK_WEBHOOK_URL": sink.url}
        root = copied("multi-agent-supervisor", tmp_path)
        async with living(root, variables, tmp_path / "home") as org:
            started = await org.send("claude-code", {"session_id": "s-1", "hook_type": "start"})
            assert await org.settled(started) == {}
            good = await org.send("claude-code", {"session_id": "s-1", "exit_status": 0})
            bad = await org.send("claude-code", {"session_id": "s-2", "exit_status": 2})
            assert (await org.settled(good)).keys() == {"session-review"}
            assert (await org.settled(bad)).keys() == {"session-review", "failed-session"}
            ends = await org.ended("supervisor", 2)
            assert all("# Judge the session." in end["payload"]["result"]["text"] for end in ends)
            for end in ends:
                assert (await org.settled(end["id"]))["judged"].state is State.DELIVERED
            outcomes = [
                content["event"]["payload"]["lifecycle"]["outcome"]
                for path, _, content in sink.bodies
                if content["event"]["source"] == "claude-code"
            ]
            assert outcomes == ["failure"]


class TestTwoOrganizations:
    """Each is the other's source and actor, over signed HTTP."""

    async def test_an_order_goes_out_is_packed_and_comes_back_confirmed(
        self, tmp_path: Path, sink: Sink
    ) -> None:
        supplier_root, buyer_root = copied("supplier", tmp_path), copied("buyer", tmp_path)
        variables = {**VARIABLES, "BOOKS_URL": sink.url}
        async with living(buyer_root, variables, tmp_path / "home-of-nobody") as first:
            buyer_url = first.url
            async with living(
                supplier_root, {**variables, "BUYER_URL": buyer_url}, tmp_path / "home-of-supplier"
            ) as supplier:
                ordered = await send_order(supplier)
                assert (await supplier.settled(ordered))["pack"].state is State.DELIVERED
                (packed,) = await supplier.ended("packer")
                assert "# Pack the order." in packed["payload"]["result"]["text"]
                assert (await supplier.settled(packed["id"]))["confirm"].state is State.DELIVERED
            (confirmed,) = first.events("confirmations")
            assert (await first.settled(confirmed.id))["book"].state is State.DELIVERED
            (book,) = sink.bodies
            assert book[2]["event"]["payload"]["event"]["id"] == packed["id"]

    async def test_the_weekly_order_carries_its_prompt_file_and_signature(
        self, tmp_path: Path, sink: Sink
    ) -> None:
        variables = {**VARIABLES, "SUPPLIER_URL": sink.url}
        async with living(copied("buyer", tmp_path), variables, tmp_path / "home") as buyer:
            tick = {
                "source": "order-day",
                "type": "resource.changed",
                "provenance": {"platform": "cron", "platform_event": "schedule.default"},
                "payload": {"schedule": "default"},
            }
            taken = await buyer.runtime.inbound.emit(tick)
            assert (await buyer.settled(taken.event_id))["weekly-order"].state is State.DELIVERED
            path, headers, content = sink.bodies[0]
            assert path == "/webhook/orders"
            assert content == {"order": "default", "terms": "Delivery within a week.\n"}
            assert headers["x-hub-signature-256"].startswith("sha256=")


async def send_order(supplier: Living) -> str:
    return await supplier.send("orders", orjson.dumps({"order": 1}), secret=VARIABLES["PARTNER_SECRET"])
