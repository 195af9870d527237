"""The audit record as people read it: the newest first, filtered by what it is about."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson

from pdp.domain.events import Action, Event
from pdp.store.base import from_micros
from pdp.store.database import Statement, Transaction, Value
from pdp.store.period import EVER, Period


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
    asked = (("kind", kind), ("object_id", object_id), ("actor", actor))
    given: dict[str, Value] = {name: value for name, value in asked if value}
    rows = tx.all(_recent(tuple(given)), {**given, **period.bounds(), "count": count})
    return [_event(row) for row in rows]


@cache
def _recent(columns: tuple[str, ...]) -> Statement:
    """Return the statement that filters by these columns, and names no other: for the index."""
    equal = "".join(f" AND {column} = :{column}" for column in columns)
    return Statement(
        "SELECT at, actor, action, kind, object_id, detail FROM audit_events"  # noqa: S608  columns are ours
        f" WHERE at >= :since AND at < :until{equal} ORDER BY at DESC, id DESC LIMIT :count"
    )


def _event(row: Sequence[Any]) -> Event:
    return Event(
        at=from_micros(row[0]),
        actor=row[1],
        action=Action(row[2]),
        kind=row[3],
        object_id=row[4],
        detail=orjson.loads(row[5]),
    )
