"""Jobs: rows that commit with the change that caused them; a worker claims them one by one.

At least once: a worker that dies leaves its claim to run out. A job that failed too often stays
as `dead`, where operators see it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from pdp.clock import new_row_id
from pdp.store.base import from_micros, to_json, to_micros
from pdp.store.database import Statement, Transaction

#: How long a worker may take before another one believes it dead.
CLAIM: Final = timedelta(minutes=2)

_INSERT = Statement(
    "INSERT INTO jobs (id, type, payload, state, attempts, not_before, created_at)"
    " VALUES (:id, :type, :payload, 'ready', 0, :not_before, :created_at)"
)
_CLAIM = Statement(
    "UPDATE jobs SET state = 'running', attempts = attempts + 1, claimed_until = :claimed_until"
    " WHERE id IN (SELECT id FROM jobs WHERE (state = 'ready' AND not_before <= :now)"
    " OR (state = 'running' AND claimed_until < :now) ORDER BY not_before LIMIT :count)"
    " RETURNING id, type, payload, attempts, created_at"
)
_CLAIM_SKIPPING = Statement(
    "UPDATE jobs SET state = 'running', attempts = attempts + 1, claimed_until = :claimed_until"
    " WHERE id IN (SELECT id FROM jobs WHERE (state = 'ready' AND not_before <= :now)"
    " OR (state = 'running' AND claimed_until < :now) ORDER BY not_before LIMIT :count"
    " FOR UPDATE SKIP LOCKED)"
    " RETURNING id, type, payload, attempts, created_at"
)
_IS_DUE = Statement(
    "SELECT 1 FROM jobs WHERE (state = 'ready' AND not_before <= :now)"
    " OR (state = 'running' AND claimed_until < :now) LIMIT 1"
)
_RELEASE = Statement(
    "UPDATE jobs SET state = 'ready', not_before = :not_before, claimed_until = NULL,"
    " attempts = attempts - 1 WHERE id = :id AND state = 'running'"
)
_FINISH = Statement("DELETE FROM jobs WHERE id = :id")
_RETRY = Statement(
    "UPDATE jobs SET state = 'ready', not_before = :not_before, claimed_until = NULL,"
    " last_error = :error WHERE id = :id"
)
_BURY = Statement(
    "UPDATE jobs SET state = 'dead', claimed_until = NULL, last_error = :error WHERE id = :id"
)
_DEPTH = Statement("SELECT state, COUNT(*), MIN(created_at) FROM jobs GROUP BY state")


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker holds until `CLAIM` runs out; `attempts` counts this one."""

    id: str
    type: str
    payload: Mapping[str, object]
    attempts: int
    created_at: datetime


def enqueue(
    tx: Transaction,
    type_: str,
    payload: Mapping[str, object],
    *,
    now: datetime,
    not_before: datetime | None = None,
) -> None:
    """Add a job to the caller's transaction, to run at `not_before` (UTC) or at once."""
    tx.run(
        _INSERT,
        {
            "id": new_row_id("job"),
            "type": type_,
            "payload": to_json(payload),
            "not_before": to_micros(not_before or now),
            "created_at": to_micros(now),
        },
    )


def claim(tx: Transaction, *, now: datetime, count: int = 1) -> list[ClaimedJob]:
    """Take up to `count` due jobs; no other worker gets them before `CLAIM` has passed."""
    rows = tx.all(
        _CLAIM if tx.is_sqlite else _CLAIM_SKIPPING,
        {"now": to_micros(now), "claimed_until": to_micros(now + CLAIM), "count": count},
    )
    return [
        ClaimedJob(row[0], row[1], orjson.loads(row[2]), row[3], from_micros(row[4]))
        for row in rows
    ]


def is_due(tx: Transaction, *, now: datetime) -> bool:
    """Tell whether `claim` would find anything: a read, for whoever asks many times a second."""
    return tx.one(_IS_DUE, {"now": to_micros(now)}) is not None


def finish(tx: Transaction, job_id: str) -> bool:
    """Forget a job that is done; False if another worker, to whom the claim had passed, was faster.

    A job whose effects are rows calls this first, in the transaction that writes them: its
    effects then happen once, however often it was claimed.
    """
    return tx.run(_FINISH, {"id": job_id}) == 1


def release(tx: Transaction, job_id: str, *, not_before: datetime) -> None:
    """Give a job back that was claimed and not tried: that was no attempt."""
    tx.run(_RELEASE, {"id": job_id, "not_before": to_micros(not_before)})


def retry(tx: Transaction, job_id: str, *, not_before: datetime, error: str) -> None:
    """Give a failed job back, to be tried again at `not_before`."""
    tx.run(_RETRY, {"id": job_id, "not_before": to_micros(not_before), "error": error})


def bury(tx: Transaction, job_id: str, *, error: str) -> None:
    """Keep a job that failed too often, for people to look at."""
    tx.run(_BURY, {"id": job_id, "error": error})


def depth(tx: Transaction) -> dict[str, tuple[int, datetime]]:
    """Return, by state, how many jobs there are and when the oldest was made."""
    return {row[0]: (int(row[1]), from_micros(row[2])) for row in tx.all(_DEPTH, {})}
