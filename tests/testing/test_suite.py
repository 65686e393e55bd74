"""Connectors of somebody else pass the suite: those of the pages, and a package of every kind of part."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from orgloop.plugin import Inbound, SecretStr, sign
from orgloop.testing import ConnectorSuite
from tests.plugin import parcel
from tests.support.job_server import Handler, Jobs, Server
from tests.testing.packages import installed, of_page

DROPBOX: Final = of_page(0, "orgloop_dropbox")
JOBS: Final = of_page(1, "orgloop_suite_jobs")
PAGE: Final = of_page(2, "orgloop_suite_of_page")
PARCEL: Final = installed("orgloop_suite_parcel", Path(parcel.__file__).read_text("utf-8"))


def numbered(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


class TestDropbox(PAGE.TestDropbox):  # type: ignore[name-defined,misc]
    """A poller whose checkpoint tells old from new, and an actor that answers at once."""


class TestParcel(ConnectorSuite):
    """A receiver that verifies signatures, and an actor that answers at once."""

    connector = PARCEL.post

    def source_config(self, place: Path) -> Mapping[str, Any]:
        return {"secret": "a secret of parcels"}

    def request(self, place: Path, number: int) -> Inbound:
        body = json.dumps({"number": number}).encode()
        signed = sign(SecretStr("a secret of parcels"), body)
        headers = {"x-parcel-signature": signed, "x-parcel-number": str(number)}
        return Inbound(method="POST", headers=headers, body=body, peer="127.0.0.1")

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"directory": str(numbered(place / "shelf"))}

    def done(self, place: Path) -> int:
        return len(list((place / "shelf").iterdir()))


class TestParcelWorker(ConnectorSuite):
    """Runs of a program."""

    connector = PARCEL.worker

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        return {"command": f"echo done >> {place}/done"}

    def done(self, place: Path) -> int:
        file = place / "done"
        return len(file.read_text().splitlines()) if file.exists() else 0


class TestJobs(ConnectorSuite):
    """Runs of another system, which each place has for itself."""

    connector = JOBS.connector
    servers: ClassVar[dict[Path, Server]] = {}

    @pytest.fixture(autouse=True)
    def served(self) -> Iterator[None]:
        yield
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
        self.servers.clear()

    def actor_config(self, place: Path) -> Mapping[str, Any]:
        if place not in self.servers:
            handler = type("Own", (Handler,), {"jobs": Jobs()})
            self.servers[place] = server = Server(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        return {"url": f"http://127.0.0.1:{self.servers[place].server_port}"}

    def done(self, place: Path) -> int:
        jobs: Jobs = self.servers[place].RequestHandlerClass.jobs  # type: ignore[attr-defined]
        return len(jobs.jobs)
