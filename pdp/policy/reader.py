"""Reads typed values out of a document's tree and collects every problem on the way.

A reader that meets a problem records it and returns a harmless value, so that reading goes on
and all problems are reported at once. Such a value is never used: `Report.close` refuses the
document as a whole.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from typing import Final

from pdp.domain.signal import Scalar
from pdp.policy.errors import MalformedPolicy, Problem
from pdp.policy.yaml_tree import Node

#: Smallest first; each is a multiple of the one before.
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_LONGEST: Final = timedelta(days=3650)
_SHOWN: Final = 60


@dataclass(slots=True)
class Report:
    """The problems of one document."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def close(self) -> None:
        """Raise `MalformedPolicy` with all problems, in the order of their lines, if any."""
        if self.problems:
            raise MalformedPolicy(tuple(sorted(self.problems, key=lambda found: found.line)))


@dataclass(frozen=True, slots=True)
class Field:
    """A value in a document, and where it stands."""

    node: Node
    path: str
    report: Report

    def refuse(self, problem: str, fix: str = "") -> None:
        """Record that this value will not do."""
        value = self.node.value
        shown = "" if isinstance(value, dict | list) else _shown(value)
        self._record(problem, shown, fix)

    def refuse_kind(self, wanted: str, fix: str = "") -> None:
        """Record that a value of another kind is wanted here."""
        match self.node.value:
            case dict():
                shown = "a mapping"
            case list():
                shown = "a list"
            case value:
                shown = _shown(value)
        self._record(f"must be {wanted}", shown, fix)

    def _record(self, problem: str, shown: str, fix: str) -> None:
        found = Problem(self.report.file, self.node.line, self.path, problem, shown, fix)
        self.report.problems.append(found)

    def is_mapping(self) -> bool:
        return isinstance(self.node.value, dict)

    def entries(self) -> Mapping[str, "Field"]:
        """Return the values of a mapping by key, whatever the keys are."""
        if not isinstance(self.node.value, dict):
            self.refuse_kind("a mapping")
            return {}
        return {key: self._at(node, f".{key}") for key, node in self.node.value.items()}

    def members(
        self, allowed: Collection[str], required: Collection[str] = ()
    ) -> Mapping[str, "Field"]:
        """Return the values of a mapping with these keys and no others."""
        entries = self.entries()
        for key, entry in entries.items():
            if key not in allowed:
                entry.refuse(f"unknown key `{key}`", did_you_mean(key, allowed))
        if self.is_mapping():
            for key in required:
                if key not in entries:
                    self.refuse(f"`{key}` is missing", f"add `{key}:`")
        return {key: entry for key, entry in entries.items() if key in allowed}

    def items(self) -> Iterator["Field"]:
        """Yield the items of a list, or the one value that stands in place of a list."""
        if isinstance(self.node.value, list):
            if not self.node.value:
                self.refuse("must not be empty")
            for position, node in enumerate(self.node.value):
                yield self._at(node, f"[{position}]")
        else:
            yield self

    def _at(self, node: Node, step: str) -> "Field":
        return Field(node, (self.path + step).removeprefix("."), self.report)

    def text(self) -> str:
        """Return a string that is not empty."""
        if isinstance(self.node.value, str) and self.node.value.strip():
            return self.node.value
        self.refuse_kind("text")
        return ""

    def word(self, allowed: Collection[str]) -> str:
        """Return one of the allowed words, or some allowed word after recording a problem."""
        value = self.node.value
        if isinstance(value, str) and value in allowed:
            return value
        said = value if isinstance(value, str) else ""
        self.refuse("is not one of the accepted values", did_you_mean(said, allowed))
        return next(iter(allowed))

    def texts(self) -> frozenset[str]:
        """Return the distinct strings of a list, or of a single string."""
        return frozenset(item.text() for item in self.items())

    def words(self, allowed: Collection[str]) -> frozenset[str]:
        """Return the distinct words of a list, or of a single word."""
        return frozenset(item.word(allowed) for item in self.items())

    def flag(self) -> bool:
        """Return `true` or `false`."""
        if isinstance(self.node.value, bool):
            return self.node.value
        self.refuse_kind("`true` or `false`")
        return False

    def number(self) -> float:
        """Return a number."""
        value = self.node.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        self.refuse_kind("a number")
        return 0

    def duration(self) -> timedelta:
        """Return a length of time: `30s`, `10m`, `4h`, `7d`; at most ten years."""
        value = self.node.value
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            self.refuse_kind("a duration", "write a number and s, m, h or d, such as `10m`")
            return timedelta(0)
        length = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
        if length > _LONGEST:
            self.refuse("is longer than ten years", "write at most `3650d`")
        return length


def _shown(value: Scalar | None) -> str:
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text[:_SHOWN]}…`" if len(text) > _SHOWN else f"`{text}`"


def did_you_mean(word: str, allowed: Collection[str]) -> str:
    """Return the fix for a mistyped word: the nearest accepted one, else all of them."""
    spelled = word.lower().replace("_", "-")
    by_spelling = {accepted.lower().replace("_", "-"): accepted for accepted in allowed}
    near = get_close_matches(spelled, by_spelling, n=1, cutoff=0.75)
    if near:
        return f"did you mean `{by_spelling[near[0]]}`?"
    return "write one of " + ", ".join(f"`{accepted}`" for accepted in allowed)


def spell_duration(length: timedelta) -> str:
    """Return the duration as documents spell it, in the largest unit that is exact.

    Less than a second is `0s`, which documents do not take.
    """
    seconds = int(length.total_seconds())
    if seconds == 0:
        return "0s"
    exact = [unit for unit, size in _UNITS.items() if seconds % size == 0]
    return f"{seconds // _UNITS[exact[-1]]}{exact[-1]}"
