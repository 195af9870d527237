"""The schema's version: upgrade, downgrade, and refuse to run on another one."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from pdp.domain.errors import DomainError
from pdp.store import tables  # noqa: F401  completes Base.metadata
from pdp.store.base import Base
from pdp.store.deadline import ImpatientConnection

_LONGEST_MIGRATION: Final = timedelta(days=1)
_PACKAGE: Final = Path(__file__).resolve().parent.parent


class SchemaMismatch(DomainError):
    """The database has a schema that is not this program's: what was found, and its cure."""

    def __init__(self, found: str, cure: str) -> None:
        super().__init__(f"{found}: {cure}")
        self.found = found
        self.cure = cure


def _migrations_folder() -> Path:
    """Return the migrations: beside the package in a checkout, inside it when installed."""
    beside = _PACKAGE.parent / "migrations"
    return beside if beside.is_dir() else _PACKAGE / "migrations"


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_migrations_folder()))
    config.attributes["connection"] = connection
    return config


def _migrating(engine: sa.Engine) -> sa.Engine:
    # Our engines commit each statement by themselves; a migration wants one transaction.
    return engine.execution_options(isolation_level="SERIALIZABLE")


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Migrate the schema up to `revision`, in one transaction where the database can.

    SchemaMismatch if the database is newer than this program, or no way leads to `revision`.
    """
    _migrate(engine, command.upgrade, revision)


def downgrade(engine: sa.Engine, revision: str) -> None:
    """Migrate the schema down to `revision` (`-1` for one step, `base` for nothing).

    SchemaMismatch as in `upgrade`.
    """
    _migrate(engine, command.downgrade, revision)


def _migrate(engine: sa.Engine, step: Callable[[Config, str], None], revision: str) -> None:
    have = current(engine)
    if have is not None and have not in _known():
        raise _from_a_newer_version(have)
    try:
        with _migrating(engine).begin() as connection, _all_the_time(connection):
            step(_config(connection), revision)
    except CommandError as error:
        raise SchemaMismatch(
            f"no migration leads from {have or 'an empty database'} to {revision!r}",
            f"name one of {', '.join(sorted(_known()))}, head, base, or steps like -1",
        ) from error


@contextmanager
def _all_the_time(connection: sa.Connection) -> Iterator[None]:
    """Let statements take as long as they need: an index over millions of rows takes minutes.

    Waiting for a lock still ends soon, with an error: somebody uses the tables.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, ImpatientConnection):
        yield
        return
    patience, driver.patience = driver.patience, _LONGEST_MIGRATION
    try:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        yield
    finally:
        driver.patience = patience


def current(engine: sa.Engine) -> str | None:
    """Return the revision that the database is at; None for an empty database, or no file yet."""
    if is_missing(engine):
        return None
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_missing(engine: sa.Engine) -> bool:
    """Tell whether SQLite's file is not there yet: whoever only looks must not make it."""
    if engine.dialect.name != "sqlite" or not (path := engine.url.database):
        return False
    return not os.path.exists(path)  # noqa: PTH110  never raises


def expected() -> str:
    """Return the revision that this program was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaMismatch("this installation has no migrations", "reinstall it")
    return head


def check(engine: sa.Engine) -> None:
    """Raise SchemaMismatch, naming the cure, unless the database is at our revision."""
    have, want = current(engine), expected()
    if have == want:
        return
    if have is None:
        raise SchemaMismatch("the database is empty", "run `pdp init`")
    if have not in _known():
        raise _from_a_newer_version(have)
    raise SchemaMismatch(
        f"the database is at revision {have}, this program needs {want}",
        "stop the server, back up, run `pdp db upgrade`",
    )


def _known() -> frozenset[str]:
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return frozenset(script.revision for script in scripts)


def _from_a_newer_version(have: str) -> SchemaMismatch:
    return SchemaMismatch(
        f"the database is at revision {have}, of a newer version than this program"
        f" (at {expected()})",
        "run that version, or downgrade with it first",
    )


def differences(engine: sa.Engine) -> list[object]:
    """Return how the database differs from the tables in the code; empty when it does not."""
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "user_module_prefix": None}
        )
        return list(compare_metadata(context, Base.metadata))


__all__ = [
    "SchemaMismatch",
    "check",
    "current",
    "differences",
    "downgrade",
    "expected",
    "upgrade",
]
