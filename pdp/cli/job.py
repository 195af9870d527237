"""`pdp job`: what waits to be carried out, and what was given up."""

import click

from pdp.cli.context import pass_runtime
from pdp.cli.failures import Failed
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.runtime import Runtime
from pdp.store import jobs
from pdp.store.jobs import JobState
from pdp.usecases.administer_jobs import drop_job, retry_job

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
        found = jobs.list_some(
            tx, state=None if state is None else JobState(state), receiver=client, count=count
        )
    show(
        [
            {
                "id": each.id,
                "type": each.type,
                "client": each.receiver or None,
                "state": each.state,
                "attempts": each.attempts,
                "since": each.created_at,
                "next": each.not_before if each.state is JobState.READY else None,
                "last_error": each.last_error,
            }
            for each in found
        ]
    )


@job.command()
@_some
@_all_dead
@_of_client
@pass_runtime
def retry(runtime: Runtime, job_ids: tuple[str, ...], client: str, *, all_dead: bool) -> None:
    """Try the jobs ID again at once, as if they were new."""
    left = []
    chosen = _chosen(runtime, job_ids, client, all_dead=all_dead)
    for job_id in chosen:
        with runtime.database.write() as tx:
            if not retry_job(tx, job_id, actor=actor(), now=runtime.clock()):
                left.append(job_id)
    say(f"{len(chosen) - len(left)} to be tried at once")
    if left:
        raise Failed(f"a worker is trying {', '.join(left)} just now")


@job.command()
@_some
@_all_dead
@_of_client
@pass_runtime
def drop(runtime: Runtime, job_ids: tuple[str, ...], client: str, *, all_dead: bool) -> None:
    """Let the jobs ID go: nobody carries them out any more."""
    chosen = _chosen(runtime, job_ids, client, all_dead=all_dead)
    for job_id in chosen:
        with runtime.database.write() as tx:
            drop_job(tx, job_id, actor=actor(), now=runtime.clock())
    say(f"{len(chosen)} dropped")


def _chosen(
    runtime: Runtime, job_ids: tuple[str, ...], client: str, *, all_dead: bool
) -> list[str]:
    """Return the jobs that a command is about: named ones, or all that were given up."""
    if bool(job_ids) == all_dead or (client and not all_dead):
        raise click.UsageError("name jobs, or say --all-dead (of one receiver: and --client)")
    if job_ids:
        return list(dict.fromkeys(job_ids))
    with runtime.database.read() as tx:
        found = jobs.list_some(tx, state=JobState.DEAD, receiver=client, count=1_000_000)
    return [each.id for each in found]
