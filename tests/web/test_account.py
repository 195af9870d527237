"""The account page: a person's own, what it takes back is gone at once, and strangers sign in."""

from datetime import timedelta

import pytest
from flask import Flask

from pdp.app import BLUEPRINTS
from pdp.domain.client import Client
from pdp.domain.events import Action
from pdp.domain.ids import ClientId, SessionId, SubjectId
from pdp.store import audit_trail, clients, consents, sessions
from pdp.store.database import Statement
from tests.builders import NOW
from tests.oidc.world import World, a_confidential_client
from tests.web.browser import PASSWORD, Browser, a_person

BOB = SubjectId("usr_bob")
GUEST = ClientId("guest")


def account_routes():
    """Return the routes of pages about one's own account."""
    app = Flask("pdp.web")
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/account")]


MUST_CHANGE = Statement("UPDATE subjects SET must_change_password = TRUE WHERE id = :id")
OWN_PAGES = [
    ("GET", "/account"),
    ("POST", "/account/sessions/revoke"),
    ("POST", "/account/consents/withdraw"),
    ("GET", "/account/password"),
    ("POST", "/account/password"),
    ("GET", "/account/factor"),
    ("POST", "/account/factor"),
    ("POST", "/account/factor/recovery-codes"),
    ("GET", "/account/confirm/factor"),
    ("POST", "/account/confirm/factor"),
]


#: Every page below /account, those of tomorrow among them, but for what changing it takes.
BEFORE_ANYTHING_ELSE = sorted(
    (method, rule.rule)
    for rule in account_routes()
    for method in ({"GET", "POST"} & (rule.methods or set()))
    if not rule.rule.startswith(("/account/password", "/account/confirm"))
    and rule.endpoint != "factor_enrolment.qr"
)


@pytest.mark.parametrize(("method", "path"), OWN_PAGES)
@pytest.mark.parametrize("came", ["never signed in", "signed in too long ago"])
def test_a_page_of_ones_own_asks_whoever(browser: Browser, came: str, method: str, path: str):
    form = browser.get("/signin").forms[0].values
    if came == "signed in too long ago":
        assert browser.sign_in(browser.get("/signin")).path == "/account"
        browser.world.pass_time(seconds=browser_lifetime(browser.world).total_seconds())

    if method == "GET":
        page = browser.get(path, follow=False)
    else:
        page = browser.post(path, {**form, "password": PASSWORD}, follow=False)

    assert (page.status, page.location) == (303, "/signin")


def browser_lifetime(world: World) -> timedelta:
    """How long a browser stays signed in that does nothing."""
    return world.runtime.settings.lifetimes.session_idle


def own_session(browser: Browser) -> SessionId:
    """The id of the session that a browser's cookie stands for."""
    with browser.world.database.read() as tx:
        live = sessions.find_live(
            tx, browser.cookie("__Host-pdp-session") or "", now=browser.world.clock()
        )
    assert live is not None
    return live.session.id


def test_a_session_that_its_person_revokes_is_over_and_so_is_what_it_gave(browser: Browser):
    lost = browser.another()
    lost.set_cookie("__Host-pdp-device", browser.cookie("__Host-pdp-device") or "")
    given = browser.world.redeem(lost.sign_in(lost.authorize()).answer["code"]).body
    account = browser.sign_in(browser.get("/signin"))

    (form,) = [form for form in account.forms if form.action == "/account/sessions/revoke"]
    assert form.values["session"] == own_session(lost)
    page = browser.post(form.action, form.values)

    assert "That session is signed out." in page.text
    assert lost.get("/account").path == "/signin"
    assert browser.world.refresh(str(given["refresh_token"])).error == "invalid_grant"


# Connected applications


@pytest.fixture
def guest(browser: Browser) -> Client:
    """An application of somebody else's."""
    guest = a_confidential_client(GUEST, first_party=False)
    with browser.world.database.write() as tx:
        clients.add(tx, guest, now=NOW)
    return guest


def agree(browser: Browser, username: str = "bob") -> dict[str, object]:
    """Sign somebody in who agrees to what the guest asks for; return the guest's tokens."""
    page = browser.submit(browser.sign_in(browser.authorize(GUEST), username), decision="allow")
    return browser.world.redeem(page.answer["code"], GUEST).body


def given(world: World, subject: SubjectId) -> frozenset[str]:
    """What a person has agreed that the guest may have."""
    with world.database.read() as tx:
        return consents.given(tx, subject, GUEST)


@pytest.mark.usefixtures("guest")
def test_a_consent_that_is_withdrawn_is_gone_with_all_that_was_given(browser: Browser):
    issued = agree(browser)
    account = browser.get("/account")
    (form,) = [form for form in account.forms if form.action == "/account/consents/withdraw"]

    page = browser.post(form.action, form.values)

    assert "can no longer use your account" in page.text
    assert not given(browser.world, BOB)
    assert browser.world.introspect(str(issued["access_token"]), GUEST) == {"active": False}
    assert browser.world.refresh(str(issued["refresh_token"]), GUEST).error == "invalid_grant"
    assert browser.authorize(GUEST, prompt="none").answer["error"] == "consent_required"
    with browser.world.database.read() as tx:
        told = audit_trail.recent(tx, kind="client", object_id=GUEST)
    assert (Action.CONSENT_WITHDRAWN, BOB) in [(event.action, event.actor) for event in told]


@pytest.mark.usefixtures("guest")
@pytest.mark.parametrize("client_id", ["guest", "wiki", "nobody", "", "gu\0est", "é"])
def test_who_has_agreed_to_nothing_takes_nothing_back_from_others(browser: Browser, client_id: str):
    agree(browser)
    a_person(browser.world, "eve")
    other = browser.another()
    account = other.sign_in(other.get("/signin"), "eve")

    page = other.post(
        "/account/consents/withdraw", {**account.forms[0].values, "client_id": client_id}
    )

    assert page.status == 200
    assert given(browser.world, BOB)
    with browser.world.database.read() as tx:
        told = audit_trail.recent(tx, kind="client")
    assert Action.CONSENT_WITHDRAWN not in [event.action for event in told]


@pytest.mark.parametrize(("method", "path"), BEFORE_ANYTHING_ELSE)
def test_nothing_but_a_new_password_follows_a_sign_in_by_a_given_one(
    browser: Browser, method: str, path: str
):
    assert browser.sign_in(browser.get("/signin")).path == "/account"
    form = browser.get("/account").forms[0].values
    with browser.world.database.write() as tx:
        tx.run(MUST_CHANGE, {"id": BOB})

    if method == "GET":
        page = browser.get(path, follow=False)
    else:
        page = browser.post(path, form, follow=False)

    assert (page.status, page.location) == (303, "/account/password")
