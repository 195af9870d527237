"""What devices prove themselves with, and the tokens that enrol them: digests and public keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from pdp.domain.ids import DeviceId, SubjectId
from pdp.store.base import from_micros, to_json, to_micros
from pdp.store.database import Statement, Transaction

_FIND = Statement(
    "SELECT device_id, jwk FROM device_keys"
    " WHERE thumbprint = :thumbprint AND method = :method AND revoked_at IS NULL"
)
_ADD = Statement(
    "INSERT INTO device_keys (thumbprint, device_id, method, jwk, created_at, revoked_at)"
    " VALUES (:thumbprint, :device_id, :method, :jwk, :now, NULL) ON CONFLICT DO NOTHING"
)
_REVOKE = Statement(
    "UPDATE device_keys SET revoked_at = :now WHERE device_id = :device_id AND revoked_at IS NULL"
)
_LIST = Statement(
    "SELECT thumbprint, method, created_at FROM device_keys"
    " WHERE device_id = :device_id AND revoked_at IS NULL ORDER BY created_at, thumbprint"
)
_CREATE_TOKEN = Statement(
    "INSERT INTO enrolment_tokens (digest, subject_id, device_id, created_at, expires_at, used_at)"
    " VALUES (:digest, :subject_id, :device_id, :now, :expires_at, NULL)"
)
_PEEK_TOKEN = Statement(
    "SELECT subject_id, device_id FROM enrolment_tokens"
    " WHERE digest = :digest AND used_at IS NULL AND expires_at > :now"
)
_CONSUME_TOKEN = Statement(
    "UPDATE enrolment_tokens SET used_at = :now"
    " WHERE digest = :digest AND used_at IS NULL AND expires_at > :now"
    " RETURNING subject_id, device_id"
)
_FORGET_TOKENS = Statement("DELETE FROM enrolment_tokens WHERE expires_at < :before")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """The device that a key was enrolled for; `jwk` is None where the key is a digest."""

    device: DeviceId
    jwk: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A key of a device, as administrators see it."""

    thumbprint: str
    method: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What an enrolment token allows: one device of one person, a certain one if it says so."""

    subject: SubjectId
    device: DeviceId | None


def find_key(tx: Transaction, thumbprint: str, *, method: str) -> FoundKey | None:
    """Return the device whose unrevoked key of `method` this is, or None."""
    row = tx.one(_FIND, {"thumbprint": thumbprint, "method": method})
    if row is None:
        return None
    return FoundKey(device=DeviceId(row[0]), jwk=None if row[1] is None else orjson.loads(row[1]))


def add_key(
    tx: Transaction,
    device_id: DeviceId,
    *,
    thumbprint: str,
    method: str,
    jwk: Mapping[str, str] | None,
    now: datetime,
) -> bool:
    """Enrol a key for a device; False if the key was ever enrolled before, whoever's it was."""
    return (
        tx.run(
            _ADD,
            {
                "thumbprint": thumbprint,
                "device_id": device_id,
                "method": method,
                "jwk": None if jwk is None else to_json(dict(jwk)),
                "now": to_micros(now),
            },
        )
        == 1
    )


def revoke_keys(tx: Transaction, device_id: DeviceId, *, now: datetime) -> int:
    """Revoke every key of a device, so that it must be enrolled anew; return how many."""
    return tx.run(_REVOKE, {"device_id": device_id, "now": to_micros(now)})


def list_keys(tx: Transaction, device_id: DeviceId) -> list[ListedKey]:
    """Return the unrevoked keys of a device, the oldest first."""
    return [
        ListedKey(thumbprint=row[0], method=row[1], created_at=from_micros(row[2]))
        for row in tx.all(_LIST, {"device_id": device_id})
    ]


def create_enrolment_token(
    tx: Transaction,
    digest: str,
    subject_id: SubjectId,
    *,
    device_id: DeviceId | None = None,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Keep an enrolment token by its digest (`jose.device_enrolment.token_digest`)."""
    tx.run(
        _CREATE_TOKEN,
        {
            "digest": digest,
            "subject_id": subject_id,
            "device_id": device_id,
            "now": to_micros(now),
            "expires_at": to_micros(expires_at),
        },
    )


def peek_enrolment_token(tx: Transaction, digest: str, *, now: datetime) -> Enrolment | None:
    """Return what a token would allow, without using it up; None if it is good for nothing."""
    row = tx.one(_PEEK_TOKEN, {"digest": digest, "now": to_micros(now)})
    if row is None:
        return None
    return Enrolment(subject=SubjectId(row[0]), device=None if row[1] is None else DeviceId(row[1]))


def consume_enrolment_token(tx: Transaction, digest: str, *, now: datetime) -> Enrolment | None:
    """Use an enrolment token up; None if there is none, it is over, or it was used before.

    One UPDATE is check and act together: of any number of uses at the same time one gets it.
    """
    row = tx.one(_CONSUME_TOKEN, {"digest": digest, "now": to_micros(now)})
    if row is None:
        return None
    return Enrolment(subject=SubjectId(row[0]), device=None if row[1] is None else DeviceId(row[1]))


def forget_tokens(tx: Transaction, *, before: datetime) -> int:
    """Delete enrolment tokens that expired before `before` (UTC); return how many."""
    return tx.run(_FORGET_TOKENS, {"before": to_micros(before)})
