"""Policy and compliance documents: every version is kept, one of each kind is in force."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from pdp.domain.errors import NotFound
from pdp.store import generations
from pdp.store.database import Transaction
from pdp.store.tables.document import ActiveDocumentRow, DocumentRow


class DocumentKind(StrEnum):
    """What a document decides."""

    POLICIES = "policies"
    COMPLIANCE = "compliance"


def active(tx: Transaction, kind: DocumentKind) -> tuple[str, str] | None:
    """Return version and text of the document in force, or None before the first."""
    row = tx.orm.execute(
        sa.select(DocumentRow.version, DocumentRow.text)
        .join(
            ActiveDocumentRow,
            sa.and_(
                ActiveDocumentRow.kind == DocumentRow.kind,
                ActiveDocumentRow.version == DocumentRow.version,
            ),
        )
        .where(DocumentRow.kind == kind.value)
    ).one_or_none()
    return (row[0], row[1]) if row is not None else None


def activate(
    tx: Transaction, kind: DocumentKind, version: str, text: str, *, now: datetime
) -> None:
    """Keep a document under the version its content names, and put it in force."""
    if tx.orm.get(DocumentRow, (kind.value, version)) is None:
        tx.orm.add(DocumentRow(kind=kind.value, version=version, text=text, created_at=now))
    current = tx.orm.get(ActiveDocumentRow, kind.value)
    if current is None:
        tx.orm.add(ActiveDocumentRow(kind=kind.value, version=version, activated_at=now))
    else:
        current.version = version
        current.activated_at = now
    generations.advance(tx)


def text_of(tx: Transaction, kind: DocumentKind, version: str) -> str:
    """Return the text of one version; NotFound if it was never in force."""
    row = tx.orm.get(DocumentRow, (kind.value, version))
    if row is None:
        raise NotFound(f"{kind.value} document", version)
    return row.text


def versions(tx: Transaction, kind: DocumentKind) -> list[tuple[str, datetime]]:
    """Return every version and when it was first put in force, the newest first."""
    rows = tx.orm.execute(
        sa.select(DocumentRow.version, DocumentRow.created_at)
        .where(DocumentRow.kind == kind.value)
        .order_by(DocumentRow.created_at.desc())
    )
    return [(row[0], row[1]) for row in rows]
