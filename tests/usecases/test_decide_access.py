"""A decision on a grant is only taken while something may hang on it."""

from datetime import timedelta

import pytest

from pdp.domain.access import Channel, Outcome
from pdp.domain.ids import ClientId, GrantId
from pdp.domain.session import EndReason
from pdp.store import clients, grants, subjects
from pdp.store.standings import held_grant
from pdp.usecases.decide_access import judge_held
from tests.builders import NOW
from tests.deployment import a_client, a_deployment, signed_in

_ENDS = NOW + timedelta(minutes=1)
_TICK = timedelta(microseconds=1)


@pytest.fixture
def runtime(database):
    """A deployment with one relying party."""
    return a_deployment(database, None, a_client("wiki"))


@pytest.fixture
def ada(runtime):
    """Ada, who gave the wiki something that ends in a minute."""
    ada = signed_in(runtime.database, "wiki")
    with runtime.database.write() as tx:
        grants.narrow(tx, ada.grants[0], _ENDS)
    return ada


def _decide(runtime, grant_id, now=NOW):
    with runtime.database.write() as tx:
        configuration = runtime.configurations.current(tx)
        held = held_grant(tx, grant_id)
        judged = judge_held(tx, held, Channel.SESSION, configuration, now=now)
        return None if judged is None else judged.decision


def test_a_live_grant_is_decided_on_until_its_last_instant(runtime, ada):
    decision = _decide(runtime, ada.grants[0], _ENDS - _TICK)

    assert decision is not None
    assert decision.outcome is Outcome.FULL


def test_nothing_hangs_on_a_grant_from_the_instant_it_is_over(runtime, ada):
    assert _decide(runtime, ada.grants[0], _ENDS) is None


def test_nothing_hangs_on_a_grant_that_nobody_gave(runtime, ada):
    assert _decide(runtime, GrantId(f"{ada.grants[0]}x")) is None


def _revoke(tx, ada):
    grants.revoke_grant(tx, ada.grants[0], EndReason.REVOKED, NOW)


def _disable_person(tx, ada):
    subjects.disable(tx, ada.subject, now=NOW)


def _disable_client(tx, _ada):
    clients.set_disabled(tx, ClientId("wiki"), NOW)


@pytest.mark.parametrize(
    "change",
    [_revoke, _disable_person, _disable_client],
    ids=["it is revoked", "its person is shut out", "its client is shut out"],
)
def test_nothing_hangs_on_a_grant_once(runtime, ada, change):
    with runtime.database.write() as tx:
        change(tx, ada)

    assert _decide(runtime, ada.grants[0]) is None
