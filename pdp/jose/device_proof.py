"""What assertions and enrolment proofs have in common: short JWTs signed with a device's key.

Nothing that a token says about its own verification is followed: type, algorithm and key are
given, and the header must equal them.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError

from pdp.jose.device_key import DeviceKey, algorithm

LONGEST_TOKEN: Final = 8 * 1024
LONGEST_LIFE: Final = timedelta(seconds=60)
#: How far a device's clock may be ahead of ours.
CLOCK_AHEAD: Final = timedelta(seconds=10)

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_WORD: Final = re.compile(r"[!-~]{1,128}")


class ProofRefusal(StrEnum):
    """Why a device's JWT proves nothing: for counters and logs, not for its bearer."""

    MALFORMED = "malformed"
    WRONG_HEADER = "wrong-header"
    WRONG_KEY = "wrong-key"
    BAD_SIGNATURE = "bad-signature"
    WRONG_CLAIM = "wrong-claim"
    WRONG_AUDIENCE = "wrong-audience"
    WRONG_TOKEN = "wrong-token"  # noqa: S105  a reason, not a token
    LIVES_TOO_LONG = "lives-too-long"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The claims of a JWT whose signature, audience and time are right; instants are UTC."""

    claims: Mapping[str, object]
    jti: str
    issued_at: datetime
    expires_at: datetime

    def word(self, claim: str) -> str | None:
        """Return a claim that is 1 to 128 visible ASCII characters, else None."""
        value = self.claims.get(claim)
        return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def part(token: str, index: int) -> Mapping[str, object] | ProofRefusal:
    """Return the unverified header (0) or claims (1) of a compact JWS of at most 8 KiB."""
    if len(token) > LONGEST_TOKEN or not _COMPACT.fullmatch(token):
        return ProofRefusal.MALFORMED
    encoded = token.split(".")[index]
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        members = json.loads(decoded)
    except (binascii.Error, ValueError, RecursionError):
        return ProofRefusal.MALFORMED
    return members if isinstance(members, dict) else ProofRefusal.MALFORMED


def verify(
    token: str, key: DeviceKey, *, header: Mapping[str, str], issuer: str, now: datetime
) -> Proof | ProofRefusal:
    """Return the claims that `key` signed for `issuer`, valid at `now`; never raises.

    The token's header must be `header` and the key's `alg`, nothing more. `aud` must be exactly
    `issuer`, one string; `exp` at most 60 s after `iat`; `iat` at most 10 s ahead of `now`.
    """
    stated = part(token, 0)
    if isinstance(stated, ProofRefusal):
        return stated
    if stated != {**header, "alg": algorithm(key)}:
        return ProofRefusal.WRONG_HEADER
    try:
        claims = jwt.decode(token, key, algorithms=[algorithm(key)]).claims
    except BadSignatureError:
        return ProofRefusal.BAD_SIGNATURE
    except (JoseError, ValueError, RecursionError):
        return ProofRefusal.MALFORMED
    return _timely(claims, issuer, now)


def _timely(claims: Mapping[str, object], issuer: str, now: datetime) -> Proof | ProofRefusal:
    if claims.get("aud") != issuer:
        return ProofRefusal.WRONG_AUDIENCE
    iat, exp, jti = claims.get("iat"), claims.get("exp"), claims.get("jti")
    # `type` and not isinstance: true is an int in Python, and 1e300 no time.
    if type(iat) is not int or type(exp) is not int or exp <= iat:
        return ProofRefusal.WRONG_CLAIM
    if not isinstance(jti, str) or not _WORD.fullmatch(jti):
        return ProofRefusal.WRONG_CLAIM
    if exp - iat > LONGEST_LIFE.total_seconds():
        return ProofRefusal.LIVES_TOO_LONG
    if iat > (now + CLOCK_AHEAD).timestamp():
        return ProofRefusal.NOT_YET_VALID
    if exp <= now.timestamp():
        return ProofRefusal.EXPIRED
    return Proof(
        claims=claims,
        jti=jti,
        issued_at=datetime.fromtimestamp(iat, UTC),
        expires_at=datetime.fromtimestamp(exp, UTC),
    )


def sign(key: DeviceKey, header: Mapping[str, str], claims: Mapping[str, object]) -> str:
    """Return the compact JWS of `claims` under `header` and the key's `alg`."""
    alg = algorithm(key)
    return jwt.encode({**header, "alg": alg}, dict(claims), key, [alg])


def lifetime(now: datetime, life: timedelta) -> dict[str, object]:
    """Return `iat` and `exp` of a token made at `now`, in seconds since 1970."""
    issued = int(now.timestamp())
    return {"iat": issued, "exp": issued + int(life.total_seconds())}
