"""A source's deliveries are refused, or taken again, at an operator's word."""

from datetime import datetime

from pdp.domain.errors import NotFound
from pdp.domain.events import Action, Event
from pdp.domain.ids import SourceId
from pdp.store import audit, sources
from pdp.store.database import Transaction
from pdp.store.envelope import Envelope


def disable_source(
    tx: Transaction, envelope: Envelope, source_id: SourceId, *, actor: str, now: datetime
) -> bool:
    """Refuse a source's deliveries; False if it was disabled, NotFound if there is none.

    What it said stays, and grows stale like everything that nobody confirms.
    """
    if not _is_enabled(tx, envelope, source_id):
        return False
    sources.set_disabled(tx, source_id, now)
    _tell(tx, Action.SOURCE_DISABLED, source_id, actor=actor, now=now)
    return True


def enable_source(
    tx: Transaction, envelope: Envelope, source_id: SourceId, *, actor: str, now: datetime
) -> bool:
    """Take a source's deliveries again; False if it was enabled, NotFound if there is none."""
    if _is_enabled(tx, envelope, source_id):
        return False
    sources.set_disabled(tx, source_id, None)
    _tell(tx, Action.SOURCE_ENABLED, source_id, actor=actor, now=now)
    return True


def _is_enabled(tx: Transaction, envelope: Envelope, source_id: SourceId) -> bool:
    source = sources.load_all(tx, envelope).get(source_id)
    if source is None:
        raise NotFound("source", source_id)
    return source.enabled


def _tell(
    tx: Transaction, action: Action, source_id: SourceId, *, actor: str, now: datetime
) -> None:
    audit.append(tx, Event(at=now, actor=actor, action=action, kind="source", object_id=source_id))
