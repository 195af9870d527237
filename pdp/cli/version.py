"""`pdp version`."""

import click

from pdp import __version__


@click.command()
def version() -> None:
    """Show the version of this program."""
    click.echo(f"pratique {__version__}")
