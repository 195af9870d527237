"""The remediation page's polling: a read that hears of everything, and opens nothing."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from pdp.domain.access import Strength
from pdp.domain.session import Session
from pdp.store import parked, sessions
from tests.builders import NOW
from tests.deployment import a_calm, a_risky, ingest
from tests.web.browser import Browser, Page, a_person, enrolled


@pytest.fixture
def waiting(browser: Browser) -> Page:
    """Bob in front of the page that says what is wrong with his device."""
    ingest(browser.world.database, a_risky("bad", NOW))
    page = browser.sign_in(browser.authorize())
    assert page.path.startswith("/remediation/")
    return page


def _poll(browser: Browser, page: Page) -> Page:
    return browser.get(f"{page.path}/status", follow=False)


def _session(browser: Browser) -> Session:
    with browser.world.database.read() as tx:
        now = browser.world.clock()
        live = sessions.find_live(tx, browser.cookie("__Host-pdp-session") or "", now=now)
    assert live is not None
    return live.session


def test_a_poll_is_answered_while_somebody_else_writes(browser: Browser, waiting: Page):
    with ThreadPoolExecutor(1) as pool, browser.world.database.write():
        answer = pool.submit(_poll, browser, waiting).result(timeout=10)

    assert '"waiting"' in answer.text


def test_a_poll_keeps_a_waiting_person_signed_in(browser: Browser, waiting: Page):
    before = _session(browser).idle_expires_at
    browser.world.pass_time(seconds=30)
    _poll(browser, waiting)
    assert _session(browser).idle_expires_at == before

    browser.world.pass_time(seconds=40)
    _poll(browser, waiting)

    assert _session(browser).idle_expires_at == before + timedelta(seconds=70)


def test_a_poll_hears_of_a_device_that_its_agent_proved_and_the_page_binds_it(browser: Browser):
    stranger = browser.another()
    eve = a_person(browser.world, "eve")
    page = stranger.sign_in(stranger.authorize(), "eve")
    enrolled(browser.world, browser.another(), browser.world.ada.device, eve)
    code = re.findall(r"--code ([A-Z2-7]{4}-[A-Z2-7]{4})", page.text)[0]
    assert '"waiting"' in _poll(stranger, page).text
    with browser.world.database.write() as tx:
        digest, device = parked.code_digest(code), browser.world.ada.device
        assert parked.bind_device(tx, digest, device=device, strength=Strength.STRONG, now=NOW)

    assert '"continue"' in _poll(stranger, page).text
    assert _session(stranger).device is None
    assert "code" in stranger.get(page.path).answer
    assert _session(stranger).device == browser.world.ada.device


def test_a_poll_of_another_browser_learns_nothing(browser: Browser, waiting: Page):
    thief = browser.another()
    assert '"expired"' in _poll(thief, waiting).text

    thief.get("/signin")
    assert '"expired"' in _poll(thief, waiting).text


def test_a_page_may_poll_for_as_long_as_it_waits(browser: Browser, waiting: Page):
    for _ in range(120):
        browser.world.pass_time(seconds=2)
        assert _poll(browser, waiting).status == 200


def test_a_browser_that_asks_without_pause_is_told_to_wait_and_others_are_not(
    browser: Browser, waiting: Page
):
    answers = [_poll(browser, waiting) for _ in range(601)]

    assert answers[-1].status == 429
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert _poll(browser.another(), waiting).status == 200
    ingest(browser.world.database, a_calm("good", NOW + timedelta(seconds=1)))
    assert "code" in browser.get(waiting.path).answer


def test_without_scripts_the_button_goes_on_once_the_device_has_healed(
    browser: Browser, waiting: Page
):
    def press(page: Page) -> Page:
        (button,) = [at for at, form in enumerate(page.forms) if form.action.endswith("/check")]
        return browser.submit(page, button)

    still = press(waiting)
    assert still.path == waiting.path
    ingest(browser.world.database, a_calm("good", NOW + timedelta(seconds=1)))

    assert "code" in press(still).answer
