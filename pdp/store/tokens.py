"""Codes, refresh tokens and revoked access tokens: digests only, and single use by one UPDATE."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from pdp.domain.ids import ClientId, GrantId
from pdp.store.base import from_micros, to_micros
from pdp.store.database import Statement, Transaction
from pdp.store.generations import raise_lost
from pdp.store.standings import (
    CONFIGURATION,
    CONFIGURATION_ROW,
    HELD_COLUMNS,
    HELD_JOINS,
    Held,
    read_held,
)

_INSERT_CODE = Statement(
    "INSERT INTO codes (digest, grant_id, client_id, redirect_uri, redirect_uri_named,"
    " code_challenge, expires_at)"
    " VALUES (:digest, :grant_id, :client_id, :redirect_uri, :redirect_uri_named,"
    " :code_challenge, :expires_at)"
)
_CODE = Statement(
    "SELECT c.value, k.grant_id, k.redirect_uri, k.redirect_uri_named, k.code_challenge,"  # noqa: S608  columns are ours
    f" k.expires_at, k.consumed_at, {HELD_COLUMNS} FROM {CONFIGURATION}"
    " LEFT JOIN codes k ON k.digest = :digest AND k.client_id = :client_id"
    f" LEFT JOIN grants g ON g.id = k.grant_id{HELD_JOINS} WHERE {CONFIGURATION_ROW}"
)
_CONSUME_CODE = Statement(
    "UPDATE codes SET consumed_at = :now WHERE digest = :digest AND consumed_at IS NULL"
)
_INSERT_REFRESH = Statement(
    "INSERT INTO refresh_tokens (digest, grant_id, generation, issued_at, expires_at)"
    " VALUES (:digest, :grant_id, :generation, :issued_at, :expires_at)"
)
_REFRESH = Statement(
    "SELECT c.value, r.generation, r.issued_at, r.expires_at, r.consumed_at,"  # noqa: S608  columns are ours
    f" {HELD_COLUMNS} FROM {CONFIGURATION} LEFT JOIN refresh_tokens r ON r.digest = :digest"
    f" LEFT JOIN grants g ON g.id = r.grant_id{HELD_JOINS} WHERE {CONFIGURATION_ROW}"
)
_REVOKE_TOKEN = Statement(
    "INSERT INTO revoked_tokens (jti, expires_at) VALUES (:jti, :expires_at) ON CONFLICT DO NOTHING"
)
_FORGET_CODES = Statement("DELETE FROM codes WHERE expires_at < :before")
_FORGET_REVOKED = Statement("DELETE FROM revoked_tokens WHERE expires_at < :now")


def digest(token: str) -> str:
    """Return what is stored for a token of 256 random bits: it needs no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A new authorization code. `code_challenge` is S256 or None."""

    grant: GrantId
    redirect_uri: str
    redirect_uri_named: bool
    code_challenge: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedCode:
    """A code as stored, used or not, with the grant it stands for."""

    digest: str
    code: Code
    held: Held | None
    consumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """A refresh token as stored, used or not, with its grant; `generation` counts rotations."""

    digest: str
    held: Held
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


def find_code(tx: Transaction, token: str, client_id: ClientId) -> tuple[int, PresentedCode | None]:
    """Return the configuration's generation, and a code that was given to this client."""
    key = digest(token)
    row = tx.one(_CODE, {"digest": key, "client_id": client_id})
    if row is None:
        raise_lost()
    if row[1] is None:
        return row[0], None
    code = Code(
        grant=row[1],
        redirect_uri=row[2],
        redirect_uri_named=bool(row[3]),
        code_challenge=row[4],
        expires_at=from_micros(row[5]),
    )
    return row[0], PresentedCode(
        digest=key, code=code, held=read_held(row[7:]), consumed=row[6] is not None
    )


def consume_code(tx: Transaction, code: PresentedCode, *, now: datetime) -> bool:
    """Use a code up; False if another request was faster.

    RFC 6749 §4.1.2: one UPDATE is check and act together, so that of any number of redemptions
    at the same time one gets the row.
    """
    return tx.run(_CONSUME_CODE, {"digest": code.digest, "now": to_micros(now)}) == 1


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


def find_refresh(tx: Transaction, token: str) -> tuple[int, RefreshToken | None]:
    """Return the configuration's generation, and the refresh token if there is such a one."""
    key = digest(token)
    row = tx.one(_REFRESH, {"digest": key})
    if row is None:
        raise_lost()
    held = read_held(row[5:])
    if row[1] is None or held is None:
        return row[0], None
    return row[0], RefreshToken(
        digest=key,
        held=held,
        generation=row[1],
        issued_at=from_micros(row[2]),
        expires_at=from_micros(row[3]),
        consumed=row[4] is not None,
    )


def revoke_token(tx: Transaction, jti: str, *, expires_at: datetime) -> None:
    """Revoke one access token until it would have expired anyway."""
    tx.run(_REVOKE_TOKEN, {"jti": jti, "expires_at": to_micros(expires_at)})


def forget_expired(tx: Transaction, *, codes_before: datetime, now: datetime) -> int:
    """Delete codes that expired before `codes_before`, and revocations that outlived their token.

    Used codes stay for a while after they expire: a replay must still find its grant.
    """
    return tx.run(_FORGET_CODES, {"before": to_micros(codes_before)}) + tx.run(
        _FORGET_REVOKED, {"now": to_micros(now)}
    )
