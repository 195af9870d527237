"""The diagram of docs/architecture.md is enforced: imports go down, pure layers do no I/O."""

import os
import subprocess
import sys

import pytest
from importlinter.cli import lint_imports

from tests.promises.repository import ROOT


def test_imports_keep_the_contracts_of_setup_cfg(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)

    status = lint_imports(no_cache=True, no_logo=True)

    assert status == os.EX_OK, capsys.readouterr().out


@pytest.mark.parametrize("module", ["supervisor", "worker", "decision"])
def test_commands_and_the_worker_start_without_a_web_framework(module: str):
    loaded = f"import sys, pdp.cli.{module}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True)

    assert not {"flask", "authlib", "pdp.oidc", "pdp.app"} & set(told.stdout.decode().split())
