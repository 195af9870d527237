"""What the pages around signing out promise is what happens."""

from pdp.domain.ids import ClientId, SubjectId
from pdp.domain.session import EndReason
from pdp.store import clients, grants
from tests.builders import NOW
from tests.oidc.world import World, a_confidential_client
from tests.web.browser import Browser


def told_of_logouts(world: World, client_id: str) -> None:
    """Register a client that takes back-channel logouts."""
    told = a_confidential_client(
        client_id, backchannel_logout_uri=f"https://{client_id}.example/logout"
    )
    with world.database.write() as tx:
        clients.add(tx, told, now=NOW)


def used(browser: Browser, *client_ids: str) -> None:
    """Sign bob in to applications that redeem their codes, all in one session."""
    for client_id in client_ids:
        page = browser.authorize(client_id, scope="openid")
        arrived = page if page.answer else browser.sign_in(page)
        assert browser.world.redeem(arrived.answer["code"], client_id).status == 200


def signed_out(browser: Browser) -> str:
    """Sign out through the page that asks first; return what it says then, in one line."""
    return " ".join(browser.submit(browser.get("/logout")).text.split())


def test_it_says_that_all_are_told_where_all_are(browser: Browser):
    told_of_logouts(browser.world, "shop")
    used(browser, "shop")

    said = signed_out(browser)

    assert "Your session here has ended. The applications that you used are told.<" in said


def test_it_names_the_applications_that_are_not_told(browser: Browser):
    told_of_logouts(browser.world, "shop")
    used(browser, "shop", "wiki", "other")

    said = signed_out(browser)

    assert "Some applications are told, but not these. Sign out there " in said
    assert "yourself: other, wiki.<" in said


def test_it_does_not_say_that_anybody_is_told_where_nobody_is(browser: Browser):
    used(browser, "wiki")

    said = signed_out(browser)

    assert "The applications that you used are not told. Sign out there yourself: wiki.<" in said


def test_an_application_whose_grant_is_over_is_named_as_it_is_not_told(browser: Browser):
    told_of_logouts(browser.world, "shop")
    used(browser, "shop")
    with browser.world.database.write() as tx:
        grants.revoke_grants_to_client(
            tx, SubjectId("usr_bob"), ClientId("shop"), EndReason.CONSENT_WITHDRAWN, NOW
        )

    said = signed_out(browser)

    assert "The applications that you used are not told. Sign out there yourself: shop.<" in said


def test_a_hint_alone_does_not_tell_which_applications_a_person_uses(browser: Browser):
    page = browser.sign_in(browser.authorize("wiki"))
    hint = browser.world.redeem(page.answer["code"], "wiki").body["id_token"]
    used(browser, "other")

    said = browser.another().get(f"/logout?id_token_hint={hint}").text

    assert (
        "Your session here has ended. Applications that take part in signing out are told" in said
    )
    assert "yourself:" not in said


def test_the_question_promises_no_more_than_the_answer(browser: Browser):
    used(browser, "wiki")

    asked = browser.get("/logout").text

    assert "This ends your session here." in asked
    assert "every application" not in asked
