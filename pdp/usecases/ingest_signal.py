"""Signals in: each counts once, all of a delivery together or none, in any order of arrival."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pdp.domain.device import Device
from pdp.domain.errors import Conflict
from pdp.domain.ids import DeviceId
from pdp.domain.signal import DeviceName, Signal
from pdp.policy.assess import assess
from pdp.policy.rules import Rules
from pdp.store import arrivals, devices, signals
from pdp.store.arrivals import Arrival
from pdp.store.database import Transaction
from pdp.store.devices import StoredDevice
from pdp.store.exposures import Origin
from pdp.store.signals import Gate, SignalResult
from pdp.usecases.reassess_device import follow_change, reassess_device
from pdp.usecases.resolve_device import resolve_device

#: What a signal counts as: what became of it, or a repetition.
Counted = SignalResult | Literal[Gate.DUPLICATE]


class SignalConflict(Conflict):
    """An id was used before for something else: nothing of the delivery may be applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of the signals of one delivery; all counts are of signals.

    A delivery that repeats an earlier one is counted as `duplicates` throughout.
    """

    applied: int = 0
    late: int = 0
    quarantined: int = 0
    duplicates: int = 0

    @property
    def is_duplicate(self) -> bool:
        """Whether nothing in the delivery was new."""
        return self.applied + self.late + self.quarantined == 0


@dataclass(slots=True)
class _Touched:
    """A locked device while signals are applied to it."""

    before: StoredDevice
    after: Device
    newest: Signal | None = None


@dataclass(slots=True)
class _Locked:
    """The devices of a delivery, and which of them its names mean: None if that is not told."""

    meant: dict[tuple[DeviceName, ...], DeviceId | None] = field(default_factory=dict)
    devices: dict[DeviceId, _Touched] = field(default_factory=dict)

    def named(self, names: tuple[DeviceName, ...]) -> _Touched | None:
        """Return the device that the names mean."""
        device_id = self.meant[names]
        return None if device_id is None else self.devices[device_id]


def ingest_signals(
    tx: Transaction, arrival: Arrival, stated: Sequence[Signal], rules: Rules, *, now: datetime
) -> Ingested | None:
    """Apply the signals of one delivery, and let what follows commit with them.

    None, and nothing applied, if the configuration moved since the delivery was believed. `now`
    is this transaction's instant (UTC). Raises SignalConflict for a used id with another body:
    the caller's transaction must then be rolled back, as an exception that leaves
    `Database.write()` does.
    """
    names = _names_of_all(stated)
    gate, device = arrivals.count_delivery(tx, arrival, names)
    match gate:
        case Gate.OUTDATED:
            return None
        case Gate.DUPLICATE:
            return Ingested(duplicates=len(stated))
        case Gate.CONFLICT:
            raise SignalConflict("this delivery id was used before, for another body")
        case Gate.NEW if device is not None and len(stated) == 1:
            return _apply_one(tx, arrival, stated[0], device, rules, now=now)
        case Gate.NEW:
            locked = _lock_all(tx, arrival, stated, rules, device, now=now)
            return _apply(tx, arrival, stated, rules, locked, now=now)


def _names_of_all(stated: Sequence[Signal]) -> tuple[DeviceName, ...]:
    """Return the names of the device that the signals are about; none if they differ."""
    names = {signal.device for signal in stated}
    return names.pop() if len(names) == 1 else ()


def _apply_one(
    tx: Transaction,
    arrival: Arrival,
    signal: Signal,
    before: StoredDevice,
    rules: Rules,
    *,
    now: datetime,
) -> Ingested:
    """Apply the only signal of a delivery to its locked device: what nearly all deliveries are."""
    device = before.device.with_signal(signal)
    if device == before.device:
        late = signals.row(signal, device.id, SignalResult.LATE, arrival.received_at)
        return _counted({_checked(signals.keep(tx, late), signal, SignalResult.LATE): 1})
    assessment = assess(device, rules, now, previous=before.assessment)
    gate = arrivals.keep_and_write(
        tx,
        signals.row(signal, device.id, SignalResult.APPLIED, arrival.received_at),
        devices.change(before, device, assessment, rules_version=rules.version, now=now),
    )
    result = _checked(gate, signal, SignalResult.APPLIED)
    if result is SignalResult.APPLIED:
        origin = _origin(arrival, signal, now)
        follow_change(tx, before, device, assessment, origin, actor=_actor(arrival), now=now)
    return _counted({result: 1})


def _apply(
    tx: Transaction,
    arrival: Arrival,
    stated: Sequence[Signal],
    rules: Rules,
    locked: _Locked,
    *,
    now: datetime,
) -> Ingested:
    """Apply the signals of a delivery to their locked devices."""
    counts: Counter[Counted] = Counter()
    # By id, as everybody does: two deliveries with the same signals wait in the same order.
    for signal in sorted(stated, key=lambda each: each.id):
        device = locked.named(signal.device)
        counts[_count_once(tx, signal, device, arrival.received_at)] += 1
    for device in locked.devices.values():
        if device.newest is not None:
            origin = _origin(arrival, device.newest, now)
            reassess_device(
                tx, device.before, device.after, rules, origin, actor=_actor(arrival), now=now
            )
    return _counted(counts)


def _actor(arrival: Arrival) -> str:
    return f"source:{arrival.source}"


def _origin(arrival: Arrival, newest: Signal, now: datetime) -> Origin:
    return Origin(
        source=arrival.source,
        signal=newest.id,
        event_time=newest.event_time,
        received_at=arrival.received_at,
        committed_at=now,
    )


def _counted(counts: Mapping[Counted, int]) -> Ingested:
    return Ingested(
        applied=counts.get(SignalResult.APPLIED, 0),
        late=counts.get(SignalResult.LATE, 0),
        quarantined=counts.get(SignalResult.QUARANTINED, 0),
        duplicates=counts.get(Gate.DUPLICATE, 0),
    )


def _lock_all(
    tx: Transaction,
    arrival: Arrival,
    stated: Sequence[Signal],
    rules: Rules,
    bearer: StoredDevice | None,
    *,
    now: datetime,
) -> _Locked:
    """Find and lock the devices; `bearer`, if there is one, is locked, and all signals mean it.

    In the order of ids, so that no two deliveries wait for each other. Whoever holds a device
    must not ask for names any more: names come first.
    """
    locked = _Locked()
    if bearer is not None:
        locked.meant = {signal.device: bearer.device.id for signal in stated}
        locked.devices = {bearer.device.id: _Touched(bearer, bearer.device)}
        return locked
    actor = _actor(arrival)
    for names in dict.fromkeys(signal.device for signal in stated):
        locked.meant[names] = resolve_device(tx, names, rules, actor=actor, now=now)
    for device_id in sorted({each for each in locked.meant.values() if each is not None}):
        before = devices.lock(tx, device_id)
        if before is None:
            raise SignalConflict(f"device {device_id} went away meanwhile: send it again")
        locked.devices[device_id] = _Touched(before, before.device)
    return locked


def _count_once(
    tx: Transaction, signal: Signal, device: _Touched | None, received_at: datetime
) -> Counted:
    """Keep the signal, and apply it if it is new and says anything newer than what is known."""
    after = None if device is None else device.after.with_signal(signal)
    result = SignalResult.APPLIED
    if device is None:
        result = SignalResult.QUARANTINED
    elif after == device.after:
        result = SignalResult.LATE
    device_id = None if device is None else device.before.device.id
    gate = signals.keep(tx, signals.row(signal, device_id, result, received_at))
    counted = _checked(gate, signal, result)
    if device is not None and after is not None and counted is SignalResult.APPLIED:
        device.after = after
        device.newest = _newer(device.newest, signal)
    return counted


def _checked(gate: Gate, signal: Signal, result: SignalResult) -> Counted:
    """Return what a signal counts as: `result` if it was new; SignalConflict for a used id."""
    match gate:
        case Gate.CONFLICT:
            raise SignalConflict(f"signal id {signal.id!r} was used before, for another statement")
        case Gate.DUPLICATE:
            return gate
        case _:
            return result


def _newer(known: Signal | None, signal: Signal) -> Signal:
    return signal if known is None or signal.event_time >= known.event_time else known
