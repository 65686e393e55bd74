"""Migrations, named queries, and which index each hot query takes."""

from __future__ import annotations

import re
from collections.abc import Generator
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.core.records.from_journal import Happened
from orgloop.errors import JournalDamaged, JournalTooNew
from orgloop.journal.model import Query
from orgloop.journal.sqlite import filters, statements
from orgloop.journal.sqlite.migrate import Migration, migrate, migrations
from orgloop.journal.sqlite.reader import page_sql
from orgloop.journal.verbs import moves

SQL = Path(str(files("orgloop.journal.sqlite"))) / "sql"
QUERY_FILES = sorted(path.name for path in SQL.iterdir() if not path.name[0].isdigit())
NAMED = [(file, name) for file in QUERY_FILES for name in statements.load(file)]

TWO = [
    Migration(number=1, name="first", sql="CREATE TABLE one (a TEXT) STRICT;"),
    Migration(number=2, name="second", sql="ALTER TABLE one ADD COLUMN b TEXT; CREATE INDEX i ON one (b);"),
]


@pytest.fixture
def connection() -> Generator[apsw.Connection]:
    opened = apsw.Connection(":memory:")
    yield opened
    opened.close()


@pytest.fixture
def migrated(connection: apsw.Connection) -> apsw.Connection:
    migrate(connection, "here")
    return connection


def schema(connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()


class TestMigrations:
    def test_they_are_numbered_without_a_gap(self) -> None:
        numbers = [step.number for step in migrations()]
        assert numbers == list(range(1, len(numbers) + 1))

    @pytest.mark.parametrize("steps", [migrations(), TWO], ids=["ours", "two"])
    def test_one_by_one_or_all_at_once_the_schema_is_the_same(
        self, connection: apsw.Connection, steps: list[Migration]
    ) -> None:
        other = apsw.Connection(":memory:")
        assert migrate(connection, "here", steps) == len(steps)
        for last in range(1, len(steps) + 1):
            assert migrate(other, "there", steps[:last]) == 1
        assert schema(connection) == schema(other)
        other.close()

    def test_once_is_enough(self, connection: apsw.Connection) -> None:
        migrate(connection, "here", TWO)
        before = schema(connection)
        assert migrate(connection, "here", TWO) == 0
        assert schema(connection) == before

    def test_one_that_fails_leaves_the_schema_as_it_was(self, connection: apsw.Connection) -> None:
        broken = [
            TWO[0],
            Migration(number=2, name="broken", sql="CREATE TABLE two (a TEXT); CREATE NONSENSE;"),
        ]
        with pytest.raises(apsw.SQLError):
            migrate(connection, "here", broken)
        assert [found[1] for found in schema(connection)] == ["one"]
        assert migrate(connection, "here", TWO) == 1

    def test_a_newer_file_is_refused(self, connection: apsw.Connection) -> None:
        migrate(connection, "here", TWO)
        with pytest.raises(JournalTooNew, match="here has schema 2; this program knows 1"):
            migrate(connection, "here", TWO[:1])

    def test_anothers_file_is_refused(self, connection: apsw.Connection) -> None:
        connection.execute("CREATE TABLE recipes (name)")
        with pytest.raises(JournalDamaged, match="not a journal"):
            migrate(connection, "here", TWO)

    def test_every_table_is_strict(self, migrated: apsw.Connection) -> None:
        loose = migrated.execute(
            "SELECT name FROM pragma_table_list"
            " WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'"
        )
        assert loose.fetchall() == []


class TestQueries:
    @pytest.mark.parametrize(("file", "name"), NAMED)
    def test_each_is_understood(self, migrated: apsw.Connection, file: str, name: str) -> None:
        query = statements.load(file)[name]
        if name != "shrink":
            migrated.execute("EXPLAIN " + query, _blanks(query)).fetchall()

    @pytest.mark.parametrize("file", QUERY_FILES)
    def test_each_has_a_line_of_purpose(self, file: str) -> None:
        text = statements.read_sql(file)
        assert len(re.findall(r"^-- name: \w+\n-- \S.*[.]$", text, re.MULTILINE)) == len(
            statements.load(file)
        )

    @pytest.mark.parametrize(("file", "name"), NAMED)
    def test_each_is_used(self, file: str, name: str) -> None:
        code = "".join(path.read_text("utf-8") for path in SQL.parents[1].rglob("*.py"))
        stem = name.removesuffix("_span").removesuffix("_time")
        assert f'"{name}"' in code or (stem != name and f'name="{stem}"' in code) or f'name="{name}"' in code

    def test_two_of_one_name_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            statements, "read_sql", lambda _: "-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n"
        )
        with pytest.raises(ValueError, match="two queries"):
            statements.load("any.sql")

    def test_every_transition_has_the_word_that_the_story_knows(self) -> None:
        assert set(moves.WORDS.values()) | {"begun"} == {str(word) for word in Happened}


