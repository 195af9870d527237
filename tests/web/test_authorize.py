"""Sign-in as a browser meets it: pages, redirects, and no way around either."""

import re
from datetime import timedelta
from urllib.parse import parse_qsl

import pyotp
import pytest
import structlog

from pdp import logs
from pdp.domain.session import EndReason
from pdp.domain.signal import RiskLevel
from pdp.store import clients, decisions, exposures, factors, sessions, subjects
from pdp.usecases.second_factor import secret_place
from tests.builders import NOW
from tests.deployment import a_calm, a_risky, a_signal, ingest
from tests.oidc.world import REDIRECT, a_confidential_client
from tests.web.browser import PASSWORD, Browser, a_person, an_authenticator, authorize_query


def signed_in(browser: Browser) -> None:
    """Sign bob in through the wiki."""
    assert "code" in browser.sign_in(browser.authorize()).answer


def test_a_person_signs_in_and_arrives_with_a_code(browser: Browser):
    page = browser.authorize()

    assert page.path.startswith("/signin/")
    assert "wiki" in page.text
    arrived = browser.sign_in(page)

    assert arrived.location.startswith(REDIRECT)
    assert arrived.answer["state"] == "xyz"
    assert arrived.answer["iss"] == "https://id.example.org"
    assert browser.world.redeem(arrived.answer["code"]).status == 200


def test_somebody_who_is_signed_in_sees_no_page_at_all(browser: Browser):
    signed_in(browser)

    assert "code" in browser.authorize(prompt="none").answer


@pytest.mark.parametrize(
    ("username", "password"),
    [("bob", "wrong"), ("nobody", PASSWORD), ("", ""), ("bob\r\nX: y", PASSWORD)],
)
def test_a_wrong_sign_in_says_the_same_whatever_was_wrong(
    browser: Browser, username: str, password: str
):
    page = browser.sign_in(browser.authorize(), username, password)

    assert page.status == 401
    assert 'role="alert"' in page.text
    assert password not in page.text or not password


def test_guessing_is_slowed_down_for_the_account_whoever_guesses(browser: Browser):
    for _ in range(12):
        page = browser.sign_in(browser.authorize(), "bob", "wrong")
    with structlog.testing.capture_logs() as lines:
        right = browser.sign_in(page)

    assert page.status == 429
    assert right.status == 429
    # Whoever asks why finds it in the log: an attempt that was not made is in no record.
    (line,) = [line for line in lines if line["event"] == "request.answer.sent"]
    assert (line["status"], line["limit"]) == (429, "account")
    assert line["subject"].startswith("usr_")


def test_prompt_none_never_shows_a_page(browser: Browser):
    answer = browser.authorize(prompt="none").answer

    assert answer["error"] == "login_required"
    assert answer["iss"] == "https://id.example.org"
    assert answer["state"] == "xyz"


def test_prompt_login_asks_again_once(browser: Browser):
    signed_in(browser)

    page = browser.authorize(prompt="login")

    assert page.path.startswith("/signin/")
    assert "code" in browser.sign_in(page).answer
    assert browser.authorize(prompt="login").path.startswith("/signin/")


def test_an_old_sign_in_is_renewed_when_max_age_asks(browser: Browser):
    signed_in(browser)
    browser.world.pass_time(seconds=61)

    assert "code" in browser.authorize(max_age="61").answer
    assert browser.authorize(max_age="60", prompt="none").answer["error"] == "login_required"
    page = browser.authorize(max_age="60")
    assert "code" in browser.sign_in(page).answer


def test_who_confirms_that_it_is_them_cannot_become_another(browser: Browser):
    signed_in(browser)
    page = browser.authorize(prompt="login")

    again = browser.submit(page, username="ada", password=PASSWORD)

    code = again.answer["code"]
    told = browser.world.redeem(code)
    assert browser.world.introspect(str(told.body["access_token"]))["sub"] == "usr_bob"


def test_a_request_that_came_by_post_goes_on_by_get_with_the_session(browser: Browser):
    signed_in(browser)
    parked = browser.another().post("/authorize", dict(parse_qsl(authorize_query())), follow=False)

    assert parked.status == 303
    assert "code" in browser.get(parked.location).answer
    assert browser.another().get(parked.location).status == 400


