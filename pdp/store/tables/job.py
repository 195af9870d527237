"""Jobs: what must follow a change, written in the change's own transaction."""

from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pdp.store.base import Base, Instant, Json


class JobRow(Base):
    """One thing to do at least once. A job that failed too often stays, as `dead`."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state_receiver_not_before", "state", "receiver", "not_before"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    type: Mapped[str] = mapped_column(String(64))
    receiver: Mapped[str] = mapped_column(String(64), server_default="")
    payload: Mapped[object] = mapped_column(Json)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    refusals: Mapped[int] = mapped_column(server_default="0")
    not_before: Mapped[datetime] = mapped_column(Instant)
    claimed_until: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_error: Mapped[str | None] = mapped_column(Text)
