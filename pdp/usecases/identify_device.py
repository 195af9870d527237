"""Which device is this: look the claimed key up, verify it, spend what counts once.

Whatever fails leaves the device unknown. Evidence of a stronger kind that is malformed or wrong
never falls back to a weaker one: who tampers with a proof gets nothing for it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from pdp.domain.access import Strength
from pdp.domain.ids import DeviceId
from pdp.identification import strongest
from pdp.identification.evidence import (
    AssertionClaim,
    CertificateClaim,
    CookieClaim,
    RequestEvidence,
)
from pdp.jose.device_assertion import verify_device_assertion
from pdp.jose.device_proof import ProofRefusal
from pdp.settings import LifetimeSettings
from pdp.store import device_keys, single_use
from pdp.store.database import Transaction
from pdp.store.envelope import Envelope
from pdp.store.single_use import Kind
from pdp.usecases.device_nonce import nonce_expires_at

#: Spent nonces and ids are remembered this much longer than they could be accepted.
_MEMORY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class IdentifiedDevice:
    """The device that speaks, and how sure we are."""

    id: DeviceId
    strength: Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """What verification needs beside the evidence."""

    envelope: Envelope
    issuer: str
    lifetimes: LifetimeSettings


def identify_device(
    tx: Transaction, evidence: RequestEvidence, verifier: Verifier, *, now: datetime
) -> IdentifiedDevice | None:
    """Return the enrolled device that the request proves to come from, or None.

    Whether it is this person's device is for the facts to say: owners change.
    """
    claim = strongest.strongest_claim(evidence)
    match claim:
        case None:
            return None
        case CookieClaim():
            key = device_keys.find_key(tx, claim.key, method=claim.method)
            return None if key is None else IdentifiedDevice(key.device, claim.strength)
        case CertificateClaim():
            if not claim.is_valid_at(now):
                return None
            key = device_keys.find_key(tx, claim.key, method=claim.method)
            return None if key is None else IdentifiedDevice(key.device, claim.strength)
        case AssertionClaim():
            return verify_assertion(tx, claim, verifier, now=now)
        case _:
            assert_never(claim)


def verify_assertion(
    tx: Transaction, claim: AssertionClaim, verifier: Verifier, *, now: datetime
) -> IdentifiedDevice | None:
    """Verify an assertion by the key it names, and spend its nonce and its id."""
    key = device_keys.find_key(tx, claim.key, method=claim.method)
    if key is None or key.jwk is None:
        return None
    verified = verify_device_assertion(claim.token, key.jwk, issuer=verifier.issuer, now=now)
    if isinstance(verified, ProofRefusal) or verified.device != key.device:
        return None
    expires = nonce_expires_at(
        verifier.envelope, verified.nonce, lifetime=verifier.lifetimes.device_assertion, now=now
    )
    if expires is None:
        return None
    fresh = single_use.spend(
        tx, Kind.DEVICE_NONCE, verified.nonce, expires_at=expires + _MEMORY
    ) and single_use.spend(
        tx,
        Kind.DEVICE_ASSERTION,
        f"{claim.key}:{verified.jti}",
        expires_at=verified.expires_at + _MEMORY,
    )
    return IdentifiedDevice(key.device, claim.strength) if fresh else None
