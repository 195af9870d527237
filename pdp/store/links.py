"""Links: connections spoken to directly, one class for each database, both with the same words.

Hot paths send prepared statements without a cursor, a row factory or a registry of types between:
on PostgreSQL these cost several times what the statement does. Both know three kinds of columns:
whole numbers, truth values and text.
"""

import re
import select
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NoReturn, Protocol, cast

import psycopg
import sqlalchemy as sa
from psycopg import pq
from psycopg.errors import error_from_result

from pdp.store.deadline import CommitUnheard, ImpatientConnection, Unanswered

Value = str | int | bool | None
Row = Sequence[Any]
#: Waits at one socket, for so many milliseconds; false if nothing happened there.
Wait = Callable[[int], object]

_NAMED: Final = re.compile(r":([a-z_]+)")
#: What a result may be, if its statement went well.
ANSWERED: Final = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_IDLE: Final = pq.TransactionStatus.IDLE
_OPEN: Final = frozenset({pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR})
_NO_PIPELINE: Final = pq.PipelineStatus.OFF
_BEGIN: Final = b"BEGIN"
_COMMIT: Final = b"COMMIT"
_BOOLEAN: Final = 16
_NUMBERS: Final = frozenset({20, 21, 23})


class Statement:
    """SQL text with `:name` parameters, translated once for both drivers."""

    __slots__ = ("names", "postgresql", "sqlite")

    def __init__(self, text: str) -> None:
        self.sqlite = text
        #: The names in the order of PostgreSQL's `$1`, `$2`, ...: each once, however often used.
        self.names = tuple(dict.fromkeys(_NAMED.findall(text)))
        numbered = _NAMED.sub(lambda found: f"${self.names.index(found[1]) + 1}", text)
        self.postgresql = numbered.encode()


class Patience(Protocol):
    """Waits at a socket, for so many milliseconds; false if nothing happened there."""

    def for_answer(self, socket: int, milliseconds: int) -> object:
        """Wait until there is something to read."""
        ...

    def for_room_or_answer(self, socket: int, milliseconds: int) -> object:
        """Wait until something can be sent, or read."""
        ...


class Link(Protocol):
    """A connection with what it takes to speak to it, kept from one use to the next."""

    connection: sa.Connection

    def run(self, statement: Statement, parameters: Mapping[str, Value]) -> int:
        """Execute a change; return how many rows it touched."""
        ...

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None."""
        ...

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> list[Row]:
        """Return every row."""
        ...

    def begin(self) -> None:
        """Begin a transaction that writes, by the first statement at the latest."""
        ...

    def begin_now(self) -> None:
        """Make sure of it, before the connection is used past this link."""
        ...

    def say(self, command: str) -> None:
        """Execute a command of transactions, such as SAVEPOINT."""
        ...

    def commit(self) -> None:
        """Commit. CommitUnheard if nobody can tell whether that happened."""
        ...

    def roll_back(self) -> None:
        """Undo whatever is open, if anything is."""
        ...

    def is_at_rest(self) -> bool:
        """Whether the next one may have it: no transaction is open, no answer is to come."""
        ...

    def is_lost(self) -> bool:
        """Whether the server can no longer be heard."""
        ...


def link_to(connection: sa.Connection) -> Link:
    """Return the link over a connection of the engine's pool."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return SqliteLink(connection, driver)
    return PostgresqlLink(connection, cast("ImpatientConnection", driver))


class SqliteLink:
    """SQLite, whose driver keeps prepared statements by itself."""

    __slots__ = ("_driver", "connection")

    def __init__(self, connection: sa.Connection, driver: sqlite3.Connection) -> None:
        self.connection = connection
        self._driver = driver

    def run(self, statement: Statement, parameters: Mapping[str, Value]) -> int:
        """Execute a change; return how many rows it touched."""
        return self._driver.execute(statement.sqlite, parameters).rowcount

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self._driver.execute(statement.sqlite, parameters).fetchone()
        return row

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> list[Row]:
        """Return every row."""
        rows: list[Row] = self._driver.execute(statement.sqlite, parameters).fetchall()
        return rows

    def begin(self) -> None:
        """Take the write lock at once, so that no upgrade can deadlock."""
        self._driver.execute("BEGIN IMMEDIATE")

    def begin_now(self) -> None:
        """Nothing to do: `begin` did it."""

    def say(self, command: str) -> None:
        """Execute a command of transactions, such as SAVEPOINT."""
        self._driver.execute(command)

    def commit(self) -> None:
        """Commit."""
        self._driver.execute("COMMIT")

    def is_lost(self) -> bool:
        """No: what holds the database is in this process."""
        return False

    def roll_back(self) -> None:
        """Undo whatever is open, if anything is."""
        if self._driver.in_transaction:
            self._driver.execute("ROLLBACK")

    def is_at_rest(self) -> bool:
        """Whether no transaction is open."""
        return not self._driver.in_transaction


