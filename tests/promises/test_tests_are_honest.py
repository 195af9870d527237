"""No test is skipped, sleeps, or talks to anything but this machine."""

import re
import socket
from typing import Final

import pytest

from tests.promises.repository import modules, relative

_EXCUSES: Final = re.compile(
    r"\bpytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)\b|\bassert\s+True\b"
)
_SLEEPS: Final = re.compile(r"\bsleep\(")
#: Waits for servers to come up, where there is nothing to listen to but their port.
_STARTERS: Final = frozenset({"tests/servers.py"})


def _found_in_tests(pattern):
    return {
        relative(path)
        for path in modules("tests")
        if pattern.search(path.read_text(encoding="utf-8"))
    }


def test_no_test_is_skipped_or_expected_to_fail():
    assert not _found_in_tests(_EXCUSES)


def test_no_test_sleeps():
    sleepy = {name for name in _found_in_tests(_SLEEPS) if "benchmarks/" not in name}

    assert sleepy <= _STARTERS


# The plugin warns, and warnings are errors here: either way nothing leaves the machine.
@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_connections_beyond_loopback_are_refused():
    with (
        socket.socket() as connection,
        pytest.raises(RuntimeError, match=r"A test tried to use socket"),
    ):
        connection.connect(("192.0.2.1", 443))
