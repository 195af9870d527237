"""Exposure windows: when a change was told, committed, first felt, sent on and acknowledged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pdp.domain.access import Outcome
from pdp.domain.ids import ClientId, DeviceId, GrantId, SessionId, SourceId
from pdp.store.base import from_micros, from_micros_or_none, to_micros
from pdp.store.database import Statement, Transaction, Value

_OPEN = Statement(
    "INSERT INTO exposures (grant_id, committed_at, device_id, session_id, client_id, source_id,"
    " signal_id, event_time, received_at, denied_at, sent_at, acknowledged_at)"
    " SELECT id, :committed_at, device_id, session_id, client_id, :source_id, :signal_id,"
    " :event_time, :received_at, NULL, NULL, NULL FROM grants"
    " WHERE device_id = :device_id AND revoked_at IS NULL AND expires_at > :committed_at"
    " ON CONFLICT DO NOTHING"
)
_OPENED_BY = Statement(
    "SELECT grant_id FROM exposures WHERE device_id = :device_id AND committed_at = :committed_at"
)
_DISMISS = Statement(
    "DELETE FROM exposures WHERE grant_id = :grant_id AND committed_at = :committed_at"
)
# Written late by whoever records in groups: the earliest denial stands, in any order.
_DENIED = Statement(
    "UPDATE exposures SET denied_at = :now WHERE session_id = :session_id"
    " AND client_id = :client_id AND device_id = :device_id AND committed_at <= :now"
    " AND (denied_at IS NULL OR denied_at > :now)"
)
_SENT = Statement(
    "UPDATE exposures SET sent_at = :now WHERE session_id = :session_id"
    " AND client_id = :client_id AND committed_at = :committed_at AND sent_at IS NULL"
)
_ACKNOWLEDGED = Statement(
    "UPDATE exposures SET acknowledged_at = :now WHERE session_id = :session_id"
    " AND client_id = :client_id AND committed_at = :committed_at AND acknowledged_at IS NULL"
)
_OF_DEVICE = Statement(
    "SELECT grant_id, device_id, session_id, client_id, source_id, signal_id, event_time,"
    " received_at, committed_at, denied_at, sent_at, acknowledged_at FROM exposures"
    " WHERE device_id = :device_id ORDER BY committed_at DESC, grant_id LIMIT :count"
)
_DENIALS = frozenset(each.wire for each in Outcome if each > Outcome.RESTRICTED)
_FORGET = Statement("DELETE FROM exposures WHERE committed_at < :before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What set a change off: t0 at its source, t1 here, t2 in the database (UTC).

    `source` and `signal` are empty where an administrator or the clock did.
    """

    event_time: datetime
    received_at: datetime
    committed_at: datetime
    source: SourceId = SourceId("")  # noqa: RUF009  a string
    signal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One window: for one grant, from `event_time` (t0) to `acknowledged_at` (t5), UTC."""

    grant: GrantId
    device: DeviceId
    session: SessionId
    client: ClientId
    origin: Origin
    denied_at: datetime | None
    sent_at: datetime | None
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who is told: one relying party, of one session, after the change committed then (UTC)."""

    client: ClientId
    session: SessionId
    committed_at: datetime


def open_on_device(tx: Transaction, device_id: DeviceId, origin: Origin) -> None:
    """Begin to measure for every live grant on the device."""
    row: dict[str, Value] = {
        "device_id": device_id,
        "source_id": origin.source,
        "signal_id": origin.signal,
        "event_time": to_micros(origin.event_time),
        "received_at": to_micros(origin.received_at),
        "committed_at": to_micros(origin.committed_at),
    }
    tx.run(_OPEN, row)


def opened_by(tx: Transaction, device_id: DeviceId, committed_at: datetime) -> frozenset[GrantId]:
    """Return the grants that a change of the device, committed then, began to be measured for."""
    row: dict[str, Value] = {"device_id": device_id, "committed_at": to_micros(committed_at)}
    return frozenset(GrantId(found[0]) for found in tx.all(_OPENED_BY, row))


def dismiss(tx: Transaction, grant_id: GrantId, committed_at: datetime) -> None:
    """Forget a window: the change denied this grant nothing new."""
    tx.run(_DISMISS, {"grant_id": grant_id, "committed_at": to_micros(committed_at)})


def note_denied(
    tx: Transaction, device_id: DeviceId, session_id: SessionId, client_id: ClientId, now: datetime
) -> None:
    """Note that a decision taken at `now` denied this session to this relying party (t3).

    t3 is theirs alone, as t4 and t5 are: neither another sign-in of the same person to the same
    client nor another client of the same session was denied by it. The earliest one stands.
    """
    _deny(tx, device_id, session_id, client_id, to_micros(now))


def note_decision(
    tx: Transaction, decision: Mapping[str, Value], session_id: SessionId | None
) -> None:
    """Note what a decision's row says of a session (t3), at its own instant.

    Nothing unless the session's device was denied: what is only restricted still works.
    """
    if session_id is None or decision["outcome"] not in _DENIALS:
        return
    if decision["device_id"] is not None:
        _deny(tx, decision["device_id"], session_id, decision["client_id"], decision["at"])


def note_sent(tx: Transaction, receiver: Receiver, now: datetime) -> None:
    """Note that the receiver was first told at `now` (t4)."""
    tx.run(_SENT, _step(receiver, now))


def note_acknowledged(tx: Transaction, receiver: Receiver, now: datetime) -> None:
    """Note that the receiver said yes at `now` (t5)."""
    tx.run(_ACKNOWLEDGED, _step(receiver, now))


def of_device(tx: Transaction, device_id: DeviceId, *, count: int = 100) -> list[Exposure]:
    """Return the newest windows of a device, the newest first."""
    rows = tx.all(_OF_DEVICE, {"device_id": device_id, "count": count})
    return [_exposure(row) for row in rows]


def forget(tx: Transaction, *, before: datetime) -> int:
    """Delete windows that began before `before` (UTC); return how many."""
    return tx.run(_FORGET, {"before": to_micros(before)})


def _deny(tx: Transaction, device: Value, session: Value, client: Value, at: Value) -> None:
    row = {"device_id": device, "session_id": session, "client_id": client, "now": at}
    tx.run(_DENIED, row)


def _step(receiver: Receiver, now: datetime) -> dict[str, Value]:
    return {
        "session_id": receiver.session,
        "client_id": receiver.client,
        "committed_at": to_micros(receiver.committed_at),
        "now": to_micros(now),
    }


def _exposure(row: Sequence[Any]) -> Exposure:
    return Exposure(
        grant=GrantId(row[0]),
        device=DeviceId(row[1]),
        session=SessionId(row[2]),
        client=ClientId(row[3]),
        origin=Origin(
            source=SourceId(row[4]),
            signal=row[5],
            event_time=from_micros(row[6]),
            received_at=from_micros(row[7]),
            committed_at=from_micros(row[8]),
        ),
        denied_at=from_micros_or_none(row[9]),
        sent_at=from_micros_or_none(row[10]),
        acknowledged_at=from_micros_or_none(row[11]),
    )
