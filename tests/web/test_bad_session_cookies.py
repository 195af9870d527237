"""Two hundred session cookies that nobody was given, on every page: as good as none."""

from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from pdp.clock import new_secret
from pdp.domain.session import EndReason
from pdp.store import sessions
from tests.builders import NOW, a_session
from tests.cookie_mutations import malformed_cookies
from tests.web.browser import ISSUER, Browser, authorize_query
from tests.web.routes import GETS, PATHS, told

PAGES = {
    **{endpoint: PATHS[endpoint] for endpoint in GETS},
    "authorize, asked rightly": f"/authorize?{authorize_query()}",
    "authorize, without a page": f"/authorize?{authorize_query(prompt='none')}",
}


def _sent(cookie: str) -> str:
    """Return the cookie as its bytes stand in a header; line breaks end one and so cannot."""
    raw = cookie.encode("utf-8", "surrogatepass").decode("latin-1")
    return raw.replace("\r", "").replace("\n", "")


def _bad_cookies(browser: Browser) -> Iterator[str]:
    """The corpus, and sessions of bob's that ran out or were ended; bob has a good one too."""
    good, expired, ended = new_secret(), new_secret(), new_secret()
    with browser.world.database.write() as tx:
        for number, cookie in enumerate((good, expired, ended)):
            is_over = {"idle_expires_at": NOW, "expires_at": NOW} if cookie is expired else {}
            session = a_session(id=f"ses_{number}", subject="usr_bob", **is_over)
            sessions.create(tx, session, cookie=cookie)
        assert sessions.end_session(tx, session.id, EndReason.REVOKED, NOW)
    for cookie in map(_sent, malformed_cookies(good)):
        # Spaces around a value, quotes and a last semicolon are the header's, not the cookie's.
        if cookie.strip(' ";') != good:
            yield cookie
    yield from (expired, ended, f"{good}; __Host-pdp-session={good}")


def _answer(browser: Browser, path: str, cookie: str | None) -> TestResponse:
    header = {} if cookie is None else {"HTTP_COOKIE": f"__Host-pdp-session={cookie}"}
    return browser.app.test_client(use_cookies=False).get(
        path, base_url=ISSUER, environ_overrides=header
    )


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_session_cookie_that_nobody_was_given_is_as_good_as_none(browser: Browser, page: str):
    path = PAGES[page]
    without = told(_answer(browser, path, None))
    assert without[0] < 500

    corpus = list(_bad_cookies(browser))
    odd = [cookie for cookie in corpus if told(_answer(browser, path, cookie)) != without]

    assert len(corpus) >= 200
    assert odd == []
