"""What every table shares: naming, instants, JSON."""

from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from sqlalchemy import BigInteger, MetaData, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Return microseconds since 1970 UTC: the one form of an instant in rows."""
    return (instant - _EPOCH) // _MICROSECOND


def to_micros_or_none(instant: datetime | None) -> int | None:
    """Return microseconds since 1970 UTC, or None for None."""
    return None if instant is None else to_micros(instant)


def from_micros(micros: int) -> datetime:
    """Return the instant, zone-aware in UTC, that a row's microseconds stand for."""
    return _EPOCH + timedelta(microseconds=micros)


def from_micros_or_none(micros: int | None) -> datetime | None:
    """Return the instant that a row's microseconds stand for, or None for None."""
    return None if micros is None else from_micros(micros)


class Instant(TypeDecorator[datetime]):
    """A column of instants as integer microseconds.

    Driver-level statements read the same on SQLite and PostgreSQL, and no zone is ever lost.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        return to_micros_or_none(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        del dialect
        return from_micros_or_none(value)


class Json(TypeDecorator[object]):
    """A column of JSON text, written with sorted keys so that equal values are equal rows."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> object | None:
        del dialect
        return None if value is None else orjson.loads(value)


def to_json(value: object) -> str:
    """Return compact JSON text with sorted keys."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


class Base(DeclarativeBase):
    """The tables' common base; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
