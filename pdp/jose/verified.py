"""Remembers which tokens carried a right signature, and under which key: facts that stay true.

Whether the key still counts, the token has expired or was revoked is asked again each time.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from pdp.jose.keys import SigningKey


@dataclass(frozen=True, slots=True)
class Verified:
    """What a right signature proves: `key` signed `claims` as a token of type `typ`."""

    key: SigningKey
    typ: str
    claims: Mapping[str, object]


class VerifiedTokens:
    """The last `capacity` tokens that were verified, by digest; may be used from threads."""

    __slots__ = ("_capacity", "_lock", "_tokens")

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._tokens: OrderedDict[bytes, Verified] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, token: str) -> Verified | None:
        """Return what was proved of exactly this token, if it is still remembered."""
        digest = _digest(token)
        with self._lock:
            known = self._tokens.get(digest)
            if known is not None:
                self._tokens.move_to_end(digest)
            return known

    def keep(self, token: str, verified: Verified) -> None:
        """Remember a token; the one that was used longest ago makes room."""
        with self._lock:
            self._tokens[_digest(token)] = verified
            if len(self._tokens) > self._capacity:
                self._tokens.popitem(last=False)


def _digest(token: str) -> bytes:
    # `surrogatepass`: a token may be any text, and must not raise here.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
