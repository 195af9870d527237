"""What is looked up by time: from the first instant on, before the last, and by an index."""

from datetime import timedelta

import pytest

from pdp.domain.access import Decision, Outcome
from pdp.domain.ids import DecisionId
from pdp.store import audit_trail, decisions, signals
from pdp.store.database import Database
from pdp.store.period import EVER, Period
from tests.builders import NOW, device_facts, facts, subject_facts
from tests.deployment import a_calm, a_deployment, ingest, the_device

MINUTE = timedelta(minutes=1)

PERIODS = {
    "ever": (EVER, ["dec_2", "dec_1", "dec_0"]),
    "since": (Period(since=NOW + MINUTE), ["dec_2", "dec_1"]),
    "until": (Period(until=NOW + MINUTE), ["dec_0"]),
    "one minute": (Period(NOW + MINUTE, NOW + 2 * MINUTE), ["dec_1"]),
    "nothing then": (Period(NOW + 3 * MINUTE, NOW + 4 * MINUTE), []),
}


def keep(database: Database, minute: int, subject: str) -> None:
    seen = facts(now=NOW + minute * MINUTE, subject=subject_facts(subject), device=device_facts())
    refused = Decision(outcome=Outcome.BLOCK, reasons=(), policy_version="sha256:1")
    with database.write() as tx:
        decisions.append(tx, decisions.row_of(DecisionId(f"dec_{minute}"), seen, refused))


@pytest.mark.parametrize(("period", "found"), PERIODS.values(), ids=PERIODS)
def test_decisions_are_found_from_the_first_instant_on_and_before_the_last(database, period, found):
    for minute in range(3):
        keep(database, minute, "ada")
    keep(database, 9, "ben")

    with database.read() as tx:
        told = decisions.recent(tx, subject_id="ada", outcome="block", period=period)

    assert [each.id for each in told] == found


@pytest.mark.parametrize(("period", "found"), PERIODS.values(), ids=PERIODS)
def test_signals_are_found_from_the_first_instant_on_and_before_the_last(
    database, clock, period, found
):
    a_deployment(database, clock)
    for minute in range(3):
        ingest(database, a_calm(f"dec_{minute}"), now=NOW + minute * MINUTE)

    with database.read() as tx:
        told = signals.of_device(tx, the_device(database).device.id, period=period)

    assert [each.id for each in told] == found


@pytest.mark.parametrize(
    ("person", "device", "index"),
    [
        ("ada", "", "ix_decisions_subject_id_at (subject_id=? AND at>? AND at<?)"),
        ("", "dev_1", "ix_decisions_device_id_at (device_id=? AND at>? AND at<?)"),
        ("", "", "ix_decisions_at (at>? AND at<?)"),
    ],
    ids=["of a person", "of a device", "of all"],
)
def test_decisions_of_a_minute_are_looked_up_in_the_index_of_what_is_asked(
    sqlite_url, person, device, index
):
    database = Database.open(sqlite_url)
    asked: list[str] = []
    with database.read() as tx:
        driver = tx.orm.connection().connection.driver_connection
        assert driver is not None
        driver.set_trace_callback(asked.append)
        decisions.recent(tx, subject_id=person, device_id=device, period=Period(NOW, NOW + MINUTE))
        plan = list(driver.execute(f"EXPLAIN QUERY PLAN {asked[-1]}"))
    database.close()

    assert [row[3] for row in plan] == [f"SEARCH decisions USING INDEX {index}"]


@pytest.mark.parametrize(
    ("asked_for", "index"),
    [
        (
            {"kind": "device", "object_id": "dev_1"},
            "ix_audit_events_kind_object_id_at (kind=? AND object_id=? AND at>? AND at<?)",
        ),
        ({}, "ix_audit_events_at (at>? AND at<?)"),
    ],
    ids=["of one thing", "of all"],
)
def test_events_of_a_minute_are_looked_up_in_the_index_of_what_is_asked(
    sqlite_url, asked_for, index
):
    database = Database.open(sqlite_url)
    asked: list[str] = []
    with database.read() as tx:
        driver = tx.orm.connection().connection.driver_connection
        assert driver is not None
        driver.set_trace_callback(asked.append)
        audit_trail.recent(tx, period=Period(NOW, NOW + MINUTE), **asked_for)
        plan = list(driver.execute(f"EXPLAIN QUERY PLAN {asked[-1]}"))
    database.close()

    assert plan[0][3] == f"SEARCH audit_events USING INDEX {index}"
