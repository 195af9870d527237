"""The worker: claim jobs, run them, try again later, give up loudly; stop when told to.

At least once: a worker that dies leaves its claims to run out, and another one takes over. When
the database is down it waits and asks again; nothing is lost, since jobs are rows. What has to
reach somebody is claimed only while that receiver has room for it.
"""

import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from pdp.domain.errors import Unavailable
from pdp.runtime import Runtime
from pdp.store import jobs
from pdp.store.database import Transaction
from pdp.store.jobs import ClaimedJob
from pdp.usecases.follow_ups import UnreadableJob
from pdp.worker.back_off import back_off
from pdp.worker.jobs import JOBS, Run
from pdp.worker.lanes import LONGEST_QUEUE, Lanes
from pdp.worker.logout import count_given_up
from pdp.worker.result import Done, Failed, Result
from pdp.worker.timers import Timers

#: Without a nudge a job waits for half of this on average. Asking is one read by an index.
POLL_EVERY: Final = timedelta(milliseconds=20)
WAIT_WHEN_DOWN: Final = timedelta(seconds=1)
#: Deliveries at the same time: they wait for others, and some hang until their time is over.
THREADS: Final = 32
#: Jobs taken in one transaction.
MOST_CLAIMED: Final = 32
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


class Worker:
    """Carries out jobs of one database until it is stopped."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        threads: int = THREADS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._runtime = runtime
        self._chance = chance
        self._timers = Timers(runtime)
        self._stopping = threading.Event()
        self.nudge = Nudge()
        self._lanes = Lanes(self._deliver, threads=threads, on_room=self.nudge)

    def run(self) -> None:
        """Work until `stop`; then let what runs come to its end."""
        try:
            while not self._stopping.is_set():
                self.nudge.wait(self._turn())
        finally:
            self.close()

    def close(self) -> None:
        """Let deliveries that run come to their end; give back those that wait, before that.

        Another worker takes them up at once; if the database is down, once their claims ran out.
        """
        if waiting := self._lanes.close():
            self._give_back(*waiting)
        self._lanes.wait()

    def stop(self) -> None:
        """Make `run` return soon; may be called from a signal handler or another thread."""
        self._stopping.set()
        self.nudge()

    def run_due(self) -> int:
        """Claim and run the jobs that are due; return how many were claimed."""
        now = self._runtime.clock()
        with self._runtime.database.read() as tx:
            due = jobs.receivers_due(tx, now=now)
        room = {receiver: self._room(receiver, now) for receiver in due}
        if not any(room.values()):
            return 0
        with self._runtime.database.write() as tx:
            claimed = self._claim(tx, room, now)
        for job in claimed:
            self._start(job)
        return len(claimed)

    def _claim(self, tx: Transaction, room: Mapping[str, int], now: datetime) -> list[ClaimedJob]:
        """Claim what there is room for: our own rows first, then for whom least is under way."""
        claimed = jobs.claim(tx, now=now, count=room.get(jobs.NOBODY, 0))
        within = LONGEST_QUEUE * self._runtime.settings.outbound.timeout + jobs.CLAIM
        left = MOST_CLAIMED
        others = [each for each in room if room[each] and each != jobs.NOBODY]
        for receiver in sorted(others, key=lambda each: -room[each]):
            count = min(room[receiver], left)
            taken = jobs.claim(tx, now=now, receiver=receiver, count=count, within=within)
            claimed += taken
            left -= len(taken)
        return claimed

    def _room(self, receiver: str, now: datetime) -> int:
        return MOST_CLAIMED if receiver == jobs.NOBODY else self._lanes.room(receiver, now)

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
        run = JOBS.get(job.type)
        if run is None:
            self._settle(job, Failed(f"no such type of job: {job.type}", tries=1))
        elif job.receiver == jobs.NOBODY:
            self._settle(job, self._run(job, run))
        else:
            self._lanes.start(job.receiver, job)

    def _deliver(self, job: ClaimedJob) -> None:
        """Carry out a job that has to reach somebody, in a thread of its own."""
        if self._lanes.rests(job.receiver, self._runtime.clock()):
            self._give_back(job)
            return
        result = self._run(job, JOBS[job.type])
        match result:
            case Failed(receiver_is_down=True):
                self._lanes.failed(job.receiver, now=self._runtime.clock(), chance=self._chance())
            case Done(is_answered=True) | Failed(is_answered=True):
                self._lanes.answered(job.receiver)
            case _:
                # Nobody was asked: that says nothing of the receiver.
                pass
        self._settle(job, result)

    def _give_back(self, *untried: ClaimedJob) -> None:
        """Leave jobs for later, or for others: their receiver is away, or this worker ends."""
        try:
            with self._runtime.database.write() as tx:
                jobs.release(tx, untried)
        except Unavailable as error:
            held = [job.id for job in untried]
            _log.warning("worker.database.missed", jobs=held, reason=str(error))

    def _run(self, job: ClaimedJob, run: Run) -> Result | None:
        """Return what came of it; None if the database was away, so that nobody can tell."""
        try:
            return run(self._runtime, job)
        except UnreadableJob as error:
            return Failed(str(error), tries=1)  # it will not become readable
        except Unavailable as error:
            _log.warning("worker.database.missed", job=job.id, reason=str(error))
            return None
        except Exception as error:  # noqa: BLE001  a job that fails is tried again, and then kept
            _log.exception("job.run.failed", job=job.id, type=job.type)
            return Failed(type(error).__name__)

    def _settle(self, job: ClaimedJob, result: Result | None) -> None:
        """Write what came of a job; if that cannot be, it is done again when its claim runs out."""
        if not isinstance(result, Failed):
            return
        reason = result.reason[:_LONGEST_REASON]
        is_refused = result.tries is not None
        is_over = result.tries is not None and job.refusals + 1 >= result.tries
        wait = back_off(job.attempts, self._chance())
        try:
            with self._runtime.database.write() as tx:
                if is_over:
                    jobs.bury(tx, job.id, error=reason)
                else:
                    jobs.delay(
                        tx,
                        job.id,
                        not_before=self._runtime.clock() + wait,
                        error=reason,
                        is_refused=is_refused,
                    )
        except Unavailable as error:
            _log.warning("worker.database.missed", job=job.id, reason=str(error))
            return
        if is_over:
            count_given_up(job.receiver)
        _log.warning(
            "job.run.buried" if is_over else "job.run.delayed",
            job=job.id,
            type=job.type,
            client=job.receiver or None,
            attempts=job.attempts,
            reason=reason,
        )
