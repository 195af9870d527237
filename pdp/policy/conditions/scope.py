"""Whether any of the requested scopes is among these: `scope: [payroll]`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.policy.membership import Attribute, Membership, parse_texts
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str]:
    # To ask for nothing is a known fact, so an empty set is no missing one.
    return facts.scopes


SCOPE: Final = Attribute("scope", Reason.SCOPE, _read)


def parse(field: Field) -> Membership:
    """Read scope names."""
    return parse_texts(field, SCOPE)
