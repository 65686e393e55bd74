"""/callback/{run}/{token}: another system reports on a run over HTTP."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from orgloop.config.model import ActorSpec
from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.core.text.json_text import load_json
from orgloop.journal.model import Query
from orgloop.plugin import ActorKind, Completion, Inbound, Progress, Ref, Refused
from tests.runtime.fakes import Elsewhere, FakeCalledBack, Note, Stage
from tests.web.daemon import Daemon, route

PAGE: Final = (Path(__file__).parents[2] / "docs/http.md").read_text()
SHOWN: Final = load_json(re.findall(r"## Callbacks\n.*?```json\n(.*?)```", PAGE, re.DOTALL)[0])


def read(request: Inbound) -> Any:
    match request.body:
        case b"half":
            return Progress(text="half of it")
        case b"done":
            return Completion(phase=Phase.COMPLETED, outcome=RunOutcome.SUCCESS, reason="done", text="done")
        case _:
            raise Refused("this is no report", status=422)


async def test_a_report_is_taken_from_whoever_knows_the_address_and_ends_the_run_once(
    acme: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgloop.web.callback.LIMIT", 1000)
    elsewhere = Elsewhere(begins=lambda run: Ref(id=run.id), follows=lambda _: None, reads=read)
    stage = Stage(elsewhere=elsewhere)
    kind = ActorKind(settings=Note, open=partial(FakeCalledBack, stage), has_runs=lambda _: True)
    far = ActorSpec(id="far", connector="fake", kind=kind, settings=Note(), has_runs=True, fingerprint="f")
    before = acme.runtime.organization
    await acme.runtime.apply(replace(before, actors={"far": far}, routes=[route("far", actor="far")]))
    await acme.webhook()
    await acme.settled("started")
    (address,) = elsewhere.callbacks
    assert address is not None
    assert address.startswith(acme.url)
    path = address.removeprefix(acme.url)
    run_id, token = path.split("/")[2:]

    # Only there, only so, and only what can be read.
    for wrong in (
        f"/callback/{run_id}/{token[:-1]}",
        f"/callback/{run_id}/",
        f"/callback/{run_id}",
        f"/callback/run_1/{token}",
        f"{path}/more",
        "/callback/",
        f"/callback//{token}",
    ):
        assert (await acme.post(wrong, b"done"))[0] == 404, wrong
    assert (await acme.get(path))[0] == 405
    assert (await acme.post(path, b"what?"))[0] == 422
    assert (await acme.post(path, b"x" * 1001))[0] == 413
    assert [run.ended_at for run in acme.reader.runs(Query())] == [None]

    # Through a tunnel, too: the address is the proof.
    status, body = await acme.post(path, b"half", X_Forwarded_For="203.0.113.7", Host="hooks.example.com")
    assert (status, body) == (200, {"ok": True, "run_id": run_id, "duplicate": False})
    assert acme.runtime.runs.live[run_id].last_line == "half of it"
    status, body = await acme.post(path, b"done")
    assert (status, {**body, "run_id": SHOWN["run_id"]}) == (200, SHOWN)
    await acme.settled("delivered")
    assert (await acme.post(path, b"done"))[1]["duplicate"] is True
    assert [run.text for run in acme.reader.runs(Query())] == ["done"]
