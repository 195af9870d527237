"""Signs our JWTs and verifies the ones that come back: start from no, one reason for each no.

joserfc does the cryptography on keys parsed once. The compact form is put together and taken
apart here, because what we accept is narrower than RFC 7515: a header of exactly `alg`, `kid`
and `typ`, all of them expected. That also halves the cost of both directions.
"""

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import orjson
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

from pdp.jose.keys import KeyRing, SigningKey, algorithm
from pdp.jose.verified import Verified, VerifiedTokens

Claims = Mapping[str, object]

MAX_TOKEN: Final = 8 * 1024
#: How far the clock of the replica that issued a token may be ahead of ours.
CLOCK_AHEAD: Final = timedelta(seconds=10)
_HEADER: Final = frozenset({"alg", "kid", "typ"})
_NO_LEEWAY: Final = timedelta(0)


class Refusal(StrEnum):
    """Why a token is not accepted: for counters and logs, never for its bearer."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    WRONG_HEADER = "wrong-header"
    WRONG_TYPE = "wrong-type"
    WRONG_ALGORITHM = "wrong-algorithm"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    WRONG_CLAIM = "wrong-claim"
    WRONG_ISSUER = "wrong-issuer"
    WRONG_AUDIENCE = "wrong-audience"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"


def sign_jwt(key: SigningKey, claims: Claims, typ: str) -> str:
    """Return the compact JWS of `claims` (JSON values) with `typ` in its header."""
    payload = urlsafe_b64encode(orjson.dumps(dict(claims)))
    message = _header(key.kid, key.alg, typ) + b"." + payload
    signature = algorithm(key.alg).sign(message, key.private)
    return (message + b"." + urlsafe_b64encode(signature)).decode("ascii")


def verify_jwt(
    token: str,
    ring: KeyRing,
    *,
    typ: str,
    algorithms: Collection[str],
    issuer: str,
    audience: str | None,
    now: datetime,
    leeway: timedelta = _NO_LEEWAY,
    seen: VerifiedTokens | None = None,
) -> Claims | Refusal:
    """Return the claims of a token that we issued and that is valid at `now`, or why not.

    `typ` and `issuer` must be exact, `alg` one of `algorithms` and that of the key; `audience`
    must be among `aud`, unless it is None: then the caller judges `aud`. Whether the token was
    revoked is for the caller to ask. `seen` saves the cryptography of a token met before; its
    key, times and claims are judged anew. Never raises, whatever the token.
    """
    claims = _signed(token, ring, typ, algorithms, seen)
    if isinstance(claims, Refusal):
        return claims
    refusal = _parties(claims, issuer, audience) or _begun(claims, now, leeway)
    if refusal is not None:
        return refusal
    expires = claims.get("exp")
    # `type` and not isinstance: true is an int in Python.
    if type(expires) is not int:
        return Refusal.WRONG_CLAIM
    if expires <= (now - leeway).timestamp():
        return Refusal.EXPIRED
    return claims


def verify_id_token_hint(
    token: str,
    ring: KeyRing,
    *,
    algorithms: Collection[str],
    issuer: str,
    audience: str | None,
    now: datetime,
) -> Claims | Refusal:
    """Return the claims of an ID token of ours, expired or not (OpenID RP-Initiated Logout §2).

    Everything but `exp` is judged as in `verify_jwt`. Such a token says who was signed in
    once; it never proves that somebody is now.
    """
    claims = _signed(token, ring, "JWT", algorithms, None)
    if isinstance(claims, Refusal):
        return claims
    return _parties(claims, issuer, audience) or _begun(claims, now, _NO_LEEWAY) or claims


def at_hash(access_token: str, alg: str) -> str:
    """Return `at_hash` for an ID token signed with `alg` (OpenID Core §3.1.3.6).

    The left half of the hash that the algorithm uses: SHA-256, and SHA-512 for Ed25519.
    """
    algorithm(alg)
    digest = hashlib.sha512 if alg == "Ed25519" else hashlib.sha256
    whole = digest(access_token.encode("ascii")).digest()
    return urlsafe_b64encode(whole[: len(whole) // 2]).decode("ascii")


@lru_cache(maxsize=128)
def _header(kid: str, alg: str, typ: str) -> bytes:
    return urlsafe_b64encode(orjson.dumps({"alg": alg, "kid": kid, "typ": typ}))


def _signed(
    token: str,
    ring: KeyRing,
    typ: str,
    algorithms: Collection[str],
    seen: VerifiedTokens | None,
) -> Claims | Refusal:
    """Return the claims that a key of the ring signed under the expected header."""
    if len(token) > MAX_TOKEN:
        return Refusal.TOO_LARGE
    known = _remembered(token, ring, seen)
    if isinstance(known, Refusal):
        return known
    if known.typ != typ:
        return Refusal.WRONG_TYPE
    if known.key.alg not in algorithms:
        return Refusal.WRONG_ALGORITHM
    if ring.verification_key(known.key.kid) is not known.key:
        return Refusal.UNKNOWN_KEY
    return known.claims


def _remembered(token: str, ring: KeyRing, seen: VerifiedTokens | None) -> Verified | Refusal:
    if seen is None:
        return _verified(token, ring)
    known = seen.find(token)
    if known is not None:
        return known
    fresh = _verified(token, ring)
    if isinstance(fresh, Verified):
        seen.keep(token, fresh)
    return fresh


def _verified(token: str, ring: KeyRing) -> Verified | Refusal:
    try:
        encoded = token.encode("ascii")
        header_part, payload_part, signature_part = encoded.split(b".")
        header = orjson.loads(urlsafe_b64decode(header_part))
        signature = urlsafe_b64decode(signature_part)
    except ValueError:
        return Refusal.MALFORMED
    found = _key(header, ring)
    if isinstance(found, Refusal):
        return found
    message = encoded[: -len(signature_part) - 1]
    if not signature or not algorithm(found.alg).verify(message, signature, found.private):
        return Refusal.BAD_SIGNATURE
    try:
        claims = orjson.loads(urlsafe_b64decode(payload_part))
    except ValueError:
        return Refusal.MALFORMED
    if not isinstance(claims, dict):
        return Refusal.MALFORMED
    return Verified(found, header["typ"], MappingProxyType(claims))


def _key(header: object, ring: KeyRing) -> SigningKey | Refusal:
    """Return our key that the header names; only its `kid` chooses, and `alg` must agree."""
    if not isinstance(header, dict) or header.keys() != _HEADER:
        # No `crit`, and no `jwk`, `jku`, `x5u`, `x5c`: a token never brings its own key.
        return Refusal.WRONG_HEADER
    kid, typ = header["kid"], header["typ"]
    if not isinstance(kid, str) or not isinstance(typ, str):
        return Refusal.WRONG_HEADER
    key = ring.verification_key(kid)
    if key is None:
        return Refusal.UNKNOWN_KEY
    return key if header["alg"] == key.alg else Refusal.WRONG_ALGORITHM


def _parties(claims: Claims, issuer: str, audience: str | None) -> Refusal | None:
    if claims.get("iss") != issuer:
        return Refusal.WRONG_ISSUER
    named = claims.get("aud")
    audiences = named if isinstance(named, list) else [named]
    if audience is not None and audience not in audiences:
        return Refusal.WRONG_AUDIENCE
    return None


def _begun(claims: Claims, now: datetime, leeway: timedelta) -> Refusal | None:
    latest = (now + max(leeway, CLOCK_AHEAD)).timestamp()
    for name in ("iat", "nbf"):
        instant = claims.get(name, None if name == "iat" else 0)
        if type(instant) is not int:
            return Refusal.WRONG_CLAIM
        if instant > latest:
            return Refusal.NOT_YET_VALID
    return None
