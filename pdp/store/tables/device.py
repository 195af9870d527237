"""Devices, their names and keys, and the signals that speak of them."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from pdp.store.base import Base, Instant, Json


class DeviceRow(Base):
    """A device: one row holds all that a decision needs, written with the signal that changed it.

    `status`, `risk`, `causes` and `valid_until` are the assessment under rules `assessed_with`;
    a row assessed with other rules, or past `valid_until`, is assessed again when it is read.
    """

    __tablename__ = "devices"
    __table_args__ = (Index("ix_devices_valid_until", "valid_until"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("subjects.id"), index=True)
    shared: Mapped[bool] = mapped_column(default=False)
    display_name: Mapped[str] = mapped_column(String(256), default="")
    platform: Mapped[str | None] = mapped_column(String(32))
    os_version: Mapped[str | None] = mapped_column(String(64))
    readings: Mapped[object] = mapped_column(Json)
    block: Mapped[object | None] = mapped_column(Json)
    override: Mapped[object | None] = mapped_column(Json)
    status: Mapped[str] = mapped_column(String(16))
    risk: Mapped[str] = mapped_column(String(16))
    causes: Mapped[object] = mapped_column(Json)
    valid_until: Mapped[datetime | None] = mapped_column(Instant)
    assessed_with: Mapped[str] = mapped_column(String(80))
    epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class DeviceNameRow(Base):
    """One name by which sources know a device; a host name that several bear names none (null)."""

    __tablename__ = "device_names"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    value: Mapped[str] = mapped_column(String(256), primary_key=True)
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"), index=True)


class DeviceKeyRow(Base):
    """What a device proves itself with: an assertion key, a certificate, or a weak cookie."""

    __tablename__ = "device_keys"

    thumbprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"), index=True)
    method: Mapped[str] = mapped_column(String(32))
    jwk: Mapped[object | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


class EnrolmentTokenRow(Base):
    """A token that enrols one device for one person, once; only its digest is kept."""

    __tablename__ = "enrolment_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subjects.id"))
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class SourceRow(Base):
    """A configured signal source; its secrets are encrypted, the newest first."""

    __tablename__ = "sources"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    adapter: Mapped[str] = mapped_column(String(32))
    secrets: Mapped[object] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Instant)
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)


class DeliveryRow(Base):
    """One delivery of a source: the same id with the same body is a repetition, else a conflict."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_source_id_received_at", "source_id", "received_at"),)

    source_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(Instant)


class SignalRow(Base):
    """One signal, kept as history; its key makes it count once."""

    __tablename__ = "signals"
    __table_args__ = (Index("ix_signals_device_id_event_time", "device_id", "event_time"),)

    source_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    signal_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"))
    result: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    document: Mapped[object] = mapped_column(Json)
    event_time: Mapped[datetime] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)
