"""Ctrl-C in the middle of something: the connection is as before, or nobody gets it any more."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import sqlalchemy as sa

from pdp.store import single_use
from pdp.store.database import Database, Statement, Transaction
from pdp.store.links import Link
from tests.builders import NOW

_PATIENCE = 20.0
PID = Statement("SELECT pg_backend_pid()")
FALLS_ASLEEP = Statement("SELECT pg_sleep(60), cast(:text AS text)")
IS_ASLEEP = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
IS_OPEN = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    " AND state LIKE 'idle in transaction%'"
)


class Interrupted(BaseException):
    """What is no error either, and what no driver has heard of."""


@pytest.fixture
def one_connection(postgresql_url: str) -> Iterator[Database]:
    database = Database.open(postgresql_url, pool_size=1)
    yield database
    database.close()


@pytest.fixture
def observer(postgresql_url: str) -> Iterator[psycopg.Connection]:
    url = sa.make_url(postgresql_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


@contextmanager
def interrupted_while_asleep(
    pid: int, observer: psycopg.Connection, kind: type[BaseException]
) -> Iterator[None]:
    """Interrupt the main thread, which is where signals go, once the server sleeps for it."""

    def interrupt() -> None:
        # Bounded: what failed before it slept must not keep the suite.
        given_up = time.monotonic() + _PATIENCE
        while observer.execute(IS_ASLEEP, (pid,)).fetchone() is None:
            if time.monotonic() > given_up:
                return
        os.kill(os.getpid(), signal.SIGUSR1)

    def answer(_number: int, _frame: object) -> None:
        raise kind

    before = signal.signal(signal.SIGUSR1, answer)
    watching = threading.Thread(target=interrupt)
    watching.start()
    try:
        yield
    finally:
        watching.join()
        signal.signal(signal.SIGUSR1, before)


def pid_of(database: Database) -> int:
    with database.read() as tx:
        tx.one(Statement("SELECT 1 WHERE cast(:text AS text) = ''"), {"text": ""})
        row = tx.one(PID, {})
    assert row is not None
    return int(row[0])


def spend(tx: Transaction) -> bool:
    return single_use.spend(tx, single_use.Kind.DEVICE_NONCE, "once", expires_at=NOW)


def sleep_first(tx: Transaction) -> None:
    tx.one(FALLS_ASLEEP, {"text": "x"})


def sleep_later(tx: Transaction) -> None:
    if not tx.is_reading:
        assert spend(tx)
    tx.one(FALLS_ASLEEP, {"text": "x"})


def sleep_in_a_session(tx: Transaction) -> None:
    tx.orm.execute(sa.text("SELECT pg_sleep(60)"))


def sleep_beside_a_session(tx: Transaction) -> None:
    tx.orm.execute(sa.text("SELECT 1"))
    tx.one(FALLS_ASLEEP, {"text": "x"})


@pytest.mark.parametrize(
    "work", [sleep_first, sleep_later, sleep_in_a_session, sleep_beside_a_session]
)
@pytest.mark.parametrize("use", [Database.read, Database.write])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, Interrupted])
def test_who_is_interrupted_in_a_statement_leaves_nothing_open_and_nothing_unread(
    one_connection: Database, observer: psycopg.Connection, kind, use, work
):
    pid = pid_of(one_connection)

    with (
        interrupted_while_asleep(pid, observer, kind),
        pytest.raises(kind),
        use(one_connection) as tx,
    ):
        work(tx)

    # Nobody listens to that statement any more, and its end is waited for below.
    observer.execute("SELECT pg_cancel_backend(%s)", (pid,))
    assert pid_of(one_connection)
    with one_connection.write() as tx:
        assert spend(tx)
    assert observer.execute(IS_OPEN).fetchone() is None


def test_who_is_interrupted_between_statements_leaves_nothing_open(database: Database):
    def is_interrupted() -> None:
        with database.write() as tx:
            assert spend(tx)
            raise Interrupted

    with pytest.raises(Interrupted):
        is_interrupted()

    with database.write() as tx:
        assert spend(tx)


def test_a_connection_that_an_error_came_from_is_not_lent_again(database: Database):
    link = database.lend()
    database.take_back(link, sound=False)

    assert database.lend() is not link


def test_a_connection_whose_questions_were_not_sent_is_not_lent_again(one_connection: Database):
    link = one_connection.lend()
    _driver(link).pgconn.enter_pipeline_mode()
    is_at_rest = link.is_at_rest()
    one_connection.take_back(link, sound=True)

    assert not is_at_rest
    assert one_connection.lend() is not link


def test_a_connection_between_questions_is_not_told_to_roll_back(one_connection: Database):
    link = one_connection.lend()
    link.begin()
    link.begin_now()
    _driver(link).pgconn.enter_pipeline_mode()
    link.roll_back()
    one_connection.take_back(link, sound=True)

    assert one_connection.lend() is not link


def _driver(link: Link) -> psycopg.Connection:
    driver = link.connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def test_a_connection_in_the_middle_of_something_is_not_lent_again(database: Database):
    link = database.lend()
    link.begin()
    link.begin_now()
    database.take_back(link, sound=True)

    assert database.lend() is not link
