"""A device's story: what was said of it, what was done to it, and what was decided."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pdp.domain.ids import DeviceId
from pdp.store import audit_trail, decisions, signals
from pdp.store.database import Transaction
from pdp.store.period import EVER, Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened at `at` (UTC); `kind` is signal, event or decision."""

    at: datetime
    kind: str
    what: str
    detail: str


def device_history(
    tx: Transaction, device_id: DeviceId, *, period: Period = EVER, count: int = 30
) -> list[Moment]:
    """Return the newest `count` moments of a device in `period`, the newest first."""
    found = _moments(tx, device_id, period, count)
    return sorted(found, key=lambda moment: moment.at, reverse=True)[:count]


def _moments(tx: Transaction, device_id: DeviceId, period: Period, count: int) -> Iterator[Moment]:
    for stored in signals.of_device(tx, device_id, period=period, count=count):
        yield Moment(
            at=stored.received_at,
            kind="signal",
            what=f"{stored.source} {stored.result.value}",
            detail=stored.id,
        )
    for event in audit_trail.recent(
        tx, kind="device", object_id=device_id, period=period, count=count
    ):
        yield Moment(
            at=event.at,
            kind="event",
            what=event.action.value,
            detail=" ".join(f"{name}={value}" for name, value in event.detail.items()),
        )
    for record in decisions.recent(tx, device_id=device_id, period=period, count=count):
        yield Moment(
            at=record.at,
            kind="decision",
            what=f"{record.outcome.wire} at {record.facts.channel.value}",
            detail=record.id,
        )
