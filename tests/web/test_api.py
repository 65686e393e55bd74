"""/api: the published shapes, field by field, and the filters of its lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from orgloop.config.model import Organization
from orgloop.core.deliveries.transition import Rejected
from orgloop.errors import JournalError, JournalUnavailable
from orgloop.journal.sqlite import SqliteReader
from orgloop.runtime.engine import Runtime
from orgloop.web.reader_thread import MOST_WAITING
from tests.web.daemon import PROJECT, Daemon, FakeActor, FakePoller, daemon, route, until

ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

PLACES: Final = (
    "/api/status",
    "/api/health",
    "/api/routes",
    "/api/sources",
    "/api/events",
    "/api/events/evt_0",
    "/api/deliveries",
    "/api/deliveries/dlv_0",
    "/api/runs",
    "/api/runs/run_0",
    "/api/trace/trc_0",
    "/api/doctor",
    "/api/metrics",
)


def types(content: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: "time" if isinstance(value, str) and ISO.fullmatch(value) else type(value).__name__
        for key, value in content.items()
    }


async def polled_once(acme: Daemon) -> None:
    await until(lambda: acme.runtime.sources.next_polls.get("polled"), "a poll")


async def test_status_has_the_published_fields(acme: Daemon) -> None:
    await polled_once(acme)
    await acme.webhook()
    await acme.settled("delivered")
    status, body = await acme.get("/api/status")
    assert status == 200
    assert types(body) == {
        "health": "str",
        "running": "bool",
        "pid": "int",
        "uptime_ms": "int",
        "http_port": "int",
        "modules": "list",
        "sources": "list",
        "version": "str",
        "project": "str",
        "paused": "list",
        "waits": "list",
        "loggers": "list",
        "deliveries": "dict",
        "open_runs": "int",
        "waiting_accepts": "int",
        "not_open": "dict",
        "troubles": "dict",
        "journal_fault": "str",
        "attention": "list",
    }
    assert (body["health"], body["running"], body["http_port"]) == ("ok", True, acme.server.port)
    assert (body["version"], body["project"]) == ("1.2.3", PROJECT)
    assert [types(one) for one in body["modules"]] == [
        {
            "name": "str",
            "state": "str",
            "sources": "int",
            "routes": "int",
            "actors": "int",
            "uptime_ms": "int",
        }
    ]
    module = body["modules"][0]
    assert (module["name"], module["state"]) == (PROJECT, "active")
    assert (module["sources"], module["routes"], module["actors"]) == (3, 2, 1)
    assert [types(one) for one in body["sources"]] == [
        {
            "id": "str",
            "connector": "str",
            "status": "str",
            "event_count": "int",
            "last_event": last,
            "refused": "int",
            "refused_unproven": "int",
            "last_refused": "NoneType",
            "refused_why": "str",
            "next_poll": next,
            "later": "NoneType",
        }
        for last, next in (("time", "NoneType"), ("NoneType", "NoneType"), ("time", "time"))
    ]
    assert body["sources"][1] == {
        "id": "signed",
        "connector": "webhook",
        "status": "healthy",
        "event_count": 0,
        "last_event": None,
        "refused": 0,
        "refused_unproven": 0,
        "last_refused": None,
        "refused_why": "",
        "next_poll": None,
        "later": None,
    }
    assert body["deliveries"] == {
        "preparing": 0,
        "pending": 0,
        "running": 0,
        "started": 0,
        "delivered": 1,
        "dropped": 0,
        "held": 0,
        "dead": 0,
        "discarded": 0,
    }


async def test_events_of_webhooks_are_counted_at_their_source(acme: Daemon) -> None:
    for _ in range(3):
        await acme.webhook()
    _, body = await acme.get("/api/sources")
    hooks = body[0]
    assert (hooks["id"], hooks["event_count"]) == ("hooks", 3)
    assert ISO.fullmatch(hooks["last_event"])


async def test_a_source_tells_what_it_refused(acme: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        status, _ = await acme.post("/webhook/signed", {"type": "test"})
        assert status == 401
    _, body = await acme.get("/api/sources")
    assert [(one["refused"], one["refused_why"]) for one in body[:2]] == [(0, ""), (2, "Missing signature")]
    assert ISO.fullmatch(body[1]["last_refused"])
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["source signed refuses a request: Missing signature"], "once, not at each request"
    assert (await acme.get("/webhook/signed"))[0] == 405
    _, body = await acme.get("/api/sources")
    assert (body[1]["refused"], body[1]["refused_why"]) == (3, "Method not allowed; Missing signature")


async def test_sources_have_the_published_fields(acme: Daemon) -> None:
    await polled_once(acme)
    _, body = await acme.get("/api/sources")
    hooks, _, polled = body
    assert hooks == {
        "id": "hooks",
        "module": PROJECT,
        "connector": "webhook",
        "type": "webhook",
        "status": "healthy",
        "last_event": None,
        "event_count": 0,
        "last_poll": None,
        "last_success": None,
        "errors": 0,
        "error": "",
        "refused": 0,
        "refused_unproven": 0,
        "last_refused": None,
        "refused_why": "",
    }
    assert (polled["type"], polled["poll_interval"], polled["event_count"]) == ("polling", "5m", 1)
    assert ISO.fullmatch(polled["last_poll"])


async def test_routes_have_the_published_fields(home: Path) -> None:
    sop = home.parent / "sops" / "review.md"
    sop.parent.mkdir()
    sop.write_text("Look at it.")

    def with_sop(organization: Organization) -> Organization:
        first, second = organization.routes
        return replace(organization, routes=[replace(first, prompt_file=sop), second])

    async with daemon(home, with_sop) as acme:
        await acme.webhook()
        _, body = await acme.get("/api/routes")
    first, second = body
    assert ISO.fullmatch(first.pop("last_fired"))
    assert first == {
        "name": "all-hooks",
        "module": PROJECT,
        "when": {"source": "hooks", "events": ["*"]},
        "actor": "target",
        "sop_file": "sops/review.md",
        "transforms": [],
        "fire_count": 1,
    }
    assert second == {
        "name": "main-only",
        "module": PROJECT,
        "when": {"source": "signed", "events": ["resource.changed"], "filter": {"payload.branch": "main"}},
        "actor": "target",
        "transforms": [],
        "fire_count": 0,
        "last_fired": None,
        "description": "Pushes to main",
    }


async def test_events_have_the_published_fields(acme: Daemon) -> None:
    event_id = await acme.webhook({"type": "deploy.finished"})
    await acme.settled("delivered")
    _, body = await acme.get("/api/events?source=hooks")
    (one,) = body
    assert ISO.fullmatch(one["timestamp"])
    assert ISO.fullmatch(one["accepted_at"])
    assert isinstance(one["processing_ms"], float)
    assert one["processing_ms"] >= 0
    delivery = acme.reader.delivery(one["deliveries"][0]["id"])
    assert delivery is not None
    assert {key: one[key] for key in one if key not in ("timestamp", "accepted_at", "processing_ms")} == {
        "event_id": event_id,
        "source": "hooks",
        "type": "resource.changed",
        "platform_event": "deploy.finished",
        "matched_routes": ["all-hooks"],
        "sop_files": [],
        "actors": ["target"],
        "module": PROJECT,
        "trace_id": delivery.trace_id,
        "hops": 0,
        "deliveries": [{"id": delivery.id, "route": "all-hooks", "state": "delivered", "reason": ""}],
    }


async def test_an_event_that_matches_nothing_has_taken_no_time(acme: Daemon) -> None:
    await polled_once(acme)
    _, body = await acme.get("/api/events?source=polled")
    assert [(one["matched_routes"], one["processing_ms"]) for one in body] == [([], 0.0)]


async def test_an_event_whose_delivery_goes_on_has_no_time_yet(home: Path) -> None:
    async with daemon(home, lambda organization: replace(organization, actors=slow(organization))) as acme:
        await acme.webhook()
        _, body = await acme.get("/api/events?source=hooks")
        assert body[0]["processing_ms"] is None


async def test_an_actor_that_cannot_be_opened_shows(home: Path) -> None:
    async with daemon(home, lambda organization: replace(organization, actors=slow(organization))) as acme:
        await until(lambda: acme.runtime.actors.failing, "the failure")
        _, body = await acme.get("/api/status")
        assert body["health"] == "degraded"
        assert "not yet" in body["not_open"]["target"]


def slow(organization: Organization) -> Mapping[str, Any]:
    """The organization's actors, which never open: their work waits."""

    class NeverOpens(FakeActor):
        async def open(self, ctx: Any) -> None:
            raise ConnectionError("not yet")

    target = organization.actors["target"]
    return {"target": replace(target, kind=replace(target.kind, open=NeverOpens))}


