"""`pdp health`: asks the server on this machine how it is; for container platforms."""

import http.client
from typing import Final

import click

from pdp.cli.failures import Unexpected
from pdp.cli.settings_report import read_settings

_SECONDS: Final = 4
_OK: Final = 200


@click.command()
@click.option("--live", is_flag=True, help="Only whether it runs, whatever it depends on.")
def health(live: bool) -> None:  # noqa: FBT001  a flag is what it is
    """Ask the running server whether it is ready; exit code 1, and its answer, if it is not."""
    server = read_settings().server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.management_host, server.management_host)  # noqa: S104  it is compared
    connection = http.client.HTTPConnection(host, server.management_port, timeout=_SECONDS)
    try:
        connection.request("GET", "/livez" if live else "/readyz")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Unexpected(
            f"nothing answers at {host} port {server.management_port}: is `pdp serve` running?"
        ) from error
    finally:
        connection.close()
    if answer.status != _OK:
        raise Unexpected(f"the server is not ready: {text}")
    click.echo(text)
