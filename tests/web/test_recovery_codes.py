"""Recovery codes are replaced on the account page: by a fresh, strong sign-in, and shown once."""

import re
from datetime import timedelta

import pyotp
import pytest

from pdp.domain.events import Action
from pdp.domain.ids import SubjectId
from pdp.store import audit_trail, factors
from pdp.usecases.second_factor import secret_place
from tests.builders import NOW
from tests.deployment import a_risky, ingest
from tests.web.browser import PASSWORD, Browser, Page

BOB = SubjectId("usr_bob")


@pytest.fixture
def app(browser: Browser) -> pyotp.TOTP:
    """Bob's authenticator app, with which he has just signed in."""
    secret = pyotp.random_base32()
    envelope = browser.world.runtime.envelope
    with browser.world.database.write() as tx:
        pending = envelope.seal(secret, place="pending")
        factors.begin(tx, BOB, sealed=pending)
        sealed = envelope.seal(secret, place=secret_place(BOB))
        assert factors.confirm(tx, BOB, pending=pending, sealed=sealed, step=0, now=NOW)
    app = pyotp.TOTP(secret)
    page = browser.sign_in(browser.authorize(acr_values="mfa"))
    assert "code" in browser.submit(page, code=code_of(app, browser)).answer
    return app


def code_of(app: pyotp.TOTP, browser: Browser) -> str:
    return app.at(int(browser.world.clock().timestamp()))


def ask_for_codes(browser: Browser) -> Page:
    """Press the button of the account page."""
    account = browser.get("/account")
    (form,) = [form for form in account.forms if form.action.endswith("/recovery-codes")]
    return browser.post(form.action, form.values)


def codes_on(page: Page) -> set[str]:
    """Return the codes that a page shows."""
    return set(re.findall(r"<li>([\w-]{8,})</li>", page.text))


@pytest.mark.usefixtures("app")
def test_new_codes_are_shown_once_and_the_old_ones_are_void(browser: Browser):
    first, second = codes_on(ask_for_codes(browser)), codes_on(ask_for_codes(browser))

    assert len(first) == len(second) > 5
    assert not first & second
    assert not any(code in browser.get("/account").text for code in second)
    with browser.world.database.read() as tx:
        assert factors.count_codes(tx, BOB) == len(second)
    other = browser.another()
    other.set_cookie("__Host-pdp-device", browser.cookie("__Host-pdp-device") or "")
    page = other.sign_in(other.authorize(acr_values="mfa"))
    assert other.submit(page, 1, recovery_code=first.pop()).status == 401
    assert "code" in other.submit(page, 1, recovery_code=second.pop()).answer


@pytest.mark.usefixtures("app")
def test_replaced_codes_are_called_that_on_the_account_page_and_in_the_audit_record(
    browser: Browser,
):
    page = ask_for_codes(browser)
    way_on = re.search(r'id="continue" href="([^"]+)"', page.text)
    assert way_on is not None

    said = browser.get(way_on[1]).text

    assert "Your recovery codes are replaced." in said
    assert "authenticator app is set up" not in said
    with browser.world.database.read() as tx:
        actions = [event.action for event in audit_trail.recent(tx, object_id=BOB)]
    assert Action.RECOVERY_CODES_REPLACED in actions
    assert Action.FACTOR_ENROLLED not in actions


def test_codes_are_replaced_after_a_fresh_sign_in_only(browser: Browser, app: pyotp.TOTP):
    browser.world.pass_time(seconds=timedelta(minutes=6).total_seconds())

    page = ask_for_codes(browser)

    assert page.path == "/account/confirm/account"
    assert codes_on(page) == set()
    assert browser.submit(page, code=code_of(app, browser)).path == "/account"
    assert codes_on(ask_for_codes(browser))


@pytest.mark.usefixtures("app")
def test_a_risky_device_replaces_no_codes(browser: Browser):
    form = next(
        form for form in browser.get("/account").forms if form.action.endswith("/recovery-codes")
    )
    ingest(browser.world.database, a_risky("bad", NOW))

    page = browser.post(form.action, form.values)

    assert page.status == 403
    assert "/recovery-codes" not in browser.get("/account").text


def test_without_a_factor_there_are_no_codes_to_replace(browser: Browser):
    browser.sign_in(browser.authorize())
    account = browser.get("/account")
    assert "/recovery-codes" not in account.text

    page = browser.post("/account/factor/recovery-codes", account.forms[0].values)

    assert page.path == "/account/factor"
    assert PASSWORD not in page.text
