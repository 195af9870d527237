"""docs/threats.md names a test for every threat, and each of them is there."""

import re
from typing import Final

from tests.promises.repository import ROOT

_TEXT: Final = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
_ROWS: Final = re.findall(r"^\| (D\d\d) \| (.+?) \| (.+?) \| (.+) \|$", _TEXT, re.MULTILINE)
_NAMED: Final = re.findall(r"`(tests/[^`]+)`", _TEXT)


def _is_there(named: str) -> bool:
    path, _, function = named.partition("::")
    file = ROOT / path
    return file.is_file() and f"\ndef {function}(" in file.read_text(encoding="utf-8")


def test_every_row_is_there_once_and_in_order():
    assert [row for row, *_ in _ROWS] == [f"D{number:02}" for number in range(1, 43)]


def test_every_threat_names_a_test_or_says_later():
    untried = [row for row, *_, shown in _ROWS if "::" not in shown and shown != "*later*"]

    assert untried == []


def test_a_threat_is_told_in_a_few_words():
    assert [threat for _, threat, *_ in _ROWS if len(threat.split()) > 7] == []


def test_every_test_that_is_named_exists():
    assert _NAMED
    assert [named for named in _NAMED if not _is_there(named)] == []
