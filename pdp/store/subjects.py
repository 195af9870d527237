"""People: the ORM serves administration, driver statements what sign-in reads.

Each change of what decisions see (groups, break glass, disabled) raises `epoch`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from pdp.clock import new_step
from pdp.domain.errors import Conflict, NotFound
from pdp.domain.ids import SubjectId
from pdp.domain.subject import Subject
from pdp.store.base import from_micros, from_micros_or_none, to_micros
from pdp.store.database import Statement, Transaction
from pdp.store.tables.subject import SubjectRow

_COLUMNS = (
    "id, username, name, email, groups, break_glass, must_change_password, totp_confirmed_at,"
    " epoch, created_at, password_changed_at, disabled_at"
)
_CREDENTIALS = Statement(
    f"SELECT password_hash, {_COLUMNS} FROM subjects WHERE username = :username"  # noqa: S608  columns are ours
)
_CREDENTIALS_OF = Statement(
    f"SELECT password_hash, {_COLUMNS} FROM subjects WHERE id = :id"  # noqa: S608  columns are ours
)
_USERNAME = Statement("SELECT username FROM subjects WHERE id = :id")
_DISABLE = Statement(
    "UPDATE subjects SET disabled_at = :now, epoch = epoch + :step"
    " WHERE id = :id AND disabled_at IS NULL"
)
_ENABLE = Statement(
    "UPDATE subjects SET disabled_at = NULL, epoch = epoch + :step"
    " WHERE id = :id AND disabled_at IS NOT NULL"
)
_SET_PASSWORD = Statement(
    "UPDATE subjects SET password_hash = :hash, must_change_password = :must_change,"
    " password_changed_at = :now, epoch = epoch + :step WHERE id = :id"
)
_REHASH = Statement(
    "UPDATE subjects SET password_hash = :hash WHERE id = :id AND password_hash = :expected"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A person with the hash that their password is checked against."""

    subject: Subject
    password_hash: str = field(repr=False)


def create(tx: Transaction, subject: Subject, *, password_hash: str) -> None:
    """Keep a new person; Conflict if the username is taken."""
    if find(tx, subject.username) is not None:
        raise Conflict(f"user {subject.username!r} exists already")
    tx.orm.add(
        SubjectRow(
            id=subject.id,
            username=subject.username,
            name=subject.name,
            email=subject.email,
            password_hash=password_hash,
            must_change_password=subject.must_change_password,
            groups=sorted(subject.groups),
            break_glass=subject.break_glass,
            epoch=subject.epoch,
            created_at=subject.created_at,
            password_changed_at=subject.password_changed_at,
        )
    )
    try:
        tx.flush()
    except sa.exc.IntegrityError as error:
        # Two administrators at the same moment: the unique key is the verdict.
        raise Conflict(f"user {subject.username!r} exists already") from error


def find(tx: Transaction, username: str) -> Subject | None:
    """Return the person of this username, already normalised, or None."""
    found = find_credentials(tx, username)
    return None if found is None else found.subject


def find_credentials(tx: Transaction, username: str) -> Credentials | None:
    """Return what sign-in needs of the person of this username, already normalised, or None."""
    row = tx.one(_CREDENTIALS, {"username": username})
    return None if row is None else Credentials(_subject(row[1:]), row[0])


def credentials(tx: Transaction, subject_id: SubjectId) -> Credentials:
    """Return a person with their password hash; NotFound if there is none."""
    row = tx.one(_CREDENTIALS_OF, {"id": subject_id})
    if row is None:
        raise NotFound("user", subject_id)
    return Credentials(_subject(row[1:]), row[0])


def get(tx: Transaction, subject_id: SubjectId) -> Subject:
    """Return a person; NotFound if there is none."""
    return credentials(tx, subject_id).subject


def usernames(tx: Transaction, ids: Iterable[SubjectId]) -> dict[SubjectId, str]:
    """Return the usernames of these people; whoever was erased stays out."""
    rows = ((each, tx.one(_USERNAME, {"id": each})) for each in ids)
    return {each: row[0] for each, row in rows if row is not None}


