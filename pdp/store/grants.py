"""Grants, and the one statement that reads all that a decision about one needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pdp.domain.access import Outcome, Strength
from pdp.domain.compliance import Compliance
from pdp.domain.ids import ClientId, DeviceId, GrantId, SessionId, SubjectId
from pdp.domain.session import EndReason, Grant
from pdp.domain.signal import RiskLevel
from pdp.store.base import from_micros, from_micros_or_none, to_json, to_micros
from pdp.store.database import Statement, Transaction

_INSERT = Statement(
    "INSERT INTO grants (id, subject_id, client_id, session_id, device_id, strength, scope, acr,"
    " amr, address, nonce, auth_time, created_at, expires_at)"
    " VALUES (:id, :subject_id, :client_id, :session_id, :device_id, :strength, :scope, :acr,"
    " :amr, :address, :nonce, :auth_time, :created_at, :expires_at)"
)

_STANDING_COLUMNS = (
    "s.id, s.groups, s.break_glass, s.epoch, s.disabled_at,"
    " d.id, d.owner_id, d.shared, d.platform, d.os_version, d.status, d.risk, d.valid_until,"
    " d.assessed_with, d.block, d.epoch,"
    " (SELECT COUNT(*) FROM tasks t WHERE t.device_id = d.id AND t.state = 'open')"
)
_GRANT_COLUMNS = (
    "g.id, g.subject_id, g.client_id, g.session_id, g.device_id, g.strength, g.scope, g.acr,"
    " g.amr, g.address, g.nonce, g.auth_time, g.created_at, g.expires_at, g.revoked_at"
)
_STANDING_OF_GRANT = Statement(
    f"SELECT {_GRANT_COLUMNS}, {_STANDING_COLUMNS} FROM grants g"  # noqa: S608  columns are ours
    " JOIN subjects s ON s.id = g.subject_id LEFT JOIN devices d ON d.id = g.device_id"
    " WHERE g.id = :grant_id"
)
_STANDING_OF_SUBJECT = Statement(
    f"SELECT {_STANDING_COLUMNS} FROM subjects s"  # noqa: S608  columns are ours
    " LEFT JOIN devices d ON d.id = :device_id WHERE s.id = :subject_id"
)
_HOLD_DEVICE = Statement("SELECT epoch FROM devices WHERE id = :id FOR SHARE")
_HOLD_SUBJECT = Statement("SELECT epoch FROM subjects WHERE id = :id FOR SHARE")
_HOLD_DEVICE_OF_GRANT = Statement(
    "SELECT epoch FROM devices WHERE id = (SELECT device_id FROM grants WHERE id = :id) FOR SHARE"
)
_HOLD_SUBJECT_OF_GRANT = Statement(
    "SELECT epoch FROM subjects WHERE id = (SELECT subject_id FROM grants WHERE id = :id) FOR SHARE"
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
_LIVE_ON_DEVICE = Statement(
    "SELECT id, client_id, session_id, subject_id, outcome FROM grants"
    " WHERE device_id = :device_id AND revoked_at IS NULL AND expires_at > :now ORDER BY id"
)
_LIVE_OF_SESSION = Statement(
    "SELECT id, client_id, session_id, subject_id, outcome, scope FROM grants"
    " WHERE session_id = :session_id AND revoked_at IS NULL AND expires_at > :now ORDER BY id"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStanding:
    """What the device's row says now, as far as decisions look at it."""

    id: DeviceId
    owner: SubjectId | None
    shared: bool
    platform: str | None
    os_version: str | None
    status: Compliance
    risk: RiskLevel
    valid_until: datetime | None
    assessed_with: str
    blocked: bool
    epoch: int
    open_tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the rows say now of a person and of the device bound to the session, if any."""

    subject: SubjectId
    groups: frozenset[str]
    break_glass: bool
    epoch: int
    disabled: bool
    device: DeviceStanding | None


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


def standing_of_grant(tx: Transaction, grant_id: GrantId) -> tuple[Grant, Standing] | None:
    """Return a grant with its person's and device's standing, read in one statement."""
    row = tx.one(_STANDING_OF_GRANT, {"grant_id": grant_id})
    if row is None:
        return None
    return _grant(row[:15]), _standing(row[15:])


def standing_of_subject(
    tx: Transaction, subject_id: SubjectId, device_id: DeviceId | None
) -> Standing | None:
    """Return a person's standing, with that of `device_id` if there is one."""
    row = tx.one(_STANDING_OF_SUBJECT, {"subject_id": subject_id, "device_id": device_id})
    return None if row is None else _standing(row)


