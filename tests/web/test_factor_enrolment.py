"""A second factor is set up from a fresh sign-in on a healthy device, or not at all."""

import re
from collections.abc import Callable

import pytest

from pdp.domain.ids import SubjectId
from pdp.store import factors
from tests.builders import NOW
from tests.deployment import a_risky, ingest
from tests.oidc.world import World
from tests.web.browser import Authenticator, Browser, Page, a_person

BOB = SubjectId("usr_bob")
PICTURE = "/account/factor/qr.svg"


@pytest.fixture
def bob(browser: Browser) -> Browser:
    """Bob's browser, in which he has just signed in on his healthy device."""
    assert browser.sign_in(browser.get("/signin")).path == "/account"
    return browser


def app_of(browser: Browser, page: Page) -> Authenticator:
    """Take the page's key into an authenticator."""
    (key,) = re.findall(r'<code class="command">([A-Z2-7 ]+)</code>', page.text)
    return Authenticator(browser.world, key.replace(" ", ""))


def has_factor(world: World) -> bool:
    """Tell whether bob has a second factor that counts."""
    with world.database.read() as tx:
        factor = factors.read(tx, BOB)
    return factor is not None and factor.sealed is not None


def begun(world: World) -> bool:
    """Tell whether a secret of bob's waits to be confirmed."""
    with world.database.read() as tx:
        factor = factors.read(tx, BOB)
    return factor is not None and factor.pending is not None


def test_a_factor_counts_once_its_code_is_right_and_not_before(bob: Browser):
    page = bob.get("/account/factor")
    app = app_of(bob, page)
    assert bob.submit(page, code="000000").status == 401
    assert not has_factor(bob.world)

    codes = bob.submit(page, code=app.code)

    assert "recovery codes" in codes.text
    assert has_factor(bob.world)


def test_a_sign_in_that_is_not_fresh_begins_nothing(bob: Browser):
    bob.world.pass_time(minutes=5)

    assert bob.get("/account/factor").path == "/account/confirm/factor"
    assert not begun(bob.world)


def test_a_device_that_is_not_compliant_begins_nothing(bob: Browser):
    ingest(bob.world.database, a_risky("bad", NOW))

    assert bob.get("/account/factor").status == 403
    assert not begun(bob.world)


def _grow_old(world: World) -> None:
    world.pass_time(minutes=5)


def _turn_risky(world: World) -> None:
    ingest(world.database, a_risky("bad", NOW))


@pytest.mark.parametrize(
    ("happens", "status", "path"),
    [
        pytest.param(_grow_old, 200, "/account/confirm/factor", id="the sign-in grows old"),
        pytest.param(_turn_risky, 403, "/account/factor", id="the device turns risky"),
    ],
)
def test_a_right_code_confirms_nothing_when_meanwhile(
    bob: Browser, happens: Callable[[World], None], status: int, path: str
):
    page = bob.get("/account/factor")
    app = app_of(bob, page)
    happens(bob.world)

    answer = bob.submit(page, code=app.code)

    assert (answer.status, answer.path) == (status, path)
    assert not has_factor(bob.world)


@pytest.mark.parametrize("happens", [_grow_old, _turn_risky])
def test_the_secret_that_waits_is_shown_to_nobody_who_might_not_ask_for_it(
    bob: Browser, happens: Callable[[World], None]
):
    bob.get("/account/factor")
    assert bob.get(PICTURE).status == 200

    happens(bob.world)

    assert bob.get(PICTURE).status == 404


def test_guesses_at_the_new_secret_are_slowed_down_and_a_right_one_comes_too_late(bob: Browser):
    page = bob.get("/account/factor")
    app = app_of(bob, page)
    assert [bob.submit(page, code="000000").status for _ in range(5)] == [401] * 5

    late = bob.submit(page, code=app.code)

    assert late.status == 429
    assert "Too many attempts" in late.text
    assert not has_factor(bob.world)


def test_a_code_of_a_picture_that_was_replaced_confirms_nothing(bob: Browser):
    first = bob.get("/account/factor")
    bob.get("/account/factor")

    assert bob.submit(first, code=app_of(bob, first).code).status == 401
    assert not has_factor(bob.world)


def test_the_picture_is_its_persons_and_is_kept_nowhere(bob: Browser):
    assert bob.get(PICTURE).status == 404
    bob.get("/account/factor")
    a_person(bob.world, "eve")
    eve, stranger = bob.another(), bob.another()
    eve.sign_in(eve.get("/signin"), "eve")

    picture = bob.get(PICTURE)

    assert picture.headers["Content-Type"].startswith("image/svg+xml")
    assert picture.headers["Cache-Control"] == "no-store"
    assert [other.get(PICTURE).status for other in (eve, stranger)] == [404, 404]


def test_the_picture_is_gone_once_the_factor_counts(bob: Browser):
    page = bob.get("/account/factor")
    bob.submit(page, code=app_of(bob, page).code)

    assert bob.get(PICTURE).status == 404
