"""What people agreed that third-party clients may have."""

from datetime import UTC, datetime
from typing import Final

from pdp.domain.ids import ClientId, SubjectId
from pdp.store.base import from_micros, to_micros
from pdp.store.database import Statement, Transaction

_FIND = Statement(
    "SELECT scope FROM consents WHERE subject_id = :subject_id AND client_id = :client_id"
    " AND granted_at >= :since"
)
_GIVE = Statement(
    "INSERT INTO consents (subject_id, client_id, scope, granted_at)"
    " VALUES (:subject_id, :client_id, :scope, :now)"
    " ON CONFLICT (subject_id, client_id) DO UPDATE"
    " SET scope = excluded.scope, granted_at = excluded.granted_at"
)
_WITHDRAW = Statement(
    "DELETE FROM consents WHERE subject_id = :subject_id AND client_id = :client_id"
)
_LIST = Statement(
    "SELECT client_id, scope, granted_at FROM consents"
    " WHERE subject_id = :subject_id ORDER BY client_id"
)

_EVER: Final = datetime.fromtimestamp(0, UTC)


def given(
    tx: Transaction, subject_id: SubjectId, client_id: ClientId, *, since: datetime = _EVER
) -> frozenset[str]:
    """Return the scopes that a person has agreed to for a client; none if last before `since`."""
    row = tx.one(
        _FIND, {"subject_id": subject_id, "client_id": client_id, "since": to_micros(since)}
    )
    return frozenset() if row is None else frozenset(row[0].split())


def give(
    tx: Transaction,
    subject_id: SubjectId,
    client_id: ClientId,
    scopes: frozenset[str],
    *,
    now: datetime,
) -> None:
    """Remember a person's consent; scopes agreed to before stay."""
    together = scopes | given(tx, subject_id, client_id)
    tx.run(
        _GIVE,
        {
            "subject_id": subject_id,
            "client_id": client_id,
            "scope": " ".join(sorted(together)),
            "now": to_micros(now),
        },
    )


def withdraw(tx: Transaction, subject_id: SubjectId, client_id: ClientId) -> bool:
    """Forget a consent; False if there was none."""
    return tx.run(_WITHDRAW, {"subject_id": subject_id, "client_id": client_id}) == 1


def list_given(
    tx: Transaction, subject_id: SubjectId
) -> list[tuple[ClientId, frozenset[str], datetime]]:
    """Return every client that a person has agreed to, with the scopes and since when (UTC)."""
    rows = tx.all(_LIST, {"subject_id": subject_id})
    return [(ClientId(row[0]), frozenset(row[1].split()), from_micros(row[2])) for row in rows]
