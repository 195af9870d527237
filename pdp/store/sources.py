"""Configured sources: who may send signals, with which adapter, signed with which secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from pdp.domain.errors import Conflict, NotFound
from pdp.domain.ids import SourceId
from pdp.store import generations
from pdp.store.base import from_micros, from_micros_or_none, to_micros
from pdp.store.database import Row, Statement, Transaction
from pdp.store.envelope import CannotOpen, Envelope
from pdp.store.tables.device import SourceRow

_ALL: Final = Statement("SELECT id, adapter, secrets, disabled_at FROM sources ORDER BY id")
#: A new secret, and the one before it for as long as senders need.
_RING: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSecret:
    """A secret of a source; it verifies until `expires_at` (UTC), if that is set."""

    value: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredSource:
    """A source that an operator set up; `adapter` is a kind in `pdp.sources.SOURCES`.

    With a `problem` its row cannot be read: it has no secrets then, and nothing of it counts.
    """

    id: SourceId
    adapter: str
    secrets: tuple[SourceSecret, ...]
    enabled: bool = True
    problem: str | None = None

    def ring(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that verify at `now`, the newest first."""
        return tuple(
            secret.value
            for secret in self.secrets
            if secret.expires_at is None or now < secret.expires_at
        )


def load_all(tx: Transaction, envelope: Envelope) -> dict[SourceId, ConfiguredSource]:
    """Return every source by id, disabled ones included.

    Each is read by itself: one that cannot be read shuts no other out.
    """
    return {SourceId(row[0]): _source(row, envelope) for row in tx.all(_ALL, {})}


def add(
    tx: Transaction,
    envelope: Envelope,
    source_id: SourceId,
    *,
    adapter: str,
    secret: str,
    now: datetime,
) -> None:
    """Set up a source; Conflict if its id is taken."""
    if tx.orm.get(SourceRow, source_id) is not None:
        raise Conflict(f"source {source_id!r} exists already")
    tx.orm.add(
        SourceRow(
            id=source_id,
            adapter=adapter,
            secrets=[_sealed(envelope, source_id, secret, now)],
            created_at=now,
        )
    )
    generations.advance(tx)


def rotate_secret(
    tx: Transaction,
    envelope: Envelope,
    source_id: SourceId,
    *,
    secret: str,
    old_expires_at: datetime,
    now: datetime,
) -> None:
    """Give a source a new secret; the present one verifies until `old_expires_at` (UTC).

    NotFound if there is no such source. An older one than the present ends at once.
    """
    row = _row(tx, source_id)
    previous = [
        old for old in _stored_secrets(row)[: _RING - 1] if _opens(envelope, source_id, old)
    ]
    ends = to_micros(old_expires_at)
    row.secrets = [
        _sealed(envelope, source_id, secret, now),
        *({**old, "expires_at": min(ends, old["expires_at"] or ends)} for old in previous),
    ]
    generations.advance(tx)


def set_disabled(tx: Transaction, source_id: SourceId, at: datetime | None) -> None:
    """Disable a source from `at` on, or enable it again with None; NotFound if there is none."""
    _row(tx, source_id).disabled_at = at
    generations.advance(tx)


def _row(tx: Transaction, source_id: SourceId) -> SourceRow:
    row = tx.orm.get(SourceRow, source_id)
    if row is None:
        raise NotFound("source", source_id)
    return row


def _place(source_id: str) -> str:
    return f"sources:secrets:{source_id}"


def _sealed(envelope: Envelope, source_id: str, secret: str, now: datetime) -> dict[str, Any]:
    return {
        "sealed": envelope.seal(secret, place=_place(source_id)),
        "created_at": to_micros(now),
        "expires_at": None,
    }


def _stored_secrets(row: SourceRow) -> list[Mapping[str, Any]]:
    return row.secrets if isinstance(row.secrets, list) else []


def _opens(envelope: Envelope, source_id: str, stored: Mapping[str, Any]) -> bool:
    try:
        envelope.open(stored["sealed"], place=_place(source_id))
    except CannotOpen:
        return False
    return True


def _source(row: Row, envelope: Envelope) -> ConfiguredSource:
    source_id, adapter, stored, disabled_at = row
    secrets: tuple[SourceSecret, ...] = ()
    problem = None
    try:
        secrets = tuple(
            SourceSecret(
                value=envelope.open(secret["sealed"], place=_place(source_id)),
                created_at=from_micros(secret["created_at"]),
                expires_at=from_micros_or_none(secret["expires_at"]),
            )
            for secret in orjson.loads(stored)
        )
    except CannotOpen as error:
        problem = str(error)
    except (ValueError, TypeError, KeyError, AttributeError):
        problem = "its secrets cannot be read"
    return ConfiguredSource(
        id=SourceId(source_id),
        adapter=adapter,
        secrets=secrets,
        enabled=disabled_at is None,
        problem=problem,
    )