class Prepared:
    """A statement that one connection has prepared, and the types of the columns it returns."""

    __slots__ = ("columns", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.columns: tuple[int, ...] = ()


class PostgresqlLink:
    """PostgreSQL through libpq as psycopg wraps it; values travel as text, as psql sends them.

    The server infers the types of parameters from the statement. How long a statement may take
    is the server's to watch (`statement_timeout`), a peer that is gone is the kernel's
    (`tcp_user_timeout`), and one that stands still is ours: every wait ends (`deadline`).
    """

    __slots__ = (
        "_connection",
        "_is_to_begin",
        "_patience",
        "_prepared",
        "_wait_for_answer",
        "_wait_for_room_or_answer",
        "connection",
    )

    def __init__(self, connection: sa.Connection, driver: ImpatientConnection) -> None:
        self.connection = connection
        self._connection = driver
        self._prepared: dict[Statement, Prepared] = {}
        #: Whether BEGIN waits for the first statement of its transaction, to travel with it.
        self._is_to_begin = False
        #: Milliseconds of one wait, as poll takes them.
        self._patience = max(1, int(driver.patience.total_seconds() * 1000))
        answer, room_or_answer = select.poll(), select.poll()
        answer.register(driver.pgconn.socket, select.POLLIN)
        room_or_answer.register(driver.pgconn.socket, select.POLLIN | select.POLLOUT)
        self._wait_for_answer: Wait = answer.poll
        self._wait_for_room_or_answer: Wait = room_or_answer.poll

    @contextmanager
    def waiting_with(self, patience: Patience) -> Iterator[None]:
        """Leave every wait to `patience` meanwhile, as on an event loop."""
        own = self._wait_for_answer, self._wait_for_room_or_answer
        socket = self._connection.pgconn.socket
        self._wait_for_answer = partial(patience.for_answer, socket)
        self._wait_for_room_or_answer = partial(patience.for_room_or_answer, socket)
        try:
            yield
        finally:
            self._wait_for_answer, self._wait_for_room_or_answer = own

    def run(self, statement: Statement, parameters: Mapping[str, Value]) -> int:
        """Execute a change; return how many rows it touched."""
        return self._execute(self._prepare(statement), statement, parameters).command_tuples or 0

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None."""
        prepared = self._prepare(statement)
        result = self._execute(prepared, statement, parameters)
        return row_of(result, 0, prepared.columns) if result.ntuples else None

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> list[Row]:
        """Return every row."""
        prepared = self._prepare(statement)
        result = self._execute(prepared, statement, parameters)
        return [row_of(result, number, prepared.columns) for number in range(result.ntuples)]

    def begin(self) -> None:
        """Begin with the first statement: a round trip of its own would cost as much as one."""
        self._is_to_begin = True

    def begin_now(self) -> None:
        """Begin, if that still waits for a statement."""
        if self._is_to_begin:
            self._is_to_begin = False
            self._command(_BEGIN)

    def say(self, command: str) -> None:
        """Execute a command of transactions, such as SAVEPOINT."""
        self.begin_now()
        self._command(command.encode())

    def commit(self) -> None:
        """Commit. CommitUnheard if nobody can tell whether that happened."""
        self.begin_now()
        try:
            result = self._command(_COMMIT)
        except psycopg.Error as error:
            if self.is_lost():
                raise CommitUnheard from error
            raise
        if result.command_status != _COMMIT:
            # A statement had failed before: the server answers with what it did instead.
            raise psycopg.errors.InFailedSqlTransaction("the transaction was undone, not committed")

    def roll_back(self) -> None:
        """Undo whatever is open, if anything is and the connection can still be spoken to."""
        self._is_to_begin = False
        connection = self._connection.pgconn
        if connection.transaction_status in _OPEN and connection.pipeline_status == _NO_PIPELINE:
            self.say("ROLLBACK")

    def is_at_rest(self) -> bool:
        """Whether no transaction is open and no answer is to come."""
        connection = self._connection.pgconn
        return connection.transaction_status == _IDLE and connection.pipeline_status == _NO_PIPELINE

    def is_lost(self) -> bool:
        """Whether the connection is closed or broken."""
        return self._connection.pgconn.status == pq.ConnStatus.BAD

    def _command(self, command: bytes) -> "pq.abc.PGresult":
        self._connection.pgconn.send_query(command)
        return self._only_answer()

    def _execute(
        self, prepared: Prepared, statement: Statement, parameters: Mapping[str, Value]
    ) -> "pq.abc.PGresult":
        # NULL is None, which libpq takes and psycopg's annotation forgot.
        values = cast("list[bytes]", [as_text(parameters[each]) for each in statement.names])
        if self._is_to_begin:
            result = self._begin_with(prepared.name, values)
        else:
            self._connection.pgconn.send_query_prepared(prepared.name, values)
            result = self._only_answer()
        if not prepared.columns:
            prepared.columns = tuple(result.ftype(each) for each in range(result.nfields))
        return result

    def _begin_with(self, name: bytes, values: list[bytes]) -> "pq.abc.PGresult":
        """Send BEGIN and a statement together; return the statement's result."""
        self._is_to_begin = False
        connection = self._connection.pgconn
        connection.enter_pipeline_mode()
        connection.send_query_params(_BEGIN, None)
        connection.send_query_prepared(name, values)
        connection.pipeline_sync()
        if connection.flush():
            self._send_rest()
        # Each statement's results end with None; that of the synchronisation comes alone.
        begun, _, result, _, _ = [self._next_result() for _ in range(5)]
        connection.exit_pipeline_mode()
        self._answered(begun)
        return self._answered(result)

    def _only_answer(self) -> "pq.abc.PGresult":
        """Wait for the result of the one statement sent, and until the server takes another."""
        if self._connection.pgconn.flush():
            self._send_rest()
        result = self._next_result()
        while (later := self._next_result()) is not None:
            # What commits by itself may be refused there, after its statement was answered. Of
            # several errors, as when a connection breaks off, the first is the cause.
            if result is not None and result.status in ANSWERED:
                result = later
        return self._answered(result)

    def _send_rest(self) -> None:
        """Send what the kernel did not take at once."""
        connection = self._connection.pgconn
        while connection.flush():
            # What the server says meanwhile must be read, or both would wait for each other.
            if not self._wait_for_room_or_answer(self._patience):
                self._give_up()
            connection.consume_input()

    def _next_result(self) -> "pq.abc.PGresult | None":
        """Wait for what the server says next, without holding other threads up as libpq would."""
        connection = self._connection.pgconn
        while connection.is_busy():
            if not self._wait_for_answer(self._patience):
                self._give_up()
            connection.consume_input()
        return connection.get_result()

    def _give_up(self) -> NoReturn:
        # Closed here and now, so that nobody can lend it again, whatever becomes of the error.
        self._connection.pgconn.finish()
        raise Unanswered

    def _prepare(self, statement: Statement) -> Prepared:
        known = self._prepared.get(statement)
        if known is None:
            known = Prepared(f"pdp_{len(self._prepared)}".encode())
            self._connection.pgconn.send_prepare(known.name, statement.postgresql)
            self._only_answer()
            self._prepared[statement] = known
        return known

    def _answered(self, result: "pq.abc.PGresult | None") -> "pq.abc.PGresult":
        if result is not None and result.status in ANSWERED:
            return result
        if result is None or self.is_lost():
            raise psycopg.OperationalError("the connection to the database is lost")
        raise error_from_result(result, encoding="utf-8")


def as_text(value: Value) -> bytes | None:
    if value is None:
        return None
    text = value.encode() if isinstance(value, str) else str(value).encode()
    if b"\0" in text:
        # libpq would stop reading there, and another value would be looked up or stored.
        raise psycopg.DataError("PostgreSQL keeps no text with a NUL character")
    return text


def row_of(result: "pq.abc.PGresult", number: int, columns: tuple[int, ...]) -> Row:
    value = result.get_value
    return tuple(
        [_value(value(number, column), kind) for column, kind in enumerate(columns)],
    )


def _value(text: bytes | None, kind: int) -> str | int | bool | None:
    if text is None:
        return None
    if kind in _NUMBERS:
        return int(text)
    return text == b"t" if kind == _BOOLEAN else text.decode()
