"""Devices: one row holds all that decisions need, written by whoever holds the row.

The order that keeps two writers from waiting for each other for ever: names first
(`device_names`), then `lock` the devices in the order of their ids, then everything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pdp.clock import new_step
from pdp.domain.compliance import Assessment, Compliance
from pdp.domain.device import Device
from pdp.domain.ids import DeviceId, SubjectId
from pdp.domain.signal import RiskLevel
from pdp.store.base import from_micros, from_micros_or_none, to_micros, to_micros_or_none
from pdp.store.database import Statement, Transaction, Value
from pdp.store.readings import (
    read_block,
    read_causes,
    read_override,
    read_readings,
    write_block,
    write_causes,
    write_override,
    write_readings,
)

#: The columns of `stored_device`.
COLUMNS: Final = (
    "id, owner_id, shared, display_name, platform, os_version, readings, block, override, status,"
    " risk, causes, valid_until, assessed_with, epoch, created_at, updated_at"
)
_LOAD = Statement(f"SELECT {COLUMNS} FROM devices WHERE id = :id")  # noqa: S608  columns are ours
# Not FOR UPDATE: rows that point to the device (names, signals) may be inserted meanwhile.
_LOCK = Statement(
    f"SELECT {COLUMNS} FROM devices WHERE id = :id FOR NO KEY UPDATE"  # noqa: S608  columns are ours
)
_INSERT = Statement(
    "INSERT INTO devices (id, owner_id, shared, display_name, platform, os_version, readings,"
    " block, override, status, risk, causes, valid_until, assessed_with, epoch, created_at,"
    " updated_at) VALUES (:id, :owner_id, :shared, :display_name, :platform, :os_version,"
    " :readings, :block, :override, :status, :risk, :causes, :valid_until, :assessed_with, 0,"
    " :now, :now)"
)
#: Write what a locked device has become, or that all is as it was, only longer (see `Change`).
CHANGE: Final = (
    "UPDATE devices SET owner_id = :owner_id, shared = :shared, display_name = :display_name,"
    " platform = :platform, os_version = :os_version, readings = :readings, block = :block,"
    " override = :override, status = :status, risk = :risk, causes = :causes,"
    " valid_until = :valid_until, assessed_with = :assessed_with, updated_at = :now,"
    " epoch = epoch + :step WHERE id = :id"
)
CONFIRM: Final = (
    "UPDATE devices SET readings = :readings, valid_until = :valid_until, updated_at = :now"
    " WHERE id = :id"
)
_WRITE: Final = {text: Statement(text) for text in (CHANGE, CONFIRM)}
_LIST = Statement(
    f"SELECT {COLUMNS} FROM devices WHERE id > :after ORDER BY id LIMIT :count"  # noqa: S608  columns are ours
)
_EXISTS = Statement("SELECT 1 FROM devices WHERE id = :id")
_OF_OWNER = Statement(
    f"SELECT {COLUMNS} FROM devices WHERE owner_id = :owner ORDER BY id"  # noqa: S608  columns are ours
)
_UNOWNED = Statement(
    f"SELECT {COLUMNS} FROM devices WHERE owner_id IS NULL AND NOT shared"  # noqa: S608  columns are ours
    " ORDER BY created_at DESC, id LIMIT :count"
)
_DUE = Statement(
    "SELECT id FROM devices WHERE valid_until <= :now ORDER BY valid_until LIMIT :count"
)
_ASSESSED_OTHERWISE = Statement(
    "SELECT id FROM devices WHERE id > :after AND assessed_with <> :version"
    " ORDER BY id LIMIT :count"
)

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDevice:
    """A device as its row stands, with the assessment made when it was last written."""

    device: Device
    assessment: Assessment
    assessed_with: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What to write of a device: the text of a statement, and its parameters."""

    text: str
    row: Mapping[str, Value]


def exists(tx: Transaction, device_id: DeviceId) -> bool:
    """Tell whether there is such a device, readable or not."""
    return tx.one(_EXISTS, {"id": device_id}) is not None


def load(tx: Transaction, device_id: DeviceId) -> Device | None:
    """Return a device with its readings, or None."""
    stored = load_stored(tx, device_id)
    return None if stored is None else stored.device


def load_stored(tx: Transaction, device_id: DeviceId) -> StoredDevice | None:
    """Return a device and its stored assessment, or None."""
    return _stored_or_none(tx.one(_LOAD, {"id": device_id}))


def lock(tx: Transaction, device_id: DeviceId) -> StoredDevice | None:
    """Return a device that nobody else changes before this transaction ends, or None.

    SQLite has one writer and needs no lock.
    """
    return _stored_or_none(tx.one(_LOAD if tx.is_sqlite else _LOCK, {"id": device_id}))


def insert(
    tx: Transaction, device: Device, assessment: Assessment, rules_version: str, now: datetime
) -> None:
    """Keep a new device."""
    tx.run(_INSERT, _parameters(device, assessment, rules_version, now))


