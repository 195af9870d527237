"""`pdp job`: what waits to be carried out, and what was given up."""

from datetime import datetime
from typing import Final, Protocol

import click

from pdp.cli.context import pass_runtime
from pdp.cli.failures import Failed
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.domain.errors import NotFound
from pdp.domain.ids import ClientId
from pdp.runtime import Runtime
from pdp.store import clients, jobs
from pdp.store.database import Transaction
from pdp.store.jobs import JobState, StoredJob
from pdp.usecases.administer_jobs import drop_job, retry_job

_ALL: Final = 1_000_000


class _Word(Protocol):
    """What a person may say of one job; False if a worker was faster."""

    def __call__(self, tx: Transaction, job_id: str, *, actor: str, now: datetime) -> bool: ...


_some = click.argument("job_ids", metavar="[ID]...", nargs=-1)
_all_dead = click.option("--all-dead", is_flag=True, help="Every job that was given up.")
_of_client = click.option("--client", default="", help="Only logouts for this client.")


@click.group()
def job() -> None:
    """Look at jobs: changes to be carried out, logouts to be delivered."""


@job.command("list")
@click.option(
    "--state", type=click.Choice([each.value for each in JobState]), help="Only in this state."
)
@_of_client
@click.option("--count", type=click.IntRange(1, 10_000), default=100, show_default=True)
@pass_runtime
def list_jobs(runtime: Runtime, state: str | None, client: str, count: int) -> None:
    """List jobs, the oldest first: `ready` waits, `running` is tried now, `dead` was given up."""
    with runtime.database.read() as tx:
        _must_be_known(tx, client)
        found = jobs.list_some(
            tx, state=None if state is None else JobState(state), receiver=client, count=count
        )
        total = jobs.total(tx) if len(found) == count else len(found)
    now = runtime.clock()
    show(
        [
            {
                "id": each.id,
                "type": each.type,
                "client": each.receiver or None,
                "state": each.state,
                "attempts": each.attempts,
                "since": each.created_at,
                # One that is due waits for its receiver to have room, or to be well again.
                "next": _next(each, now),
                "last_error": each.last_error,
            }
            for each in found
        ]
    )
    if total > len(found):
        say(f"there may be more: {total} jobs in all (--count, --state, --client)")


def _next(job: StoredJob, now: datetime) -> datetime | str | None:
    if job.state is not JobState.READY:
        return None
    return job.not_before if job.not_before > now else "due"


@job.command()
@_some
@_all_dead
@_of_client
@pass_runtime
def retry(runtime: Runtime, job_ids: tuple[str, ...], client: str, *, all_dead: bool) -> None:
    """Try the jobs ID again at once, as if they were new."""
    chosen = _chosen(runtime, job_ids, client, all_dead=all_dead, all_waiting=False)
    _do_all(runtime, retry_job, chosen, done="to be tried at once")


@job.command()
@_some
@_all_dead
@click.option("--all-waiting", is_flag=True, help="With --client: what waits for it, too.")
@_of_client
@pass_runtime
def drop(
    runtime: Runtime, job_ids: tuple[str, ...], client: str, *, all_dead: bool, all_waiting: bool
) -> None:
    """Let the jobs ID go: nobody carries them out any more."""
    chosen = _chosen(runtime, job_ids, client, all_dead=all_dead, all_waiting=all_waiting)
    _do_all(runtime, drop_job, chosen, done="dropped")


def _do_all(runtime: Runtime, word: _Word, chosen: list[str], *, done: str) -> None:
    left = []
    for job_id in chosen:
        with runtime.database.write() as tx:
            if not word(tx, job_id, actor=actor(), now=runtime.clock()):
                left.append(job_id)
    say(f"{len(chosen) - len(left)} {done}")
    if left:
        raise Failed(f"a worker is at it, or has just done it: {', '.join(left)}")


def _must_be_known(tx: Transaction, client: str) -> None:
    """Fail if nobody bears the name: nothing of a client that is misspelt looks like all well."""
    if client and ClientId(client) not in clients.load_all(tx):
        raise NotFound("client", client)


def _chosen(
    runtime: Runtime, job_ids: tuple[str, ...], client: str, *, all_dead: bool, all_waiting: bool
) -> list[str]:
    """Return the jobs that a command is about: named ones that are there, or all of a kind."""
    is_of_all = all_dead or all_waiting
    if bool(job_ids) == is_of_all or (client and not is_of_all):
        raise click.UsageError("name jobs, or say --all-dead (of one receiver: and --client ID)")
    if all_waiting and not client:
        raise click.UsageError("--all-waiting goes with --client: changes of ours must not go")
    with runtime.database.read() as tx:
        _must_be_known(tx, client)
        # All are looked up before any is touched.
        for job_id in job_ids:
            if jobs.get(tx, job_id) is None:
                raise NotFound("job", job_id)
        if job_ids:
            return list(dict.fromkeys(job_ids))
        states = [JobState.DEAD] * all_dead + [JobState.READY] * all_waiting
        return [
            each.id
            for state in states
            for each in jobs.list_some(tx, state=state, receiver=client, count=_ALL)
        ]
