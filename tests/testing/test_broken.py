"""The suite finds a connector that breaks its contract, whichever part of it that is."""

from __future__ import annotations

import asyncio
import inspect
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import orgloop.testing.description
import orgloop.testing.engine
import orgloop.testing.suite
from orgloop.plugin import (
    ActorKind,
    Completion,
    Connector,
    Context,
    Delivered,
    DeliverOutcome,
    Draft,
    ExitInfo,
    Inbound,
    NotBegun,
    Page,
    PluginError,
    Received,
    RunSpec,
    Secret,
    Settings,
    Wake,
    WakeSession,
    parse_json,
)
from orgloop.testing import ConnectorSuite
from tests.testing import test_suite
from tests.testing.packages import installed
from tests.testing.test_suite import DROPBOX, PARCEL

Broken = tuple[type[ConnectorSuite], Connector, str]


def with_source(connector: Connector, source: Any, **more: Any) -> Connector:
    assert connector.source is not None
    return replace(connector, source=replace(connector.source, open=source, **more))


def with_actor(connector: Connector, actor: Any) -> Connector:
    assert connector.actor is not None
    return replace(connector, actor=replace(connector.actor, open=actor))


class Eats(DROPBOX.DropboxSource):  # type: ignore[name-defined,misc]
    """Takes each file away before its event is committed."""

    async def poll(self, checkpoint: str | None) -> Page:
        page = Page(events=[self._event(path.name) for path in self._directory.iterdir()], checkpoint="here")
        for path in self._directory.iterdir():
            path.unlink()
        return page


class Repeats(DROPBOX.DropboxSource):  # type: ignore[name-defined,misc]
    """Tells of each file at each poll."""

    async def poll(self, checkpoint: str | None) -> Page:
        names = sorted(path.name for path in self._directory.iterdir())
        return Page(events=[self._event(name) for name in names], checkpoint="here")


class Leaks(DROPBOX.DropboxSource):  # type: ignore[name-defined,misc]
    """Says its password when the other system refuses it."""

    async def open(self, ctx: Context) -> None:
        self._http = ctx.http

    async def poll(self, checkpoint: str | None) -> Page:
        reply = await self._http.request("GET", "http://127.0.0.1:9/")
        if reply.status == 401:
            raise PluginError("the server does not know hunter2")
        return Page()


class Clings(DROPBOX.DropboxSource):  # type: ignore[name-defined,misc]
    """Goes on after it was cancelled, for a while."""

    async def poll(self, checkpoint: str | None) -> Page:
        for _ in range(2):
            try:
                async with asyncio.timeout(1):
                    await asyncio.Event().wait()
            except (TimeoutError, asyncio.CancelledError):
                pass
        return Page()


class LeakSettings(DROPBOX.DropboxSettings):  # type: ignore[name-defined,misc]
    """A directory, and a password."""

    password: Secret
    """What must not be told."""


class Nameless(PARCEL.Post):  # type: ignore[name-defined,misc]
    """Gives no delivery a name."""

    async def receive(self, request: Inbound) -> Received:
        return Received(events=(await super().receive(request)).events)


class Trusting(PARCEL.Post):  # type: ignore[name-defined,misc]
    """Says that it verifies, and does not."""

    async def receive(self, request: Inbound) -> Received:
        return Received(events=[Draft(provenance={"platform": "x"}, payload={})], request="same")


class Hopeful(PARCEL.Post):  # type: ignore[name-defined,misc]
    """Takes whatever is JSON for an object."""

    async def receive(self, request: Inbound) -> Received:
        about = {"platform": "x", "platform_event": parse_json(request.body)["number"]}
        return Received(events=[Draft(provenance=about, payload={})])


class Appends(DROPBOX.DropboxActor):  # type: ignore[name-defined,misc]
    """Writes another file at each try."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        (self._directory / secrets.token_hex()).write_text("again")
        return Delivered()


class Forgets(DROPBOX.DropboxActor):  # type: ignore[name-defined,misc]
    """Says that it delivered, and did not."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        return Delivered()


class Mute(DROPBOX.DropboxActor):  # type: ignore[name-defined,misc]
    """Returns nothing."""

    async def deliver(self, wake: Wake) -> Any:
        return None


class Impure(PARCEL.Worker):  # type: ignore[name-defined,misc]
    """Runs something else each time."""

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        return RunSpec(argv=["true", secrets.token_hex()], cwd="/")


class Fragile(PARCEL.Worker):  # type: ignore[name-defined,misc]
    """Takes its program at its word."""

    def finish(self, exit: ExitInfo) -> Completion | NotBegun:
        json.loads(exit.stdout)
        return super().finish(exit)  # type: ignore[no-any-return]


class Undescribed(Settings):
    """A setting of which nobody says what it is."""

    url: str = ""


DROP: Connector = DROPBOX.connector
POST: Connector = PARCEL.post
WORKER: Connector = PARCEL.worker

