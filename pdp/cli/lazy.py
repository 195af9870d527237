"""A command group whose members are imported only when they are asked for."""

import gc
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import click

from pdp.cli.failures import Failed, Interrupted, failure_of
from pdp.domain.errors import DomainError


class LazyGroup(click.Group):
    """Finds commands in a literal table `name -> module:attribute`; turns domain errors to exits.

    A broken promise inside becomes one line on stderr and an exit code, never a traceback.
    """

    def __init__(self, *args: Any, table: Mapping[str, str], **kwargs: Any) -> None:  # noqa: ANN401  click's own
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every name, in order."""
        del ctx
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of that name, or None."""
        del ctx
        place = self.table.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(_imported(module), attribute)
        if not isinstance(command, click.Command):
            raise Failed(f"{place} is no command: this installation is damaged")
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a domain error, and Ctrl-C, end it with their own exit codes."""
        try:
            return super().invoke(ctx)
        except DomainError as error:
            raise failure_of(error) from error
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted") from error


def _imported(module: str) -> ModuleType:
    """Import a module without a look for garbage meanwhile: a tenth of the time, for nothing."""
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.enable()
