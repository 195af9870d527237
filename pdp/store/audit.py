"""The audit record: one row for each administrative change, in the change's own transaction."""

from pdp.clock import new_row_id
from pdp.domain.events import Event
from pdp.store.base import to_json, to_micros
from pdp.store.database import Statement, Transaction

_INSERT = Statement(
    "INSERT INTO audit_events (id, at, actor, action, kind, object_id, detail)"
    " VALUES (:id, :at, :actor, :action, :kind, :object_id, :detail)"
)


def append(tx: Transaction, event: Event) -> None:
    """Record `event`; it stands or falls with the change that it tells of."""
    tx.run(
        _INSERT,
        {
            "id": new_row_id("evt"),
            "at": to_micros(event.at),
            "actor": event.actor,
            "action": event.action.value,
            "kind": event.kind,
            "object_id": event.object_id,
            "detail": to_json(event.detail),
        },
    )
