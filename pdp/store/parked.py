"""Authorization requests that wait on the server, each bound to the browser that brought it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from pdp.domain.access import Strength
from pdp.domain.ids import ClientId, DeviceId
from pdp.store.base import from_micros, from_micros_or_none, to_json, to_micros
from pdp.store.database import Statement, Transaction

#: What ids of ours look like. Anything may stand in a URL, and PostgreSQL takes no NUL.
_ID: Final = re.compile(r"req_[A-Za-z0-9_-]{16,64}", re.ASCII)

_COLUMNS = (
    "id, client_id, parameters, device_id, strength, reauthenticated_at, consented_at, created_at,"
    " expires_at"
)
_INSERT = Statement(
    "INSERT INTO parked_requests (id, browser_digest, client_id, parameters, created_at,"
    " expires_at) VALUES (:id, :browser_digest, :client_id, :parameters, :created_at, :expires_at)"
)
_FIND = Statement(
    f"SELECT {_COLUMNS} FROM parked_requests"  # noqa: S608  columns are ours
    " WHERE id = :id AND browser_digest = :browser_digest AND finished_at IS NULL"
    " AND expires_at > :now"
)
_ADOPT = Statement(
    "UPDATE parked_requests SET browser_digest = :browser_digest"
    " WHERE id = :id AND browser_digest = '' AND finished_at IS NULL"
)
_FINISH = Statement(
    "UPDATE parked_requests SET finished_at = :now WHERE id = :id AND finished_at IS NULL"
)
_REAUTHENTICATED = Statement("UPDATE parked_requests SET reauthenticated_at = :now WHERE id = :id")
_CONSENTED = Statement("UPDATE parked_requests SET consented_at = :now WHERE id = :id")
_SHOW_CODE = Statement("UPDATE parked_requests SET device_code = :device_code WHERE id = :id")
_BIND_DEVICE = Statement(
    "UPDATE parked_requests SET device_id = :device_id, strength = :strength, device_code = NULL"
    " WHERE device_code = :device_code AND finished_at IS NULL AND expires_at > :now"
)
_FORGET = Statement("DELETE FROM parked_requests WHERE expires_at < :now")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRequest:
    """An authorization request as it came, and what happened on its way.

    `device` and `strength` are what an agent proved for this browser. `reauthenticated_at` and
    `consented_at` name no person: they count only for one whose session was signed in, or whose
    consent was given, at that instant or later.
    """

    id: str
    client: ClientId
    parameters: Mapping[str, str]
    device: DeviceId | None
    strength: Strength | None
    reauthenticated_at: datetime | None
    consented_at: datetime | None
    created_at: datetime
    expires_at: datetime


def browser_digest(secret: str) -> str:
    """Return what stands for a browser's binding cookie."""
    return hashlib.sha256(secret.encode()).hexdigest()


def code_digest(code: str) -> str:
    """Return what stands for a pairing code, however people type it."""
    plain = code.replace("-", "").replace(" ", "").upper()
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()


def park(
    tx: Transaction,
    request_id: str,
    *,
    browser: str,
    client: ClientId,
    parameters: Mapping[str, str],
    now: datetime,
    expires_at: datetime,
) -> None:
    """Keep a validated request for one browser (a digest; empty: whoever fetches it first)."""
    tx.run(
        _INSERT,
        {
            "id": request_id,
            "browser_digest": browser,
            "client_id": client,
            "parameters": to_json(dict(parameters)),
            "created_at": to_micros(now),
            "expires_at": to_micros(expires_at),
        },
    )


def find(tx: Transaction, request_id: str, *, browser: str, now: datetime) -> ParkedRequest | None:
    """Return a request that still waits for this very browser."""
    if _ID.fullmatch(request_id) is None:
        return None
    row = tx.one(_FIND, {"id": request_id, "browser_digest": browser, "now": to_micros(now)})
    return None if row is None else _parked(row)


def adopt(tx: Transaction, request_id: str, *, browser: str) -> bool:
    """Bind a request that came by POST, without cookies, to the browser that follows it."""
    if _ID.fullmatch(request_id) is None:
        return False
    return tx.run(_ADOPT, {"id": request_id, "browser_digest": browser}) == 1


def finish(tx: Transaction, request_id: str, *, now: datetime) -> bool:
    """Use the request up; False if it was answered before."""
    return tx.run(_FINISH, {"id": request_id, "now": to_micros(now)}) == 1


def note_reauthentication(tx: Transaction, request_id: str, *, now: datetime) -> None:
    """Remember that somebody signed in anew for this request, whose session says as of when."""
    tx.run(_REAUTHENTICATED, {"id": request_id, "now": to_micros(now)})


def note_consent(tx: Transaction, request_id: str, *, now: datetime) -> None:
    """Remember that somebody agreed to this request, whose consent says as of when."""
    tx.run(_CONSENTED, {"id": request_id, "now": to_micros(now)})


def show_code(tx: Transaction, request_id: str, *, code_digest: str) -> None:
    """Let a device agent answer for this browser with the code that the page shows."""
    tx.run(_SHOW_CODE, {"id": request_id, "device_code": code_digest})


def bind_device(
    tx: Transaction, code_digest: str, *, device: DeviceId, strength: Strength, now: datetime
) -> bool:
    """Bind a proven device to the browser whose page shows the code; the code is used up."""
    return (
        tx.run(
            _BIND_DEVICE,
            {
                "device_code": code_digest,
                "device_id": device,
                "strength": strength.value,
                "now": to_micros(now),
            },
        )
        == 1
    )


def forget_expired(tx: Transaction, *, now: datetime) -> int:
    """Delete requests whose time is over."""
    return tx.run(_FORGET, {"now": to_micros(now)})


def _parked(row: Sequence[Any]) -> ParkedRequest:
    return ParkedRequest(
        id=row[0],
        client=row[1],
        parameters=orjson.loads(row[2]),
        device=row[3],
        strength=None if row[4] is None else Strength(row[4]),
        reauthenticated_at=from_micros_or_none(row[5]),
        consented_at=from_micros_or_none(row[6]),
        created_at=from_micros(row[7]),
        expires_at=from_micros(row[8]),
    )
