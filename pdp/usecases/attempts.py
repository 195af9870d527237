"""Wrong attempts at a person's secrets, counted together whichever secret was tried.

Password, TOTP and recovery code share one counter for each account and one for each address:
counters of their own would add up to more guesses (CVE-2026-16103). Only failures stay counted.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Final

from pdp import logs
from pdp.domain.ids import SubjectId
from pdp.ephemeral.rate_limit import Limited, RateLimiter
from pdp.settings import SignInSettings

#: One line's customer holds a /64 of IPv6: every address in it is the same person's.
_IPV6_PREFIX: Final = 64


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: at whose account, and from where."""

    account: str
    address: str
    subject: SubjectId | None = None


def attempt_at(subject_id: SubjectId, address: str) -> Attempt:
    """Return an attempt at the account of a known person."""
    return Attempt(f"account:{subject_id}", f"address:{network_of(address)}", subject_id)


def attempt_at_unknown(username: str, address: str) -> Attempt:
    """Return an attempt at an account that does not exist: limited like one that does."""
    digest = hashlib.sha256(username.encode("utf-8", "surrogatepass")).hexdigest()
    return Attempt(f"nobody:{digest}", f"address:{network_of(address)}")


def count(
    limiter: RateLimiter, attempt: Attempt, *, limits: SignInSettings, now: datetime
) -> Limited | None:
    """Count an attempt before it is made; Limited means that it must not be made.

    Counting comes first, so that guesses made at the same time cannot slip past the limit
    together; `forgive` takes back what turned out right. The line about the request's answer names
    the limit, `account` or `address`, and the person if there is one.
    """
    counted: list[str] = []
    for name, key, limit in _keys(attempt, limits):
        answer = limiter.hit(key, limit=limit, window=limits.window, now=now)
        if isinstance(answer, Limited):
            for other in counted:
                limiter.take_back(other, window=limits.window, now=now)
            _note(name, attempt.subject)
            return answer
        counted.append(key)
    return None


def forgive(
    limiter: RateLimiter, attempt: Attempt, *, limits: SignInSettings, now: datetime
) -> None:
    """Take back an attempt that was right, or was not made: that one, never those before it.

    Clearing the counter would give whoever knows the password endless tries at the code.
    """
    for _, key, _ in _keys(attempt, limits):
        limiter.take_back(key, window=limits.window, now=now)


def _keys(attempt: Attempt, limits: SignInSettings) -> tuple[tuple[str, str, int], ...]:
    return (
        ("address", attempt.address, limits.attempts_per_address),
        ("account", attempt.account, limits.attempts),
    )


def _note(limit: str, subject: SubjectId | None) -> None:
    logs.note("limit", limit)
    if subject is not None:
        logs.note("subject", subject)


def network_of(address: str) -> str:
    """Return what stands for an address where strangers are counted: one line's customer."""
    try:
        parsed = ip_address(address)
    except ValueError:
        # No address (a Unix socket, an odd proxy): these share one counter, never none.
        return "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return parsed.exploded[: _IPV6_PREFIX // 4 + 3]
    return str(parsed)
