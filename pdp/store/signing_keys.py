"""Signing keys: private halves encrypted at rest, public halves as published."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from pdp.domain.errors import Conflict, NotFound
from pdp.store import generations
from pdp.store.database import Transaction
from pdp.store.envelope import Envelope, key_id_of
from pdp.store.tables.oidc import SigningKeyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key pair as JWK text (private) and JWK members (public)."""

    kid: str
    alg: str
    private: str
    public: dict[str, object]
    created_at: datetime
    signs_from: datetime
    retired_at: datetime | None = None


def add(tx: Transaction, envelope: Envelope, key: StoredKey) -> None:
    """Keep a key; it verifies at once and signs from `signs_from` (UTC) on."""
    tx.orm.add(
        SigningKeyRow(
            kid=key.kid,
            alg=key.alg,
            private=envelope.seal(key.private, place=_place(key.kid)),
            public=key.public,
            created_at=key.created_at,
            signs_from=key.signs_from,
            retired_at=key.retired_at,
        )
    )
    generations.advance(tx)


def load_all(tx: Transaction, envelope: Envelope) -> tuple[StoredKey, ...]:
    """Return every key that is not retired; CannotOpen if the master key is another."""
    rows = tx.orm.scalars(
        sa.select(SigningKeyRow)
        .where(SigningKeyRow.retired_at.is_(None))
        .order_by(SigningKeyRow.signs_from)
    )
    return tuple(
        StoredKey(
            kid=row.kid,
            alg=row.alg,
            private=envelope.open(row.private, place=_place(row.kid)),
            public=dict(row.public) if isinstance(row.public, dict) else {},
            created_at=row.created_at,
            signs_from=row.signs_from,
        )
        for row in rows
    )


def list_all(tx: Transaction) -> list[tuple[str, str, datetime, datetime, datetime | None]]:
    """Return kid, algorithm, creation, start of signing and retirement of every key."""
    rows = tx.orm.scalars(sa.select(SigningKeyRow).order_by(SigningKeyRow.created_at))
    return [(row.kid, row.alg, row.created_at, row.signs_from, row.retired_at) for row in rows]


def sealed_by(tx: Transaction) -> frozenset[str]:
    """Return the ids of the master keys that private halves are encrypted with."""
    sealed = tx.orm.scalars(sa.select(SigningKeyRow.private).where(SigningKeyRow.private != ""))
    return frozenset(key_id_of(each) for each in sealed)


def retire(tx: Transaction, kid: str, *, now: datetime) -> None:
    """Stop publishing and accepting a key; NotFound or Conflict if there is none to retire."""
    row = tx.orm.get(SigningKeyRow, kid)
    if row is None:
        raise NotFound("key", kid)
    if row.retired_at is not None:
        raise Conflict(f"key {kid!r} is retired already")
    row.retired_at = now
    # The private half has no use any more: what is not kept cannot leak.
    row.private = ""
    generations.advance(tx)


def _place(kid: str) -> str:
    return f"signing_keys:private:{kid}"
