"""Readiness: each thing that is missing is named with its cure, and nothing raises."""

import sqlite3
from contextlib import ExitStack, closing
from datetime import timedelta

import psycopg
import pytest

from pdp.store import documents, jobs, schema
from pdp.store.database import Database, Statement
from pdp.store.documents import DocumentKind
from pdp.usecases.check_readiness import LONGEST_LAG, check_readiness
from pdp.usecases.configuration import Configurations
from tests.builders import NOW, FrozenClock, an_envelope
from tests.deployment import a_client, a_deployment, a_runtime

SECOND = timedelta(seconds=1)


def _wrong(runtime):
    found = check_readiness(runtime.database, runtime.configurations, runtime.clock)
    return {check.name: check for check in found.checks if not check.ok}


@pytest.fixture
def clock(database):
    """The clock of the database's machine, so that nothing differs."""
    if database.is_sqlite:
        return FrozenClock()
    with database.engine.connect() as connection:
        return FrozenClock(connection.exec_driver_sql("SELECT now()").scalar_one())


def test_a_deployment_is_ready(database, clock):
    assert _wrong(a_deployment(database, clock)) == {}


@pytest.mark.parametrize("kept", [1, 3])
def test_connections_from_before_a_restart_are_no_outage(postgresql_url, kept):
    database = Database.open(postgresql_url)
    with database.engine.connect() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
    runtime = a_deployment(database, FrozenClock(now))
    with ExitStack() as held:
        for _ in range(kept):
            held.enter_context(database.read()).one(Statement("SELECT 1"), {})
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    wrong = _wrong(runtime)
    database.close()

    assert wrong == {}


def test_an_empty_database_names_keys_and_policies(database, clock):
    wrong = _wrong(a_runtime(database, clock))

    assert wrong.keys() == {"keys", "policies"}
    assert "pdp init" in wrong["keys"].cure


def test_a_foreign_schema_is_named(database, clock):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        tx.run(Statement("UPDATE alembic_version SET version_num = 'newer'"), {})

    assert "newer version" in _wrong(runtime)["schema"].detail


def test_what_rests_on_the_schema_is_not_looked_at_without_one(database, clock):
    runtime = a_deployment(database, clock)
    schema.downgrade(database.engine, "base")

    wrong = _wrong(runtime)

    assert wrong["schema"].cure == "run `pdp init`"
    assert {wrong[name].cure for name in ("keys", "policies", "outbox")} == {
        "mend the schema first"
    }


def test_a_table_that_somebody_took_away_is_told(database, clock):
    runtime = a_deployment(database, clock)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE generations")

    assert "pdp db check" in _wrong(runtime)["policies"].detail


def test_an_algorithm_without_a_key_is_named(database, clock):
    runtime = a_deployment(database, clock, a_client(id_token_alg="PS256"))

    wrong = _wrong(runtime)

    assert wrong["keys"].detail == "no key signs PS256"
    assert "pdp keys rotate --alg PS256" in wrong["keys"].cure


def test_a_signing_key_that_cannot_be_read_is_named_and_no_other_takes_its_place(database, clock):
    a_deployment(database, clock)
    with database.write() as tx:
        tx.run(Statement("UPDATE signing_keys SET private = 'damaged'"), {})
    begun = a_runtime(database, clock)

    assert "keys" in _wrong(begun)
    with database.read() as tx:
        assert tx.one(Statement("SELECT COUNT(*) FROM signing_keys"), {}) == (1,)


def test_a_document_that_does_not_compile_is_named(database, clock):
    runtime = a_deployment(database, clock)
    assert _wrong(runtime) == {}
    with database.write() as tx:
        documents.activate(tx, DocumentKind.POLICIES, "sha256:bad", "pratique: x", now=NOW)

    assert _wrong(runtime).keys() == {"policies"}


def test_a_job_that_waits_too_long_is_named(database, clock):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        jobs.enqueue(tx, "propagate-change", {}, now=clock.now - LONGEST_LAG - SECOND)

    assert "61 s" in _wrong(runtime)["outbox"].detail


def test_a_job_that_a_dead_worker_holds_is_late_all_the_same(database, clock):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        jobs.enqueue(tx, "propagate-change", {}, now=clock.now - LONGEST_LAG - SECOND)
        jobs.claim(tx, now=clock.now)

    assert "61 s" in _wrong(runtime)["outbox"].detail


def test_a_job_that_is_to_be_tried_again_is_not_late(database, clock):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        jobs.enqueue(tx, "propagate-change", {}, now=clock.now - timedelta(hours=5))
        (job,) = jobs.claim(tx, now=clock.now)
        jobs.delay(tx, job.id, not_before=clock.now + SECOND, error="locked")

    assert _wrong(runtime) == {}


def test_a_receiver_that_takes_nothing_does_not_make_us_unready(database, clock):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        then = clock.now - timedelta(hours=5)
        jobs.enqueue(tx, "deliver-logout", {}, now=then, receiver="wiki")

    assert _wrong(runtime) == {}


def test_a_clock_that_is_off_is_named(postgresql_url):
    database = Database.open(postgresql_url)
    runtime = a_deployment(database, FrozenClock(NOW))

    assert _wrong(runtime).keys() == {"clock"}
    database.close()


def test_a_database_that_takes_no_writes_is_named(postgresql_url):
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        database = Database.open(postgresql_url)

        found = check_readiness(database, Configurations(an_envelope()), FrozenClock())

    (check,) = [check for check in found.checks if check.name == "database"]
    assert not check.ok
    assert "takes no writes" in check.detail
    database.close()


def test_a_file_whose_writer_never_ends_is_named(sqlite_url):
    path = sqlite_url.removeprefix("sqlite:///")
    database = Database.open(sqlite_url, busy_timeout=timedelta(milliseconds=50))
    runtime = a_deployment(database, FrozenClock())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert "database" in _wrong(runtime)

    assert _wrong(runtime) == {}
    database.close()


def test_a_database_that_is_down_makes_everything_not_ready(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path / 'x.db'}")
    (tmp_path / "x.db").mkdir()

    found = check_readiness(database, Configurations(an_envelope()), FrozenClock())

    assert not found.is_ready
    assert {check.name for check in found.checks if not check.ok} >= {"database", "schema"}
    assert all(check.cure for check in found.checks if not check.ok)
    database.close()
