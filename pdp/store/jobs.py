"""Jobs: rows that commit with the change that caused them; a worker claims them.

At least once: a worker that dies leaves its claim to run out. A job names the receiver that it has
to reach, so that one who is away holds up nobody else. What could not be done stays as `dead`,
where operators see it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import orjson

from pdp.clock import new_row_id
from pdp.store.base import from_micros, to_json, to_micros
from pdp.store.database import Row, Statement, Transaction

#: How long a worker may take over a change before another one believes it dead: they are rows,
#: and take milliseconds. A claim that ran out too early does no harm: `finish` says who was faster.
CLAIM: Final = timedelta(seconds=10)
#: The receiver of a job that is rows alone.
NOBODY: Final = ""

_INSERT = Statement(
    "INSERT INTO jobs"
    " (id, type, receiver, payload, state, attempts, refusals, not_before, created_at)"
    " VALUES (:id, :type, :receiver, :payload, 'ready', 0, 0, :now, :now)"
)
# From receiver to receiver by the index, whatever waits for each of them.
_RECEIVERS_DUE = Statement(
    "WITH RECURSIVE receivers (receiver) AS ("
    "SELECT MIN(receiver) FROM jobs WHERE state = 'ready' UNION ALL"
    " SELECT (SELECT MIN(jobs.receiver) FROM jobs WHERE jobs.state = 'ready'"
    " AND jobs.receiver > receivers.receiver) FROM receivers WHERE receivers.receiver IS NOT NULL)"
    " SELECT receiver FROM receivers WHERE (SELECT MIN(jobs.not_before) FROM jobs"
    " WHERE jobs.state = 'ready' AND jobs.receiver = receivers.receiver) <= :now"
)
# Materialized: in a subquery PostgreSQL may look for due jobs anew for each row, and claim them.
_CLAIM_TEXT = (
    "WITH due AS MATERIALIZED (SELECT id FROM jobs WHERE state = 'ready' AND receiver = :receiver"
    " AND not_before <= :now ORDER BY not_before LIMIT :count{locking})"
    " UPDATE jobs SET state = 'running', attempts = attempts + 1, claimed_until = :claimed_until"
    " WHERE id IN (SELECT id FROM due)"
    " RETURNING id, type, receiver, payload, attempts, refusals"
)
_CLAIM = Statement(_CLAIM_TEXT.format(locking=""))
_CLAIM_SKIPPING = Statement(_CLAIM_TEXT.format(locking=" FOR UPDATE SKIP LOCKED"))
_HAS_RUN_OUT = Statement(
    "SELECT 1 FROM jobs WHERE state = 'running' AND claimed_until < :now LIMIT 1"
)
_TAKE_BACK = Statement(
    "UPDATE jobs SET state = 'ready', claimed_until = NULL"
    " WHERE state = 'running' AND claimed_until < :now"
)
_FINISH = Statement("DELETE FROM jobs WHERE id = :id")
_RELEASE = Statement(
    "UPDATE jobs SET state = 'ready', claimed_until = NULL, attempts = attempts - 1"
    " WHERE id = :id AND state = 'running' AND attempts = :attempts"
)
_DROP = Statement("DELETE FROM jobs WHERE id = :id AND state <> 'running'")
_DELAY = Statement(
    "UPDATE jobs SET state = 'ready', not_before = :not_before, claimed_until = NULL,"
    " last_error = :error, refusals = refusals + :refusals WHERE id = :id"
)
_BURY = Statement(
    "UPDATE jobs SET state = 'dead', claimed_until = NULL, last_error = :error WHERE id = :id"
)
_BURY_OLD = Statement(
    "UPDATE jobs SET state = 'dead'"
    " WHERE state = 'ready' AND receiver <> '' AND attempts > 0 AND created_at < :before"
    " RETURNING receiver"
)
_REVIVE = Statement(
    "UPDATE jobs SET state = 'ready', attempts = 0, refusals = 0, not_before = :now,"
    " created_at = :now"
    " WHERE id = :id AND state IN ('ready', 'dead')"
)
_FORGET_DEAD = Statement("DELETE FROM jobs WHERE state = 'dead' AND created_at < :before")
_OLDEST_DUE = Statement(
    "SELECT MIN(not_before) FROM jobs"
    " WHERE state IN ('ready', 'running') AND receiver = '' AND not_before <= :now"
)
_BACKLOG = Statement(
    "SELECT receiver, state = 'dead', COUNT(*), MIN(created_at) FROM jobs"
    " GROUP BY receiver, state = 'dead'"
)
_TOTAL = Statement("SELECT COUNT(*) FROM jobs")
_COLUMNS = "id, type, receiver, state, attempts, not_before, created_at, last_error"
_GET = Statement(f"SELECT {_COLUMNS} FROM jobs WHERE id = :id")  # noqa: S608  text is ours
_LIST = Statement(
    f"SELECT {_COLUMNS} FROM jobs WHERE (:state = '' OR state = :state)"  # noqa: S608  text is ours
    " AND (:receiver = '' OR receiver = :receiver) ORDER BY created_at, id LIMIT :count"
)


class JobState(StrEnum):
    """Where a job stands: to be taken up, taken by a worker, or given up."""

    READY = "ready"
    RUNNING = "running"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker holds until its claim runs out; `attempts` counts this one.

    `refusals` counts the tries before that its receiver answered with no. The payload is None
    where the row holds no JSON.
    """

    id: str
    type: str
    receiver: str
    payload: object
    attempts: int
    refusals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job as people look at it; it is tried at `not_before` or later."""

    id: str
    type: str
    receiver: str
    state: JobState
    attempts: int
    not_before: datetime
    created_at: datetime
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What there is to do for one receiver: how much, since when, and how much was given up."""

    waiting: int = 0
    oldest: datetime | None = None
    dead: int = 0


