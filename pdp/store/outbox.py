"""How far the jobs are behind: what operators watch."""

from datetime import datetime, timedelta

from pdp.store.base import from_micros, to_micros
from pdp.store.database import Statement, Transaction

_OLDEST_DUE = Statement(
    "SELECT MIN(CASE WHEN state = 'ready' THEN not_before ELSE claimed_until END) FROM jobs"
    " WHERE (state = 'ready' AND not_before <= :now)"
    " OR (state = 'running' AND claimed_until < :now)"
)


def lag(tx: Transaction, *, now: datetime) -> timedelta:
    """Return how long the job that is due longest has waited; zero if none is due.

    A delivery that waits to be tried again is not due, and so not late.
    """
    row = tx.one(_OLDEST_DUE, {"now": to_micros(now)})
    if row is None or row[0] is None:
        return timedelta(0)
    return max(timedelta(0), now - from_micros(int(row[0])))
