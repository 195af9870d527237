"""Signal sources are set up, given new secrets, and shut by an operator."""

import re
from datetime import datetime
from typing import Final

from pdp.domain.errors import DomainError
from pdp.domain.events import Action, Event
from pdp.domain.ids import SourceId
from pdp.sources import SOURCES
from pdp.store import audit, sources
from pdp.store.database import Transaction
from pdp.store.envelope import Envelope

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class BadSource(DomainError):
    """A source cannot be set up like this; the text says what to change."""


def add_source(
    tx: Transaction,
    envelope: Envelope,
    source_id: SourceId,
    *,
    adapter: str,
    secret: str,
    actor: str,
    now: datetime,
) -> None:
    """Set up a source whose deliveries `secret` (`whsec_…`) signs.

    Raises BadSource for an id that is no path segment or an adapter that does not exist,
    Conflict if the id is taken.
    """
    if not _ID.fullmatch(source_id):
        raise BadSource(f"source id {source_id!r}: use a-z, 0-9 and -, at most 63 characters")
    if adapter not in SOURCES:
        raise BadSource(f"adapter {adapter!r}: use one of {', '.join(sorted(SOURCES))}")
    sources.add(tx, envelope, source_id, adapter=adapter, secret=secret, now=now)
    _tell(tx, source_id, Action.SOURCE_CREATED, {"adapter": adapter}, actor=actor, now=now)


def rotate_source_secret(
    tx: Transaction,
    envelope: Envelope,
    source_id: SourceId,
    *,
    secret: str,
    old_expires_at: datetime,
    actor: str,
    now: datetime,
) -> None:
    """Give a source a new secret; the present one verifies until `old_expires_at` (UTC).

    Raises NotFound if there is no such source.
    """
    sources.rotate_secret(
        tx, envelope, source_id, secret=secret, old_expires_at=old_expires_at, now=now
    )
    detail: dict[str, object] = {"old_expires_at": old_expires_at.isoformat()}
    _tell(tx, source_id, Action.SOURCE_SECRET_ROTATED, detail, actor=actor, now=now)


def _tell(
    tx: Transaction,
    source_id: SourceId,
    action: Action,
    detail: dict[str, object],
    *,
    actor: str,
    now: datetime,
) -> None:
    audit.append(
        tx,
        Event(
            at=now, actor=actor, action=action, kind="source", object_id=source_id, detail=detail
        ),
    )