async def test_the_sop_that_an_event_carried_is_named(home: Path) -> None:
    sop = home.parent / "review.md"
    sop.write_text("Look at it.")
    routes = [route("all-hooks", prompt_file=sop)]
    async with daemon(home, lambda organization: replace(organization, routes=routes)) as acme:
        event_id = await acme.webhook()
        await acme.settled("delivered")
        _, body = await acme.get(f"/api/events/{event_id}")
    assert body["sop_files"] == ["review.md"]


async def test_lists_are_newest_first_and_bounded(acme: Daemon) -> None:
    ids = [await acme.webhook({"n": n}) for n in range(5)]
    _, all_of_them = await acme.get("/api/events?source=hooks")
    _, two = await acme.get("/api/events?source=hooks&limit=2")
    assert [one["event_id"] for one in all_of_them] == ids[::-1]
    assert [one["event_id"] for one in two] == [ids[4], ids[3]]


async def test_events_are_filtered_by_source_route_and_trace(acme: Daemon) -> None:
    await polled_once(acme)
    event_id = await acme.webhook()
    trace_id = (await acme.get("/api/events?source=hooks"))[1][0]["trace_id"]

    async def ids(query: str) -> list[str]:
        return [one["event_id"] for one in (await acme.get(f"/api/events?{query}"))[1]]

    assert (
        await ids("source=hooks")
        == await ids("route=all-hooks")
        == await ids(f"trace={trace_id}")
        == [event_id]
    )
    assert await ids("source=nobody") == await ids("route=main-only") == []
    assert len(await ids("source=polled")) == 1