HOT = {
    ("accept.sql", "see"): [],
    ("accept.sql", "seen"): ["seen USING PRIMARY KEY"],
    ("accept.sql", "owner"): ["owned USING PRIMARY KEY"],
    ("claim.sql", "due"): [
        "d USING INDEX deliveries_claim",
        "e USING INTEGER PRIMARY KEY",
        "s USING COVERING INDEX agent_sessions_key",
    ],
    ("claim.sql", "candidates"): ["d USING INDEX deliveries_claim", "e USING INTEGER PRIMARY KEY"],
    ("claim.sql", "later"): ["deliveries USING COVERING INDEX deliveries_claim"],
    ("claim.sql", "probing"): ["d USING INDEX deliveries_busy", "r USING INDEX sqlite_autoindex_runs_1"],
    ("claim.sql", "take"): ["deliveries USING INTEGER PRIMARY KEY"],
    ("claim.sql", "to_prepare"): ["d USING INDEX deliveries_prepare", "e USING INTEGER PRIMARY KEY"],
    ("moves.sql", "find"): ["deliveries USING INDEX sqlite_autoindex_deliveries_1"],
    ("moves.sql", "end_try"): ["deliveries USING INTEGER PRIMARY KEY"],
    ("moves.sql", "promote"): ["deliveries USING INTEGER PRIMARY KEY", "deliveries_head", "deliveries_key"],
    ("moves.sql", "yield_head"): ["deliveries USING INDEX deliveries_head"],
    ("ledger.sql", "open_charges"): ["charges USING INDEX charges_open"],
    ("ledger.sql", "charge_of"): ["charges USING INDEX charges_open"],
    ("ledger.sql", "started_since"): ["charges USING INDEX charges_at"],
    ("ledger.sql", "spent_since"): ["charges USING INDEX charges_ended"],
    ("ledger.sql", "trace_total"): ["trace_totals USING PRIMARY KEY"],
    ("ledger.sql", "next_until"): ["waits_for USING COVERING INDEX waits_for_until"],
    ("ledger.sql", "end_timed_waits"): ["waits_for USING INDEX waits_for_until"],
    ("ledger.sql", "end_waits"): ["waits_for USING PRIMARY KEY"],
    ("ledger.sql", "full_for_actors"): ["waits_for USING PRIMARY KEY"],
    ("ledger.sql", "delete_charges"): ["charges USING COVERING INDEX charges_ended"],
    ("runs.sql", "open_run"): ["r USING INDEX sqlite_autoindex_runs_1", "d USING INTEGER PRIMARY KEY"],
    ("operate.sql", "recover"): ["deliveries USING INDEX deliveries_busy"],
    ("operate.sql", "held_before"): ["deliveries USING COVERING INDEX deliveries_attention"],
    ("operate.sql", "delete_seen"): ["seen USING COVERING INDEX seen_at"],
    ("operate.sql", "delete_owned"): ["owned USING COVERING INDEX owned_until"],
    ("operate.sql", "delete_steps"): ["steps USING COVERING INDEX steps_delivery"],
    ("operate.sql", "delete_runs"): ["runs USING COVERING INDEX runs_delivery"],
}


class TestPlans:
    @pytest.mark.parametrize(("file", "name"), HOT)
    def test_a_hot_query_reads_no_whole_table(self, migrated: apsw.Connection, file: str, name: str) -> None:
        plan = _plan(migrated, statements.load(file)[name])
        for index in HOT[file, name]:
            assert index in plan
        tables = "events|deliveries|steps|runs|seen|owned|charges|trace_totals|waits_for|d|e|r"
        assert re.findall(rf"SCAN (?:{tables})(?! USING (?:COVERING )?INDEX)\b.*", plan) == []

    @pytest.mark.parametrize(
        ("query", "index"),
        [
            (Query(trace_id="t"), "events_trace"),
            (Query(event_id="e"), "sqlite_autoindex_events_1"),
            (Query(delivery_id="d"), "sqlite_autoindex_deliveries_1"),
            (Query(states=[State.HELD]), "deliveries_attention"),
            (Query(states=[State.HELD, State.DEAD]), "deliveries_attention"),
            (Query(states=[State.RUNNING]), "deliveries_busy"),
            (Query(states=[State.PREPARING]), "deliveries_prepare"),
            (Query(), "INTEGER PRIMARY KEY"),
        ],
        ids=str,
    )
    def test_lists_take_the_index_that_leads_to_what_is_asked(
        self, migrated: apsw.Connection, query: Query, index: str
    ) -> None:
        asked = filters.conditions(filters.DELIVERIES, query)
        assert index in _plan(migrated, page_sql(filters.DELIVERIES, query, asked))


def _blanks(query: str) -> list[None]:
    numbered = [int(number) for number in re.findall(r"\?(\d+)", query)]
    return [None] * (max(numbered) if numbered else query.count("?"))


def _plan(connection: apsw.Connection, query: str) -> str:
    rows = connection.execute("EXPLAIN QUERY PLAN " + query, _blanks(query)).fetchall()
    return "\n".join(str(found[3]) for found in rows)


def test_sessions_of_an_earlier_version_are_kept(connection: apsw.Connection) -> None:
    connection.execute(statements.read_sql("0001_initial.sql"))
    connection.execute(
        "INSERT INTO sessions VALUES ('a', 'k1', 's1', 'run_1', 1), ('a', 'k2', 's1', 'run_2', 2), "
        "('a', 'k3', 's3', 'run_3', 3)"
    )
    connection.execute(statements.read_sql("0007_sessions.sql"))
    kept = list(connection.execute("SELECT key, id, active FROM agent_sessions ORDER BY key"))
    assert kept == [("k2", "s1", 1), ("k3", "s3", 1)]
