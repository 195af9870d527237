"""What may be done where nothing may wait: a row or two is read, on the event loop itself.

Most checks of a token ask the database one thing, and most tokens are issued on one change.
Handing each of them to a thread and back costs more than answering it. Whatever needs more (many
questions, a database that does not answer) is `NotAtOnce`: nothing was done, and all of it is to
be done anew where it may wait.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Final, NoReturn, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.util.concurrency import in_greenlet

from pdp.store.database import Database, Reading, Transaction
from pdp.store.engine import DRIVER_ERRORS
from pdp.store.links import Row, Statement, Value

T = TypeVar("T")


#: One for what stands behind a token, one for its person's claims.
MOST_QUESTIONS: Final = 2


class NotAtOnce(Exception):
    """It takes more than a row or two, or more than a moment. Nothing was done."""


class Reader(Protocol):
    """Asks one question at a time, for whoever runs on the event loop."""

    #: Whether it never waits; else whoever asks runs in a `greenlet_spawn`.
    is_instant: bool

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None; NotAtOnce if that cannot be had now."""
        ...

    def ask(self, statement: Statement, parameters: Mapping[str, Value]) -> Awaitable[Row | None]:
        """Do the same for a coroutine, which needs no greenlet to wait in."""
        ...

    def close(self) -> None:
        """Let go of the connection; nothing is asked after that."""
        ...


class FewQuestions(Transaction):
    """What a handler holds for a transaction that reads: good for `MOST_QUESTIONS`."""

    __slots__ = ("_left", "_reader")

    def __init__(self, reader: Reader, *, sqlite: bool) -> None:
        self._reader = reader
        self._sqlite = sqlite
        self._left = MOST_QUESTIONS
        self.is_reading = True

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None; NotAtOnce if that is one question too many."""
        if not self._left:
            raise NotAtOnce
        self._left -= 1
        return self._reader.one(statement, parameters)

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> NoReturn:
        """Raise NotAtOnce: lists take more than a moment."""
        del statement, parameters
        raise NotAtOnce

    def run(self, statement: Statement, parameters: Mapping[str, Value]) -> NoReturn:
        """Raise NotAtOnce: changes wait for the disk."""
        del statement, parameters
        raise NotAtOnce

    def may_take_long(self) -> NoReturn:
        """Raise NotAtOnce."""
        raise NotAtOnce

    @property
    def orm(self) -> Session:
        """Raise NotAtOnce: sessions ask what they like."""
        raise NotAtOnce


class _FewReadings(Reading):
    """What `AtOnce.read` returns."""

    __slots__ = ("_reader",)

    def __init__(self, database: Database, reader: Reader) -> None:
        super().__init__(database)
        self._reader = reader

    def __enter__(self) -> Transaction:
        return FewQuestions(self._reader, sqlite=self._database.is_sqlite)

    def __exit__(
        self, _kind: object, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Nothing is open."""


class Writer(Protocol):
    """Writes for whoever runs on the event loop, which goes on meanwhile."""

    def single(self, work: Callable[[Transaction], T]) -> T:
        """Do what `Database.single` does."""
        ...

    def attempt(self, work: Callable[[Transaction], T]) -> T:
        """Do a work that is one statement; NotAtOnce, and nothing happened, if it waits long."""
        ...

    def grouped(self, work: Callable[[Transaction], T]) -> T:
        """Do what `Database.grouped` does."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...


class AtOnce(Database):
    """A database as far as the event loop may use it; everything else about it is NotAtOnce.

    What changes something is the writer's, if there is one. Whatever that raises but NotAtOnce
    may have happened, and is not to be done anew.
    """

    def __init__(self, engine: sa.Engine, reader: Reader, writer: Writer | None = None) -> None:
        super().__init__(engine)
        self._reader = reader
        self._loop_writer = writer

    def read(self) -> Reading:
        """Read a row or two."""
        return _FewReadings(self, self._reader)

    def write(self) -> NoReturn:
        """Raise NotAtOnce: a transaction of many statements takes its time."""
        raise NotAtOnce

    def grouped(self, work: Callable[[Transaction], T]) -> T:
        """Run a work that changes something, beside the loop."""
        return self._writer_now().grouped(work)

    def single(self, work: Callable[[Transaction], T]) -> T:
        """Run a work that is one statement, or a few of SQLite's."""
        return self._writer_now().single(work)

    def attempt(self, work: Callable[[Transaction], T]) -> T:
        """Run a work that is one statement; NotAtOnce, and nothing happened, if it waits long."""
        return self._writer_now().attempt(work)

    def _writer_now(self) -> Writer:
        """Return the writer, for whoever can wait for it (in a `greenlet_spawn`)."""
        if self._loop_writer is None or not in_greenlet():
            raise NotAtOnce
        return self._loop_writer

    def lend(self) -> NoReturn:
        """Raise NotAtOnce: a connection may have to be waited for."""
        raise NotAtOnce


class SqliteReader:
    """SQLite on a connection of the loop's own; readers of a WAL wait for nobody."""

    is_instant = True

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._driver: sqlite3.Connection | None = None

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None; NotAtOnce if the database is out of order."""
        try:
            if self._driver is None:
                self._driver = self._connect()
            row: Row | None = self._driver.execute(statement.sqlite, parameters).fetchone()
        except DRIVER_ERRORS as error:
            self.close()
            raise NotAtOnce from error
        return row

    async def ask(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Do the same for a coroutine."""
        return self.one(statement, parameters)

    def close(self) -> None:
        """Let go of the connection; the next question opens another."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    def _connect(self) -> sqlite3.Connection:
        driver: sqlite3.Connection = own_connection(self._engine)
        # Where recovery holds the file, a thread may wait for it.
        driver.execute("PRAGMA busy_timeout=0")
        return driver


def own_connection(engine: sa.Engine) -> Any:  # noqa: ANN401  it is the driver's
    """Return a driver's connection, set up as all of the engine's, that its pool has no part in."""
    lent = engine.raw_connection()
    driver = lent.driver_connection
    lent.detach()
    return driver
