"""Arrivals: a delivery counted and its device locked, then a signal kept and the device written.

One statement each on PostgreSQL, where each costs a round trip; two on SQLite, which knows no
changes inside a query. Deliveries come before devices, devices before signals, on both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pdp.domain.ids import SourceId
from pdp.domain.signal import DeviceName
from pdp.store import devices, generations, signals
from pdp.store.base import to_micros
from pdp.store.database import Statement, Transaction, Value
from pdp.store.device_names import BEARERS, name_parameters
from pdp.store.devices import Change, StoredDevice, stored_device
from pdp.store.signals import Gate, compared

#: The columns of a delivery, and the parameters of `row` for them.
COLUMNS: Final = "source_id, delivery_id, body_digest, received_at"
VALUES: Final = ":source_id, :delivery_id, :body_digest, :received_at"
# Nothing is counted under a configuration that is out of date: who signed may be shut out by now.
_COUNT: Final = (
    f"INSERT INTO deliveries ({COLUMNS}) SELECT {VALUES}"  # noqa: S608  columns are ours
    " WHERE (SELECT value FROM generations WHERE name = 'config') = :generation"
    " ON CONFLICT DO NOTHING"
)
_COUNT_ALONE = Statement(_COUNT)
_DIGEST = Statement(
    "SELECT body_digest FROM deliveries WHERE source_id = :source_id AND delivery_id = :delivery_id"
)
_BEARER: Final[Mapping[int, Statement]] = {
    count: Statement(f"SELECT {devices.COLUMNS} FROM devices WHERE id = {bearer}")  # noqa: S608  text is ours
    for count, bearer in BEARERS.items()
}
# The outer join answers with one row in any case: was it counted, and whose it is.
_COUNT_AND_LOCK: Final[Mapping[int, Statement]] = {
    count: Statement(
        f"WITH counted AS ({_COUNT} RETURNING 1), bearer AS ("  # noqa: S608  text is ours
        f"SELECT {devices.COLUMNS} FROM devices WHERE id = {bearer}"
        " AND EXISTS (SELECT 1 FROM counted) FOR NO KEY UPDATE)"
        " SELECT (SELECT COUNT(*) FROM counted), bearer.*"
        " FROM (SELECT 1) AS always LEFT JOIN bearer ON TRUE"
    )
    for count, bearer in BEARERS.items()
}
_KEEP_AND_WRITE: Final = {
    text: Statement(
        f"WITH kept AS ({signals.KEEP} RETURNING 1)"  # noqa: S608  text is ours
        f" {text} AND EXISTS (SELECT 1 FROM kept)"
    )
    for text in (devices.CHANGE, devices.CONFIRM)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A delivery as it came, believed under `generation` of the configuration; UTC."""

    source: SourceId
    delivery_id: str
    body_digest: str
    received_at: datetime
    generation: int


def row(arrival: Arrival) -> dict[str, Value]:
    """Return the row of a delivery, and the generation that it was believed under."""
    return {
        "source_id": arrival.source,
        "delivery_id": arrival.delivery_id,
        "body_digest": arrival.body_digest,
        "received_at": to_micros(arrival.received_at),
        "generation": arrival.generation,
    }


def count_delivery(
    tx: Transaction, arrival: Arrival, names: Sequence[DeviceName]
) -> tuple[Gate, StoredDevice | None]:
    """Tell what the delivery is; if it is new, lock the one device that bears all of `names`.

    No device is no answer about the names: ask `resolve_device`.
    """
    counted = row(arrival)
    if tx.is_sqlite or len(names) not in _COUNT_AND_LOCK:
        if tx.run(_COUNT_ALONE, counted) == 0:
            return _seen(tx, arrival), None
        return Gate.NEW, _bearer(tx, names)
    answer = tx.one(_COUNT_AND_LOCK[len(names)], {**counted, **name_parameters(names)})
    if answer is None or answer[0] == 0:
        return _seen(tx, arrival), None
    return Gate.NEW, None if answer[1] is None else stored_device(answer[1:])


def keep_and_write(tx: Transaction, signal: Mapping[str, Value], change: Change) -> Gate:
    """Keep a signal (`signals.row`) and, if it is new, write what has become of its device."""
    if not tx.is_sqlite:
        written = tx.run(_KEEP_AND_WRITE[change.text], {**signal, **change.row}) == 1
        return Gate.NEW if written else signals.seen(tx, signal)
    gate = signals.keep(tx, signal)
    if gate is Gate.NEW:
        devices.write(tx, change)
    return gate


def _bearer(tx: Transaction, names: Sequence[DeviceName]) -> StoredDevice | None:
    """Return the device of the names; SQLite has one writer and needs no lock."""
    if not tx.is_sqlite or len(names) not in _BEARER:
        return None
    found = tx.one(_BEARER[len(names)], name_parameters(names))
    return None if found is None else stored_device(found)


def _seen(tx: Transaction, arrival: Arrival) -> Gate:
    """Tell why a delivery was not counted."""
    if generations.read(tx) != arrival.generation:
        return Gate.OUTDATED
    key: dict[str, Value] = {"source_id": arrival.source, "delivery_id": arrival.delivery_id}
    return compared(tx.one(_DIGEST, key), arrival.body_digest)
