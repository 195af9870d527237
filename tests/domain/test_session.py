"""Sessions: what a sign-in reaches, how long a session stands, and that it ends once."""

from datetime import datetime, timedelta

import pytest

from pdp.domain.errors import InvalidTransition
from pdp.domain.session import ACR_ORDER, EndReason, acr_reaches
from tests.builders import NOW, a_session

HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize("wanted", ACR_ORDER)
@pytest.mark.parametrize("acr", ACR_ORDER)
def test_a_sign_in_reaches_its_own_level_and_those_below(acr: str, wanted: str):
    assert acr_reaches(acr, wanted) is (ACR_ORDER.index(wanted) <= ACR_ORDER.index(acr))


@pytest.mark.parametrize(
    ("acr", "wanted"), [("odd", "pwd"), ("phrh", "odd"), ("odd", "odd"), ("", "")]
)
def test_a_level_that_we_do_not_know_reaches_nothing_and_is_reached_by_nothing(
    acr: str, wanted: str
):
    assert acr_reaches(acr, wanted) is False


@pytest.mark.parametrize(
    ("now", "live"),
    [
        pytest.param(NOW, True, id="begun"),
        pytest.param(NOW + HOUR - MOMENT, True, id="to its last moment"),
        pytest.param(NOW + HOUR, False, id="at its end"),
    ],
)
@pytest.mark.parametrize("end", ["idle_expires_at", "expires_at"])
def test_a_session_stands_until_it_is_idle_or_over(end: str, now: datetime, *, live: bool):
    assert a_session(**{end: NOW + HOUR}).is_live(now) is live


def test_a_session_that_ended_is_not_live_and_says_when_and_why():
    ended = a_session().ended(NOW, EndReason.SIGNED_OUT)

    assert not ended.is_live(NOW)
    assert (ended.ended_at, ended.end_reason) == (NOW, EndReason.SIGNED_OUT)


def test_a_session_ends_once():
    ended = a_session().ended(NOW, EndReason.SIGNED_OUT)

    with pytest.raises(InvalidTransition, match="session ses_1 has ended"):
        ended.ended(NOW + HOUR, EndReason.BLOCKED)
