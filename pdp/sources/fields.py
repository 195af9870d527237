"""Typed reading of parsed JSON: each answer is a value of the asked kind or a MalformedSignal."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from pdp.sources.errors import MalformedSignal

LONGEST_NAME: Final = 256
MOST_AHEAD: Final = timedelta(seconds=60)

# RFC 3339 §5.6; `datetime.fromisoformat` alone reads much more than that.
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_JSON_KINDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}

T = TypeVar("T")


def kind_of(value: object) -> str:
    """Return what JSON calls the kind of `value`, with its article."""
    return _JSON_KINDS.get(type(value), "null")


def shown(value: object) -> str:
    """Return `value` short enough, and free enough of control characters, for an error text."""
    return repr(value[:64]) if isinstance(value, str) else kind_of(value)


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object and its path in the body; the path is what errors name."""

    members: Mapping[str, object]
    path: str = ""

    @classmethod
    def of(cls, value: object, path: str = "") -> "Fields":
        """Return the fields of `value`; MalformedSignal unless it is a JSON object."""
        if not isinstance(value, dict):
            raise MalformedSignal(f"must be an object, not {kind_of(value)}", path)
        return cls(value, path)

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def at(self, name: str) -> str:
        """Return the path of member `name`."""
        return f"{self.path}.{name}" if self.path else name

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Raise MalformedSignal for a member that is not `known`: a typo must not lose a fact."""
        for name in self.members:
            if name not in known:
                near = difflib.get_close_matches(name[:64], known, n=1)
                advice = f"did you mean {str(near[0])!r}?" if near else f"known: {', '.join(known)}"
                raise MalformedSignal(f"unknown member; {advice}", self.at(repr(name[:64])))

    def text(self, name: str, longest: int = LONGEST_NAME) -> str:
        """Return member `name`: 1 to `longest` characters, none of them a control character."""
        value = self._required(name)
        if not isinstance(value, str):
            raise MalformedSignal(f"must be a string, not {kind_of(value)}", self.at(name))
        if not 1 <= len(value) <= longest:
            problem = f"must have 1 to {longest} characters, not {len(value)}"
            raise MalformedSignal(problem, self.at(name))
        if _CONTROL.search(value):
            raise MalformedSignal("must not hold control characters", self.at(name))
        return value

    def text_or_none(self, name: str, longest: int = LONGEST_NAME) -> str | None:
        """Return member `name` as `text` does, or None if it is not there."""
        return self.text(name, longest) if name in self.members else None

    def flag(self, name: str) -> bool:
        """Return member `name`: true or false."""
        value = self._required(name)
        if not isinstance(value, bool):
            raise MalformedSignal(f"must be true or false, not {shown(value)}", self.at(name))
        return value

    def flag_or_none(self, name: str) -> bool | None:
        """Return member `name` as `flag` does, or None if it is not there."""
        return self.flag(name) if name in self.members else None

    def word(self, name: str, meanings: Mapping[str, T]) -> T:
        """Return what the word in member `name` means; MalformedSignal for any other word."""
        value = self._required(name)
        if not isinstance(value, str) or value not in meanings:
            words = ", ".join(meanings)
            raise MalformedSignal(f"must be one of {words}; not {shown(value)}", self.at(name))
        return meanings[value]

    def instant(self, name: str, now: datetime) -> datetime:
        """Return member `name`, an RFC 3339 time with a zone, in UTC; at most 60 s after `now`."""
        text = self.text(name)
        if not _INSTANT.fullmatch(text):
            problem = f"must be a time like 2026-03-02T10:00:00Z, not {shown(text)}"
            raise MalformedSignal(problem, self.at(name))
        try:
            instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise MalformedSignal(f"no such time: {shown(text)}", self.at(name)) from error
        if instant - now > MOST_AHEAD:
            problem = f"{text} is in the future; check the clock of the sender"
            raise MalformedSignal(problem, self.at(name))
        return instant

    def child(self, name: str) -> "Fields":
        """Return member `name`, which must be an object."""
        return Fields.of(self._required(name), self.at(name))

    def children(self, name: str, most: int) -> Iterator["Fields"]:
        """Yield the objects of the array in member `name`, which has at most `most`."""
        yield from objects(self._required(name), self.at(name), most)

    def _required(self, name: str) -> object:
        if name not in self.members:
            raise MalformedSignal("is missing", self.at(name))
        return self.members[name]


def objects(value: object, path: str, most: int) -> Iterator[Fields]:
    """Yield the objects of the array `value`, which has at most `most`."""
    if not isinstance(value, list):
        raise MalformedSignal(f"must be an array, not {kind_of(value)}", path)
    if len(value) > most:
        raise MalformedSignal(f"has {len(value)} items; at most {most} are read at a time", path)
    for index, item in enumerate(value):
        yield Fields.of(item, f"{path}[{index}]")
