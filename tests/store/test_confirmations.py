"""A delivery that only confirms is written in one statement, or nothing of it is."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from pdp.domain.ids import ClientId
from pdp.domain.signal import DeviceName, NameKind, RiskLevel
from pdp.policy.assess import assess
from pdp.store import confirmations, devices, generations, signals
from pdp.store.database import Database, Statement
from pdp.store.signals import SignalResult
from pdp.usecases.ingest_signal import ingest_signals
from pdp.usecases.register_client import disable_client
from tests.builders import NOW
from tests.deployment import (
    RULES,
    a_calm,
    a_client,
    a_deployment,
    a_risky,
    an_arrival,
    ingest,
    signed_in,
    the_device,
)

SECOND = timedelta(seconds=1)
#: What the second signal says again.
AGAIN = a_calm("evt-2", NOW)
_ROWS = Statement("SELECT (SELECT COUNT(*) FROM deliveries), (SELECT COUNT(*) FROM signals)")


@pytest.fixture
def database(postgresql_url):
    database = Database.open(postgresql_url)
    yield database
    database.close()


@pytest.fixture
def seen(database):
    """Ada's device, as it is read before it is written."""
    a_deployment(database, None, a_client("wiki"))
    ada = signed_in(database)
    with database.read() as tx:
        found = confirmations.see(tx, AGAIN.device)
    assert found is not None
    assert found.device.device.id == ada.device
    return found


def _rows(database):
    with database.read() as tx:
        return tuple(tx.one(_ROWS, {}))


def _confirm(database, seen, signal=AGAIN, delivery_id="msg-2", believed_under=None):
    """Write the signal as if `seen` were still so."""
    device = seen.device.device.with_signal(signal)
    assessment = assess(device, RULES, NOW, previous=seen.device.assessment)
    change = devices.change(seen.device, device, assessment, rules_version=RULES.version, now=NOW)
    generation = believed_under
    if generation is None:
        with database.read() as tx:
            generation = generations.read(tx)
    with database.read() as tx:
        arrival = an_arrival(tx, delivery_id, generation=generation)
    row = signals.row(signal, device.id, SignalResult.APPLIED, NOW)

    def work(tx):
        return confirmations.confirm(tx, arrival, seen, row, change)

    return database.single(work)


def test_delivery_signal_and_device_are_written_together(database, seen):
    deliveries, kept = _rows(database)

    assert _confirm(database, seen)

    assert _rows(database) == (deliveries + 1, kept + 1)
    after = the_device(database, seen.device.device.id)
    assert after.device.readings != seen.device.device.readings
    assert after.device.epoch == seen.device.device.epoch


def _another_signal(database):
    ingest(database, a_calm("evt-9", NOW - SECOND))


def _a_change(database):
    ingest(database, a_risky("evt-9", NOW - SECOND))


def _a_row_written_as_it_was(database):
    with database.write() as tx:
        tx.run(Statement("UPDATE devices SET updated_at = updated_at"), {})


def _the_configuration(database):
    with database.write() as tx:
        disable_client(tx, ClientId("wiki"), actor="test", now=NOW)


def _the_same_delivery(database):
    ingest(database, a_calm("evt-9", NOW), delivery_id="msg-2")


@pytest.mark.parametrize(
    "moved",
    [
        _another_signal,
        _a_change,
        _a_row_written_as_it_was,
        _the_configuration,
        _the_same_delivery,
    ],
    ids=lambda each: each.__name__.strip("_"),
)
def test_nothing_is_written_once_anything_moved_meanwhile(database, seen, moved):
    with database.read() as tx:
        believed_under = generations.read(tx)
    moved(database)
    before, device = _rows(database), the_device(database, seen.device.device.id)

    assert not _confirm(database, seen, believed_under=believed_under)

    assert _rows(database) == before
    assert the_device(database, seen.device.device.id) == device


def test_a_change_under_way_is_waited_for_and_never_written_over(database, seen):
    device = seen.device.device.id
    with ThreadPoolExecutor(max_workers=1) as thread:
        with database.write() as tx:
            arrival = an_arrival(tx, "msg-9")
            ingest_signals(tx, arrival, [a_risky("evt-9", NOW - SECOND)], RULES, now=NOW)
            told = thread.submit(_confirm, database, seen)
            with suppress(TimeoutError):
                told.result(timeout=0.5)
            assert not told.done()
        assert told.result() is False

    kept = the_device(database, device)
    assert "evt-9" in repr(kept.device.readings)
    assert kept.assessment.risk is RiskLevel.HIGH


def test_a_delivery_that_was_counted_for_another_device_is_counted_once(database, seen):
    other = DeviceName(NameKind.SERIAL, "F5KP2")
    signed_in(database, person="grace", names=(other,))
    ingest(database, a_calm("evt-9", NOW, device=(other,)), delivery_id="msg-2")
    before = _rows(database)

    assert not _confirm(database, seen)
    assert _rows(database) == before


def test_a_signal_that_another_delivery_brought_is_not_written_again(database, seen):
    other = DeviceName(NameKind.SERIAL, "F5KP2")
    signed_in(database, person="grace", names=(other,))
    ingest(database, a_calm("evt-2", NOW, device=(other,)))
    before = _rows(database)

    assert not _confirm(database, seen)
    assert _rows(database) == before


def test_what_changes_more_than_it_confirms_is_not_written_here(database, seen):
    with pytest.raises(ValueError, match="more than it confirms"):
        _confirm(database, seen, a_risky("evt-2", NOW))


@pytest.mark.usefixtures("seen")
def test_names_that_mean_no_one_device_are_not_for_here(database):
    many = tuple(DeviceName(NameKind.SERIAL, f"S{number}") for number in range(9))
    other = DeviceName(NameKind.SERIAL, "F5KP2")
    signed_in(database, person="grace", names=(other,))

    with database.read() as tx:
        for names in ((), many, (DeviceName(NameKind.SERIAL, "nobody's"),)):
            assert confirmations.see(tx, names) is None
        assert confirmations.see(tx, (*AGAIN.device, other)) is None


def test_the_version_is_the_row_s_and_not_the_clock_s(database, seen):
    """Two writes in one microsecond are two."""
    ingest(database, a_calm("evt-9", NOW - SECOND))
    ingest(database, a_calm("evt-10", NOW - SECOND + timedelta(milliseconds=1)))
    with database.read() as tx:
        newer = confirmations.see(tx, AGAIN.device)

    assert newer is not None
    assert newer.device.updated_at == the_device(database, seen.device.device.id).updated_at
    assert newer.version != seen.version
    assert not _confirm(database, replace(newer, version=seen.version))
