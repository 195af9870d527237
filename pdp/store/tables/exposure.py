"""Exposure windows: from a change of a device to the last consequence, for each live grant."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from pdp.store.base import Base, Instant


class ExposureRow(Base):
    """What one change of a device meant for one grant that lived when it was committed.

    t0 `event_time` at the source, t1 `received_at`, t2 `committed_at`, t3 `denied_at` (the first
    decision here that denied the grant's session to its client, or the carrying out of the change,
    whichever came first), t4 `sent_at` to the receiver, t5 `acknowledged_at` by it.
    """

    __tablename__ = "exposures"
    __table_args__ = (
        Index("ix_exposures_session_id", "session_id"),
        Index("ix_exposures_device_id_committed_at", "device_id", "committed_at"),
        Index("ix_exposures_committed_at", "committed_at"),
    )

    grant_id: Mapped[str] = mapped_column(ForeignKey("grants.id"), primary_key=True)
    committed_at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"))
    session_id: Mapped[str] = mapped_column(String(64))
    client_id: Mapped[str] = mapped_column(String(64))
    # Empty where no source spoke: an administrator or the clock changed the device.
    source_id: Mapped[str] = mapped_column(String(64), default="")
    signal_id: Mapped[str] = mapped_column(String(256), default="")
    event_time: Mapped[datetime] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)
    denied_at: Mapped[datetime | None] = mapped_column(Instant)
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    acknowledged_at: Mapped[datetime | None] = mapped_column(Instant)