def test_a_waiting_request_belongs_to_its_browser(browser: Browser):
    page = browser.authorize()
    thief = browser.another()

    assert thief.get(page.path).status == 400
    assert thief.get(page.path.replace("/signin/", "/continue/")).status == 400
    assert "code" in browser.sign_in(page).answer


def test_a_waiting_request_is_answered_once(browser: Browser):
    page = browser.authorize()
    assert "code" in browser.sign_in(page).answer

    again = browser.get(page.path.replace("/signin/", "/continue/"))

    assert again.status == 400


def test_a_waiting_request_ends_after_two_hours(browser: Browser):
    page = browser.authorize()
    browser.world.pass_time(hours=2)

    assert browser.get(page.path).status == 400


@pytest.mark.parametrize("step", ["factor", "consent", "remediation", "password"])
def test_a_step_that_is_not_due_leads_to_the_one_that_is(browser: Browser, step: str):
    page = browser.authorize()

    skipped = browser.get(page.path.replace("/signin/", f"/{step}/"))

    assert skipped.path.startswith("/signin")
    assert "code" not in skipped.answer


def test_the_session_cookie_is_new_with_each_sign_in_and_dead_for_thieves(browser: Browser):
    browser.authorize()
    browser.set_cookie("__Host-pdp-session", "chosen-by-somebody-else-before-sign-in-000")
    signed_in(browser)
    first = browser.cookie("__Host-pdp-session")
    browser.sign_in(browser.authorize(prompt="login"))

    assert first != "chosen-by-somebody-else-before-sign-in-000"
    thief = browser.another()
    thief.set_cookie("__Host-pdp-session", first or "")
    assert thief.authorize(prompt="none").answer["error"] == "login_required"


@pytest.mark.parametrize(
    "parameter", ["client_id", "response_type", "redirect_uri", "scope", "state", "nonce"]
)
def test_a_parameter_that_comes_twice_is_refused_without_redirect(browser: Browser, parameter: str):
    page = browser.get(f"/authorize?{authorize_query()}&{parameter}=x")

    assert page.status == 400
    assert not page.location


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"request": "x.y.z"}, "request_not_supported"),
        ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "dance"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "1e3"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"scope": "nothing"}, "invalid_scope"),
        ({"id_token_hint": "x.y.z"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ],
    ids=str,
)
def test_a_wrong_request_of_a_known_client_goes_back_with_its_error(
    browser: Browser, change: dict[str, str | None], error: str
):
    page = browser.authorize(**change)

    assert page.location.startswith(f"{REDIRECT}?")
    assert page.answer["error"] == error
    assert page.answer["iss"] == "https://id.example.org"
    assert page.answer["state"] == "xyz"


@pytest.mark.parametrize(
    "change",
    [{"response_type": "token"}, {"scope": "nothing"}, {"prompt": "dance"}, {"request": "x"}, {}],
    ids=str,
)
@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/callback",
        "https://wiki.example/callback/",
        "https://wiki.example@evil.example/callback",
        "javascript:alert(1)",
        'https://wiki.example/"><script>alert(1)</script>',
        "https://wiki.example/callback\\@evil.example",
        "//evil.example",
        "https://wiki.example%2f@evil.example",
    ],
)
def test_no_error_is_ever_sent_to_an_address_that_is_not_registered(
    browser: Browser, change: dict[str, str], uri: str
):
    page = browser.authorize(redirect_uri=uri, **change)

    assert page.status == 400
    assert not page.location
    assert "<script>alert" not in page.text


