"""Assess a device, and let everything that follows from a change commit with it."""

from datetime import datetime

from pdp.domain.compliance import Assessment
from pdp.domain.device import Device
from pdp.domain.events import Action, Event
from pdp.domain.ids import DeviceId
from pdp.policy.assess import assess
from pdp.policy.rules import Rules
from pdp.store import audit, devices, exposures, grants
from pdp.store.database import Transaction
from pdp.store.devices import StoredDevice
from pdp.store.exposures import Origin
from pdp.usecases.follow_ups import PropagateChange, follow_up
from pdp.usecases.track_tasks import track_tasks

TIMER = "pratique:timer"


def assessment_at(stored: StoredDevice, rules: Rules, now: datetime) -> Assessment:
    """Return the assessment that counts at `now`: the stored one while it stands, else a new one.

    Pure: a change of rules and the end of a grace period count at once for whoever reads, and
    are written when the timer comes by (DECISIONS 21).
    """
    valid_until = stored.assessment.valid_until
    if stored.assessed_with == rules.version and (valid_until is None or now < valid_until):
        return stored.assessment
    return assess(stored.device, rules, now, previous=stored.assessment)


def reassess_device(
    tx: Transaction,
    before: StoredDevice,
    device: Device,
    rules: Rules,
    origin: Origin,
    *,
    actor: str,
    now: datetime,
) -> Assessment:
    """Assess `device`, which `before` has become, write it, and set off what follows.

    The caller holds the lock that `before` was read under. Where nothing changed that anybody
    acts on, one row is written and nothing follows.
    """
    assessment = assess(device, rules, now, previous=before.assessment)
    devices.save(tx, before, device, assessment, rules_version=rules.version, now=now)
    follow_change(tx, before, device, assessment, origin, actor=actor, now=now)
    return assessment


def follow_change(
    tx: Transaction,
    before: StoredDevice,
    device: Device,
    assessment: Assessment,
    origin: Origin,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Set off what follows when `before` becomes `device`, assessed so, in this transaction."""
    told = _compliance(before.assessment) != _compliance(assessment)
    if told:
        track_tasks(tx, device.id, assessment, actor=actor, now=now)
        _record(tx, before, device, assessment, origin, actor=actor, now=now)
    described = _described(before.device) != _described(device)
    if described or _is_worse(before.assessment, assessment):
        exposures.open_on_device(tx, device.id, origin)
    if told or described:
        _propagate(tx, device, origin, now=now)


def review_device(tx: Transaction, device_id: DeviceId, rules: Rules, *, now: datetime) -> bool:
    """Assess a device because time passed or the rules changed; False if there was no need."""
    before = devices.lock(tx, device_id)
    if before is None:
        return False
    due = before.assessment.valid_until
    overdue = due is not None and due <= now
    if before.assessed_with == rules.version and not overdue:
        return False
    origin = Origin(
        event_time=due if due is not None and overdue else now, received_at=now, committed_at=now
    )
    reassess_device(tx, before, before.device, rules, origin, actor=TIMER, now=now)
    return True


def _compliance(assessment: Assessment) -> tuple[object, ...]:
    """Return what people are told of an assessment: not since when, and not for how long."""
    causes = {
        (cause.rule, cause.status, cause.source, cause.attribute, cause.title, cause.category)
        for cause in assessment.causes
    }
    return assessment.status, assessment.risk, causes


def _described(device: Device) -> tuple[object, ...]:
    """Return what decisions see of a device beside its assessment."""
    return (device.owner, device.shared, device.platform, device.os_version, device.block)


def _record(
    tx: Transaction,
    before: StoredDevice,
    device: Device,
    assessment: Assessment,
    origin: Origin,
    *,
    actor: str,
    now: datetime,
) -> None:
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=Action.DEVICE_COMPLIANCE_CHANGED,
            kind="device",
            object_id=device.id,
            detail={
                "from": before.assessment.status.value,
                "to": assessment.status.value,
                "risk": assessment.risk.value,
                "rules": sorted({cause.rule for cause in assessment.causes}),
                "signal": origin.signal,
            },
        ),
    )


def _is_worse(before: Assessment, after: Assessment) -> bool:
    """Tell whether somebody may be exposed: what gets better need not be measured."""
    return after.status.badness > before.status.badness or after.risk.badness > before.risk.badness


def _propagate(tx: Transaction, device: Device, origin: Origin, *, now: datetime) -> None:
    # Whoever issues a grant holds the device still: a grant that is not seen here was not given
    # yet, and will be decided on with what is written here.
    if device.block is not None or grants.is_any_live_on_device(tx, device.id, now):
        follow_up(tx, PropagateChange(device=device.id, origin=origin), now=now)
