"""Signals count once, in any order, together or not at all, for one device or for none."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from pdp.domain.compliance import Compliance
from pdp.domain.events import Action
from pdp.domain.ids import DeviceId
from pdp.domain.signal import DeviceName, Finding, NameKind, RiskLevel
from pdp.domain.task import TaskState
from pdp.store import arrivals, device_names, devices, generations, signals, tasks
from pdp.store.database import Database, Statement
from pdp.store.signals import SignalResult
from pdp.usecases.ingest_signal import SignalConflict, ingest_signals
from tests.builders import NOW, SOURCE
from tests.deployment import (
    RULES,
    SERIAL,
    a_calm,
    a_client,
    a_deployment,
    a_risky,
    a_signal,
    an_arrival,
    ingest,
    signed_in,
    the_device,
)

OTHER_SERIAL = DeviceName(NameKind.SERIAL, "F5KP2")
EDR_ID = DeviceName(NameKind.EDR_ID, "a1")
HOST = DeviceName(NameKind.HOSTNAME, "ada-laptop")
MINUTE = timedelta(minutes=1)

_AUDIT = Statement("SELECT COUNT(*) FROM audit_events WHERE action = :action")
_JOBS = Statement("SELECT COUNT(*) FROM jobs WHERE type = 'propagate-change'")
_QUARANTINE = Statement("SELECT COUNT(*) FROM signals WHERE result = 'quarantined'")


def _counted(database, statement, **parameters):
    with database.read() as tx:
        return tx.one(statement, parameters)[0]


def _changes(database):
    return _counted(database, _AUDIT, action=Action.DEVICE_COMPLIANCE_CHANGED.value)


def _history(database, device_id):
    with database.read() as tx:
        return [(signal.id, signal.result) for signal in signals.of_device(tx, device_id)]


def test_a_signal_about_a_device_never_seen_makes_an_unowned_record(database):
    ingested = ingest(database, a_risky())

    stored = the_device(database)
    assert ingested.applied == 1
    assert stored.device.owner is None
    assert stored.assessment.status is Compliance.NOT_COMPLIANT
    assert stored.assessment.risk is RiskLevel.HIGH


def test_a_delivery_sent_again_is_applied_once(database):
    ingest(database, a_risky(), delivery_id="msg-1")
    again = ingest(database, a_risky(), delivery_id="msg-1", now=NOW + MINUTE)

    assert again.is_duplicate
    assert the_device(database).updated_at == NOW
    assert _changes(database) == 1


def test_a_signal_sent_again_in_another_delivery_is_applied_once(database):
    ingest(database, a_risky(), delivery_id="msg-1")
    again = ingest(database, a_risky(), delivery_id="msg-2", now=NOW + MINUTE)

    assert again.is_duplicate
    assert the_device(database).updated_at == NOW


def test_a_thousand_repetitions_over_32_threads_make_one_change(database_url):
    database = Database.open(database_url, pool_size=8, busy_timeout=timedelta(seconds=60))
    deliveries = [f"msg-{number % 40}" for number in range(1000)]

    with ThreadPoolExecutor(32) as pool:
        results = list(
            pool.map(lambda each: ingest(database, a_risky(), delivery_id=each), deliveries)
        )

    assert sum(not result.is_duplicate for result in results) == 1
    assert _changes(database) == 1
    assert len(_history(database, the_device(database).device.id)) == 1
    database.close()


def test_threads_that_meet_the_same_new_devices_make_each_once_and_never_deadlock(database_url):
    database = Database.open(database_url, pool_size=8, busy_timeout=timedelta(seconds=60))
    names = [DeviceName(NameKind.SERIAL, f"S{number}") for number in range(6)]

    def deliver(number):
        turned = names[number % 6 :] + names[: number % 6]
        batch = [a_risky(f"evt-{number}-{name.value}", device=(name,)) for name in turned]
        return ingest(database, *batch, delivery_id=f"msg-{number}")

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(deliver, range(48)))

    with database.read() as tx:
        assert len(devices.list_devices(tx)) == len(names)
    assert sum(result.applied + result.late for result in results) == 48 * len(names)
    database.close()


def test_no_signal_is_lost_where_many_threads_speak_of_one_device(database_url):
    database = Database.open(database_url, pool_size=8, busy_timeout=timedelta(seconds=60))
    ingest(database, a_calm("evt-first"))

    def deliver(number):
        said = a_signal(f"evt-{number}", posture={f"field_{number}": True})
        return ingest(database, said)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(deliver, range(200)))

    assert sum(result.applied for result in results) == 200
    statements = the_device(database).device.readings[SOURCE].statements
    assert {f"posture.field_{number}" for number in range(200)} <= set(statements)
    database.close()


def test_a_delivery_believed_under_an_older_configuration_is_not_counted(database):
    ingest(database, a_calm("evt-0"), delivery_id="msg-0")
    with database.write() as tx:
        new = an_arrival(tx, "msg-1")
        seen = an_arrival(tx, "msg-0")
        generations.advance(tx)

    with database.write() as tx:
        assert ingest_signals(tx, new, [a_risky()], RULES, now=NOW) is None
        assert ingest_signals(tx, seen, [a_calm("evt-0")], RULES, now=NOW) is None
    assert ingest(database, a_risky(), delivery_id="msg-1").applied == 1


@pytest.mark.parametrize(
    "names",
    [
        pytest.param((SERIAL, EDR_ID), id="all-known"),
        pytest.param((SERIAL, EDR_ID, HOST), id="one-new"),
        pytest.param((HOST, SERIAL), id="host-name-first"),
    ],
)
def test_every_way_to_name_a_device_finds_the_same_one(database, names):
    ingest(database, a_calm("evt-0", device=(SERIAL, EDR_ID)))
    before = the_device(database).device.id

    assert ingest(database, a_risky("evt-1", device=names)).applied == 1
    assert ingest(database, a_risky("evt-2", device=names)).applied == 1
    with database.read() as tx:
        assert [stored.device.id for stored in devices.list_devices(tx)] == [before]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(("msg-1", a_calm("evt-2")), id="delivery-id"),
        pytest.param(("msg-2", a_calm("evt-1")), id="signal-id"),
    ],
)
def test_a_used_id_with_another_body_is_refused_and_nothing_is_applied(database, second):
    delivery_id, signal = second
    with database.write() as tx:
        arrivals.count_delivery(tx, an_arrival(tx, "msg-1", body_digest="another"), [SERIAL])
    ingest(database, a_risky("evt-1"), delivery_id="msg-0")
    before = the_device(database)

    with pytest.raises(SignalConflict):
        ingest(database, a_signal("new", device=(OTHER_SERIAL,)), signal, delivery_id=delivery_id)

    assert the_device(database) == before
    # The delivery can be sent again under an id of its own.
    assert ingest(database, a_signal("new"), delivery_id="msg-3").applied == 1


def test_a_used_signal_id_with_another_statement_leaves_its_delivery_uncounted(database):
    ingest(database, a_risky("evt-1"), delivery_id="msg-1")
    before = the_device(database)

    with pytest.raises(SignalConflict):
        ingest(database, a_calm("evt-1", NOW + MINUTE), delivery_id="msg-2")

    assert the_device(database) == before
    assert ingest(database, a_calm("evt-2", NOW + MINUTE), delivery_id="msg-2").applied == 1


def test_one_poisoned_signal_leaves_a_batch_of_a_hundred_unapplied(database):
    ingest(database, a_risky("used"))
    batch = [a_risky(f"evt-{n}", device=(DeviceName(NameKind.SERIAL, f"S{n}"),)) for n in range(99)]

    with pytest.raises(SignalConflict):
        ingest(database, *batch, a_calm("used"), delivery_id="msg-batch")

    assert the_device(database).assessment.risk is RiskLevel.HIGH
    assert ingest(database, *batch, delivery_id="msg-batch").applied == 99


def test_a_late_signal_is_kept_as_history_and_changes_nothing(database):
    ingest(database, a_risky("evt-2", NOW))
    late = ingest(database, a_calm("evt-1", NOW - MINUTE))

    stored = the_device(database)
    assert late.late == 1
    assert stored.assessment.status is Compliance.NOT_COMPLIANT
    assert _history(database, stored.device.id) == [
        ("evt-1", SignalResult.LATE),
        ("evt-2", SignalResult.APPLIED),
    ]


def test_a_late_signal_may_lower_trust_in_what_is_not_known_yet(database):
    ingest(database, a_calm("evt-2", NOW))
    ingest(database, a_signal("evt-1", NOW - MINUTE, compliant=False))

    assert the_device(database).assessment.status is Compliance.NOT_COMPLIANT


_FINDING = Finding(id="f1", title="Malware", severity=RiskLevel.HIGH)
_SIX = (
    a_risky("evt-1", NOW - 6 * MINUTE),
    a_calm("evt-2", NOW - 5 * MINUTE, platform="macos", os_version="14.1"),
    a_signal("evt-3", NOW - 4 * MINUTE, findings=(_FINDING,), compliant=True),
    a_signal("evt-4", NOW - 3 * MINUTE, posture={"disk_encrypted": False}, os_version="14.2"),
    # Two at the same instant: the worse must stand.
    a_signal("evt-5", NOW - 2 * MINUTE, compliant=True),
    a_signal("evt-6", NOW - 2 * MINUTE, compliant=False),
)


def test_all_720_orders_of_six_signals_end_in_the_same_row(sqlite_url):
    database = Database.open(sqlite_url)
    ends = {_end_of(database, order, number) for number, order in enumerate(permutations(_SIX))}
    database.close()

    assert len(ends) == 1


def _end_of(database, order, number):
    """Apply six signals about a device of their own; return how its row ends, names apart."""
    name = DeviceName(NameKind.SERIAL, f"S{number}")
    with database.write() as tx:
        for signal in order:
            delivery_id = f"{number}-{signal.id}"
            said = replace(signal, id=delivery_id, device=(name,))
            ingest_signals(tx, an_arrival(tx, delivery_id), [said], RULES, now=NOW)
        (device_id,) = device_names.find_by_names(tx, [name])
        stored = devices.load_stored(tx, device_id)
    assert stored is not None
    # The epoch counts changes on the way, and so depends on the way.
    end = repr((replace(stored.device, id=DeviceId("dev"), epoch=0), stored.assessment))
    return end.replace(f"{number}-evt", "evt")


def test_a_healthy_statement_that_arrives_late_never_prolongs_a_grace(database):
    """In order it would have: what is late may only lower trust (DECISIONS 27)."""
    ingest(database, a_signal("evt-1", NOW, risk=RiskLevel.MEDIUM))
    ends = the_device(database).assessment.valid_until
    ingest(database, a_signal("evt-3", NOW + 2 * MINUTE, risk=RiskLevel.MEDIUM))
    ingest(database, a_calm("evt-2", NOW + MINUTE))

    assert the_device(database).assessment.valid_until == ends


def test_the_epoch_moves_with_what_decisions_see_and_not_with_a_repetition(database):
    ingest(database, a_calm("evt-1"))
    first = the_device(database).device.epoch
    ingest(database, a_calm("evt-2", NOW + MINUTE), now=NOW + MINUTE)
    confirmed = the_device(database).device.epoch
    ingest(database, a_risky("evt-3", NOW + 2 * MINUTE), now=NOW + 2 * MINUTE)

    assert confirmed == first
    assert the_device(database).device.epoch > confirmed


def test_a_source_that_repeats_itself_does_not_prolong_a_grace(database):
    medium = {"risk": RiskLevel.MEDIUM}
    ingest(database, a_signal("evt-1", NOW, **medium))
    ends = the_device(database).assessment.valid_until
    ingest(database, a_signal("evt-2", NOW + 3 * MINUTE, **medium), now=NOW + 3 * MINUTE)

    assert the_device(database).assessment.valid_until == ends


# Names


def test_names_of_two_devices_are_quarantined_and_change_neither(database):
    ingest(database, a_calm("evt-1", device=(SERIAL,)))
    ingest(database, a_calm("evt-2", device=(OTHER_SERIAL,)))
    ingested = ingest(database, a_risky("evt-3", NOW + MINUTE, device=(SERIAL, OTHER_SERIAL)))

    with database.read() as tx:
        stored = devices.list_devices(tx)
        (kept,) = signals.quarantined(tx)
    assert ingested.quarantined == 1
    assert kept.id == "evt-3"
    assert {each.assessment.risk for each in stored} == {RiskLevel.LOW}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param((OTHER_SERIAL, EDR_ID), id="another-serial-for-a-known-edr-id"),
        pytest.param((DeviceName(NameKind.ID, "dev_none"),), id="an-id-that-we-never-gave"),
        pytest.param((SERIAL, DeviceName(NameKind.ID, "dev_none")), id="and-a-serial-beside-it"),
    ],
)
def test_names_that_contradict_what_is_known_are_quarantined(database, names):
    ingest(database, a_calm("evt-1", device=(SERIAL, EDR_ID)))

    assert ingest(database, a_risky("evt-2", device=names)).quarantined == 1
    assert the_device(database).assessment.risk is RiskLevel.LOW


def test_a_new_name_of_a_known_device_is_learnt(database):
    ingest(database, a_calm("evt-1", device=(SERIAL,)))
    ingest(database, a_calm("evt-2", NOW + MINUTE, device=(SERIAL, EDR_ID)))
    ingest(database, a_risky("evt-3", NOW + 2 * MINUTE, device=(EDR_ID,)))

    assert the_device(database).assessment.risk is RiskLevel.HIGH


def test_our_own_id_names_the_device(database):
    ingest(database, a_calm("evt-1"))
    ours = DeviceName(NameKind.ID, the_device(database).device.id)

    assert ingest(database, a_risky("evt-2", NOW + MINUTE, device=(ours,))).applied == 1


def test_a_host_name_names_a_device_until_a_second_one_bears_it(database):
    ingest(database, a_calm("evt-1", device=(SERIAL, HOST)))
    assert ingest(database, a_calm("evt-2", NOW + MINUTE, device=(HOST,))).applied == 1

    ingest(database, a_calm("evt-3", device=(OTHER_SERIAL, HOST)))

    assert ingest(database, a_risky("evt-4", NOW + MINUTE, device=(HOST,))).quarantined == 1
    # Beside a better name it does no harm.
    named = ingest(database, a_risky("evt-5", NOW + MINUTE, device=(OTHER_SERIAL, HOST)))
    assert named.applied == 1
    assert _counted(database, _QUARANTINE) == 1


# What follows


def test_a_finding_opens_a_task_and_its_disproof_closes_it(database):
    ingest(database, a_signal("evt-1", compliant=True, findings=(_FINDING,)))
    device_id = the_device(database).device.id
    with database.read() as tx:
        (task,) = tasks.open_of_device(tx, device_id)

    gone = Finding(id="f1", title="Malware", severity=RiskLevel.HIGH, resolved=True)
    ingest(database, a_signal("evt-2", NOW + MINUTE, findings=(gone,)), now=NOW + MINUTE)

    with database.read() as tx:
        (closed,) = tasks.of_device(tx, device_id)
    assert (task.title, task.rule) == ("Malware", "severe-finding")
    assert closed.state is TaskState.CLOSED
    assert closed.closed_at == NOW + MINUTE


def test_a_relapse_reopens_the_same_task(database):
    for number, signal in enumerate((a_risky, a_calm, a_risky)):
        at = NOW + number * MINUTE
        ingest(database, signal(f"evt-{number}", at), now=at)

    with database.read() as tx:
        (task,) = tasks.of_device(tx, the_device(database).device.id)
    assert task.state is TaskState.OPEN
    assert task.opened_at == NOW + 2 * MINUTE


def test_a_change_is_propagated_once_where_somebody_let_the_device_in(database):
    a_deployment(database, None, a_client("wiki"))
    signed_in(database, "wiki")
    before = _counted(database, _JOBS)

    ingest(database, a_risky("evt-1"))
    ingest(database, a_risky("evt-2", NOW + MINUTE), now=NOW + MINUTE)

    assert _counted(database, _JOBS) == before + 1


def test_a_change_of_a_device_that_nobody_let_in_needs_no_propagation(database):
    ingest(database, a_risky())

    assert _counted(database, _JOBS) == 0
