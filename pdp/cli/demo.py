"""`pdp demo`: a whole deployment in one folder, to try by hand or to watch play by itself."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from pdp.cli.demonstration.cast import DEVICES, PEOPLE, SOURCE
from pdp.cli.demonstration.deployment import deployed, new_links, reopen, set_up
from pdp.cli.demonstration.folder import DemoFolder, Notes
from pdp.cli.demonstration.play import play
from pdp.cli.demonstration.programs import check_examples

_FOLDER: Final = Path("var") / "demo"
_PORT: Final = 8080


@click.command()
@click.option("--story", is_flag=True, help="Play the story by itself; exit 0 if all happened.")
@click.option("--fresh", is_flag=True, help="Delete what an earlier demo left, and begin anew.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help=f"Port of the server; else {_PORT}. The next free one if it is in use.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=_FOLDER,
    show_default=True,
    help="Holds everything of the demo, and nothing else.",
)
def demo(*, story: bool, fresh: bool, port: int | None, folder: Path) -> None:
    """Run server, example application and five devices on this machine, until Ctrl-C.

    Plain http on loopback: for trying things out, never for production.
    """
    check_examples()
    if story:
        play()
        return
    with DemoFolder.at(folder, fresh=fresh) as place:
        _run(place, port)


def _run(place: DemoFolder, port: int | None) -> None:
    """Go on with the demo that is in the folder, or begin one, until Ctrl-C."""
    notes = reopen(place, port) if place.is_set_up else set_up(place, port or _PORT)
    if port is not None and notes.port != port:
        click.echo(f"Port {port} is in use: the server takes {notes.port}.")
    try:
        with deployed(place, notes):
            _invite(place, notes, new_links(place, notes))
            threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("\nStopped. `pdp demo` goes on where it was, `pdp demo --fresh` begins anew.")


def _invite(place: DemoFolder, notes: Notes, links: Mapping[str, str]) -> None:
    """Say where everything is, and what to try."""
    device = DEVICES[0]
    # Each line can be copied into another terminal as it is.
    pdp = f".venv/bin/pdp --config {place.config}"
    send = f"{pdp} signal send {SOURCE} --device serial:{device.serial}"
    click.echo("\nThe demo runs over plain http on loopback, with cookies made for that.\n")
    click.echo(f"  Payroll, the example application   {notes.payroll}/")
    click.echo(f"  Pratique                           {notes.issuer}/account")
    click.echo(
        f"  Health, metrics                    http://127.0.0.1:{notes.management_port}/readyz"
    )
    click.echo(f"  Everything it keeps                {place.path}\n")
    click.echo("People:")
    for person in PEOPLE:
        click.echo(f"  {person.username:<8}{notes.passwords[person.username]}   {person.name}")
    click.echo("\nDevices. Each link makes one browser speak for the device, once, for 15 minutes:")
    for each in DEVICES:
        click.echo(f"  {each.name:<8}{each.owner:<7}{links[each.name]}")
    click.echo(f"""
The story:
  1. Open the link of {device.name}, then Payroll, and sign in as {device.owner}.
  2. {send} --risk high
  3. Reload Payroll: you are signed out. Sign in again: the page says why, and waits.
  4. {send} --risk low
  5. Look at the page: it goes on into Payroll by itself.
  6. {pdp} decision list       what was decided, and why

Ctrl-C stops everything.""")
