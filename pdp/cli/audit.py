"""`pdp audit`: who changed what, and when."""

from datetime import datetime, timedelta

import click

from pdp.cli.context import pass_runtime
from pdp.cli.failures import Failed
from pdp.cli.output import show
from pdp.cli.parameters import in_period, period
from pdp.cli.people import find_pseudonym
from pdp.runtime import Runtime
from pdp.store import audit_trail


@click.group()
def audit() -> None:
    """Read the audit record."""


@audit.command("list")
@click.option("--kind", default="", help="Only about one kind: subject, client, device, key …")
@click.option("--object", "object_id", default="", help="Only about the object of this id.")
@click.option("--user", default="", help="Only about this person: username, or `usr_…`.")
@click.option("--actor", default="", help="Only what this actor did, as cli:ada.")
@click.option("--count", type=click.IntRange(1, 10_000), default=50, show_default=True)
@in_period
@pass_runtime
def list_events(  # noqa: PLR0917  each option is one filter
    runtime: Runtime,
    kind: str,
    object_id: str,
    user: str,
    actor: str,
    count: int,
    since: datetime | timedelta | None,
    until: datetime | timedelta | None,
) -> None:
    """List the newest events."""
    if user and object_id:
        raise Failed("--user and --object both name what it is about: give one of them")
    wanted = period(since, until, runtime.clock())
    with runtime.database.read() as tx:
        object_id = find_pseudonym(tx, user) if user else object_id
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
