"""A person's word on jobs that wait or were given up: begin anew, or let go."""

from datetime import datetime

from pdp.domain.events import Action, Event
from pdp.store import audit, jobs
from pdp.store.database import Transaction
from pdp.store.jobs import StoredJob


def retry_job(tx: Transaction, job_id: str, *, actor: str, now: datetime) -> bool:
    """Let a job begin anew, at once; False if a worker is at it, or has done it meanwhile."""
    job = jobs.get(tx, job_id)
    if job is None or not jobs.revive(tx, job_id, now=now):
        return False
    _tell(tx, Action.JOB_RETRIED, job, actor=actor, now=now)
    return True


def drop_job(tx: Transaction, job_id: str, *, actor: str, now: datetime) -> bool:
    """Let a job go; False if a worker is at it, or has done it meanwhile."""
    job = jobs.get(tx, job_id)
    if job is None or not jobs.drop(tx, job_id):
        return False
    _tell(tx, Action.JOB_DROPPED, job, actor=actor, now=now)
    return True


def _tell(tx: Transaction, action: Action, job: StoredJob, *, actor: str, now: datetime) -> None:
    detail: dict[str, object] = {"type": job.type, "receiver": job.receiver}
    audit.append(
        tx,
        Event(at=now, actor=actor, action=action, kind="job", object_id=job.id, detail=detail),
    )
