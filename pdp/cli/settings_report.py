"""Reads the settings as the server does, and tells where each value came from.

Every problem is reported at once: setting, value (never a secret's), where it was set, the fix.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from pdp.cli.failures import Failed
from pdp.settings import Settings, config_path

_PREFIX: Final = "PDP__"
_HIDDEN: Final = "********"
#: Values that are secrets or carry one: a password may stand in a URL.
_SECRETS: Final = frozenset({"keys.master", "database.url", "redis.url"})
_HINTS: Final = {
    "issuer": "set it in config.yaml or as PDP__ISSUER; `pdp init --issuer URL` writes config.yaml",
}


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
    if named is not None and not path.exists():
        raise Failed(f"there is no settings file {named}: `pdp init --issuer URL` makes one")
    problems = list(_unknown_variables(environ))
    try:
        settings = Settings()  # type: ignore[call-arg]  # the sources give what is required
    except ValidationError as error:
        problems += [_problem(found, environ, path) for found in error.errors()]
    except (YAMLError, OSError) as error:
        problems.append(f"{path}: cannot be read: {error}")
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise _unusable(problems)
    return settings


def check_settings(*, issuer: str, dev: bool) -> None:
    """Fail, with every problem, unless these and what the environment says can be used."""
    try:
        Settings(issuer=issuer, dev=dev)
    except ValidationError as error:
        path = config_path(os.environ)
        problems = [_problem(found, os.environ, path) for found in error.errors()]
        raise _unusable(problems) from error


def _unusable(problems: list[str]) -> Failed:
    return Failed("the settings are not usable:\n  " + "\n  ".join(problems))


def report(settings: Settings) -> list[Setting]:
    """Return every setting with its value, secrets hidden, and where it was set."""
    environ, path = os.environ, config_path(os.environ)
    return [
        Setting(name, _shown(name, value), origin(name, environ, path) or "default")
        for name, value in _leaves(settings)
    ]


def origin(name: str, environ: Mapping[str, str], path: Path) -> str | None:
    """Return the variable, or file and line, that sets `name`; None if nothing does."""
    variable = _PREFIX + name.upper().replace(".", "__")
    for candidate in (variable, f"{variable}_FILE"):
        if candidate in environ:
            return candidate
    line = _line(name, path)
    return None if line is None else f"{path}:{line}"


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
    if name in _SECRETS and isinstance(value, str):
        return sa.make_url(value).render_as_string(hide_password=True)
    return value


def _problem(found: ErrorDetails, environ: Mapping[str, str], path: Path) -> str:
    name = ".".join(str(part) for part in found["loc"])
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "missing":
        return f"{name}: is not set; {_HINTS.get(name, 'set it')}"
    where = origin(name, environ, path)
    place = f" ({where})" if where else ""
    if found["type"] == "extra_forbidden":
        return f"{name}{place}: there is no such setting{_nearest(name)}"
    value = found["input"]
    is_plain = isinstance(value, str | int | float | bool) and name not in _SECRETS
    got = f", got {value!r}" if is_plain else ""
    return f"{name}{place}: {message}{got}" if name else message


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    # pydantic-settings looks only for variables of settings that exist.
    for variable in sorted(environ):
        name = variable.removeprefix(_PREFIX).lower().replace("__", ".")
        top = name.split(".", 1)[0]
        if variable.startswith(_PREFIX) and top.removesuffix("_file") not in Settings.model_fields:
            yield f"{variable}: there is no setting {name}{_nearest(name)}"


def _nearest(name: str) -> str:
    known = [known for known, _ in _known(Settings)]
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else "; `pdp config schema` lists them"


def _known(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _known(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", annotation


def _line(name: str, path: Path) -> int | None:
    """Return the line, from 1, on which the settings file sets `name`."""
    try:
        node: object = YAML().load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError, UnicodeDecodeError):
        return None
    line = None
    for part in name.split("."):
        if not isinstance(node, CommentedMap) or part not in node:
            return None
        line = int(node.lc.key(part)[0]) + 1
        node = node[part]
    return line
