"""Promises that hold on every route there is, read off the application's own map."""

import re

import pytest
from flask import Flask

from pdp.app import BLUEPRINTS
from tests.web.browser import ISSUER, Browser

_APP = Flask("pdp.web")
for _blueprint in BLUEPRINTS:
    _APP.register_blueprint(_blueprint)
_RULES = [rule for rule in _APP.url_map.iter_rules() if rule.endpoint != "static"]

#: Callers of these are programs, which authenticate themselves and send no cookies of ours.
PROGRAMS = {
    "oauth.token",
    "oauth.introspect",
    "oauth.revoke",
    "oauth.userinfo",
    "webhooks.receive",
    "device.nonce",
    "device.enrol",
    "device.assert_for_browser",
}
#: What relying parties send people's browsers to, from their own pages.
FROM_ELSEWHERE = {"authorize.authorize_by_post", "sign_out.logout"}
#: Public documents that relying parties may keep.
KEPT = {"oauth.jwks", "oauth.metadata"}

_PATHS = {rule.endpoint: re.sub(r"<[^>]+>", "something", rule.rule) for rule in _RULES}
_POSTS = sorted({rule.endpoint for rule in _RULES if "POST" in (rule.methods or ())})
_GETS = sorted({rule.endpoint for rule in _RULES if "GET" in (rule.methods or ())})


@pytest.mark.parametrize("endpoint", sorted(set(_POSTS) - PROGRAMS - FROM_ELSEWHERE))
def test_a_form_without_its_token_changes_nothing(browser: Browser, endpoint: str):
    page = browser.post(_PATHS[endpoint], {}, follow=False)

    assert page.status == 403


@pytest.mark.parametrize("endpoint", sorted(set(_POSTS) - PROGRAMS - FROM_ELSEWHERE))
def test_a_form_from_another_site_changes_nothing_even_with_a_right_token(
    browser: Browser, endpoint: str
):
    token = browser.authorize().forms[0].values["csrf_token"]

    page = browser.post(
        _PATHS[endpoint],
        {"csrf_token": token},
        {"Sec-Fetch-Site": "cross-site"},
        follow=False,
    )

    assert page.status == 403


@pytest.mark.parametrize("endpoint", sorted(set(_PATHS)))
def test_every_answer_carries_the_security_headers(browser: Browser, endpoint: str):
    page = (
        browser.get(_PATHS[endpoint], follow=False)
        if endpoint in _GETS
        else browser.post(_PATHS[endpoint], {}, follow=False)
    )

    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    if endpoint not in KEPT:
        assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("endpoint", sorted(set(_PATHS)))
def test_no_route_breaks_on_nonsense(browser: Browser, endpoint: str):
    path = _PATHS[endpoint].replace("something", "%00%ff..%2f")

    for answer in (
        browser.client.get(path, base_url=ISSUER),
        browser.client.post(path, base_url=ISSUER, data=b"\xff\x00", content_type="text/plain"),
        browser.client.post(path, base_url=ISSUER, data={"csrf_token": "x" * 10_000}),
        browser.client.put(path, base_url=ISSUER),
    ):
        assert answer.status_code < 500


def test_forwarded_headers_of_strangers_change_neither_address_nor_links(browser: Browser):
    spoofed = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X_Forwarded_For": "127.0.0.1",
        "Forwarded": "for=127.0.0.1;host=evil.example",
        "X-Real-IP": "127.0.0.1",
    }

    document = browser.get("/.well-known/openid-configuration", spoofed)
    page = browser.get("/signin", spoofed)

    assert "evil.example" not in document.text + page.text
    assert f'"issuer":"{ISSUER}"' in document.text


def test_the_host_header_never_gets_into_a_link(browser: Browser):
    answer = browser.client.get(
        "/.well-known/openid-configuration", base_url="https://evil.example"
    )

    assert "evil.example" not in answer.get_data(as_text=True)
