"""Promises that hold on every route there is, read off the application's own map."""

import pytest

from tests.web.browser import ISSUER, Browser
from tests.web.routes import FROM_ELSEWHERE, GETS, KEPT, PATHS, POSTS, PROGRAMS, RULES


@pytest.mark.parametrize("endpoint", sorted(set(POSTS) - PROGRAMS - FROM_ELSEWHERE))
def test_a_form_without_its_token_changes_nothing(browser: Browser, endpoint: str):
    page = browser.post(PATHS[endpoint], {}, follow=False)

    assert page.status == 403


@pytest.mark.parametrize("endpoint", sorted(set(POSTS) - PROGRAMS - FROM_ELSEWHERE))
def test_a_form_from_another_site_changes_nothing_even_with_a_right_token(
    browser: Browser, endpoint: str
):
    token = browser.authorize().forms[0].values["csrf_token"]

    page = browser.post(
        PATHS[endpoint],
        {"csrf_token": token},
        {"Sec-Fetch-Site": "cross-site"},
        follow=False,
    )

    assert page.status == 403


def test_nothing_is_changed_by_any_other_method():
    methods = {method for rule in RULES for method in rule.methods or ()}

    assert methods == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize("endpoint", sorted(set(PATHS)))
def test_every_answer_carries_the_security_headers(browser: Browser, endpoint: str):
    page = (
        browser.get(PATHS[endpoint], follow=False)
        if endpoint in GETS
        else browser.post(PATHS[endpoint], {}, follow=False)
    )

    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    if endpoint not in KEPT:
        assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("endpoint", sorted(set(PATHS)))
def test_no_route_breaks_on_nonsense(browser: Browser, endpoint: str):
    path = PATHS[endpoint].replace("something", "%00%ff..%2f")

    for answer in (
        browser.client.get(path, base_url=ISSUER),
        browser.client.post(path, base_url=ISSUER, data=b"\xff\x00", content_type="text/plain"),
        browser.client.post(path, base_url=ISSUER, data={"csrf_token": "x" * 10_000}),
        browser.client.put(path, base_url=ISSUER),
    ):
        assert answer.status_code < 500
