"""Who may change their own password and factors: a fresh sign-in, at the level they have (D38)."""

from datetime import datetime
from enum import StrEnum

from pdp.domain.compliance import Compliance
from pdp.domain.session import Session, acr_reaches
from pdp.settings import LifetimeSettings


class ChangeRefused(StrEnum):
    """Why a change to one's own account is not made, and so what to do first."""

    NOT_FRESH = "not-fresh"
    NEEDS_FACTOR = "needs-factor"
    DEVICE_NOT_COMPLIANT = "device-not-compliant"


def is_fresh(session: Session, now: datetime, lifetimes: LifetimeSettings) -> bool:
    """Tell whether the person proved themselves recently enough to change their account."""
    return session.is_live(now) and now - session.auth_time < lifetimes.fresh_sign_in


def refuse_change(
    session: Session, *, has_factor: bool, lifetimes: LifetimeSettings, now: datetime
) -> ChangeRefused | None:
    """Return why this session may not change the password, or None.

    Whoever has a second factor must have used it in this session: else a stolen password would
    be enough to take the account over for good.
    """
    if not is_fresh(session, now, lifetimes):
        return ChangeRefused.NOT_FRESH
    if has_factor and not acr_reaches(session.acr, "mfa"):
        return ChangeRefused.NEEDS_FACTOR
    return None


def refuse_factor_change(
    session: Session,
    *,
    has_factor: bool,
    compliance: Compliance,
    lifetimes: LifetimeSettings,
    now: datetime,
) -> ChangeRefused | None:
    """Return why this session may not set up or change a second factor, or None.

    Only a compliant device may (DECISIONS 13): a factor that is set up on a machine somebody else
    controls proves nothing afterwards.
    """
    refused = refuse_change(session, has_factor=has_factor, lifetimes=lifetimes, now=now)
    if refused is not None:
        return refused
    return None if compliance is Compliance.COMPLIANT else ChangeRefused.DEVICE_NOT_COMPLIANT


def refuse_device_enrolment(
    session: Session,
    *,
    has_factor: bool,
    compliance: Compliance,
    lifetimes: LifetimeSettings,
    now: datetime,
) -> ChangeRefused | None:
    """Return why this session may not enrol a further device of the person, or None.

    A password alone never makes a device trusted (DECISIONS 25): whoever has a second factor must
    have used it in this session, and whoever has none must be on a compliant device already.
    """
    refused = refuse_change(session, has_factor=has_factor, lifetimes=lifetimes, now=now)
    if refused is not None or has_factor:
        return refused
    return None if compliance is Compliance.COMPLIANT else ChangeRefused.DEVICE_NOT_COMPLIANT