def hold_still(tx: Transaction, subject_id: SubjectId, device_id: DeviceId | None) -> None:
    """Let no signal or administrator change person or device before this transaction commits.

    Call it before the facts are read: what is issued here is then older than any later change,
    which finds it and ends it. SQLite has one writer and needs nothing.
    """
    if tx.is_sqlite:
        return
    if device_id is not None:
        tx.one(_HOLD_DEVICE, {"id": device_id})
    tx.one(_HOLD_SUBJECT, {"id": subject_id})


def hold_grant_still(tx: Transaction, grant_id: GrantId) -> None:
    """Do the same as `hold_still` for the person and the device of a grant."""
    if tx.is_sqlite:
        return
    tx.one(_HOLD_DEVICE_OF_GRANT, {"id": grant_id})
    tx.one(_HOLD_SUBJECT_OF_GRANT, {"id": grant_id})


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


def live_grants_on_device(tx: Transaction, device_id: DeviceId, now: datetime) -> list[LiveGrant]:
    """Return the grants whose tokens may still be used from this device."""
    rows = tx.all(_LIVE_ON_DEVICE, {"device_id": device_id, "now": to_micros(now)})
    return [_live(row) for row in rows]


def live_grants_of_session(
    tx: Transaction, session_id: SessionId, now: datetime
) -> list[tuple[LiveGrant, frozenset[str]]]:
    """Return the live grants of a browser session, each with the scope first granted."""
    rows = tx.all(_LIVE_OF_SESSION, {"session_id": session_id, "now": to_micros(now)})
    return [(_live(row), frozenset(row[5].split())) for row in rows]


def note_outcome(tx: Transaction, grant_id: GrantId, outcome: Outcome) -> None:
    """Remember what was carried out towards the relying party, so that it is not done twice."""
    tx.run(_NOTE_OUTCOME, {"id": grant_id, "outcome": outcome.wire})


def _live(row: Sequence[Any]) -> LiveGrant:
    outcome = Outcome.FULL if row[4] is None else Outcome.from_wire(row[4])
    return LiveGrant(
        GrantId(row[0]), ClientId(row[1]), SessionId(row[2]), SubjectId(row[3]), outcome
    )


def _grant(row: Sequence[Any]) -> Grant:
    return Grant(
        id=row[0],
        subject=row[1],
        client=row[2],
        session=row[3],
        device=row[4],
        strength=Strength(row[5]),
        scope=tuple(row[6].split()),
        acr=row[7],
        amr=tuple(orjson.loads(row[8])),
        address=row[9],
        nonce=row[10],
        auth_time=from_micros(row[11]),
        created_at=from_micros(row[12]),
        expires_at=from_micros(row[13]),
        revoked_at=from_micros_or_none(row[14]),
    )


def _standing(row: Sequence[Any]) -> Standing:
    device = None
    if row[5] is not None:
        device = DeviceStanding(
            id=row[5],
            owner=row[6],
            shared=bool(row[7]),
            platform=row[8],
            os_version=row[9],
            status=Compliance(row[10]),
            risk=RiskLevel(row[11]),
            valid_until=from_micros_or_none(row[12]),
            assessed_with=row[13],
            blocked=row[14] is not None,
            epoch=row[15],
            open_tasks=row[16],
        )
    return Standing(
        subject=row[0],
        groups=frozenset(orjson.loads(row[1])),
        break_glass=bool(row[2]),
        epoch=row[3],
        disabled=row[4] is not None,
        device=device,
    )
