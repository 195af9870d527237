"""The terms of tokens: never wider, and never longer, than the decision and the settings say."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pdp.domain.access import Decision, Outcome, Reason, Restriction, StepUp
from pdp.oidc.enforce import Refused, Terms, token_terms
from pdp.settings import LifetimeSettings
from tests.builders import NOW

MINUTE = timedelta(minutes=1)
LIFETIMES = LifetimeSettings()
CEILING = Restriction(
    scopes=frozenset({"openid", "mail"}),
    token_lifetime=2 * MINUTE,
    session_lifetime=20 * MINUTE,
    restrictions=("read-only",),
)


def decided(outcome: Outcome, **changes: object) -> Decision:
    """Return a decision with this outcome."""
    given = {"outcome": outcome, "reasons": (Reason.POLICY,), **changes}
    return Decision(**given)  # type: ignore[arg-type]


def terms_of(decision: Decision, *scopes: str) -> Terms | Refused:
    """Return the terms for tokens of these scopes."""
    return token_terms(decision, scopes, LIFETIMES, now=NOW)


def test_a_restricted_session_keeps_what_was_granted_of_the_ceiling():
    terms = terms_of(decided(Outcome.RESTRICTED, restriction=CEILING), "profile", "openid")

    assert terms == Terms(
        scopes=("openid",),
        token_lifetime=2 * MINUTE,
        restrictions=("read-only",),
        family_ends_at=NOW + 20 * MINUTE,
    )


def test_a_policy_lengthens_no_life_that_the_settings_limit():
    generous = replace(CEILING, token_lifetime=24 * 60 * MINUTE, session_lifetime=24 * 60 * MINUTE)
    terms = terms_of(decided(Outcome.RESTRICTED, restriction=generous), "openid")

    assert isinstance(terms, Terms)
    assert terms.token_lifetime == min(LIFETIMES.access_token, LIFETIMES.restricted_token)
    assert terms.family_ends_at == NOW + LIFETIMES.restricted_session


@pytest.mark.parametrize("scopes", [("profile", "api.read"), ()], ids=["others", "none"])
def test_a_ceiling_over_none_of_the_granted_scopes_is_invalid_scope_and_revokes_nothing(
    scopes: tuple[str, ...],
):
    refused = terms_of(decided(Outcome.RESTRICTED, restriction=CEILING), *scopes)

    assert isinstance(refused, Refused)
    assert (refused.error, refused.revokes) == ("invalid_scope", False)


def test_a_restricted_decision_without_its_restriction_gives_nothing():
    refused = terms_of(decided(Outcome.RESTRICTED), "openid")

    assert isinstance(refused, Refused)
    assert refused.error == "invalid_scope"


@pytest.mark.parametrize(
    ("stands_for", "lifetime"),
    [
        pytest.param(None, LIFETIMES.access_token, id="without end"),
        pytest.param(60 * MINUTE, LIFETIMES.access_token, id="longer than a token"),
        pytest.param(MINUTE, MINUTE, id="shorter than a token"),
        pytest.param(MINUTE / 1000, timedelta(seconds=1), id="hardly at all"),
        pytest.param(-MINUTE, timedelta(seconds=1), id="no more"),
    ],
)
def test_a_token_lives_no_longer_than_its_decision_stands(
    stands_for: timedelta | None, lifetime: timedelta
):
    until = None if stands_for is None else NOW + stands_for
    terms = terms_of(decided(Outcome.FULL, valid_until=until), "openid")

    assert terms == Terms(scopes=("openid",), token_lifetime=lifetime)


@pytest.mark.parametrize(
    ("decision", "error", "revokes"),
    [
        (decided(Outcome.STEP_UP, step_up=StepUp(acr="mfa")), "invalid_grant", False),
        (decided(Outcome.REMEDIATE), "invalid_grant", False),
        (decided(Outcome.BLOCK), "invalid_grant", True),
        (decided(Outcome.BLOCK, reasons=(Reason.EMPTY_RESTRICTION,)), "invalid_scope", True),
    ],
    ids=["step-up", "remediate", "block", "block for an empty restriction"],
)
def test_only_a_block_ends_the_grant(decision: Decision, error: str, *, revokes: bool):
    refused = terms_of(decision, "openid")

    assert isinstance(refused, Refused)
    assert (refused.error, refused.revokes) == (error, revokes)