CRASH = "test_a_crash_around_the_commit_of_a_poll_loses_and_repeats_nothing"
ONCE = "test_each_thing_is_told_once_however_often_the_daemon_starts"
AGAIN = "test_a_delivery_that_comes_again_is_one_event_also_after_a_crash"
FORGED = "test_a_request_that_is_no_delivery_is_refused"
KILLED = "test_work_that_a_crash_interrupts_anywhere_is_done"
WORK = "test_a_wake_does_its_work_once_and_is_finished"
ANSWERED = "test_whatever_the_other_system_answers_ends_in_time_and_tells_no_secret"
PURE = "test_a_run_s_functions_are_pure_and_take_whatever_a_program_writes"
DESCRIBED = "test_each_setting_is_described_and_an_unknown_one_is_refused"
EXAMPLE = "test_the_example_is_an_event_that_it_declares"
CANCELLED = "test_what_waits_for_the_other_system_can_be_cancelled"
SAME = "test_a_poll_that_was_not_committed_tells_the_same_again"


class WithPassword(test_suite.TestDropbox):
    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {**super().source_config(place), "password": "hunter2"}


BROKEN: Mapping[str, Broken] = {
    "a poll that takes away what is not committed": (test_suite.TestDropbox, with_source(DROP, Eats), CRASH),
    "a poll that cannot tell the same again": (test_suite.TestDropbox, with_source(DROP, Eats), SAME),
    "a poll that repeats": (test_suite.TestDropbox, with_source(DROP, Repeats), ONCE),
    "a poll that tells a secret": (WithPassword, with_source(DROP, Leaks, settings=LeakSettings), ANSWERED),
    "a poll that cannot be cancelled": (test_suite.TestDropbox, with_source(DROP, Clings), CANCELLED),
    "deliveries without a name": (test_suite.TestParcel, with_source(POST, Nameless), AGAIN),
    "a forged delivery that is taken": (test_suite.TestParcel, with_source(POST, Trusting), FORGED),
    "a delivery that breaks it": (test_suite.TestParcel, with_source(POST, Hopeful), FORGED),
    "work that is done again": (test_suite.TestDropbox, with_actor(DROP, Appends), KILLED),
    "work that is not done": (test_suite.TestDropbox, with_actor(DROP, Forgets), WORK),
    "an outcome that is none": (test_suite.TestDropbox, with_actor(DROP, Mute), ANSWERED),
    "a start that is not pure": (test_suite.TestParcelWorker, with_actor(WORKER, Impure), PURE),
    "a finish that breaks": (test_suite.TestParcelWorker, with_actor(WORKER, Fragile), PURE),
    "a setting without description": (
        test_suite.TestDropbox,
        Connector(name="x", title="x", actor=ActorKind(settings=Undescribed, open=DROPBOX.DropboxActor)),
        DESCRIBED,
    ),
    "an example of another kind": (
        test_suite.TestDropbox,
        with_source(DROP, DROPBOX.DropboxSource, names=lambda _: ("file.removed",)),
        EXAMPLE,
    ),
}


SAID: Mapping[str, str] = {
    "a poll that takes away what is not committed": "did not come to their end",
    "a poll that cannot tell the same again": "must tell the same again",
    "a poll that repeats": "were told",
    "a poll that tells a secret": "tells a secret",
    "a poll that cannot be cancelled": "goes on after it was cancelled",
    "deliveries without a name": "came twice",
    "a forged delivery that is taken": "the forged body",
    "a delivery that breaks it": "list indices",
    "work that is done again": "done 2 times",
    "work that is not done": "was not done",
    "an outcome that is none": "returned None",
    "a start that is not pure": "the same twice",
    "a finish that breaks": "Expecting value",
    "a setting without description": "below url",
    "an example of another kind": "has none of",
}
"""What the suite says of each."""


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_contract_is_found(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (orgloop.testing.description, orgloop.testing.suite):
        monkeypatch.setattr(module, "LIMIT_S", 0.5)
    monkeypatch.setattr(orgloop.testing.engine, "PATIENCE", 3.0)
    suite, connector, test = BROKEN[fault]
    tried = type("Tried", (suite,), {"connector": connector})()
    run: Callable[..., None] = getattr(tried, test)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        run(tmp_path) if "tmp_path" in inspect.signature(run).parameters else run()
    found = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert SAID[fault] in str(found)


def test_another_door_is_found() -> None:
    text = (
        "from orgloop.core.events.event import Event\nfrom orgloop.plugin import *\n"
        "def opened(id, settings): ...\n"
        "class S(Settings):\n    ''\n"
        "connector = Connector(name='x', title='x', source=SourceKind(settings=S, open=opened))\n"
    )
    tried = type(
        "Tried", (ConnectorSuite,), {"connector": installed("orgloop_suite_climber", text).connector}
    )()
    with pytest.raises(AssertionError, match=r"orgloop\.core"):
        tried.test_it_imports_the_door_alone()
