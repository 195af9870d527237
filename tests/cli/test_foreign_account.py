"""An account that may read a deployment and not write it is told so, whatever it tries."""

import json
import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

from tests.cli.conftest import Shell, use_free_ports

#: Anybody but root, to whom permissions mean nothing.
_NOBODY = 65534


@pytest.fixture
def foreign(initialised, monkeypatch):
    """A shell of another account beside a deployment, in a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="pratique-foreign-"))
    shutil.copytree(initialised, folder, dirs_exist_ok=True)
    shell = Shell(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PDP_CONFIG", str(folder / "config.yaml"))
    use_free_ports(monkeypatch)
    # What commands import must be in memory: the other account may not read it.
    shell.run("doctor")
    for module in ("demo", "init", "supervisor", "user"):
        import_module(f"pdp.cli.{module}")
    _let_everybody_read(folder)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(_NOBODY)
    yield shell
    if is_root:
        os.seteuid(0)
    (folder / "var").chmod(0o700)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def _let_everybody_read(folder):
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.mark.parametrize(
    "words", ["user list", "user add bob", "serve", "init", "db status", "db upgrade"]
)
def test_the_file_is_named_that_this_account_may_not_write(foreign, words):
    told = foreign.refused(*words.split())

    assert f"{foreign.folder}/var/pratique.db" in told
    assert "not writable by this account" in told


def test_the_doctor_says_so_and_advises_nothing_else(foreign):
    answer = foreign.run("--output", "json", "doctor")

    found = {check["check"]: check for check in json.loads(answer.stdout)}
    assert answer.exit_code == 1
    assert "not writable by this account" in found["storage"]["found"]
    assert "chown" in found["storage"]["cure"]
    assert found["deployment"]["ok"] is False
    assert not {"database", "schema", "keys"} & found.keys()


def test_a_settings_file_that_cannot_be_written_is_named(foreign, monkeypatch):
    monkeypatch.setenv("PDP_CONFIG", str(foreign.folder / "other.yaml"))

    told = foreign.refused("init", "--issuer", "https://id.example.com")

    assert f"{foreign.folder}/other.yaml cannot be written: Permission denied" in told


def test_a_database_that_cannot_be_made_is_named(foreign, monkeypatch):
    monkeypatch.setenv("PDP__DATABASE__URL", f"sqlite:///{foreign.folder}/new/x.db")

    assert f"{foreign.folder} is not writable by this account" in foreign.refused("user", "list")
