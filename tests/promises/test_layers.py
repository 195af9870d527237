"""The diagram of docs/architecture.md is enforced: imports go down, pure layers do no I/O."""

import os

import pytest
from importlinter.cli import lint_imports

from tests.promises.repository import ROOT


def test_imports_keep_the_contracts_of_setup_cfg(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)

    status = lint_imports(no_cache=True, no_logo=True)

    assert status == os.EX_OK, capsys.readouterr().out
