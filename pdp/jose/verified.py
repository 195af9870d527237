"""Remembers which tokens carried a right signature, and under which key: facts that stay true.

Whether the key still counts, the token has expired or was revoked is asked again each time.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pdp.jose.keys import SigningKey
from pdp.lately import Lately


@dataclass(frozen=True, slots=True)
class Verified:
    """What a right signature proves: `key` signed `claims` as a token of type `typ`."""

    key: SigningKey
    typ: str
    claims: Mapping[str, object]


class VerifiedTokens:
    """The last `capacity` tokens that were verified, by digest; may be used from threads."""

    __slots__ = ("_tokens",)

    def __init__(self, capacity: int = 4096) -> None:
        self._tokens: Lately[bytes, Verified] = Lately(capacity)

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, token: str) -> Verified | None:
        """Return what was proved of exactly this token, if it is still remembered."""
        return self._tokens.find(_digest(token))

    def keep(self, token: str, verified: Verified) -> None:
        """Remember a token."""
        self._tokens.keep(_digest(token), verified)


def _digest(token: str) -> bytes:
    # `surrogatepass`: a token may be any text, and must not raise here.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
