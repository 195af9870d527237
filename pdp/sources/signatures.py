"""Standard Webhooks signatures: who sent this body, and when.

The scheme is that of standardwebhooks.com 1.0.0, symmetric form `v1`: HMAC-SHA256 over
`<webhook-id>.<webhook-timestamp>.<body>`. Verified on the bytes as received, never on a body
parsed and written again.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

OLDEST: Final = timedelta(seconds=300)
EARLIEST: Final = timedelta(seconds=60)
MOST_SECRETS: Final = 2
SHORTEST_SECRET: Final = 24

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105  the prefix of every secret, not one of them
# No full stop in an id: `a` + `1.x` and `a.1` + `x` would carry the same signature.
_ID: Final = re.compile(r"[!-\-/-~]{1,256}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_SIGNATURES: Final = re.compile(
    r"[!-+\--~]{1,16},[!-~]{1,512}(?: [!-+\--~]{1,16},[!-~]{1,512}){0,15}"
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request as it came: header names in lower case with all their values, and the body."""

    headers: Mapping[str, tuple[str, ...]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A delivery that the holder of a secret sent, within the window.

    `delivery_id` is the sender's, at most 256 characters: the key under which a repetition is
    known. `secret_index` says which secret of the ring it was (0 is the newest), so that an
    operator sees when nobody uses the old one any more.
    """

    delivery_id: str
    secret_index: int


class RefusalReason(StrEnum):
    """Why a delivery is not believed: for counters and logs."""

    MISSING_HEADER = "missing-header"
    REPEATED_HEADER = "repeated-header"
    MALFORMED_HEADER = "malformed-header"
    TOO_OLD = "too-old"
    TOO_EARLY = "too-early"
    BAD_SIGNATURE = "bad-signature"
    NO_SECRET = "no-secret"  # noqa: S105  a reason, not a secret

    @property
    def is_odd(self) -> bool:
        """Tell whether the request is no well-formed delivery, whoever may have sent it."""
        return self in {RefusalReason.REPEATED_HEADER, RefusalReason.MALFORMED_HEADER}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A delivery that is not believed; `header` names the header that it is about, if one."""

    reason: RefusalReason
    header: str = ""


def authenticate(
    delivery: Delivery, secrets: Sequence[str], now: datetime
) -> Authenticated | Refusal:
    """Tell who sent `delivery`, or why nobody is believed; never raises, whatever the headers.

    `secrets` is the ring of at most two `whsec_…` secrets, the newest first; one that cannot be
    used (`decode_secret`) verifies nothing. The signed time may be 300 s old and 60 s ahead of
    `now`. Every secret is compared with every signature in constant time.
    """
    values: dict[str, str] = {}
    for header, form in _HEADERS.items():
        value = _single(delivery, header, form)
        if isinstance(value, Refusal):
            return value
        values[header] = value
    age = now.timestamp() - int(values["webhook-timestamp"])
    if age > OLDEST.total_seconds():
        return Refusal(RefusalReason.TOO_OLD, "webhook-timestamp")
    if -age > EARLIEST.total_seconds():
        return Refusal(RefusalReason.TOO_EARLY, "webhook-timestamp")
    keys = _usable(secrets)
    if not keys:
        return Refusal(RefusalReason.NO_SECRET)
    signed = f"{values['webhook-id']}.{values['webhook-timestamp']}.".encode() + delivery.body
    index = _matching(keys, signed, values["webhook-signature"])
    if index is None:
        return Refusal(RefusalReason.BAD_SIGNATURE, "webhook-signature")
    return Authenticated(values["webhook-id"], index)


_HEADERS: Final[Mapping[str, re.Pattern[str]]] = {
    "webhook-id": _ID,
    "webhook-timestamp": _TIMESTAMP,
    "webhook-signature": _SIGNATURES,
}


def _single(delivery: Delivery, header: str, form: re.Pattern[str]) -> str | Refusal:
    values = delivery.headers.get(header, ())
    if not values:
        return Refusal(RefusalReason.MISSING_HEADER, header)
    if len(values) > 1:
        return Refusal(RefusalReason.REPEATED_HEADER, header)
    if not form.fullmatch(values[0]):
        return Refusal(RefusalReason.MALFORMED_HEADER, header)
    return values[0]


def _usable(secrets: Sequence[str]) -> list[tuple[int, bytes]]:
    keys = []
    for index, secret in enumerate(secrets[:MOST_SECRETS]):
        try:
            keys.append((index, decode_secret(secret)))
        except ValueError:
            # A secret that was damaged must not lock out the one that still works.
            continue
    return keys


def _matching(keys: list[tuple[int, bytes]], signed: bytes, signatures: str) -> int | None:
    """Return the index of a key that made one of `signatures`; looks at all, stops at none."""
    found = None
    for index, key in keys:
        expected = _signature(key, signed).encode()
        for signature in signatures.split(" "):
            if hmac.compare_digest(expected, signature.encode()):
                found = index if found is None else found
    return found


def _signature(key: bytes, signed: bytes) -> str:
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def sign(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of a delivery; `timestamp` is in seconds since 1970.

    ValueError for a secret that is not `whsec_` and base64 of at least 24 bytes, or an id that
    `authenticate` would refuse.
    """
    if not _ID.fullmatch(delivery_id):
        raise ValueError("a webhook-id is 1 to 256 visible ASCII characters without a full stop")
    return _signature(decode_secret(secret), f"{delivery_id}.{timestamp}.".encode() + body)


def format_secret(raw: bytes) -> str:
    """Return random bytes in the form that senders are given: `whsec_…`.

    ValueError for fewer than 24 bytes: they could be guessed.
    """
    if len(raw) < SHORTEST_SECRET:
        raise ValueError(f"a webhook secret has at least {SHORTEST_SECRET} bytes, not {len(raw)}")
    return _SECRET_PREFIX + base64.b64encode(raw).decode()


def decode_secret(secret: str) -> bytes:
    """Return the bytes of a `whsec_…` secret; ValueError, never quoting it, if it is none."""
    if not secret.startswith(_SECRET_PREFIX):
        raise ValueError(f"a webhook secret begins with {_SECRET_PREFIX}")
    try:
        raw = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a webhook secret is {_SECRET_PREFIX} and base64") from None
    if len(raw) < SHORTEST_SECRET:
        raise ValueError(f"a webhook secret has at least {SHORTEST_SECRET} bytes, not {len(raw)}")
    return raw