async def test_from_and_to_are_both_part_of_what_is_asked_for(acme: Daemon) -> None:
    event_id = await acme.webhook()
    row = acme.reader.event(event_id)
    assert row is not None

    async def found(query: str) -> bool:
        return bool((await acme.get(f"/api/events?source=hooks&{query}"))[1])

    at = (await acme.get("/api/events?source=hooks"))[1][0]["accepted_at"]
    assert await found(f"from={at}&to={at}")
    assert await found(f"from={row.at}&to={row.at}")
    assert await found(f"from={at.replace('Z', '%2B00:00')}")
    assert await found("from=2001-01-31")
    assert not await found(f"from={row.at + 1}")
    assert not await found(f"to={row.at - 1}")
    assert not await found("to=2001-01-31")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("/api/events?from=yesterday", "from"),
        ("/api/events?to=2026-13-01", "to"),
        ("/api/events?to=99999999999999999999", "to"),
        ("/api/events?limit=0", "limit"),
        ("/api/events?limit=-1", "limit"),
        ("/api/events?limit=many", "limit"),
        ("/api/events?limit=1.5", "limit"),
        ("/api/events?limit=²", "limit"),
        ("/api/events?lmit=1", "lmit"),
        ("/api/deliveries?state=asleep", "state"),
        ("/api/deliveries?states=held", "states"),
        ("/api/runs?open=perhaps", "open"),
        ("/api/status?verbose=1", "verbose"),
        ("/api/doctor?fix=1", "fix"),
    ],
)
async def test_a_parameter_that_means_nothing_is_refused_by_its_name(
    query: str, name: str, acme: Daemon
) -> None:
    status, body = await acme.get(query)
    assert (status, body["ok"]) == (400, False)
    assert repr(name) in body["error"]
    assert body["hint"]


async def test_deliveries_have_their_fields_and_filters(acme: Daemon) -> None:
    acme.actor.outcomes.append(Rejected(reason="no"))
    event_id = await acme.webhook()
    await acme.settled("dead")
    await acme.webhook()
    await acme.settled("dead", "delivered")
    _, body = await acme.get("/api/deliveries?state=held,dead")
    (one,) = body
    assert types(one) | {
        "key": None,
        "run_id": None,
        "due": None,
        "batch_until": None,
        "cancelled_by": None,
    } == {
        "id": "str",
        "event_id": "str",
        "trace_id": "str",
        "source": "str",
        "event_type": "str",
        "route": "str",
        "actor": "str",
        "state": "str",
        "reason": "str",
        "detail": "str",
        "key": None,
        "attempts": "int",
        "failures": "int",
        "crashes": "int",
        "run_id": None,
        "accepted_at": "time",
        "changed_at": "time",
        "due": None,
        "lead": "str",
        "members": "list",
        "batch_until": None,
        "cancelled_by": None,
    }
    assert (one["lead"], one["members"]) == (one["id"], [one["id"]])
    assert (one["event_id"], one["state"], one["reason"], one["detail"]) == (
        event_id,
        "dead",
        "rejected",
        "no",
    )
    assert (one["key"], one["run_id"], one["due"]) == (None, None, None)
    assert (one["attempts"], one["failures"], one["crashes"]) == (1, 1, 0)
    for query, count in (
        ("", 2),
        ("?route=all-hooks", 2),
        ("?route=main-only", 0),
        ("?actor=target", 2),
        ("?actor=nobody", 0),
        ("?reason=rejected", 1),
        ("?state=delivered", 1),
        ("?limit=1", 1),
    ):
        assert len((await acme.get(f"/api/deliveries{query}"))[1]) == count, query


