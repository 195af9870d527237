"""Which device does a signal mean? One, a new one, or none that could be told."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pdp.domain.ids import DeviceId
from pdp.domain.signal import DeviceName, NameKind
from pdp.policy.rules import Rules
from pdp.store import device_names
from pdp.store.database import Transaction
from pdp.usecases.register_device import register_device

Bound = Mapping[DeviceName, DeviceId | None]


def resolve_device(
    tx: Transaction, names: Sequence[DeviceName], rules: Rules, *, actor: str, now: datetime
) -> DeviceId | None:
    """Return the device that bears `names`, made if no name was ever heard; None to quarantine.

    Names that mean two devices, a name of a kind of which the device has another one already,
    and an id of ours that we never gave: none of them says for sure which device is meant. New
    names of a known device are learnt.
    """
    bound = device_names.find_bound(tx, names)
    bearers = _bearers(names, bound)
    if len(bearers) == 1 and all(
        name in bound and bound[name] in {*bearers, None} for name in names
    ):
        return next(iter(bearers))
    # From here on names may be given: somebody else may just have given the same ones.
    device_names.take_turns(tx)
    bound = device_names.find_bound(tx, names)
    bearers = _bearers(names, bound)
    if len(bearers) > 1 or None in bearers or _asserts_an_id(names, bound):
        return None
    if not bearers:
        return register_device(tx, rules, names=names, actor=actor, now=now)
    device_id = next(bearer for bearer in bearers if bearer is not None)
    if _contradicts(tx, device_id, names, bound):
        return None
    for name in names:
        if bound.get(name) != device_id:
            device_names.bind_name(tx, name, device_id)
    return device_id


def _bearers(names: Sequence[DeviceName], bound: Bound) -> set[DeviceId | None]:
    """Return whom the names mean: host names speak only where no better name is given."""
    better = [name for name in names if name.kind is not NameKind.HOSTNAME]
    return {bound[name] for name in better or names if name in bound}


def _asserts_an_id(names: Sequence[DeviceName], bound: Bound) -> bool:
    return any(name.kind is NameKind.ID and name not in bound for name in names)


def _contradicts(
    tx: Transaction, device_id: DeviceId, names: Sequence[DeviceName], bound: Bound
) -> bool:
    """Tell whether a new name is of a kind that a device has once, and has already."""
    new = {name.kind for name in names if name not in bound} - {NameKind.HOSTNAME}
    if not new:
        return False
    return any(name.kind in new for name in device_names.of_device(tx, device_id))
