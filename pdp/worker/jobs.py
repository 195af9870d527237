"""Every type of job, and the function that carries it out."""

from collections.abc import Callable, Mapping
from typing import Final

from pdp.runtime import Runtime
from pdp.store import jobs
from pdp.store.jobs import ClaimedJob
from pdp.usecases.follow_ups import DeliverLogout, PropagateChange
from pdp.usecases.propagate_change import propagate_change
from pdp.worker.logout import deliver_logout
from pdp.worker.result import Done, Result

Run = Callable[[Runtime, ClaimedJob], Result]


def _propagate(runtime: Runtime, job: ClaimedJob) -> Result:
    change = PropagateChange.read(job.payload)
    with runtime.database.write() as tx:
        if jobs.finish(tx, job.id):
            configuration = runtime.configurations.current(tx)
            propagate_change(tx, change, configuration, now=runtime.clock())
    return Done()


JOBS: Final[Mapping[str, Run]] = {
    PropagateChange.type: _propagate,
    DeliverLogout.type: deliver_logout,
}
