"""What counts once: the unique key is the verdict, in the transaction that uses it."""

from datetime import datetime
from enum import StrEnum

from pdp.store.base import to_micros
from pdp.store.database import Statement, Transaction


class Kind(StrEnum):
    """What is spent; values of one kind never meet those of another."""

    DEVICE_NONCE = "device-nonce"
    DEVICE_ASSERTION = "device-assertion"
    DEVICE_ENROLMENT = "device-enrolment"
    CLIENT_ASSERTION = "client-assertion"
    TOTP_STEP = "totp-step"


_SPEND = Statement(
    "INSERT INTO single_use (kind, value, expires_at) VALUES (:kind, :value, :expires_at)"
    " ON CONFLICT DO NOTHING"
)
_IS_SPENT = Statement("SELECT 1 FROM single_use WHERE kind = :kind AND value = :value")
_FORGET = Statement("DELETE FROM single_use WHERE expires_at < :now")


def spend(tx: Transaction, kind: Kind, value: str, *, expires_at: datetime) -> bool:
    """Use `value` up; False if it was used before.

    Keep `expires_at` beyond the instant at which the value stops being accepted anyway: a row
    that went first would let a late replay through.
    """
    row = {"kind": kind.value, "value": value, "expires_at": to_micros(expires_at)}
    return tx.run(_SPEND, row) == 1


def is_spent(tx: Transaction, kind: Kind, value: str) -> bool:
    """Tell whether `value` was used before. Who means to use it must still `spend` it."""
    return tx.one(_IS_SPENT, {"kind": kind.value, "value": value}) is not None


def forget_expired(tx: Transaction, *, now: datetime) -> int:
    """Delete what no longer needs remembering; return how many rows."""
    return tx.run(_FORGET, {"now": to_micros(now)})
