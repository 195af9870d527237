"""The OAuth grant in use: `grant_type: client_credentials`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.domain.client import GRANT_TYPES
from pdp.policy.membership import Attribute, Membership, parse_words
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str] | None:
    return None if facts.grant_type is None else (facts.grant_type,)


GRANT_TYPE: Final = Attribute("grant_type", Reason.GRANT_TYPE, _read)


def parse(field: Field) -> Membership:
    """Read grant types as OAuth spells them."""
    return parse_words(field, GRANT_TYPE, GRANT_TYPES)
