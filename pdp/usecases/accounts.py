"""What administrators do to accounts, each change with its audit row in the same transaction.

Whatever takes trust away (disabling, resetting a password or factor) ends the person's sessions
and grants in the same transaction, and relying parties are told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pdp.clock import new_id
from pdp.domain.events import Action, Event
from pdp.domain.ids import SessionId, SubjectId
from pdp.domain.session import EndReason
from pdp.domain.subject import (
    FieldRefused,
    Subject,
    check_email,
    check_group,
    check_name,
    check_username,
    normalise_username,
)
from pdp.store import audit, factors, grants, sessions, subjects
from pdp.store.database import Transaction
from pdp.usecases.passwords import NewPassword
from pdp.usecases.revoke_access import KnowsClients, end_browser_session


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom an account is for, as an administrator spelled it."""

    username: str
    name: str = ""
    email: str = ""
    groups: frozenset[str] = frozenset()


def refuse_person(person: Person) -> FieldRefused | None:
    """Return the first of a person's names that cannot be stored, or None."""
    return (
        check_username(normalise_username(person.username))
        or check_name(person.name)
        or check_email(person.email)
        or refuse_groups(person.groups)
    )


def refuse_groups(groups: Iterable[str]) -> FieldRefused | None:
    """Return why one of these cannot be a group, or None."""
    return next((refused for group in sorted(groups) if (refused := check_group(group))), None)


def create_user(
    tx: Transaction, person: Person, password: NewPassword, *, actor: str, now: datetime
) -> Subject | FieldRefused:
    """Open an account; Conflict if the username is taken. `password` was hashed before."""
    refused = refuse_person(person)
    if refused is not None:
        return refused
    subject = Subject(
        id=SubjectId(new_id("usr")),
        username=normalise_username(person.username),
        name=person.name,
        email=person.email,
        groups=person.groups,
        break_glass=False,
        must_change_password=password.must_change,
        has_factor=False,
        epoch=0,
        created_at=now,
        password_changed_at=now,
    )
    subjects.create(tx, subject, password_hash=password.hash)
    detail: dict[str, object] = {"username": subject.username, "groups": sorted(subject.groups)}
    _record(tx, Action.SUBJECT_CREATED, subject.id, actor=actor, now=now, detail=detail)
    return subject


def disable_user(
    tx: Transaction,
    subject_id: SubjectId,
    configuration: KnowsClients,
    *,
    actor: str,
    now: datetime,
) -> tuple[SessionId, ...]:
    """Shut an account and end all its access; return the sessions that this ended.

    Repeating it ends what was left, and is no error.
    """
    subjects.get_locked(tx, subject_id)
    is_new = subjects.disable(tx, subject_id, now=now)
    reason = EndReason.SUBJECT_DISABLED
    ended = end_access(tx, subject_id, reason, configuration, actor=actor, now=now)
    if is_new:
        _record(tx, Action.SUBJECT_DISABLED, subject_id, actor=actor, now=now)
    return ended


def enable_user(tx: Transaction, subject_id: SubjectId, *, actor: str, now: datetime) -> bool:
    """Open an account again; False if it was open. What was ended stays ended."""
    subjects.get(tx, subject_id)
    is_changed = subjects.enable(tx, subject_id)
    if is_changed:
        _record(tx, Action.SUBJECT_ENABLED, subject_id, actor=actor, now=now)
    return is_changed


def reset_password(
    tx: Transaction,
    subject_id: SubjectId,
    password: NewPassword,
    configuration: KnowsClients,
    *,
    actor: str,
    now: datetime,
) -> tuple[SessionId, ...]:
    """Set another password and end all access that the old one gave; return the ended sessions."""
    subjects.set_password(tx, subject_id, password.hash, must_change=password.must_change, now=now)
    reason = EndReason.PASSWORD_CHANGED
    ended = end_access(tx, subject_id, reason, configuration, actor=actor, now=now)
    _record(tx, Action.PASSWORD_RESET, subject_id, actor=actor, now=now)
    return ended


