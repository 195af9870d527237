"""Deliveries that only confirm what is known of their device, in one statement (PostgreSQL).

Nearly all are. The device is read without a lock, and written only if its row is still the one
that was read, the configuration is, and neither the delivery nor its signal was ever seen: then
nothing else could have come of it under the lock (`arrivals`). Else nothing happens, and all of it
is to be done there.
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
        f"SELECT c.value, CAST(devices.xmin AS text), {devices.COLUMNS}"  # noqa: S608  text is ours
        f" FROM generations c LEFT JOIN devices ON id = {bearer} WHERE c.name = 'config'"
    )
    for count, bearer in BEARERS.items()
}
# The device first: two that are about one wait for each other here, and the second finds another
# row. A signal's id that was used before, by another delivery, is an error, as it undoes what was
# counted. Nothing is looked up that could not be told by the key itself: of a table's indexes a
# plan that was made while it was empty takes any.
_CONFIRM = Statement(
    "WITH held AS (SELECT 1 FROM devices"  # noqa: S608  text is ours
    " WHERE id = :id AND CAST(xmin AS text) = :version"
    " AND (SELECT value FROM generations WHERE name = 'config') = :generation"
    " FOR NO KEY UPDATE),"
    f" counted AS (INSERT INTO deliveries ({arrivals.COLUMNS})"
    f" SELECT {arrivals.VALUES} FROM held ON CONFLICT DO NOTHING RETURNING 1),"
    f" kept AS (INSERT INTO signals ({signals.COLUMNS})"
    f" SELECT {signals.VALUES} FROM counted RETURNING 1)"
    f" {devices.CONFIRM} AND EXISTS (SELECT 1 FROM kept)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A device as it was read, by its `version`, under a `generation` of the configuration."""

    generation: int
    version: str
    device: StoredDevice


def see(tx: Transaction, names: Sequence[DeviceName]) -> Seen | None:
    """Return the one device that bears all of `names`; None if that is not told so simply."""
    if len(names) not in _SEE:
        return None
    row = tx.one(_SEE[len(names)], name_parameters(names))
    if row is None or row[1] is None:
        return None
    return Seen(generation=int(row[0]), version=row[1], device=stored_device(row[2:]))


def confirm(
    tx: Transaction, arrival: Arrival, seen: Seen, signal: Mapping[str, Value], change: Change
) -> bool:
    """Count a delivery, keep its signal (`signals.row`) and write what it confirmed of its device.

    False, and nothing written, if anything is not as it was seen.
    """
    if change.text != devices.CONFIRM:
        raise ValueError("this changes more than it confirms")
    row = {**arrivals.row(arrival), **signal, **change.row, "version": seen.version}
    return tx.run(_CONFIRM, row) == 1
