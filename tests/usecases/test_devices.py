"""Enrolment makes a device somebody's, once; an administrator's word stands above its readings."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from pdp.domain.access import Strength
from pdp.domain.compliance import Compliance
from pdp.domain.errors import Conflict, InvalidTransition, NotFound
from pdp.domain.ids import DeviceId, SubjectId
from pdp.domain.signal import ACTIVE_THREAT, DeviceName, NameKind
from pdp.store import device_keys, devices, subjects
from pdp.store.database import Database, Statement
from pdp.store.standings import standing_of_subject
from pdp.usecases.administer_device import (
    block_device,
    override_device,
    share_device,
    unblock_device,
)
from pdp.usecases.enrol_device import Credential, Enrolled, EnrolmentRefused, enrol_device
from pdp.usecases.gather_facts import device_facts
from pdp.usecases.reassess_device import assessment_at
from tests.builders import NOW, a_subject
from tests.deployment import RULES, SERIAL, a_calm, a_risky, a_signal, ingest, the_device

JWK = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
HOUR = timedelta(hours=1)
_ACTIONS = Statement("SELECT action FROM audit_events WHERE object_id = :id ORDER BY at, action")


@pytest.fixture
def people(database):
    """Ada and Grace have accounts."""
    with database.write() as tx:
        for name in ("ada", "grace"):
            subjects.create(tx, a_subject(id=f"usr_{name}", username=name), password_hash="-")
    return database


def _offer(database, token="token", person="ada", device=None):
    with database.write() as tx:
        device_keys.create_enrolment_token(
            tx,
            token,
            a_subject(id=f"usr_{person}").id,
            device_id=device,
            now=NOW,
            expires_at=NOW + timedelta(minutes=15),
        )


def _enrol(database, token="token", key="key", now=NOW, **told):
    credential = Credential(method="device_assertion", key=key, jwk=JWK)
    with database.write() as tx:
        return enrol_device(tx, token, credential, RULES, now=now, **told)


def _actions(database, object_id):
    with database.read() as tx:
        return [row[0] for row in tx.all(_ACTIONS, {"id": object_id})]


def test_an_enrolled_key_identifies_the_persons_device(people):
    _offer(people)
    enrolled = _enrol(people)

    with people.read() as tx:
        found = device_keys.find_key(tx, "key", method="device_assertion")
    assert isinstance(enrolled, Enrolled)
    assert found is not None
    assert (found.device, found.jwk) == (enrolled.device, JWK)
    assert the_device(people).device.owner == "usr_ada"
    assert the_device(people).assessment.status is Compliance.UNKNOWN
    assert "device.enrolled" in _actions(people, enrolled.device)


def test_a_key_says_nothing_under_another_method(people):
    _offer(people)
    _enrol(people)

    with people.read() as tx:
        assert device_keys.find_key(tx, "key", method="device_cookie") is None


@pytest.mark.parametrize(
    ("token", "now"),
    [("other", NOW), ("token", NOW + timedelta(minutes=15))],
    ids=["no-such-token", "expired"],
)
def test_a_token_that_is_not_good_enrols_nothing(people, token, now):
    _offer(people)

    assert _enrol(people, token, now=now) is EnrolmentRefused.TOKEN_NOT_GOOD
    with people.read() as tx:
        assert devices.list_devices(tx) == []


def test_a_token_used_by_many_at_once_enrols_one_device(database_url, people):
    _offer(people)
    database = Database.open(database_url, busy_timeout=timedelta(seconds=60))
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: _enrol(database, key=f"key-{n}"), range(16)))
    database.close()

    assert sum(isinstance(result, Enrolled) for result in results) == 1
    the_device(people)


def test_a_key_that_was_enrolled_before_leaves_the_token_unused(people):
    for token in ("one", "two"):
        _offer(people, token)
    _enrol(people, "one")

    with pytest.raises(Conflict):
        _enrol(people, "two")

    assert isinstance(_enrol(people, "two", key="another"), Enrolled)


def test_a_record_made_by_a_signal_becomes_the_persons_with_its_history(people):
    ingest(people, a_risky())
    record = the_device(people).device.id
    _offer(people, device=record)

    assert _enrol(people) == Enrolled(device=record, owner=SubjectId("usr_ada"))
    stored = the_device(people)
    assert stored.device.owner == "usr_ada"
    assert stored.assessment.status is Compliance.NOT_COMPLIANT


def test_what_a_device_tells_of_itself_fills_in_what_nobody_said(people):
    ingest(people, a_risky())
    _offer(people, device=the_device(people).device.id)
    _enrol(people, display_name="Ada's laptop", platform="linux")

    found = the_device(people).device
    assert (found.display_name, found.platform) == ("Ada's laptop", "linux")


def test_what_a_device_tells_of_itself_never_overrules_what_is_known(people):
    ingest(people, a_risky(platform="macos"))
    record = the_device(people).device.id
    for token, name in (("token", "Ada's laptop"), ("again", "Another name")):
        _offer(people, token, device=record)
        _enrol(people, token, key=token, display_name=name, platform="linux")

    found = the_device(people).device
    assert (found.display_name, found.platform) == ("Ada's laptop", "macos")


def test_records_that_are_nobodys_are_found_until_they_are_enrolled(people):
    ingest(people, a_risky())
    with people.read() as tx:
        (found,) = devices.list_unowned(tx, count=5)
    _offer(people, device=found.device.id)
    _enrol(people)

    with people.read() as tx:
        assert devices.list_unowned(tx, count=5) == []


def test_an_enrolled_device_hears_of_its_serial_number_once_a_signal_names_both(people):
    _offer(people)
    device = _enrol(people).device
    both = (DeviceName.of(NameKind.ID, device), SERIAL)

    ingest(people, a_calm(device=both))
    ingest(people, a_risky(at=NOW + HOUR), now=NOW + HOUR)

    assert the_device(people).device.id == device
    assert the_device(people).assessment.status is Compliance.NOT_COMPLIANT


def test_a_device_of_somebody_else_is_not_taken_over(people):
    _offer(people)
    ours = _enrol(people).device
    _offer(people, "theirs", person="grace", device=ours)

    assert _enrol(people, "theirs", key="another") is EnrolmentRefused.DEVICE_NOT_THEIRS
    assert the_device(people).device.owner == "usr_ada"


def test_revoked_keys_identify_nothing_and_cannot_be_enrolled_again(people):
    _offer(people)
    device = _enrol(people).device
    with people.write() as tx:
        assert device_keys.revoke_keys(tx, device, now=NOW) == 1
        assert device_keys.find_key(tx, "key", method="device_assertion") is None
    _offer(people, "again")

    with pytest.raises(Conflict):
        _enrol(people, "again")


# An administrator's word


def _block(database, device, now=NOW):
    with database.write() as tx:
        return block_device(tx, device, RULES, reason="stolen", actor="op", now=now)


def _override(database, device, until=NOW + HOUR):
    with database.write() as tx:
        return override_device(
            tx, device, RULES, until=until, reason="travels", actor="op", now=NOW
        )


def test_a_block_stands_above_healthy_readings_until_it_is_lifted(database):
    ingest(database, a_calm())
    device = the_device(database).device.id
    blocked = _block(database, device)
    with database.write() as tx:
        lifted = unblock_device(tx, device, RULES, reason="found", actor="op", now=NOW)

    assert blocked.status is Compliance.NOT_COMPLIANT
    assert lifted.status is Compliance.COMPLIANT
    assert {"device.blocked", "device.unblocked"} <= set(_actions(database, device))


def test_an_override_counts_until_it_ends_and_not_against_an_active_threat(database):
    ingest(database, a_signal(compliant=False))
    device = the_device(database).device.id

    assert _override(database, device).status is Compliance.COMPLIANT
    stored = the_device(database)
    assert assessment_at(stored, RULES, NOW + HOUR).status is Compliance.NOT_COMPLIANT

    threat = a_risky("evt-2", NOW + timedelta(seconds=1), category=ACTIVE_THREAT)
    ingest(database, threat)
    assert the_device(database).assessment.status is Compliance.NOT_COMPLIANT


def test_a_shared_device_is_everybody_s_until_it_is_not(people):
    database = people
    ingest(database, a_calm())
    device = the_device(database).device.id

    def share(*, shared: bool) -> None:
        with database.write() as tx:
            share_device(tx, device, RULES, shared=shared, actor="op", now=NOW)

    def is_known_to_a_stranger() -> bool:
        with database.read() as tx:
            standing = standing_of_subject(tx, SubjectId("usr_grace"), device)
            assert standing is not None
            facts = device_facts(
                tx, standing.device, standing.subject, Strength.STRONG, rules=RULES, now=NOW
            )
        return facts.id == device

    assert not is_known_to_a_stranger()
    share(shared=True)
    assert is_known_to_a_stranger()
    with pytest.raises(InvalidTransition, match="already shared"):
        share(shared=True)
    share(shared=False)
    assert not is_known_to_a_stranger()
    with pytest.raises(InvalidTransition, match="is not shared"):
        share(shared=False)
    assert {"device.shared", "device.unshared"} <= set(_actions(database, device))


def test_what_makes_no_sense_is_refused(database):
    ingest(database, a_calm())
    device = the_device(database).device.id
    _block(database, device)

    with pytest.raises(InvalidTransition):
        _block(database, device)
    with pytest.raises(InvalidTransition):
        _override(database, device, until=NOW)
    with pytest.raises(NotFound):
        _block(database, DeviceId("dev_none"))


def test_a_stored_assessment_is_taken_as_it_is_while_it_stands(database):
    ingest(database, a_calm())
    stored = the_device(database)

    assert assessment_at(stored, RULES, NOW) is stored.assessment
