"""The device's platform, in lower case: `device_platform: [windows, macos]`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.policy.membership import Attribute, Membership, open_spec
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str] | None:
    if facts.device is None or not facts.device.platform:
        return None
    return (facts.device.platform.lower(),)


DEVICE_PLATFORM: Final = Attribute("device_platform", Reason.DEVICE_PLATFORM, _read)


def parse(field: Field) -> Membership:
    """Read platforms as sources name them; letter case does not matter."""
    values, on_missing = open_spec(field)
    platforms = frozenset(platform.lower() for platform in values.texts())
    return Membership(DEVICE_PLATFORM, platforms, on_missing)
