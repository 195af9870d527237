"""Second factor and consent: given to the request that waits here for them, and to no other."""

import pytest

from pdp.domain.ids import ClientId, SubjectId
from pdp.store import clients, consents
from tests.builders import NOW
from tests.oidc.world import World, a_confidential_client
from tests.web.browser import PASSWORD, Authenticator, Browser, Page, an_authenticator

BOB = SubjectId("usr_bob")
GUEST = ClientId("guest")


@pytest.fixture
def app(browser: Browser) -> Authenticator:
    """Bob's authenticator; the wiki and a guest, who is somebody else's, may ask for it."""
    with browser.world.database.write() as tx:
        clients.add(tx, a_confidential_client(GUEST, first_party=False), now=NOW)
    return an_authenticator(browser.world, BOB)


def agreed(world: World) -> frozenset[str]:
    """What bob has agreed that the guest may have."""
    with world.database.read() as tx:
        return consents.given(tx, BOB, GUEST)


def asked_for_factor(browser: Browser, client_id: str = "wiki") -> Page:
    """Bob in front of the page that asks for his code."""
    page = browser.sign_in(browser.authorize(client_id, acr_values="mfa"))
    assert page.path.startswith("/factor/")
    return page


def asked_for_consent(browser: Browser) -> Page:
    """Bob in front of the page that asks whether the guest may have what it wants."""
    page = browser.sign_in(browser.authorize(GUEST))
    assert page.path.startswith("/consent/")
    return page


def test_guessing_the_code_is_slowed_down_and_a_right_one_comes_too_late(
    browser: Browser, app: Authenticator
):
    page = asked_for_factor(browser)
    assert [browser.submit(page, code="000000").status for _ in range(5)] == [401] * 5

    late = browser.submit(page, code=app.code)

    assert late.status == 429
    assert "Too many attempts" in late.text
    assert browser.authorize(acr_values="mfa").path.startswith("/factor/")


def test_a_code_that_was_used_is_told_so_and_raises_nothing(browser: Browser, app: Authenticator):
    assert "code" in browser.submit(asked_for_factor(browser), code=app.code).answer
    other = browser.another()
    other.set_cookie("__Host-pdp-device", browser.cookie("__Host-pdp-device") or "")

    page = other.submit(asked_for_factor(other), code=app.code)

    assert page.status == 401
    assert "used already" in page.text


def test_a_password_is_no_second_factor(browser: Browser, app: Authenticator):
    del app

    page = browser.submit(asked_for_factor(browser), code=PASSWORD)

    assert page.status == 401


def test_a_code_that_nobody_asked_for_raises_nothing_and_is_not_used_up(
    browser: Browser, app: Authenticator
):
    consenting = asked_for_consent(browser)

    page = browser.post(
        consenting.path.replace("/consent/", "/factor/"),
        {**consenting.forms[0].values, "code": app.code},
    )

    assert page.path == consenting.path
    assert "code" in browser.submit(asked_for_factor(browser), code=app.code).answer


def test_consent_before_the_second_factor_is_none(browser: Browser, app: Authenticator):
    waiting = asked_for_factor(browser, GUEST)

    page = browser.post(
        waiting.path.replace("/factor/", "/consent/"),
        {**waiting.forms[0].values, "decision": "allow"},
    )

    assert page.path == waiting.path
    assert browser.submit(page, code=app.code).path.startswith("/consent/")
    assert not agreed(browser.world)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("decision", ["deny", "", "ALLOW", "allow "])
def test_anything_but_yes_is_no(browser: Browser, decision: str):
    page = browser.submit(asked_for_consent(browser), decision=decision)

    assert page.answer["error"] == "access_denied"
    assert not agreed(browser.world)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("step", ["factor", "consent"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_request_that_waits_for_another_browser_takes_no(
    browser: Browser, method: str, step: str
):
    waiting = asked_for_factor(browser) if step == "factor" else asked_for_consent(browser)
    other = browser.another()
    form = other.get("/signin").forms[0].values

    if method == "get":
        page = other.get(waiting.path)
    else:
        page = other.post(waiting.path, {**form, "code": "000000", "decision": "allow"})

    assert page.status == 400
    assert not agreed(browser.world)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("step", ["factor", "consent"])
def test_a_request_that_waited_too_long_takes_no(browser: Browser, step: str):
    waiting = asked_for_factor(browser) if step == "factor" else asked_for_consent(browser)
    browser.world.pass_time(hours=2)

    page = browser.submit(waiting, decision="allow", code="000000")

    assert page.status == 400
    assert not agreed(browser.world)
