"""The device's risk: `device_risk: {at_least: medium}`; `unknown` is missing unless named."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.domain.signal import RiskLevel
from pdp.policy.membership import Attribute, Membership, parse_ranked
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str] | None:
    return None if facts.device is None else (facts.device.risk,)


DEVICE_RISK: Final = Attribute(
    "device_risk", Reason.DEVICE_RISK, _read, unstated=frozenset({RiskLevel.UNKNOWN.value})
)


def parse(field: Field) -> Membership:
    """Read risk levels, or the lowest that counts."""
    return parse_ranked(field, DEVICE_RISK, tuple(level.value for level in RiskLevel))
