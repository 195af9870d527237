"""Refresh rotation: the old token used up, the new one kept, the decision recorded, at once.

One statement on PostgreSQL, where each costs a round trip; three on SQLite, which knows no
changes inside a query. Both change nothing unless the token is unused and the decision stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pdp.store import decisions
from pdp.store.base import to_micros
from pdp.store.database import Statement, Transaction, Value
from pdp.store.standings import STANDS, stands_on
from pdp.store.tokens import RefreshToken, digest, insert_refresh

_USE_UP: Final = (
    "UPDATE refresh_tokens SET consumed_at = :now"  # noqa: S608  text is ours
    f" WHERE digest = :used AND consumed_at IS NULL AND {STANDS}"
)
_CONSUME = Statement(_USE_UP)
_ROTATE = Statement(
    f"WITH used AS ({_USE_UP} RETURNING grant_id), fresh AS ("  # noqa: S608  text is ours
    "INSERT INTO refresh_tokens (digest, grant_id, generation, issued_at, expires_at)"
    " SELECT :fresh, grant_id, :rotation, :now, :expires_at FROM used), recorded AS ("
    f"INSERT INTO decisions ({decisions.COLUMNS}) SELECT {decisions.VALUES} FROM used)"
    " SELECT 1 FROM used"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A refresh that was decided and is about to happen. Instants are UTC."""

    used: RefreshToken
    fresh: str
    expires_at: datetime
    record: Mapping[str, Value]
    config: int
    now: datetime


def rotate(tx: Transaction, rotation: Rotation) -> bool:
    """Rotate (RFC 9700 §4.14.2); False, and nothing changed, if another request was faster.

    False too if the person, the device, the grant or the configuration moved meanwhile.
    """
    used = rotation.used
    parameters = {
        **stands_on(used.held, generation=rotation.config),
        "used": used.digest,
        "now": to_micros(rotation.now),
    }
    if not tx.is_sqlite:
        fresh: dict[str, Value] = {
            "fresh": digest(rotation.fresh),
            "rotation": used.generation + 1,
            "expires_at": to_micros(rotation.expires_at),
        }
        return tx.one(_ROTATE, {**parameters, **fresh, **rotation.record}) is not None
    if tx.run(_CONSUME, parameters) == 0:
        return False
    insert_refresh(
        tx,
        rotation.fresh,
        used.held.grant.id,
        generation=used.generation + 1,
        now=rotation.now,
        expires_at=rotation.expires_at,
    )
    decisions.append(tx, rotation.record)
    return True
