"""OpenClaw at work: whole projects with a gateway that goes down, restarts, refuses and forgets."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from tests.compat.living import Living, living, until
from tests.docs import pages
from tests.e2e.organization import Organization, wait_for
from tests.support.gateway_server import Answer, Gateway, Turn

PROJECT = """
metadata: {name: claws}
defaults: {delivery: {retry: {initial_delay: 10ms, max_delay: 50ms}}}
sources: [{id: ci, connector: webhook}]
actors:
  - id: claw
    connector: openclaw
    config: {base_url: URL, auth_token_env: "${OPENCLAW_WEBHOOK_TOKEN}", agent_id: main, MORE}
  - id: books
    connector: process
    config: {command: [cat]}
routes:
  - name: work
    when: {source: ci, events: ["*"]}
    then: {actor: claw, config: {session_key: "hook:pr:{{payload.pr}}"}}
    with: {prompt_file: sop.md}
  - name: told
    when: {source: claw, events: [actor.stopped], filter: {payload.openclaw_run: gw-1}}
    then: {actor: books}
"""
VARIABLES = {"OPENCLAW_WEBHOOK_TOKEN": "hook-token", "PATH": "/usr/bin:/bin"}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


def project(gateway: Gateway, more: str = "lane: main") -> dict[str, str]:
    text = PROJECT.replace("URL", gateway.url).replace("MORE", more)
    if more in ("completion: accept", "hook: wake"):
        # Its end is not known, so no route can wait for it.
        text = text.partition("  - name: told")[0]
    return {"orgloop.yaml": text, "sop.md": "Merge it.\n"}


def written(root: Path, gateway: Gateway, more: str = "lane: main") -> Path:
    for name, content in project(gateway, more).items():
        (root / name).write_text(content)
    return root


def body_of(payload: Mapping[str, Any], name: str = "merge.asked") -> dict[str, Any]:
    return {"type": name, **payload}


async def end_of(org: Living) -> dict[str, Any]:
    (end,) = await org.ended("claw")
    payload: dict[str, Any] = end["payload"]
    return payload


async def test_a_wake_is_one_turn_whose_end_wakes_the_next(tmp_path: Path, gateway: Gateway) -> None:
    async with living(written(tmp_path, gateway), VARIABLES, tmp_path / "home") as org:
        await org.send("ci", body_of({"pr": 7, "title": "@nobody"}))
        end = await end_of(org)
        assert (end["lifecycle"]["outcome"], end["lifecycle"]["reason"]) == ("success", "ok")
        assert (end["session"]["harness"], end["openclaw_run"]) == ("openclaw", "gw-1")
        assert len(await org.ended("books")) == 1
        (run,) = gateway.runs
        assert run.key == end["run_id"]
        assert (run.body["sessionKey"], run.body["agentId"], run.body["lane"]) == (
            "hook:pr:7",
            "main",
            "main",
        )
        message = run.body["message"]
        assert message.startswith("Merge it.\n")
        assert "<orgloop-event" in message
        # A comment with the mark of the message is known as the run's own.
        mark = org.runtime._marker.find(f"Done.\n{message}")
        assert mark is not None
        assert (mark.run_id, mark.actor) == (end["run_id"], "claw")
        assert message.count("orgloop-run: run_") == 1
        assert message.count("OrgLoop-Run: run_") == 1


async def test_what_is_too_long_for_a_prompt_is_cut_without_naming_a_file(
    tmp_path: Path, gateway: Gateway
) -> None:
    async with living(written(tmp_path, gateway), VARIABLES, tmp_path / "home") as org:
        await org.send("ci", body_of({"pr": 7, "text": "x" * 50_000}))
        await end_of(org)
        assert "… cut after" in gateway.runs[0].body["message"]
        assert "ORGLOOP_EVENT_FILE" not in gateway.runs[0].body["message"]


async def test_an_agent_that_reports_gives_its_result_before_its_turn_ends(
    tmp_path: Path, gateway: Gateway
) -> None:
    def reports(body: Mapping[str, Any]) -> None:
        (address,) = re.findall(r"http://\S+/callback/\S+", body["message"])
        told = {"status": "ok", "text": "Merged.", "json": {"decision": "merged"}}
        with urllib.request.urlopen(address, json.dumps(told).encode(), timeout=30) as answer:
            assert answer.status == 200
        gateway.open("reported")

    gateway.script("Merge", Turn(work=reports, gate="never"))
    root = written(tmp_path, gateway, "completion: callback")
    async with living(root, VARIABLES, tmp_path / "home") as org:
        await org.send("ci", body_of({"pr": 7}))
        end = await end_of(org)
        assert end["result"] == {"text": "Merged.", "json": {"decision": "merged"}}
        assert end["lifecycle"]["reason"] == "reported"


async def test_a_gateway_that_is_down_or_refuses_has_the_work_once_it_is_back(
    tmp_path: Path, gateway: Gateway
) -> None:
    gateway.stop()
    gateway.token = "another"
    async with living(written(tmp_path, gateway), VARIABLES, tmp_path / "home") as org:
        await org.send("ci", body_of({"pr": 7}))

        def waiting(why: str) -> Any:
            rows = org.reader.deliveries(Query(states=(State.PENDING,)))
            return [row for row in rows if why in (row.detail or "")]

        await until(lambda: waiting("cannot connect"), "the gateway is missed")
        gateway.start()
        await until(lambda: waiting("401"), "the token is refused")
        gateway.token = "hook-token"
        gateway.answers = [
            Answer(status=429, headers={"Retry-After": "1"}),
            Answer(status=503, body=b'{"ok": false, "error": "did not start"}', headers={"Retry-After": "1"}),
        ]
        await end_of(org)
        assert len(gateway.runs) == 1
        assert gateway.answers == []


async def test_a_key_that_the_gateway_refuses_is_told_with_its_words(
    tmp_path: Path, gateway: Gateway
) -> None:
    gateway.prefixes = None
    async with living(written(tmp_path, gateway), VARIABLES, tmp_path / "home") as org:
        event = await org.send("ci", body_of({"pr": 7}))
        row = (await org.settled(event))["work"]
        assert row.state is State.DEAD
        assert "sessionKey is disabled" in (row.detail or "")
        assert gateway.runs == []


async def test_a_connection_that_breaks_joins_the_run_and_a_restart_ends_it(
    tmp_path: Path, gateway: Gateway
) -> None:
    gateway.script("", Turn(gate="door"))
    async with living(written(tmp_path, gateway), VARIABLES, tmp_path / "home") as org:
        gateway.answers = [Answer(status=0, breaks=True)]
        await org.send("ci", body_of({"pr": 7}))
        await until(lambda: gateway.runs, "the second request")
        gateway.open("door")
        assert (await end_of(org))["lifecycle"]["outcome"] == "success"
        assert len(gateway.runs) == 1

        gateway.script("", Turn(gate="second door"))
        gateway._turns.reverse()
        await org.send("ci", body_of({"pr": 8}))
        await until(lambda: len(gateway.runs) == 2, "the second run")
        await asyncio.to_thread(gateway.restart)
        _, lost = await org.ended("claw", 2)
        assert lost["payload"]["lifecycle"]["outcome"] == "unknown"
        assert lost["payload"]["lifecycle"]["reason"] == "gateway_restarted"
        assert len(gateway.runs) == 2


def test_a_daemon_that_is_killed_joins_its_run_again(organization: Organization, gateway: Gateway) -> None:
    gateway.script("", Turn(gate="door"))
    organization.environ |= VARIABLES | {"PATH": organization.environment["PATH"]}
    organization.write(project(gateway))
    organization.start()
    organization.post("ci", body_of({"pr": 7}))
    wait_for("the run", lambda: gateway.runs)
    organization.kill()
    organization.start()
    wait_for("the second request", lambda: len([1 for path, *_ in gateway.requests if "agent" in path]) == 2)
    gateway.open("door")

    def stopped() -> list[Any]:
        with organization.reader() as reader:
            return [row for row in reader.events(Query(source="claw")) if row.type == "actor.stopped"]

    (end,) = wait_for("its end", stopped)
    assert end.document["payload"]["lifecycle"]["outcome"] == "success"
    assert len(gateway.runs) == 1
    doctor = json.loads(organization.command("doctor", "--json", check=False).stdout)
    assert "accepts the token" in json.dumps(doctor)
    assert len(gateway.runs) == 1
    assert organization.stop() == 0


async def test_handing_over_wakes_once_and_has_no_run(tmp_path: Path, gateway: Gateway) -> None:
    async with living(written(tmp_path, gateway, "completion: accept"), VARIABLES, tmp_path / "home") as org:
        row = (await org.settled(await org.send("ci", body_of({"pr": 7}))))["work"]
        assert (row.state, row.detail) == (State.DELIVERED, "run gw-1")
        assert org.reader.runs(Query()) == []


async def test_a_notice_reaches_the_main_session(tmp_path: Path, gateway: Gateway) -> None:
    async with living(written(tmp_path, gateway, "hook: wake"), VARIABLES, tmp_path / "home") as org:
        row = (await org.settled(await org.send("ci", body_of({"pr": 7}))))["work"]
        assert row.state is State.DELIVERED
        (notice,) = gateway.notices
        assert notice["text"].endswith("Merge it.")
        assert notice["sessionKey"] == "hook:pr:7"


async def test_the_first_example_of_the_page_is_a_project_that_works(
    tmp_path: Path, gateway: Gateway
) -> None:
    (first, *_) = [block.text for block in pages.blocks("yaml", pages=("docs/agents/openclaw.md",))]
    text = textwrap.dedent(first).replace("config:", f"config:\n      base_url: {gateway.url}", 1)
    text = text.replace("provenance.repo", "payload.repo").replace("provenance.pr_number", "payload.number")
    (tmp_path / "orgloop.yaml").write_text(f"sources: [{{id: github, connector: webhook}}]\n{text}")
    (tmp_path / "sops").mkdir()
    (tmp_path / "sops/pr-review.md").write_text("Review it.\n")
    async with living(tmp_path, VARIABLES, tmp_path / "home") as org:
        await org.send("github", body_of({}, "pull_request.review_submitted"))
        (end,) = await org.ended("engineer")
        assert end["payload"]["lifecycle"]["outcome"] == "success"
        sent = gateway.runs[0].body
        assert (sent["agentId"], sent["channel"], sent["deliver"]) == ("main", "slack", True)
        assert sent["message"].startswith("Review it.")
