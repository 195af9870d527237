"""Sign in by password, start the session, and raise it when a second factor was proved.

Every refusal looks the same outside: whether the account exists, is shut or has another password
is told to the audit record alone. Hashing happens between transactions, never inside one.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pdp.clock import new_id, new_secret
from pdp.domain.access import Strength
from pdp.domain.errors import InvalidTransition
from pdp.domain.events import Action, Event
from pdp.domain.ids import DeviceId, SessionId, SubjectId
from pdp.domain.session import Session
from pdp.domain.subject import Subject, check_username, normalise_username
from pdp.ephemeral.rate_limit import Limited, RateLimiter
from pdp.settings import LifetimeSettings, SignInSettings
from pdp.store import audit, sessions, standings, subjects
from pdp.store.database import Database, Transaction
from pdp.store.subjects import Credentials
from pdp.usecases import attempts
from pdp.usecases.passwords import Busy, Passwords, Verdict


class Method(StrEnum):
    """What a person proved themselves with."""

    PASSWORD = "password"  # noqa: S105  a method, not a password
    TOTP = "totp"
    RECOVERY_CODE = "recovery-code"


class Refusal(StrEnum):
    """Why an attempt failed: for the audit record and counters, never for whoever tried."""

    UNKNOWN_USER = "unknown-user"
    DISABLED = "disabled"
    WRONG_PASSWORD = "wrong-password"  # noqa: S105  a reason, not a password
    WRONG_CODE = "wrong-code"
    USED_CODE = "used-code"
    NO_FACTOR = "no-factor"
    CHANGED_MEANWHILE = "changed-meanwhile"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who gave the right password; no session exists before `start_session`."""

    subject: Subject


@dataclass(frozen=True, slots=True)
class Refused:
    """Not let in; outside, every reason is the same "name or password is wrong"."""

    reason: Refusal


@dataclass(frozen=True, slots=True)
class StartedSession:
    """A session, and the secret of its cookie: sent once, kept nowhere."""

    session: Session
    cookie: str


@dataclass(frozen=True, slots=True)
class FactorProved:
    """A second factor was right, once; `step_up_session` makes it count."""

    subject: SubjectId
    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """With which device, how surely known, and from which address a person signs in."""

    device: DeviceId | None
    strength: Strength
    address: str


def check_password(
    database: Database,
    passwords: Passwords,
    limiter: RateLimiter,
    *,
    username: str,
    password: str,
    address: str,
    limits: SignInSettings,
    now: datetime,
) -> SignedIn | Refused | Limited | Busy:
    """Check a name and password; takes the database, because it must not hash in a transaction.

    An unknown name costs the same work and counts against the same limits as a known one (D26).
    """
    name = normalise_username(username)
    found = _look_up(database, name)
    if found is None:
        attempt = attempts.attempt_at_unknown(name, address)
    else:
        attempt = attempts.attempt_at(found.subject.id, address)
    limited = attempts.count(limiter, attempt, limits=limits, now=now)
    if limited is not None:
        return limited
    verdict = passwords.check(password, None if found is None else found.password_hash)
    if isinstance(verdict, Busy):
        attempts.forgive(limiter, attempt, limits=limits, now=now)
        return verdict
    refusal = _refusal(found, verdict)
    if found is None or refusal is not None:
        reason = refusal or Refusal.UNKNOWN_USER
        with database.write() as tx:
            subject_id = found.subject.id if found else None
            record_failure(tx, subject_id, Method.PASSWORD, reason, address=address, now=now)
        return Refused(reason)
    attempts.forgive(limiter, attempt, limits=limits, now=now)
    if verdict is Verdict.OUTDATED:
        _rehash(database, passwords, found, password)
    return SignedIn(found.subject)