async def test_one_delivery_tells_its_story(acme: Daemon) -> None:
    event_id = await acme.webhook({"type": "ping"})
    await acme.settled("delivered")
    id = (await acme.get("/api/deliveries"))[1][0]["id"]
    _, body = await acme.get(f"/api/deliveries/{id}")
    assert (body["id"], body["event"]["id"], body["event"]["payload"]) == (id, event_id, {"type": "ping"})
    assert body["transforms"] == []
    assert [(step["transition"], step["state"], step["detail"]) for step in body["steps"]] == [
        ("delivered", "delivered", "taken")
    ]
    assert types(body["steps"][0])["duration_ms"] == "int"


async def test_one_event_tells_its_story(acme: Daemon) -> None:
    event_id = await acme.webhook({"type": "ping"})
    await acme.settled("delivered")
    _, body = await acme.get(f"/api/events/{event_id}")
    assert body["event"]["payload"] == {"type": "ping"}
    assert [one["state"] for one in body["deliveries"]] == ["delivered"]
    assert [one["transition"] for one in body["steps"]] == ["delivered"]


async def test_a_trace_is_found_by_the_id_of_anything_in_it(acme: Daemon) -> None:
    event_id = await acme.webhook()
    await acme.settled("delivered")
    (delivery,) = (await acme.get("/api/deliveries"))[1]
    for id in (event_id, delivery["id"], delivery["trace_id"]):
        _, body = await acme.get(f"/api/trace/{id}")
        assert body["trace_id"] == delivery["trace_id"]
        assert [one["id"] for one in body["events"]] == [event_id]
        assert [one["id"] for one in body["deliveries"]] == [delivery["id"]]
        assert [one["transition"] for one in body["steps"]] == ["delivered"]
        assert body["runs"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/events/evt_0",
        "/api/deliveries/dlv_0",
        "/api/runs/run_0",
        "/api/trace/trc_0",
        "/api/trace/evt_0",
        "/api/trace/x",
    ],
)
async def test_what_is_not_there_is_named(path: str, acme: Daemon) -> None:
    status, body = await acme.get(path)
    assert (status, body["ok"]) == (404, False)
    assert path.rpartition("/")[2] in body["error"]


async def test_runs_are_an_empty_list_without_runs(acme: Daemon) -> None:
    for query in ("", "?open", "?open=true", "?open=false", "?actor=target&route=all-hooks"):
        assert await acme.get(f"/api/runs{query}") == (200, [])


async def test_doctor_is_what_the_process_says(acme: Daemon) -> None:
    assert await acme.get("/api/doctor") == (200, {"status": "ok", "project": PROJECT, "checks": []})


@pytest.mark.parametrize("path", [*PLACES, "/api/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
async def test_api_only_reads(method: str, path: str, acme: Daemon) -> None:
    status, headers, _ = await acme.whole(method, path)
    assert (status, headers["Allow"]) == (405, "GET")


async def test_an_unknown_path_names_those_that_there_are(acme: Daemon) -> None:
    status, body = await acme.get("/api/statsu")
    assert (status, body["error"]) == (404, "Not found: /api/statsu")
    assert "/api/status" in body["hint"]


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/api", "/control", "/favicon.ico", "/api/", "/api/status/"]
)
async def test_other_paths_are_not_found(path: str, acme: Daemon) -> None:
    status, body = await acme.get(path)
    assert (status, body["error"]) == (404, f"Not found: {path}")


@pytest.mark.parametrize("path", [*PLACES, "/api/nothing"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"X-Forwarded-For": "1.2.3.4"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "Same-Site"},
    ],
    ids=str,
)
async def test_pages_of_other_sites_and_tunnels_learn_nothing(
    headers: dict[str, str], path: str, acme: Daemon
) -> None:
    status, body = await acme.get(path, **headers)
    assert (status, body["ok"]) == (403, False)


