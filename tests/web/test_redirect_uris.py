"""Hundreds of redirect URIs like the registered one, on every way that an error takes."""

import pytest

from pdp.store import clients
from tests.builders import NOW
from tests.oidc.world import REDIRECT, a_confidential_client
from tests.web.browser import Browser, Page
from tests.web.redirect_uris import EVIL, mutations

LOOPBACK = "http://127.0.0.1/callback"
GOODBYE = "https://shop.example/bye"
#: What is wrong with a request beside its address; with nothing wrong, and each of these, it
#: would be answered by a redirect.
ERRORS: dict[str, dict[str, str | None]] = {
    "nothing": {},
    "nobody signed in": {"prompt": "none"},
    "response type": {"response_type": "token"},
    "no response type": {"response_type": None},
    "response mode": {"response_mode": "fragment"},
    "scope": {"scope": "nothing"},
    "prompt": {"prompt": "dance"},
    "request object": {"request": "x.y.z"},
    "hint": {"id_token_hint": "x.y.z"},
    "challenge": {"code_challenge": None},
}


def test_there_are_at_least_500_addresses_for_each_client():
    assert len(mutations(REDIRECT)) >= 500
    assert len(mutations(GOODBYE)) >= 500


@pytest.mark.parametrize("error", ERRORS)
def test_nothing_is_redirected_but_to_the_registered_address(browser: Browser, error: str):
    for uri in mutations(REDIRECT):
        page = browser.authorize(redirect_uri=uri, **ERRORS[error])
        assert (page.status, page.location) == (400, ""), uri
        assert f'"https://{EVIL}' not in page.text, uri


def test_an_app_on_loopback_chooses_its_port_and_nothing_else(browser: Browser):
    ports = {f"http://127.0.0.1:{port}/callback" for port in ("1", "80", "0443", "443", "65535")}
    for uri in {*mutations(LOOPBACK)} - ports:
        page = browser.authorize("native", redirect_uri=uri, prompt="none")
        assert (page.status, page.location) == (400, ""), uri

    for uri in ports:
        assert browser.authorize("native", redirect_uri=uri, prompt="none").location.startswith(
            "http://127.0.0.1:"
        )


def test_sign_out_redirects_to_no_address_like_the_registered_one(browser: Browser):
    with browser.world.database.write() as tx:
        shop = a_confidential_client("shop", post_logout_redirect_uris=(GOODBYE,))
        clients.add(tx, shop, now=NOW)
    code = browser.sign_in(browser.authorize("shop")).answer["code"]
    hint = str(browser.world.redeem(code, "shop").body["id_token"])

    def leave(uri: str) -> Page:
        asked = {"id_token_hint": hint, "client_id": "shop", "post_logout_redirect_uri": uri}
        return browser.post("/logout", asked)

    for uri in mutations(GOODBYE):
        page = leave(uri)
        assert (page.status, page.location) == (400, ""), uri
    assert leave(GOODBYE).location == GOODBYE
