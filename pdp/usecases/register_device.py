"""A device gets a record: from a signal about one never seen, or by enrolment."""

from collections.abc import Iterable
from datetime import datetime

from pdp.clock import new_id
from pdp.domain.device import Device
from pdp.domain.events import Action, Event
from pdp.domain.ids import DeviceId, SubjectId
from pdp.domain.signal import DeviceName, NameKind
from pdp.policy.assess import assess
from pdp.policy.rules import Rules
from pdp.store import audit, device_names, devices
from pdp.store.database import Transaction


def register_device(
    tx: Transaction,
    rules: Rules,
    *,
    names: Iterable[DeviceName] = (),
    owner: SubjectId | None = None,
    display_name: str = "",
    platform: str | None = None,
    actor: str,
    now: datetime,
) -> DeviceId:
    """Make a record that knows nothing of the device's health yet; return its id.

    Without an owner and a key it identifies no sign-in (DECISIONS 28).
    """
    device = Device(
        id=DeviceId(new_id("dev")), owner=owner, display_name=display_name, platform=platform
    )
    devices.insert(tx, device, assess(device, rules, now), rules.version, now)
    device_names.bind_name(tx, DeviceName.of(NameKind.ID, device.id), device.id)
    for name in names:
        device_names.bind_name(tx, name, device.id)
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=Action.DEVICE_CREATED,
            kind="device",
            object_id=device.id,
            detail={"owner": owner},
        ),
    )
    return device.id
