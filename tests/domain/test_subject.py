"""Names of people: one spelling each, and nothing in them that forges a line or hides a letter."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp.domain.subject import (
    check_email,
    check_group,
    check_name,
    check_username,
    normalise_username,
)
from tests.builders import NOW, a_subject


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        pytest.param("Ada", "ada", id="case"),
        pytest.param(" ada\n", "ada", id="spaces around"),
        pytest.param("STRASSE", "strasse", id="folded"),
        pytest.param("Straße", "strasse", id="sharp s"),
        pytest.param("\uff21\uff44\uff41", "ada", id="full width"),
        pytest.param("e\u0301mile", "\u00e9mile", id="combining accent"),
        pytest.param("\u212bngstr\u00f6m", "\u00e5ngstr\u00f6m", id="angstrom sign"),
    ],
)
def test_a_username_has_one_spelling(typed, kept):
    assert normalise_username(typed) == kept


@given(st.text())
@example("\u0345\u0399")
def test_any_text_has_a_spelling_and_it_is_its_own(text):
    once = normalise_username(text)

    assert normalise_username(once) == once


#: D28: what would forge a log line, drive a terminal, or turn the reading direction around.
HOSTILE = {
    "CR LF": "ada\r\nevent=forged",
    "NUL": "ada\0",
    "ANSI": "\x1b[31mada",
    "C1 control": "ada\x9b",
    "RTL override": "ada\u202egnp.exe",
    "RTL isolate": "\u2067ada",
    "zero width space": "a\u200bda",
    "byte order mark": "\ufeffada",
    "line separator": "ada\u2028x",
    "lone surrogate": "ada\ud800",
    "private use": "ada\ue000",
    "unassigned": "ada\U000e0080",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("check", [check_username, check_group, check_name])
def test_unprintable_characters_are_refused_and_told_by_number(check, text):
    assert "unprintable character U+" in check(text).problem


@pytest.mark.parametrize(
    "text", ["ada", "أدا", "עדה", "阿达", "ада", "ada@example.org", "o'neil", "${x}"]
)
def test_letters_of_every_script_are_welcome(text):
    assert check_username(text) is None


@pytest.mark.parametrize(
    ("check", "text", "problem"),
    [
        (check_username, "", "must not be empty"),
        (check_username, "a" * 129, "at most 128"),
        (check_username, "ada lovelace", "space at place 4"),
        (check_group, "", "must not be empty"),
        (check_group, "g" * 65, "at most 64"),
        (check_group, "two words", "space at place 4"),
        (check_name, "n" * 257, "at most 256"),
        (check_email, "ada", "name@example.org"),
        (check_email, "ada@@example.org", "name@example.org"),
        (check_email, "ada@", "name@example.org"),
        (check_email, "a da@example.org", "space at place 2"),
        (check_email, "a" * 320 + "@example.org", "at most 320"),
    ],
)
def test_what_is_wrong_with_a_name_is_told(check, text, problem):
    assert problem in check(text).problem


def test_a_name_and_an_address_may_be_left_out():
    assert check_name("") is None
    assert check_email("") is None


def test_a_name_may_need_joiners():
    assert check_name("\u0646\u0627\u0645\u200c\u0647\u0627 Ada") is None


def test_an_account_is_disabled_from_when_an_administrator_shut_it():
    assert not a_subject().is_disabled
    assert a_subject(disabled_at=NOW).is_disabled
