"""Prove a second factor: TOTP (RFC 6238) or a recovery code, each code good for one use.

Wrong codes count against the same limits as wrong passwords.
"""

import hmac
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import pyotp

from pdp.clock import new_code
from pdp.domain.ids import SubjectId
from pdp.ephemeral.rate_limit import Limited, RateLimiter
from pdp.settings import SignInSettings
from pdp.store import factors
from pdp.store.database import Transaction
from pdp.store.envelope import Envelope
from pdp.usecases import attempts
from pdp.usecases.sign_in import FactorProved, Method, Refusal, Refused, record_failure

#: How many recovery codes a person gets, and their size: 16 characters of 5 bits.
RECOVERY_CODES: Final = 10
_CODE_LENGTH: Final = 16
_GROUP_LENGTH: Final = 4
_PERIOD: Final = 30
_TOTP: Final = re.compile(r"[0-9]{6}", re.ASCII)
_RECOVERY: Final = re.compile(r"[0-9a-z]{16}", re.ASCII)
#: What people type where the alphabet has no such letter.
_LOOK_ALIKES: Final = str.maketrans("oil", "011")


def prove_factor(
    tx: Transaction,
    envelope: Envelope,
    limiter: RateLimiter,
    *,
    subject_id: SubjectId,
    code: str,
    address: str,
    limits: SignInSettings,
    now: datetime,
) -> FactorProved | Refused | Limited:
    """Check a TOTP or recovery code and use it up, in the caller's transaction.

    Commit whatever the answer: a refusal leaves its audit row. ±1 step of 30 seconds is
    accepted (RFC 6238 §5.2), and no step, nor one before it, a second time.
    """
    attempt = attempts.attempt_at(subject_id, address)
    limited = attempts.count(limiter, attempt, limits=limits, now=now)
    if limited is not None:
        return limited
    typed = normalise_code(code)
    method = Method.TOTP if _TOTP.fullmatch(typed) else Method.RECOVERY_CODE
    prove = _prove_totp if method is Method.TOTP else _prove_recovery_code
    refusal = prove(tx, envelope, subject_id, typed, now)
    if refusal is not None:
        record_failure(tx, subject_id, method, refusal, address=address, now=now)
        return Refused(refusal)
    attempts.forgive(limiter, attempt, limits=limits, now=now)
    return FactorProved(subject_id, method)


def normalise_code(code: str) -> str:
    """Return a code as people type it, without the spaces and dashes that make it readable."""
    return "".join(code.split()).replace("-", "").casefold()


def matching_steps(secret: str, code: str, now: datetime) -> Iterator[int]:
    """Yield the steps, newest first, at which `secret` gives `code` within ±1 step of `now`."""
    if _TOTP.fullmatch(code) is None:
        return
    totp = pyotp.TOTP(secret, digits=6, interval=_PERIOD)
    present = int(now.timestamp()) // _PERIOD
    for step in (present + 1, present, present - 1):
        if step >= 0 and hmac.compare_digest(totp.generate_otp(step), code):
            yield step


def secret_place(subject_id: SubjectId) -> str:
    """Return the place to which a sealed TOTP secret is bound."""
    return f"subjects:totp_secret:{subject_id}"


def issue_recovery_codes(
    tx: Transaction, envelope: Envelope, subject_id: SubjectId
) -> tuple[str, ...]:
    """Replace all of a person's recovery codes; return the new ones, to be shown once."""
    codes = tuple(new_code(_CODE_LENGTH) for _ in range(RECOVERY_CODES))
    factors.replace_codes(
        tx, subject_id, (_recovery_digest(envelope, subject_id, code) for code in codes)
    )
    return tuple(_in_groups(code) for code in codes)


def _prove_totp(
    tx: Transaction, envelope: Envelope, subject_id: SubjectId, code: str, now: datetime
) -> Refusal | None:
    factor = factors.read(tx, subject_id)
    if factor is None or factor.sealed is None:
        return Refusal.NO_FACTOR
    secret = envelope.open(factor.sealed, place=secret_place(subject_id))
    steps = list(matching_steps(secret, code, now))
    if not steps:
        return Refusal.WRONG_CODE
    spent = any(
        factors.spend_step(tx, subject_id, sealed=factor.sealed, step=step) for step in steps
    )
    return None if spent else Refusal.USED_CODE


def _prove_recovery_code(
    tx: Transaction, envelope: Envelope, subject_id: SubjectId, code: str, now: datetime
) -> Refusal | None:
    spelled = code.translate(_LOOK_ALIKES)
    if _RECOVERY.fullmatch(spelled) is None:
        return Refusal.WRONG_CODE
    digest = _recovery_digest(envelope, subject_id, spelled)
    used = factors.use_code(tx, subject_id, digest, now=now)
    return None if used else Refusal.WRONG_CODE


def _recovery_digest(envelope: Envelope, subject_id: SubjectId, code: str) -> str:
    # Keyed, so that a stolen database alone allows no guessing.
    key = envelope.derive("recovery codes")
    return hmac.digest(key, f"{subject_id}:{code}".encode(), "sha256").hex()


def _in_groups(code: str) -> str:
    starts = range(0, len(code), _GROUP_LENGTH)
    return "-".join(code[start : start + _GROUP_LENGTH] for start in starts)
