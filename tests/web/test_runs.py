"""Runs over HTTP: a real program, while it goes on and when it has ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.web.scene import Scene, scene
from tests.web.test_api import types
from tests.web.test_metrics import sample, scraped


@pytest.fixture
async def work(home: Path) -> AsyncGenerator[Scene]:
    async with scene(home) as found:
        yield found


async def test_a_run_that_goes_on_is_shown(work: Scene) -> None:
    _, body = await work.acme.get("/api/runs?open")
    (run,) = body
    assert (run["id"], run["delivery_id"], run["event_id"]) == (work.run_id, work.started, work.event_id)
    assert (run["actor"], run["route"], run["harness"]) == ("reviewer", "review-deploy", "process")
    assert (run["outcome"], run["ended_at"], run["duration_ms"]) == ("", None, None)
    assert run["last_line"] == "Looking at the deploy"
    assert types(run)["started_at"] == "time"
    assert (await work.acme.get("/api/status"))[1]["open_runs"] == 1
    found = await scraped(work.acme)
    assert sample(found, "orgloop_runs_open") == 1


async def test_a_run_that_has_ended_says_what_it_came_to(work: Scene) -> None:
    work.go_on()
    await work.ended()
    assert (await work.acme.get("/api/runs?open"))[1] == []
    _, run = await work.acme.get(f"/api/runs/{work.run_id}")
    assert (run["outcome"], run["exit_status"]) == ("success", 0)
    assert "All is well" in run["text"]
    assert run["spec"]["argv"][0] == "sh"
    assert run["completion"]["lifecycle"]["outcome"] == "success"
    assert types(run)["ended_at"] == "time"
    assert run["duration_ms"] >= 0
    found = await scraped(work.acme)
    assert sample(found, "orgloop_runs_ended_total", actor="reviewer", outcome="success") == 1
    assert sample(found, "orgloop_run_cost_usd_total", actor="reviewer") == 0


async def test_a_run_is_stopped_by_an_operator(work: Scene) -> None:
    path = f"/control/runs/{work.run_id}/stop"
    assert await work.acme.control("POST", path) == (200, {"ok": True, "id": work.run_id})
    await work.ended()
    _, run = await work.acme.get(f"/api/runs/{work.run_id}")
    assert run["outcome"] == "cancelled"
    status, body = await work.acme.control("POST", path)
    assert (status, "cancelled" in body["error"]) == (409, True)


async def test_the_trace_goes_from_the_event_to_the_run_s_end(work: Scene) -> None:
    work.go_on()
    await work.ended()
    for id in (work.run_id, work.trace_id, work.started):
        _, trace = await work.acme.get(f"/api/trace/{id}")
        assert trace["trace_id"] == work.trace_id
        assert [event["type"] for event in trace["events"]] == [
            "resource.changed",
            "resource.changed",
            "actor.stopped",
        ]
        assert [run["id"] for run in trace["runs"]] == [work.run_id]
        assert {step["transition"] for step in trace["steps"]} == {
            "rejected",
            "started",
            "begun",
            "run_ended",
        }


async def test_the_sop_of_a_wake_is_named_with_its_event(work: Scene) -> None:
    _, event = await work.acme.get(f"/api/events/{work.event_id}")
    assert event["sop_files"] == ["sops/review.md"]
    assert event["processing_ms"] is None, "the run goes on"
    assert sorted(event["matched_routes"]) == ["notify", "review-deploy"]
