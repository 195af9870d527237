"""Grants: what a person gave a client, narrowed and revoked by one statement each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pdp.domain.access import Outcome
from pdp.domain.ids import ClientId, DeviceId, GrantId, SessionId, SubjectId
from pdp.domain.session import EndReason, Grant
from pdp.store.base import to_json, to_micros
from pdp.store.database import Statement, Transaction

_INSERT = Statement(
    "INSERT INTO grants (id, subject_id, client_id, session_id, device_id, strength, scope, acr,"
    " amr, address, nonce, auth_time, created_at, expires_at)"
    " VALUES (:id, :subject_id, :client_id, :session_id, :device_id, :strength, :scope, :acr,"
    " :amr, :address, :nonce, :auth_time, :created_at, :expires_at)"
)

_NARROW = Statement(
    "UPDATE grants SET expires_at = :expires_at WHERE id = :id AND expires_at > :expires_at"
)
_REVOKE = Statement(
    "UPDATE grants SET revoked_at = :now, revoke_reason = :reason"
    " WHERE id = :id AND revoked_at IS NULL"
)
_REVOKE_OF_SUBJECT = Statement(
    "UPDATE grants SET revoked_at = :now, revoke_reason = :reason"
    " WHERE subject_id = :subject_id AND revoked_at IS NULL"
)
_REVOKE_OF_OTHER_SESSIONS = Statement(
    "UPDATE grants SET revoked_at = :now, revoke_reason = :reason"
    " WHERE subject_id = :subject_id AND session_id <> :kept AND revoked_at IS NULL"
)
_REVOKE_OF_SUBJECT_AND_CLIENT = Statement(
    "UPDATE grants SET revoked_at = :now, revoke_reason = :reason"
    " WHERE subject_id = :subject_id AND client_id = :client_id AND revoked_at IS NULL"
)
_NOTE_OUTCOME = Statement("UPDATE grants SET outcome = :outcome WHERE id = :id")
_IS_LIVE_ON_DEVICE = Statement(
    "SELECT 1 FROM grants"
    " WHERE device_id = :device_id AND revoked_at IS NULL AND expires_at > :now LIMIT 1"
)
_LIVE_OF_SESSION = Statement(
    "SELECT id, client_id, session_id, subject_id, outcome, scope FROM grants"
    " WHERE session_id = :session_id AND revoked_at IS NULL AND expires_at > :now ORDER BY id"
)
_CLIENTS_OF_SESSION = Statement(
    "SELECT DISTINCT client_id FROM grants WHERE session_id = :session_id ORDER BY client_id"
)


@dataclass(frozen=True, slots=True)
class LiveGrant:
    """A grant that tokens may still hang on.

    `outcome` is the one last carried out towards its relying party: full, until a change of the
    device made it another.
    """

    id: GrantId
    client: ClientId
    session: SessionId
    subject: SubjectId
    outcome: Outcome = Outcome.FULL


def insert(tx: Transaction, grant: Grant) -> None:
    """Keep a new grant."""
    tx.run(
        _INSERT,
        {
            "id": grant.id,
            "subject_id": grant.subject,
            "client_id": grant.client,
            "session_id": grant.session,
            "device_id": grant.device,
            "strength": grant.strength.value,
            "scope": " ".join(grant.scope),
            "acr": grant.acr,
            "amr": to_json(list(grant.amr)),
            "address": grant.address,
            "nonce": grant.nonce,
            "auth_time": to_micros(grant.auth_time),
            "created_at": to_micros(grant.created_at),
            "expires_at": to_micros(grant.expires_at),
        },
    )


def narrow(tx: Transaction, grant_id: GrantId, expires_at: datetime) -> None:
    """Bring the family's absolute end forward to `expires_at` (UTC); never back."""
    tx.run(_NARROW, {"id": grant_id, "expires_at": to_micros(expires_at)})


def revoke_grant(tx: Transaction, grant_id: GrantId, reason: EndReason, now: datetime) -> bool:
    """Revoke a grant and with it all its tokens; False if it was revoked before."""
    return tx.run(_REVOKE, {"id": grant_id, "reason": reason.value, "now": to_micros(now)}) == 1


def revoke_grants_of_subject(
    tx: Transaction, subject_id: SubjectId, reason: EndReason, now: datetime
) -> int:
    """Revoke every grant of a person; return how many."""
    return tx.run(
        _REVOKE_OF_SUBJECT,
        {"subject_id": subject_id, "reason": reason.value, "now": to_micros(now)},
    )


def revoke_grants_of_other_sessions(
    tx: Transaction, subject_id: SubjectId, kept: SessionId, reason: EndReason, now: datetime
) -> int:
    """Revoke every grant of a person but those given from session `kept`; return how many."""
    return tx.run(
        _REVOKE_OF_OTHER_SESSIONS,
        {
            "subject_id": subject_id,
            "kept": kept,
            "reason": reason.value,
            "now": to_micros(now),
        },
    )


def revoke_grants_to_client(
    tx: Transaction, subject_id: SubjectId, client_id: ClientId, reason: EndReason, now: datetime
) -> int:
    """Revoke every grant of a person to one client; return how many."""
    return tx.run(
        _REVOKE_OF_SUBJECT_AND_CLIENT,
        {
            "subject_id": subject_id,
            "client_id": client_id,
            "reason": reason.value,
            "now": to_micros(now),
        },
    )


def is_any_live_on_device(tx: Transaction, device_id: DeviceId, now: datetime) -> bool:
    """Tell whether tokens may still be used from this device."""
    return tx.one(_IS_LIVE_ON_DEVICE, {"device_id": device_id, "now": to_micros(now)}) is not None


def live_grants_of_session(
    tx: Transaction, session_id: SessionId, now: datetime
) -> list[tuple[LiveGrant, frozenset[str]]]:
    """Return the live grants of a browser session, each with the scope first granted."""
    rows = tx.all(_LIVE_OF_SESSION, {"session_id": session_id, "now": to_micros(now)})
    return [(_live(row), frozenset(row[5].split())) for row in rows]


def clients_of_session(tx: Transaction, session_id: SessionId) -> list[ClientId]:
    """Return the clients that were ever given something from a session, live or over."""
    return [ClientId(row[0]) for row in tx.all(_CLIENTS_OF_SESSION, {"session_id": session_id})]


def note_outcome(tx: Transaction, grant_id: GrantId, outcome: Outcome) -> None:
    """Remember what was carried out towards the relying party, so that it is not done twice."""
    tx.run(_NOTE_OUTCOME, {"id": grant_id, "outcome": outcome.wire})


def carried_out(wire: str | None) -> Outcome:
    """Return what a grant's row says was last carried out towards its relying party."""
    return Outcome.FULL if wire is None else Outcome.from_wire(wire)


def _live(row: Sequence[Any]) -> LiveGrant:
    return LiveGrant(
        GrantId(row[0]), ClientId(row[1]), SessionId(row[2]), SubjectId(row[3]), carried_out(row[4])
    )
