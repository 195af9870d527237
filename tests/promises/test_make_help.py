"""`make` alone tells a newcomer what there is to do, in at most twelve lines."""

import re
import subprocess

import pytest

from tests.promises.repository import ROOT


def _make(*arguments):
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout


def test_make_alone_shows_the_help():
    assert _make() == _make("help")


def test_help_describes_every_phony_target_and_no_more_than_twelve():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert declared is not None
    described = re.findall(r"^  make ([a-z-]+) +\S", _make("help"), re.MULTILINE)

    assert described == declared[1].split()
    assert len(described) <= 12


@pytest.mark.parametrize("target", ["demo", "story", "test", "test-fast", "bench"])
def test_each_command_sets_up_what_it_needs_by_itself(target):
    # From nothing: as if no stamp of an earlier installation were there.
    assert "tools/setup-venv runtime" in _make("--dry-run", "--always-make", target)


def test_continuous_integration_runs_what_developers_run():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]

    assert commands[-1] == "make test"