@pytest.mark.parametrize("client_id", ["nobody", "", "wiki\0", "<b>"])
def test_an_unknown_client_gets_a_page(browser: Browser, client_id: str):
    page = browser.authorize(client_id)

    assert page.status == 400
    assert not page.location


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        pytest.param(
            {"redirect_uri": f"{REDIRECT}/"},
            {"client": "wiki", "problem": "redirect-uri"},
            id="an-address-that-is-not-registered",
        ),
        pytest.param({"client_id": "nobody"}, {"problem": "unknown-client"}, id="nobody"),
        pytest.param(
            {"redirect_uri": "", "client_id": "wiki&client_id=wiki"},
            {"client": "wiki", "problem": "invalid-request", "detail": "A parameter came twice."},
            id="twice",
        ),
        pytest.param(
            {"state": "%00"},
            {"problem": "invalid-request", "detail": "The parameters cannot be read."},
            id="unreadable",
        ),
    ],
)
def test_the_line_behind_an_error_page_says_what_was_wrong_in_our_words(
    browser: Browser, asked: dict[str, str], told: dict[str, str]
):
    query = "&".join(
        f"{name}={value}"
        for name, value in {"client_id": "wiki", "redirect_uri": REDIRECT, **asked}.items()
        if value
    )
    with structlog.testing.capture_logs() as lines:
        page = browser.get(f"/authorize?response_type=code&scope=openid&{query}")

    (line,) = [line for line in lines if line["event"] == "request.answer.sent"]
    assert page.status == 400
    assert {name: line.get(name) for name in told} == told
    assert "callback" not in str(line)
    assert "nobody" not in str(line)


def test_a_third_partys_client_needs_consent_which_is_remembered(browser: Browser):
    with browser.world.database.write() as tx:
        clients.add(tx, a_confidential_client("guest", first_party=False), now=NOW)
    page = browser.sign_in(browser.authorize("guest"))

    assert page.path.startswith("/consent/")
    assert browser.authorize("guest", prompt="none").answer["error"] == "consent_required"
    agreed = browser.submit(page, decision="allow")

    assert "code" in agreed.answer
    assert "code" in browser.authorize("guest", prompt="none").answer
    assert browser.authorize("guest", prompt="consent").path.startswith("/consent/")


def test_consent_lists_what_is_asked_for_in_the_order_asked_and_whose_it_is(browser: Browser):
    with browser.world.database.write() as tx:
        clients.add(tx, a_confidential_client("guest", first_party=False), now=NOW)
    asked = "openid api.write profile api.read"
    page = browser.sign_in(browser.authorize("guest", scope=asked))

    assert re.findall("<li>(.+?)</li>", page.text) == [
        "Know that it is you, by an account number",
        "Use: api.write at https://api.example",
        "See your name",
        "Use: api.read at https://api.example",
    ]
    browser.submit(page, decision="allow")
    assert "Use: api.write at https://api.example" in browser.get("/account").text


def test_a_person_may_say_no(browser: Browser):
    with browser.world.database.write() as tx:
        clients.add(tx, a_confidential_client("guest", first_party=False), now=NOW)
    page = browser.sign_in(browser.authorize("guest"))

    refused = browser.submit(page, decision="deny")

    assert refused.answer["error"] == "access_denied"


def test_the_decision_of_a_sign_in_is_noted_for_its_log_line(browser: Browser):
    browser.sign_in(browser.authorize())
    query = authorize_query()

    browser.get(f"/authorize?{query}", follow=False)

    told = logs.noted()
    with browser.world.database.read() as tx:
        record = decisions.find(tx, told["decision"])
    assert (told["client"], record.facts.channel.value) == ("wiki", "sign-in")


def test_a_password_that_must_be_changed_is_changed_before_anything_else(browser: Browser):
    with browser.world.database.write() as tx:
        hashed = browser.world.runtime.passwords.hash(PASSWORD)
        assert isinstance(hashed, str)
        bob = subjects.find(tx, "bob")
        assert bob is not None
        subjects.set_password(tx, bob.id, hashed, must_change=True, now=NOW)
    page = browser.sign_in(browser.authorize())

    assert page.path.startswith("/password/")
    assert browser.authorize(prompt="none").answer["error"] == "interaction_required"
    assert browser.get("/account").path == "/account/password"
    wrong = browser.submit(page, current_password=PASSWORD, new_password="short")
    assert wrong.status == 400
    done = browser.submit(
        page, current_password=PASSWORD, new_password="another quiet walk, this time uphill"
    )
    assert "code" in done.answer


def test_a_password_changed_behind_a_second_factor_goes_on_to_the_application(browser: Browser):
    world = browser.world
    with world.database.write() as tx:
        hashed = world.runtime.passwords.hash(PASSWORD)
        assert isinstance(hashed, str)
        bob = subjects.find(tx, "bob")
        assert bob is not None
        subjects.set_password(tx, bob.id, hashed, must_change=True, now=NOW)
    code = an_authenticator(world, bob.id).code
    page = browser.sign_in(browser.authorize())
    new = "another quiet walk, this time uphill"

    asked = browser.submit(page, current_password=PASSWORD, new_password=new)
    assert asked.path == "/account/confirm/password"
    back = browser.submit(asked, code=code)
    assert back.path == page.path

    assert "code" in browser.submit(back, current_password=PASSWORD, new_password=new).answer


