"""The one writable connection and how groups run on it. The writer says which thread has it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from collections.abc import Sequence as Seq
from itertools import groupby
from typing import Any, Final, NamedTuple, cast

import apsw

from orgloop.errors import JournalDamaged, JournalError, JournalUnavailable, NotFound
from orgloop.journal.sqlite import statements
from orgloop.journal.sqlite.connection import (
    BUSY_MS,
    Location,
    is_store_fault,
    open_reading,
    open_writing,
    shut,
    translated,
)
from orgloop.journal.sqlite.mark_file import MarkFile, Noted
from orgloop.journal.sqlite.migrate import migrate
from orgloop.journal.sqlite.statements import SqliteTx
from orgloop.journal.verbs.transaction import Joint, Transaction, Work

_SQL: Final = statements.load("store.sql")

CHECKED_BYTES: Final = 32 * 1024 * 1024
"""Up to this size, a journal whose daemon died is checked as a whole when it is opened (about 0.2 s)."""


class WorkResult(NamedTuple):
    """What one piece of work returned, or why it failed."""

    value: Any = None
    error: Exception | None = None


class Store:
    """Runs groups of work, each in one transaction. A failed group runs again one by one.

    After a commit that failed nothing is known about the connection: a new one is opened before
    anything else is answered. What the failed commit left in the log does not count, and the next
    commit overwrites it. Only if this process ends before that, it may turn out to be there.
    """

    def __init__(self, place: Location, project: str, *, checkpoint_pages: int) -> None:
        self.place = place
        self.project = project
        self._checkpoint_pages = checkpoint_pages
        self._tx: SqliteTx | None = None
        self._retired: SqliteTx | None = None
        self._log_pages = 0
        self._copy_at = checkpoint_pages
        self._mark = None if place.path is None else MarkFile(place.path)

    def open(self, *, check: bool = False) -> None:
        """Open, migrate, and check what a death may have left, if asked to.

        Raises JournalTooNew, JournalDamaged, JournalUnavailable or JournalError.
        """
        noted = None if self._mark is None else require_whole(self.place, self._mark)
        connection = open_writing(self.place)
        try:
            migrate(connection, self.place.name)
            if check:
                _check(connection, self.place.name)
            tx = SqliteTx(connection, self.project, connection.execute(_SQL["last_number"]).get)
            if self._mark is not None and (noted is None or not self._mark.is_open):
                self._begin_mark(self._mark, tx, noted)
        except BaseException as exc:
            shut(connection)
            if isinstance(exc, apsw.Error):
                raise translated(exc, self.place.name) from exc
            raise
        connection.set_wal_hook(self._note_log)
        self._tx = tx
        if self._retired is not None:
            shut(self._retired.connection)
            self._retired = None

    def run(self, group: Seq[Work]) -> Seq[WorkResult]:
        """Run a group; it is on the disk when this returns. Never raises: failures are answers."""
        if self._tx is None:
            try:
                self.open()
            except JournalError as exc:
                return _refuse(exc, group)
        return self._run(group)

    def run_at_once(self, group: Seq[Work]) -> Seq[WorkResult] | None:
        """The same, if nothing has to be waited for but the disk. None: nothing was done."""
        if self._tx is None:
            return None
        connection = self._tx.connection
        connection.set_busy_timeout(0)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except apsw.Error:
            return None
        finally:
            connection.set_busy_timeout(BUSY_MS)
        return self._run(group)

    def _run(self, group: Seq[Work]) -> Seq[WorkResult]:
        try:
            return self._commit(group, _together)
        except Exception as exc:
            if is_store_fault(exc):
                return self._give_up(exc, group)
        try:
            return self._commit(group, self._one_by_one)
        except Exception as exc:
            return self._give_up(exc, group)

    @property
    def is_untidy(self) -> bool:
        """Whether `tidy` has something to do."""
        return self._log_pages >= self._copy_at

    def tidy(self) -> None:
        """Copy the write-ahead log into the file once it is long. Called when everybody has their answer."""
        if self._tx is None or not self.is_untidy:
            return
        # A reader may keep the log from starting over: then it is copied again only once it has grown.
        self._copy_at = self._log_pages + self._checkpoint_pages
        try:
            self._tx.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if self._mark is not None:
                self._mark.sync()
        except apsw.Error:
            # The log keeps everything; what is wrong with the file shows at the next commit.
            self._retire()

    def close(self) -> None:
        """Close the connection. The last one to close empties the write-ahead log."""
        for tx in (self._tx, self._retired):
            if tx is not None:
                shut(tx.connection)
        self._tx = self._retired = None
        if self._mark is not None:
            self._mark.close()

    def _commit(self, group: Seq[Work], how: _How) -> Seq[WorkResult]:
        tx = self._tx
        assert tx is not None
        connection, last = tx.connection, tx.last
        if not connection.in_transaction:
            connection.execute("BEGIN IMMEDIATE")
        try:
            answers = how(tx, group)
            connection.execute("COMMIT")
        except BaseException:
            tx.last = last
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if self._mark is not None and tx.last != last:
            self._mark.note(tx.last)
        return answers

    def _one_by_one(self, tx: SqliteTx, group: Seq[Work]) -> Seq[WorkResult]:
        answers = []
        connection = tx.connection
        for work in group:
            last = tx.last
            connection.execute("SAVEPOINT item")
            try:
                transaction = Transaction(tx)
                answer = WorkResult(work(transaction))
                transaction.flush()
            except Exception as exc:
                if is_store_fault(exc):
                    raise
                connection.execute("ROLLBACK TO item")
                tx.last = last
                error = translated(exc, self.place.name) if isinstance(exc, apsw.Error) else exc
                answer = WorkResult(error=error)
            connection.execute("RELEASE item")
            answers.append(answer)
        return answers

    def _begin_mark(self, mark: MarkFile, tx: SqliteTx, noted: Noted | None) -> None:
        """A journal without a mark is taken as it is, and gets a name that no other has."""
        epoch = secrets.token_hex(16) if noted is None else noted.epoch
        if noted is None:
            tx.connection.execute(_SQL["set_epoch"], (epoch,))
        mark.begin(Noted(epoch=epoch, last=tx.last))

    def _give_up(self, exc: Exception, group: Seq[Work]) -> Seq[WorkResult]:
        """Nothing of the group counts. The next one gets a connection that has seen no failure."""
        self._retire()
        return _refuse(translated(exc, self.place.name), group, exc)

    def _retire(self) -> None:
        """Use the connection no more, but keep it until there is another.

        As long as one is open, all know how far the log counts. The first to open a log that nobody
        has open reads it to its end, and would find the commit that failed.
        """
        if self._retired is None:
            self._retired = self._tx
        elif self._tx is not None:
            shut(self._tx.connection)
        self._tx = None

    def _note_log(self, _: apsw.Connection, __: str, pages: int) -> int:
        if pages < self._log_pages:
            self._copy_at = self._checkpoint_pages
        self._log_pages = pages
        return apsw.SQLITE_OK


_How = Callable[[SqliteTx, Seq[Work]], Seq[WorkResult]]


def _refuse(error: JournalError, group: Seq[Work], cause: Exception | None = None) -> Seq[WorkResult]:
    """Nothing of the group was written, whatever the reason. Each gets an error of its own to raise."""
    answers = []
    for _ in group:
        own = JournalUnavailable(error.message, hint=error.hint)
        own.__cause__ = cause or error
        answers.append(WorkResult(error=own))
    return answers


def _together(tx: SqliteTx, group: Seq[Work]) -> Seq[WorkResult]:
    transaction = Transaction(tx)
    answers: list[WorkResult] = []
    for kind, neighbours in groupby(group, type):
        works = list(neighbours)
        if issubclass(kind, Joint):
            answers += map(WorkResult, kind.together(transaction, cast("list[Joint]", works)))
        else:
            answers += [WorkResult(work(transaction)) for work in works]
    transaction.flush()
    return answers


def require_whole(place: Location, mark: MarkFile) -> Noted | None:
    """What the mark says, None if there is none. Raises JournalDamaged if the database has less."""
    # In this order: while it is written, the database is ahead.
    noted = mark.read()
    if noted is not None:
        mark.compare(noted, _found(place))
    return noted


def _found(place: Location) -> Noted | None:
    """What the database says of itself, None if it is empty. Read only: what is damaged stays as it is."""
    try:
        connection = open_reading(place)
    except NotFound:
        return None
    try:
        return Noted(
            epoch=connection.execute(_SQL["epoch"]).get, last=connection.execute(_SQL["last_number"]).get
        )
    except apsw.SQLError:
        # Another program's, or older than marks.
        return Noted(epoch="", last=0)
    except apsw.Error as exc:
        raise translated(exc, place.name) from exc
    finally:
        shut(connection)


def _check(connection: apsw.Connection, where: str) -> None:
    """After a death, look whether the file is sound.

    A death alone cannot damage it, a broken disk can. A small journal is read as a whole; for a
    large one that would take minutes, and every page that is read later is checked as it is used.
    """
    if not connection.execute(_SQL["died"]).get or connection.execute(_SQL["size"]).get > CHECKED_BYTES:
        return
    problems = [text for (text,) in connection.execute("PRAGMA quick_check(3)")]
    if problems != ["ok"]:
        raise JournalDamaged(
            f"{where} is damaged: {'; '.join(problems)}",
            hint="Move the file away with its -wal and -shm, and restore a copy or start with an empty one.",
        )
