"""Attempts count by account and by address; one that is not made counts by neither."""

from pdp.domain.ids import SubjectId
from pdp.ephemeral.rate_limit import Limited
from pdp.settings import SignInSettings
from pdp.usecases.attempts import attempt_at, count
from tests.builders import NOW, a_limiter

#: Counters without Redis allow half of each limit: one to an account, three from an address.
LIMITS = SignInSettings(attempts=2, attempts_per_address=6)


def test_what_an_account_s_limit_refuses_is_not_counted_against_the_address():
    limiter = a_limiter()

    def attempt(account: str) -> bool:
        tried = attempt_at(SubjectId(account), "192.0.2.7")
        return not isinstance(count(limiter, tried, limits=LIMITS, now=NOW), Limited)

    assert attempt("ada")
    assert [attempt("ada") for _ in range(10)] == [False] * 10
    assert [attempt(name) for name in ("bob", "eve", "joe")] == [True, True, False]
