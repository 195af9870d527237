"""Somebody without the second factor that an application asks for gets one, and goes on."""

import re

import pyotp
import pytest

from pdp.store.documents import DocumentKind
from pdp.usecases.publish_document import publish
from tests.builders import NOW
from tests.deployment import a_risky, ingest
from tests.web.browser import Browser, Page

_POLICIES = """\
pratique: policies/v1
default: block
policies:
  - {id: everybody, outcome: full}
  - {id: factor, outcome: step-up, when: {not: {acr_at_least: mfa}}, require: {acr: mfa}}
"""


@pytest.fixture
def asked(browser: Browser) -> Page:
    """Bob, who has no second factor, in front of the page that says he needs one."""
    with browser.world.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, _POLICIES, file="table", actor="test", now=NOW)
    page = browser.sign_in(browser.authorize())
    assert page.path.startswith("/factor/")
    return page


def _link(page: Page, element: str) -> str:
    (found,) = re.findall(rf'id="{element}" href="([^"]+)"', page.text)
    return str(found).replace("&amp;", "&")


def _now(browser: Browser) -> int:
    return int(browser.world.clock().timestamp())


def _app(page: Page) -> pyotp.TOTP:
    """Take the page's key into an authenticator app."""
    (key,) = re.findall(r'<code class="command">([A-Z2-7 ]+)</code>', page.text)
    return pyotp.TOTP(key.replace(" ", ""))


def test_who_sets_a_factor_up_goes_on_with_what_waited(browser: Browser, asked: Page):
    setting_up = browser.get(_link(asked, "set-up"))
    app = _app(setting_up)
    codes = browser.submit(setting_up, code=app.at(_now(browser)))
    page = browser.get(_link(codes, "continue"))
    assert page.path == asked.path

    browser.world.pass_time(seconds=30)

    assert "code" in browser.submit(page, code=app.at(_now(browser))).answer


def test_what_waited_is_not_forgotten_by_a_fresh_sign_in_or_a_wrong_code(
    browser: Browser, asked: Page
):
    browser.world.pass_time(minutes=30)
    confirming = browser.get(_link(asked, "set-up"))
    assert confirming.path == "/account/confirm/factor"

    setting_up = browser.sign_in(confirming)
    app = _app(setting_up)
    wrong = browser.submit(setting_up, code="000000")
    assert wrong.status == 401
    codes = browser.submit(wrong, code=app.at(_now(browser)))

    assert browser.get(_link(codes, "continue")).path == asked.path


def test_who_sets_it_up_elsewhere_comes_back_and_goes_on(browser: Browser, asked: Page):
    ingest(browser.world.database, a_risky("bad", NOW))

    page = browser.get(asked.path)

    assert "You cannot set it up from here" in page.text
    assert browser.get(_link(page, "go-on")).path == asked.path


def test_nothing_that_waits_for_another_browser_is_gone_on_with(browser: Browser):
    foreign = browser.another().authorize().path.removeprefix("/signin/")
    browser.sign_in(browser.get("/signin"))

    for waiting in (foreign, "", "../..", "https://evil.example", "%00"):
        page = browser.get(f"/account/factor?waiting={waiting}")
        cancel = re.findall(r'class="button" href="([^"]+)">Cancel', page.text)
        assert cancel == ["/account"]
