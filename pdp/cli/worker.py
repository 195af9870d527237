"""`pdp worker`: carries out what changes ask for, until told to stop."""

import click

from pdp import logs
from pdp.cli.context import pass_runtime
from pdp.cli.processes import die_with, keep_loaded, stop_when_told
from pdp.runtime import Runtime
from pdp.worker.loop import THREADS, Worker


@click.command()
@click.option("--threads", type=click.IntRange(1, 256), default=THREADS, show_default=True)
@click.option("--supervisor", type=int, hidden=True, help="Process to end with.")
@pass_runtime
def worker(runtime: Runtime, threads: int, supervisor: int | None) -> None:
    """Carry out jobs: back-channel logouts, reviews that fall due, clean-up.

    `pdp serve` runs one; on PostgreSQL more may run, on other machines too.
    """
    if supervisor is not None:
        die_with(supervisor)
    logs.configure(runtime.settings.logging.level)
    logs.take_over()
    keep_loaded()
    running = Worker(runtime, threads=threads)
    stop_when_told(running.stop)
    running.run()
