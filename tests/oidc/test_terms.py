"""How long tokens live: the least of what settings, policy and the decision itself allow."""

from datetime import timedelta

import pytest

from pdp.domain.access import Decision, Outcome, Restriction
from pdp.oidc.enforce import Terms, token_terms
from pdp.settings import LifetimeSettings
from tests.builders import NOW

SCOPES = ("openid", "profile")
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def a_decision(
    outcome: Outcome,
    *,
    holds: timedelta | None = None,
    token: timedelta = HOUR,
    session: timedelta = HOUR,
) -> Decision:
    """A decision that holds for so long, its restriction naming these lifetimes."""
    restriction = Restriction(
        scopes=frozenset({"openid"}), token_lifetime=token, session_lifetime=session
    )
    return Decision(
        outcome=outcome,
        reasons=(),
        restriction=restriction if outcome is Outcome.RESTRICTED else None,
        valid_until=None if holds is None else NOW + holds,
    )


def terms(decision: Decision, **lifetimes: timedelta) -> Terms:
    """The terms of a decision, taken just now, under the default lifetimes but for these."""
    found = token_terms(decision, SCOPES, LifetimeSettings(**lifetimes), now=NOW)
    assert isinstance(found, Terms)
    return found


@pytest.mark.parametrize("outcome", [Outcome.FULL, Outcome.RESTRICTED], ids=lambda each: each.wire)
@pytest.mark.parametrize(
    ("holds", "lives"),
    [
        pytest.param(None, 5 * MINUTE, id="a decision that holds for ever"),
        pytest.param(HOUR, 5 * MINUTE, id="one that holds for longer"),
        pytest.param(2 * MINUTE, 2 * MINUTE, id="one that holds for less long"),
        pytest.param(SECOND / 2, SECOND, id="one that is nearly over"),
    ],
)
def test_a_token_lives_no_longer_than(outcome: Outcome, holds: timedelta | None, lives: timedelta):
    assert terms(a_decision(outcome, holds=holds)).token_lifetime == lives


@pytest.mark.parametrize(
    ("policy", "restricted_token", "access_token"),
    [(1, 2, 3), (3, 1, 2), (2, 3, 1)],
    ids=["its policy", "the setting for restricted tokens", "the setting for all tokens"],
)
def test_the_life_of_a_restricted_token_is_cut_by(
    policy: int, restricted_token: int, access_token: int
):
    decision = a_decision(Outcome.RESTRICTED, token=policy * MINUTE)

    found = terms(
        decision, restricted_token=restricted_token * MINUTE, access_token=access_token * MINUTE
    )

    assert found.token_lifetime == MINUTE


@pytest.mark.parametrize(
    ("policy", "restricted_session"), [(1, 2), (2, 1)], ids=["its policy", "the setting"]
)
def test_the_life_of_a_restricted_session_is_cut_by(policy: int, restricted_session: int):
    decision = a_decision(Outcome.RESTRICTED, session=policy * MINUTE)

    found = terms(decision, restricted_session=restricted_session * MINUTE)

    assert found.family_ends_at == NOW + MINUTE
