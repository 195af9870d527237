"""OpenID Connect: clients, resources, grants and their tokens, keys, waiting requests."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pdp.store.base import Base, Instant, Json


class ClientRow(Base):
    """A registered client; secrets are kept as keyed digests, the newest first."""

    __tablename__ = "clients"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(256))
    secrets: Mapped[object] = mapped_column(Json, default=list)
    auth_methods: Mapped[object] = mapped_column(Json)
    redirect_uris: Mapped[object] = mapped_column(Json, default=list)
    post_logout_redirect_uris: Mapped[object] = mapped_column(Json, default=list)
    grant_types: Mapped[object] = mapped_column(Json)
    scopes: Mapped[object] = mapped_column(Json)
    jwks: Mapped[object | None] = mapped_column(Json)
    pkce_required: Mapped[bool] = mapped_column(default=True)
    nonce_required: Mapped[bool] = mapped_column(default=False)
    id_token_alg: Mapped[str] = mapped_column(String(16), default="RS256")
    first_party: Mapped[bool] = mapped_column(default=True)
    backchannel_logout_uri: Mapped[str | None] = mapped_column(Text)
    initiate_login_uri: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)


class ResourceRow(Base):
    """An API: its identifier is the `aud` of tokens whose scopes belong to it.

    `client_id` is the client as which the API itself asks for introspection.
    """

    __tablename__ = "resources"

    identifier: Mapped[str] = mapped_column(String(512), primary_key=True)
    scopes: Mapped[object] = mapped_column(Json)
    access_token_alg: Mapped[str] = mapped_column(String(16), default="ES256")
    client_id: Mapped[str | None] = mapped_column(ForeignKey("clients.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)


class GrantRow(Base):
    """What a person gave to a client in one sign-in; every token hangs on it."""

    __tablename__ = "grants"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subjects.id"), index=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), index=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id"), index=True)
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"), index=True)
    strength: Mapped[str] = mapped_column(String(16))
    scope: Mapped[str] = mapped_column(Text)
    acr: Mapped[str] = mapped_column(String(64))
    amr: Mapped[list[str]] = mapped_column(Json)
    address: Mapped[str | None] = mapped_column(String(64))
    nonce: Mapped[str | None] = mapped_column(Text)
    auth_time: Mapped[datetime] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    revoke_reason: Mapped[str | None] = mapped_column(String(32))
    # What was last carried out towards the relying party after its device changed; null is full.
    outcome: Mapped[str | None] = mapped_column(String(16))


class CodeRow(Base):
    """An authorization code; a used one stays as a tombstone, so that a replay is known."""

    __tablename__ = "codes"
    __table_args__ = (Index("ix_codes_expires_at", "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("grants.id"))
    client_id: Mapped[str] = mapped_column(String(64))
    redirect_uri: Mapped[str] = mapped_column(Text)
    redirect_uri_named: Mapped[bool] = mapped_column(default=True)
    code_challenge: Mapped[str | None] = mapped_column(String(128))
    expires_at: Mapped[datetime] = mapped_column(Instant)
    consumed_at: Mapped[datetime | None] = mapped_column(Instant)


class RefreshTokenRow(Base):
    """A refresh token of a family (its grant); at most one of a family is not consumed."""

    __tablename__ = "refresh_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("grants.id"), index=True)
    generation: Mapped[int] = mapped_column(BigInteger)
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    consumed_at: Mapped[datetime | None] = mapped_column(Instant)


class RevokedTokenRow(Base):
    """An access token revoked by itself, kept until it would have expired anyway."""

    __tablename__ = "revoked_tokens"
    __table_args__ = (Index("ix_revoked_tokens_expires_at", "expires_at"),)

    jti: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class ConsentRow(Base):
    """What a person agreed that a client of a third party may have."""

    __tablename__ = "consents"

    subject_id: Mapped[str] = mapped_column(ForeignKey("subjects.id"), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), primary_key=True)
    scope: Mapped[str] = mapped_column(Text)
    granted_at: Mapped[datetime] = mapped_column(Instant)


class ParkedRequestRow(Base):
    """An authorization request that waits on the server, bound to one browser.

    `device_id` and `strength` are what an agent proved for this browser (`pdp device assert`);
    `device_code` is the digest of the code that the page shows for it.
    """

    __tablename__ = "parked_requests"
    __table_args__ = (Index("ix_parked_requests_expires_at", "expires_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    browser_digest: Mapped[str] = mapped_column(String(64))
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    parameters: Mapped[object] = mapped_column(Json)
    device_code: Mapped[str | None] = mapped_column(String(64), unique=True)
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"))
    strength: Mapped[str | None] = mapped_column(String(16))
    # When somebody signed in, or agreed, for this request: who did, session and consent tell.
    reauthenticated_at: Mapped[datetime | None] = mapped_column(Instant)
    consented_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)


class SigningKeyRow(Base):
    """A signing key: the private half encrypted, the public half as published."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    alg: Mapped[str] = mapped_column(String(16))
    private: Mapped[str] = mapped_column(Text)
    public: Mapped[object] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Instant)
    signs_from: Mapped[datetime] = mapped_column(Instant)
    retired_at: Mapped[datetime | None] = mapped_column(Instant)
