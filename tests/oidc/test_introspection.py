"""Introspection, revocation and UserInfo: today's answer, and nothing to learn from a no."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from pdp.domain.access import Channel
from pdp.domain.ids import DecisionId
from pdp.domain.signal import RiskLevel
from pdp.oidc import endpoints
from pdp.oidc.request import Call
from pdp.oidc.server import Server
from pdp.store import decisions, exposures
from pdp.store.decision_log import GRACE, DecisionLog
from pdp.store.documents import DocumentKind
from pdp.usecases.publish_document import publish
from tests.builders import NOW
from tests.deployment import a_calm, a_risky, a_signal, ingest
from tests.oidc.world import API, World
from tests.store.test_decision_log import RENAME, RENAME_BACK, Watch, say


def test_a_live_token_is_active_and_tells_its_device(world: World):
    issued = world.tokens()

    told = world.introspect(issued["access_token"])

    assert told["active"] is True
    assert told["sub"] == world.ada.subject
    assert told["device_id"] == world.ada.device
    assert told["device_compliance"] == "compliant"
    assert "gid" not in told


def test_the_api_that_a_token_is_for_may_ask_and_another_client_may_not(world: World):
    issued = world.tokens()

    assert world.introspect(issued["access_token"], "api")["active"] is True
    assert world.introspect(issued["access_token"], "api")["aud"] == API
    assert world.introspect(issued["access_token"], "other") == {"active": False}


def test_a_token_goes_with_its_devices_health_and_comes_back_with_it(world: World):
    issued = world.tokens()

    ingest(world.database, a_risky("bad", NOW))
    while_risky = world.introspect(issued["access_token"])
    ingest(world.database, a_calm("good", NOW + timedelta(seconds=1)))

    assert while_risky == {"active": False}
    assert world.introspect(issued["access_token"])["active"] is True


@pytest.mark.parametrize(
    "token", ["", " ", "x", "a.b.c", "é", "\0", "x" * 20_000, "eyJhbGciOiJub25lIn0.e30."]
)
def test_anything_odd_is_inactive(world: World, token: str):
    answer = world.post(endpoints.introspect, "wiki", token=token or None)

    assert answer.body in ({"active": False}, {**answer.body, "error": "invalid_request"})
    assert answer.status in {200, 400}


def test_an_id_token_or_refresh_token_is_no_access_token(world: World):
    issued = world.tokens()

    assert world.introspect(issued["id_token"]) == {"active": False}
    assert world.userinfo(issued["id_token"]).status == 401
    assert world.userinfo(issued["refresh_token"]).status == 401
    assert world.refresh(issued["access_token"]).error == "invalid_grant"
    assert world.refresh(issued["id_token"]).error == "invalid_grant"
    assert world.redeem(issued["refresh_token"]).error == "invalid_grant"


def test_a_refresh_token_is_told_of_to_its_own_client_alone(world: World):
    issued = world.tokens()

    assert world.introspect(issued["refresh_token"])["active"] is True
    assert world.introspect(issued["refresh_token"], "other") == {"active": False}


def test_an_expired_token_is_inactive(world: World):
    issued = world.tokens()
    world.pass_time(seconds=300)

    assert world.introspect(issued["access_token"]) == {"active": False}
    assert world.userinfo(issued["access_token"]).status == 401


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_a_token_ends_its_whole_grant(world: World, which: str):
    issued = world.tokens()

    assert world.revoke(issued[which]).status == 200

    assert world.introspect(issued["access_token"]) == {"active": False}
    assert world.refresh(issued["refresh_token"]).error == "invalid_grant"


def test_a_machines_token_can_be_revoked_by_itself(world: World):
    one = str(world.machine_token().body["access_token"])
    other = str(world.machine_token().body["access_token"])

    world.revoke(one, "backup")

    assert world.introspect(one, "backup") == {"active": False}
    assert world.introspect(other, "backup")["active"] is True


def test_revoking_an_unknown_token_succeeds_and_a_foreign_one_does_not(world: World):
    issued = world.tokens()

    assert world.revoke("nothing").status == 200
    assert world.revoke(issued["access_token"], "other").error == "invalid_grant"
    assert world.revoke(issued["refresh_token"], "other").error == "invalid_grant"
    assert world.introspect(issued["access_token"])["active"] is True


def test_a_client_that_proves_nothing_may_not_introspect(world: World):
    issued = world.tokens()

    answer = world.post(endpoints.introspect, "native", token=issued["access_token"])

    assert (answer.status, answer.error) == (401, "invalid_client")


def test_userinfo_gives_the_claims_of_the_scope(world: World):
    whole = world.userinfo(world.tokens()["access_token"])
    less = world.userinfo(world.tokens(scope="openid")["access_token"])

    assert whole.body["sub"] == world.ada.subject
    assert whole.body["preferred_username"] == "ada"
    assert whole.body["email"] == "ada@example.org"
    assert less.body == {"sub": world.ada.subject}


def test_userinfo_is_for_tokens_with_the_openid_scope(world: World):
    answer = world.userinfo(world.tokens(scope="api.read")["access_token"])

    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_a_machines_token_has_no_person_to_tell_of(world: World):
    token = str(world.machine_token().body["access_token"])

    assert world.userinfo(token).status == 401


def test_a_decision_that_was_remembered_ends_when_it_said(world: World):
    """Nothing in the database moves: the policy's window opens, and that is all."""
    policies = """pratique: policies/v1
default: full
policies:
  - id: night
    when: {channel: [introspection], time_window: {from: "10:02", to: "23:00", zone: UTC}}
    outcome: block
"""
    token = world.tokens()["access_token"]
    with world.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, policies, file="t", actor="root", now=NOW)
    for _ in range(2):
        assert world.introspect(token)["active"] is True

    world.pass_time(minutes=3)

    assert world.introspect(token) == {"active": False}


