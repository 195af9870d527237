"""`pdp audit`: who changed what, and when."""

import click

from pdp.cli.context import pass_runtime
from pdp.cli.output import show
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
@pass_runtime
def list_events(runtime: Runtime, kind: str, object_id: str, actor: str, count: int) -> None:
    """List the newest events."""
    with runtime.database.read() as tx:
        found = audit_trail.recent(tx, kind=kind, object_id=object_id, actor=actor, count=count)
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
