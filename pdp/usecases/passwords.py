"""Passwords: hashed by argon2id, a bounded number at a time, and the rules for new ones.

When hashing is busy beyond a short wait the answer is `Busy`: each hash holds 19 MiB, so a queue
without end would be the attacker's to fill. It runs in threads of its own, to which the kernel
prefers all others: what programs ask is answered first (DECISIONS 23), and the memory of the last
hash serves the next one.
"""

import os
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, StrEnum, auto
from typing import Final, Protocol

import argon2

from pdp import metrics
from pdp.clock import new_code, new_secret
from pdp.domain.errors import Unavailable
from pdp.usecases.common_passwords import COMMON_PASSWORDS

#: More is no safer, and hashing or folding it would be work for nothing.
LONGEST_BYTES: Final = 1024
_WAIT: Final = timedelta(seconds=2)
#: How much less of a busy core hashing gets than a thread that answers: about a ninth.
_NICENESS: Final = 10
#: 20 characters of 5 bits: nobody guesses that, and a person can type it once.
_GENERATED_GROUPS: Final = 5
_GROUP_LENGTH: Final = 4


class Hasher(Protocol):
    """The three operations of `argon2.PasswordHasher` that are used here."""

    def hash(self, password: bytes) -> str: ...
    def verify(self, hash: str, password: bytes) -> bool: ...  # noqa: A002  argon2's name
    def check_needs_rehash(self, hash: str) -> bool: ...  # noqa: A002  argon2's name


class Verdict(Enum):
    """Whether a password is the one; OUTDATED is right, but hashed with older parameters."""

    RIGHT = auto()
    OUTDATED = auto()
    WRONG = auto()


class Rule(StrEnum):
    """What a new password must not be; there is no rule about kinds of characters."""

    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    NAMES_THE_ACCOUNT = "names-the-account"
    COMMON = "common"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Busy:
    """Hashing had no room within its wait; nothing was checked or changed. Try again later."""

    retry_after: timedelta = _WAIT


@dataclass(frozen=True, slots=True)
class PasswordRefused:
    """A new password breaks `rule`; `minimum` is the shortest length, in characters."""

    rule: Rule
    minimum: int


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password ready to be stored: hashed outside any transaction."""

    hash: str = field(repr=False)
    must_change: bool


@dataclass(frozen=True, slots=True)
class GeneratedPassword:
    """A one-time password to be shown once, and what is stored of it."""

    text: str = field(repr=False)
    stored: NewPassword


class Passwords:
    """Hashes and checks passwords for one process."""

    __slots__ = ("_dummy", "_hasher", "_room", "_threads", "_wait")

    def __init__(
        self, *, concurrency: int, wait: timedelta = _WAIT, hasher: Hasher | None = None
    ) -> None:
        """Allow `concurrency` hashes at a time; the others wait up to `wait`, then are `Busy`."""
        self._hasher: Hasher = hasher or argon2.PasswordHasher(
            time_cost=2, memory_cost=19 * 1024, parallelism=1
        )
        self._room = threading.BoundedSemaphore(concurrency)
        self._wait = wait
        self._threads = ThreadPoolExecutor(concurrency, "hashing", initializer=_give_way)
        # Nobody's password: checked where there is no account, so that both take the same work.
        self._dummy = self._hasher.hash(new_secret().encode())

    def hash(self, password: str) -> str | Busy:
        """Return the hash under which `password` is kept, or Busy."""
        with self._place() as placed:
            if not placed:
                return Busy(self._wait)
            try:
                return self._threads.submit(self._hasher.hash, _spelled(password)).result()
            except argon2.exceptions.HashingError as error:
                raise Unavailable("passwords cannot be hashed now") from error

    def check(self, password: str, stored: str | None) -> Verdict | Busy:
        """Compare `password` with a stored hash; None costs the same work and is WRONG (D26)."""
        if _is_too_long(password):
            return Verdict.WRONG
        with self._place() as placed:
            if not placed:
                return Busy(self._wait)
            expected = self._dummy if stored is None else stored
            is_right = self._matches(expected, _spelled(password))
        if stored is None or not is_right:
            return Verdict.WRONG
        is_outdated = self._hasher.check_needs_rehash(stored)
        return Verdict.OUTDATED if is_outdated else Verdict.RIGHT

    def _matches(self, stored: str, password: bytes) -> bool:
        try:
            return self._threads.submit(self._hasher.verify, stored, password).result()
        except (argon2.exceptions.VerifyMismatchError, argon2.exceptions.InvalidHashError):
            return False
        except argon2.exceptions.VerificationError as error:
            # Not a wrong password: argon2 could not do its work, most often for want of memory.
            raise Unavailable("passwords cannot be checked now") from error

    @contextmanager
    def _place(self) -> Iterator[bool]:
        placed = self._room.acquire(timeout=self._wait.total_seconds())
        started = time.perf_counter()
        try:
            yield placed
        finally:
            if placed:
                self._room.release()
                metrics.password_hashed(time.perf_counter() - started)


def choose_password(
    passwords: Passwords, text: str, *, minimum: int, account: tuple[str, ...]
) -> NewPassword | PasswordRefused | Busy:
    """Hash a password that a person chose, unless it breaks a rule.

    `minimum` is in characters; `account` are the names that it must not be (username, e-mail).
    """
    rule = broken_rule(text, minimum=minimum, account=account)
    if rule is not None:
        return PasswordRefused(rule, minimum)
    hashed = passwords.hash(text)
    return hashed if isinstance(hashed, Busy) else NewPassword(hashed, must_change=False)


def generate_password(passwords: Passwords) -> GeneratedPassword | Busy:
    """Make a one-time password of 100 random bits that must be changed at the first sign-in."""
    text = "-".join(new_code(_GROUP_LENGTH) for _ in range(_GENERATED_GROUPS))
    hashed = passwords.hash(text)
    if isinstance(hashed, Busy):
        return hashed
    return GeneratedPassword(text, NewPassword(hashed, must_change=True))


def broken_rule(password: str, *, minimum: int, account: tuple[str, ...]) -> Rule | None:
    """Return the first rule that a new password breaks, or None."""
    if _is_too_long(password):
        return Rule.TOO_LONG
    spelled = unicodedata.normalize("NFKC", password)
    if len(spelled) < minimum:
        return Rule.TOO_SHORT
    folded = spelled.casefold()
    if folded in _names(account):
        return Rule.NAMES_THE_ACCOUNT
    return Rule.COMMON if folded in COMMON_PASSWORDS else None


def _give_way() -> None:
    """Let the kernel prefer other threads, and leave a core of several to them alone.

    On Linux both are a thread's own; elsewhere niceness is the whole process', and all are equal.
    """
    if sys.platform.startswith("linux"):
        # Where it may not, hashing still must be done.
        with suppress(OSError):
            os.nice(_NICENESS)
            _, *others = sorted(os.sched_getaffinity(0))
            if others:
                os.sched_setaffinity(0, others)


def _names(account: tuple[str, ...]) -> frozenset[str]:
    folded = {unicodedata.normalize("NFKC", name).casefold() for name in account if name}
    return frozenset(folded | {name.partition("@")[0] for name in folded})


def _is_too_long(password: str) -> bool:
    return len(password.encode("utf-8", "surrogatepass")) > LONGEST_BYTES


def _spelled(password: str) -> bytes:
    # Keyboards differ in how they compose the same character; lone surrogates stay what they are.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
