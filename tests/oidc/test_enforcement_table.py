"""The table of PRODUCT.md, a test for each cell: five outcomes on six channels (DECISIONS 9-12).

High risk of Bob's device means one outcome, by policy; low risk means full. Everything goes
through the application's HTTP, and on both databases.
"""

from collections.abc import Iterator

import pytest

from pdp.domain.access import Outcome
from pdp.store.database import Database
from tests.builders import FrozenClock
from tests.oidc.enforcement import (
    CEILING,
    NOTHING_LEFT,
    RESTRICTED_SESSION,
    RESTRICTED_TOKEN,
    SCOPE,
    SHOP,
    Enforced,
    a_factor,
    enforcement,
    risk_means,
)
from tests.web.browser import ISSUER


@pytest.fixture
def bob(database: Database, clock: FrozenClock) -> Iterator[Enforced]:
    """Bob on his device, the application, and the shop."""
    with enforcement(database, clock) as enforced:
        yield enforced


def risky(bob: Enforced, outcome: Outcome) -> Enforced:
    """Let Bob's device be risky under policies by which that means `outcome`."""
    bob.policies_say(risk_means(outcome))
    bob.device_turns_risky()
    return bob


def risky_with_code(bob: Enforced, outcome: Outcome) -> Enforced:
    """Let the device turn risky between the sign-in and the exchange of its code."""
    bob.policies_say(risk_means(outcome))
    bob.signs_in()
    bob.device_turns_risky()
    return bob


def risky_with_tokens(bob: Enforced, outcome: Outcome) -> Enforced:
    """Let the device turn risky while the shop holds tokens."""
    bob.policies_say(risk_means(outcome))
    bob.signs_in_and_redeems()
    bob.device_turns_risky()
    return bob


# Sign-in


def test_sign_in_when_the_policy_says_full_gives_a_code(bob: Enforced):
    answer = risky(bob, Outcome.FULL).visits().answer

    assert "code" in answer
    assert answer["iss"] == ISSUER


def test_sign_in_when_the_policy_says_restricted_gives_a_code(bob: Enforced):
    assert "code" in risky(bob, Outcome.RESTRICTED).visits().answer


def test_sign_in_when_the_policy_says_step_up_asks_for_the_factor_and_goes_on(bob: Enforced):
    app = a_factor(bob)
    page = risky(bob, Outcome.STEP_UP).visits()

    assert page.path.startswith("/factor/")
    assert "code" not in page.answer
    code = app.at(int(bob.world.clock().timestamp()))
    assert "code" in bob.browser.submit(page, code=code).answer


def test_sign_in_when_the_policy_says_step_up_never_lets_enrolment_pass_for_a_factor(
    bob: Enforced,
):
    page = risky(bob, Outcome.STEP_UP).visits()

    assert page.path.startswith("/factor/")
    assert not any("code" in form.values for form in page.forms)


def test_sign_in_when_the_policy_says_remediate_parks_and_goes_on_once_healed(bob: Enforced):
    page = risky(bob, Outcome.REMEDIATE).visits()
    assert page.path.startswith("/remediation/")
    assert '"waiting"' in bob.browser.get(f"{page.path}/status").text

    bob.device_heals()

    assert '"continue"' in bob.browser.get(f"{page.path}/status").text
    assert "code" in bob.browser.get(page.path).answer


def test_sign_in_when_the_policy_says_block_is_denied_and_ends_our_session(bob: Enforced):
    answer = risky(bob, Outcome.BLOCK).visits().answer

    assert answer["error"] == "access_denied"
    assert answer["iss"] == ISSUER
    assert not bob.is_signed_in()


def test_sign_in_when_nothing_is_left_of_the_scopes_is_denied(bob: Enforced):
    bob.policies_say(NOTHING_LEFT)
    bob.device_turns_risky()

    assert bob.visits().answer["error"] == "access_denied"


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome.STEP_UP, "interaction_required"),
        (Outcome.REMEDIATE, "interaction_required"),
        (Outcome.BLOCK, "access_denied"),
    ],
    ids=lambda value: getattr(value, "wire", value),
)
def test_sign_in_without_a_page_is_told_why_it_needs_one(
    bob: Enforced, outcome: Outcome, error: str
):
    bob.policies_say(risk_means(outcome))
    bob.signs_in()
    bob.device_turns_risky()
    if outcome is Outcome.BLOCK:
        # The worker has ended the session: nobody is there to be blocked any more.
        error = "login_required"

    assert bob.visits(prompt="none").answer["error"] == error


def test_sign_in_without_a_page_is_denied_when_the_worker_has_not_ended_the_session_yet(
    bob: Enforced,
):
    bob.policies_say(risk_means(Outcome.BLOCK))
    bob.signs_in()
    bob.source_says_risky()

    assert bob.visits(prompt="none").answer["error"] == "access_denied"
    assert not bob.is_signed_in()


# Code exchange


def test_exchange_when_the_policy_says_full_gives_tokens_as_asked(bob: Enforced):
    answer = risky_with_code(bob, Outcome.FULL).redeem()

    assert answer.status == 200
    assert answer.body["scope"] == SCOPE
    assert answer.body["expires_in"] == 300


