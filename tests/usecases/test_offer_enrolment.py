"""Enrolment tokens, shut sources, a device's story, as administrators make and read them."""

from datetime import timedelta

import pytest

from pdp.domain.errors import Conflict, NotFound
from pdp.domain.events import Action
from pdp.domain.ids import SourceId, SubjectId
from pdp.jose.device_enrolment import token_digest
from pdp.store import audit_trail, device_keys, subjects
from pdp.store.period import Period
from pdp.usecases.administer_device import block_device
from pdp.usecases.device_history import device_history
from pdp.usecases.offer_enrolment import offer_enrolment
from pdp.usecases.open_source import disable_source, enable_source
from tests.builders import NOW, SOURCE
from tests.deployment import RULES, a_deployment, a_risky, ingest, signed_in, the_device

MINUTE = timedelta(minutes=1)


@pytest.fixture
def runtime(database):
    """A deployment where Ada is signed in on a device."""
    runtime = a_deployment(database)
    signed_in(database)
    return runtime


def _offer(runtime, subject="usr_ada", device=None):
    with runtime.database.write() as tx:
        offer_enrolment(
            tx,
            subject,
            "token",
            device_id=device,
            expires_at=NOW + MINUTE,
            actor="cli:ada",
            now=NOW,
        )


def _consume(runtime, now):
    with runtime.database.write() as tx:
        return device_keys.consume_enrolment_token(tx, token_digest("token"), now=now)


def test_a_shut_account_is_offered_nothing(runtime):
    with runtime.database.write() as tx:
        subjects.disable(tx, SubjectId("usr_ada"), now=NOW)

    with pytest.raises(Conflict, match="ada is disabled: `pdp user enable ada`"):
        _offer(runtime)


def test_a_token_enrols_for_its_person_once(runtime):
    _offer(runtime)

    first, second = _consume(runtime, NOW), _consume(runtime, NOW)

    assert first is not None
    assert (first.subject, first.device, second) == ("usr_ada", None, None)
    with runtime.database.read() as tx:
        (event,) = audit_trail.recent(tx, kind="subject", object_id="usr_ada", count=1)
    assert event.action is Action.DEVICE_ENROLMENT_OFFERED
    assert "token" not in str(event.detail)


def test_a_token_ends(runtime):
    _offer(runtime)

    assert _consume(runtime, NOW + MINUTE) is None


@pytest.mark.parametrize(
    "wrong", [{"subject": "usr_nobody"}, {"device": "dev_none"}], ids=["person", "device"]
)
def test_nobody_and_nothing_are_not_offered(runtime, wrong):
    with pytest.raises(NotFound):
        _offer(runtime, **wrong)


def test_a_source_is_shut_and_opened_once_each(runtime):
    with runtime.database.write() as tx:
        arguments = (tx, runtime.envelope, SOURCE)
        changes = [
            disable_source(*arguments, actor="cli:ada", now=NOW),
            disable_source(*arguments, actor="cli:ada", now=NOW),
            enable_source(*arguments, actor="cli:ada", now=NOW),
            enable_source(*arguments, actor="cli:ada", now=NOW),
        ]

    assert changes == [True, False, True, False]
    with runtime.database.read() as tx:
        recorded = {event.action for event in audit_trail.recent(tx, kind="source")}
    assert recorded == {Action.SOURCE_DISABLED, Action.SOURCE_ENABLED}


def test_a_source_that_is_not_there_is_not_found(runtime):
    with runtime.database.write() as tx, pytest.raises(NotFound):
        disable_source(tx, runtime.envelope, SourceId("none"), actor="cli:ada", now=NOW)


def test_a_devices_story_has_what_was_said_and_done_the_newest_first(runtime):
    ingest(runtime.database, a_risky())
    device = the_device(runtime.database).device.id
    with runtime.database.write() as tx:
        block_device(tx, device, RULES, reason="stolen", actor="cli:ada", now=NOW + MINUTE)

    with runtime.database.read() as tx:
        story = device_history(tx, device)

    assert "device.blocked" in {story[0].what, story[1].what}
    assert "edr applied" in {moment.what for moment in story if moment.kind == "signal"}
    assert [moment.at for moment in story] == sorted((moment.at for moment in story), reverse=True)


def test_of_a_devices_story_only_a_while_is_told(runtime):
    ingest(runtime.database, a_risky())
    device = the_device(runtime.database).device.id
    with runtime.database.write() as tx:
        block_device(tx, device, RULES, reason="stolen", actor="cli:ada", now=NOW + MINUTE)

    with runtime.database.read() as tx:
        before = device_history(tx, device, period=Period(until=NOW + MINUTE))
        after = device_history(tx, device, period=Period(since=NOW + MINUTE))

    assert {moment.kind for moment in before} == {"signal", "event"}
    assert "device.blocked" not in {moment.what for moment in before}
    assert {moment.what for moment in after} == {"device.blocked", "device.compliance.changed"}
