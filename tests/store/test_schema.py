"""The schema: equal to the tables in the code, up and down with data, and refused when another."""

import pytest
import sqlalchemy as sa

from pdp.store import schema
from pdp.store.database import Database
from pdp.store.schema import SchemaMismatch
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
