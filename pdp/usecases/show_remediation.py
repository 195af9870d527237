"""What the remediation page tells a person: which device, what was found, and what to do.

Detection names of active threats never leave here (DECISIONS 31): the page says that the
security team is at it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pdp.domain.access import DeviceFacts
from pdp.domain.compliance import Assessment, Cause, Compliance
from pdp.domain.device import Device
from pdp.domain.ids import DeviceId
from pdp.domain.signal import ACTIVE_THREAT, NameKind
from pdp.policy.rules import Rules, remediation_for
from pdp.store import device_names, devices, tasks
from pdp.store.database import Transaction
from pdp.usecases.reassess_device import assessment_at

_SERIAL_END = 4


class PageState(StrEnum):
    """What the page is about; the template has a sentence for each."""

    FIXABLE = "fixable"
    WAITING = "waiting"
    UNKNOWN_DEVICE = "unknown-device"
    SECURITY_TEAM = "security-team"
    STALE = "stale"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDevice:
    """The device as its owner knows it."""

    name: str
    platform: str | None
    os_version: str | None
    serial_end: str | None
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """One thing to fix, in the words of the rule that found it."""

    title: str
    category: str
    severity: str
    since: datetime | None
    reported_by: str | None
    checked_at: datetime | None
    fix_by: datetime | None
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remediation:
    """Everything the page shows; `version` changes with what a person would read."""

    state: PageState
    device: ShownDevice | None
    findings: tuple[ShownFinding, ...]
    ticket: str | None
    version: str


def show_remediation(
    tx: Transaction, facts: DeviceFacts | None, rules: Rules, *, now: datetime
) -> Remediation:
    """Return the page for the device that a decision looked at."""
    device_id = None if facts is None else facts.id
    stored = None if device_id is None else devices.load_stored(tx, device_id)
    if stored is None or device_id is None:
        return _versioned(PageState.UNKNOWN_DEVICE, None, (), None)
    assessment = assessment_at(stored, rules, now)
    found = tuple(_finding(stored.device, cause, rules) for cause in assessment.causes)
    return _versioned(
        _state(stored.device, assessment),
        shown_device(tx, stored.device),
        found,
        _ticket(tx, device_id),
    )


def _versioned(
    state: PageState,
    device: ShownDevice | None,
    findings: tuple[ShownFinding, ...],
    ticket: str | None,
) -> Remediation:
    # Not "last seen": a device that reports every minute must not reload the page each time.
    read = (state, device.name if device else "", [(f.title, f.steps, f.fix_by) for f in findings])
    version = hashlib.sha256(repr(read).encode()).hexdigest()[:16]
    return Remediation(
        state=state, device=device, findings=findings, ticket=ticket, version=version
    )


def _state(device: Device, assessment: Assessment) -> PageState:
    if device.block is not None or any(c.category == ACTIVE_THREAT for c in assessment.causes):
        return PageState.SECURITY_TEAM
    match assessment.status:
        case Compliance.ERROR:
            return PageState.ERROR
        case Compliance.STALE:
            return PageState.STALE
        case Compliance.UNKNOWN:
            return PageState.WAITING
        case _:
            return PageState.FIXABLE if assessment.causes else PageState.WAITING


def _finding(device: Device, cause: Cause, rules: Rules) -> ShownFinding:
    words = remediation_for(rules, cause, platform=device.platform)
    secret = cause.category == ACTIVE_THREAT
    reading = None if cause.source is None else device.readings.get(cause.source)
    return ShownFinding(
        title="" if secret else cause.title or words.title,
        category=ACTIVE_THREAT if secret else "",
        severity="high" if cause.status is Compliance.NOT_COMPLIANT else "medium",
        since=cause.since,
        reported_by=cause.source,
        checked_at=None if reading is None else reading.last_event_time,
        fix_by=cause.grace_until,
        steps=() if secret else words.steps,
    )


def shown_device(tx: Transaction, device: Device) -> ShownDevice:
    """Return a device in the words of its owner."""
    names = device_names.of_device(tx, device.id)
    serial = next((name.value for name in names if name.kind is NameKind.SERIAL), None)
    hostname = next((name.value for name in names if name.kind is NameKind.HOSTNAME), None)
    seen = [r.last_event_time for r in device.readings.values() if r.last_event_time is not None]
    return ShownDevice(
        name=device.display_name or hostname or "Your device",
        platform=device.platform,
        os_version=device.os_version,
        serial_end=None if serial is None else serial[-_SERIAL_END:],
        last_seen_at=max(seen, default=None),
    )


def _ticket(tx: Transaction, device_id: DeviceId) -> str | None:
    open_tasks = tasks.open_of_device(tx, device_id)
    return open_tasks[0].code if open_tasks else None
