"""Whether the person is in any of these groups: `group: [engineering]`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.policy.membership import Attribute, Membership, parse_texts
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str] | None:
    return None if facts.subject is None else facts.subject.groups


GROUP: Final = Attribute("group", Reason.GROUP, _read)


def parse(field: Field) -> Membership:
    """Read group names."""
    return parse_texts(field, GROUP)
