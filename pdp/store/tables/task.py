"""Security tasks."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pdp.store.base import Base, Instant


class TaskRow(Base):
    """A finding on a device that asks for action; reopened, never duplicated, on relapse."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("device_id", "rule", "source_id", "attribute"),
        Index("ix_tasks_state_device_id", "state", "device_id"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    code: Mapped[str] = mapped_column(String(16), unique=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"))
    rule: Mapped[str] = mapped_column(String(128))
    # Empty, not null, where no source speaks: null would escape the unique key.
    source_id: Mapped[str] = mapped_column(String(64), default="")
    attribute: Mapped[str] = mapped_column(String(512), default="")
    title: Mapped[str] = mapped_column(Text, default="")
    category: Mapped[str] = mapped_column(String(128), default="")
    state: Mapped[str] = mapped_column(String(16))
    opened_at: Mapped[datetime] = mapped_column(Instant)
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
    waived_until: Mapped[datetime | None] = mapped_column(Instant)
