"""Signals in: each counts once, all of a delivery together or none, in any order of arrival."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pdp.domain.device import Device
from pdp.domain.errors import Conflict
from pdp.domain.ids import DeviceId, SourceId
from pdp.domain.signal import DeviceName, Signal
from pdp.policy.rules import Rules
from pdp.store import devices, signals
from pdp.store.database import Transaction
from pdp.store.devices import StoredDevice
from pdp.store.exposures import Origin
from pdp.store.readings import write_signal
from pdp.store.signals import Gate, SignalResult
from pdp.usecases.reassess_device import reassess_device
from pdp.usecases.resolve_device import resolve_device


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


def ingest_signals(
    tx: Transaction,
    source_id: SourceId,
    stated: Sequence[Signal],
    rules: Rules,
    *,
    delivery_id: str,
    body_digest: str,
    received_at: datetime,
    now: datetime,
) -> Ingested:
    """Apply the signals of one delivery, and let what follows commit with them.

    `received_at` is when the request came in, `now` this transaction's instant (UTC both).
    Raises SignalConflict for a used id with another body: the caller's transaction must then be
    rolled back, as an exception that leaves `Database.write()` does.
    """
    gate = signals.pass_delivery(
        tx, source_id, delivery_id, body_digest=body_digest, now=received_at
    )
    match gate:
        case Gate.DUPLICATE:
            return Ingested(duplicates=len(stated))
        case Gate.CONFLICT:
            raise SignalConflict("this delivery id was used before, for another body")
        case Gate.NEW:
            return _apply(tx, source_id, stated, rules, received_at=received_at, now=now)


def _apply(
    tx: Transaction,
    source_id: SourceId,
    stated: Sequence[Signal],
    rules: Rules,
    *,
    received_at: datetime,
    now: datetime,
) -> Ingested:
    actor = f"source:{source_id}"
    meant: dict[tuple[DeviceName, ...], DeviceId | None] = {}
    for signal in stated:
        if signal.device not in meant:
            meant[signal.device] = resolve_device(tx, signal.device, rules, actor=actor, now=now)
    touched = _lock(tx, meant)
    counts = dict.fromkeys((*SignalResult, Gate.DUPLICATE), 0)
    # By id, as everybody does: two deliveries with the same signals wait in the same order.
    for signal in sorted(stated, key=lambda each: each.id):
        device_id = meant[signal.device]
        device = touched[device_id] if device_id is not None else None
        counts[_count_once(tx, signal, device, received_at)] += 1
    for device in touched.values():
        if device.newest is not None:
            origin = Origin(
                source=source_id,
                signal=device.newest.id,
                event_time=device.newest.event_time,
                received_at=received_at,
                committed_at=now,
            )
            reassess_device(tx, device.before, device.after, rules, origin, actor=actor, now=now)
    return Ingested(
        applied=counts[SignalResult.APPLIED],
        late=counts[SignalResult.LATE],
        quarantined=counts[SignalResult.QUARANTINED],
        duplicates=counts[Gate.DUPLICATE],
    )


def _lock(
    tx: Transaction, meant: Mapping[tuple[DeviceName, ...], DeviceId | None]
) -> dict[DeviceId, _Touched]:
    """Lock every device in the order of ids, so that no two deliveries wait for each other."""
    touched = {}
    for device_id in sorted({each for each in meant.values() if each is not None}):
        before = devices.lock(tx, device_id)
        if before is None:
            raise SignalConflict(f"device {device_id} went away meanwhile: send it again")
        touched[device_id] = _Touched(before, before.device)
    return touched


def _count_once(
    tx: Transaction, signal: Signal, device: _Touched | None, received_at: datetime
) -> SignalResult | Gate:
    """Keep the signal, and apply it if it is new and says anything newer than what is known."""
    after = None if device is None else device.after.with_signal(signal)
    result = SignalResult.APPLIED
    if device is None:
        result = SignalResult.QUARANTINED
    elif after == device.after:
        result = SignalResult.LATE
    document = write_signal(signal)
    gate = signals.pass_signal(
        tx,
        signal,
        document=document,
        digest=hashlib.sha256(document.encode()).hexdigest(),
        device_id=None if device is None else device.before.device.id,
        result=result,
        received_at=received_at,
    )
    match gate:
        case Gate.CONFLICT:
            raise SignalConflict(f"signal id {signal.id!r} was used before, for another statement")
        case Gate.DUPLICATE:
            return gate
        case Gate.NEW:
            if device is not None and after is not None and result is SignalResult.APPLIED:
                device.after = after
                device.newest = _newer(device.newest, signal)
            return result


def _newer(known: Signal | None, signal: Signal) -> Signal:
    return signal if known is None or signal.event_time >= known.event_time else known
