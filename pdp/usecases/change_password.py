"""A person changes their own password: from a fresh sign-in, knowing the present one.

It ends their other sessions and every grant given from them. Hashing happens between
transactions, so this use case takes the database.
"""

from dataclasses import dataclass, field
from datetime import datetime

from pdp.clock import new_secret
from pdp.domain.events import Action, Event
from pdp.domain.ids import SessionId
from pdp.domain.session import EndReason, Session
from pdp.ephemeral.rate_limit import Limited, RateLimiter
from pdp.settings import Settings, SignInSettings
from pdp.store import audit, grants, sessions, subjects
from pdp.store.database import Database, Transaction
from pdp.store.subjects import Credentials
from pdp.usecases import attempts
from pdp.usecases.authorize_change import ChangeRefused, refuse_change
from pdp.usecases.configuration import Configuration
from pdp.usecases.passwords import (
    Busy,
    NewPassword,
    PasswordRefused,
    Passwords,
    Rule,
    Verdict,
    choose_password,
)
from pdp.usecases.revoke_access import end_browser_session
from pdp.usecases.sign_in import Method, Refusal, Refused, record_failure


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChange:
    """What a person typed to change their password, and from which address."""

    current: str = field(repr=False)
    new: str = field(repr=False)
    address: str


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """The session goes on under another cookie (its secret); `ended` are the person's others."""

    cookie: str
    ended: tuple[SessionId, ...]


NotChanged = ChangeRefused | PasswordRefused | Refused | Limited | Busy


def change_password(
    database: Database,
    passwords: Passwords,
    limiter: RateLimiter,
    *,
    session: Session,
    change: PasswordChange,
    settings: Settings,
    configuration: Configuration,
    now: datetime,
) -> PasswordChanged | NotChanged:
    """Replace the person's password, if this session may and the current one is right.

    A wrong current password counts against the same limits as a failed sign-in.
    """
    with database.read() as tx:
        before = subjects.credentials(tx, session.subject)
    refused = refuse_change(
        session, has_factor=before.subject.has_factor, lifetimes=settings.lifetimes, now=now
    )
    if refused is not None:
        return refused
    wrong = _check_current(
        database,
        passwords,
        limiter,
        before,
        change,
        limits=settings.signin,
        now=now,
    )
    if wrong is not None:
        return wrong
    minimum = settings.signin.password_min_length
    if change.new == change.current:
        return PasswordRefused(Rule.UNCHANGED, minimum)
    account = (before.subject.username, before.subject.email, before.subject.name)
    chosen = choose_password(passwords, change.new, minimum=minimum, account=account)
    if not isinstance(chosen, NewPassword):
        return chosen
    with database.write() as tx:
        return _replace(tx, session, before, chosen, configuration, now=now)


def _check_current(
    database: Database,
    passwords: Passwords,
    limiter: RateLimiter,
    before: Credentials,
    change: PasswordChange,
    *,
    limits: SignInSettings,
    now: datetime,
) -> Refused | Limited | Busy | None:
    attempt = attempts.attempt_at(before.subject.id, change.address)
    limited = attempts.count(limiter, attempt, limits=limits, now=now)
    if limited is not None:
        return limited
    verdict = passwords.check(change.current, before.password_hash)
    if verdict is Verdict.WRONG:
        with database.write() as tx:
            record_failure(
                tx,
                before.subject.id,
                Method.PASSWORD,
                Refusal.WRONG_PASSWORD,
                address=change.address,
                now=now,
            )
        return Refused(Refusal.WRONG_PASSWORD)
    attempts.forgive(limiter, attempt, limits=limits, now=now)
    return verdict if isinstance(verdict, Busy) else None


def _replace(
    tx: Transaction,
    session: Session,
    before: Credentials,
    chosen: NewPassword,
    configuration: Configuration,
    *,
    now: datetime,
) -> PasswordChanged | Refused:
    subject_id, reason = session.subject, EndReason.PASSWORD_CHANGED
    cookie = new_secret()
    # The person's row first: whoever starts a session holds it, and is seen below.
    subjects.get_locked(tx, subject_id)
    present = subjects.credentials(tx, subject_id)
    is_checked = present.password_hash == before.password_hash and not present.subject.is_disabled
    if not is_checked or not sessions.rotate(tx, session, cookie=cookie):
        return Refused(Refusal.CHANGED_MEANWHILE)
    subjects.set_password(tx, subject_id, chosen.hash, must_change=chosen.must_change, now=now)
    others = sessions.open_sessions_of_subject(tx, subject_id)
    ended = tuple(session_id for session_id in others if session_id != session.id)
    for session_id in ended:
        end_browser_session(tx, session_id, reason, configuration, now=now, actor=subject_id)
    grants.revoke_grants_of_other_sessions(tx, subject_id, session.id, reason, now)
    audit.append(
        tx,
        Event(
            at=now,
            actor=subject_id,
            action=Action.PASSWORD_CHANGED,
            kind="subject",
            object_id=subject_id,
        ),
    )
    return PasswordChanged(cookie, ended)
