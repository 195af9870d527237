"""A machine on which `pdp init` was run: a folder with settings, key and database."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pdp.cli import main
from pdp.store.database import Database
from tests.servers import free_port


class Shell:
    """Runs `pdp` in a folder, as an operator would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str, typed: str = "") -> Result:
        """Run a command, whatever becomes of it."""
        return CliRunner().invoke(main, words, input=typed)

    def result(self, *words: str):
        """Run a command that works; return what it shows."""
        answer = self.run("--output", "json", *words)
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    def told(self, *words: str) -> str:
        """Run a command that works; return all that it writes."""
        answer = self.run(*words)
        assert answer.exit_code == 0, answer.output
        return answer.output

    def refused(self, *words: str, code: int = 2) -> str:
        """Run a command that ends with `code`; return its message, which is no traceback."""
        answer = self.run(*words)
        assert answer.exit_code == code, answer.output
        assert isinstance(answer.exception, SystemExit)
        return answer.stderr

    def database(self) -> Database:
        """Open the folder's database; the caller closes it."""
        return Database.open(f"sqlite:///{self.folder / 'var' / 'pratique.db'}")


@pytest.fixture(scope="session")
def initialised(tmp_path_factory) -> Path:
    """A folder as `pdp init --issuer` leaves it; others are copied from it."""
    folder: Path = tmp_path_factory.mktemp("initialised")
    with pytest.MonkeyPatch.context() as patch:
        _enter(folder, patch)
        Shell(folder).told("init", "--issuer", "https://id.example.com")
    return folder


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Shell:
    """A shell in an empty folder."""
    _enter(tmp_path, monkeypatch)
    return Shell(tmp_path)


@pytest.fixture
def shell(initialised, tmp_path, monkeypatch) -> Shell:
    """A shell where `pdp init` was run."""
    shutil.copytree(initialised, tmp_path, dirs_exist_ok=True)
    _enter(tmp_path, monkeypatch)
    return Shell(tmp_path)


def use_free_ports(patch: pytest.MonkeyPatch) -> None:
    """Let `pdp serve` find its ports free, and undo what it sets for its children."""
    patch.setenv("PDP__SERVER__PORT", str(free_port()))
    patch.setenv("PDP__SERVER__MANAGEMENT_PORT", str(free_port()))
    patch.setenv("PROMETHEUS_MULTIPROC_DIR", "of this test")
    patch.delenv("PROMETHEUS_MULTIPROC_DIR")


def _enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    for name in list(os.environ):
        if name.startswith("PDP_"):
            patch.delenv(name)
    # Whatever a command sets is undone after the test.
    patch.setenv("PDP_CONFIG", str(folder / "config.yaml"))
