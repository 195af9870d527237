"""Second factors: a TOTP secret (sealed) and recovery codes (digests), each use counted once.

Every single-use rule here is one conditional UPDATE whose row count is the verdict.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from pdp.clock import new_step
from pdp.domain.ids import SubjectId
from pdp.store.base import to_micros
from pdp.store.database import Statement, Transaction

_READ = Statement(
    "SELECT totp_secret, totp_pending_secret, totp_confirmed_at, disabled_at FROM subjects"
    " WHERE id = :id"
)
_BEGIN = Statement("UPDATE subjects SET totp_pending_secret = :sealed WHERE id = :id")
_CONFIRM = Statement(
    "UPDATE subjects SET totp_secret = :sealed, totp_confirmed_at = :now, totp_last_step = :step,"
    " totp_pending_secret = NULL WHERE id = :id AND totp_pending_secret = :pending"
)
_SPEND_STEP = Statement(
    "UPDATE subjects SET totp_last_step = :step WHERE id = :id AND totp_secret = :sealed"
    " AND totp_confirmed_at IS NOT NULL AND disabled_at IS NULL"
    " AND (totp_last_step IS NULL OR totp_last_step < :step)"
)
_REMOVE = Statement(
    "UPDATE subjects SET totp_secret = NULL, totp_pending_secret = NULL,"
    " totp_confirmed_at = NULL, totp_last_step = NULL, epoch = epoch + :raise"
    " WHERE id = :id AND (totp_secret IS NOT NULL OR totp_pending_secret IS NOT NULL)"
)
_ADD_CODE = Statement(
    "INSERT INTO recovery_codes (digest, subject_id, used_at) VALUES (:digest, :subject_id, NULL)"
)
_DROP_CODES = Statement("DELETE FROM recovery_codes WHERE subject_id = :subject_id")
_USE_CODE = Statement(
    "UPDATE recovery_codes SET used_at = :now WHERE digest = :digest AND subject_id = :subject_id"
    " AND used_at IS NULL AND EXISTS (SELECT 1 FROM subjects s WHERE s.id = :subject_id"
    " AND s.totp_confirmed_at IS NOT NULL AND s.disabled_at IS NULL)"
)
_COUNT_CODES = Statement(
    "SELECT COUNT(*) FROM recovery_codes WHERE subject_id = :subject_id AND used_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Factor:
    """The sealed secrets of a person: the confirmed one, and one being enrolled."""

    sealed: str | None = field(repr=False)
    pending: str | None = field(repr=False)


def read(tx: Transaction, subject_id: SubjectId) -> Factor | None:
    """Return a person's factor; None if there is no such person, or the account is shut."""
    row = tx.one(_READ, {"id": subject_id})
    if row is None or row[3] is not None:
        return None
    return Factor(sealed=None if row[2] is None else row[0], pending=row[1])


def begin(tx: Transaction, subject_id: SubjectId, *, sealed: str) -> bool:
    """Keep a secret that is not confirmed yet; the confirmed one goes on counting."""
    return tx.run(_BEGIN, {"id": subject_id, "sealed": sealed}) == 1


def confirm(
    tx: Transaction, subject_id: SubjectId, *, pending: str, sealed: str, step: int, now: datetime
) -> bool:
    """Make the pending secret the factor, its first step spent; False if it is pending no more."""
    changed = tx.run(
        _CONFIRM,
        {
            "id": subject_id,
            "pending": pending,
            "sealed": sealed,
            "step": step,
            "now": to_micros(now),
        },
    )
    return changed == 1


def spend_step(tx: Transaction, subject_id: SubjectId, *, sealed: str, step: int) -> bool:
    """Use up the code of one 30-second step; False if it, or a later one, was used before."""
    return tx.run(_SPEND_STEP, {"id": subject_id, "sealed": sealed, "step": step}) == 1


def remove(tx: Transaction, subject_id: SubjectId) -> bool:
    """Take a person's factor and recovery codes away; False if there was none."""
    was_there = tx.run(_REMOVE, {"id": subject_id, "raise": new_step()}) == 1
    tx.run(_DROP_CODES, {"subject_id": subject_id})
    return was_there


def replace_codes(tx: Transaction, subject_id: SubjectId, digests: Iterable[str]) -> None:
    """Let exactly these recovery codes count from now on."""
    tx.run(_DROP_CODES, {"subject_id": subject_id})
    for digest in digests:
        tx.run(_ADD_CODE, {"digest": digest, "subject_id": subject_id})


def use_code(tx: Transaction, subject_id: SubjectId, digest: str, *, now: datetime) -> bool:
    """Use a recovery code up; False if it is none of this person's, or was used."""
    changed = tx.run(_USE_CODE, {"digest": digest, "subject_id": subject_id, "now": to_micros(now)})
    return changed == 1


def count_codes(tx: Transaction, subject_id: SubjectId) -> int:
    """Return how many recovery codes a person has left."""
    row = tx.one(_COUNT_CODES, {"subject_id": subject_id})
    return 0 if row is None else int(row[0])
