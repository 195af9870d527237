"""The only door to time and chance: everything else takes `now`, ids and secrets as parameters."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

Clock = Callable[[], datetime]

#: Crockford's 32 letters and digits: none that people mistake for another.
_READABLE: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def utcnow() -> datetime:
    """Return the present instant, zone-aware in UTC."""
    return datetime.now(UTC)  # noqa: TID251  the one reader of the clock


def new_id(prefix: str) -> str:
    """Return `prefix_` and 128 random bits: an identifier nobody can guess or enumerate."""
    return f"{prefix}_{secrets.token_urlsafe(16)}"


def new_row_id(prefix: str) -> str:
    """Return an identifier for rows that are written often: time in front, 80 random bits behind.

    Rows written together lie together in an index, so that a commit touches few pages.
    """
    milliseconds = time.time_ns() // 1_000_000
    bits = milliseconds << 80 | int.from_bytes(secrets.token_bytes(10))
    return f"{prefix}_{bits:032x}"


def new_step() -> int:
    """Return by how much to raise a counter that others remember: 1 to 2^31, at random.

    A database that lost its last changes (a failover, a backup) goes on from an earlier number,
    and by steps of one would come to one that it had before, when it stood for something else.
    """
    return 1 + secrets.randbelow(2**31)


def new_secret() -> str:
    """Return 256 random bits, URL-safe: a bearer secret that needs no slow hash at rest."""
    return secrets.token_urlsafe(32)


def new_typed_secret() -> str:
    """Return such a secret that no command line takes for an option."""
    while (secret := new_secret()).startswith("-"):
        pass
    return secret


def new_code(length: int) -> str:
    """Return `length` random letters and digits of 5 bits each, for people to read and type."""
    return "".join(secrets.choice(_READABLE) for _ in range(length))
