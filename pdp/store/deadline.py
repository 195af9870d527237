"""Deadlines of a connection to PostgreSQL: a server that is frozen answers as one that is away.

A process that stands still keeps its sockets open, and its kernel goes on acknowledging what it is
sent: neither `statement_timeout` nor `tcp_user_timeout` ends the wait for it. Past the deadline the
connection is closed at once, whoever holds it: what the server would say later, nobody hears.
"""

from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.abc import RV, PQGen

#: Beyond the server's own limits of time, so that its answer, which says more, comes first.
GRACE: Final = timedelta(seconds=5)


class Unanswered(psycopg.OperationalError):
    """The server said nothing until the deadline; the connection is closed."""

    def __init__(self) -> None:
        super().__init__("the database did not answer in time")


class CommitUnheard(psycopg.OperationalError):
    """The connection was lost before the server said whether it had committed."""

    def __init__(self) -> None:
        super().__init__("the database did not say whether it committed")


def is_silence(error: psycopg.Error) -> bool:
    """Tell whether nothing was heard of the server, as against words or a broken connection."""
    return isinstance(error, Unanswered | psycopg.errors.ConnectionTimeout) or isinstance(
        error.__cause__, Unanswered
    )


class ImpatientConnection(psycopg.Connection[Any]):
    """A connection that waits for an answer for `patience` at the longest."""

    #: Set once it stands; until then `connect_timeout` counts.
    patience: timedelta

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait as psycopg does, for cursors and sessions; Unanswered past the deadline."""
        limit = self.patience.total_seconds() if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()
            raise Unanswered from error
