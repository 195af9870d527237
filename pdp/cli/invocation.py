"""What the options before the command said: where settings are, how results are written."""

import getpass
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import click


class Output(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of `pdp`; `config` is the settings file that was named, if one was."""

    config: Path | None
    output: Output

    @classmethod
    def begin(cls, config: Path | None, output: Output) -> "Invocation":
        """Note the options; processes that this one starts read the same settings file."""
        if config is not None:
            os.environ["PDP_CONFIG"] = str(config)
        return cls(config, output)


def current() -> Invocation:
    """Return the invocation that the running command belongs to."""
    context = click.get_current_context(silent=True)
    if context is None:
        return Invocation(None, Output.TABLE)
    found = context.find_object(Invocation)
    # While the command is still being loaded there are the options, and nothing made of them.
    output = context.find_root().params.get("output", Output.TABLE)
    return found if found is not None else Invocation(None, Output(output))


def actor() -> str:
    """Return who the audit record names for what this run changes."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return f"cli:{os.getuid()}"
