"""What a condition is, and how conditions combine: all, any, not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pdp.domain.access import Facts, Reason
from pdp.domain.signal import Scalar
from pdp.policy.ternary import Ternary, all_of, any_of

#: A value as documents hold it: what YAML and JSON can both say.
Plain = Scalar | None | list["Plain"] | dict[str, "Plain"]


class Condition(Protocol):
    """One question about the facts; total: it answers for any facts and never raises.

    A missing fact answers UNKNOWN, unless the condition was declared with `on_missing`.
    """

    @property
    def name(self) -> str:
        """The condition's key in documents."""

    @property
    def reason(self) -> Reason:
        """What a decision names when this condition brought it about."""

    @property
    def timed(self) -> bool:
        """Whether the answer may change while only time passes."""

    def evaluate(self, facts: Facts) -> Ternary:
        """Answer for these facts."""

    def seen(self, facts: Facts) -> str:
        """Return what the condition looked at, for people; `missing` where nothing was there."""

    def changes_at(self, facts: Facts) -> datetime | None:
        """Return the first instant (UTC) after `facts.now` at which the answer may differ."""

    def spec(self) -> Plain:
        """Return the value that stands under `name` in a document, in normal form."""

    def parts(self) -> tuple["Condition", ...]:
        """Return the conditions inside; none in a condition that asks the facts itself."""


def earliest(instants: Iterable[datetime | None]) -> datetime | None:
    """Return the first of the instants that are known, or None."""
    return min((instant for instant in instants if instant is not None), default=None)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds."""

    conditions: tuple[Condition, ...]
    name = "all"
    reason = Reason.POLICY

    @property
    def timed(self) -> bool:
        return any(condition.timed for condition in self.conditions)

    def evaluate(self, facts: Facts) -> Ternary:
        return all_of(condition.evaluate(facts) for condition in self.conditions)

    def seen(self, facts: Facts) -> str:  # noqa: ARG002  the parts say it
        return ""

    def changes_at(self, facts: Facts) -> datetime | None:
        return earliest(condition.changes_at(facts) for condition in self.conditions)

    def spec(self) -> Plain:
        return [{condition.name: condition.spec()} for condition in self.conditions]

    def parts(self) -> tuple[Condition, ...]:
        return self.conditions


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition holds."""

    conditions: tuple[Condition, ...]
    name = "any"
    reason = Reason.POLICY

    @property
    def timed(self) -> bool:
        return any(condition.timed for condition in self.conditions)

    def evaluate(self, facts: Facts) -> Ternary:
        return any_of(condition.evaluate(facts) for condition in self.conditions)

    def seen(self, facts: Facts) -> str:  # noqa: ARG002  the parts say it
        return ""

    def changes_at(self, facts: Facts) -> datetime | None:
        return earliest(condition.changes_at(facts) for condition in self.conditions)

    def spec(self) -> Plain:
        return [{condition.name: condition.spec()} for condition in self.conditions]

    def parts(self) -> tuple[Condition, ...]:
        return self.conditions


@dataclass(frozen=True, slots=True)
class NotOf:
    """The condition does not hold."""

    condition: Condition
    name = "not"
    reason = Reason.POLICY

    @property
    def timed(self) -> bool:
        return self.condition.timed

    def evaluate(self, facts: Facts) -> Ternary:
        return self.condition.evaluate(facts).negated()

    def seen(self, facts: Facts) -> str:  # noqa: ARG002  the part says it
        return ""

    def changes_at(self, facts: Facts) -> datetime | None:
        return self.condition.changes_at(facts)

    def spec(self) -> Plain:
        return {self.condition.name: self.condition.spec()}

    def parts(self) -> tuple[Condition, ...]:
        return (self.condition,)


def reasons_of(condition: Condition, facts: Facts) -> frozenset[Reason]:
    """Return why, for a condition that did not answer FALSE.

    Of an `any`, only the branches that led here count: the true ones, else the unknown ones.
    Under a `not`, every question may be the cause.
    """
    match condition:
        case AnyOf(conditions):
            answer = condition.evaluate(facts)
            led = [branch for branch in conditions if branch.evaluate(facts) is answer]
            return frozenset().union(*(reasons_of(branch, facts) for branch in led))
        case AllOf(conditions):
            return frozenset().union(*(reasons_of(part, facts) for part in conditions))
        case NotOf(negated):
            return every_reason(negated)
        case _:
            return frozenset({condition.reason})


def every_reason(condition: Condition) -> frozenset[Reason]:
    """Return the reasons of all questions in the condition, whatever they answer."""
    parts = condition.parts()
    if not parts:
        return frozenset({condition.reason})
    return frozenset().union(*(every_reason(part) for part in parts))
