"""The record: decisions and administrative events, append-only."""

from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pdp.store.base import Base, Instant, Json


class DecisionRow(Base):
    """One decision: the facts it saw (by pseudonymous ids), what came out, and which policies."""

    __tablename__ = "decisions"
    __table_args__ = (
        Index("ix_decisions_subject_id_at", "subject_id", "at"),
        Index("ix_decisions_device_id_at", "device_id", "at"),
        Index("ix_decisions_at", "at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    channel: Mapped[str] = mapped_column(String(32))
    client_id: Mapped[str] = mapped_column(String(64))
    subject_id: Mapped[str | None] = mapped_column(String(64))
    device_id: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16))
    reasons: Mapped[str] = mapped_column(Text)
    matched: Mapped[str] = mapped_column(Text)
    report_only: Mapped[object | None] = mapped_column(Json)
    facts: Mapped[object] = mapped_column(Json)
    policy_version: Mapped[str] = mapped_column(String(80))
    # How many equal answers this row stands for: an unchanged allow is counted, not repeated.
    repeats: Mapped[int] = mapped_column(default=1)


class AuditEventRow(Base):
    """Who did what to which object, and when."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_kind_object_id_at", "kind", "object_id", "at"),
        Index("ix_audit_events_at", "at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(String(512))
    detail: Mapped[object] = mapped_column(Json)
