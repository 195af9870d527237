"""How sure we are which device speaks: `identification_strength: {at_least: strong}`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason, Strength
from pdp.policy.membership import Attribute, Membership, parse_ranked
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str] | None:
    return None if facts.device is None else (facts.device.strength,)


IDENTIFICATION_STRENGTH: Final = Attribute(
    "identification_strength", Reason.IDENTIFICATION_STRENGTH, _read
)


def parse(field: Field) -> Membership:
    """Read strengths, or the lowest that counts."""
    order = tuple(strength.value for strength in Strength)
    return parse_ranked(field, IDENTIFICATION_STRENGTH, order)
