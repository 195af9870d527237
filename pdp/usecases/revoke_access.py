"""End what is running: a browser session, the grants given from it, and tell who relies on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pdp.domain.client import Client
from pdp.domain.events import Action, Event
from pdp.domain.ids import ClientId, SessionId
from pdp.domain.session import EndReason
from pdp.store import audit, grants, sessions
from pdp.store.database import Transaction
from pdp.store.exposures import Receiver
from pdp.store.grants import LiveGrant
from pdp.usecases.follow_ups import DeliverLogout, follow_up


class KnowsClients(Protocol):
    """Whatever can say which relying parties there are: a configuration does, among others."""

    @property
    def clients(self) -> Mapping[ClientId, Client]:
        """Every client by its id."""
        ...


@dataclass(frozen=True, slots=True)
class RegisteredClients:
    """The clients alone: access can be ended though the policies in force do not parse."""

    clients: Mapping[ClientId, Client]


@dataclass(frozen=True, slots=True)
class Reach:
    """Which clients of a session its end is told to, and which must be left by hand."""

    told: tuple[ClientId, ...]
    untold: tuple[ClientId, ...]


def reach_of_end(
    tx: Transaction, session_id: SessionId, configuration: KnowsClients, *, now: datetime
) -> Reach:
    """Say whom `end_browser_session` will tell of this session, which is live.

    A client whose grant is over already counts as untold: its own session may go on.
    """
    live = {grant.client for grant, _ in grants.live_grants_of_session(tx, session_id, now)}
    used = grants.clients_of_session(tx, session_id)
    told = tuple(each for each in used if each in live and _takes_logouts(configuration, each))
    return Reach(told=told, untold=tuple(each for each in used if each not in told))


def end_browser_session(
    tx: Transaction,
    session_id: SessionId,
    reason: EndReason,
    configuration: KnowsClients,
    *,
    now: datetime,
    actor: str,
) -> bool:
    """End a session, its grants, and by back-channel logout the relying parties' sessions.

    Returns False, and touches nothing, if it had ended before. A person who merely signs out
    keeps the grants that asked for `offline_access` (OpenID Connect Core §11): that is what it
    is for.
    """
    if not sessions.end_session(tx, session_id, reason, now):
        return False
    cut_off = end_grants(tx, session_id, reason, now=now)
    note_session_ended(tx, session_id, reason, cut_off, actor=actor, now=now)
    tell_relying_parties(tx, cut_off, configuration, committed_at=now, now=now)
    return True


def end_grants(
    tx: Transaction, session_id: SessionId, reason: EndReason, *, now: datetime
) -> list[LiveGrant]:
    """Revoke what was given from a session; return what its relying parties must hear of."""
    cut_off: list[LiveGrant] = []
    for grant, scopes in grants.live_grants_of_session(tx, session_id, now):
        if not (reason is EndReason.SIGNED_OUT and "offline_access" in scopes):
            grants.revoke_grant(tx, grant.id, reason, now)
        cut_off.append(grant)
    return cut_off


def note_session_ended(
    tx: Transaction,
    session_id: SessionId,
    reason: EndReason,
    cut_off: Iterable[LiveGrant],
    *,
    actor: str,
    now: datetime,
) -> None:
    """Leave an audit row of a session that has just ended, and of the grants it took along."""
    detail: dict[str, object] = {
        "reason": reason.value,
        "grants": [grant.id for grant in cut_off],
    }
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=Action.SESSION_ENDED,
            kind="session",
            object_id=session_id,
            detail=detail,
        ),
    )


def tell_relying_parties(
    tx: Transaction,
    cut_off: Iterable[LiveGrant],
    configuration: KnowsClients,
    *,
    committed_at: datetime,
    now: datetime,
) -> None:
    """Queue a logout for every relying party that takes one, one for each of its sessions.

    `committed_at` (UTC) is the instant of the change that this follows.
    """
    told: set[Receiver] = set()
    for grant in cut_off:
        receiver = Receiver(client=grant.client, session=grant.session, committed_at=committed_at)
        if receiver in told or not _takes_logouts(configuration, grant.client):
            continue
        told.add(receiver)
        follow_up(tx, DeliverLogout(receiver=receiver, subject=grant.subject), now=now)


def _takes_logouts(configuration: KnowsClients, client_id: ClientId) -> bool:
    client = configuration.clients.get(client_id)
    return client is not None and client.backchannel_logout_uri is not None
