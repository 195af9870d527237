"""Set up a second factor, in two steps: a secret that counts only once a right code confirms it.

Both steps ask anew whether this session may (fresh, at the person's level, from a compliant
device), so that skipping or repeating one leads nowhere (D23, D38).
"""

import io
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import pyotp
import segno

from pdp.domain.compliance import Compliance
from pdp.domain.events import Action, Event
from pdp.domain.ids import SubjectId
from pdp.domain.session import Session
from pdp.domain.subject import Subject
from pdp.settings import LifetimeSettings
from pdp.store import audit, factors, subjects
from pdp.store.database import Transaction
from pdp.store.envelope import Envelope
from pdp.usecases.authorize_change import ChangeRefused, refuse_factor_change
from pdp.usecases.second_factor import (
    issue_recovery_codes,
    matching_steps,
    normalise_code,
    secret_place,
)


class NotConfirmed(StrEnum):
    """Why an enrolment did not finish: it was never begun, or the code is another."""

    NOTHING_PENDING = "nothing-pending"
    WRONG_CODE = "wrong-code"


@dataclass(frozen=True, slots=True)
class PendingFactor:
    """What the person's authenticator needs: the secret, its URI, and that URI as an SVG image."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    image: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FactorEnrolled:
    """The factor counts from the next sign-in on; the recovery codes are shown this once."""

    recovery_codes: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecoveryCodesReplaced:
    """The old recovery codes are void; the new ones are shown this once."""

    recovery_codes: tuple[str, ...] = field(repr=False)


def begin_enrolment(
    tx: Transaction,
    envelope: Envelope,
    session: Session,
    *,
    compliance: Compliance,
    lifetimes: LifetimeSettings,
    issuer_name: str,
    now: datetime,
) -> PendingFactor | ChangeRefused:
    """Make a secret for this person, not counting yet; a factor they have goes on counting."""
    subject = subjects.get_locked(tx, session.subject)
    refused = _refuse(subject, session, compliance, lifetimes, now)
    if refused is not None:
        return refused
    secret = pyotp.random_base32()
    factors.begin(tx, subject.id, sealed=envelope.seal(secret, place=_pending_place(subject.id)))
    uri = pyotp.TOTP(secret).provisioning_uri(name=subject.username, issuer_name=issuer_name)
    return PendingFactor(secret, uri, qr_image(uri))


def pending_image(
    tx: Transaction,
    envelope: Envelope,
    session: Session,
    *,
    compliance: Compliance,
    lifetimes: LifetimeSettings,
    issuer_name: str,
    now: datetime,
) -> bytes | None:
    """Return the QR code of the secret that waits to be confirmed, as SVG.

    None if none does, or if this session might not have asked for it: whoever sees the secret
    has the factor.
    """
    subject = subjects.get(tx, session.subject)
    factor = factors.read(tx, subject.id)
    if factor is None or factor.pending is None:
        return None
    if _refuse(subject, session, compliance, lifetimes, now) is not None:
        return None
    secret = envelope.open(factor.pending, place=_pending_place(subject.id))
    uri = pyotp.TOTP(secret).provisioning_uri(name=subject.username, issuer_name=issuer_name)
    return qr_image(uri)


def confirm_enrolment(
    tx: Transaction,
    envelope: Envelope,
    session: Session,
    *,
    code: str,
    compliance: Compliance,
    lifetimes: LifetimeSettings,
    now: datetime,
) -> FactorEnrolled | NotConfirmed | ChangeRefused:
    """Let the pending secret count, if `code` is one of its; the code itself is spent.

    The session is not raised by this (DECISIONS 13): step-up asks for the next code.
    """
    subject = subjects.get_locked(tx, session.subject)
    refused = _refuse(subject, session, compliance, lifetimes, now)
    if refused is not None:
        return refused
    factor = factors.read(tx, subject.id)
    if factor is None or factor.pending is None:
        return NotConfirmed.NOTHING_PENDING
    secret = envelope.open(factor.pending, place=_pending_place(subject.id))
    step = next(matching_steps(secret, normalise_code(code), now), None)
    if step is None:
        return NotConfirmed.WRONG_CODE
    sealed = envelope.seal(secret, place=secret_place(subject.id))
    if not factors.confirm(
        tx, subject.id, pending=factor.pending, sealed=sealed, step=step, now=now
    ):
        return NotConfirmed.NOTHING_PENDING
    detail: dict[str, object] = {"method": "totp", "replaced": subject.has_factor}
    _record(tx, Action.FACTOR_ENROLLED, subject, now, detail)
    return FactorEnrolled(issue_recovery_codes(tx, envelope, subject.id))


def renew_recovery_codes(
    tx: Transaction,
    envelope: Envelope,
    session: Session,
    *,
    compliance: Compliance,
    lifetimes: LifetimeSettings,
    now: datetime,
) -> RecoveryCodesReplaced | NotConfirmed | ChangeRefused:
    """Replace all recovery codes of a person who has a factor."""
    subject = subjects.get_locked(tx, session.subject)
    refused = _refuse(subject, session, compliance, lifetimes, now)
    if refused is not None:
        return refused
    if not subject.has_factor:
        return NotConfirmed.NOTHING_PENDING
    _record(tx, Action.RECOVERY_CODES_REPLACED, subject, now, {})
    return RecoveryCodesReplaced(issue_recovery_codes(tx, envelope, subject.id))


def qr_image(uri: str) -> bytes:
    """Return a QR code of `uri` as an SVG document without scripts or styles."""
    image = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(image, kind="svg", scale=4, light="#fff")
    return image.getvalue()


def _refuse(
    subject: Subject,
    session: Session,
    compliance: Compliance,
    lifetimes: LifetimeSettings,
    now: datetime,
) -> ChangeRefused | None:
    return refuse_factor_change(
        session,
        has_factor=subject.has_factor,
        compliance=compliance,
        lifetimes=lifetimes,
        now=now,
    )


def _record(
    tx: Transaction, action: Action, subject: Subject, now: datetime, detail: dict[str, object]
) -> None:
    audit.append(
        tx,
        Event(
            at=now,
            actor=subject.id,
            action=action,
            kind="subject",
            object_id=subject.id,
            detail=detail,
        ),
    )


def _pending_place(subject_id: SubjectId) -> str:
    return f"subjects:totp_pending_secret:{subject_id}"
