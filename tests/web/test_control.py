"""/control: only with the token, and each verb does what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from orgloop.config.findings import Code, Finding, Severity
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Rejected, Retry
from orgloop.errors import ConfigError, PluginError
from orgloop.journal.model import Query
from orgloop.web.endpoints import ENDPOINTS
from tests.web.daemon import PROJECT, TOKEN, Daemon, until
from tests.web.test_api import types

PLACES: Final = [(method, path) for method, path, _ in ENDPOINTS if path.startswith("/control/")]


@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer é",
    ],
)
async def test_without_the_token_nothing_is_done(
    given: str | None, method: str, path: str, acme: Daemon
) -> None:
    headers = {} if given is None else {"Authorization": given}
    status, answered, body = await acme.whole(method, path, **headers)
    assert (status, answered["WWW-Authenticate"]) == (401, "Bearer")
    assert "token" in body["hint"]
    assert acme.shutdowns == []


@pytest.mark.parametrize(("method", "path"), [*PLACES, ("GET", "/control/nothing")])
@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"X-Forwarded-For": "1.2.3.4"}],
    ids=str,
)
async def test_with_the_token_a_foreign_page_or_a_tunnel_does_nothing_either(
    headers: dict[str, str], method: str, path: str, acme: Daemon
) -> None:
    status, _ = await acme.send(method, path, Authorization=f"Bearer {TOKEN}", **headers)
    assert status == 403
    assert acme.shutdowns == []


@pytest.mark.parametrize(("method", "path"), PLACES)
async def test_each_takes_its_own_method_only(method: str, path: str, acme: Daemon) -> None:
    other = "GET" if method == "POST" else "POST"
    status, headers, _ = await acme.whole(other, path, Authorization=f"bearer {TOKEN}")
    assert (status, headers["Allow"]) == (405, method)
    assert acme.shutdowns == []


async def test_an_unknown_path_is_not_found(acme: Daemon) -> None:
    status, body = await acme.control("GET", "/control/statsu")
    assert (status, body["error"]) == (404, "Not found: /control/statsu")


async def test_status_says_which_daemon_this_is(acme: Daemon) -> None:
    status, body = await acme.control("GET", "/control/status")
    assert status == 200
    assert types(body) == {
        "running": "bool",
        "pid": "int",
        "uptime_ms": "int",
        "httpPort": "int",
        "home": "str",
        "project": "str",
        "root": "str",
        "version": "str",
        "modules": "list",
    }
    assert (body["running"], body["httpPort"], body["project"]) == (True, acme.server.port, PROJECT)
    assert (body["home"], body["root"]) == (str(acme.runtime.home.path), str(acme.runtime.organization.root))


async def test_a_module_has_the_published_fields(acme: Daemon) -> None:
    await until(lambda: acme.runtime.sources.next_polls.get("polled"), "a poll")
    _, modules = await acme.control("GET", "/control/module/list")
    _, module = await acme.control("GET", f"/control/module/status/{PROJECT}")
    _, status = await acme.control("GET", "/control/status")
    for one in (*modules, module, *status["modules"]):
        assert types(one) == {
            "name": "str",
            "state": "str",
            "sources": "int",
            "routes": "int",
            "actors": "int",
            "uptime_ms": "int",
            "health": "list",
        }
        assert (one["name"], one["state"]) == (PROJECT, "active")
        assert [types(source) for source in one["health"]] == [
            {
                "sourceId": "str",
                "status": "str",
                "lastSuccessfulPoll": poll,
                "lastPollAttempt": poll,
                "consecutiveErrors": "int",
                "lastError": "NoneType",
                "totalEventsEmitted": "int",
                "circuitOpen": "bool",
            }
            for poll in ("NoneType", "NoneType", "time")
        ]


async def test_another_module_is_not_found(acme: Daemon) -> None:
    status, body = await acme.control("GET", "/control/module/status/other")
    assert (status, body["error"]) == (404, "Module not found: other")


async def test_shutdown_is_answered_and_then_asked_of_the_process(acme: Daemon) -> None:
    assert await acme.control("POST", "/control/shutdown") == (200, {"ok": True})
    await until(lambda: acme.shutdowns, "the process hears of it")


def reloads(acme: Daemon, *, answer: Mapping[str, int] | Exception) -> list[str]:
    """What is asked of the process from now on."""
    asked: list[str] = []

    async def reload() -> Mapping[str, int]:
        asked.append("reload")
        if isinstance(answer, Exception):
            raise answer
        return answer

    acme.reload = reload
    return asked


@pytest.mark.parametrize("path", ["/control/apply", "/control/reload"])
async def test_apply_reads_the_project_again(path: str, acme: Daemon) -> None:
    asked = reloads(acme, answer={"held": 2})
    assert await acme.control("POST", path) == (200, {"ok": True, "project": PROJECT, "moved": {"held": 2}})
    assert asked == ["reload"]


async def test_apply_takes_the_path_of_the_project_that_runs(acme: Daemon) -> None:
    asked = reloads(acme, answer={})
    root = acme.runtime.organization.root
    for body in (
        {"configPath": str(root / "orgloop.yaml")},
        {"configPath": str(root)},
        {"configPath": "orgloop.yaml", "projectDir": str(root)},
        {"projectDir": str(root / "sub" / "..")},
    ):
        assert (await acme.control("POST", "/control/apply", body))[0] == 200, body
    assert len(asked) == 4


async def test_apply_of_another_project_is_refused_and_says_how_to_run_it(acme: Daemon) -> None:
    asked = reloads(acme, answer={})
    for path in ("/control/apply", "/control/module/load-project"):
        status, body = await acme.control("POST", path, {"configPath": "/somewhere/else/orgloop.yaml"})
        assert status == 409
        assert PROJECT in body["error"]
        assert "ORGLOOP_HOME" in body["hint"]
    assert asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"configPath": 1},
        {"configPath": "orgloop.yaml"},
        {"path": "/x"},
        [],
        "text",
        {"configPath": "/" + "a" * 3000},
    ],
)
async def test_apply_refuses_what_names_no_project(body: Any, acme: Daemon) -> None:
    asked = reloads(acme, answer={})
    status, answer = await acme.control("POST", "/control/apply", body)
    assert (status, answer["ok"]) == (400, False)
    assert asked == []


async def test_a_project_that_is_wrong_is_told_finding_by_finding(acme: Daemon) -> None:
    finding = Finding(
        severity=Severity.ERROR,
        code=Code.UNKNOWN_ACTOR,
        message="there is no actor 'x'",
        hint="did you mean 'y'?",
        file="orgloop.yaml",
        line=3,
        column=5,
    )
    reloads(acme, answer=ConfigError("2 problems", hint="mend them", findings=[finding]))
    status, body = await acme.control("POST", "/control/apply")
    assert (status, body["error"], body["hint"]) == (422, "2 problems", "mend them")
    assert body["findings"] == [
        {
            "severity": "error",
            "code": "unknown-actor",
            "message": "there is no actor 'x'",
            "hint": "did you mean 'y'?",
            "file": "orgloop.yaml",
            "line": 3,
            "column": 5,
            "path": "",
        }
    ]


async def test_a_part_that_cannot_be_made_is_told(acme: Daemon) -> None:
    reloads(acme, answer=PluginError("source 'x': no", hint="change it"))
    status, body = await acme.control("POST", "/control/apply")
    assert (status, body["error"]) == (422, "source 'x': no")
    assert "findings" not in body


async def test_two_applies_come_one_after_the_other(acme: Daemon) -> None:
    gate, inside, most = asyncio.Event(), 0, 0

    async def reload() -> Mapping[str, int]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await gate.wait()
        inside -= 1
        return {}

    acme.reload = reload
    both = [asyncio.create_task(acme.control("POST", "/control/apply")) for _ in range(2)]
    await until(lambda: inside, "the first")
    assert (await acme.control("GET", "/control/status"))[0] == 200
    gate.set()
    assert [status for status, _ in await asyncio.gather(*both)] == [200, 200]
    assert most == 1


async def test_a_module_is_reloaded_by_its_name(acme: Daemon) -> None:
    asked = reloads(acme, answer={})
    assert await acme.control("POST", "/control/module/reload", {"name": PROJECT}) == (200, {"ok": True})
    status, body = await acme.control("POST", "/control/module/reload", {"name": "other"})
    assert (status, body["error"]) == (404, "Module not found: other")
    assert (await acme.control("POST", "/control/module/reload", {}))[0] == 400
    assert asked == ["reload"]


async def test_load_project_of_this_project_is_its_reload(acme: Daemon) -> None:
    asked = reloads(acme, answer={})
    root = str(acme.runtime.organization.root)
    body = {"configPath": f"{root}/orgloop.yaml", "projectDir": root}
    status, module = await acme.control("POST", "/control/module/load-project", body)
    assert (status, module["name"], module["state"]) == (200, PROJECT, "active")
    assert asked == ["reload"]


@pytest.mark.parametrize("verb", ["load", "unload"])
async def test_a_daemon_has_one_project(verb: str, acme: Daemon) -> None:
    status, body = await acme.control("POST", f"/control/module/{verb}", {"name": PROJECT})
    assert status == 409
    assert "orgloop stop" in body["hint"]


async def test_emit_puts_an_event_in(acme: Daemon) -> None:
    document = {
        "source": "hooks",
        "type": "message.received",
        "provenance": {"platform": "webhook", "platform_event": "said"},
        "payload": {"text": "hello"},
    }
    status, body = await acme.control("POST", "/control/emit", document)
    assert status == 200
    assert types(body) == {"ok": "bool", "event_id": "str", "duplicate": "bool"}
    assert (body["ok"], body["duplicate"]) == (True, False)
    await acme.settled("delivered")
    row = acme.reader.event(body["event_id"])
    assert row is not None
    assert {key: row.document[key] for key in document} == document


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": None}, "source"),
        ({"source": "nobody"}, "nobody"),
        ({"type": ""}, "type"),
        ({"provenance": []}, "provenance"),
        ({"id": 5}, "id"),
        ({"parents": 5}, "parents"),
        ({"parents": [1]}, "parents"),
        ({"hops": "two"}, "hops"),
        ({"hops": -1}, "hops"),
        ({"hops": True}, "hops"),
        ({"hops": 2**70}, "hops"),
        ({"hops": 1.5}, "hops"),
    ],
)
async def test_emit_refuses_what_is_no_event_and_names_the_field(
    change: dict[str, Any], named: str, acme: Daemon
) -> None:
    document = {"source": "hooks", "type": "resource.changed", "provenance": {"platform": "x"}, **change}
    status, body = await acme.control("POST", "/control/emit", document)
    assert status == 400
    assert named in body["error"]
    assert acme.states() == []


async def test_emit_of_an_event_that_is_there_already_is_a_duplicate(acme: Daemon) -> None:
    event_id = await acme.webhook()
    await acme.settled("delivered")
    row = acme.reader.event(event_id)
    assert row is not None
    status, body = await acme.control("POST", "/control/emit", row.document)
    assert (status, body) == (200, {"ok": True, "event_id": event_id, "duplicate": True})
    assert acme.states() == ["delivered"]


async def test_of_two_emits_of_one_event_at_once_one_is_a_duplicate(acme: Daemon) -> None:
    document = {
        "id": "evt_00000000000000aa",
        "source": "hooks",
        "type": "resource.changed",
        "provenance": {"platform": "x"},
    }
    both = await asyncio.gather(*(acme.control("POST", "/control/emit", document) for _ in range(2)))
    assert [status for status, _ in both] == [200, 200]
    assert {body["event_id"] for _, body in both} == {"evt_00000000000000aa"}
    assert sorted(body["duplicate"] for _, body in both) == [False, True]
    await acme.settled("delivered")


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"{", b"[" * 20_000], ids=lambda body: body[:6])
async def test_emit_refuses_what_is_no_object(body: bytes, acme: Daemon) -> None:
    assert (await acme.control("POST", "/control/emit", body))[0] == 400


async def test_a_replay_is_a_new_event_for_what_matches_it_now(acme: Daemon) -> None:
    event_id = await acme.webhook()
    await acme.settled("delivered")
    path = f"/control/events/{event_id}/replay"
    status, would = await acme.control("POST", path, {"dry_run": True})
    (route,) = {one["route"] for one in would["deliveries"]}
    assert (status, would["event_id"], acme.states()) == (200, None, ["delivered"])
    status, body = await acme.control("POST", path, {"route": route})
    assert (status, body["ok"], body["replay_of"]) == (200, True, event_id)
    await acme.settled("delivered", "delivered")
    first, again = acme.reader.event(event_id), acme.reader.event(body["event_id"])
    assert first is not None
    assert again is not None
    assert {**first.document, "id": again.id, "replay_of": event_id} == again.document


@pytest.mark.parametrize(
    ("body", "status"),
    [({"route": "nobody"}, 404), ({"dry_run": "yes"}, 400), ({"route": 7}, 400), ({"edit": {}}, 400)],
)
async def test_a_replay_refuses_what_it_does_not_know(
    body: dict[str, Any], status: int, acme: Daemon
) -> None:
    event_id = await acme.webhook()
    await acme.settled("delivered")
    assert (await acme.control("POST", f"/control/events/{event_id}/replay", body))[0] == status
    assert (await acme.control("POST", "/control/events/evt_0/replay", {}))[0] == 404
    assert acme.states() == ["delivered"]


async def test_emit_takes_no_replay(acme: Daemon) -> None:
    document = {"source": "hooks", "provenance": {"platform": "x"}, "replay_of": "evt_0"}
    status, body = await acme.control("POST", "/control/emit", document)
    assert (status, "replay_of" in body["error"]) == (400, True)
    assert acme.states() == []


@pytest.mark.parametrize("kind", ["routes", "actors"])
async def test_what_is_paused_takes_events_and_lets_them_wait(kind: str, acme: Daemon) -> None:
    (route, *_) = acme.runtime.wiring.routes
    name = "target" if kind == "actors" else route
    names = [name] if kind == "actors" else list(acme.runtime.wiring.routes)
    for one in names:
        status, body = await acme.control(
            "POST", f"/control/{kind}/{one}/pause", {"by": "ada", "why": "freeze"}
        )
        assert (status, body) == (200, {"ok": True, kind[:-1]: one, "until": None, "by": "ada: freeze"})
    await acme.webhook()
    await acme.settled("pending")
    for one in names:
        status, body = await acme.control("POST", f"/control/{kind}/{one}/resume", {})
        assert (status, body["resumed"]) == (200, True)
    await acme.settled("delivered")


@pytest.mark.parametrize("kind", ["routes", "actors"])
@pytest.mark.parametrize("until", ["soon", True, 1.5, 10**20])
async def test_a_pause_refuses_what_is_no_time_and_no_part(kind: str, until: Any, acme: Daemon) -> None:
    name = "target" if kind == "actors" else next(iter(acme.runtime.wiring.routes))
    assert (await acme.control("POST", f"/control/{kind}/{name}/pause", {"until": until}))[0] == 400
    assert (await acme.control("POST", f"/control/{kind}/nobody/pause", {}))[0] == 404
    assert (await acme.control("POST", f"/control/{kind}/nobody/resume", {}))[0] == 404


async def one_delivery(acme: Daemon, state: str) -> str:
    await acme.webhook()
    await acme.settled(state)
    return acme.reader.deliveries(Query())[0].id


async def test_a_dead_delivery_is_retried(acme: Daemon) -> None:
    acme.actor.outcomes.append(Rejected(reason="no"))
    id = await one_delivery(acme, "dead")
    status, body = await acme.control("POST", f"/control/deliveries/{id}/retry", {"by": "ada"})
    assert (status, body) == (200, {"ok": True, "id": id, "state": "pending"})
    await acme.settled("delivered")
    _, told = await acme.get(f"/api/deliveries/{id}")
    assert "ada" in str([step for step in told["steps"] if step["transition"] == "retried"])


async def test_a_dead_delivery_is_discarded_with_a_note(acme: Daemon) -> None:
    acme.actor.outcomes.append(Rejected(reason="no"))
    id = await one_delivery(acme, "dead")
    status, body = await acme.control(
        "POST", f"/control/deliveries/{id}/discard", {"by": "ada", "note": "done by hand"}
    )
    assert (status, body) == (200, {"ok": True, "id": id, "state": "discarded"})
    row = acme.reader.delivery(id)
    assert row is not None
    assert (row.state, "done by hand" in row.detail) == (State.DISCARDED, True)


async def test_a_held_delivery_is_released(acme: Daemon) -> None:
    routes = acme.runtime.organization.routes
    import dataclasses

    asked = dataclasses.replace(
        acme.runtime.organization, routes=[dataclasses.replace(routes[0], trust="team")]
    )
    await acme.runtime.apply(asked)
    id = await one_delivery(acme, "held")
    assert acme.actor.wakes == []
    status, body = await acme.control("POST", f"/control/deliveries/{id}/release")
    assert (status, body["state"]) == (200, "pending")
    await acme.settled("delivered")


@pytest.mark.parametrize(
    ("verb", "status"), [("retry", 409), ("release", 409), ("discard", 409), ("eat", 404)]
)
async def test_a_finished_delivery_is_left_alone(verb: str, status: int, acme: Daemon) -> None:
    id = await one_delivery(acme, "delivered")
    got, body = await acme.control("POST", f"/control/deliveries/{id}/{verb}")
    assert got == status
    assert body["hint"]
    assert acme.states() == ["delivered"]


async def test_an_unknown_delivery_is_not_found(acme: Daemon) -> None:
    status, body = await acme.control("POST", "/control/deliveries/dlv_0/retry")
    assert (status, "dlv_0" in body["error"]) == (404, True)


@pytest.mark.parametrize("body", [{"by": 1}, {"note": ["x"]}, {"why": "x"}, {"note": "x" * 2_001}], ids=str)
async def test_a_verb_refuses_what_it_does_not_know(body: Any, acme: Daemon) -> None:
    acme.actor.outcomes.append(Rejected(reason="no"))
    id = await one_delivery(acme, "dead")
    assert (await acme.control("POST", f"/control/deliveries/{id}/discard", body))[0] == 400
    assert acme.states() == ["dead"]


async def test_a_run_that_does_not_go_on_cannot_be_stopped(acme: Daemon) -> None:
    status, body = await acme.control("POST", "/control/runs/run_0/stop")
    assert (status, "run_0" in body["error"]) == (404, True)


async def test_health_is_the_same_as_under_api(acme: Daemon) -> None:
    _, control = await acme.control("GET", "/control/health")
    _, api = await acme.get("/api/health")
    assert control | {"uptime_ms": 0} == api | {"uptime_ms": 0}


async def test_a_retried_wake_waits_for_its_time(acme: Daemon) -> None:
    acme.actor.outcomes.append(Retry(reason="later", after_ms=3_600_000))
    await acme.webhook()
    await until(lambda: [row for row in acme.reader.deliveries(Query()) if row.attempts], "a try")
    _, body = await acme.get("/api/deliveries?state=pending")
    assert types(body[0])["due"] == "time"


def test_every_place_is_under_api_or_control_and_is_there_once() -> None:
    places = [(method, path) for method, path, _ in ENDPOINTS]
    assert len(places) == len(set(places))
    assert {path.split("/")[1] for _, path in places} == {"api", "control"}
    assert {method for method, path in places if path.startswith("/api/")} == {"GET"}


def test_only_the_home_s_owner_can_read_the_token(home: Path) -> None:
    from orgloop.project.home import Home

    Home(home).make_token()
    assert (home / "token").stat().st_mode & 0o777 == 0o600
