"""Policy and compliance documents, and the counter that tells processes that they changed."""

from datetime import datetime

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pdp.store.base import Base, Instant


class DocumentRow(Base):
    """One version of a document, named by its content."""

    __tablename__ = "documents"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    version: Mapped[str] = mapped_column(String(80), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class ActiveDocumentRow(Base):
    """Which version of each kind is in force."""

    __tablename__ = "active_documents"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    version: Mapped[str] = mapped_column(String(80))
    activated_at: Mapped[datetime] = mapped_column(Instant)


class GenerationRow(Base):
    """Counts changes of what processes keep in memory: clients, keys, documents, sources."""

    __tablename__ = "generations"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
