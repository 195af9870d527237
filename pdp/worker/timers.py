"""What time alone makes due: assessments that ran out, and rows that nothing needs any more."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from pdp.domain.ids import DeviceId
from pdp.policy.rules import Rules
from pdp.runtime import Runtime
from pdp.store import device_keys, devices, exposures, jobs, parked, signals, single_use, tokens
from pdp.store.database import Transaction
from pdp.store.readings import Unreadable
from pdp.usecases.reassess_device import review_device
from pdp.worker.logout import count_given_up

#: Devices in one transaction: other writers wait for no more than these.
BATCH: Final = 50
REVIEW_EVERY: Final = timedelta(seconds=1)
CLEAN_EVERY: Final = timedelta(minutes=1)
#: A repeated delivery is known for this long; its signals count once for ever.
KEEP_DELIVERIES: Final = timedelta(days=7)
#: A used code is a tombstone that finds the grant of a replay.
KEEP_CODES: Final = timedelta(days=1)
KEEP_ENROLMENT_TOKENS: Final = timedelta(days=30)
KEEP_EXPOSURES: Final = timedelta(days=90)
#: A receiver that takes nothing for so long has lost its own sessions too.
PATIENCE: Final = timedelta(days=1)
KEEP_DEAD_JOBS: Final = timedelta(days=90)

_log: Final = structlog.get_logger("pdp.worker")


class Timers:
    """Runs what is due; two workers that do the same thing at once do it once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._review_at: datetime | None = None
        self._clean_at: datetime | None = None
        self._swept_for: str | None = None

    def run_due(self) -> None:
        """Do what is due by now; raises Unavailable when the database is down."""
        now = self._runtime.clock()
        if self._review_at is None or now >= self._review_at:
            self._review_at = now + REVIEW_EVERY
            self._review()
            take_back_jobs(self._runtime)
        if self._clean_at is None or now >= self._clean_at:
            self._clean_at = now + CLEAN_EVERY
            clean_up(self._runtime)

    def _review(self) -> None:
        with self._runtime.database.read() as tx:
            rules = self._runtime.configurations.current(tx).rules
        review_overdue(self._runtime, rules)
        if self._swept_for != rules.version:
            review_assessed_otherwise(self._runtime, rules)
            self._swept_for = rules.version


def review_overdue(runtime: Runtime, rules: Rules) -> int:
    """Assess every device whose assessment has run out; return how many were."""
    reviewed = 0
    while True:
        now = runtime.clock()
        with runtime.database.read() as tx:
            due = devices.due_for_review(tx, now=now, count=BATCH)
        if not due:
            return reviewed
        done = _review_all(runtime, due, rules)
        reviewed += done
        if not done:
            return reviewed


def review_assessed_otherwise(runtime: Runtime, rules: Rules) -> int:
    """Assess every device that other rules have assessed; return how many were."""
    reviewed, after = 0, ""
    while True:
        with runtime.database.read() as tx:
            found = devices.assessed_otherwise(tx, rules.version, after=after, count=BATCH)
        if not found:
            return reviewed
        reviewed += _review_all(runtime, found, rules)
        after = found[-1]


def _review_all(runtime: Runtime, found: list[DeviceId], rules: Rules) -> int:
    with runtime.database.write() as tx:
        now = runtime.clock()
        # In the order of ids, as everybody locks devices.
        return sum(_review(tx, each, rules, now) for each in sorted(found))


def _review(tx: Transaction, device: DeviceId, rules: Rules, now: datetime) -> bool:
    try:
        return review_device(tx, device, rules, now=now)
    except Unreadable as error:
        # Whoever is decided on with it is assessed on reading, as `error`: others go on.
        _log.error("device.review.failed", device=device, problem=str(error))
        return False


def take_back_jobs(runtime: Runtime) -> None:
    """Let jobs be claimed again whose workers died."""
    now = runtime.clock()
    with runtime.database.read() as tx:
        if not jobs.has_run_out(tx, now=now):
            return
    with runtime.database.write() as tx:
        count = jobs.take_back(tx, now=now)
    _log.warning("job.claim.ran-out", count=count)


def clean_up(runtime: Runtime) -> None:
    """Delete rows whose time is over, each kind in a short transaction of its own."""
    now = runtime.clock()
    for forget in _EXPIRING:
        with runtime.database.write() as tx:
            forget(tx, now)
    with runtime.database.write() as tx:
        too_old = jobs.bury_old(tx, before=now - PATIENCE)
    for receiver, count in Counter(too_old).items():
        count_given_up(receiver, count)
        _log.warning("job.wait.buried", client=receiver or None, count=count)


_EXPIRING: Final[tuple[Callable[[Transaction, datetime], int], ...]] = (
    lambda tx, now: single_use.forget_expired(tx, now=now),
    lambda tx, now: tokens.forget_expired(tx, codes_before=now - KEEP_CODES, now=now),
    lambda tx, now: parked.forget_expired(tx, now=now),
    lambda tx, now: signals.forget_deliveries(tx, before=now - KEEP_DELIVERIES),
    lambda tx, now: device_keys.forget_tokens(tx, before=now - KEEP_ENROLMENT_TOKENS),
    lambda tx, now: exposures.forget(tx, before=now - KEEP_EXPOSURES),
    lambda tx, now: jobs.forget_dead(tx, before=now - KEEP_DEAD_JOBS),
)
