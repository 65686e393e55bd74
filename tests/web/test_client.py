"""The command line's client, against a real daemon and against things that are none."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orgloop.config.findings import Code, Finding, Severity
from orgloop.core.deliveries.transition import Rejected
from orgloop.daemon.client import Client
from orgloop.daemon.spool import Hook, keep, keep_taking
from orgloop.errors import ConfigError, Conflict, DaemonError, NotFound, OrgLoopError, Refused
from orgloop.journal.model import Query
from orgloop.project.home import DaemonInfo, Home, replace_file
from tests.web.daemon import PROJECT, TOKEN, Daemon, until

T = TypeVar("T")
E = TypeVar("E", bound=OrgLoopError)


def announce(home: Home, port: int, token: str = TOKEN) -> None:
    """What a daemon of this process leaves in its home."""
    replace_file(home.token, token + "\n")
    home.write_daemon(
        DaemonInfo(
            pid=os.getpid(),
            started_at=time.time_ns() // 1_000_000,
            port=port,
            project=PROJECT,
            root="/somewhere",
            version="1.2.3",
        )
    )


@pytest.fixture
def client(acme: Daemon) -> Client:
    announce(acme.runtime.home, acme.server.port)
    found = Client.of_home(acme.runtime.home)
    assert found is not None
    return found


async def call(function: Callable[..., T], *args: Any, **named: Any) -> T:
    return await asyncio.to_thread(function, *args, **named)


async def refused(kind: type[E], function: Callable[..., Any], *args: Any) -> E:
    """The error that a call raises; each says what to do next."""
    with pytest.raises(kind) as caught:
        await call(function, *args)
    assert caught.value.hint
    return caught.value


async def test_a_home_without_a_daemon_has_no_client(home: Path) -> None:
    assert Client.of_home(Home(home)) is None


async def test_a_daemon_without_its_token_cannot_be_told_anything(acme: Daemon) -> None:
    announce(acme.runtime.home, acme.server.port)
    acme.runtime.home.token.unlink()
    error = await refused(DaemonError, Client.of_home, acme.runtime.home)
    assert "token" in error.message


async def test_status_is_what_the_daemon_says(client: Client, acme: Daemon) -> None:
    status = await call(client.status)
    assert (status["project"], status["home"]) == (PROJECT, str(acme.runtime.home.path))


async def test_overview_is_what_everybody_may_see(client: Client, acme: Daemon) -> None:
    overview = await call(client.overview)
    assert (overview["health"], overview["http_port"]) == ("ok", acme.server.port)


async def test_shutdown_is_heard(client: Client, acme: Daemon) -> None:
    await call(client.shutdown)
    await until(lambda: acme.shutdowns, "the process hears of it")


async def test_apply_returns_what_happened_to_waiting_work(client: Client, acme: Daemon) -> None:
    async def reload() -> Mapping[str, int]:
        return {"held": 3}

    acme.reload = reload
    file = acme.runtime.organization.file
    assert await call(client.apply, str(file)) == {"held": 3}
    assert await call(client.apply, file.parent) == {"held": 3}
    error = await refused(Conflict, client.apply, "/somewhere/else/orgloop.yaml")
    assert PROJECT in error.message


async def test_findings_come_through_whole(client: Client, acme: Daemon) -> None:
    finding = Finding(
        severity=Severity.ERROR,
        code=Code.UNKNOWN_ACTOR,
        message="there is no actor 'x'",
        hint="did you mean 'y'?",
        file="orgloop.yaml",
        line=3,
        column=5,
        path="routes.0",
    )

    async def reload() -> Mapping[str, int]:
        raise ConfigError("one problem", hint="mend it", findings=[finding])

    acme.reload = reload
    error = await refused(ConfigError, client.apply, str(acme.runtime.organization.file))
    assert (error.message, error.hint, error.findings) == ("one problem", "mend it", (finding,))


async def test_emit_puts_an_event_in(client: Client, acme: Daemon) -> None:
    document = {"source": "hooks", "type": "resource.changed", "provenance": {"platform": "x"}}
    answer = await call(client.emit, document)
    assert acme.reader.event(answer["event_id"]) is not None
    error = await refused(Refused, client.emit, {**document, "source": "nobody"})
    assert "nobody" in error.message


async def test_a_delivery_is_operated(client: Client, acme: Daemon) -> None:
    acme.actor.outcomes.append(Rejected(reason="no"))
    await acme.webhook()
    await acme.settled("dead")
    id = acme.reader.deliveries(Query())[0].id
    await refused(Conflict, client.operate, id, "release")
    await refused(NotFound, client.operate, id, "eat")
    error = await refused(NotFound, client.operate, "dlv_/../0", "retry")
    assert error.message == "there is no delivery dlv_/../0"
    answer = await call(client.operate, id, "discard", by="ada", note="done by hand")
    assert answer["state"] == "discarded"


async def test_a_run_that_is_not_there_cannot_be_stopped(client: Client) -> None:
    assert "run_0" in (await refused(NotFound, client.stop_run, "run_0")).message


async def test_a_webhook_is_handed_on_as_it_is(client: Client, acme: Daemon) -> None:
    answer = await call(client.post_webhook, "hooks", b'{"n": 1}', {"Idempotency-Key": "a"})
    again = await call(client.post_webhook, "hooks", b'{"n": 1}', {"Idempotency-Key": "a"})
    assert (answer["duplicate"], again["duplicate"]) == (False, True)
    assert (await refused(Refused, client.post_webhook, "hooks", b"{")).status == 400
    assert (await refused(Refused, client.post_webhook, "signed", b"{}")).status == 401
    await refused(NotFound, client.post_webhook, "nobody", b"{}")


async def test_a_hook_that_missed_the_daemon_s_start_is_taken_soon_and_once(acme: Daemon) -> None:
    home, stopped = acme.runtime.home, threading.Event()
    home.ensure()
    announce(home, acme.server.port)
    taking = asyncio.create_task(asyncio.to_thread(keep_taking, home, stopped, 0.01))
    for n in range(3):
        hook = Hook.new("hooks", b'{"n": %d}' % n, {})
        await call(keep, home, hook)
        await call(keep, home, replace(hook, at=hook.at + 1))
        await until(lambda: not list(home.spool.iterdir()), "the spool to be empty")
    stopped.set()
    await taking
    events = acme.reader.events(Query(source="hooks"))
    assert [row.document["payload"] for row in events] == [{"n": 2}, {"n": 1}, {"n": 0}]


async def test_the_daemon_of_another_home_is_left_alone(acme: Daemon, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.ensure()
    announce(other, acme.server.port)
    same_token = Client.of_home(other)
    assert same_token is not None
    error = await refused(DaemonError, same_token.shutdown)
    assert str(acme.runtime.home.path) in error.message
    assert str(other.path) in error.message
    announce(other, acme.server.port, token="another-token")
    own_token = Client.of_home(other)
    assert own_token is not None
    for act in (own_token.shutdown, own_token.status):
        assert str(other.path) in (await refused(DaemonError, act)).message
    await refused(DaemonError, own_token.post_webhook, "hooks", b"{}")
    assert acme.shutdowns == []
    assert acme.states() == []


async def test_a_home_reached_by_another_path_is_the_same_home(acme: Daemon, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(acme.runtime.home.path)
    announce(acme.runtime.home, acme.server.port)
    found = Client.of_home(Home(link))
    assert found is not None
    assert (await call(found.status))["running"] is True


@contextmanager
def stranger(answer: bytes | None) -> Generator[int]:
    """Something that listens on a port and gives this answer to whatever it hears; None: never one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held: list[socket.socket] = []

        def serve() -> None:
            try:
                while True:
                    connection, _ = listening.accept()
                    held.append(connection)
                    if answer is not None:
                        connection.recv(65536)
                        connection.sendall(answer)
                        connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_is_no_daemon_is_told_apart(answer: bytes, home: Path) -> None:
    with stranger(answer) as port:
        announce(Home(home), port)
        found = Client.of_home(Home(home))
        assert found is not None
        assert str(port) in (await refused(DaemonError, found.shutdown)).message


async def test_a_daemon_that_does_not_answer_is_given_up(home: Path) -> None:
    with stranger(None) as port:
        announce(Home(home), port)
        found = Client.of_home(Home(home))
        assert found is not None
        error = await refused(DaemonError, found.status, 0.05)
    assert "within 0.05 s" in error.message
    assert "--force" in error.hint


async def test_a_port_where_nobody_listens(home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        announce(Home(home), free.getsockname()[1])
        found = Client.of_home(Home(home))
        assert found is not None
        error = await refused(DaemonError, found.shutdown)
    assert "orgloop restart" in error.hint


def test_the_client_starts_without_the_server_s_libraries() -> None:
    heavy = "('aiohttp', 'pydantic', 'http.client')"
    code = f"import orgloop.daemon.client, sys; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.strip() == "[]"
