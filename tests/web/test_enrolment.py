"""A browser is enrolled by a link, and never loses the device that it speaks for by the way."""

import re

import pytest

from pdp.domain.ids import DeviceId, SubjectId
from pdp.domain.signal import DeviceName, NameKind
from pdp.store import devices
from pdp.usecases.offer_enrolment import offer_enrolment
from tests.builders import NOW
from tests.deployment import a_calm, ingest, the_device
from tests.oidc.world import World
from tests.web.browser import Browser, Page

BOB = SubjectId("usr_bob")
DEVICE_COOKIE = "__Host-pdp-device"


@pytest.fixture
def stranger(browser: Browser) -> Browser:
    """A browser that nobody has enrolled."""
    return browser.another()


def _offered(world: World, token: str = "a-link-for-bob", device: DeviceId | None = None) -> str:
    """Offer bob to enrol a device; return where the link leads."""
    with world.database.write() as tx:
        offer_enrolment(
            tx,
            BOB,
            token,
            device_id=device,
            expires_at=NOW.replace(year=NOW.year + 1),
            actor="op",
            now=NOW,
        )
    return f"/enrol/{token}"


def _account(browser: Browser) -> Page:
    """Sign bob in, and go to his account."""
    browser.sign_in(browser.authorize())
    return browser.get("/account")


def _offer_page(browser: Browser) -> Page:
    account = _account(browser)
    (form,) = [form for form in account.forms if form.action == "/account/devices/enrol"]
    return browser.post(form.action, form.values)


def test_a_person_gets_a_link_for_the_other_device_and_keeps_this_one(browser: Browser):
    before = browser.cookie(DEVICE_COOKIE)

    page = _offer_page(browser)

    (link,) = re.findall(r">https://id.example.org(/enrol/[\w-]+)<", page.text)
    (command,) = re.findall(
        r">pdp device enrol ([\w-]+) --issuer https://id.example.org<", page.text
    )
    assert link == f"/enrol/{command}"
    assert not command.startswith("-")
    assert browser.cookie(DEVICE_COOKIE) == before
    assert "code" in browser.authorize(prompt="none").answer


def test_the_link_enrols_the_other_browser(browser: Browser, stranger: Browser):
    (link,) = re.findall(r">https://id.example.org(/enrol/[\w-]+)<", _offer_page(browser).text)

    page = stranger.submit(stranger.get(link))

    assert page.path == "/enrolled"
    assert stranger.cookie(DEVICE_COOKIE) not in {None, browser.cookie(DEVICE_COOKIE)}


def test_an_enrolled_browser_is_told_what_it_would_lose_and_to_keep_it_comes_first(
    browser: Browser,
):
    page = browser.get(_offered(browser.world))

    assert "This browser is enrolled already" in page.text
    assert "no longer recognised here" in page.text
    main = re.findall(r'class="[^"]*main-action"[^>]*>([^<]+)<', page.text)
    assert main == ["Leave this browser as it is"]


def test_an_enrolled_browser_is_enrolled_anew_when_its_person_says_so(browser: Browser):
    before = browser.cookie(DEVICE_COOKIE)

    browser.submit(browser.get(_offered(browser.world)))

    assert browser.cookie(DEVICE_COOKIE) != before


def test_a_link_for_the_very_device_that_the_browser_speaks_for_warns_of_nothing(
    browser: Browser,
):
    page = browser.get(_offered(browser.world, device=browser.world.ada.device))

    assert "Is this the device?" in page.text


def test_somebody_who_is_not_signed_in_is_told_that_it_worked(stranger: Browser):
    page = stranger.submit(stranger.get(_offered(stranger.world)))

    assert (page.status, page.path) == (200, "/enrolled")
    assert "This browser is enrolled" in page.text


def test_somebody_who_is_signed_in_is_told_on_the_account_page(stranger: Browser):
    stranger.sign_in(stranger.get("/signin"))

    page = stranger.submit(stranger.get(_offered(stranger.world)))

    assert page.path == "/account"
    assert "The device is enrolled." in page.text


def test_a_browser_that_is_not_enrolled_is_not_told_that_it_is(stranger: Browser):
    assert stranger.get("/enrolled").path == "/signin"


def test_a_link_that_was_used_says_that_it_was_used_or_ran_out(stranger: Browser):
    link = _offered(stranger.world)
    page = stranger.get(link)
    stranger.submit(page)

    for again in (stranger.get(link), stranger.submit(page), stranger.get("/enrol/no-such-link")):
        assert again.status == 410
        assert "This link was used, or ran out" in again.text
        assert "This browser is enrolled: it speaks for" in again.text


def test_a_browser_gives_no_name_to_a_record_that_signals_made(stranger: Browser):
    database = stranger.world.database
    ingest(database, a_calm(device=(DeviceName(NameKind.HOSTNAME, "bobs-laptop"),)))
    with database.read() as tx:
        (record,) = [each.device for each in devices.list_devices(tx) if each.device.owner is None]

    page = stranger.submit(stranger.get(_offered(stranger.world, device=record.id)))

    assert the_device(database, record.id).device.owner == BOB
    assert "bobs-laptop" in page.text
