"""Confirming that it is you: the strongest proof that you have, once, and for one thing."""

import pytest

from pdp.domain.ids import SubjectId
from pdp.store import subjects
from pdp.usecases.second_factor import issue_recovery_codes
from tests.builders import NOW, an_envelope
from tests.web.browser import PASSWORD, Authenticator, Browser, Page, an_authenticator

BOB = SubjectId("usr_bob")
NEW_PASSWORD = "another quiet walk, this time uphill"


@pytest.fixture
def stale(browser: Browser) -> Browser:
    """Bob's browser, in which he signed in six minutes ago: too long for a change."""
    assert browser.sign_in(browser.get("/signin")).path == "/account"
    browser.world.pass_time(minutes=6)
    return browser


@pytest.fixture
def app(browser: Browser) -> Authenticator:
    """Bob's authenticator."""
    return an_authenticator(browser.world, BOB)


def change_password(browser: Browser) -> Page:
    """Try to change the password, as somebody would who knows it."""
    form = browser.get("/account/password").forms[0]
    return browser.post(
        form.action, {**form.values, "current_password": PASSWORD, "new_password": NEW_PASSWORD}
    )


def is_trusted(browser: Browser) -> bool:
    """Tell whether the browser may change the password: then it does."""
    return "Your password is changed." in change_password(browser).text


def test_a_change_asks_for_the_password_and_goes_on_after_it(stale: Browser):
    before = stale.cookie("__Host-pdp-session")
    asked = change_password(stale)
    assert asked.path == "/account/confirm/password"

    page = stale.sign_in(asked)

    assert page.path == "/account/password"
    assert is_trusted(stale)
    thief = stale.another()
    thief.set_cookie("__Host-pdp-session", before or "")
    assert thief.get("/account").path == "/signin"


def test_a_wrong_password_confirms_nothing(stale: Browser):
    page = stale.sign_in(stale.get("/account/confirm/password"), password="wrong")

    assert page.status == 401
    assert 'role="alert"' in page.text
    assert not is_trusted(stale)


def test_somebody_elses_name_and_password_confirm_nothing(stale: Browser):
    hashed = stale.world.runtime.passwords.hash(NEW_PASSWORD)
    assert isinstance(hashed, str)
    with stale.world.database.write() as tx:
        subjects.set_password(tx, stale.world.ada.subject, hashed, must_change=False, now=NOW)

    page = stale.sign_in(stale.get("/account/confirm/password"), "ada", NEW_PASSWORD)

    assert page.status == 401
    assert not is_trusted(stale)


def test_guessing_the_password_is_slowed_down_here_too(stale: Browser):
    asked = stale.get("/account/confirm/password")
    for _ in range(5):
        stale.sign_in(asked, password="wrong")

    page = stale.sign_in(asked)

    assert page.status == 429
    assert "Too many attempts" in page.text
    assert not is_trusted(stale)
    assert "Too many attempts" in stale.sign_in(stale.get("/signin")).text


@pytest.mark.parametrize("after", ["factor", "password", "account"])
def test_a_confirmed_person_goes_on_to_the_page_that_asked(stale: Browser, after: str):
    page = stale.sign_in(stale.get(f"/account/confirm/{after}"))

    assert page.path.removeprefix("/account").strip("/") == after.removeprefix("account")


@pytest.mark.parametrize("after", ["evil.example", "https:evil.example", "%5C%5Cevil.example", "x"])
def test_a_confirmed_person_goes_nowhere_but_to_pages_of_ours(stale: Browser, after: str):
    asked = stale.get(f"/account/confirm/{after}")

    assert stale.sign_in(asked).path == "/account"


# Whoever has a second factor


@pytest.mark.usefixtures("app")
def test_who_has_a_factor_is_asked_for_it_and_the_password_confirms_nothing(stale: Browser):
    asked = stale.get("/account/confirm/password")
    assert "Six-digit code" in asked.text

    page = stale.submit(asked, password=PASSWORD)

    assert page.status == 401
    assert not is_trusted(stale)


def test_a_right_code_confirms_and_replaces_the_session_cookie(stale: Browser, app: Authenticator):
    before = stale.cookie("__Host-pdp-session")

    page = stale.submit(stale.get("/account/confirm/password"), code=app.code)

    assert page.path == "/account/password"
    assert stale.cookie("__Host-pdp-session") != before
    assert is_trusted(stale)


def test_a_fresh_password_is_not_enough_for_who_has_a_factor(browser: Browser, app: Authenticator):
    browser.sign_in(browser.get("/signin"))

    asked = change_password(browser)

    assert asked.path == "/account/confirm/password"
    browser.submit(asked, code=app.code)
    assert is_trusted(browser)


def test_a_code_confirms_once(stale: Browser, app: Authenticator):
    asked = stale.get("/account/confirm/account")
    assert stale.submit(asked, code=app.code).path == "/account"

    again = stale.submit(asked, code=app.code)

    assert again.status == 401
    assert "used already" in again.text


def test_a_recovery_code_confirms_once_and_its_own_form_says_what_is_wrong(
    stale: Browser, app: Authenticator
):
    del app
    with stale.world.database.write() as tx:
        (code, *_) = issue_recovery_codes(tx, an_envelope(), BOB)
    asked = stale.get("/account/confirm/account")
    assert stale.submit(asked, 1, recovery_code=code).path == "/account"

    again = stale.submit(asked, 1, recovery_code=code)

    assert again.status == 401
    assert "That recovery code is not right" in again.text


def test_guessing_the_code_is_slowed_down_and_a_right_one_comes_too_late(
    stale: Browser, app: Authenticator
):
    asked = stale.get("/account/confirm/password")
    wrong = [stale.submit(asked, code="000000") for _ in range(5)]
    assert [page.status for page in wrong] == [401] * 5

    page = stale.submit(asked, code=app.code)

    assert page.status == 429
    assert "Too many attempts" in page.text
    assert not is_trusted(stale)