def get_locked(tx: Transaction, subject_id: SubjectId) -> Subject:
    """Return a person whom nobody else changes before this transaction ends; NotFound if none."""
    return _from_orm(_row(tx, subject_id))


def list_all(tx: Transaction) -> list[Subject]:
    """Return every person by username, disabled ones included."""
    rows = tx.orm.scalars(sa.select(SubjectRow).order_by(SubjectRow.username))
    return [_from_orm(row) for row in rows]


def list_break_glass(tx: Transaction) -> list[Subject]:
    """Return the people whom an evaluation error does not stop."""
    chosen = sa.select(SubjectRow).where(SubjectRow.break_glass).order_by(SubjectRow.username)
    return [_from_orm(row) for row in tx.orm.scalars(chosen)]


def set_groups(tx: Transaction, subject_id: SubjectId, groups: frozenset[str]) -> bool:
    """Put a person into exactly these groups; False if nothing changed."""
    row = _row(tx, subject_id)
    if frozenset(row.groups) == groups:
        return False
    row.groups = sorted(groups)
    row.epoch += new_step()
    tx.flush()
    return True


def set_break_glass(tx: Transaction, subject_id: SubjectId, *, flagged: bool) -> bool:
    """Set whether an evaluation error lets this person through; False if nothing changed."""
    row = _row(tx, subject_id)
    if row.break_glass == flagged:
        return False
    row.break_glass = flagged
    row.epoch += new_step()
    tx.flush()
    return True


def disable(tx: Transaction, subject_id: SubjectId, *, now: datetime) -> bool:
    """Shut an account from `now` (UTC) on; False if it was shut."""
    return tx.run(_DISABLE, {"id": subject_id, "now": to_micros(now), "step": new_step()}) == 1


def enable(tx: Transaction, subject_id: SubjectId) -> bool:
    """Open an account again; False if it was open."""
    return tx.run(_ENABLE, {"id": subject_id, "step": new_step()}) == 1


def set_password(
    tx: Transaction, subject_id: SubjectId, password_hash: str, *, must_change: bool, now: datetime
) -> None:
    """Set a person's password hash; NotFound if there is no such person."""
    changed = tx.run(
        _SET_PASSWORD,
        {
            "id": subject_id,
            "hash": password_hash,
            "must_change": must_change,
            "now": to_micros(now),
            "step": new_step(),
        },
    )
    if not changed:
        raise NotFound("user", subject_id)


def rehash(tx: Transaction, before: Credentials, password_hash: str) -> bool:
    """Keep the same password under newer parameters; False if it was changed meanwhile."""
    row = {
        "id": before.subject.id,
        "hash": password_hash,
        "expected": before.password_hash,
    }
    return tx.run(_REHASH, row) == 1


def _row(tx: Transaction, subject_id: SubjectId) -> SubjectRow:
    # Locked, and read anew: driver statements of this transaction may have changed it.
    chosen = sa.select(SubjectRow).where(SubjectRow.id == subject_id).with_for_update()
    row = tx.orm.scalars(chosen, execution_options={"populate_existing": True}).one_or_none()
    if row is None:
        raise NotFound("user", subject_id)
    return row


def _from_orm(row: SubjectRow) -> Subject:
    return Subject(
        id=SubjectId(row.id),
        username=row.username,
        name=row.name,
        email=row.email,
        groups=frozenset(row.groups),
        break_glass=row.break_glass,
        must_change_password=row.must_change_password,
        has_factor=row.totp_confirmed_at is not None,
        epoch=row.epoch,
        created_at=row.created_at,
        password_changed_at=row.password_changed_at,
        disabled_at=row.disabled_at,
    )


def _subject(row: Sequence[Any]) -> Subject:
    return Subject(
        id=SubjectId(row[0]),
        username=row[1],
        name=row[2],
        email=row[3],
        groups=frozenset(orjson.loads(row[4])),
        break_glass=bool(row[5]),
        must_change_password=bool(row[6]),
        has_factor=row[7] is not None,
        epoch=row[8],
        created_at=from_micros(row[9]),
        password_changed_at=from_micros(row[10]),
        disabled_at=from_micros_or_none(row[11]),
    )
