"""The schema: equal to the tables in the code, up and down with data, and refused when another."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from pdp.domain.ids import ClientId, SessionId, SubjectId
from pdp.store import jobs, schema
from pdp.store.database import Database
from pdp.store.exposures import Receiver
from pdp.store.schema import SchemaMismatch
from pdp.usecases.follow_ups import DeliverLogout, follow_up
from tests.builders import NOW
from tests.deployment import a_client, a_deployment, a_risky, ingest, signed_in


def test_migrations_make_exactly_the_tables_of_the_code(database: Database):
    assert schema.differences(database.engine) == []


def test_a_database_in_use_goes_down_and_up_again(database: Database):
    a_deployment(database, None, a_client("wiki"))
    signed_in(database, "wiki")
    ingest(database, a_risky("bad"))

    schema.downgrade(database.engine, "base")
    emptied = schema.current(database.engine)
    schema.upgrade(database.engine)

    assert emptied is None
    schema.check(database.engine)
    assert schema.differences(database.engine) == []
    a_deployment(database, None, a_client("wiki"))


def test_logouts_that_wait_are_for_their_client_after_the_upgrade_and_there_before(
    database: Database,
):
    a_deployment(database, None, a_client("wiki"))
    receiver = Receiver(client=ClientId("wiki"), session=SessionId("ses_1"), committed_at=NOW)
    with database.write() as tx:
        follow_up(tx, DeliverLogout(receiver=receiver, subject=SubjectId("usr_1")), now=NOW)

    schema.downgrade(database.engine, "0001")
    with database.engine.connect() as connection:
        older = connection.execute(sa.text("SELECT * FROM jobs")).mappings().all()
    schema.upgrade(database.engine)

    assert ["receiver" in each for each in older] == [False]
    assert schema.differences(database.engine) == []
    with database.read() as tx:
        assert [each.receiver for each in jobs.list_some(tx)] == ["wiki"]


@pytest.mark.parametrize("payload", ["not json", "[]", "{}", '{"client": 7}'])
def test_a_job_that_cannot_be_read_keeps_nobody_from_upgrading(database: Database, payload: str):
    with database.write() as tx:
        jobs.enqueue(tx, "deliver-logout", {}, now=NOW)
    schema.downgrade(database.engine, "0001")
    with database.engine.connect() as connection:
        connection.execute(sa.text("UPDATE jobs SET payload = :payload"), {"payload": payload})
    schema.upgrade(database.engine)

    with database.read() as tx:
        assert [each.receiver for each in jobs.list_some(tx)] == [jobs.NOBODY]


def test_a_migration_may_take_longer_than_a_statement_of_the_server(postgresql_url: str):
    impatient = Database.open(
        postgresql_url, busy_timeout=timedelta(milliseconds=100), grace=timedelta(0)
    )
    with impatient.engine.connect() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql"
                " AS 'BEGIN PERFORM pg_sleep(0.2); END'"
            )
        )
        connection.execute(
            sa.text(
                "CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('ALTER TABLE')"
                " EXECUTE FUNCTION slow()"
            )
        )
    try:
        schema.downgrade(impatient.engine, "0001")
        schema.upgrade(impatient.engine)
    finally:
        with impatient.engine.connect() as connection:
            connection.execute(sa.text("DROP EVENT TRIGGER slow"))
            connection.execute(sa.text("DROP FUNCTION slow"))

    schema.check(impatient.engine)
    impatient.close()


def test_an_empty_database_is_refused_with_its_cure(database: Database):
    schema.downgrade(database.engine, "base")

    with pytest.raises(SchemaMismatch, match="pdp init"):
        schema.check(database.engine)


def test_a_newer_database_is_refused_with_its_cure(database: Database):
    with database.engine.connect() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SchemaMismatch, match="newer version"):
        schema.check(database.engine)


def test_the_right_schema_is_accepted(database: Database):
    schema.check(database.engine)

    assert schema.current(database.engine) == schema.expected()
