"""Reads the settings as the server does, and tells where each value came from.

Every problem is reported at once: setting, value (never a secret's), where it was set, the fix.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import SettingsError
from ruamel.yaml.error import YAMLError

from pdp.cli.failures import Failed
from pdp.cli.settings_problems import (
    SECRETS,
    origin,
    told,
    unknown_variables,
    unreadable_groups,
)
from pdp.settings import Settings, config_path

_HIDDEN: Final = "********"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its dotted name, its value as it may be shown, and who set it."""

    name: str
    value: object
    origin: str


def read_settings() -> Settings:
    """Return the settings; Failed, with every problem, if there is any."""
    environ = os.environ
    path = config_path(environ)
    named = environ.get("PDP_CONFIG")
    if named is not None and not _exists(path):
        raise Failed(f"there is no settings file {named}: `pdp init --issuer URL` makes one")
    problems = [*unknown_variables(environ), *unreadable_groups(environ)]
    try:
        settings = Settings()  # type: ignore[call-arg]  # the sources give what is required
    except ValidationError as error:
        problems += [told(found, environ, path) for found in error.errors()]
    except SettingsError as error:
        # Unreadable groups say it better, where they are the reason.
        problems = problems or [str(error)]
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        problems.append(_unreadable(path, error))
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise _unusable(problems)
    return settings


def check_settings(*, issuer: str, dev: bool, port: int | None) -> None:
    """Fail, with every problem, unless these and what the environment says can be used."""
    server = {} if port is None else {"server": {"port": port}}
    try:
        Settings(issuer=issuer, dev=dev, **server)  # type: ignore[arg-type]  # the parser looks
    except ValidationError as error:
        path = config_path(os.environ)
        raise _unusable([told(found, os.environ, path) for found in error.errors()]) from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise _unusable([_unreadable(path, error)]) from error


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{path}: this account may not read it: `chown` it, or give its group the right"
    return f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"


def _unusable(problems: list[str]) -> Failed:
    return Failed("the settings are not usable:\n  " + "\n  ".join(problems))


def report(settings: Settings) -> list[Setting]:
    """Return every setting with its value, secrets hidden, and where it was set."""
    environ, path = os.environ, config_path(os.environ)
    return [
        Setting(name, _shown(name, value), origin(name, environ, path) or "default")
        for name, value in _leaves(settings)
    ]


def _leaves(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(name: str, value: object) -> object:
    if isinstance(value, SecretStr):
        return _HIDDEN
    if name in SECRETS and isinstance(value, str):
        return sa.make_url(value).render_as_string(hide_password=True)
    return value
