"""Questions to PostgreSQL from an event loop: those that come together travel together.

One connection in pipeline mode. What is asked while others are under way goes with the next packet,
as Nagle's algorithm has it, and its answers come in one: a round trip for each question would cost
several times what the question does. A question that would wait for a lock is `NotAtOnce`, and
those that travelled behind it are asked again. Whatever else goes wrong, the connection is given up
and every open question is `NotAtOnce`; another one is opened in a thread, and until it stands
nothing is answered here.
"""

import asyncio
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from threading import Lock, Thread
from typing import Final, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg import pq
from sqlalchemy.util import await_

from pdp.store.at_once import NotAtOnce, own_connection
from pdp.store.deadline import ImpatientConnection
from pdp.store.engine import DRIVER_ERRORS
from pdp.store.postgresql_link import ANSWERED, Prepared, texts_of
from pdp.store.statements import Row, Statement, Value

T = TypeVar("T")

#: How long a question may stay open before the database counts as frozen.
PATIENCE: Final = timedelta(seconds=1)
#: How long a question waits for a lock, and all others with it: readers wait for no row, but for
#: who holds a whole table, as those do who change its structure.
LOCK_PATIENCE: Final = timedelta(milliseconds=20)
#: How soon after a connection was lost, or could not be had, another one is tried.
AGAIN_AFTER: Final = timedelta(seconds=1)
#: Open questions; what comes beyond is for threads, whose number is bounded.
MOST_OPEN: Final = 512


_BE_IMPATIENT: Final = f"SET lock_timeout = {LOCK_PATIENCE // timedelta(milliseconds=1)}"
#: No lock in time; a statement that is not prepared (SQLSTATE, PostgreSQL Appendix A).
_LOCKED: Final = b"55P03"
_UNKNOWN: Final = b"26000"
#: Seconds within which a question is asked again.
_AGAIN_WITHIN: Final = 5 * LOCK_PATIENCE.total_seconds()


