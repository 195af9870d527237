"""The worker: claim jobs, run them, try again later, give up loudly; stop when told to.

At least once: a worker that dies leaves its claims to run out, and another one takes over. When
the database is down it waits and asks again; nothing is lost, since jobs are rows.
"""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from pdp.domain.errors import Unavailable
from pdp.runtime import Runtime
from pdp.store import jobs
from pdp.store.jobs import ClaimedJob
from pdp.worker.jobs import JOBS, Work
from pdp.worker.lanes import Lanes
from pdp.worker.result import Done, Failed, Result
from pdp.worker.timers import Timers

#: Without a nudge a job waits for half of this on average. Asking is one read by an index.
POLL_EVERY: Final = timedelta(milliseconds=20)
WAIT_WHEN_DOWN: Final = timedelta(seconds=1)
#: Jobs taken in one transaction.
MOST_CLAIMED: Final = 32
#: A job whose lane is full comes back after this.
LANE_FULL: Final = timedelta(milliseconds=250)
LONGEST_BACK_OFF: Final = timedelta(minutes=5)
_FIRST_BACK_OFF: Final = timedelta(milliseconds=500)
_LONGEST_REASON: Final = 500

_log = structlog.get_logger("pdp.worker")


class Nudge:
    """Wakes a worker of the same process at once; a lost nudge costs one poll."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> None:
        self._event.set()

    def wait(self, longest: timedelta) -> None:
        """Return when nudged, or after `longest`."""
        self._event.wait(longest.total_seconds())
        self._event.clear()


def back_off(attempts: int, chance: float) -> timedelta:
    """Return how long to wait after the `attempts`-th failed try; `chance` is from 0 to 1.

    Doubles from half a second to five minutes; between half of it and all of it, so that jobs
    that failed together are not tried together.
    """
    whole: timedelta = min(_FIRST_BACK_OFF * 2 ** min(attempts - 1, 16), LONGEST_BACK_OFF)
    return timedelta(seconds=whole.total_seconds() * (0.5 + chance / 2))


class Worker:
    """Carries out jobs of one database until it is stopped."""

    def __init__(
        self, runtime: Runtime, *, threads: int = 8, chance: Callable[[], float] = random.random
    ) -> None:
        self._runtime = runtime
        self._chance = chance
        self._timers = Timers(runtime)
        self._lanes = Lanes(threads=threads)
        self._stopping = threading.Event()
        self.nudge = Nudge()

    def run(self) -> None:
        """Work until `stop`; then let what runs come to its end."""
        try:
            while not self._stopping.is_set():
                self.nudge.wait(self._turn())
        finally:
            self.close()

    def close(self) -> None:
        """Let deliveries that run come to their end; those that wait are taken up by others."""
        self._lanes.close()

    def stop(self) -> None:
        """Make `run` return soon; may be called from a signal handler or another thread."""
        self._stopping.set()
        self.nudge()

    def run_due(self) -> int:
        """Claim and run the jobs that are due; return how many were claimed."""
        with self._runtime.database.read() as tx:
            if not jobs.is_due(tx, now=self._runtime.clock()):
                return 0
        with self._runtime.database.write() as tx:
            claimed = jobs.claim(tx, now=self._runtime.clock(), count=MOST_CLAIMED)
        for job in claimed:
            self._start(job)
        return len(claimed)

    def _turn(self) -> timedelta:
        """Do what is due; return how long nothing more will be."""
        try:
            self._timers.run_due()
            return timedelta(0) if self.run_due() else POLL_EVERY
        except Unavailable as error:
            _log.warning("worker.database.missed", reason=str(error))
            return WAIT_WHEN_DOWN
        except Exception:  # noqa: BLE001  one broken row must not end the worker for all others
            _log.exception("worker.turn.failed")
            return WAIT_WHEN_DOWN

    def _start(self, job: ClaimedJob) -> None:
        work = JOBS.get(job.type)
        if work is None:
            self._settle(job, Failed(f"no such type of job: {job.type}", tries=1))
            return
        try:
            lane = None if work.lane is None else work.lane(job)
        except ValueError as error:
            self._settle(job, Failed(str(error), tries=1))
            return
        if lane is None:
            self._run(job, work)
        elif not self._lanes.offer(lane, partial(self._run, job, work)):
            with self._runtime.database.write() as tx:
                jobs.release(tx, job.id, not_before=self._runtime.clock() + LANE_FULL)

    def _run(self, job: ClaimedJob, work: Work) -> None:
        try:
            result = work.run(self._runtime, job)
        except Unavailable as error:
            _log.warning("worker.database.missed", job=job.id, reason=str(error))
            return  # The claim runs out, and the job is taken up again.
        except Exception as error:  # noqa: BLE001  a job that fails is tried again, and then kept
            _log.exception("job.run.failed", job=job.id, type=job.type)
            result = Failed(type(error).__name__)
        self._settle(job, result)

    def _settle(self, job: ClaimedJob, result: Result) -> None:
        match result:
            case Done():
                return
            case Failed(reason, tries):
                reason = reason[:_LONGEST_REASON]
                buried = job.attempts >= tries
                with self._runtime.database.write() as tx:
                    if buried:
                        jobs.bury(tx, job.id, error=reason)
                    else:
                        wait = back_off(job.attempts, self._chance())
                        jobs.retry(
                            tx, job.id, not_before=self._runtime.clock() + wait, error=reason
                        )
        event = "job.run.buried" if buried else "job.run.delayed"
        _log.warning(event, job=job.id, type=job.type, attempts=job.attempts, reason=reason)


__all__ = ["Nudge", "Worker", "back_off"]
