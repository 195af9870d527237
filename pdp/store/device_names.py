"""Names of devices: what sources call them, and which device a set of names means.

A serial number or an id of an MDM or EDR tool means one device. A host name may be borne by
several; it counts only where a source gives nothing better, and not at all once two devices
were seen with it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pdp.domain.ids import DeviceId
from pdp.domain.signal import DeviceName, NameKind
from pdp.store.database import Statement, Transaction, Value

_LETTERS: Final = "abcdefgh"
_ONE_OF: Final[Mapping[int, str]] = {
    count: " OR ".join(
        f"(kind = :kind_{letter} AND value = :value_{letter})" for letter in _LETTERS[:count]
    )
    for count in range(1, len(_LETTERS) + 1)
}
_FIND: Final[Mapping[int, Statement]] = {
    count: Statement(f"SELECT kind, value, device_id FROM device_names WHERE {one_of}")  # noqa: S608  no value in it
    for count, one_of in _ONE_OF.items()
}
#: By how many names there are: the device that bears each of them, else NULL.
BEARERS: Final[Mapping[int, str]] = {
    count: f"(SELECT CASE WHEN COUNT(device_id) = {count} AND MIN(device_id) = MAX(device_id)"  # noqa: S608  no value in it
    f" THEN MIN(device_id) END FROM device_names WHERE {one_of})"
    for count, one_of in _ONE_OF.items()
}
_OF_DEVICE = Statement(
    "SELECT kind, value FROM device_names WHERE device_id = :device_id ORDER BY kind, value"
)
_BIND = Statement(
    "INSERT INTO device_names (kind, value, device_id) VALUES (:kind, :value, :device_id)"
    " ON CONFLICT DO NOTHING"
)
_SHARE = Statement(
    "UPDATE device_names SET device_id = NULL"
    " WHERE kind = :kind AND value = :value AND device_id <> :device_id"
)
# Names are given out one transaction at a time: two that meet the same new device at once
# would else make two of it. The number is ours alone; SQLite has one writer anyway.
_TAKE_TURNS = Statement("SELECT pg_advisory_xact_lock(7081726)")


def name_parameters(names: Sequence[DeviceName]) -> dict[str, Value]:
    """Return the parameters of `BEARERS` for these names."""
    parameters: dict[str, Value] = {}
    for letter, name in zip(_LETTERS, names, strict=False):
        parameters[f"kind_{letter}"] = name.kind.value
        parameters[f"value_{letter}"] = name.value
    return parameters


def find_bound(tx: Transaction, names: Sequence[DeviceName]) -> dict[DeviceName, DeviceId | None]:
    """Return the names that are known, each with its device, or None if several bear it."""
    if not names:
        return {}
    rows = tx.all(_FIND[min(len(names), len(_LETTERS))], name_parameters(names))
    return {DeviceName(NameKind(kind), value): device_id for kind, value, device_id in rows}


def find_by_names(tx: Transaction, names: Sequence[DeviceName]) -> set[DeviceId]:
    """Return every device that one of the names belongs to."""
    return {device_id for device_id in find_bound(tx, names).values() if device_id is not None}


def of_device(tx: Transaction, device_id: DeviceId) -> list[DeviceName]:
    """Return the names of a device."""
    rows = tx.all(_OF_DEVICE, {"device_id": device_id})
    return [DeviceName(NameKind(kind), value) for kind, value in rows]


def take_turns(tx: Transaction) -> None:
    """Wait until no other transaction gives names; hold the turn until this one ends."""
    if not tx.is_sqlite:
        tx.one(_TAKE_TURNS, {})


def bind_name(tx: Transaction, name: DeviceName, device_id: DeviceId) -> bool:
    """Give the device a name; False if it is taken, by this device or another.

    A host name that another device bears means neither of them from now on.
    """
    row = {"kind": name.kind.value, "value": name.value, "device_id": device_id}
    if tx.run(_BIND, row) == 1:
        return True
    if name.kind is NameKind.HOSTNAME:
        tx.run(_SHARE, row)
    return False
