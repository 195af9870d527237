"""The PA: a device that turns bad ends what runs on it, once, and nothing else."""

from datetime import timedelta

import pytest

from pdp.domain.access import Channel, Outcome, Strength
from pdp.domain.ids import ClientId
from pdp.domain.session import EndReason
from pdp.domain.signal import DeviceName, NameKind
from pdp.store import exposures, grants, jobs, sessions
from pdp.store.database import Statement
from pdp.store.documents import DocumentKind
from pdp.store.standings import held_grant, live_on_device
from pdp.usecases.administer_device import block_device, unblock_device
from pdp.usecases.decide_access import judge_held, record
from pdp.usecases.follow_ups import DeliverLogout, PropagateChange
from pdp.usecases.propagate_change import propagate_change
from pdp.usecases.publish_document import publish
from tests.builders import NOW, a_session
from tests.deployment import (
    RULES,
    a_calm,
    a_client,
    a_deployment,
    a_grant,
    a_risky,
    ingest,
    signed_in,
)

LOGOUT = "https://rp.example/backchannel"
#: Policies under which a risky device is not mended but shut out.
RISK_BLOCKS = """\
pratique: policies/v1
default: block
policies:
  - {id: everybody, outcome: full}
  - {id: risky, outcome: block, when: {device_risk: {in: [high], on_missing: false}}}
"""
RISK_RESTRICTS = RISK_BLOCKS.replace(
    "outcome: block, when",
    "outcome: restricted,"
    " restrict: {scopes: [openid], token_lifetime: 5m, session_lifetime: 1h}, when",
)
WIKI = ClientId("wiki")
MINUTE = timedelta(minutes=1)
HALF = timedelta(seconds=30)
_GRANT = Statement("SELECT revoked_at, revoke_reason FROM grants WHERE id = :id")


@pytest.fixture
def runtime(database):
    """A deployment with two relying parties that take logouts, and one that does not."""
    return a_deployment(
        database,
        None,
        a_client("wiki", backchannel_logout_uri=LOGOUT),
        a_client("mail", backchannel_logout_uri=LOGOUT),
        a_client("chat"),
    )


def _claimed_for_others(tx, now):
    due = jobs.receivers_due(tx, now=now)
    return [job for each in due for job in jobs.claim(tx, now=now, receiver=each, count=100)]


def _propagate(runtime, now=NOW):
    """Carry out every change that waits; return the logouts that it queued."""
    with runtime.database.write() as tx:
        configuration = runtime.configurations.current(tx)
        claimed = jobs.claim(tx, now=now, count=100)
        for job in claimed:
            jobs.finish(tx, job.id)
            if job.type == PropagateChange.type:
                propagate_change(tx, PropagateChange.read(job.payload), configuration, now=now)
        queued = _claimed_for_others(tx, now)
        for job in queued:
            jobs.finish(tx, job.id)
    assert {job.type for job in queued} <= {DeliverLogout.type}
    return sorted(DeliverLogout.read(job.payload).receiver.client for job in queued)


def _revoked(runtime, grant_id):
    with runtime.database.read() as tx:
        return tx.one(_GRANT, {"id": grant_id})[0] is not None


def _session(runtime, session_id):
    with runtime.database.read() as tx:
        return sessions.get(tx, session_id)


def test_remediate_tells_the_relying_parties_and_keeps_our_session_and_grants(runtime):
    ada = signed_in(runtime.database, "wiki", "mail", "chat")
    _propagate(runtime)
    ingest(runtime.database, a_risky("evt-1"))

    assert _propagate(runtime) == ["mail", "wiki"]
    assert _session(runtime, ada.session).ended_at is None
    assert not any(_revoked(runtime, grant) for grant in ada.grants)


def test_a_grant_that_was_revoked_before_ends_nothing_more(runtime):
    ada = signed_in(runtime.database, "wiki", "chat")
    with runtime.database.write() as tx:
        grants.revoke_grant(tx, ada.grants[1], EndReason.REVOKED, NOW)
    _propagate(runtime)
    ingest(runtime.database, a_risky("evt-1"))

    assert _propagate(runtime) == ["wiki"]
    assert _session(runtime, ada.session).ended_at is None
    assert not _revoked(runtime, ada.grants[0])


def test_nobody_elses_session_is_touched(runtime):
    signed_in(runtime.database, "wiki")
    other = DeviceName(NameKind.SERIAL, "F5KP2")
    signed_in(runtime.database, "wiki", person="grace", names=(other,))
    _propagate(runtime)
    ingest(runtime.database, a_risky("evt-1", device=(other,)))

    assert _propagate(runtime) == ["wiki"]