def save(
    tx: Transaction,
    before: StoredDevice,
    device: Device,
    assessment: Assessment,
    *,
    rules_version: str,
    now: datetime,
) -> None:
    """Write what a locked device has become; its epoch moves if decisions may see a difference."""
    write(tx, change(before, device, assessment, rules_version=rules_version, now=now))


def change(
    before: StoredDevice,
    device: Device,
    assessment: Assessment,
    *,
    rules_version: str,
    now: datetime,
) -> Change:
    """Return what `save` writes: most signals confirm, and leave most of the row as it is."""
    moved = before.assessed_with != rules_version or _differs(before, device, assessment)
    if moved or before.device.display_name != device.display_name:
        row = _parameters(device, assessment, rules_version, now)
        return Change(CHANGE, {**row, "step": new_step() if moved else 0})
    return Change(
        CONFIRM,
        {
            "id": device.id,
            "readings": write_readings(device.readings),
            "valid_until": to_micros_or_none(assessment.valid_until),
            "now": to_micros(now),
        },
    )


def write(tx: Transaction, change: Change) -> None:
    """Write what has become of a locked device."""
    tx.run(_WRITE[change.text], change.row)


def _differs(before: StoredDevice, device: Device, assessment: Assessment) -> bool:
    """Tell whether there is a reason to decide again.

    A statement that only confirms moves `valid_until` further away: no reason. One that brings
    it nearer is one: what was decided may hold for less long.
    """
    was, then = before.device, before.assessment
    if (was.owner, was.shared, was.platform, was.os_version, was.block, was.override) != (
        device.owner,
        device.shared,
        device.platform,
        device.os_version,
        device.block,
        device.override,
    ):
        return True
    if (then.status, then.risk, then.causes) != (
        assessment.status,
        assessment.risk,
        assessment.causes,
    ):
        return True
    return (assessment.valid_until or _NEVER) < (then.valid_until or _NEVER)


def list_devices(tx: Transaction, *, after: str = "", count: int = 100) -> list[StoredDevice]:
    """Return up to `count` devices in the order of their ids, from behind `after` on."""
    return [stored_device(row) for row in tx.all(_LIST, {"after": after, "count": count})]


def list_of_owner(tx: Transaction, owner: SubjectId) -> list[StoredDevice]:
    """Return a person's devices."""
    return [stored_device(row) for row in tx.all(_OF_OWNER, {"owner": owner})]


def list_unowned(tx: Transaction, *, count: int) -> list[StoredDevice]:
    """Return up to `count` devices that are nobody's, the newest first: signals made them."""
    return [stored_device(row) for row in tx.all(_UNOWNED, {"count": count})]


def due_for_review(tx: Transaction, *, now: datetime, count: int) -> list[DeviceId]:
    """Return devices whose assessment has run out by `now`, the longest overdue first."""
    rows = tx.all(_DUE, {"now": to_micros(now), "count": count})
    return [DeviceId(row[0]) for row in rows]


def assessed_otherwise(
    tx: Transaction, rules_version: str, *, after: str, count: int
) -> list[DeviceId]:
    """Return devices assessed by other rules than `rules_version`, from behind `after` on."""
    rows = tx.all(_ASSESSED_OTHERWISE, {"version": rules_version, "after": after, "count": count})
    return [DeviceId(row[0]) for row in rows]


def _parameters(
    device: Device, assessment: Assessment, rules_version: str, now: datetime
) -> dict[str, Value]:
    return {
        "id": device.id,
        "owner_id": device.owner,
        "shared": device.shared,
        "display_name": device.display_name,
        "platform": device.platform,
        "os_version": device.os_version,
        "readings": write_readings(device.readings),
        "block": write_block(device.block),
        "override": write_override(device.override),
        "status": assessment.status.value,
        "risk": assessment.risk.value,
        "causes": write_causes(assessment.causes),
        "valid_until": to_micros_or_none(assessment.valid_until),
        "assessed_with": rules_version,
        "now": to_micros(now),
    }


def _stored_or_none(row: Sequence[Any] | None) -> StoredDevice | None:
    return None if row is None else stored_device(row)


def stored_device(row: Sequence[Any]) -> StoredDevice:
    """Return the device that a row of `COLUMNS` holds."""
    return StoredDevice(
        device=Device(
            id=DeviceId(row[0]),
            owner=None if row[1] is None else SubjectId(row[1]),
            shared=bool(row[2]),
            display_name=row[3],
            platform=row[4],
            os_version=row[5],
            readings=read_readings(row[6]),
            block=read_block(row[7]),
            override=read_override(row[8]),
            epoch=row[14],
        ),
        assessment=Assessment(
            status=Compliance(row[9]),
            risk=RiskLevel(row[10]),
            causes=read_causes(row[11]),
            valid_until=from_micros_or_none(row[12]),
        ),
        assessed_with=row[13],
        created_at=from_micros(row[15]),
        updated_at=from_micros(row[16]),
    )
