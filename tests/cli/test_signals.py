"""A daemon in the foreground: what signals do to it, and what a plugin cannot keep it from."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from orgloop.project.home import running_daemon
from tests.cli.small import PROJECT, in_foreground, said_by
from tests.e2e.organization import Organization, wait_for


def test_one_signal_stops_it_and_nothing_is_left(acme: Organization) -> None:
    with in_foreground(acme) as process:
        process.send_signal(signal.SIGINT)
        out = said_by(process)
        assert process.returncode == 0
    assert "Ctrl-C stops it" in out
    assert out.endswith("✓ stopped; unfinished work continues at the next start\n")
    assert not acme.home.daemon_file.exists()


def test_the_terminal_may_go_away(acme: Organization) -> None:
    with in_foreground(acme, "--quiet") as process:
        process.send_signal(signal.SIGHUP)
        assert acme.post("hook", {"type": "work"})[0] == 200
        process.terminate()
        assert (said_by(process), process.returncode) == ("", 0)
    assert not acme.home.daemon_file.exists()


def test_a_second_signal_ends_it_on_the_spot(acme: Organization) -> None:
    with in_foreground(acme, "--quiet") as process:
        # Asleep, it hears of both at once.
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            process.send_signal(number)
        said_by(process)
        assert process.returncode == 130
    assert acme.home.daemon_file.exists()
    assert running_daemon(acme.home) is None
    assert acme.command("start", "--daemon").returncode == 0


HOLDING = """
import asyncio
import time

from orgloop.plugin import Connector, Page, Settings, SourceKind


class Nothing(Settings):
    how: str


class Holding:
    def __init__(self, id, settings):
        self.how = settings.how

    async def open(self, ctx): ...

    async def close(self): ...

    async def poll(self, checkpoint):
        print("it holds on", flush=True)
        if self.how == "thread":
            await asyncio.to_thread(time.sleep, 3600)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass


source = SourceKind(settings=Nothing, open=Holding, polled=True)
connector = Connector(name="holding", title="Holds on", source=source)
"""


@pytest.mark.parametrize("how", ["thread", "task"])
def test_a_plugin_that_does_not_let_go_does_not_keep_the_daemon(
    how: str, acme: Organization, tmp_path: Path
) -> None:
    """A blocking call in a thread cannot be ended at all, and many libraries make one."""
    package = tmp_path / "package"
    info = package / "holding-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: holding\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[orgloop.connectors]\nholding = holding:connector\n")
    (package / "holding.py").write_text(HOLDING)
    acme.environ["PYTHONPATH"] = str(package)
    source = f"sources: [{{id: held, connector: holding, config: {{how: {how}}}}}, "
    acme.write({"orgloop.yaml": PROJECT.replace("sources: [", source)})
    daemon = acme.start()
    assert acme.daemon is not None
    wait_for("the poll", lambda: "it holds on" in acme.log)
    began = time.monotonic()
    os.kill(daemon.pid, signal.SIGTERM)
    assert acme.daemon.wait(30) == 0
    assert time.monotonic() - began < 12
    assert "does not let go" in acme.log
    assert running_daemon(acme.home) is None