def test_a_device_that_gets_worse_while_it_is_cut_off_tells_nobody_again(runtime):
    signed_in(runtime.database, "wiki")
    ingest(runtime.database, a_risky("evt-1"))
    assert _propagate(runtime) == ["wiki"]

    ingest(runtime.database, a_risky("evt-2", NOW + MINUTE, compliant=False))

    assert _propagate(runtime) == []


def test_a_device_that_heals_and_relapses_tells_them_again(runtime):
    signed_in(runtime.database, "wiki")
    told = []
    for number, signal in enumerate((a_risky, a_calm, a_risky)):
        ingest(runtime.database, signal(f"evt-{number}", NOW + number * MINUTE))
        told.append(_propagate(runtime))

    assert told == [["wiki"], [], ["wiki"]]


def test_a_healed_device_widens_again_without_an_act(runtime):
    ada = signed_in(runtime.database, "wiki")
    ingest(runtime.database, a_risky("evt-1"))
    _propagate(runtime)
    ingest(runtime.database, a_calm("evt-2", NOW + MINUTE))
    _propagate(runtime)

    with runtime.database.read() as tx:
        ((grant, _),) = live_on_device(tx, ada.device, now=NOW)
    assert grant.outcome is Outcome.FULL


def _block(runtime, device_id, now=NOW):
    with runtime.database.write() as tx:
        block_device(tx, device_id, RULES, reason="stolen", actor="op", now=now)


def test_a_blocked_device_loses_its_sessions_and_grants(runtime):
    """The default policies remediate here: an administrator's block is stronger than they are."""
    ada = signed_in(runtime.database, "wiki", "chat")
    _propagate(runtime)
    _block(runtime, ada.device)

    assert _propagate(runtime) == ["wiki"]
    ended = _session(runtime, ada.session)
    assert (ended.ended_at, ended.end_reason) == (NOW, EndReason.BLOCKED)
    assert all(_revoked(runtime, grant) for grant in ada.grants)


def test_a_block_by_policy_ends_our_own_session_and_all_that_it_gave(runtime):
    """Remediate would keep it (DECISIONS 11)."""
    ada = signed_in(runtime.database, "wiki", "chat")
    with runtime.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, RISK_BLOCKS, file="block", actor="op", now=NOW)
    _propagate(runtime)
    ingest(runtime.database, a_risky("evt-1"))

    assert _propagate(runtime) == ["wiki"]
    ended = _session(runtime, ada.session)
    assert (ended.ended_at, ended.end_reason) == (NOW, EndReason.BLOCKED)
    assert all(_revoked(runtime, grant) for grant in ada.grants)


def test_what_ends_with_the_session_of_another_grant_is_denied_too(runtime):
    """The policy shuts one client out: its session ends, and with it what others got there."""
    ada = signed_in(runtime.database, "chat", "wiki")
    only_chat = RISK_BLOCKS.replace("when: {", "when: {client: {in: [chat]}, ")
    with runtime.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, only_chat, file="block", actor="op", now=NOW)
    _propagate(runtime)
    ingest(runtime.database, a_risky("evt-1"))

    assert _propagate(runtime) == ["wiki"]
    assert all(_revoked(runtime, grant) for grant in ada.grants)
    denied = {window.client: window.denied_at for window in _windows(runtime, ada.device)}
    assert denied == {"chat": NOW, "wiki": NOW}


def test_a_session_without_grants_ends_with_the_block_of_its_device(runtime):
    ada = signed_in(runtime.database)
    _block(runtime, ada.device)
    _propagate(runtime)

    assert _session(runtime, ada.session).end_reason is EndReason.BLOCKED


def test_a_change_that_was_taken_back_before_it_was_propagated_ends_nothing(runtime):
    ada = signed_in(runtime.database, "wiki")
    _propagate(runtime)
    _block(runtime, ada.device)
    with runtime.database.write() as tx:
        unblock_device(tx, ada.device, RULES, reason="found", actor="op", now=NOW)

    assert _propagate(runtime) == []
    assert _session(runtime, ada.session).ended_at is None


def test_propagating_the_same_change_twice_tells_once(runtime):
    ada = signed_in(runtime.database, "wiki")
    ingest(runtime.database, a_risky("evt-1"))
    with runtime.database.write() as tx:
        configuration = runtime.configurations.current(tx)
        (change,) = [
            PropagateChange.read(job.payload)
            for job in jobs.claim(tx, now=NOW, count=9)
            if '"evt-1"' in repr(job.payload).replace("'", '"')
        ]
        propagate_change(tx, change, configuration, now=NOW)
        first = len(_claimed_for_others(tx, NOW))
        propagate_change(tx, change, configuration, now=NOW)
        second = len(_claimed_for_others(tx, NOW))

    assert (first, second) == (1, 0)
    assert change.device == ada.device


