"""Codes, refresh tokens and revoked access tokens: digests only, and single use by one UPDATE."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from pdp.domain.ids import ClientId, GrantId
from pdp.store.base import from_micros, to_micros
from pdp.store.database import Statement, Transaction

_INSERT_CODE = Statement(
    "INSERT INTO codes (digest, grant_id, client_id, redirect_uri, redirect_uri_named,"
    " code_challenge, expires_at)"
    " VALUES (:digest, :grant_id, :client_id, :redirect_uri, :redirect_uri_named,"
    " :code_challenge, :expires_at)"
)
_CONSUME_CODE = Statement(
    "UPDATE codes SET consumed_at = :now"
    " WHERE digest = :digest AND client_id = :client_id AND consumed_at IS NULL"
    " RETURNING grant_id, redirect_uri, redirect_uri_named, code_challenge, expires_at"
)
_CONSUMED_CODE = Statement(
    "SELECT grant_id FROM codes"
    " WHERE digest = :digest AND client_id = :client_id AND consumed_at IS NOT NULL"
)
_INSERT_REFRESH = Statement(
    "INSERT INTO refresh_tokens (digest, grant_id, generation, issued_at, expires_at)"
    " VALUES (:digest, :grant_id, :generation, :issued_at, :expires_at)"
)
_FIND_REFRESH = Statement(
    "SELECT r.grant_id, r.generation, r.issued_at, r.expires_at, r.consumed_at, g.client_id"
    " FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id WHERE r.digest = :digest"
)
_CONSUME_REFRESH = Statement(
    "UPDATE refresh_tokens SET consumed_at = :now WHERE digest = :digest AND consumed_at IS NULL"
)
_REVOKE_TOKEN = Statement(
    "INSERT INTO revoked_tokens (jti, expires_at) VALUES (:jti, :expires_at) ON CONFLICT DO NOTHING"
)
_IS_REVOKED = Statement("SELECT 1 FROM revoked_tokens WHERE jti = :jti")
_FORGET_CODES = Statement("DELETE FROM codes WHERE expires_at < :before")
_FORGET_REVOKED = Statement("DELETE FROM revoked_tokens WHERE expires_at < :now")


def digest(token: str) -> str:
    """Return what is stored for a token of 256 random bits: it needs no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """An authorization code as stored. `code_challenge` is S256 or None."""

    grant: GrantId
    redirect_uri: str
    redirect_uri_named: bool
    code_challenge: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """A refresh token as stored, with its grant's client; `generation` counts rotations."""

    digest: str
    grant: GrantId
    client: ClientId
    generation: int
    issued_at: datetime
    expires_at: datetime
    consumed: bool


def insert_code(tx: Transaction, token: str, client_id: ClientId, code: Code) -> None:
    """Keep a new code."""
    tx.run(
        _INSERT_CODE,
        {
            "digest": digest(token),
            "grant_id": code.grant,
            "client_id": client_id,
            "redirect_uri": code.redirect_uri,
            "redirect_uri_named": code.redirect_uri_named,
            "code_challenge": code.code_challenge,
            "expires_at": to_micros(code.expires_at),
        },
    )


def consume_code(tx: Transaction, token: str, client_id: ClientId, *, now: datetime) -> Code | None:
    """Use a code of this client up; None if there is none, or it was used before.

    RFC 6749 §4.1.2: one UPDATE is check and act together, so that of any number of redemptions
    at the same time one gets the row. A code of another client stays untouched.
    """
    row = tx.one(
        _CONSUME_CODE, {"digest": digest(token), "client_id": client_id, "now": to_micros(now)}
    )
    if row is None:
        return None
    return Code(
        grant=row[0],
        redirect_uri=row[1],
        redirect_uri_named=bool(row[2]),
        code_challenge=row[3],
        expires_at=from_micros(row[4]),
    )


def replayed_code(tx: Transaction, token: str, client_id: ClientId) -> GrantId | None:
    """Return the grant of a code that this client has used before, if that is what it is."""
    row = tx.one(_CONSUMED_CODE, {"digest": digest(token), "client_id": client_id})
    return None if row is None else GrantId(row[0])


def insert_refresh(
    tx: Transaction,
    token: str,
    grant_id: GrantId,
    *,
    generation: int,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Keep a new refresh token of a family."""
    tx.run(
        _INSERT_REFRESH,
        {
            "digest": digest(token),
            "grant_id": grant_id,
            "generation": generation,
            "issued_at": to_micros(now),
            "expires_at": to_micros(expires_at),
        },
    )


def find_refresh(tx: Transaction, token: str) -> RefreshToken | None:
    """Return a refresh token, used or not, by the token itself."""
    key = digest(token)
    row = tx.one(_FIND_REFRESH, {"digest": key})
    if row is None:
        return None
    return RefreshToken(
        digest=key,
        grant=row[0],
        client=row[5],
        generation=row[1],
        issued_at=from_micros(row[2]),
        expires_at=from_micros(row[3]),
        consumed=row[4] is not None,
    )


def consume_refresh(tx: Transaction, refresh: RefreshToken, *, now: datetime) -> bool:
    """Use a refresh token up; False if another request was faster (RFC 9700 §4.14.2)."""
    return tx.run(_CONSUME_REFRESH, {"digest": refresh.digest, "now": to_micros(now)}) == 1


def revoke_token(tx: Transaction, jti: str, *, expires_at: datetime) -> None:
    """Revoke one access token until it would have expired anyway."""
    tx.run(_REVOKE_TOKEN, {"jti": jti, "expires_at": to_micros(expires_at)})


def is_revoked(tx: Transaction, jti: str) -> bool:
    """Tell whether an access token was revoked by itself."""
    return tx.one(_IS_REVOKED, {"jti": jti}) is not None


def forget_expired(tx: Transaction, *, codes_before: datetime, now: datetime) -> int:
    """Delete codes that expired before `codes_before`, and revocations that outlived their token.

    Used codes stay for a while after they expire: a replay must still find its grant.
    """
    return tx.run(_FORGET_CODES, {"before": to_micros(codes_before)}) + tx.run(
        _FORGET_REVOKED, {"now": to_micros(now)}
    )