def enqueue(
    tx: Transaction,
    type_: str,
    payload: Mapping[str, object],
    *,
    now: datetime,
    receiver: str = NOBODY,
) -> None:
    """Add a job to the caller's transaction; `receiver` is whom it has to reach, if anybody."""
    tx.run(
        _INSERT,
        {
            "id": new_row_id("job"),
            "type": type_,
            "receiver": receiver,
            "payload": to_json(payload),
            "now": to_micros(now),
        },
    )


def receivers_due(tx: Transaction, *, now: datetime) -> list[str]:
    """Return for whom `claim` would find anything: a read, for who asks many times a second.

    It costs as much as there are receivers, however long each one's backlog is.
    """
    return [row[0] for row in tx.all(_RECEIVERS_DUE, {"now": to_micros(now)})]


def claim(
    tx: Transaction,
    *,
    now: datetime,
    receiver: str = NOBODY,
    count: int = 1,
    within: timedelta = CLAIM,
) -> list[ClaimedJob]:
    """Take up to `count` due jobs of one receiver; no other worker gets them `within` that time."""
    rows = tx.all(
        _CLAIM if tx.is_sqlite else _CLAIM_SKIPPING,
        {
            "now": to_micros(now),
            "claimed_until": to_micros(now + within),
            "receiver": receiver,
            "count": count,
        },
    )
    return [
        ClaimedJob(row[0], row[1], row[2], _payload(row[3]), int(row[4]), int(row[5]))
        for row in rows
    ]


