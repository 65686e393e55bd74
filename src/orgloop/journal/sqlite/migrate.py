"""Numbered migrations: `sql/NNNN_name.sql`, each in one transaction. `user_version` counts them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, cast

import apsw

from orgloop.errors import JournalDamaged, JournalTooNew
from orgloop.journal.sqlite.statements import read_sql

APPLICATION_ID: Final = 0x4F4C4A31
"""What marks a SQLite file as a journal of OrgLoop."""

_FILE: Final = re.compile(r"^(\d{4})_(\w+)\.sql$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    """One step of the schema. Numbers begin at 1 and leave no gap."""

    number: int
    name: str
    sql: str


def migrations() -> Sequence[Migration]:
    """All of them, in order."""
    found = (_FILE.match(entry.name) for entry in (files("orgloop.journal.sqlite") / "sql").iterdir())
    return [
        Migration(number=int(match[1]), name=match[2], sql=read_sql(match[0]))
        for match in sorted(filter(None, found), key=lambda match: match[1])
    ]


def migrate(connection: apsw.Connection, where: str, steps: Sequence[Migration] | None = None) -> int:
    """Bring the file to the newest schema; returns how many steps that took.

    Raises JournalTooNew if a newer program wrote it, JournalDamaged if it is somebody else's.
    """
    steps = migrations() if steps is None else steps
    version = schema_version(connection, where, newest=len(steps))
    for step in steps[version:]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(step.sql)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", step.number)
        except apsw.Error:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return len(steps) - version


def schema_version(connection: apsw.Connection, where: str, *, newest: int) -> int:
    """How many migrations the file has seen: 0 for an empty one. Errors as in `migrate`."""
    version = cast("int", connection.pragma("user_version"))
    empty = not connection.execute("SELECT count(*) FROM sqlite_schema").get
    if not empty and connection.pragma("application_id") != APPLICATION_ID:
        raise JournalDamaged(
            f"{where} is a database, but not a journal of OrgLoop",
            hint="Move that file away, or set ORGLOOP_HOME to another directory.",
        )
    if version > newest:
        raise JournalTooNew(
            f"{where} has schema {version}; this program knows {newest}",
            hint="Install the OrgLoop that wrote it, or a newer one.",
        )
    return version
