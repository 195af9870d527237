"""The audit record as people read it: the newest first, filtered by what it is about."""

from collections.abc import Sequence
from typing import Any

import orjson

from pdp.domain.events import Action, Event
from pdp.store.base import from_micros
from pdp.store.database import Statement, Transaction, Value
from pdp.store.period import EVER, Period

_RECENT = Statement(
    "SELECT at, actor, action, kind, object_id, detail FROM audit_events"
    " WHERE (:kind = '' OR kind = :kind) AND (:object_id = '' OR object_id = :object_id)"
    " AND (:actor = '' OR actor = :actor)"
    " AND at >= :since AND at < :until ORDER BY at DESC, id DESC LIMIT :count"
)


def recent(
    tx: Transaction,
    *,
    kind: str = "",
    object_id: str = "",
    actor: str = "",
    period: Period = EVER,
    count: int = 50,
) -> list[Event]:
    """Return the newest events, filtered where a filter is given."""
    filters: dict[str, Value] = {
        "kind": kind,
        "object_id": object_id,
        "actor": actor,
        "count": count,
        **period.bounds(),
    }
    return [_event(row) for row in tx.all(_RECENT, filters)]


def _event(row: Sequence[Any]) -> Event:
    return Event(
        at=from_micros(row[0]),
        actor=row[1],
        action=Action(row[2]),
        kind=row[3],
        object_id=row[4],
        detail=orjson.loads(row[5]),
    )
