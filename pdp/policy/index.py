"""Which policies can still apply, by one AND of bit sets per attribute instead of by asking each.

Bit n stands for policy n. For each attribute that conditions accept words of, a table holds per
word the policies which that word does not rule out; the AND over all attributes leaves the few
whose other conditions must be asked. A policy that only takes away is not ruled out by UNKNOWN,
so there are two sets: `possible`, not ruled out, and `certain`, where every indexed condition is
TRUE. The index must agree with asking each policy; a property of the tests holds it to that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pdp.domain.access import Facts
from pdp.policy.condition import Condition
from pdp.policy.membership import Attribute, Membership
from pdp.policy.ternary import Ternary

#: (possible, certain)
Bits = tuple[int, int]

#: The conditions of one policy, and whether it applies on UNKNOWN.
Row = tuple[Sequence[Condition], bool]


@dataclass(frozen=True, slots=True)
class Table:
    """The policies that one attribute leaves, by word; `other` for words that none names."""

    attribute: Attribute
    words: Mapping[str, Bits]
    other: Bits
    missing: Bits
    unconstrained: int

    def bits(self, facts: Facts) -> Bits:
        """Return the policies that these facts leave."""
        values = self.attribute.read(facts)
        if values is None:
            return self.missing
        possible = certain = self.unconstrained
        for value in values:
            found = self.words.get(value, self.other)
            possible |= found[0]
            certain |= found[1]
        return possible, certain


@dataclass(frozen=True, slots=True)
class Index:
    """The tables of all attributes, and per policy the conditions that no table covers.

    `settled` has the policies of which the tables cover all conditions.
    """

    tables: tuple[Table, ...]
    residue: tuple[tuple[Condition, ...], ...]
    settled: int
    everything: int

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """Build the index of policies in this order."""
        covered: dict[Attribute, dict[int, Membership]] = {}
        residue = []
        for position, (conditions, _) in enumerate(rows):
            rest = []
            for condition in conditions:
                if isinstance(condition, Membership):
                    column = covered.setdefault(condition.attribute, {})
                    # A second condition on the same attribute is asked, not indexed.
                    if column.setdefault(position, condition) is condition:
                        continue
                rest.append(condition)
            residue.append(tuple(rest))
        settled = sum(1 << position for position, rest in enumerate(residue) if not rest)
        everything = (1 << len(rows)) - 1
        strict = sum(1 << position for position, row in enumerate(rows) if row[1])
        tables = tuple(
            _table(attribute, column, everything, strict) for attribute, column in covered.items()
        )
        return cls(tables, tuple(residue), settled, everything)

    def candidates(self, facts: Facts) -> Bits:
        """Return the policies that no indexed condition rules out, and those of them all true."""
        possible = certain = self.everything
        for table in self.tables:
            left, sure = table.bits(facts)
            possible &= left
            certain &= sure
        return possible, certain


def _table(
    attribute: Attribute, column: Mapping[int, Membership], everything: int, strict: int
) -> Table:
    constrained = sum(1 << position for position in column)
    unconstrained = everything & ~constrained
    named = {word for condition in column.values() for word in condition.accepted}
    named |= attribute.unstated
    accepting = dict.fromkeys(named, 0)
    for position, condition in column.items():
        for word in condition.accepted:
            accepting[word] |= 1 << position
    unanswered = _unanswered(column, strict)
    words = {}
    for word, accepted in accepting.items():
        possible = certain = unconstrained | accepted
        if word in attribute.unstated:
            possible |= unanswered[0]
            certain |= unanswered[1]
        words[word] = (possible, certain)
    return Table(
        attribute=attribute,
        words=words,
        other=(unconstrained, unconstrained),
        missing=(unconstrained | unanswered[0], unconstrained | unanswered[1]),
        unconstrained=unconstrained,
    )


def _unanswered(column: Mapping[int, Membership], strict: int) -> Bits:
    """Return which conditioned policies remain where the attribute is missing."""
    possible = certain = 0
    for position, condition in column.items():
        answer = condition.answer(None)
        if answer is Ternary.TRUE:
            possible |= 1 << position
            certain |= 1 << position
        elif answer is Ternary.UNKNOWN:
            possible |= (1 << position) & strict
    return possible, certain


def positions(bits: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, lowest first."""
    # Digits are searched at C speed: several times quicker than taking long integers apart.
    digits = f"{bits:b}"
    last = len(digits) - 1
    found = digits.rfind("1")
    while found >= 0:
        yield last - found
        found = digits.rfind("1", 0, found)
