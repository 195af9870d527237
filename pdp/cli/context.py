"""Gives commands what they work with: settings, runtime, a schema that is this program's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from pdp.assembly import build_runtime
from pdp.cli.failures import Failed, Unexpected
from pdp.cli.settings_report import read_settings
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.store import schema
from pdp.store.outage import cure, outage

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def opened_runtime() -> Iterator[Runtime]:
    """Build a runtime from the settings, and close what it opened when the command ends."""
    runtime = built_runtime(read_settings())
    try:
        yield runtime
    except sa.exc.DatabaseError as error:
        raise _down(error) from error
    finally:
        runtime.close()


def built_runtime(settings: Settings) -> Runtime:
    """Build a runtime; Failed if a file that the settings name cannot be used."""
    try:
        return build_runtime(settings)
    except OSError as error:
        bundle = settings.outbound.ca_bundle
        raise Failed(
            f"outbound.ca_bundle: {bundle} cannot be used: {error.strerror or 'it is no PEM file'}"
        ) from error


def check_schema(runtime: Runtime) -> None:
    """Fail, naming the cure, unless the database has the schema of this program."""
    try:
        schema.check(runtime.database.engine)
    except sa.exc.DatabaseError as error:
        raise _down(error) from error


def _down(error: sa.exc.DatabaseError) -> Failed:
    """Say what an outage means; raise the error if it is a mistake in our SQL."""
    # SQLite says so of a file that is no database, or is damaged: nothing that passes by itself.
    is_no_database = type(error) is sa.exc.DatabaseError
    if not (is_no_database or isinstance(error, sa.exc.OperationalError)):
        raise error
    kind = Failed if is_no_database else Unexpected
    return kind(f"{outage(error)}: {cure(error)} (`pdp config show`)")


def pass_runtime(command: Callable[Concatenate[Runtime, P], R]) -> Callable[P, R]:
    """Call `command` with a runtime over a database of this program's schema."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with opened_runtime() as runtime:
            check_schema(runtime)
            return command(runtime, *args, **kwargs)

    return wrapped
