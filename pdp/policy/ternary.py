"""Kleene's three-valued logic: what a condition answers when a fact may be missing."""

from collections.abc import Iterable
from enum import Enum
from typing import NoReturn, Self


class Ternary(Enum):
    """TRUE, FALSE, or UNKNOWN because a fact is missing."""

    FALSE = 0
    UNKNOWN = 1
    TRUE = 2

    @classmethod
    def of(cls, *, holds: bool) -> Self:
        """Return the ternary of a question whose facts are all there."""
        return cls.TRUE if holds else cls.FALSE

    def or_declared(self, *, on_missing: bool | None) -> "Ternary":
        """Return the declared answer, if there is one, in place of UNKNOWN."""
        if self is Ternary.UNKNOWN and on_missing is not None:
            return Ternary.of(holds=on_missing)
        return self

    def negated(self) -> "Ternary":
        """Return Kleene's not: the unknown stays unknown."""
        return _NEGATED[self]

    def __bool__(self) -> NoReturn:
        """Refuse: `if condition.evaluate(...)` would take the unknown for a yes."""
        raise TypeError("a Ternary is not a bool: compare it with Ternary.TRUE")


_NEGATED = {
    Ternary.FALSE: Ternary.TRUE,
    Ternary.UNKNOWN: Ternary.UNKNOWN,
    Ternary.TRUE: Ternary.FALSE,
}


def all_of(answers: Iterable[Ternary]) -> Ternary:
    """Return Kleene's and: one FALSE settles it, else one UNKNOWN leaves it open."""
    result = Ternary.TRUE
    for answer in answers:
        if answer is Ternary.FALSE:
            return Ternary.FALSE
        if answer is Ternary.UNKNOWN:
            result = Ternary.UNKNOWN
    return result


def any_of(answers: Iterable[Ternary]) -> Ternary:
    """Return Kleene's or: one TRUE settles it, else one UNKNOWN leaves it open."""
    result = Ternary.FALSE
    for answer in answers:
        if answer is Ternary.TRUE:
            return Ternary.TRUE
        if answer is Ternary.UNKNOWN:
            result = Ternary.UNKNOWN
    return result