def test_exchange_when_the_policy_says_restricted_cuts_scope_and_life(bob: Enforced):
    answer = risky_with_code(bob, Outcome.RESTRICTED).redeem()

    assert answer.status == 200
    assert str(answer.body["scope"]).split() == list(CEILING)
    assert answer.body["expires_in"] == RESTRICTED_TOKEN.total_seconds()
    assert "refresh_token" in answer.body


def test_exchange_when_the_policy_says_restricted_tells_the_shop_so(bob: Enforced):
    bob.policies_say(risk_means(Outcome.RESTRICTED))
    bob.device_turns_risky()
    bob.signs_in_and_redeems()

    told = bob.id_token()

    ends = bob.world.clock() + RESTRICTED_SESSION
    assert told["session_restrictions"] == ["read-only"]
    assert told["session_expiry"] == int(ends.timestamp())
    assert told["acr"] == "pwd"


@pytest.mark.parametrize("outcome", [Outcome.STEP_UP, Outcome.REMEDIATE], ids=lambda o: o.wire)
def test_exchange_when_the_policy_asks_for_more_first_is_refused_and_says_where(
    bob: Enforced, outcome: Outcome
):
    answer = risky_with_code(bob, outcome).redeem()

    assert (answer.status, answer.error) == (400, "invalid_grant")
    assert answer.body["error_uri"] == f"{ISSUER}/access/{outcome.wire}"


@pytest.mark.parametrize(
    "outcome", [Outcome.STEP_UP, Outcome.REMEDIATE, Outcome.BLOCK], ids=lambda o: o.wire
)
def test_exchange_that_was_refused_has_used_the_code_up(bob: Enforced, outcome: Outcome):
    risky_with_code(bob, outcome).redeem()

    bob.device_heals()

    assert bob.redeem().error == "invalid_grant"


def test_exchange_when_the_policy_says_block_is_refused(bob: Enforced):
    answer = risky_with_code(bob, Outcome.BLOCK).redeem()

    assert (answer.status, answer.error) == (400, "invalid_grant")


def test_exchange_when_nothing_is_left_of_the_scopes_is_invalid_scope(bob: Enforced):
    bob.policies_say(NOTHING_LEFT)
    bob.signs_in()
    # Before the worker has blocked what the policies leave nothing of.
    bob.source_says_risky()

    assert bob.redeem().error == "invalid_scope"


# Refresh


def test_refresh_when_the_policy_says_full_gives_all_that_was_granted(bob: Enforced):
    answer = risky_with_tokens(bob, Outcome.FULL).refresh()

    assert answer.status == 200
    assert answer.body["scope"] == SCOPE


def test_refresh_when_the_policy_says_restricted_cuts_scope_and_life(bob: Enforced):
    answer = risky_with_tokens(bob, Outcome.RESTRICTED).refresh()

    assert str(answer.body["scope"]).split() == list(CEILING)
    assert answer.body["expires_in"] == RESTRICTED_TOKEN.total_seconds()
    assert bob.id_token()["session_restrictions"] == ["read-only"]
    assert bob.id_token()["acr"] == "pwd"


def test_refresh_when_the_policy_said_restricted_widens_again_after_healing(bob: Enforced):
    risky_with_tokens(bob, Outcome.RESTRICTED).refresh()

    bob.device_heals()

    assert bob.refresh().body["scope"] == SCOPE
    assert "session_restrictions" not in bob.id_token()


def test_refresh_when_the_policy_says_restricted_ends_the_family_with_the_session(bob: Enforced):
    risky_with_tokens(bob, Outcome.RESTRICTED).refresh()

    bob.world.pass_time(seconds=RESTRICTED_SESSION.total_seconds())

    assert bob.refresh().error == "invalid_grant"


def test_refresh_when_the_policy_says_step_up_is_refused_and_the_token_stays_usable(
    bob: Enforced,
):
    answer = risky_with_tokens(bob, Outcome.STEP_UP).refresh()

    assert (answer.status, answer.error) == (400, "invalid_grant")
    assert answer.body["error_uri"] == f"{ISSUER}/access/step-up"
    bob.device_heals()
    assert bob.refresh().status == 200


def test_refresh_when_the_policy_says_remediate_is_refused_and_the_token_stays_usable(
    bob: Enforced,
):
    answer = risky_with_tokens(bob, Outcome.REMEDIATE).refresh()

    assert (answer.status, answer.error) == (400, "invalid_grant")
    assert answer.body["error_uri"] == f"{ISSUER}/access/remediate"
    bob.device_heals()
    assert bob.refresh().status == 200


def test_refresh_when_the_policy_says_block_is_refused_and_the_family_is_revoked(bob: Enforced):
    answer = risky_with_tokens(bob, Outcome.BLOCK).refresh()

    assert (answer.status, answer.error) == (400, "invalid_grant")
    bob.device_heals()
    assert bob.refresh().error == "invalid_grant"


