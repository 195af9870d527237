"""D21, D22: no answer without its headers, no form that is not ours."""

import pytest
from flask import make_response
from hypothesis import given
from hypothesis import strategies as st

from pdp.store.parked import browser_digest
from pdp.web.security import allow_form_target, csrf_token_of
from tests.builders import an_envelope
from tests.web.edge import ISSUER, an_edge, view

SECRET = "browser-secret"
POLICY = "Content-Security-Policy"
DEMO = {"issuer": "http://localhost:8080", "dev": True}


@pytest.fixture
def app(tmp_path):
    """An application with our edge."""
    return an_edge(tmp_path)


@pytest.fixture
def client(app):
    """Somebody who calls it."""
    view(app, lambda: "hello")
    return app.test_client()


@pytest.mark.parametrize("path", ["/", "/nowhere", "/form", "/static/pages.css"])
def test_every_answer_carries_the_security_headers(client, path):
    with client.get(path) as response:
        headers = response.headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "camera=()" in headers["Permissions-Policy"]


def test_the_policy_lets_nothing_in_that_is_not_ours(client):
    policy = dict(
        part.strip().partition(" ")[::2] for part in client.get("/").headers[POLICY].split(";")
    )

    assert policy.pop("upgrade-insecure-requests") == ""
    assert policy.pop("default-src") == policy.pop("base-uri") == "'none'"
    assert policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'"}


def test_nothing_is_stored_except_static_files_and_what_says_so(app, client):
    def public():
        response = make_response("keys")
        response.headers["Cache-Control"] = "public, max-age=300"
        return response

    view(app, public, path="/jwks")

    assert client.get("/").headers["Cache-Control"] == "no-store"
    assert client.get("/nowhere").headers["Cache-Control"] == "no-store"
    assert client.get("/jwks").headers["Cache-Control"] == "public, max-age=300"
    with client.get("/static/pages.css") as response:
        assert response.headers["Cache-Control"] == "no-cache"


def test_plain_http_on_loopback_does_not_ask_for_https(tmp_path):
    app = an_edge(tmp_path, **DEMO)
    view(app, lambda: "hello")
    headers = app.test_client().get("/").headers

    assert "Strict-Transport-Security" not in headers
    assert "upgrade" not in headers[POLICY]


def page_that_leads_to(app, origin):
    def page():
        response = make_response("form")
        allow_form_target(response, origin)
        return response

    view(app, page)
    return app.test_client().get("/").headers[POLICY]


@pytest.mark.parametrize("origin", ["https://app.example:8443", "http://127.0.0.1:9000", "myapp:"])
def test_a_page_may_name_where_its_form_leads_to(app, origin):
    assert f"form-action 'self' {origin}" in page_that_leads_to(app, origin)


@pytest.mark.parametrize(
    "origin", ["", "https://a.example; script-src *", "a b", "a\r\nX: y", "'x'"]
)
def test_an_origin_that_would_change_the_policy_is_left_out(app, origin):
    assert page_that_leads_to(app, origin).endswith("form-action 'self'; upgrade-insecure-requests")


# Forms


def send(client, *, token=None, cookie=SECRET, **headers):
    if token is None:
        token = csrf_token_of(an_envelope().derive("csrf"), browser_digest(SECRET))
    if cookie is not None:
        client.set_cookie("__Host-pdp-browser", cookie, domain="login.example", secure=True)
    return client.post(
        "/form",
        base_url=ISSUER,
        data={"csrf_token": token},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    ).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "same-origin", "Origin": ISSUER},
        {"Sec_Fetch_Site": "same-origin", "Origin": "null"},
        {"Sec_Fetch_Site": "none"},
    ],
    ids=str,
)
def test_a_form_of_ours_is_taken(client, headers):
    assert send(client, **headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "odd"},
        {"Sec_Fetch_Site": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "http://login.example"},
        {"Origin": f"{ISSUER}.evil.example"},
        {"Origin": f"{ISSUER}:444"},
        {"Origin": ""},
    ],
    ids=str,
)
def test_a_form_of_another_site_is_refused_even_with_the_right_token(client, headers):
    assert send(client, **headers) == 403


@pytest.mark.parametrize(
    ("token", "cookie"),
    [
        ("", SECRET),
        ("0" * 64, SECRET),
        (csrf_token_of(bytes(32), browser_digest(SECRET)), SECRET),
        (None, None),
        (None, "another-browser"),
        (None, ""),
        ("\N{SNOWMAN}", SECRET),
    ],
    ids=["empty", "wrong", "another key", "no cookie", "another browser", "empty cookie", "odd"],
)
def test_a_form_without_the_token_of_its_browser_is_refused(client, token, cookie):
    assert send(client, token=token, cookie=cookie) == 403


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_no_other_text_is_the_token(text):
    ours = csrf_token_of(bytes(32), browser_digest(SECRET))

    assert text != ours
    assert csrf_token_of(bytes(32), text) != ours
