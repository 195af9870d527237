"""People: their accounts, factors and browser sessions."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pdp.store.base import Base, Instant, Json


class SubjectRow(Base):
    """A person with a local account. `epoch` counts changes that decisions depend on."""

    __tablename__ = "subjects"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    username: Mapped[str] = mapped_column(String(256), unique=True)
    name: Mapped[str] = mapped_column(String(256), default="")
    email: Mapped[str] = mapped_column(String(320), default="")
    password_hash: Mapped[str] = mapped_column(Text)
    must_change_password: Mapped[bool] = mapped_column(default=False)
    groups: Mapped[list[str]] = mapped_column(Json, default=list)
    break_glass: Mapped[bool] = mapped_column(default=False)
    epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    totp_secret: Mapped[str | None] = mapped_column(Text)
    # A secret being enrolled: the confirmed one counts until a right code confirms this one.
    totp_pending_secret: Mapped[str | None] = mapped_column(Text)
    totp_confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    totp_last_step: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(Instant)
    password_changed_at: Mapped[datetime] = mapped_column(Instant)
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)


class RecoveryCodeRow(Base):
    """A one-time code for a person who lost the second factor; only its digest is kept."""

    __tablename__ = "recovery_codes"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subjects.id"), index=True)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class SessionRow(Base):
    """A browser session: `id` is the `sid` of tokens, `cookie_digest` stands for the cookie."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    cookie_digest: Mapped[str] = mapped_column(String(64), unique=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subjects.id"), index=True)
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"), index=True)
    strength: Mapped[str] = mapped_column(String(16))
    acr: Mapped[str] = mapped_column(String(64))
    amr: Mapped[list[str]] = mapped_column(Json)
    address: Mapped[str | None] = mapped_column(String(64))
    auth_time: Mapped[datetime] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    idle_expires_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    end_reason: Mapped[str | None] = mapped_column(String(32))


class SingleUseRow(Base):
    """Something that counts once: a `jti`, a nonce, a TOTP step. The unique key is the verdict."""

    __tablename__ = "single_use"
    __table_args__ = (Index("ix_single_use_expires_at", "expires_at"),)

    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(512), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(Instant)