def test_nothing_is_allowed_that_cannot_be_recorded(world: World):
    watch, token = Watch(), world.tokens()["access_token"]
    log = DecisionLog(world.database, monotonic=watch)
    world.runtime = replace(world.runtime, decision_log=log)
    world.server = Server(world.runtime)
    world.at_once = None
    say(world.database, RENAME)
    # Its record waits, and may: it is young.
    assert world.introspect(token)["active"] is True

    watch.seconds += GRACE.total_seconds() + 1
    asked = world.post(endpoints.introspect, "wiki", token=token), world.userinfo(token)
    assert {(answer.status, answer.headers["Retry-After"]) for answer in asked} == {(503, "5")}
    assert all(answer.error == "temporarily_unavailable" for answer in asked)

    say(world.database, RENAME_BACK)
    log.flush()
    assert world.introspect(token)["active"] is True
    log.close()


def test_checks_are_recorded_within_a_second_and_equal_ones_counted_on_one_row(world: World):
    # Every check once.
    world.at_once = None
    issued = world.tokens()
    for _ in range(5):
        world.introspect(issued["access_token"])
    ingest(world.database, a_risky("bad", NOW))
    world.introspect(issued["access_token"])
    world.runtime.decision_log.close()

    with world.database.read() as tx:
        recorded = [
            decision
            for decision in decisions.recent(tx, subject_id=world.ada.subject)
            if decision.facts.channel is Channel.INTROSPECTION
        ]

    assert {(each.outcome.wire, each.repeats) for each in recorded} == {
        ("full", 5),
        ("remediate", 1),
    }


def test_the_first_denied_check_ends_the_exposure_at_its_own_instant(world: World):
    token = world.tokens()["access_token"]
    ingest(world.database, a_risky("bad", NOW))
    world.pass_time(seconds=1)
    denied_at = world.clock()

    assert world.introspect(token) == {"active": False}
    world.pass_time(seconds=5)
    world.runtime.decision_log.close()

    with world.database.read() as tx:
        (window,) = exposures.of_device(tx, world.ada.device)
    assert (window.client, window.denied_at) == ("wiki", denied_at)


def test_a_refused_refresh_ends_the_exposure_in_its_own_transaction(world: World):
    refresh_token = world.tokens()["refresh_token"]
    ingest(world.database, a_risky("bad", NOW))
    world.pass_time(seconds=1)

    assert world.refresh(refresh_token).status == 400

    with world.database.read() as tx:
        (window,) = exposures.of_device(tx, world.ada.device)
    assert window.denied_at == world.clock()


def test_a_check_that_lets_a_worse_device_through_is_no_denial(world: World):
    token = world.tokens()["access_token"]
    ingest(world.database, a_signal("medium", NOW, risk=RiskLevel.MEDIUM))

    assert world.introspect(token)["active"] is True
    world.runtime.decision_log.close()

    with world.database.read() as tx:
        assert [each.denied_at for each in exposures.of_device(tx, world.ada.device)] == [None]


def test_a_recorded_decision_tells_the_facts_that_it_saw(world: World):
    world.tokens()

    with world.database.read() as tx:
        (first, *_) = decisions.recent(tx, client_id="wiki")
        again = decisions.find(tx, DecisionId(first.id))

    assert again.facts == first.facts
    assert again.facts.device is not None
    assert again.facts.device.id == world.ada.device
    assert again.facts.scopes >= {"openid", "api.read"}


def test_a_form_of_another_type_is_refused(world: World):
    call = Call(
        body=b'{"token": "x"}',
        content_type="application/json",
        authorization="Basic " + base64.b64encode(b"wiki:x").decode(),
        address=None,
    )

    assert endpoints.introspect(world.server, call).status == 400
