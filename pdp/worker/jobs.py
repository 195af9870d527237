"""Every type of job, and the function that carries it out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pdp.runtime import Runtime
from pdp.store import jobs
from pdp.store.jobs import ClaimedJob
from pdp.usecases.follow_ups import DeliverLogout, PropagateChange
from pdp.usecases.propagate_change import propagate_change
from pdp.worker.logout import deliver_logout
from pdp.worker.result import Done, Result

Run = Callable[[Runtime, ClaimedJob], Result]


@dataclass(frozen=True, slots=True)
class Work:
    """How jobs of one type are carried out.

    `lane` names whom a job waits for: jobs of other lanes do not wait with it. Without one a
    job is rows alone, and runs at once in the loop.
    """

    run: Run
    lane: Callable[[ClaimedJob], str] | None = None


def _propagate(runtime: Runtime, job: ClaimedJob) -> Result:
    change = PropagateChange.read(job.payload)
    with runtime.database.write() as tx:
        if jobs.finish(tx, job.id):
            configuration = runtime.configurations.current(tx)
            propagate_change(tx, change, configuration, now=runtime.clock())
    return Done()


def _receiver(job: ClaimedJob) -> str:
    return DeliverLogout.read(job.payload).receiver.client


JOBS: Final[Mapping[str, Work]] = {
    PropagateChange.type: Work(_propagate),
    DeliverLogout.type: Work(deliver_logout, lane=_receiver),
}
