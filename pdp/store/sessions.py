"""Browser sessions: the cookie's secret is kept as a digest, and one statement finds its session.

Anything that is not exactly the cookie of a live session of an open account finds nothing.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from pdp.domain.access import Strength
from pdp.domain.ids import DeviceId, SessionId, SubjectId
from pdp.domain.session import EndReason, Session
from pdp.store.base import from_micros, from_micros_or_none, to_json, to_micros
from pdp.store.database import Statement, Transaction

#: 256 random bits in URL-safe base64, as `clock.new_secret` makes them.
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
#: A session in use is written at most this often: idle expiry may come this much early.
_TOUCH_EVERY: Final = timedelta(minutes=1)

_COLUMNS = (
    "s.id, s.subject_id, s.device_id, s.strength, s.acr, s.amr, s.address, s.auth_time,"
    " s.created_at, s.idle_expires_at, s.expires_at, s.ended_at, s.end_reason"
)
_LIVE = "s.ended_at IS NULL AND s.idle_expires_at > :now AND s.expires_at > :now"
_INSERT = Statement(
    "INSERT INTO sessions (id, cookie_digest, subject_id, device_id, strength, acr, amr, address,"
    " auth_time, created_at, idle_expires_at, expires_at, ended_at, end_reason)"
    " VALUES (:id, :cookie_digest, :subject_id, :device_id, :strength, :acr, :amr, :address,"
    " :auth_time, :created_at, :idle_expires_at, :expires_at, NULL, NULL)"
)
_FIND = Statement(
    f"SELECT {_COLUMNS}, p.username, p.name, p.must_change_password, p.totp_confirmed_at"  # noqa: S608  columns are ours
    " FROM sessions s JOIN subjects p ON p.id = s.subject_id"
    f" WHERE s.cookie_digest = :cookie_digest AND {_LIVE} AND p.disabled_at IS NULL"
)
_GET = Statement(f"SELECT {_COLUMNS} FROM sessions s WHERE s.id = :id")  # noqa: S608  columns are ours
_LIST = Statement(
    f"SELECT {_COLUMNS} FROM sessions s WHERE {_LIVE} ORDER BY s.created_at, s.id"  # noqa: S608  columns are ours
)
_LIST_OF_SUBJECT = Statement(
    f"SELECT {_COLUMNS} FROM sessions s WHERE s.subject_id = :subject_id AND {_LIVE}"  # noqa: S608  columns are ours
    " ORDER BY s.created_at, s.id"
)
_TOUCH = Statement(
    "UPDATE sessions SET idle_expires_at = :idle_expires_at"
    " WHERE id = :id AND ended_at IS NULL AND idle_expires_at < :idle_expires_at"
)
_ROTATE = Statement(
    "UPDATE sessions SET cookie_digest = :cookie_digest, acr = :acr, amr = :amr,"
    " auth_time = :auth_time WHERE id = :id AND ended_at IS NULL"
)
_END = Statement(
    "UPDATE sessions SET ended_at = :now, end_reason = :reason WHERE id = :id AND ended_at IS NULL"
)
_LIVE_ON_BLOCKED_DEVICE = Statement(
    "SELECT s.id FROM sessions s JOIN devices d ON d.id = s.device_id"  # noqa: S608  the condition is ours
    f" WHERE s.device_id = :device_id AND d.block IS NOT NULL AND {_LIVE} ORDER BY s.id"
)
_BIND_DEVICE = Statement(
    "UPDATE sessions SET device_id = :device_id, strength = :strength"
    " WHERE id = :id AND ended_at IS NULL"
)
_OPEN_OF_SUBJECT = Statement(
    "SELECT id FROM sessions WHERE subject_id = :subject_id AND ended_at IS NULL ORDER BY id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A session that stands, and what pages need to know of its person."""

    session: Session
    username: str
    name: str
    must_change_password: bool
    has_factor: bool


def create(tx: Transaction, session: Session, *, cookie: str) -> None:
    """Keep a new session, to be found by the secret `cookie`."""
    tx.run(
        _INSERT,
        {
            "id": session.id,
            "cookie_digest": _digest(cookie),
            "subject_id": session.subject,
            "device_id": session.device,
            "strength": session.strength.value,
            "acr": session.acr,
            "amr": to_json(list(session.amr)),
            "address": session.address,
            "auth_time": to_micros(session.auth_time),
            "created_at": to_micros(session.created_at),
            "idle_expires_at": to_micros(session.idle_expires_at),
            "expires_at": to_micros(session.expires_at),
        },
    )


