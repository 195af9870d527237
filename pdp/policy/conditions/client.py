"""Which client asks: `client: [wiki, mail]`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.policy.membership import Attribute, Membership, parse_texts
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str]:
    return (facts.client.id,)


CLIENT: Final = Attribute("client", Reason.CLIENT, _read)


def parse(field: Field) -> Membership:
    """Read the ids of clients."""
    return parse_texts(field, CLIENT)
