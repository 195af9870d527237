"""`pdp session`: who is signed in, and out with them."""

import click

from pdp.cli.context import pass_runtime
from pdp.cli.failures import Failed
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.cli.user import registered_clients
from pdp.domain.errors import NotFound
from pdp.domain.ids import SessionId
from pdp.domain.session import EndReason
from pdp.runtime import Runtime
from pdp.store import sessions, subjects
from pdp.usecases.revoke_access import end_browser_session


@click.group()
def session() -> None:
    """List and end browser sessions."""


@session.command("list")
@click.option("--user", "username", help="Only this person's.")
@pass_runtime
def list_sessions(runtime: Runtime, username: str | None) -> None:
    """List live sessions, the oldest first."""
    now = runtime.clock()
    with runtime.database.read() as tx:
        people = {subject.id: subject.username for subject in subjects.list_all(tx)}
        live = sessions.list_live(tx, now=now)
    if username is not None and username not in people.values():
        raise NotFound("user", username)
    show(
        [
            {
                "id": each.id,
                "user": people.get(each.subject, each.subject),
                "device": each.device,
                "acr": each.acr,
                "address": each.address,
                "since": each.created_at,
                "until": min(each.idle_expires_at, each.expires_at),
            }
            for each in live
            if username is None or people.get(each.subject) == username
        ]
    )


@session.command()
@click.argument("session_id", metavar="ID")
@pass_runtime
def revoke(runtime: Runtime, session_id: str) -> None:
    """End the session ID, its grants and tokens, and tell relying parties."""
    now = runtime.clock()
    with runtime.database.write() as tx:
        if sessions.get(tx, SessionId(session_id)) is None:
            raise NotFound("session", session_id)
        ended = end_browser_session(
            tx,
            SessionId(session_id),
            EndReason.REVOKED,
            registered_clients(tx),
            now=now,
            actor=actor(),
        )
    if not ended:
        raise Failed(f"session {session_id} had ended before")
    say(f"session {session_id} is over, with its grants and tokens")
