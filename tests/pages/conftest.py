"""A running site of our pages, and a browser page that reports what its policy refused."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page

from tests.pages.site import Site, running

_NOTE_VIOLATIONS: Final = """
window.refused = [];
addEventListener("securitypolicyviolation", (event) => {
  window.refused.push(event.violatedDirective + " " + event.blockedURI + " " + event.sample);
});
"""


@pytest.fixture
def site() -> Iterator[Site]:
    """Every case of cases.py below /pages/, under the policy of production."""
    with running() as site:
        yield site


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh, private window; what the content policy refused is in `window.refused`."""
    context = chromium.new_context()
    context.add_init_script(_NOTE_VIOLATIONS)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()
