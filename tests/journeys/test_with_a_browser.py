"""From sign-in to cut, remediation and back, in a real browser on the served product."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from pdp.cli.demonstration.stage import FINDING
from tests.journeys.conftest import ALICES, Deployment

#: How soon a healed person is back (DECISIONS 32); the page asks every two seconds.
RETURN_WITHIN_SECONDS = 5
_PATIENCE = 15_000


@pytest.fixture
def window(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A private window; `False` as parameter has no JavaScript in it."""
    has_scripts = getattr(request, "param", True)
    context = chromium.new_context(java_script_enabled=has_scripts)
    context.set_default_timeout(_PATIENCE)
    yield context
    context.close()


def test_a_risky_device_is_signed_out_and_healed_it_is_back_in_the_same_tab(
    deployment: Deployment, window: BrowserContext, tmp_path: Path
):
    tab = _signed_in(deployment, window)

    deployment.turns_risky()
    _signs_out_by_itself(tab)
    tab.click("#sign-in")

    expect(tab.locator("[data-status-url]")).to_be_visible()
    expect(tab.locator("main")).to_contain_text(ALICES.display_name)
    expect(tab.locator("main")).to_contain_text(FINDING["title"])
    tab.screenshot(path=tmp_path / "remediation.png", full_page=True)

    deployment.heals()
    healed = time.perf_counter()
    tab.wait_for_selector("#signed-in")
    took = time.perf_counter() - healed

    assert tab.url == f"{deployment.notes.payroll}/"
    assert took <= RETURN_WITHIN_SECONDS
    tab.screenshot(path=tmp_path / "payroll.png", full_page=True)


def test_the_remediation_page_never_shows_what_was_detected_of_an_active_threat(
    deployment: Deployment, window: BrowserContext
):
    tab = _signed_in(deployment, window)

    deployment.is_attacked()
    _signs_out_by_itself(tab)
    tab.click("#sign-in")

    expect(tab.locator("[data-status-url]")).to_be_visible()
    expect(tab.locator("body")).not_to_contain_text(FINDING["title"])


@pytest.mark.parametrize("window", [False], indirect=True, ids=["no JavaScript"])
def test_without_javascript_the_page_refreshes_and_its_button_goes_on(
    deployment: Deployment, window: BrowserContext
):
    tab = _signed_in(deployment, window)
    deployment.turns_risky()
    _signs_out_by_itself(tab)
    tab.click("#sign-in")

    refresh = tab.locator("meta[http-equiv=refresh]")
    assert refresh.get_attribute("content") == "20"
    tab.click("#check-again")
    expect(tab.locator("#check-again")).to_be_visible()

    deployment.heals()
    tab.click("#check-again")

    expect(tab.locator("#signed-in")).to_be_visible()
    assert tab.url == f"{deployment.notes.payroll}/"


def _signed_in(deployment: Deployment, window: BrowserContext) -> Page:
    """Enrol Alice's browser on her device, sign her in to Payroll, and return the tab."""
    tab = window.new_page()
    tab.goto(deployment.links[ALICES.name])
    tab.click("#enrol")
    tab.goto(f"{deployment.notes.payroll}/")
    tab.click("#sign-in")
    tab.fill("#username", ALICES.owner)
    tab.fill("#password", deployment.notes.passwords[ALICES.owner])
    tab.click("#sign-in")
    tab.wait_for_selector("#signed-in")
    return tab


def _signs_out_by_itself(tab: Page) -> None:
    """Reload until the back-channel logout has ended the application's session."""
    deadline = time.monotonic() + _PATIENCE / 1000
    while tab.locator("#signed-out").count() == 0:
        assert time.monotonic() < deadline, "the application never dropped its session"
        tab.reload()