def test_a_risky_device_lands_on_the_page_that_goes_on_by_itself(browser: Browser):
    ingest(browser.world.database, a_risky("bad", NOW))

    page = browser.sign_in(browser.authorize())

    assert page.path.startswith("/remediation/")
    assert "<noscript><meta http-equiv=" in page.text
    waiting = browser.get(f"{page.path}/status")
    assert '"waiting"' in waiting.text
    ingest(browser.world.database, a_calm("good", NOW + timedelta(seconds=1)))
    assert '"continue"' in browser.get(f"{page.path}/status").text
    assert "code" in browser.get(page.path).answer


@pytest.mark.parametrize("extra", ["return", "return_to", "next", "redirect_uri", "url", "state"])
@pytest.mark.parametrize(
    "evil",
    [
        *("https://evil.example", "//evil.example", "\\\\evil.example", "/\\evil.example"),
        *("%2f%2fevil.example", "/%09/evil.example", "https:evil.example", "javascript:alert(1)"),
        *("%0d%0aLocation:%20https://evil.example", "%0aSet-Cookie:%20a=evil.example"),
    ],
)
def test_the_remediation_page_goes_nowhere_but_to_the_stored_request(
    browser: Browser, extra: str, evil: str
):
    ingest(browser.world.database, a_risky("bad", NOW))
    page = browser.sign_in(browser.authorize())
    ingest(browser.world.database, a_calm("good", NOW + timedelta(seconds=1)))

    browser.get(f"{page.path}/status?{extra}={evil}")
    arrived = browser.get(f"{page.path}?{extra}={evil}")

    assert arrived.location.startswith(f"{REDIRECT}?code=")
    assert "evil" not in f"{arrived.headers}"


def test_a_device_named_in_a_header_a_query_or_a_foreign_cookie_is_none(browser: Browser):
    stranger = browser.another()
    device = browser.world.ada.device
    stranger.set_cookie("__Host-pdp-device", str(device))
    page = stranger.get(
        f"/authorize?{authorize_query()}&device_id={device}",
        {
            "X-Device-Id": str(device),
            "User-Agent": f"Agent {device}",
            "Client-Cert": ":AAAA:",
        },
    )

    assert stranger.sign_in(page).path.startswith("/remediation/")


def test_another_persons_device_is_unknown_for_this_one(browser: Browser):
    a_person(browser.world, "eve")

    assert browser.sign_in(browser.authorize(), "eve").path.startswith("/remediation/")


def test_a_session_known_by_a_device_cookie_is_only_as_good_as_the_cookie(browser: Browser):
    signed_in(browser)
    thief = browser.another()
    thief.set_cookie("__Host-pdp-session", browser.cookie("__Host-pdp-session") or "")

    assert thief.authorize(prompt="none").answer["error"] == "interaction_required"


@pytest.mark.parametrize(
    "cookie", ["", "x", "é", "a" * 5000, "../../etc", "%00", "'; DROP TABLE sessions; --", "null"]
)
@pytest.mark.parametrize("name", ["session", "browser", "device"])
def test_malformed_cookies_are_as_good_as_none(browser: Browser, name: str, cookie: str):
    other = browser.another()
    path = f"/authorize?{authorize_query(prompt='none')}"

    page = other.get(path, {"Cookie": f"__Host-pdp-{name}={cookie}"})

    assert page.answer["error"] == "login_required"


def test_essential_acr_that_nobody_can_reach_is_told(browser: Browser):
    signed_in(browser)
    claims = '{"id_token": {"acr": {"essential": true, "values": ["mfa"]}}}'

    assert browser.authorize(claims=claims).answer["error"] == "unmet_authentication_requirements"
    assert "code" in browser.authorize(acr_values="mfa").answer


