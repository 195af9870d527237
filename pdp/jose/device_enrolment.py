"""Enrolment proofs: whoever enrols a key holds its private part, and the enrolment token."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pdp.jose import device_proof
from pdp.jose.device_key import imported, public_jwk, without_private_part
from pdp.jose.device_proof import LONGEST_LIFE, ProofRefusal

TYPE: Final = "device-enrolment+jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentProof:
    """A key to enrol, with which its holder signed this very enrolment.

    `thumbprint` (RFC 7638) is the name under which the key is kept. `jti` is for the caller to
    spend until `expires_at` (UTC).
    """

    jwk: Mapping[str, str]
    thumbprint: str
    jti: str
    expires_at: datetime


def token_digest(enrolment_token: str) -> str:
    """Return the SHA-256 of an enrolment token, in hex: what is kept of it, and what is signed."""
    # A stranger's token may be any text, half of a surrogate pair included.
    return hashlib.sha256(enrolment_token.encode("utf-8", "surrogatepass")).hexdigest()


def verify_enrolment_proof(
    proof: str, *, enrolment_token: str, issuer: str, now: datetime
) -> EnrolmentProof | ProofRefusal:
    """Return the key that signed `proof` for `issuer` and this token, or why it is refused.

    The key is the one in the claim `jwk`: the signature shows that it signs, the enrolment token
    that it may. Never raises, whatever is in the proof.
    """
    unverified = device_proof.part(proof, 1)
    if isinstance(unverified, ProofRefusal):
        return unverified
    jwk = unverified.get("jwk")
    if not isinstance(jwk, dict):
        return ProofRefusal.WRONG_KEY
    try:
        public = public_jwk(jwk)
        key = imported(public)
    except ValueError:
        return ProofRefusal.WRONG_KEY
    verified = device_proof.verify(proof, key, header={"typ": TYPE}, issuer=issuer, now=now)
    if isinstance(verified, ProofRefusal):
        return verified
    signed_digest = verified.word("token") or ""
    if not hmac.compare_digest(signed_digest, token_digest(enrolment_token)):
        return ProofRefusal.WRONG_TOKEN
    return EnrolmentProof(
        jwk=public,
        thumbprint=key.thumbprint(),
        jti=verified.jti,
        expires_at=verified.expires_at,
    )


def sign_enrolment_proof(
    private_jwk: Mapping[str, str],
    *,
    enrolment_token: str,
    issuer: str,
    jti: str,
    now: datetime,
    life: timedelta = LONGEST_LIFE,
) -> str:
    """Return the proof that enrols the public part of `private_jwk`; ValueError for a bad key."""
    claims = {
        "aud": issuer,
        "jti": jti,
        "jwk": without_private_part(private_jwk),
        "token": token_digest(enrolment_token),
        **device_proof.lifetime(now, life),
    }
    return device_proof.sign(imported(private_jwk), {"typ": TYPE}, claims)
