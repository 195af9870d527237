"""How an engine is set up: durability, time limits, and transactions that are ours to begin."""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from pdp.domain.errors import DomainError
from pdp.store.deadline import GRACE, ImpatientConnection

#: What either way of speaking to a database raises: by the engine, or straight to the driver.
DRIVER_ERRORS: Final = (sa.exc.SQLAlchemyError, sqlite3.Error, psycopg.Error)
#: What SQLite, and the queue of its writers, keep beside the database.
_BESIDE: Final = ("", "-wal", "-shm", ".lock")


class DatabaseUnusable(DomainError):
    """The database is a file that this account may not use: nothing that passes by itself."""


def absolute_url(url: str) -> str:
    """Return the URL with a relative SQLite path made absolute; any other URL as it is."""
    prefix = "sqlite:///"
    if not url.startswith(prefix):
        return url
    return prefix + str(Path(url.removeprefix(prefix)).absolute())


#: A plan is made once for each connection, perhaps while a table is small enough to be read whole,
#: and kept while it grows a thousandfold. Without a cost to compare there is nothing to compile.
_BY_INDEX: Final = "-c enable_seqscan=off -c jit=off"


def engine_options(
    url: str, *, pool_size: int, busy_timeout: timedelta, grace: timedelta = GRACE
) -> dict[str, Any]:
    """Return the engine options that this module relies on.

    PostgreSQL gives up a statement or a wait for a lock after `busy_timeout`; `grace` later its
    connection is given up for frozen.
    """
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
            "patience": busy_timeout + grace,
            "tcp_user_timeout": milliseconds,
            # A peer that took the question and went silent is asked after, too.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": f"-c lock_timeout={milliseconds} -c statement_timeout={milliseconds}"
            f" {_BY_INDEX}",
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
    """Set up each new connection: durability and foreign keys on SQLite, deadlines on PostgreSQL.

    DatabaseUnusable if this account may not write the file.
    """
    if engine.dialect.name != "sqlite":
        sa.event.listen(engine, "do_connect", _connect)
        return
    if engine.url.database:
        path = Path(engine.url.database)
        _make_room(path)

        @sa.event.listens_for(engine, "do_connect")
        def _keep_from_others(*_of_the_connection: object) -> None:
            # What SQLite makes by itself has the mode that the account's umask leaves. If this
            # cannot be done, or need not, SQLite says what is wrong.
            with suppress(OSError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA cache_size=-16384")


def _connect(
    _dialect: object, _record: object, arguments: Sequence[str], named: Mapping[str, Any]
) -> ImpatientConnection:
    options = dict(named)
    patience = options.pop("patience")
    connection = ImpatientConnection.connect(*arguments, **options)
    connection.patience = patience
    return connection


def _make_room(path: Path) -> None:
    if (unusable := unusable_part(path)) is not None:
        raise DatabaseUnusable(
            f"the database {path} cannot be used: {unusable} is not writable by this account;"
            " run pdp as the account that the server runs as, or `chown` it"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnusable(
            f"the database's folder {path.parent} cannot be made: {error.strerror};"
            " make it, or mend database.url"
        ) from error


def unusable_part(path: Path) -> Path | None:
    """Return what of an SQLite database at `path` this account may not write; None for nothing.

    Even reading writes: a reader leaves its mark beside the file.
    """
    for part in (Path(f"{path}{ending}") for ending in _BESIDE):
        if os.path.exists(part) and not _may(part, os.R_OK | os.W_OK):  # noqa: PTH110  never raises
            return part
    folder = path.absolute().parent
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110
        folder = folder.parent
    return None if _may(folder, os.W_OK | os.X_OK) else folder


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
