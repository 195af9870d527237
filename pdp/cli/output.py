"""Writes results: a table for people, JSON or YAML for programs."""

import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from pdp.cli.failures import Failed
from pdp.cli.invocation import Output, current
from pdp.domain.subject import UNPRINTABLE

Record = Mapping[str, object]

_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_WORDS: Final = {None: "-", True: "yes", False: "no"}


def show(result: Record | Sequence[Record], output: Output | None = None) -> None:
    """Write one record, or a list of records with the same members.

    Coloured only on a terminal; elsewhere tables are plain columns that `awk` can read.
    """
    match output or current().output:
        case Output.JSON:
            data = orjson.dumps(plain(result), option=orjson.OPT_INDENT_2)
            click.echo(data.decode())
        case Output.YAML:
            _writer().dump(plain(result), sys.stdout)
        case Output.TABLE:
            if isinstance(result, Mapping):
                _show_record(result)
            else:
                _show_rows(result)


def say(text: str) -> None:
    """Tell people something that is no result: on stderr, so that results can be piped."""
    click.echo(printable(text), err=True)


def plain(value: object) -> object:
    """Return `value` in the terms of JSON: instants in RFC 3339, durations in seconds."""
    match value:
        case Mapping():
            return {str(name): plain(member) for name, member in value.items()}
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return int(value.total_seconds())
        case Enum():
            return plain(value.value)
        case frozenset() | set():
            return [plain(member) for member in sorted(value)]
        case list() | tuple():
            return [plain(member) for member in value]
        case bool() | int() | float() | str() | None:
            return value
        case _:
            return str(value)


def _show_record(record: Record) -> None:
    width = max((len(name) for name in record), default=0)
    for name, value in record.items():
        first, *rest = _cell(value).splitlines() or [""]
        click.echo(f"{_label(name, width)}  {first}")
        for line in rest:
            click.echo(f"{'':{width}}  {line}")


def lines_of(record: Record) -> str:
    """Return a line for each member of a record that is a member itself: for tables."""
    cells = ((name, _cell(value).replace("\n", " ")) for name, value in record.items())
    return "\n".join(f"{name}: {cell}" for name, cell in cells)


def _label(name: str, width: int) -> str:
    return click.style(f"{name:{width}}", bold=True)


def _show_rows(rows: Sequence[Record]) -> None:
    if not rows:
        say("none")
        return
    columns = list(rows[0])
    cells = [[_cell(row.get(column)).replace("\n", " ") for column in columns] for row in rows]
    if sys.stdout.isatty():
        table = Table(*columns, box=None, header_style="bold", pad_edge=False)
        for line in cells:
            table.add_row(*(Text(cell) for cell in line))
        Console().print(table)
        return
    for text in _aligned([columns, *cells]):
        click.echo(text)


def _aligned(lines: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        padded = (f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _cell(value: object) -> str:
    if isinstance(value, timedelta):
        return as_setting(value)
    told = plain(value)
    if told is None or told is True or told is False:
        return _WORDS[told]
    match told:
        case list():
            return ", ".join(_cell(member) for member in told) or "-"
        case dict():
            return ", ".join(f"{name}={_cell(member)}" for name, member in told.items()) or "-"
        case _:
            return printable(str(told))


def as_setting(duration: timedelta) -> str:
    """Return a duration as settings and options take it: `8h`, `90s`."""
    seconds = int(duration.total_seconds())
    fits = (pair for pair in _UNITS if seconds >= pair[1] and seconds % pair[1] == 0)
    unit, size = next(fits, ("s", 1))
    return f"{seconds // size}{unit}"


def printable(text: str) -> str:
    """Return the text with all that drives a terminal spelled out: names come from strangers."""
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in UNPRINTABLE
        else f"\\u{ord(character):04x}"
        for character in text
    )


def _writer() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # untyped there
    return yaml


def read_text(path: Path) -> str:
    """Return the text of a file that the command was given."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{path} cannot be read: {error}") from error
