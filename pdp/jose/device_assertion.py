"""Device assertions: an enrolled device says, for one request, that it is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pdp.domain.ids import DeviceId
from pdp.jose import device_proof
from pdp.jose.device_key import imported
from pdp.jose.device_proof import LONGEST_LIFE, ProofRefusal

TYPE: Final = "device-assertion+jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionClaims:
    """What a verified assertion says.

    `device` is what the token says: the caller compares it with the owner of the key. `nonce`
    and `jti` (1 to 128 characters each) are for the caller to spend, once, until `expires_at`
    (UTC) at least.
    """

    device: DeviceId
    nonce: str
    jti: str
    issued_at: datetime
    expires_at: datetime


def verify_device_assertion(
    token: str, jwk: Mapping[str, str], *, issuer: str, now: datetime
) -> AssertionClaims | ProofRefusal:
    """Return what the enrolled key `jwk` signed for `issuer`, or why it is refused.

    Never raises for a token, whatever is in it. ValueError if `jwk`, which is ours, is no device
    key. See docs/devices.md for the claims.
    """
    key = imported(jwk)
    header = {"typ": TYPE, "kid": key.thumbprint()}
    proof = device_proof.verify(token, key, header=header, issuer=issuer, now=now)
    if isinstance(proof, ProofRefusal):
        return proof
    device, nonce = proof.word("iss"), proof.word("nonce")
    if device is None or nonce is None:
        return ProofRefusal.WRONG_CLAIM
    return AssertionClaims(
        device=DeviceId(device),
        nonce=nonce,
        jti=proof.jti,
        issued_at=proof.issued_at,
        expires_at=proof.expires_at,
    )


def sign_device_assertion(
    private_jwk: Mapping[str, str],
    *,
    device: DeviceId,
    issuer: str,
    nonce: str,
    jti: str,
    now: datetime,
    life: timedelta = LONGEST_LIFE,
) -> str:
    """Return the value of `Device-Assertion` for one request; ValueError for a bad key."""
    key = imported(private_jwk)
    claims = {
        "iss": device,
        "aud": issuer,
        "nonce": nonce,
        "jti": jti,
        **device_proof.lifetime(now, life),
    }
    return device_proof.sign(key, {"typ": TYPE, "kid": key.thumbprint()}, claims)
