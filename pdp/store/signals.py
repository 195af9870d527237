"""Deliveries and signals: a unique key makes each count once, whoever repeats it.

Inserted in the transaction that applies them: what was rolled back can be sent again.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from pdp.domain.ids import DeviceId, SourceId
from pdp.domain.signal import Signal
from pdp.store.base import from_micros, to_micros
from pdp.store.database import Statement, Transaction, Value

_INSERT_DELIVERY = Statement(
    "INSERT INTO deliveries (source_id, delivery_id, body_digest, received_at)"
    " VALUES (:source_id, :delivery_id, :body_digest, :received_at) ON CONFLICT DO NOTHING"
)
_DELIVERY_DIGEST = Statement(
    "SELECT body_digest FROM deliveries WHERE source_id = :source_id AND delivery_id = :delivery_id"
)
_INSERT_SIGNAL = Statement(
    "INSERT INTO signals (source_id, signal_id, device_id, result, digest, document, event_time,"
    " received_at) VALUES (:source_id, :signal_id, :device_id, :result, :digest, :document,"
    " :event_time, :received_at) ON CONFLICT DO NOTHING"
)
_SIGNAL_DIGEST = Statement(
    "SELECT digest FROM signals WHERE source_id = :source_id AND signal_id = :signal_id"
)
_OF_DEVICE = Statement(
    "SELECT source_id, signal_id, result, document, event_time, received_at FROM signals"
    " WHERE device_id = :device_id ORDER BY received_at DESC, signal_id LIMIT :count"
)
_QUARANTINED = Statement(
    "SELECT source_id, signal_id, result, document, event_time, received_at FROM signals"
    " WHERE device_id IS NULL ORDER BY received_at DESC, signal_id LIMIT :count"
)
_FORGET_DELIVERIES = Statement("DELETE FROM deliveries WHERE received_at < :before")


class Gate(StrEnum):
    """What a key says of its second and later uses."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class SignalResult(StrEnum):
    """What became of a signal: applied, kept as history only, or about no one device."""

    APPLIED = "applied"
    LATE = "late"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignal:
    """A signal in the history of a device; `document` is as `readings.write_signal` wrote it."""

    source: SourceId
    id: str
    result: SignalResult
    document: dict[str, Any]
    event_time: datetime
    received_at: datetime


def pass_delivery(
    tx: Transaction, source_id: SourceId, delivery_id: str, *, body_digest: str, now: datetime
) -> Gate:
    """Tell whether this delivery is new, a repetition, or another body under a used id."""
    row: dict[str, Value] = {
        "source_id": source_id,
        "delivery_id": delivery_id,
        "body_digest": body_digest,
        "received_at": to_micros(now),
    }
    if tx.run(_INSERT_DELIVERY, row) == 1:
        return Gate.NEW
    key: dict[str, Value] = {"source_id": source_id, "delivery_id": delivery_id}
    return _compared(tx.one(_DELIVERY_DIGEST, key), body_digest)


def pass_signal(
    tx: Transaction,
    signal: Signal,
    *,
    document: str,
    digest: str,
    device_id: DeviceId | None,
    result: SignalResult,
    received_at: datetime,
) -> Gate:
    """Keep a signal if it is new; tell whether it is, or what its id was used for."""
    row: dict[str, Value] = {
        "source_id": signal.source,
        "signal_id": signal.id,
        "device_id": device_id,
        "result": result.value,
        "digest": digest,
        "document": document,
        "event_time": to_micros(signal.event_time),
        "received_at": to_micros(received_at),
    }
    if tx.run(_INSERT_SIGNAL, row) == 1:
        return Gate.NEW
    key = {"source_id": signal.source, "signal_id": signal.id}
    return _compared(tx.one(_SIGNAL_DIGEST, key), digest)


def of_device(tx: Transaction, device_id: DeviceId, *, count: int = 100) -> list[StoredSignal]:
    """Return the newest signals about a device, the newest first."""
    return _stored(tx.all(_OF_DEVICE, {"device_id": device_id, "count": count}))


def quarantined(tx: Transaction, *, count: int = 100) -> list[StoredSignal]:
    """Return the newest signals whose names meant no one device, the newest first."""
    return _stored(tx.all(_QUARANTINED, {"count": count}))


def forget_deliveries(tx: Transaction, *, before: datetime) -> int:
    """Delete deliveries received before `before` (UTC); return how many.

    Their signals stay, and with them the key that makes each count once.
    """
    return tx.run(_FORGET_DELIVERIES, {"before": to_micros(before)})


def _compared(row: Any, digest: str) -> Gate:  # noqa: ANN401  a driver's row
    # A row that vanished meanwhile was cleaned up: an id that old is not the same statement.
    return Gate.DUPLICATE if row is not None and row[0] == digest else Gate.CONFLICT


def _stored(rows: list[Any]) -> list[StoredSignal]:
    return [
        StoredSignal(
            source=SourceId(row[0]),
            id=row[1],
            result=SignalResult(row[2]),
            document=orjson.loads(row[3]),
            event_time=from_micros(row[4]),
            received_at=from_micros(row[5]),
        )
        for row in rows
    ]
