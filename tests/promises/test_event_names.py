"""Operators search logs by event: every name in the code follows the one grammar."""

import ast
import re
from pathlib import Path
from typing import Final

from tests.promises.repository import ROOT

_GRAMMAR: Final = re.compile(r"[a-z]+(?:-[a-z]+)*(?:\.[a-z]+(?:-[a-z]+)*){1,3}")
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
_LOGGERS: Final = frozenset({"_log", "log"})


def events(path: Path):
    """Yield every event that is written out where a log line is made."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and _logs(node.func) and node.args:
            event = node.args[0]
            if isinstance(event, ast.Constant):
                yield str(event.value)


def _logs(function: ast.expr):
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in _LOGGERS
        and function.attr in _LEVELS
    )


def test_every_logged_event_is_named_by_the_grammar():
    found = {
        event: path.relative_to(ROOT)
        for path in (ROOT / "pdp").rglob("*.py")
        for event in events(path)
    }

    assert found
    assert not {event: path for event, path in found.items() if not _GRAMMAR.fullmatch(event)}
