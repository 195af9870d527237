"""An administrator's word about a device: blocked or not, shared or not, or compliant a while."""

from dataclasses import replace
from datetime import datetime

from pdp.domain.compliance import Assessment
from pdp.domain.device import Block, Override
from pdp.domain.errors import InvalidTransition, NotFound
from pdp.domain.events import Action, Event
from pdp.domain.ids import DeviceId
from pdp.policy.rules import Rules
from pdp.store import audit, devices
from pdp.store.database import Transaction
from pdp.store.devices import StoredDevice
from pdp.store.exposures import Origin
from pdp.usecases.reassess_device import reassess_device


def block_device(
    tx: Transaction, device_id: DeviceId, rules: Rules, *, reason: str, actor: str, now: datetime
) -> Assessment:
    """Let the device in nowhere from `now` on; NotFound, or InvalidTransition if it is blocked."""
    before = _locked(tx, device_id)
    if before.device.block is not None:
        raise InvalidTransition(f"device {device_id} is blocked")
    device = replace(before.device, block=Block(since=now, reason=reason, by=actor))
    _tell(tx, device_id, Action.DEVICE_BLOCKED, {"reason": reason}, actor=actor, now=now)
    return reassess_device(tx, before, device, rules, _here(now), actor=actor, now=now)


def unblock_device(
    tx: Transaction, device_id: DeviceId, rules: Rules, *, reason: str, actor: str, now: datetime
) -> Assessment:
    """Judge the device by its readings again; NotFound, or InvalidTransition if not blocked."""
    before = _locked(tx, device_id)
    if before.device.block is None:
        raise InvalidTransition(f"device {device_id} is not blocked")
    device = replace(before.device, block=None)
    _tell(tx, device_id, Action.DEVICE_UNBLOCKED, {"reason": reason}, actor=actor, now=now)
    return reassess_device(tx, before, device, rules, _here(now), actor=actor, now=now)


def override_device(
    tx: Transaction,
    device_id: DeviceId,
    rules: Rules,
    *,
    until: datetime,
    reason: str,
    actor: str,
    now: datetime,
) -> Assessment:
    """Count the device as compliant until `until` (UTC), unless it is blocked or under attack.

    NotFound if there is none, InvalidTransition if `until` has passed.
    """
    if until <= now:
        raise InvalidTransition(f"an override must end after {now.isoformat()}")
    before = _locked(tx, device_id)
    device = replace(before.device, override=Override(until=until, reason=reason, by=actor))
    detail: dict[str, object] = {"reason": reason, "until": until.isoformat()}
    _tell(tx, device_id, Action.DEVICE_OVERRIDDEN, detail, actor=actor, now=now)
    return reassess_device(tx, before, device, rules, _here(now), actor=actor, now=now)


def share_device(
    tx: Transaction, device_id: DeviceId, rules: Rules, *, shared: bool, actor: str, now: datetime
) -> Assessment:
    """Let a device count for everybody who signs in on it, or for its owner alone again.

    NotFound if there is none, InvalidTransition if it is so already.
    """
    before = _locked(tx, device_id)
    if before.device.shared is shared:
        raise InvalidTransition(f"device {device_id} is {'already' if shared else 'not'} shared")
    device = replace(before.device, shared=shared)
    action = Action.DEVICE_SHARED if shared else Action.DEVICE_UNSHARED
    _tell(tx, device_id, action, {}, actor=actor, now=now)
    return reassess_device(tx, before, device, rules, _here(now), actor=actor, now=now)


def _locked(tx: Transaction, device_id: DeviceId) -> StoredDevice:
    stored = devices.lock(tx, device_id)
    if stored is None:
        raise NotFound("device", device_id)
    return stored


def _here(now: datetime) -> Origin:
    return Origin(event_time=now, received_at=now, committed_at=now)


def _tell(
    tx: Transaction,
    device_id: DeviceId,
    action: Action,
    detail: dict[str, object],
    *,
    actor: str,
    now: datetime,
) -> None:
    audit.append(
        tx,
        Event(
            at=now, actor=actor, action=action, kind="device", object_id=device_id, detail=detail
        ),
    )
