"""What is built upon: named with a floor, and nothing that pages load comes from elsewhere."""

import configparser
import re
from typing import Final

import pytest

from tests.promises.repository import ROOT

_CONFIG: Final = configparser.ConfigParser()
_CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")
_REQUIRED: Final = _CONFIG["options"]["install_requires"].split()


@pytest.mark.parametrize("requirement", _REQUIRED)
def test_every_requirement_has_a_floor(requirement):
    """A version with a known hole must not come back through an old cache."""
    assert re.fullmatch(r"[a-z0-9.-]+(?:\[[a-z,]+\])?(?:>=|==)\d[\w.]*(?:,<\d[\w.]*)?", requirement)


def test_pages_hold_no_code_of_others():
    static = ROOT / "pdp" / "web" / "static"
    templates = ROOT / "pdp" / "web" / "templates"
    texts = [*static.rglob("*.js"), *static.rglob("*.css"), *templates.rglob("*.html")]

    loading = [
        path.name
        for path in texts
        if re.search(r"""(?:src|href)=["'](?:https?:)?//|@import|url\(""", path.read_text("utf-8"))
    ]

    assert loading == []
    assert sorted(path.suffix for path in static.rglob("*.min.*")) == []