def find_live(tx: Transaction, cookie: str, *, now: datetime) -> LiveSession | None:
    """Return the live session of an open account that `cookie` stands for, or None."""
    if _SECRET.fullmatch(cookie) is None:
        return None
    row = tx.one(_FIND, {"cookie_digest": _digest(cookie), "now": to_micros(now)})
    if row is None:
        return None
    return LiveSession(
        session=_session(row[:13]),
        username=row[13],
        name=row[14],
        must_change_password=bool(row[15]),
        has_factor=row[16] is not None,
    )


def get(tx: Transaction, session_id: SessionId) -> Session | None:
    """Return a session by its `sid`, ended or not."""
    row = tx.one(_GET, {"id": session_id})
    return None if row is None else _session(row)


def list_live(tx: Transaction, *, now: datetime) -> list[Session]:
    """Return every live session, the oldest first."""
    return [_session(row) for row in tx.all(_LIST, {"now": to_micros(now)})]


def list_live_of_subject(tx: Transaction, subject_id: SubjectId, *, now: datetime) -> list[Session]:
    """Return a person's live sessions, the oldest first."""
    rows = tx.all(_LIST_OF_SUBJECT, {"subject_id": subject_id, "now": to_micros(now)})
    return [_session(row) for row in rows]


def live_on_blocked_device(
    tx: Transaction, device_id: DeviceId, *, now: datetime
) -> list[SessionId]:
    """Return the live sessions on a device that an administrator has blocked; else none."""
    rows = tx.all(_LIVE_ON_BLOCKED_DEVICE, {"device_id": device_id, "now": to_micros(now)})
    return [SessionId(row[0]) for row in rows]


def is_touch_due(session: Session, *, idle: timedelta, now: datetime) -> bool:
    """Tell whether this use of the session is worth a write."""
    return session.idle_expires_at + _TOUCH_EVERY <= now + idle


def touch(tx: Transaction, session: Session, *, idle: timedelta, now: datetime) -> bool:
    """Move the idle expiry of a session in use to `now` + `idle`; False if nothing was written."""
    if not is_touch_due(session, idle=idle, now=now):
        return False
    return tx.run(_TOUCH, {"id": session.id, "idle_expires_at": to_micros(now + idle)}) == 1


def rotate(tx: Transaction, session: Session, *, cookie: str) -> bool:
    """Give a session its present privileges and another cookie; False if it has ended."""
    changed = tx.run(
        _ROTATE,
        {
            "id": session.id,
            "cookie_digest": _digest(cookie),
            "acr": session.acr,
            "amr": to_json(list(session.amr)),
            "auth_time": to_micros(session.auth_time),
        },
    )
    return changed == 1


def bind_device(
    tx: Transaction, session_id: SessionId, device_id: DeviceId | None, strength: Strength
) -> None:
    """Bind the device that spoke for this session last, or none.

    A new binding asks for a new decision, which every check takes anyway.
    """
    row = {"id": session_id, "device_id": device_id, "strength": strength.value}
    tx.run(_BIND_DEVICE, row)


def end_session(tx: Transaction, session_id: SessionId, reason: EndReason, now: datetime) -> bool:
    """End a session at `now` (UTC); False if it had ended, or there is none."""
    return tx.run(_END, {"id": session_id, "reason": reason.value, "now": to_micros(now)}) == 1


def open_sessions_of_subject(tx: Transaction, subject_id: SubjectId) -> tuple[SessionId, ...]:
    """Return a person's sessions that have not ended, expired ones included.

    Those count too when access is taken away: grants outlive the session they came from.
    """
    rows = tx.all(_OPEN_OF_SUBJECT, {"subject_id": subject_id})
    return tuple(SessionId(row[0]) for row in rows)


def _digest(cookie: str) -> str:
    # 256 random bits need no slow hash: nobody can try them all.
    return hashlib.sha256(cookie.encode()).hexdigest()


def _session(row: Sequence[Any]) -> Session:
    return Session(
        id=SessionId(row[0]),
        subject=SubjectId(row[1]),
        device=None if row[2] is None else DeviceId(row[2]),
        strength=Strength(row[3]),
        acr=row[4],
        amr=tuple(orjson.loads(row[5])),
        address=row[6],
        auth_time=from_micros(row[7]),
        created_at=from_micros(row[8]),
        idle_expires_at=from_micros(row[9]),
        expires_at=from_micros(row[10]),
        ended_at=from_micros_or_none(row[11]),
        end_reason=None if row[12] is None else EndReason(row[12]),
    )
