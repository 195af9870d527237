"""The link to PostgreSQL, past the cursors of its driver."""

import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, NoReturn, Protocol, cast

import psycopg
import sqlalchemy as sa
from psycopg import pq
from psycopg.errors import error_from_result

from pdp.store.deadline import CommitUnheard, ImpatientConnection, Unanswered
from pdp.store.statements import Row, Statement, Value

#: A statement and the texts of its parameters, in the order of its names.
Asked = tuple[Statement, list[bytes]]
#: What a statement did: how many rows it touched, and the first that it returned.
Told = tuple[int, Row | None]
#: Waits at one socket, for so many milliseconds; false if nothing happened there.
Wait = Callable[[int], object]

#: What a result may be, if its statement went well.
ANSWERED: Final = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_IDLE: Final = pq.TransactionStatus.IDLE
_OPEN: Final = frozenset({pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR})
_NO_PIPELINE: Final = pq.PipelineStatus.OFF
_BEGIN: Final = b"BEGIN"
_COMMIT: Final = b"COMMIT"
_BOOLEAN: Final = 16
_NUMBERS: Final = frozenset({20, 21, 23})


class Patience(Protocol):
    """Waits at a socket, for so many milliseconds; false if nothing happened there."""

    def for_answer(self, socket: int, milliseconds: int) -> object:
        """Wait until there is something to read."""
        ...

    def for_room_or_answer(self, socket: int, milliseconds: int) -> object:
        """Wait until something can be sent, or read."""
        ...


class Prepared:
    """A statement that one connection has prepared, and the types of the columns it returns."""

    __slots__ = ("_columns", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self._columns: tuple[int, ...] = ()

    def first(self, result: "pq.abc.PGresult") -> Row | None:
        """Return the first row of what the statement returned, or None."""
        return self.row(result, 0) if result.ntuples else None

    def row(self, result: "pq.abc.PGresult", number: int) -> Row:
        """Return one row of what the statement returned."""
        if not self._columns:
            self._columns = tuple(result.ftype(each) for each in range(result.nfields))
        value = result.get_value
        return tuple(
            [_value(value(number, column), kind) for column, kind in enumerate(self._columns)],
        )


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
        return prepared.first(self._execute(prepared, statement, parameters))

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> list[Row]:
        """Return every row."""
        prepared = self._prepare(statement)
        result = self._execute(prepared, statement, parameters)
        return [prepared.row(result, number) for number in range(result.ntuples)]

    def together(self, asked: Sequence[Asked]) -> list[Told]:
        """Execute statements that travel together and commit together; return what each did.

        What is sent between two synchronisations is one transaction (PostgreSQL manual, "Pipeline
        Mode"). If one fails, that is raised, and nothing of any has happened.
        """
        all_prepared = [self._prepare(statement) for statement, _ in asked]
        connection = self._connection.pgconn
        connection.enter_pipeline_mode()
        for prepared, (_, values) in zip(all_prepared, asked, strict=True):
            connection.send_query_prepared(prepared.name, values)
        connection.pipeline_sync()
        if connection.flush():
            self._send_rest()
        results = self._results_of(len(asked))
        return [
            (result.command_tuples or 0, prepared.first(result))
            for prepared, result in zip(all_prepared, results, strict=True)
        ]

    def _results_of(self, count: int) -> "list[pq.abc.PGresult]":
        """Return what so many statements came to; raise what the first that failed says."""
        results: list[pq.abc.PGresult] = []
        failure = None
        # Each one's results end with None, the synchronisation's comes alone: it commits, and may
        # be refused before.
        for _ in range(2 * count + 3):
            result = self._next_result()
            if self.is_lost():
                self._answered(None)
            if result is None:
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._connection.pgconn.exit_pipeline_mode()
                return results if failure is None else [self._answered(failure)]
            if result.status in ANSWERED:
                results.append(result)
            else:
                failure = failure or result
        self._connection.pgconn.finish()
        raise psycopg.OperationalError("the database's answers are out of step")

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
        values = texts_of(statement, parameters)
        if self._is_to_begin:
            result = self._begin_with(prepared.name, values)
        else:
            self._connection.pgconn.send_query_prepared(prepared.name, values)
            result = self._only_answer()
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


def texts_of(statement: Statement, parameters: Mapping[str, Value]) -> list[bytes]:
    """Return the parameters as they travel; psycopg.DataError for one that cannot be kept."""
    # NULL is None, which libpq takes and psycopg's annotation forgot.
    return cast("list[bytes]", [as_text(parameters[each]) for each in statement.names])


def as_text(value: Value) -> bytes | None:
    if value is None:
        return None
    text = value.encode() if isinstance(value, str) else str(value).encode()
    if b"\0" in text:
        # libpq would stop reading there, and another value would be looked up or stored.
        raise psycopg.DataError("PostgreSQL keeps no text with a NUL character")
    return text


def _value(text: bytes | None, kind: int) -> str | int | bool | None:
    if text is None:
        return None
    if kind in _NUMBERS:
        return int(text)
    return text == b"t" if kind == _BOOLEAN else text.decode()
