"""Who signs in, by id: `subject: [sub_ada]`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.policy.membership import Attribute, Membership, parse_texts
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str] | None:
    return None if facts.subject is None else (facts.subject.id,)


SUBJECT: Final = Attribute("subject", Reason.SUBJECT, _read)


def parse(field: Field) -> Membership:
    """Read the ids of persons."""
    return parse_texts(field, SUBJECT)