def _payload(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Told by whoever reads it: the claims of the others must stand.
        return None


def has_run_out(tx: Transaction, *, now: datetime) -> bool:
    """Tell whether `take_back` would find anything: a read."""
    return tx.one(_HAS_RUN_OUT, {"now": to_micros(now)}) is not None


def take_back(tx: Transaction, *, now: datetime) -> int:
    """Let jobs be claimed again whose workers did not come back; return how many."""
    return tx.run(_TAKE_BACK, {"now": to_micros(now)})


def finish(tx: Transaction, job_id: str) -> bool:
    """Forget a job that is done; False if another worker, to whom the claim had passed, was faster.

    A job whose effects are rows calls this first, in the transaction that writes them: its
    effects then happen once, however often it was claimed.
    """
    return tx.run(_FINISH, {"id": job_id}) == 1


def release(tx: Transaction, untried: Iterable[ClaimedJob]) -> int:
    """Give back jobs that were claimed and not tried: that was no attempt; return how many.

    A claim that has passed to another worker meanwhile is left to it.
    """
    return sum(tx.run(_RELEASE, {"id": job.id, "attempts": job.attempts}) for job in untried)


def delay(
    tx: Transaction, job_id: str, *, not_before: datetime, error: str, is_refused: bool = False
) -> None:
    """Give a failed job back, to be tried again at `not_before`."""
    tx.run(
        _DELAY,
        {
            "id": job_id,
            "not_before": to_micros(not_before),
            "error": error,
            "refusals": int(is_refused),
        },
    )


def bury(tx: Transaction, job_id: str, *, error: str) -> None:
    """Keep a job that failed for good, for people to look at."""
    tx.run(_BURY, {"id": job_id, "error": error})


def bury_old(tx: Transaction, *, before: datetime) -> list[str]:
    """Give up what its receiver did not take since before `before` (UTC); return each receiver.

    What was never tried is tried, however late, and so is what reaches nobody outside.
    """
    return [row[0] for row in tx.all(_BURY_OLD, {"before": to_micros(before)})]


def forget_dead(tx: Transaction, *, before: datetime) -> int:
    """Delete what was given up and made before `before` (UTC); return how many."""
    return tx.run(_FORGET_DEAD, {"before": to_micros(before)})


def revive(tx: Transaction, job_id: str, *, now: datetime) -> bool:
    """Let a job begin anew, at once; False if there is none, or a worker is at it."""
    return tx.run(_REVIVE, {"id": job_id, "now": to_micros(now)}) == 1


def drop(tx: Transaction, job_id: str) -> bool:
    """Forget a job that nobody is to do; False if there is none, or a worker is at it."""
    return tx.run(_DROP, {"id": job_id}) == 1


def lag(tx: Transaction, *, now: datetime) -> timedelta:
    """Return for how long the oldest job that reaches nobody outside has been due and not done.

    A job that waits to be tried again is not due. What others do not take is theirs to answer
    for: `backlog` tells of it.
    """
    row = tx.one(_OLDEST_DUE, {"now": to_micros(now)})
    if row is None or row[0] is None:
        return timedelta(0)
    return max(timedelta(0), now - from_micros(int(row[0])))


def backlog(tx: Transaction) -> dict[str, Backlog]:
    """Return what there is to do, by receiver; reads every job."""
    found: dict[str, Backlog] = {}
    for receiver, is_dead, count, oldest in tx.all(_BACKLOG, {}):
        known = found.get(receiver, Backlog())
        found[receiver] = (
            Backlog(waiting=known.waiting, oldest=known.oldest, dead=int(count))
            if is_dead
            else Backlog(waiting=int(count), oldest=from_micros(oldest), dead=known.dead)
        )
    return found


def total(tx: Transaction) -> int:
    """Return how many jobs there are, in every state."""
    row = tx.one(_TOTAL, {})
    return 0 if row is None else int(row[0])


def get(tx: Transaction, job_id: str) -> StoredJob | None:
    """Return one job, or None."""
    row = tx.one(_GET, {"id": job_id})
    return None if row is None else _stored(row)


def list_some(
    tx: Transaction, *, state: JobState | None = None, receiver: str = "", count: int = 100
) -> list[StoredJob]:
    """Return up to `count` jobs, the oldest first, of one state or receiver or of all."""
    given = {"state": "" if state is None else state.value, "receiver": receiver, "count": count}
    return [_stored(row) for row in tx.all(_LIST, given)]


def _stored(row: Row) -> StoredJob:
    return StoredJob(
        id=row[0],
        type=row[1],
        receiver=row[2],
        state=JobState(row[3]),
        attempts=int(row[4]),
        not_before=from_micros(row[5]),
        created_at=from_micros(row[6]),
        last_error=row[7],
    )