def start_session(
    tx: Transaction,
    signed_in: SignedIn,
    arrival: Arrival,
    *,
    lifetimes: LifetimeSettings,
    now: datetime,
) -> StartedSession | Refused:
    """Start a session: always a new id and a new cookie, whatever the browser brought (D23).

    Refused if the account was shut or its password changed since it was checked: that change
    has ended every session, and must not miss this one.
    """
    checked = signed_in.subject
    standings.hold_still(tx, checked.id, None)
    subject = subjects.get(tx, checked.id)
    if subject.is_disabled or subject.password_changed_at != checked.password_changed_at:
        reason = Refusal.DISABLED if subject.is_disabled else Refusal.CHANGED_MEANWHILE
        record_failure(tx, subject.id, Method.PASSWORD, reason, address=arrival.address, now=now)
        return Refused(reason)
    session = Session(
        id=SessionId(new_id("ses")),
        subject=subject.id,
        device=arrival.device,
        strength=arrival.strength,
        acr="pwd",
        amr=("pwd",),
        auth_time=now,
        created_at=now,
        idle_expires_at=now + lifetimes.session_idle,
        expires_at=now + lifetimes.session,
        address=arrival.address,
    )
    started = StartedSession(session, new_secret())
    sessions.create(tx, session, cookie=started.cookie)
    _record_success(tx, session, Method.PASSWORD, now)
    return started


def renew_session(
    tx: Transaction, session: Session, signed_in: SignedIn, *, now: datetime
) -> StartedSession | None:
    """Let the session say what was proved just now: the password, as of `now`, no more.

    The session keeps its `sid`, so that signing out still reaches everybody who relies on it;
    its cookie is new. A level reached with a second factor before is asked for again. None if
    the session has ended, is another person's, or the account changed since it was checked.
    """
    if signed_in.subject.id != session.subject:
        return None
    standings.hold_still(tx, session.subject, None)
    subject = subjects.get(tx, session.subject)
    if subject.is_disabled or subject.password_changed_at != signed_in.subject.password_changed_at:
        return None
    started = StartedSession(replace(session, acr="pwd", amr=("pwd",), auth_time=now), new_secret())
    if not sessions.rotate(tx, started.session, cookie=started.cookie):
        return None
    _record_success(tx, started.session, Method.PASSWORD, now)
    return started


def step_up_session(
    tx: Transaction, session: Session, proved: FactorProved, *, now: datetime
) -> StartedSession | None:
    """Raise a session to `mfa`, fresh as of `now`, under a new cookie; None if it has ended.

    Call it in the transaction that spent the code, so that a code never counts without a session.
    """
    if proved.subject != session.subject:
        raise InvalidTransition(f"the factor of {proved.subject} cannot raise session {session.id}")
    amr = (*session.amr, *(name for name in ("otp", "mfa") if name not in session.amr))
    raised = replace(session, acr="mfa", amr=amr, auth_time=now)
    started = StartedSession(raised, new_secret())
    if not sessions.rotate(tx, raised, cookie=started.cookie):
        return None
    _record_success(tx, raised, proved.method, now)
    return started


def record_failure(
    tx: Transaction,
    subject_id: SubjectId | None,
    method: Method,
    reason: Refusal,
    *,
    address: str,
    now: datetime,
) -> None:
    """Record a failed attempt. The name that was typed is left out: it may be a password."""
    audit.append(
        tx,
        Event(
            at=now,
            actor=subject_id or "anonymous",
            action=Action.SIGN_IN_FAILED,
            kind="subject",
            object_id=subject_id or "unknown",
            detail={"method": method.value, "reason": reason.value, "address": address},
        ),
    )


def _look_up(database: Database, name: str) -> Credentials | None:
    # What no account can be called is not asked for: databases refuse some of it as text.
    if check_username(name) is not None:
        return None
    with database.read() as tx:
        return subjects.find_credentials(tx, name)


def _refusal(found: Credentials | None, verdict: Verdict) -> Refusal | None:
    if found is None:
        return Refusal.UNKNOWN_USER
    if verdict is Verdict.WRONG:
        return Refusal.WRONG_PASSWORD
    return Refusal.DISABLED if found.subject.is_disabled else None


def _rehash(database: Database, passwords: Passwords, found: Credentials, password: str) -> None:
    hashed = passwords.hash(password)
    # Busy is no reason to refuse: the next sign-in brings the parameters up to date.
    if not isinstance(hashed, Busy):
        with database.write() as tx:
            subjects.rehash(tx, found, hashed)


def _record_success(tx: Transaction, session: Session, method: Method, now: datetime) -> None:
    audit.append(
        tx,
        Event(
            at=now,
            actor=session.subject,
            action=Action.SIGN_IN_SUCCEEDED,
            kind="subject",
            object_id=session.subject,
            detail={
                "method": method.value,
                "session": session.id,
                "device": session.device,
                "address": session.address,
            },
        ),
    )
