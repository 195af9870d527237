"""The example relying party ends sessions for good logout tokens, and for no others."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import responses
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from playwright.sync_api import Browser

from examples.relying_party.app import (
    LOGOUT_EVENT,
    LocalSession,
    Sessions,
    Settings,
    create_app,
    now,
)

ISSUER = "https://id.example.org"
SETTINGS = Settings(issuer=ISSUER, client_id="payroll", client_secret="secret")
KEY = RSAKey.generate_key(2048, {"kid": "one"})
OTHER = RSAKey.generate_key(2048, {"kid": "one"})
UNKNOWN = RSAKey.generate_key(2048, {"kid": "two"})


def a_logout_token(
    *,
    key: RSAKey = KEY,
    header: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
    **claims: object,
) -> str:
    """A logout token for the session `ses_1`, with changes."""
    issued = int(now())
    given: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "payroll",
        "iat": issued,
        "exp": issued + 120,
        "jti": "jti-1",
        "events": {LOGOUT_EVENT: {}},
        "sub": "usr_alice",
        "sid": "ses_1",
        **claims,
    }
    kept = {name: value for name, value in given.items() if name not in without}
    named = {"alg": "RS256", "typ": "logout+jwt", "kid": str(key.kid or "one"), **(header or {})}
    return jwt.encode(named, kept, key, algorithms=["RS256", "PS256"])


@pytest.fixture
def sessions() -> Sessions:
    """Nobody signed in yet."""
    return Sessions()


@pytest.fixture
def browser(sessions: Sessions) -> Iterator[FlaskClient]:
    """A browser in which Alice is signed in to Payroll as `ses_1`."""
    app = create_app(SETTINGS, sessions)
    client = app.test_client()
    with client.session_transaction() as cookie:
        cookie["id"] = sessions.add(a_session())
    metadata = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"}
    keys = KeySet([KEY]).as_dict(private=False)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as server:
        server.get(f"{ISSUER}/.well-known/openid-configuration", json=metadata)
        server.get(f"{ISSUER}/jwks", json=keys)
        yield client


def test_what_must_be_set_to_start_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in ("PAYROLL_ISSUER", "PAYROLL_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PAYROLL_CLIENT_ID", "payroll")

    with pytest.raises(SystemExit, match="PAYROLL_ISSUER, PAYROLL_CLIENT_SECRET: set it first"):
        Settings.from_environment()


def a_session(sid: str = "ses_1", sub: str = "usr_alice") -> LocalSession:
    """A session whose access token lives for a while."""
    claims = {"sub": sub, "sid": sid, "acr": "pwd"}
    tokens = {"scope": "openid", "expires_at": now() + 300}
    return LocalSession(claims, {"sub": sub, "name": "Alice"}, tokens, created_at=now())


def deliver(browser: FlaskClient, token: str) -> int:
    """Deliver a logout token as the server does; return the status of the answer."""
    return browser.post("/backchannel-logout", data={"logout_token": token}).status_code


def is_signed_in(browser: FlaskClient) -> bool:
    """Load the page and see."""
    return 'id="signed-in"' in browser.get("/").text


def test_a_logout_token_ends_its_session_and_the_next_page_says_so(browser: FlaskClient):
    assert is_signed_in(browser)

    assert deliver(browser, a_logout_token()) == 200

    page = browser.get("/").text
    assert "You were signed out by your company’s access policy" in page
    assert "Sign in again" in page


def test_a_logout_token_without_sid_ends_every_session_of_the_person(
    browser: FlaskClient, sessions: Sessions
):
    elsewhere = sessions.find(sessions.add(a_session("ses_2")))
    somebody_else = sessions.find(sessions.add(a_session("ses_3", "usr_bob")))
    assert elsewhere is not None
    assert somebody_else is not None

    deliver(browser, a_logout_token(without=("sid",)))

    assert not is_signed_in(browser)
    assert elsewhere.ended
    assert not somebody_else.ended


def test_a_logout_token_of_another_session_ends_nothing_here(browser: FlaskClient):
    assert deliver(browser, a_logout_token(sid="ses_2")) == 200

    assert is_signed_in(browser)


def test_a_logout_token_counts_once(browser: FlaskClient, sessions: Sessions):
    token = a_logout_token(without=("sid",))
    deliver(browser, token)
    with browser.session_transaction() as cookie:
        cookie["id"] = sessions.add(a_session("ses_2"))

    assert deliver(browser, token) == 200

    assert is_signed_in(browser)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": OTHER},
        {"key": UNKNOWN},
        {"header": {"typ": "JWT"}},
        {"header": {"alg": "PS256"}},
        {"iss": "https://evil.example"},
        {"aud": "somebody-else"},
        {"aud": ["somebody-else"]},
        {"without": ("aud",)},
        {"events": {}},
        {"events": {LOGOUT_EVENT: True}},
        {"without": ("events",)},
        {"exp": 1},
        {"iat": 2**40},
        {"without": ("exp",)},
        {"without": ("iat",)},
        {"without": ("jti",)},
        {"without": ("sid", "sub")},
        {"nonce": "n-1"},
    ],
    ids=[
        "another key",
        "unknown key",
        "typ",
        "algorithm",
        "issuer",
        "audience",
        "audiences",
        "no audience",
        "other events",
        "odd event",
        "no events",
        "expired",
        "of the future",
        "no exp",
        "no iat",
        "no jti",
        "nobody",
        "nonce",
    ],
)
def test_a_bad_logout_token_is_refused_and_ends_nothing(
    browser: FlaskClient, changes: dict[str, Any]
):
    assert deliver(browser, a_logout_token(**changes)) == 400

    assert is_signed_in(browser)


@pytest.mark.parametrize("token", ["", "x.y.z", "é", "a" * 60_000])
def test_what_is_no_token_is_refused_and_ends_nothing(browser: FlaskClient, token: str):
    assert deliver(browser, token) == 400

    assert is_signed_in(browser)


def test_a_restricted_session_says_what_is_restricted(browser: FlaskClient, sessions: Sessions):
    local = a_session()
    local.claims = {
        **local.claims,
        "session_restrictions": ["read-only"],
        "session_expiry": int(now()) + 3600,
    }
    with browser.session_transaction() as cookie:
        cookie["id"] = sessions.add(local)

    page = browser.get("/").text

    assert 'id="restricted"' in page
    assert "read-only" in page


def test_an_answer_of_another_server_is_not_redeemed(browser: FlaskClient):
    page = browser.get("/callback?code=stolen&state=x&iss=https://evil.example")

    assert page.status_code == 403
    assert "wrong_issuer" in page.text


def test_what_the_server_says_of_an_error_is_text_and_no_markup(browser: FlaskClient):
    said = "<script>alert(1)</script>"
    page = browser.get(f"/callback?error=access_denied&error_description={said}&iss={ISSUER}")

    assert "<script>" not in page.text
    assert "access_denied" in page.text


@pytest.mark.parametrize(("width", "gap"), [(360, 16), (1280, 368)])
def test_the_card_never_touches_the_edges_of_the_window(
    browser: FlaskClient, chromium: Browser, width: int, gap: float
):
    page = chromium.new_page(viewport={"width": width, "height": 700})
    page.set_content(browser.get("/").text)
    with browser.get("/static/payroll.css") as style:
        page.add_style_tag(content=style.get_data(as_text=True))

    left, right = page.evaluate(
        "(({left, right}) => [left, innerWidth - right])"
        "(document.querySelector('main').getBoundingClientRect())"
    )
    page.close()
    assert (left, right) == (gap, gap)
