"""A person with a local account, and how the names that people give are written."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pdp.domain.ids import SubjectId

_LONGEST_USERNAME: Final = 128
_LONGEST_GROUP: Final = 64
_LONGEST_NAME: Final = 256
_LONGEST_EMAIL: Final = 320

#: Control, format, surrogate, private and unassigned characters, line and paragraph separators:
#: what forges log lines, drives terminals, or turns the reading direction around.
UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Joiners are format characters too, and some scripts cannot write a name without them.
_JOINERS: Final = frozenset("\u200c\u200d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A person, as administrators and sign-in see them. Times are UTC.

    `epoch` counts changes that decisions depend on. `has_factor` tells of a confirmed second
    factor. `must_change_password` means that nothing but changing it may follow a sign-in.
    """

    id: SubjectId
    username: str
    name: str
    email: str
    groups: frozenset[str]
    break_glass: bool
    must_change_password: bool
    has_factor: bool
    epoch: int
    created_at: datetime
    password_changed_at: datetime
    disabled_at: datetime | None = None

    @property
    def is_disabled(self) -> bool:
        """Whether an administrator shut the account."""
        return self.disabled_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRefused:
    """A name that cannot be stored: which field, and what is wrong with it."""

    field: str
    problem: str


def normalise_username(text: str) -> str:
    """Return the one spelling under which an account is kept and looked up (NFKC, case-folded).

    Folding can undo the normal form, so both are done again. Total: any text has a spelling.
    """
    for _ in range(2):
        text = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", text).strip()


def check_username(username: str) -> FieldRefused | None:
    """Return why `username`, already normalised, cannot name an account, or None."""
    return _check("username", username, _LONGEST_USERNAME, is_word=True)


def check_group(group: str) -> FieldRefused | None:
    """Return why `group` cannot name a group, or None."""
    return _check("group", group, _LONGEST_GROUP, is_word=True)


def check_name(name: str) -> FieldRefused | None:
    """Return why `name` cannot be a person's displayed name, or None; it may be empty."""
    bare = "".join(character for character in name if character not in _JOINERS)
    return _check("name", bare, _LONGEST_NAME, is_word=False)


def check_email(email: str) -> FieldRefused | None:
    """Return why `email` cannot be an address, or None; it may be empty."""
    if email and (email.count("@") != 1 or email.startswith("@") or email.endswith("@")):
        return FieldRefused(field="email", problem="must look like name@example.org")
    return None if not email else _check("email", email, _LONGEST_EMAIL, is_word=True)


def _check(field: str, text: str, longest: int, *, is_word: bool) -> FieldRefused | None:
    if is_word and not text:
        return FieldRefused(field=field, problem="must not be empty")
    if len(text) > longest:
        problem = f"must have at most {longest} characters, not {len(text)}"
        return FieldRefused(field=field, problem=problem)
    for position, character in enumerate(text, start=1):
        if unicodedata.category(character) in UNPRINTABLE:
            problem = f"has the unprintable character U+{ord(character):04X} at place {position}"
            return FieldRefused(field=field, problem=problem)
        if is_word and character.isspace():
            return FieldRefused(field=field, problem=f"has a space at place {position}")
    return None
