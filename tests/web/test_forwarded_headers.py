"""What a stranger writes about addresses, names and paths changes nothing, by default."""

import pytest

from pdp.domain.ids import SubjectId
from pdp.store import sessions
from tests.builders import NOW
from tests.web.browser import ISSUER, PASSWORD, Browser, authorize_query
from tests.web.routes import GETS, PATHS, told

EVIL = "evil.example"
SPOOFED = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "81",
    "X-Forwarded-Prefix": f"//{EVIL}",
    "X-Forwarded-Server": EVIL,
    "X-Forwarded-Uri": "/account",
    "X-Forwarded-User": "bob",
    "X-Original-URL": "/account",
    "X-Original-URI": "/account",
    "X-Rewrite-URL": "/account",
    "X-HTTP-Method-Override": "DELETE",
    "X-Host": EVIL,
    "X-Real-IP": "127.0.0.1",
    "X-Client-IP": "127.0.0.1",
    "True-Client-IP": "127.0.0.1",
    "CF-Connecting-IP": "127.0.0.1",
    "Forwarded": f"for=127.0.0.1;host={EVIL};proto=http",
    "X-Auth-Request-User": "bob",
    "Remote-User": "bob",
    "Client-Cert": ":AAAA:",
}
UNDERSCORED = {name.replace("-", "_"): value for name, value in SPOOFED.items()}
PAGES = {
    **{endpoint: PATHS[endpoint] for endpoint in GETS},
    "authorize, asked rightly": f"/authorize?{authorize_query()}",
}


@pytest.mark.parametrize("spoofed", [SPOOFED, UNDERSCORED], ids=["with hyphens", "underscored"])
@pytest.mark.parametrize("page", sorted(PAGES))
def test_an_answer_is_the_same_whatever_headers_of_proxies_say(
    browser: Browser, page: str, spoofed: dict[str, str]
):
    client = browser.app.test_client(use_cookies=False)
    usual = client.get(PAGES[page], base_url=ISSUER)

    answer = client.get(PAGES[page], base_url=ISSUER, headers=spoofed)

    assert told(answer) == told(usual)
    assert EVIL not in f"{answer.headers}{answer.get_data(as_text=True)}"


def test_a_sign_in_is_recorded_under_the_address_of_the_peer(browser: Browser):
    form = browser.authorize().forms[0]
    browser.client.post(
        form.action,
        data={**form.values, "username": "bob", "password": PASSWORD},
        base_url=ISSUER,
        headers=SPOOFED,
        environ_overrides={"REMOTE_ADDR": "192.0.2.9"},
    )

    with browser.world.database.read() as tx:
        (session,) = sessions.list_live_of_subject(tx, SubjectId("usr_bob"), now=NOW)
    assert session.address == "192.0.2.9"


def test_guesses_count_for_the_address_of_the_peer_whatever_they_say(browser: Browser):
    statuses = [
        browser.client.post(
            "/token",
            data={"grant_type": "client_credentials"},
            auth=("backup", "guessed"),
            base_url=ISSUER,
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
        ).status_code
        for number in range(61)
    ]

    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_the_host_header_never_gets_into_a_link(browser: Browser):
    for path in ("/.well-known/openid-configuration", f"/authorize?{authorize_query()}", "/signin"):
        answer = browser.client.get(path, base_url=f"https://{EVIL}")

        assert EVIL not in f"{answer.headers}{answer.get_data(as_text=True)}"
