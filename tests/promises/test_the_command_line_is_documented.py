"""docs/cli.md shows every command, and no page shows a command or an option that is not there."""

import re
from collections.abc import Iterator
from typing import Final

import click
import pytest

from pdp.cli import main
from tests.promises.repository import ROOT, documents, relative

_SHELL: Final = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_BEFORE: Final = re.compile(r"^(?:.*/)?pdp$")


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if command.hidden:
        return
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _commands(found, (*path, name))


def _examples(text: str) -> Iterator[list[str]]:
    """Yield the words behind each `pdp` of the page's shell blocks."""
    for block in _SHELL.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = line.partition(" #")[0].split()
            starts = [place for place, word in enumerate(words) if _BEFORE.match(word)]
            if starts:
                yield words[starts[0] + 1 :]


def _resolve(words: list[str]) -> tuple[tuple[str, ...], set[str]]:
    """Return which command an example runs, and its options that do not exist."""
    command: click.Command = main
    path: list[str] = []
    missing: set[str] = set()
    known = _options(main)
    for word in words:
        if word == "--":
            break
        if word.startswith("--"):
            missing |= {word.partition("=")[0]} - known
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is not None:
                command, known = found, known | _options(found)
                path.append(word)
    return tuple(path), missing


def _options(command: click.Command) -> set[str]:
    named = {"--help"}
    for parameter in command.params:
        named |= {*parameter.opts, *parameter.secondary_opts}
    return named


def _is_command(path: tuple[str, ...]) -> bool:
    return path in set(_commands(main)) or path in {(), ("client",)}


def test_every_command_has_an_example():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    shown = {_resolve(words)[0] for words in _examples(page)}

    assert not [" ".join(path) for path in set(_commands(main)) - shown]


@pytest.mark.parametrize("page", documents(), ids=relative)
def test_no_page_shows_a_command_that_is_not_there(page):
    examples = [(words, *_resolve(words)) for words in _examples(page.read_text(encoding="utf-8"))]

    assert not [words for words, path, missing in examples if missing or not _is_command(path)]