async def test_a_page_that_we_served_ourselves_may_ask(acme: Daemon) -> None:
    origin = f"http://127.0.0.1:{acme.server.port}"
    assert (await acme.get("/api/status", Origin=origin))[0] == 200
    assert (await acme.get("/api/status", Sec_Fetch_Site="same-origin"))[0] == 200


async def test_a_person_may_type_the_address_into_a_browser(acme: Daemon) -> None:
    assert (await acme.get("/api/status", Sec_Fetch_Site="none"))[0] == 200


async def test_a_source_that_fails_shows(home: Path) -> None:
    def failing(runtime: Runtime) -> None:
        poller = runtime.wiring.sources["polled"].source
        assert isinstance(poller, FakePoller)
        poller.failures = 1

    async with daemon(home, prepare=failing) as acme:
        await until(lambda: [row for row in acme.reader.sources() if row.errors], "a failed poll")
        _, body = await acme.get("/api/status")
        assert body["health"] == "degraded"
        assert [one["status"] for one in body["sources"]] == ["healthy", "healthy", "degraded"]
        _, sources = await acme.get("/api/sources")
        assert (sources[2]["errors"], sources[2]["error"]) == (1, "ConnectionError: the other side is away")


async def test_a_source_that_fails_again_and_again_is_an_error(acme: Daemon) -> None:
    await polled_once(acme)
    for at in range(5):
        await acme.journal.polled("polled", at, "away")
    _, body = await acme.get("/api/status")
    assert (body["health"], body["sources"][2]["status"]) == ("error", "unhealthy")


async def test_health_says_whether_events_can_be_taken(acme: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    status, body = await acme.get("/api/health")
    assert status == 200
    assert types(body) == {
        "ok": "bool",
        "journal_writable": "bool",
        "error": "str",
        "waiting_accepts": "int",
        "uptime_ms": "int",
    }

    async def full(life: Any) -> None:
        raise JournalError("the disk is full")

    monkeypatch.setattr(acme.journal, "beat", full)
    status, body = await acme.get("/api/health")
    assert (status, body["ok"], body["journal_writable"], body["error"]) == (
        503,
        False,
        False,
        "the disk is full",
    )
    monkeypatch.undo()


async def test_a_journal_that_cannot_be_written_is_told_everywhere(
    acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: Any) -> Any:
        raise JournalUnavailable("the disk is full")

    # A sign of life is a small commit, and may find room where an event does not.
    monkeypatch.setattr(acme.journal, "accept", full)
    assert (await acme.post("/webhook/hooks", {"n": 1}))[0] == 503
    _, body = await acme.get("/api/status")
    assert (body["health"], body["journal_fault"]) == ("error", "the disk is full")
    assert [(one["kind"], one["urgent"]) for one in body["attention"]] == [("journal", True)]
    assert (await acme.get("/api/health"))[0] == 503
    text = (await acme.whole("GET", "/api/metrics"))[2]
    assert "orgloop_journal_writable 0.0" in str(text)
    monkeypatch.undo()
    assert (await acme.post("/webhook/hooks", {"n": 2}))[0] == 200
    assert (await acme.get("/api/status"))[1]["health"] == "ok"


async def test_questions_beyond_measure_hear_503(acme: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio
    import threading

    asked, go_on = threading.Event(), threading.Event()
    real = SqliteReader.route_stats

    def slow(reader: SqliteReader) -> Any:
        asked.set()
        go_on.wait(20)
        return real(reader)

    monkeypatch.setattr(SqliteReader, "route_stats", slow)
    waiting = [asyncio.create_task(acme.get("/api/routes")) for _ in range(MOST_WAITING + 10)]
    await until(lambda: sum(task.done() for task in waiting) >= 10, "refused questions")
    assert (await acme.post("/webhook/hooks", {}))[0] == 200, "events come first"
    go_on.set()
    statuses = [status for status, _ in await asyncio.gather(*waiting)]
    assert (statuses.count(200), statuses.count(503)) == (MOST_WAITING, 10)