def test_refresh_when_the_policy_says_block_revokes_the_family_before_the_worker_does(
    bob: Enforced,
):
    bob.policies_say(risk_means(Outcome.BLOCK))
    bob.signs_in_and_redeems()
    bob.source_says_risky()

    assert bob.refresh().body["error_uri"] == f"{ISSUER}/access/block"
    bob.policies_say(risk_means(Outcome.FULL))
    assert bob.refresh().error == "invalid_grant"
    assert bob.introspect() == {"active": False}


def test_refresh_when_nothing_is_left_of_the_scopes_is_invalid_scope(bob: Enforced):
    bob.policies_say(NOTHING_LEFT)
    bob.signs_in_and_redeems()
    bob.source_says_risky()

    assert bob.refresh().error == "invalid_scope"


# Introspection


def test_introspection_when_the_policy_says_full_is_active_with_the_tokens_scope(bob: Enforced):
    answer = risky_with_tokens(bob, Outcome.FULL).introspect()

    assert answer["active"] is True
    assert answer["scope"] == SCOPE
    assert "session_restrictions" not in answer


def test_introspection_when_the_policy_says_restricted_is_active_with_the_scope_cut(
    bob: Enforced,
):
    answer = risky_with_tokens(bob, Outcome.RESTRICTED).introspect()

    assert answer["active"] is True
    assert str(answer["scope"]).split() == list(CEILING)
    assert answer["session_restrictions"] == ["read-only"]


@pytest.mark.parametrize(
    "outcome", [Outcome.STEP_UP, Outcome.REMEDIATE, Outcome.BLOCK], ids=lambda o: o.wire
)
def test_introspection_when_the_policy_says_anything_else_is_inactive_and_says_no_more(
    bob: Enforced, outcome: Outcome
):
    assert risky_with_tokens(bob, outcome).introspect() == {"active": False}


@pytest.mark.parametrize(
    ("outcome", "active"),
    [(Outcome.STEP_UP, True), (Outcome.REMEDIATE, True), (Outcome.BLOCK, False)],
    ids=lambda value: getattr(value, "wire", value),
)
def test_introspection_after_healing_is_active_unless_the_device_was_blocked(
    bob: Enforced, outcome: Outcome, *, active: bool
):
    risky_with_tokens(bob, outcome).introspect()

    bob.device_heals()

    assert bob.introspect()["active"] is active


# UserInfo


def test_userinfo_when_the_policy_says_full_gives_the_claims_of_the_scope(bob: Enforced):
    answer = risky_with_tokens(bob, Outcome.FULL).userinfo()

    assert answer.status == 200
    assert answer.body["sub"] == bob.bob
    assert answer.body["email"] == "bob@example.org"


def test_userinfo_when_the_policy_says_restricted_gives_the_claims_that_are_left(bob: Enforced):
    answer = risky_with_tokens(bob, Outcome.RESTRICTED).userinfo()

    assert answer.status == 200
    assert answer.body["preferred_username"] == "bob"
    assert "email" not in answer.body


def test_userinfo_when_the_policy_says_step_up_asks_for_it_in_the_terms_of_rfc_9470(
    bob: Enforced,
):
    answer = risky_with_tokens(bob, Outcome.STEP_UP).userinfo()

    assert answer.status == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'acr_values="mfa"' in challenge


@pytest.mark.parametrize("outcome", [Outcome.REMEDIATE, Outcome.BLOCK], ids=lambda o: o.wire)
def test_userinfo_when_the_policy_says_remediate_or_block_is_an_invalid_token(
    bob: Enforced, outcome: Outcome
):
    answer = risky_with_tokens(bob, outcome).userinfo()

    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert answer.body == {"error": "invalid_token"}


# Sessions that run already


@pytest.mark.parametrize(
    "outcome", [Outcome.FULL, Outcome.RESTRICTED, Outcome.STEP_UP], ids=lambda o: o.wire
)
def test_a_running_session_goes_on_when_the_policy_says_no_more_than_step_up(
    bob: Enforced, outcome: Outcome
):
    risky_with_tokens(bob, outcome)

    assert bob.logout_tokens() == []
    assert bob.is_signed_in()


def test_a_running_session_ends_at_the_shop_and_stays_here_when_the_policy_says_remediate(
    bob: Enforced,
):
    bob.policies_say(risk_means(Outcome.REMEDIATE))
    bob.signs_in_and_redeems()
    session = bob.id_token()["sid"]

    bob.device_turns_risky()

    (told,) = bob.logout_tokens()
    assert (told["sid"], told["sub"], told["aud"]) == (session, bob.bob, SHOP)
    assert "nonce" not in told
    assert bob.is_signed_in()
    bob.device_heals()
    assert "code" in bob.visits(prompt="none").answer


def test_a_running_session_ends_everywhere_when_the_policy_says_block(bob: Enforced):
    bob.policies_say(risk_means(Outcome.BLOCK))
    bob.signs_in_and_redeems()
    session = bob.id_token()["sid"]

    bob.device_turns_risky()

    (told,) = bob.logout_tokens()
    assert (told["sid"], told["sub"], told["aud"]) == (session, bob.bob, SHOP)
    assert not bob.is_signed_in()
    bob.device_heals()
    assert not bob.is_signed_in()
