"""`pdp source`: who may send signals."""

import secrets
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import click

from pdp.cli.calls import deliver, told
from pdp.cli.context import pass_runtime
from pdp.cli.failures import Denied, Failed
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.cli.parameters import DURATION
from pdp.domain.errors import NotFound
from pdp.domain.ids import SourceId
from pdp.runtime import Runtime
from pdp.sources import SOURCES
from pdp.sources.signatures import format_secret
from pdp.store import signals, sources
from pdp.usecases.configure_source import add_source, rotate_source_secret
from pdp.usecases.open_source import disable_source, enable_source

_SECRET_BYTES: Final = 32


@click.group()
def source() -> None:
    """Set up the sources of signals: EDR, MDM and the like."""


@source.command()
@click.argument("source_id", metavar="ID")
@click.option("--adapter", type=click.Choice(sorted(SOURCES)), default="generic", show_default=True)
@pass_runtime
def add(runtime: Runtime, source_id: str, adapter: str) -> None:
    """Set up the source ID, and show the secret that signs its deliveries, once."""
    secret = format_secret(secrets.token_bytes(_SECRET_BYTES))
    with runtime.database.write() as tx:
        add_source(
            tx,
            runtime.envelope,
            SourceId(source_id),
            adapter=adapter,
            secret=secret,
            actor=actor(),
            now=runtime.clock(),
        )
    _show_once(runtime, source_id, secret)


@source.command("list")
@pass_runtime
def list_sources(runtime: Runtime) -> None:
    """List every source, and when its last believed delivery came."""
    with runtime.database.read() as tx:
        found = sources.load_all(tx, runtime.envelope)
        last_received = signals.last_received(tx)
    now = runtime.clock()
    show(
        [
            {
                "id": each.id,
                "adapter": each.adapter,
                "enabled": each.enabled,
                "secrets": len(each.ring(now)),
                "last_delivery": last_received.get(each.id),
            }
            for each in found.values()
        ]
    )


@source.command("rotate-secret")
@click.argument("source_id", metavar="ID")
@click.option(
    "--overlap",
    type=DURATION,
    default="24h",
    show_default=True,
    help="How long the present secret goes on working; 0s ends it at once.",
)
@pass_runtime
def rotate_secret(runtime: Runtime, source_id: str, overlap: timedelta) -> None:
    """Give the source ID a new secret, and show it once."""
    secret = format_secret(secrets.token_bytes(_SECRET_BYTES))
    now = runtime.clock()
    with runtime.database.write() as tx:
        rotate_source_secret(
            tx,
            runtime.envelope,
            SourceId(source_id),
            secret=secret,
            old_expires_at=now + overlap,
            actor=actor(),
            now=now,
        )
    _show_once(runtime, source_id, secret)


@source.command()
@click.argument("source_id", metavar="ID")
@pass_runtime
def disable(runtime: Runtime, source_id: str) -> None:
    """Refuse what the source ID sends."""
    with runtime.database.write() as tx:
        changed = disable_source(
            tx, runtime.envelope, SourceId(source_id), actor=actor(), now=runtime.clock()
        )
    say(f"{source_id} {'is disabled' if changed else 'was disabled already'}")


@source.command()
@click.argument("source_id", metavar="ID")
@pass_runtime
def enable(runtime: Runtime, source_id: str) -> None:
    """Take what the source ID sends again."""
    with runtime.database.write() as tx:
        changed = enable_source(
            tx, runtime.envelope, SourceId(source_id), actor=actor(), now=runtime.clock()
        )
    say(f"{source_id} {'is enabled' if changed else 'was enabled already'}")


@source.command()
@click.argument("source_id", metavar="ID")
@pass_runtime
def test(runtime: Runtime, source_id: str) -> None:
    """Send the running server a signed, empty delivery, and say whether its signature counts.

    Nothing is applied: an empty delivery is refused for its content (400) once the signature
    was believed.
    """
    with runtime.database.read() as tx:
        found = sources.load_all(tx, runtime.envelope).get(SourceId(source_id))
    if found is None:
        raise NotFound("source", source_id)
    ring = found.ring(runtime.clock())
    if not ring:
        raise Failed(
            f"{source_id} has no secret that works: `pdp source rotate-secret {source_id}`"
        )
    answer = deliver(runtime.settings.issuer, source_id, b"", ring[0], now=runtime.clock())
    if answer.status == HTTPStatus.BAD_REQUEST:
        say(f"{source_id}: the server is there and believes the signature")
        return
    raise Denied(f"{source_id}: the server answered {answer.status}: {told(answer)}")


def _show_once(runtime: Runtime, source_id: str, secret: str) -> None:
    url = f"{runtime.settings.issuer}/webhooks/{source_id}"
    show({"source": source_id, "url": url, "secret": secret})
    say("the secret is shown this once: give it to the sender")
