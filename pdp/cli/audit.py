"""`pdp audit`: who changed what, and when."""

from datetime import datetime, timedelta

import click

from pdp.cli.context import pass_runtime
from pdp.cli.output import show
from pdp.cli.parameters import in_period, period
from pdp.runtime import Runtime
from pdp.store import audit_trail


@click.group()
def audit() -> None:
    """Read the audit record."""


@audit.command("list")
@click.option("--kind", default="", help="Only about one kind: subject, client, device, key …")
@click.option("--object", "object_id", default="", help="Only about the object of this id.")
@click.option("--actor", default="", help="Only what this actor did, as cli:ada.")
@click.option("--count", type=click.IntRange(1, 10_000), default=50, show_default=True)
@in_period
@pass_runtime
def list_events(  # noqa: PLR0917  each option is one filter
    runtime: Runtime,
    kind: str,
    object_id: str,
    actor: str,
    count: int,
    since: datetime | timedelta | None,
    until: datetime | timedelta | None,
) -> None:
    """List the newest events."""
    wanted = period(since, until, runtime.clock())
    with runtime.database.read() as tx:
        found = audit_trail.recent(
            tx, kind=kind, object_id=object_id, actor=actor, period=wanted, count=count
        )
    show(
        [
            {
                "at": event.at,
                "actor": event.actor,
                "action": event.action,
                "kind": event.kind,
                "object": event.object_id,
                "detail": event.detail,
            }
            for event in found
        ]
    )
