"""How an engine is set up: durability, time limits, and transactions that are ours to begin."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa


def absolute_url(url: str) -> str:
    """Return the URL with a relative SQLite path made absolute; any other URL as it is."""
    prefix = "sqlite:///"
    if not url.startswith(prefix):
        return url
    return prefix + str(Path(url.removeprefix(prefix)).absolute())


def engine_options(url: str, *, pool_size: int, busy_timeout: timedelta) -> dict[str, Any]:
    """Return the engine options that this module relies on."""
    seconds = busy_timeout.total_seconds()
    if url.startswith("sqlite"):
        # Transactions are ours to begin and end: the driver must not begin them by itself.
        arguments: dict[str, Any] = {
            "timeout": seconds,
            "isolation_level": None,
            "check_same_thread": False,
        }
    else:
        milliseconds = int(seconds * 1000)
        arguments = {
            "autocommit": True,
            "connect_timeout": max(2, int(seconds)),
            "tcp_user_timeout": milliseconds,
            "options": f"-c lock_timeout={milliseconds} -c statement_timeout={milliseconds}",
        }
    return {
        "connect_args": arguments,
        "isolation_level": "AUTOCOMMIT",
        "pool_size": pool_size,
        # A few more than `Database` lends, for whoever asks the engine itself (migrations).
        "max_overflow": 2,
        "pool_timeout": seconds,
        "pool_pre_ping": False,
    }


def prepare_connections(engine: sa.Engine) -> None:
    """Set up each new connection: durability and foreign keys on SQLite."""
    if engine.dialect.name != "sqlite":
        return
    if engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA cache_size=-16384")
