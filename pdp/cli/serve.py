"""`pdp serve`: one command for everything that runs."""

import os
import tempfile
from importlib import import_module

import click

from pdp.cli.settings_report import read_settings

PARTS = ("http", "worker")


@click.command()
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    help="Only this part, beside the management address; both, if left out.",
)
def serve(parts: tuple[str, ...]) -> None:
    """Run HTTP server, worker and management address until SIGTERM or Ctrl-C."""
    settings = read_settings()
    given = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    with tempfile.TemporaryDirectory(prefix="pratique-metrics-") as folder:
        # Metrics read the variable when they are imported: so nothing that counts is, before.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = given or folder
        supervisor = import_module("pdp.cli.supervisor")
        supervisor.run(settings, parts or PARTS)
