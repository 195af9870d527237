"""Links: equal answers from both databases, and errors in the words that the store knows."""

import psycopg
import pytest
import sqlalchemy as sa

from pdp.domain.errors import Unavailable
from pdp.store.database import Database, Statement, Value
from pdp.store.tables.subject import SubjectRow

_TEXT = Statement("SELECT username, epoch, break_glass, disabled_at FROM subjects WHERE id = :id")
_INSERT = Statement(
    "INSERT INTO subjects (id, username, name, email, password_hash, must_change_password,"
    " groups, break_glass, epoch, created_at, password_changed_at)"
    " VALUES (:id, :name, :name, '', '', :no, '[]', :yes, :epoch, 0, 0)"
)
_RAISE = Statement("UPDATE subjects SET epoch = epoch + 1 WHERE epoch >= :least")
ADA: dict[str, Value] = {
    "id": "usr_1",
    "name": "adá 'quoted' $1 %s",
    "no": False,
    "yes": True,
    "epoch": -(2**62),
}


def test_text_numbers_truth_and_nothing_come_back_as_they_went_in(database: Database):
    with database.write() as tx:
        assert tx.run(_INSERT, ADA) == 1
    with database.read() as tx:
        row = tx.one(_TEXT, {"id": "usr_1"})

    assert row is not None
    assert (row[0], row[1], bool(row[2]), row[3]) == (ADA["name"], ADA["epoch"], True, None)


def test_a_row_that_is_not_there_is_none_and_a_change_of_none_counts_none(database: Database):
    with database.write() as tx:
        assert tx.one(_TEXT, {"id": "nobody"}) is None
        assert tx.all(_TEXT, {"id": "nobody"}) == []
        assert tx.run(_RAISE, {"least": 0}) == 0


def test_a_change_that_was_not_committed_is_gone(database: Database):
    def fails() -> None:
        with database.write() as tx:
            tx.run(_INSERT, ADA)
            raise LookupError

    with pytest.raises(LookupError):
        fails()
    with database.read() as tx:
        assert tx.one(_TEXT, {"id": "usr_1"}) is None


def test_a_transaction_in_which_nothing_was_said_is_none(database: Database):
    with database.write():
        pass
    with database.write() as tx:
        assert tx.run(_INSERT, ADA) == 1


def test_what_a_session_and_a_statement_did_is_undone_together(database: Database):
    def fails() -> None:
        with database.write() as tx:
            assert tx.orm.scalars(sa.select(SubjectRow)).all() == []
            tx.run(_INSERT, ADA)
            assert len(tx.orm.scalars(sa.select(SubjectRow)).all()) == 1
            raise LookupError

    with pytest.raises(LookupError):
        fails()
    with database.read() as tx:
        assert tx.one(_TEXT, {"id": "usr_1"}) is None


def test_a_first_statement_that_fails_leaves_nothing_open(database_url: str):
    database = Database.open(database_url, pool_size=1)
    with pytest.raises(Exception, match=r"(?i)null"), database.write() as tx:
        tx.run(_INSERT, {**ADA, "name": None})
    with database.write() as tx:
        assert tx.run(_INSERT, ADA) == 1
    with database.read() as tx:
        assert tx.one(_TEXT, {"id": "usr_1"}) is not None
    database.close()


def test_what_was_undone_is_not_called_committed(postgresql_url: str):
    database = Database.open(postgresql_url)

    def swallows() -> None:
        with database.write() as tx:
            tx.run(_INSERT, ADA)
            with pytest.raises(psycopg.errors.UniqueViolation):
                tx.run(_INSERT, ADA)

    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="undone"):
        swallows()
    with database.read() as tx:
        assert tx.one(_TEXT, {"id": "usr_1"}) is None
    database.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "socket"])
def test_a_first_statement_of_any_size_arrives(postgresql_url: str, host: str):
    url = sa.make_url(postgresql_url)
    if host == "socket":
        with psycopg.connect(url.set(drivername="postgresql").render_as_string()) as connection:
            (folder,) = connection.execute("SHOW unix_socket_directories").fetchone() or ("",)
        url = url.set(host=None, query={"host": folder})
    database = Database.open(url.render_as_string(hide_password=False))
    name = "x" * 16_000_000

    with database.write() as tx:
        assert tx.run(_INSERT, {**ADA, "name": "ada", "id": "usr_1"}) == 1
    with database.write() as tx:
        row = tx.one(Statement("SELECT length(cast(:text AS text))"), {"text": name})

    assert row is not None
    assert row[0] == len(name)
    database.close()


def test_who_only_reads_cannot_write(database: Database):
    with pytest.raises(RuntimeError, match="only reads"), database.read() as tx:
        tx.run(_INSERT, ADA)
    with database.read() as tx:
        assert tx.one(_TEXT, {"id": "usr_1"}) is None


def test_a_broken_promise_of_the_schema_is_no_outage(database: Database):
    with database.write() as tx:
        tx.run(_INSERT, ADA)
    with pytest.raises(Exception, match=r"(?i)unique") as raised, database.write() as tx:
        tx.run(_INSERT, {**ADA, "id": "usr_2"})
    assert not isinstance(raised.value, Unavailable)
    with database.read() as tx:
        assert tx.one(_TEXT, {"id": "usr_2"}) is None


def test_a_value_with_a_nul_character_never_passes_for_what_stands_before_it(database: Database):
    with database.write() as tx:
        tx.run(_INSERT, ADA)

    def found() -> bool:
        with database.read() as tx:
            return tx.one(_TEXT, {"id": "usr_1\0other"}) is not None

    if database.is_sqlite:
        assert not found()
    else:
        with pytest.raises(psycopg.DataError, match="NUL"):
            found()


@pytest.mark.parametrize("use", [Database.read, Database.write])
def test_a_connection_that_the_server_ended_is_an_outage_and_the_next_one_works(
    postgresql_url: str, use
):
    database = Database.open(postgresql_url, pool_size=1)
    with database.read() as tx:
        row = tx.one(Statement("SELECT pg_backend_pid()"), {})
    assert row is not None
    administrator = psycopg.connect(
        sa.make_url(postgresql_url).set(drivername="postgresql").render_as_string()
    )
    with administrator:
        administrator.execute("SELECT pg_terminate_backend(%s)", row)

    with pytest.raises(Unavailable), use(database) as tx:
        tx.one(_TEXT, {"id": "usr_1"})
    with use(database) as tx:
        assert tx.one(_TEXT, {"id": "usr_1"}) is None
    database.close()