def reset_factor(
    tx: Transaction,
    subject_id: SubjectId,
    configuration: KnowsClients,
    *,
    actor: str,
    now: datetime,
) -> tuple[SessionId, ...]:
    """Take the second factor and its recovery codes away, and end all access."""
    had_factor = subjects.get_locked(tx, subject_id).has_factor
    factors.remove(tx, subject_id)
    reason = EndReason.FACTOR_RESET
    ended = end_access(tx, subject_id, reason, configuration, actor=actor, now=now)
    detail: dict[str, object] = {"had_factor": had_factor}
    _record(tx, Action.FACTOR_RESET, subject_id, actor=actor, now=now, detail=detail)
    return ended


def add_groups(
    tx: Transaction, subject_id: SubjectId, groups: frozenset[str], *, actor: str, now: datetime
) -> bool | FieldRefused:
    """Put a person into more groups; False if they were in all of them."""
    present = subjects.get_locked(tx, subject_id).groups
    return set_groups(tx, subject_id, present | groups, actor=actor, now=now)


def remove_groups(
    tx: Transaction, subject_id: SubjectId, groups: frozenset[str], *, actor: str, now: datetime
) -> bool | FieldRefused:
    """Take a person out of groups; False if they were in none of them."""
    present = subjects.get_locked(tx, subject_id).groups
    return set_groups(tx, subject_id, present - groups, actor=actor, now=now)


def set_groups(
    tx: Transaction, subject_id: SubjectId, groups: frozenset[str], *, actor: str, now: datetime
) -> bool | FieldRefused:
    """Put a person into exactly these groups; False if nothing changed."""
    before = subjects.get_locked(tx, subject_id).groups
    refused = refuse_groups(groups - before)
    if refused is not None:
        return refused
    is_changed = subjects.set_groups(tx, subject_id, groups)
    if is_changed:
        detail: dict[str, object] = {
            "added": sorted(groups - before),
            "removed": sorted(before - groups),
        }
        _record(
            tx,
            Action.SUBJECT_GROUPS_CHANGED,
            subject_id,
            actor=actor,
            now=now,
            detail=detail,
        )
    return is_changed


def set_break_glass(
    tx: Transaction, subject_id: SubjectId, *, flagged: bool, actor: str, now: datetime
) -> bool:
    """Flag a person as one whom an evaluation error does not stop (DECISIONS 3), or unflag them.

    False if nothing changed.
    """
    is_changed = subjects.set_break_glass(tx, subject_id, flagged=flagged)
    if is_changed:
        detail: dict[str, object] = {"break_glass": flagged}
        _record(
            tx, Action.SUBJECT_BREAK_GLASS_CHANGED, subject_id, actor=actor, now=now, detail=detail
        )
    return is_changed


def end_access(
    tx: Transaction,
    subject_id: SubjectId,
    reason: EndReason,
    configuration: KnowsClients,
    *,
    actor: str,
    now: datetime,
) -> tuple[SessionId, ...]:
    """End every session and grant of a person; return the sessions that this ended.

    Hold the person's row first (`subjects.get_locked`, or a change of it): no session can then
    start unseen.
    """
    ended = sessions.open_sessions_of_subject(tx, subject_id)
    for session_id in ended:
        end_browser_session(tx, session_id, reason, configuration, now=now, actor=actor)
    # Grants outlive a session that the person signed out of.
    grants.revoke_grants_of_subject(tx, subject_id, reason, now)
    return ended


def _record(
    tx: Transaction,
    action: Action,
    subject_id: SubjectId,
    *,
    actor: str,
    now: datetime,
    detail: Mapping[str, object] | None = None,
) -> None:
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=action,
            kind="subject",
            object_id=subject_id,
            detail=dict(detail or {}),
        ),
    )