# Exposure windows


def _windows(runtime, device_id):
    with runtime.database.read() as tx:
        return exposures.of_device(tx, device_id)


def test_a_window_opens_with_the_commit_and_stays_where_access_is_denied(runtime):
    ada = signed_in(runtime.database, "wiki")
    _propagate(runtime)
    ingest(runtime.database, a_risky("evt-1", NOW - HALF), now=NOW)
    _propagate(runtime)

    # The calm of signing in was no news to anybody who let the device in.
    (window,) = _windows(runtime, ada.device)
    assert (window.origin.signal, window.client) == ("evt-1", "wiki")
    assert (window.origin.event_time, window.origin.committed_at) == (NOW - HALF, NOW)
    assert window.denied_at == NOW


def test_carrying_a_block_out_is_a_denial_that_is_noted(runtime):
    ada = signed_in(runtime.database, "wiki", "chat")
    _propagate(runtime)
    _block(runtime, ada.device)
    _propagate(runtime, NOW + MINUTE)

    windows = _windows(runtime, ada.device)
    assert {window.client: window.denied_at for window in windows} == {
        "wiki": NOW + MINUTE,
        "chat": NOW + MINUTE,
    }


def test_a_denial_before_the_change_was_carried_out_is_the_first(runtime):
    ada = signed_in(runtime.database, "wiki")
    _propagate(runtime)
    _block(runtime, ada.device)
    with runtime.database.write() as tx:
        exposures.note_denied(tx, ada.device, ada.session, WIKI, NOW + HALF)
    _propagate(runtime, NOW + MINUTE)

    assert _windows(runtime, ada.device)[0].denied_at == NOW + HALF


def test_the_earliest_denial_counts_in_whatever_order_they_are_noted(runtime):
    ada = signed_in(runtime.database, "wiki")
    ingest(runtime.database, a_risky("evt-1"))
    with runtime.database.write() as tx:
        for seconds in (3, 1, 2):
            exposures.note_denied(
                tx, ada.device, ada.session, WIKI, NOW + timedelta(seconds=seconds)
            )

    newest = _windows(runtime, ada.device)[0]
    assert newest.denied_at == NOW + timedelta(seconds=1)


def test_a_denial_before_the_change_is_not_its_doing(runtime):
    ada = signed_in(runtime.database, "wiki")
    ingest(runtime.database, a_risky("evt-1"))
    with runtime.database.write() as tx:
        exposures.note_denied(tx, ada.device, ada.session, WIKI, NOW - MINUTE)

    assert _windows(runtime, ada.device)[0].denied_at is None


def test_a_denied_check_is_felt_by_its_own_sign_in_and_client_alone(runtime):
    ada = signed_in(runtime.database, "wiki", "chat")
    with runtime.database.write() as tx:
        other = a_session(
            id="ses_other", subject=ada.subject, device=ada.device, strength=Strength.STRONG
        )
        sessions.create(tx, other, cookie="cookie of the other browser")
        a_grant(tx, other.id, ada.subject, ada.device, "wiki")
    _propagate(runtime)
    ingest(runtime.database, a_risky("evt-1"))

    with runtime.database.write() as tx:
        configuration = runtime.configurations.current(tx)
        held = held_grant(tx, ada.grants[0])
        judged = judge_held(tx, held, Channel.REFRESH, configuration, now=NOW + HALF)
        assert judged is not None
        record(tx, judged)

    newest = [each for each in _windows(runtime, ada.device) if each.origin.signal == "evt-1"]
    assert {(each.session, each.client): each.denied_at for each in newest} == {
        (ada.session, "wiki"): NOW + HALF,
        (ada.session, "chat"): None,
        ("ses_other", "wiki"): None,
    }


def test_a_change_that_only_restricts_leaves_no_window(runtime):
    """What is restricted goes on: nothing was to be denied, and nothing was late."""
    ada = signed_in(runtime.database, "wiki")
    with runtime.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, RISK_RESTRICTS, file="p", actor="t", now=NOW)
    ingest(runtime.database, a_risky("evt-1"))
    assert "evt-1" in {window.origin.signal for window in _windows(runtime, ada.device)}

    _propagate(runtime)

    assert _windows(runtime, ada.device) == []


def test_a_change_for_the_better_leaves_no_window(runtime):
    ada = signed_in(runtime.database, "wiki")
    ingest(runtime.database, a_risky("evt-1"))
    ingest(runtime.database, a_calm("evt-2", NOW + MINUTE), now=NOW + MINUTE)
    _propagate(runtime, NOW + MINUTE)

    assert [window.origin.signal for window in _windows(runtime, ada.device)] == []
