"""The commonest question: whether an attribute of the facts is among the accepted words.

Such conditions are what the index of a bundle is built from.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from pdp.domain.access import Facts, Reason
from pdp.policy.condition import Plain
from pdp.policy.reader import Field
from pdp.policy.ternary import Ternary


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named attribute of the facts.

    `read` returns its values, of which a condition needs any one to be accepted; None where the
    fact is missing. A value in `unstated` is as good as missing to a condition that does not
    name it. The values may depend on anything but the time.
    """

    name: str
    reason: Reason
    read: Callable[[Facts], Collection[str] | None]
    unstated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Membership:
    """Any of the attribute's values is accepted."""

    attribute: Attribute
    accepted: frozenset[str]
    on_missing: bool | None = None
    timed = False

    @property
    def name(self) -> str:
        return self.attribute.name

    @property
    def reason(self) -> Reason:
        return self.attribute.reason

    def evaluate(self, facts: Facts) -> Ternary:
        return self.answer(self.attribute.read(facts))

    def answer(self, values: Collection[str] | None) -> Ternary:
        """Answer for the attribute's values alone."""
        if values is None:
            return Ternary.UNKNOWN.or_declared(on_missing=self.on_missing)
        if not self.accepted.isdisjoint(values):
            return Ternary.TRUE
        if not self.attribute.unstated.isdisjoint(values):
            return Ternary.UNKNOWN.or_declared(on_missing=self.on_missing)
        return Ternary.FALSE

    def seen(self, facts: Facts) -> str:
        values = self.attribute.read(facts)
        return "missing" if values is None else ", ".join(sorted(values))

    def changes_at(self, facts: Facts) -> datetime | None:  # noqa: ARG002  no clock in it
        return None

    def spec(self) -> Plain:
        words: list[Plain] = [*sorted(self.accepted)]
        return words if self.on_missing is None else {"in": words, "on_missing": self.on_missing}

    def parts(self) -> tuple[()]:
        return ()


def parse_texts(field: Field, attribute: Attribute) -> Membership:
    """Read a condition that accepts any words: `a`, `[a, b]` or `{in: [a, b], on_missing: …}`."""
    values, on_missing = open_spec(field)
    return Membership(attribute, values.texts(), on_missing)


def parse_words(field: Field, attribute: Attribute, allowed: Collection[str]) -> Membership:
    """Read a condition that accepts words of a closed set."""
    values, on_missing = open_spec(field)
    return Membership(attribute, values.words(allowed), on_missing)


def parse_ranked(field: Field, attribute: Attribute, order: tuple[str, ...]) -> Membership:
    """Read a condition on ranked words, which also takes `{at_least: word}`; lowest rank first."""
    entries = field.entries() if field.is_mapping() else {}
    if "at_least" not in entries:
        return parse_words(field, attribute, order)
    members = field.members(("at_least", "on_missing"))
    lowest = order.index(members["at_least"].word(order))
    on_missing = members["on_missing"].flag() if "on_missing" in members else None
    return Membership(attribute, frozenset(order[lowest:]), on_missing)


def open_spec(field: Field) -> tuple[Field, bool | None]:
    """Return the values of a condition, and its `on_missing` if it is written as a mapping."""
    if not field.is_mapping():
        return field, None
    members = field.members(("in", "on_missing"), required=("in",))
    on_missing = members["on_missing"].flag() if "on_missing" in members else None
    return members.get("in", field), on_missing
