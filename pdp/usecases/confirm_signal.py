"""Take in a delivery that only confirms what is known of its device: no wait, and no lock."""

from datetime import datetime
from functools import partial

from pdp.domain.signal import Signal
from pdp.policy.assess import assess
from pdp.policy.rules import Rules
from pdp.store import devices, signals
from pdp.store.arrivals import Arrival
from pdp.store.at_once import AtOnce, NotAtOnce
from pdp.store.confirmations import confirm, see
from pdp.store.signals import SignalResult
from pdp.usecases.ingest_signal import Ingested


def confirm_signal(
    database: AtOnce, arrival: Arrival, signal: Signal, rules: Rules, *, now: datetime
) -> Ingested:
    """Apply the only signal of a delivery; `now` is the instant of writing (UTC).

    NotAtOnce, and nothing applied, where anything but the device's own row would change or would
    have to be looked at again: that is for `ingest_signals`, to which this comes to the same.
    """
    with database.read() as tx:
        seen = see(tx, signal.device)
    if seen is None:
        raise NotAtOnce
    before = seen.device
    device = before.device.with_signal(signal)
    if device == before.device:
        # Late: it is kept as history.
        raise NotAtOnce
    assessment = assess(device, rules, now, previous=before.assessment)
    change = devices.change(before, device, assessment, rules_version=rules.version, now=now)
    if change.text != devices.CONFIRM:
        raise NotAtOnce
    row = signals.row(signal, device.id, SignalResult.APPLIED, arrival.received_at)
    work = partial(confirm, arrival=arrival, seen=seen, signal=row, change=change)
    if not database.attempt(work):
        raise NotAtOnce
    return Ingested(applied=1)
