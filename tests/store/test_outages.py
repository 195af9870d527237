"""What the database says is told apart: an outage, trouble of one statement, a mistake of ours."""

import sqlite3
from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa

from pdp.domain.errors import OutcomeUnknown, Unavailable
from pdp.store import single_use
from pdp.store.database import Database, Statement, Transaction
from pdp.store.tables.subject import SubjectRow
from tests.builders import NOW
from tests.databases import break_off_at_commit

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


COMMITS: dict[str, Callable[[Database], object]] = {
    "a transaction": lambda database: written(database, spend),
    "a transaction with a session": lambda database: written(database, spend_in_a_session),
    "a statement that commits by itself": lambda database: database.single(spend),
}


def spend(tx: Transaction) -> None:
    single_use.spend(tx, single_use.Kind.DEVICE_NONCE, "once", expires_at=NOW)


def spend_in_a_session(tx: Transaction) -> None:
    assert tx.orm.scalars(sa.select(SubjectRow)).all() == []
    spend(tx)


def written(database: Database, work: Callable[[Transaction], None]) -> None:
    with database.write() as tx:
        work(tx)


@pytest.mark.parametrize("commit", COMMITS.values(), ids=COMMITS)
def test_a_connection_that_is_lost_in_a_commit_leaves_the_outcome_unknown(
    on_postgresql, postgresql_url, commit
):
    break_off_at_commit(postgresql_url, "single_use")

    with pytest.raises(OutcomeUnknown):
        commit(on_postgresql)


def test_a_connection_that_is_lost_before_its_commit_changed_nothing(on_postgresql):
    with pytest.raises(Unavailable) as raised, on_postgresql.write() as tx:
        tx.one(Statement("SELECT pg_terminate_backend(pg_backend_pid())"), {})

    assert type(raised.value) is Unavailable


@pytest.mark.parametrize("commit", COMMITS.values(), ids=COMMITS)
def test_a_commit_that_the_server_refuses_changed_nothing(on_postgresql, postgresql_url, commit):
    break_off_at_commit(postgresql_url, "single_use")
    with on_postgresql.write() as tx:
        tx.orm.execute(
            sa.text(
                "CREATE OR REPLACE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN RAISE deadlock_detected; END'"
            )
        )

    with pytest.raises(Unavailable) as raised:
        commit(on_postgresql)

    assert type(raised.value) is Unavailable
    with on_postgresql.read() as tx:
        assert not single_use.is_spent(tx, single_use.Kind.DEVICE_NONCE, "once")


def test_a_mistake_of_ours_is_no_outage(database):
    with (
        pytest.raises((psycopg.errors.UndefinedTable, sqlite3.OperationalError), match="nowhere"),
        database.write() as tx,
    ):
        tx.one(Statement("SELECT * FROM nowhere"), {})