def test_what_is_asked_for_and_cannot_be_reached_is_no_denial_by_the_device(browser: Browser):
    signed_in(browser)
    ingest(browser.world.database, a_signal("medium", NOW, risk=RiskLevel.MEDIUM))
    claims = '{"id_token": {"acr": {"essential": true, "values": ["mfa"]}}}'

    assert browser.authorize(claims=claims).answer["error"] == "unmet_authentication_requirements"
    assert {window.denied_at for window in _windows(browser)} == {None}


def test_a_sign_in_that_the_device_denies_is_felt_by_its_client(browser: Browser):
    signed_in(browser)
    ingest(browser.world.database, a_risky("bad", NOW))

    assert browser.authorize().path.startswith("/remediation/")
    assert browser.world.clock() in {window.denied_at for window in _windows(browser)}


def _windows(browser: Browser) -> list[exposures.Exposure]:
    with browser.world.database.read() as tx:
        return exposures.of_device(tx, browser.world.ada.device)


def test_acr_values_ask_whoever_has_a_second_factor_for_it(browser: Browser):
    world = browser.world
    secret = pyotp.random_base32()
    bob = "usr_bob"
    with world.database.write() as tx:
        subject = subjects.find(tx, "bob")
        assert subject is not None
        sealed = world.runtime.envelope.seal(secret, place=secret_place(subject.id))
        pending = world.runtime.envelope.seal(secret, place=f"pending:{bob}")
        factors.begin(tx, subject.id, sealed=pending)
        assert factors.confirm(tx, subject.id, pending=pending, sealed=sealed, step=0, now=NOW)
    page = browser.sign_in(browser.authorize(acr_values="mfa"))

    assert page.path.startswith("/factor/")
    wrong = browser.submit(page, code="000000")
    assert wrong.status == 401
    done = browser.submit(page, code=pyotp.TOTP(secret).at(int(world.clock().timestamp())))
    assert "code" in done.answer
    assert "code" in browser.authorize(acr_values="mfa", prompt="none").answer


def test_signing_out_here_ends_the_session_and_its_tokens(browser: Browser):
    signed_in(browser)
    issued = browser.world.redeem(browser.authorize(scope="openid").answer["code"]).body

    page = browser.submit(browser.get("/logout"))

    assert "signed out" in page.text.lower()
    assert browser.authorize(prompt="none").answer["error"] == "login_required"
    assert browser.world.introspect(str(issued["access_token"])) == {"active": False}


def test_a_hint_ends_its_session_without_cookies_and_returns(browser: Browser):
    with browser.world.database.write() as tx:
        client = a_confidential_client(
            "shop", post_logout_redirect_uris=("https://shop.example/bye",)
        )
        clients.add(tx, client, now=NOW)
    page = browser.sign_in(browser.authorize("shop"))
    hint = browser.world.redeem(page.answer["code"], "shop").body["id_token"]
    elsewhere = browser.another()

    left = elsewhere.post(
        "/logout",
        {
            "id_token_hint": str(hint),
            "post_logout_redirect_uri": "https://shop.example/bye",
            "state": "s1",
        },
    )

    assert left.location == "https://shop.example/bye?state=s1"
    assert browser.authorize(prompt="none").answer["error"] == "login_required"
    with browser.world.database.read() as tx:
        assert sessions.list_live_of_subject(tx, "usr_bob", now=NOW) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "uri", ["https://evil.example/", "https://shop.example/bye/", "javascript:alert(1)"]
)
def test_sign_out_redirects_to_registered_addresses_only(browser: Browser, uri: str):
    with structlog.testing.capture_logs() as lines:
        page = browser.get(f"/logout?client_id=wiki&post_logout_redirect_uri={uri}")

    assert page.status == 400
    assert not page.location
    (line,) = [line for line in lines if line["event"] == "request.answer.sent"]
    assert line["client"] == "wiki"
    assert line["detail"] == "The address to return to is not registered for the client."


def test_a_person_revokes_their_own_sessions_and_nobody_elses(browser: Browser):
    signed_in(browser)
    page = browser.get("/account")
    own = page.forms

    assert page.status == 200
    foreign = browser.post(
        "/account/sessions/revoke",
        {"csrf_token": own[0].values["csrf_token"], "session": str(browser.world.ada.session)},
    )

    assert foreign.status == 200
    with browser.world.database.read() as tx:
        theirs = sessions.get(tx, browser.world.ada.session)
    assert theirs is not None
    assert theirs.end_reason is not EndReason.REVOKED
