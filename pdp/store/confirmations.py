"""Deliveries that only confirm what is known of their device, in one statement (PostgreSQL).

Nearly all are. The device is read without a lock, and written only if its row is still the one
that was read, the configuration is, and neither the delivery nor its signal was ever seen: then
nothing else could have come of it under the lock (`arrivals`). Else nothing happens, and all of it
is to be done there.

Devices come before deliveries here, and after them there: two that cross, about one delivery that
was sent twice, are parted by the patience of a group for locks (`loop_groups`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pdp.domain.signal import DeviceName
from pdp.store import arrivals, devices, signals
from pdp.store.arrivals import Arrival
from pdp.store.database import Statement, Transaction, Value
from pdp.store.device_names import BEARERS, name_parameters
from pdp.store.devices import Change, StoredDevice, stored_device

# Whoever changes a row gives it another xmin, whatever the clocks say.
_SEE: Final[Mapping[int, Statement]] = {
    count: Statement(
        f"SELECT CAST(xmin AS text), {devices.COLUMNS}"  # noqa: S608  text is ours
        f" FROM devices WHERE id = {bearer}"
    )
    for count, bearer in BEARERS.items()
}
# The device first: two that are about one wait for each other here, and the second finds another
# row. A signal's id that another delivery about another device uses at this moment is an error: it
# undoes what was counted. The delivery's own id is not looked up, its key refuses it: of a table's
# indexes a plan that was made while it was empty takes any, here the one of all its source's.
_CONFIRM = Statement(
    "WITH held AS (SELECT 1 FROM devices"  # noqa: S608  text is ours
    " WHERE id = :id AND CAST(xmin AS text) = :version"
    " AND (SELECT value FROM generations WHERE name = 'config') = :generation"
    " AND NOT EXISTS (SELECT 1 FROM signals"
    " WHERE source_id = :source_id AND signal_id = :signal_id)"
    " FOR NO KEY UPDATE),"
    f" counted AS (INSERT INTO deliveries ({arrivals.COLUMNS})"
    f" SELECT {arrivals.VALUES} FROM held ON CONFLICT DO NOTHING RETURNING 1),"
    f" kept AS (INSERT INTO signals ({signals.COLUMNS})"
    f" SELECT {signals.VALUES} FROM counted RETURNING 1)"
    f" {devices.CONFIRM} AND EXISTS (SELECT 1 FROM kept)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAsRead:
    """A device as it was read, and the `version` of its row."""

    version: str
    device: StoredDevice


def see(tx: Transaction, names: Sequence[DeviceName]) -> DeviceAsRead | None:
    """Return the one device that bears all of `names`; None if that is not told so simply."""
    if len(names) not in _SEE:
        return None
    row = tx.one(_SEE[len(names)], name_parameters(names))
    return None if row is None else DeviceAsRead(version=row[0], device=stored_device(row[1:]))


def confirm(
    tx: Transaction,
    arrival: Arrival,
    seen: DeviceAsRead,
    signal: Mapping[str, Value],
    change: Change,
) -> bool:
    """Count a delivery, keep its signal (`signals.row`) and write what it confirmed of its device.

    False, and nothing written, if anything is not as it was seen.
    """
    if change.text != devices.CONFIRM:
        raise ValueError("this changes more than it confirms")
    row = {**arrivals.row(arrival), **signal, **change.row, "version": seen.version}
    return tx.run(_CONFIRM, row) == 1
