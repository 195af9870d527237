"""Modules stay small, are named for what they hold, and catch only what they can answer."""

import re
import statistics
from typing import Final

from tests.promises.repository import modules, own_texts, relative

LONGEST: Final = 400
MEDIAN: Final = 120

#: Names that say nothing: a thing lives with its topic.
FORBIDDEN_NAMES: Final = re.compile(
    r"(?:util|helper|common|misc|constant|type|enum|manager|service)s?", re.IGNORECASE
)
#: The only places that may catch everything: the last resort of a request, and of a job.
LAST_RESORTS: Final = frozenset(
    {
        "pdp/web/errors.py",
        "pdp/web/front.py",
        "pdp/cli/http.py",  # multiprocessing would print what ended its process, and log nothing
        "pdp/worker/loop.py",
        "pdp/store/decision_log.py",  # records that could not be written wait, whatever the error
        "pdp/store/group_commit.py",  # carries what was raised over to the thread it belongs to
        "pdp/store/loop_commit.py",  # and to the request that it belongs to
    }
)

_CATCHES_EVERYTHING: Final = re.compile(
    r"^\s*except(\s+\(?.*\b(Base)?Exception\b.*)?\s*:", re.MULTILINE
)
_MACHINE_PATH: Final = re.compile(r"(?<![\w.}>/-])/(?:home|root|Users|work|workspace)/[\w.]")
_UNFINISHED: Final = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")
_FLASK_GLOBALS: Final = re.compile(r"\b(?:current_app\b|flask\.g\b|from flask import .*\bg\b)")


def _lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def _found_in_modules(pattern):
    return {
        relative(path) for path in modules() if pattern.search(path.read_text(encoding="utf-8"))
    }


def test_no_module_is_longer_than_400_lines():
    too_long = {relative(path): _lines(path) for path in modules() if _lines(path) > LONGEST}

    assert not too_long


def test_half_of_the_modules_have_at_most_120_lines():
    lengths = [_lines(path) for path in modules() if path.name != "__init__.py"]

    assert statistics.median(lengths) <= MEDIAN


def test_no_module_has_a_name_that_says_nothing():
    assert not [relative(path) for path in modules() if FORBIDDEN_NAMES.fullmatch(path.stem)]


def test_only_the_last_resorts_catch_every_exception():
    assert _found_in_modules(_CATCHES_EVERYTHING) <= LAST_RESORTS


def test_flask_globals_stay_in_web():
    outside = {name for name in _found_in_modules(_FLASK_GLOBALS) if "pdp/web/" not in name}

    assert not outside


def test_nothing_is_left_unfinished():
    assert not _found_in_modules(_UNFINISHED)


def test_no_file_names_a_path_of_one_machine():
    texts = {name: _MACHINE_PATH.search(text) for name, text in own_texts()}

    assert not {name: found.group() for name, found in texts.items() if found}


def test_every_module_says_what_it_is_for():
    silent = [
        relative(path)
        for path in modules()
        if path.stat().st_size and not path.read_text(encoding="utf-8").startswith(('"""', "#!"))
    ]

    assert not silent
