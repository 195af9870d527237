"""Deliveries and signals: a unique key makes each count once, whoever repeats it.

Inserted in the transaction that applies them: what was rolled back can be sent again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from pdp.domain.ids import DeviceId, SourceId
from pdp.domain.signal import Signal
from pdp.store.base import from_micros, from_micros_or_none, to_micros
from pdp.store.database import Row, Statement, Transaction, Value
from pdp.store.period import EVER, Period
from pdp.store.readings import write_signal

#: The columns of a signal, and the parameters of `row` for them.
COLUMNS: Final = (
    "source_id, signal_id, device_id, result, digest, document, event_time, received_at"
)
VALUES: Final = (
    ":source_id, :signal_id, :device_id, :result, :digest, :document, :event_time, :received_at"
)
#: Keeps a signal unless its id was used before.
KEEP: Final = f"INSERT INTO signals ({COLUMNS}) VALUES ({VALUES}) ON CONFLICT DO NOTHING"  # noqa: S608  columns are ours
_KEEP = Statement(KEEP)
_DIGEST = Statement(
    "SELECT digest FROM signals WHERE source_id = :source_id AND signal_id = :signal_id"
)
_OF_DEVICE = Statement(
    "SELECT source_id, signal_id, result, document, event_time, received_at FROM signals"
    " WHERE device_id = :device_id AND received_at >= :since AND received_at < :until"
    " ORDER BY received_at DESC, signal_id LIMIT :count"
)
_QUARANTINED = Statement(
    "SELECT source_id, signal_id, result, document, event_time, received_at FROM signals"
    " WHERE device_id IS NULL ORDER BY received_at DESC, signal_id LIMIT :count"
)
_LAST_RECEIVED = Statement(
    "SELECT id, (SELECT MAX(received_at) FROM deliveries WHERE source_id = sources.id) FROM sources"
)
_SILENT_SINCE = Statement(
    "SELECT id, COALESCE((SELECT MAX(received_at) FROM deliveries WHERE source_id = sources.id),"
    " created_at) FROM sources WHERE disabled_at IS NULL"
)
_FORGET_DELIVERIES = Statement(
    "DELETE FROM deliveries WHERE source_id = :source_id AND received_at < :before"
    " AND received_at < :last"
)


class Gate(StrEnum):
    """What a key says of its second and later uses.

    `OUTDATED` says nothing of the key: the configuration moved, so nothing was counted.
    """

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    OUTDATED = "outdated"


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


def row(
    signal: Signal, device_id: DeviceId | None, result: SignalResult, received_at: datetime
) -> dict[str, Value]:
    """Return the row of a signal about `device_id`, or about no one device (`received_at` UTC)."""
    document = write_signal(signal)
    return {
        "source_id": signal.source,
        "signal_id": signal.id,
        "device_id": device_id,
        "result": result.value,
        "digest": hashlib.sha256(document.encode()).hexdigest(),
        "document": document,
        "event_time": to_micros(signal.event_time),
        "received_at": to_micros(received_at),
    }


def keep(tx: Transaction, signal: Mapping[str, Value]) -> Gate:
    """Keep the `row` of a signal if it is new; tell whether it is, or what its id was used for."""
    return Gate.NEW if tx.run(_KEEP, signal) == 1 else seen(tx, signal)


def seen(tx: Transaction, signal: Mapping[str, Value]) -> Gate:
    """Tell what the id of a signal that was not kept was used for."""
    key = {"source_id": signal["source_id"], "signal_id": signal["signal_id"]}
    return compared(tx.one(_DIGEST, key), signal["digest"])


def of_device(
    tx: Transaction, device_id: DeviceId, *, period: Period = EVER, count: int = 100
) -> list[StoredSignal]:
    """Return the newest signals about a device that came in `period`, the newest first."""
    chosen = {"device_id": device_id, "count": count, **period.bounds()}
    return _stored(tx.all(_OF_DEVICE, chosen))


def quarantined(tx: Transaction, *, count: int = 100) -> list[StoredSignal]:
    """Return the newest signals whose names meant no one device, the newest first."""
    return _stored(tx.all(_QUARANTINED, {"count": count}))


def forget_deliveries(tx: Transaction, *, before: datetime) -> int:
    """Delete deliveries received before `before` (UTC); return how many.

    Their signals stay, and with them the key that makes each count once. The last one of a source
    stays too: it tells since when the source is silent.
    """
    return sum(
        tx.run(
            _FORGET_DELIVERIES,
            {"source_id": source, "before": to_micros(before), "last": to_micros(last)},
        )
        for source, last in last_received(tx).items()
        if last is not None
    )


def last_received(tx: Transaction) -> dict[SourceId, datetime | None]:
    """Return when each source's last believed delivery came (UTC); None for none so far."""
    return {SourceId(row[0]): from_micros_or_none(row[1]) for row in tx.all(_LAST_RECEIVED, {})}


def compared(known: Row | None, digest: Value) -> Gate:
    """Tell a repetition from another statement under a used id, by the digest that is known."""
    # A row that vanished meanwhile was cleaned up: an id that old is not the same statement.
    return Gate.DUPLICATE if known is not None and known[0] == digest else Gate.CONFLICT


def silent_since(tx: Transaction) -> dict[SourceId, datetime]:
    """Return since when nothing believed came of each source that is enabled (UTC).

    Of one that never spoke: since it was set up.
    """
    return {SourceId(row[0]): from_micros(row[1]) for row in tx.all(_SILENT_SINCE, {})}


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
