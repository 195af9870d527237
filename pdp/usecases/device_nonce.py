"""Nonces for device assertions: made without a row, spent with one.

Anybody may ask for a nonce, so asking must not write. A nonce is an instant and chance under
our key; the row that makes it count once is inserted by the transaction that uses it.
"""

import base64
import binascii
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final

from pdp.store.base import from_micros, to_micros
from pdp.store.envelope import Envelope

_INSTANT: Final = 8
_CHANCE: Final = 16
_MAC: Final = 32


def issue_nonce(envelope: Envelope, *, now: datetime) -> str:
    """Return a fresh nonce."""
    body = to_micros(now).to_bytes(_INSTANT) + secrets.token_bytes(_CHANCE)
    return base64.urlsafe_b64encode(body + _mac(envelope, body)).rstrip(b"=").decode()


def nonce_expires_at(
    envelope: Envelope, nonce: str, *, lifetime: timedelta, now: datetime
) -> datetime | None:
    """Return when (UTC) a nonce of ours ends; None if it is not ours, or has ended."""
    try:
        raw = base64.b64decode(nonce + "=" * (-len(nonce) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _INSTANT + _CHANCE + _MAC:
        return None
    body, mac = raw[:-_MAC], raw[-_MAC:]
    if not hmac.compare_digest(mac, _mac(envelope, body)):
        return None
    issued = from_micros(int.from_bytes(body[:_INSTANT]))
    expires = issued + lifetime
    return expires if issued <= now < expires else None


def _mac(envelope: Envelope, body: bytes) -> bytes:
    return hmac.digest(envelope.derive("device nonce"), body, "sha256")
