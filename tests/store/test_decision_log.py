"""Records of checks: whatever the database says, they wait, are told of, and are written later."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg
import pytest
import structlog

from pdp import metrics
from pdp.domain.access import Decision, Outcome
from pdp.domain.errors import Unavailable
from pdp.domain.ids import DecisionId
from pdp.store import decisions
from pdp.store.database import Database, Statement, Value
from pdp.store.decision_log import GRACE, DecisionLog
from tests.builders import NOW, facts

#: More than a thread that lives ever takes, and what a test that would hang gives up after.
_PATIENCE = 30
RENAME = Statement("ALTER TABLE decisions RENAME TO elsewhere")
RENAME_BACK = Statement("ALTER TABLE elsewhere RENAME TO decisions")


class Watch:
    """A monotonic clock that moves only when told to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def a_row(name: str):
    decision = Decision(
        outcome=Outcome.FULL,
        reasons=(),
        policy_version="sha256:1",
        valid_until=NOW + timedelta(days=1),
    )
    return DecisionId(name), decisions.row_of(DecisionId(name), facts(), decision)


def recorded(database: Database) -> set[str]:
    with database.read() as tx:
        return {each.id for each in decisions.recent(tx)}


def say(database: Database, statement: Statement) -> None:
    with database.write() as tx:
        tx.run(statement, {})


@contextmanager
def heard(*events: str) -> Iterator[dict[str, threading.Event]]:
    """Tell of log lines as they are written, in whichever thread."""
    found = {event: threading.Event() for event in events}

    def listen(_logger, _level, line):
        if line["event"] in found:
            found[line["event"]].set()
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[listen])
    yield found
    structlog.configure(processors=before)


def test_records_wait_whatever_the_error_and_are_written_afterwards(database):
    log = DecisionLog(database)
    say(database, RENAME)
    log.append(*a_row("dec_1"), session=None, key=("token",))
    log.count(("token",))

    # Its thread may have tried before us.
    with suppress(sqlite3.Error, psycopg.Error):
        log.flush()
    say(database, RENAME_BACK)
    log.close()

    assert recorded(database) == {"dec_1"}
    with database.read() as tx:
        assert decisions.find(tx, "dec_1").repeats == 2


def test_a_group_whose_commit_was_not_heard_of_is_written_once_and_holds_up_none(database):
    log = DecisionLog(database)
    decision_id, row = a_row("dec_1")
    with database.write() as tx:
        decisions.append(tx, row)

    log.append(decision_id, row, session=None, key=None)
    log.append(*a_row("dec_2"), session=None, key=None)
    log.close()

    assert recorded(database) == {"dec_1", "dec_2"}


def test_the_writing_thread_outlives_an_error_that_is_no_outage(database):
    with heard("decisions.write.failed", "decisions.write.recovered") as events:
        log = DecisionLog(database)
        say(database, RENAME)
        log.append(*a_row("dec_1"), session=None, key=None)
        assert events["decisions.write.failed"].wait(_PATIENCE)

        say(database, RENAME_BACK)
        assert events["decisions.write.recovered"].wait(_PATIENCE)

        assert recorded(database) == {"dec_1"}
        log.close()


def test_no_check_may_be_answered_while_a_write_hangs_longer_than_the_grace(database):
    watch, is_writable = Watch(), set()

    class HangingRow(dict[str, Value]):
        hangs = True

        def __getitem__(self, name: str):
            if not self.hangs:
                return super().__getitem__(name)
            watch.seconds = GRACE.total_seconds() + 1
            is_writable.add(log.is_writable)
            raise Unavailable("the database does not answer")

    log = DecisionLog(database, monotonic=watch)
    decision_id, row = a_row("dec_1")
    log.append(decision_id, HangingRow(row), session=None, key=None)
    with suppress(Unavailable):
        log.flush()

    assert is_writable == {False}
    assert not log.is_writable
    HangingRow.hangs = False
    log.close()
    assert recorded(database) == {"dec_1"}


def test_how_long_records_wait_is_told_to_other_processes_until_they_are_written(database):
    watch = Watch()
    with heard("decisions.write.failed") as events:
        log = DecisionLog(database, monotonic=watch)
        say(database, RENAME)
        log.append(*a_row("dec_1"), session=None, key=None)
        watch.seconds = 11
        assert events["decisions.write.failed"].wait(_PATIENCE)

        assert metrics.records_waiting() == timedelta(seconds=11)

        say(database, RENAME_BACK)
        log.close()
        assert metrics.records_waiting() == timedelta(0)


def test_a_failover_is_an_outage_and_the_next_connection_writes_again(postgresql_url):
    plain = postgresql_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        database = Database.open(postgresql_url)
        log = DecisionLog(database)
        log.append(*a_row("dec_1"), session=None, key=None)

        with pytest.raises(Unavailable):
            log.flush()
        admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        log.close()

        assert recorded(database) == {"dec_1"}
        database.close()
