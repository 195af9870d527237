"""Results as people read them."""

from datetime import timedelta

import pytest

from pdp.cli.invocation import Output
from pdp.cli.output import show


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0s"), (90, "90s"), (60, "1m"), (28_800, "8h"), (86_400, "1d"), (2_592_000, "30d")],
)
def test_a_table_shows_a_duration_as_settings_are_written(capsys, seconds: int, written: str):
    show({"lives": timedelta(seconds=seconds)}, Output.TABLE)

    assert capsys.readouterr().out == f"lives  {written}\n"
