"""A package of somebody else, installed beside OrgLoop: the door has all that it needs."""

from __future__ import annotations

import ast
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import orgloop.plugin
from orgloop.plugin import SecretStr, sign
from orgloop.project.home import Home
from tests.e2e.organization import Organization, wait_for

PACKAGE = Path(__file__).with_name("parcel.py")

POINTS = """
[orgloop.connectors]
parcel = orgloop_parcel:post
parcel-worker = orgloop_parcel:worker
[orgloop.transforms]
weigh = orgloop_parcel:weigh
[orgloop.loggers]
book = orgloop_parcel:book
"""

PROJECT = """
metadata: {name: parcels}
sources:
  - {id: post, connector: parcel, config: {secret: "${PARCEL_SECRET}"}}
actors:
  - {id: shelf, connector: parcel, config: {directory: ./shelf}}
  - {id: worker, connector: parcel-worker, config: {command: "cat; echo done >&2"}}
transforms: [{name: weigh, type: weigh}]
loggers: [{name: book, type: book, config: {path: ./book.txt}}]
routes:
  - {name: store, when: {source: post, events: [parcel.came]}, transforms: [weigh], then: {actor: shelf}}
  - {name: work, when: {source: post, events: [parcel.came]}, transforms: [weigh], then: {actor: worker}}
  - name: done
    when: {source: worker, events: [actor.stopped], filter: {payload.lifecycle.outcome: success}}
    then: {actor: shelf, config: {}}
"""


@pytest.fixture
def organization(tmp_path: Path) -> Iterator[Organization]:
    """A project whose environment has the package."""
    place = tmp_path / "installed"
    about = place / "orgloop_parcel-1.0.dist-info"
    about.mkdir(parents=True)
    (place / "orgloop_parcel.py").write_text(PACKAGE.read_text())
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: orgloop-parcel\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    (tmp_path / "project").mkdir()
    it = Organization(tmp_path / "project", Home(tmp_path / "home"))
    it.environ = {"PYTHONPATH": str(place), "PARCEL_SECRET": "s3cret"}
    try:
        yield it
    finally:
        it.kill()


def test_the_package_imports_the_door_alone() -> None:
    modules = [
        node.module or ""
        for node in ast.walk(ast.parse(PACKAGE.read_text()))
        if isinstance(node, ast.ImportFrom)
    ]
    assert [name for name in modules if name.startswith("orgloop")] == ["orgloop.plugin"]


def test_every_name_on_the_door_is_there_once() -> None:
    names = orgloop.plugin.__all__
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(orgloop.plugin, name)] == []


def post(organization: Organization, parcel: object, secret: str = "s3cret") -> int:
    body = json.dumps(parcel).encode()
    connection = http.client.HTTPConnection("127.0.0.1", organization.port, timeout=30)
    headers = {"X-Parcel-Signature": sign(SecretStr(secret), body)}
    connection.request("POST", "/webhook/post", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_source_actors_a_transform_and_a_logger_from_outside_work_together(
    organization: Organization,
) -> None:
    organization.write({"orgloop.yaml": PROJECT, "shelf/.keep": ""})
    assert organization.command("validate").returncode == 0
    organization.start()
    assert post(organization, {"content": "forged"}, secret="other") == 401
    assert post(organization, ["no object"]) == 422
    assert post(organization, {"content": None}) == 200
    assert post(organization, {"fragile": True}) == 200
    assert post(organization, {"content": "a book"}) == 200
    shelf = organization.root / "shelf"
    wait_for("both parcels and both ends", lambda: len(list(shelf.glob("evt_*.txt"))) == 4)
    assert sorted(one.read_text() for one in shelf.glob("evt_*.txt")) == ["", "", "0", "6"]
    book = organization.root / "book.txt"
    wait_for("the book", lambda: book.exists() and len(book.read_text().split()) >= 2)
