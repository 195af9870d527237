"""Says what is wrong with a setting: its name, its value (never a secret's), its place, the fix."""

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from pdp.settings import Settings

_PREFIX: Final = "PDP__"
#: Values that are secrets or carry one: a password may stand in a URL.
SECRETS: Final = frozenset({"keys.master", "database.url", "redis.url"})
_HINTS: Final = {
    "issuer": "set it in config.yaml or as PDP__ISSUER; `pdp init --issuer URL` writes config.yaml",
}
_NUMBER: Final = "must be a whole number"
_SWITCH: Final = "must be true or false"
_GROUP: Final = "is a group of settings: name one of them"
#: The parser's kinds of problem, in an operator's words; a member in braces is the limit.
_WORDS: Final = {
    "int_parsing": _NUMBER,
    "int_type": _NUMBER,
    "int_from_float": _NUMBER,
    "bool_parsing": _SWITCH,
    "bool_type": _SWITCH,
    "string_type": "must be text: write it in quotes",
    "path_type": "must be the name of a file",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than 0",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "time_delta_type": "must be a duration: write 90s, 10m, 4h or 7d",
    "model_type": _GROUP,
    "model_attributes_type": _GROUP,
}


def told(found: ErrorDetails, environ: Mapping[str, str], path: Path) -> str:
    """Return one problem that the parser found, in one line."""
    name = ".".join(str(part) for part in found["loc"])
    if found["type"] == "missing":
        return f"{name}: is not set; {_HINTS.get(name, 'set it')}"
    where = origin(name, environ, path)
    place = f" ({where})" if where else ""
    if found["type"] == "extra_forbidden":
        return f"{name}{place}: there is no such setting{_nearest(name)}"
    message = _message(found)
    value = found["input"]
    is_plain = isinstance(value, str | int | float | bool) and name not in SECRETS
    got = f", got {value!r}" if is_plain else ""
    return f"{name}{place}: {message}{got}" if name else message


def unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Tell of each `PDP__…` variable at whose beginning no setting is: the parser skips them."""
    for variable in sorted(environ):
        name = _name(variable)
        top = name.split(".", 1)[0]
        if variable.startswith(_PREFIX) and top.removesuffix("_file") not in Settings.model_fields:
            yield f"{variable}: there is no setting {name}{_nearest(name)}"


def unreadable_groups(environ: Mapping[str, str]) -> Iterator[str]:
    """Tell of each variable that names a whole group and holds no JSON: the parser gives up."""
    for variable in sorted(environ):
        field = Settings.model_fields.get(_name(variable))
        if field is None or not variable.startswith(_PREFIX) or not _is_group(field.annotation):
            continue
        try:
            json.loads(environ[variable])
        except ValueError:
            yield f"{variable}: {_GROUP}, as {variable}__…"


def origin(name: str, environ: Mapping[str, str], path: Path) -> str | None:
    """Return the variable, or file and line, that sets `name`; None if nothing does."""
    variable = _PREFIX + name.upper().replace(".", "__")
    for candidate in (variable, f"{variable}_FILE"):
        if candidate in environ:
            return candidate
    line = _line(name, path)
    return None if line is None else f"{path}:{line}"


def _message(found: ErrorDetails) -> str:
    words = _WORDS.get(found["type"])
    if words is None:
        return found["msg"].removeprefix("Value error, ")
    return words.format(**found.get("ctx", {}))


def _name(variable: str) -> str:
    return variable.removeprefix(_PREFIX).lower().replace("__", ".")


def _is_group(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, list(_known(Settings)), n=1)
    return f"; did you mean {near[0]}?" if near else "; `pdp config schema` lists them"


def _known(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _known(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


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
