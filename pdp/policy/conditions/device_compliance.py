"""The device's assessed status: `device_compliance: [compliant, in-grace]`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.domain.compliance import Compliance
from pdp.policy.membership import Attribute, Membership, parse_words
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str] | None:
    # Where a person takes part there is always a status; only machines have no device at all.
    return None if facts.device is None else (facts.device.compliance,)


DEVICE_COMPLIANCE: Final = Attribute("device_compliance", Reason.DEVICE_COMPLIANCE, _read)


def parse(field: Field) -> Membership:
    """Read statuses."""
    return parse_words(field, DEVICE_COMPLIANCE, tuple(status.value for status in Compliance))
