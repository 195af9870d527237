"""`pdp serve`: one command for everything that runs."""

import os
import tempfile
from importlib import import_module
from pathlib import Path

import click

from pdp.cli.failures import Failed
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
    with tempfile.TemporaryDirectory(prefix="pratique-metrics-") as fresh:
        folder = Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", fresh))
        _empty(folder)
        # Metrics open their files when they are imported: so nothing that counts is, before.
        supervisor = import_module("pdp.cli.supervisor")
        supervisor.run(settings, parts or PARTS)


def _empty(folder: Path) -> None:
    """Remove what processes of an earlier run counted: it would be added up for ever."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.db"):
            path.unlink()
    except OSError as error:
        raise Failed(
            f"PROMETHEUS_MULTIPROC_DIR: {folder} cannot be emptied: {error.strerror}"
        ) from error
