"""End what is running: a browser session, the grants given from it, and tell who relies on them."""

from datetime import datetime

from pdp.domain.events import Action, Event
from pdp.domain.ids import ClientId, SessionId, SubjectId
from pdp.domain.session import EndReason
from pdp.store import audit, grants, sessions
from pdp.store.database import Transaction
from pdp.store.exposures import Receiver
from pdp.usecases.configuration import Configuration
from pdp.usecases.follow_ups import DeliverLogout, follow_up


def end_browser_session(
    tx: Transaction,
    session_id: SessionId,
    reason: EndReason,
    configuration: Configuration,
    *,
    now: datetime,
    actor: str,
) -> bool:
    """End a session, its grants, and by back-channel logout the relying parties' sessions.

    Returns False if it had ended before. A person who merely signs out keeps the grants that
    asked for `offline_access` (OpenID Connect Core §11): that is what it is for.
    """
    if not sessions.end_session(tx, session_id, reason, now):
        return False
    receivers: dict[ClientId, SubjectId] = {}
    for grant, scopes in grants.live_grants_of_session(tx, session_id, now):
        if not (reason is EndReason.SIGNED_OUT and "offline_access" in scopes):
            grants.revoke_grant(tx, grant.id, reason, now)
        client = configuration.clients.get(grant.client)
        if client is not None and client.backchannel_logout_uri is not None:
            receivers[grant.client] = grant.subject
    # Once for each relying party, however often the session signed in to it.
    for client_id, subject in receivers.items():
        receiver = Receiver(client=client_id, session=session_id, committed_at=now)
        follow_up(tx, DeliverLogout(receiver=receiver, subject=subject), now=now)
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=Action.SESSION_ENDED,
            kind="session",
            object_id=session_id,
            detail={"reason": reason.value},
        ),
    )
    return True
