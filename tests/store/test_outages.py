"""What the database says is told apart: an outage, trouble of one statement, a mistake of ours."""

import sqlite3

import psycopg
import pytest

from pdp.domain.errors import Unavailable
from pdp.store.database import Database, Statement

PID = Statement("SELECT pg_backend_pid()")


def connection_of(database: Database) -> int:
    """Tell which connection the database lends."""
    with database.read() as tx:
        row = tx.one(PID, {})
    assert row is not None
    return int(row[0])


@pytest.fixture
def on_postgresql(postgresql_url):
    database = Database.open(postgresql_url)
    yield database
    database.close()


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("the connection is lost"),
        psycopg.InterfaceError("the connection is closed"),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.ReadOnlySqlTransaction(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_outage_is_unavailable_and_what_is_asked_next_gets_a_new_connection(
    on_postgresql, error
):
    before = connection_of(on_postgresql)

    with pytest.raises(Unavailable), on_postgresql.write():
        raise error

    assert connection_of(on_postgresql) != before


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.QueryCanceled(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_of_one_statement_costs_the_others_no_connection(on_postgresql, error):
    with on_postgresql.read(), pytest.raises(Unavailable), on_postgresql.write():
        raise error
    # Of the two connections the one without trouble is left.
    left = connection_of(on_postgresql)

    with pytest.raises(Unavailable):
        raise on_postgresql.unavailable(error)

    assert connection_of(on_postgresql) == left


def test_a_mistake_of_ours_is_no_outage(database):
    with (
        pytest.raises((psycopg.errors.UndefinedTable, sqlite3.OperationalError), match="nowhere"),
        database.write() as tx,
    ):
        tx.one(Statement("SELECT * FROM nowhere"), {})
