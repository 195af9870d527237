"""Gives commands what they work with: settings, runtime, a schema that is this program's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from pdp.app import build_runtime
from pdp.cli.failures import Failed
from pdp.cli.settings_report import read_settings
from pdp.runtime import Runtime
from pdp.store import schema

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def opened_runtime() -> Iterator[Runtime]:
    """Build a runtime from the settings, and close what it opened when the command ends."""
    runtime = build_runtime(read_settings())
    try:
        yield runtime
    finally:
        runtime.outbound.close()
        runtime.database.close()


def check_schema(runtime: Runtime) -> None:
    """Fail, naming the cure, unless the database has the schema of this program."""
    try:
        schema.check(runtime.database.engine)
    except schema.SchemaMismatch as error:
        raise Failed(str(error)) from error


def pass_runtime(command: Callable[Concatenate[Runtime, P], R]) -> Callable[P, R]:
    """Call `command` with a runtime over a database of this program's schema."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with opened_runtime() as runtime:
            check_schema(runtime)
            return command(runtime, *args, **kwargs)

    return wrapped
