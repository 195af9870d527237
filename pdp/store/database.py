"""The database: connections, and transactions that open and end in one place.

SQLite runs in WAL with `synchronous=FULL`, so that what was answered survives a power cut; its
writers queue (`writer_lock`) instead of waiting at SQLite's busy handler, which is not fair.
PostgreSQL goes through psycopg 3. When either is down, or says nothing: `Unavailable`.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from types import TracebackType
from typing import Final, TypeVar

import psycopg
import sqlalchemy as sa

from pdp.domain.errors import OutcomeUnknown, Unavailable
from pdp.store.deadline import GRACE, CommitUnheard, is_silence
from pdp.store.engine import DRIVER_ERRORS, engine_options, prepare_connections
from pdp.store.group_commit import GroupCommit, GroupedWork
from pdp.store.links import Link, Row, Statement, Value, link_to
from pdp.store.outage import outage
from pdp.store.silence import Silence
from pdp.store.transaction import Transaction
from pdp.store.writer_lock import WriterLock

__all__ = ["Database", "Reading", "Row", "Statement", "Transaction", "Value"]

T = TypeVar("T")

#: What SQLite says when the file, the disk or another writer is the trouble, not our statement.
_SQLITE_DOWN: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)

#: What PostgreSQL says when it cannot be written to at all: a failover made it a replica.
_POSTGRESQL_DOWN: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)
#: Classes of conditions that are about one transaction or statement, its connection being sound:
#: a deadlock or a lost serialization, no lock in time, no answer in time.
_ONE_STATEMENT: Final = frozenset({"40", "55", "57014"})


class Database:
    """Hands out transactions over one engine."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._group = GroupCommit(self.turn, self.commit_all)
        self._kept: deque[Link] = deque()
        self._is_closed = False
        pool = engine.pool
        if not isinstance(pool, sa.QueuePool):
            raise TypeError(f"the engine needs a pool of bounded size, not {type(pool).__name__}")
        self._slots = threading.BoundedSemaphore(pool.size())
        self._silence = Silence()
        #: Seconds that anything waits for a connection, or for the right to write.
        self.patience: float = pool.timeout()
        self._writer = (
            WriterLock(f"{engine.url.database}.lock", timedelta(seconds=self.patience))
            if self.is_sqlite
            else None
        )

    @classmethod
    def open(
        cls,
        url: str,
        *,
        pool_size: int = 8,
        busy_timeout: timedelta = timedelta(seconds=10),
        grace: timedelta = GRACE,
    ) -> "Database":
        """Open the database at `url` (`sqlite:///path` or `postgresql+psycopg://…`).

        How long each wait lasts is told at `engine_options`.
        """
        options = engine_options(url, pool_size=pool_size, busy_timeout=busy_timeout, grace=grace)
        engine = sa.create_engine(url, **options)
        prepare_connections(engine)
        return cls(engine)

    def read(self) -> "Reading":
        """Read: each statement sees the newest committed state; nothing is written."""
        return Reading(self)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Write: commits when the block ends, rolls back when it raises.

        OutcomeUnknown if the database went away while it committed.
        """
        with (
            self.unavailable_when_down(),
            self.turn(),
            self._link() as link,
        ):
            transaction = Transaction(link, sqlite=self.is_sqlite)
            try:
                transaction.begin()
                yield transaction
                transaction.commit()
            finally:
                transaction.close()

    def grouped(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that it may share with others; return once it is on disk.

        SQLite commits one transaction at a time, and each waits for the disk. Whoever comes
        while one is committed joins the next: their works run one after the other, and one commit
        answers all. A work that raises undoes its own changes only; a commit that fails fails
        them all. PostgreSQL groups commits by itself.

        What is undone because another work raised is run once more: a work does nothing but
        change the transaction and return an answer.
        """
        if not self.is_sqlite:
            with self.write() as tx:
                return work(tx)
        with self.unavailable_when_down():
            return self._group.run(work)

    def single(self, work: Callable[[Transaction], T]) -> T:
        """Do the same for a work that is one statement on PostgreSQL, which commits by itself."""
        if self.is_sqlite:
            return self.grouped(work)
        return self.single_by(self.lend, work)

    def single_by(self, lend: Callable[[], Link], work: Callable[[Transaction], T]) -> T:
        """Do the same on the connection that `lend` lends, which is taken back."""
        with self.unavailable_when_down(), self._link(lend) as link:
            try:
                return work(Transaction(link, sqlite=False))
            except DRIVER_ERRORS as error:
                if link.is_lost():
                    raise CommitUnheard from error
                raise

    def close(self) -> None:
        """Close every connection that nobody uses, and each other one once it is given back."""
        self._is_closed = True
        self._drop_kept()
        self.engine.dispose()

    def commit_all(self, works: Sequence[GroupedWork]) -> None:
        """Run the works and commit them all, but for those that raise.

        Hardly ever does one raise, and a savepoint for each costs two statements and copies of
        the pages that it changes: they have one each only where it turned out to be needed.
        """
        with self._link() as link:
            if not self._commit_together(link, works) and len(works) > 1:
                self._commit_apart(link, works)

    def _commit_together(self, link: Link, works: Sequence[GroupedWork]) -> bool:
        """Run the works and commit; False, and nothing changed, once one of them raises."""
        shared = Transaction(link, sqlite=True)
        try:
            shared.begin()
            if not all(shared.run_work(work) for work in works):
                return False
            shared.commit()
        finally:
            shared.close()
        return True

    def _commit_apart(self, link: Link, works: Sequence[GroupedWork]) -> None:
        """Run the works, each behind a savepoint, and commit those that did not raise."""
        shared = Transaction(link, sqlite=True)
        parts = [Transaction(link, sqlite=True) for _ in works]
        try:
            shared.begin()
            for part, work in zip(parts, works, strict=True):
                part.run_behind_savepoint(work)
            shared.commit()
        finally:
            # Not before: closing an ORM session rolls the connection back.
            for part in (*parts, shared):
                part.close()

    @contextmanager
    def _link(self, lend: Callable[[], Link] | None = None) -> Iterator[Link]:
        link = (lend or self.lend)()
        sound = True
        try:
            yield link
        except DRIVER_ERRORS:
            sound = False
            raise
        finally:
            self.take_back(link, sound=sound)

    def lend(self) -> Link:
        """Lend a connection; the last used comes first.

        Checking one out of the engine's pool and in again costs more than a read. Unavailable if
        all are in use, or if the database is known to say nothing.
        """
        if self._silence.is_on and not self._silence.may_ask():
            raise Unavailable("the database does not answer (no answer in time)")
        if not self._slots.acquire(timeout=self.patience):
            raise Unavailable("every database connection is in use")
        link = None
        try:
            link = self._last_used() or link_to(self.engine.connect())
        finally:
            if link is None:
                self._slots.release()
        return link

    def lend_at_once(self) -> Link | None:
        """Lend a connection that is open and that nobody uses; None if there is none."""
        if not self._slots.acquire(blocking=False):
            return None
        link = self._last_used()
        if link is None:
            self._slots.release()
        return link

    def take_back(self, link: Link, *, sound: bool) -> None:
        """Keep a connection for the next one; throw one away that an error came from.

        So is one that was left in the middle of something, as by Ctrl-C.
        """
        try:
            if sound and link.is_at_rest() and not self._is_closed:
                self._kept.append(link)
                if self._silence.is_on:
                    self._silence.end()
            else:
                _close(link)
        finally:
            self._slots.release()

    def _last_used(self) -> Link | None:
        try:
            return self._kept.pop()
        except IndexError:
            return None

    def _drop_kept(self) -> None:
        while (link := self._last_used()) is not None:
            _close(link)

    def turn(self) -> AbstractContextManager[None]:
        """Wait for the right to write: SQLite has one writer, PostgreSQL locks rows."""
        return nullcontext() if self._writer is None else self._writer.held()

    def turn_at_once(self) -> Callable[[], None] | None:
        """Take that right and return what gives it up; None if it would have to be waited for."""
        return None if self._writer is None else self._writer.taken_at_once()

    @contextmanager
    def unavailable_when_down(self) -> Iterator[None]:
        """Say of what the driver raises within what it means."""
        try:
            yield
        except DRIVER_ERRORS as error:
            raise self.unavailable(error) from error

    def unavailable(self, error: Exception) -> Unavailable:
        """Return what an outage means; raise the error if it is a mistake in our SQL."""
        if isinstance(error, sa.exc.TimeoutError):
            return Unavailable("every database connection is in use")
        if isinstance(error, sa.exc.SQLAlchemyError) and not isinstance(error, sa.exc.DBAPIError):
            raise error
        self._raise_if_ours(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
        if isinstance(error, CommitUnheard):
            return OutcomeUnknown(str(error))
        return Unavailable(outage(error))

    def _raise_if_ours(self, error: BaseException | None) -> None:
        """Raise what is a mistake in our SQL; drop connections that the outage broke."""
        if isinstance(error, psycopg.Error):
            # Whatever else it says, it speaks.
            (self._silence.begin if is_silence(error) else self._silence.end)()
        if isinstance(error, _POSTGRESQL_DOWN):
            state = error.sqlstate or ""
            if not {state, state[:2]} & _ONE_STATEMENT:
                self._drop_kept()
                self.engine.dispose()
            return
        # Only the primary code counts: extended codes keep it in their low byte.
        code = getattr(error, "sqlite_errorcode", None)
        if error is not None and (code is None or code & 0xFF not in _SQLITE_DOWN):
            raise error


def _close(link: Link) -> None:
    """Close a connection for good: its pool may be one that an outage has done away with."""
    link.connection.invalidate()
    link.connection.close()


class Reading:
    """What `Database.read` returns: generators would cost as much as the reading itself."""

    __slots__ = ("_database", "_link", "_tx")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Transaction:
        try:
            self._link = self._database.lend()
        except DRIVER_ERRORS as error:
            raise self._database.unavailable(error) from error
        self._tx = Transaction(self._link, sqlite=self._database.is_sqlite, reading=True)
        return self._tx

    def __exit__(
        self, _kind: object, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        sound = not isinstance(error, DRIVER_ERRORS)
        try:
            self._tx.close()
        except DRIVER_ERRORS as late:
            sound, error = False, error or late
        finally:
            self._database.take_back(self._link, sound=sound)
        if isinstance(error, DRIVER_ERRORS):
            raise self._database.unavailable(error) from error