class _Question:
    """One statement under way; `answer` is None for one that prepares another."""

    __slots__ = ("answer", "asked", "prepared", "values")

    def __init__(
        self,
        prepared: Prepared,
        values: list[bytes],
        answer: "asyncio.Future[Row | None] | None",
        asked: float,
    ) -> None:
        self.prepared = prepared
        self.values = values
        self.answer = answer
        #: When, by the loop's clock.
        self.asked = asked

    def settle(self, result: "pq.abc.PGresult") -> None:
        """Pass the first row on; whoever asked may be gone."""
        if self.answer is None:
            return
        if not self.answer.done():
            self.answer.set_result(self.prepared.first(result))

    def fail(self) -> None:
        """Say that there will be no answer."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(NotAtOnce())


class _Turn:
    """What libpq returns between answers: the end of one, or of all that travelled together."""


_END: Final = _Turn()
_ALL: Final = _Turn()


class PipelineReader:
    """Asks on one connection, for as long as `loop` runs; all but connecting happens there."""

    is_instant = False

    def __init__(
        self,
        engine: sa.Engine,
        loop: asyncio.AbstractEventLoop,
        *,
        patience: timedelta = PATIENCE,
    ) -> None:
        #: Whose connections this one shares the fate of.
        self.engine = engine
        self._loop = loop
        self._patience = patience.total_seconds()
        self._connection: ImpatientConnection | None = None
        self._pgconn: pq.abc.PGconn | None = None
        #: The loop's own handle of the connection: libpq closes its own as it likes.
        self._ear = -1
        self._prepared: dict[Statement, Prepared] = {}
        self._names = 0
        #: What libpq will return next, in this order.
        self._expected: deque[_Question | _Turn] = deque()
        #: What is to be asked once more.
        self._again: deque[_Question] = deque()
        #: Statements of which one waited for a lock, in the packet that is being answered.
        self._held: set[Prepared] = set()
        #: Whether questions wait to be sent, and whether others are under way, which they wait for.
        self._is_to_send = False
        self._is_under_way = False
        #: How often connections were dropped for an outage: what was opened before is none to keep.
        self._drops = 0
        #: A connection on its way to the loop, which may be at its end.
        self._arrived: ImpatientConnection | None = None
        self._arriving = Lock()
        self._is_closed = False
        # Whoever drops the connections of an outage, as when a failover made the server read-only,
        # means this one, too: it only reads, and would not find out.
        sa.event.listen(engine, "engine_disposed", self._dropped)
        self._watch()
        self._open()

    @property
    def is_open(self) -> bool:
        """Whether questions can be asked."""
        return self._pgconn is not None

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None; NotAtOnce if it does not come."""
        return await_(self.ask(statement, parameters))

    def ask(
        self, statement: Statement, parameters: Mapping[str, Value]
    ) -> "asyncio.Future[Row | None]":
        """Ask; the answer is the first row, or None. NotAtOnce if it does not come."""
        pgconn = self._pgconn
        if pgconn is None or len(self._expected) > 2 * MOST_OPEN:
            raise NotAtOnce
        try:
            values = texts_of(statement, parameters)
        except psycopg.DataError as error:
            raise NotAtOnce from error
        try:
            prepared = self._prepared.get(statement) or self._prepare(pgconn, statement)
            pgconn.send_query_prepared(prepared.name, values)
        except psycopg.Error as error:
            self._give_up()
            raise NotAtOnce from error
        answer: asyncio.Future[Row | None] = self._loop.create_future()
        self._expect(_Question(prepared, values, answer, self._loop.time()))
        return answer

    def close(self) -> None:
        """Let go of the connection for good."""
        if self._is_closed:
            return
        with self._arriving:
            self._is_closed = True
        if (late := self._taken_over()) is not None:
            late.close()
        sa.event.remove(self.engine, "engine_disposed", self._dropped)
        self._give_up()

    def _prepare(self, pgconn: "pq.abc.PGconn", statement: Statement) -> Prepared:
        self._names += 1
        prepared = Prepared(f"pdp_{self._names}".encode())
        pgconn.send_prepare(prepared.name, statement.postgresql)
        self._expect(_Question(prepared, [], None, self._loop.time()))
        self._prepared[statement] = prepared
        return prepared

    def _expect(self, question: _Question) -> None:
        self._expected += (question, _END)
        if not self._is_to_send:
            self._is_to_send = True
            if not self._is_under_way:
                self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Send what was asked until now."""
        if self._pgconn is None or not self._is_to_send:
            return
        self._is_to_send, self._is_under_way = False, True
        try:
            self._pgconn.pipeline_sync()
            is_sent = not self._pgconn.flush()
        except psycopg.Error:
            is_sent = False
        self._expected.append(_ALL)
        if not is_sent:
            # The server has stopped to read.
            self._give_up()

    def _hear(self) -> None:
        """Take in what the server says."""
        try:
            if self._pgconn is not None:
                self._take_in(self._pgconn)
        except (psycopg.Error, _OutOfStep):
            self._give_up()

    def _take_in(self, pgconn: "pq.abc.PGconn") -> None:
        pgconn.consume_input()
        while self._expected and not pgconn.is_busy():
            result, expected = pgconn.get_result(), self._expected.popleft()
            if isinstance(expected, _Question):
                self._settle(expected, result)
            elif expected is _END:
                _demand(result is None)
            else:
                _demand(result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC)
                self._is_under_way = False
                self._ask_again(pgconn)
                if self._is_to_send:
                    self._loop.call_soon(self._send)

    def _ask_again(self, pgconn: "pq.abc.PGconn") -> None:
        """Send what travelled behind one that failed: not before the end of all is taken in."""
        self._held.clear()
        while self._again:
            question = self._again[0]
            pgconn.send_query_prepared(question.prepared.name, question.values)
            self._expect(question)
            # Not before: if that failed, it is given up with all others.
            self._again.popleft()

    def _settle(self, question: _Question, result: "pq.abc.PGresult | None") -> None:
        """Pass an answer on; with none, ask again where another's failure was the reason."""
        prepared = question.prepared
        if result is not None and result.status in ANSWERED:
            question.settle(result)
            return
        is_behind = result is not None and result.status == pq.ExecStatus.PIPELINE_ABORTED
        is_ready = prepared in self._prepared.values()
        if is_behind and is_ready and question.answer is not None and prepared not in self._held:
            if self._loop.time() - question.asked < _AGAIN_WITHIN:
                self._again.append(question)
            else:
                # Others ask about what is held without a pause: a thread is quicker.
                question.fail()
            return
        question.fail()
        refused = _sqlstate(result)
        _demand(is_behind or refused == _LOCKED or (refused == _UNKNOWN and not is_ready))
        # Whatever else of this packet asks the same would wait for the same.
        self._held.add(prepared)
        if question.answer is None:
            kept = {each: known for each, known in self._prepared.items() if known is not prepared}
            # To be prepared anew when it is needed next.
            self._prepared = kept

    def _watch(self) -> None:
        """Look now and then whether the oldest question has waited too long."""
        if self._is_closed:
            return
        oldest = next((each for each in self._expected if isinstance(each, _Question)), None)
        if oldest is not None and self._loop.time() - oldest.asked > self._patience:
            self._give_up()
        self._loop.call_later(self._patience / 4, self._watch)

    def _dropped(self, _engine: sa.Engine) -> None:
        """Give up this connection with all others; called in any thread."""
        self._drops += 1
        # The loop may be over.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._give_up)

    def _give_up(self) -> None:
        """Drop the connection and what was asked on it, and see to another."""
        connection, self._connection, self._pgconn = self._connection, None, None
        expected, self._expected = [*self._again, *self._expected], deque()
        self._again.clear()
        self._held.clear()
        self._prepared = {}
        self._is_to_send = self._is_under_way = False
        for each in expected:
            if isinstance(each, _Question):
                each.fail()
        if connection is not None:
            # First: whatever goes wrong in closing this one, another is opened.
            self._open_later()
            self._loop.remove_reader(self._ear)
            os.close(self._ear)
            connection.close()

    def _open_later(self) -> None:
        if not self._is_closed:
            self._loop.call_later(AGAIN_AFTER.total_seconds(), self._open)

    def _open(self) -> None:
        """Connect in a thread: the server may take its time to say no."""
        if self._is_closed:
            return
        try:
            Thread(
                target=self._connect, args=(self._drops,), name="pipeline-connect", daemon=True
            ).start()
        except RuntimeError:
            # No thread is to be had just now.
            self._open_later()

    def _connect(self, drops: int) -> None:
        connection: ImpatientConnection | None = None
        try:
            with suppress(*DRIVER_ERRORS):
                connection = _made_impatient(own_connection(self.engine))
        finally:
            self._hand_over(connection, drops)

    def _hand_over(self, connection: ImpatientConnection | None, drops: int) -> None:
        """Tell the loop; close the connection if nobody is there to take it any more."""
        with self._arriving:
            if not self._is_closed:
                self._arrived, connection = connection, None
        try:
            self._loop.call_soon_threadsafe(self._opened, drops)
        except RuntimeError:
            connection = connection or self._taken_over()
        if connection is not None:
            connection.close()

    def _taken_over(self) -> ImpatientConnection | None:
        with self._arriving:
            arrived, self._arrived = self._arrived, None
        return arrived

    def _opened(self, drops: int) -> None:
        connection = self._taken_over()
        if connection is None:
            self._open_later()
            return
        if self._is_closed or drops != self._drops:
            connection.close()
            self._open_later()
            return
        try:
            connection.pgconn.enter_pipeline_mode()
            self._ear = os.dup(connection.pgconn.socket)
        except (psycopg.Error, OSError):
            connection.close()
            self._open_later()
            return
        self._loop.add_reader(self._ear, self._hear)
        self._connection, self._pgconn = connection, connection.pgconn


class _OutOfStep(Exception):
    """What came is not what was expected: an error of the server, or a mistake of ours."""


def _made_impatient(connection: ImpatientConnection) -> ImpatientConnection | None:
    try:
        connection.execute(_BE_IMPATIENT)
    except psycopg.Error:
        connection.close()
        return None
    return connection


def _sqlstate(result: "pq.abc.PGresult | None") -> bytes | None:
    return None if result is None else result.error_field(pq.DiagnosticField.SQLSTATE)


def _demand(holds: bool) -> None:  # noqa: FBT001  one short word says it
    if not holds:
        raise _OutOfStep
