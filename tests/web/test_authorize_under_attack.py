"""Authorization requests as strangers and switched cookies would have them."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pyotp
import pytest

from pdp.domain.ids import SubjectId
from pdp.store import clients, devices, factors
from pdp.store.database import Database, Statement
from pdp.usecases.attempts import network_of
from pdp.usecases.second_factor import secret_place
from tests.builders import NOW, FrozenClock
from tests.oidc.world import World, a_confidential_client
from tests.web.browser import Browser, a_person, authorize_query, enrolled


def signed_in(browser: Browser) -> None:
    """Sign bob in through the wiki."""
    assert "code" in browser.sign_in(browser.authorize()).answer


def a_factor(world: World, username: str) -> str:
    """Give a person an authenticator; return its secret."""
    secret, subject = pyotp.random_base32(), SubjectId(f"usr_{username}")
    seal = world.runtime.envelope.seal
    with world.database.write() as tx:
        pending = seal(secret, place="pending")
        factors.begin(tx, subject, sealed=pending)
        sealed = seal(secret, place=secret_place(subject))
        assert factors.confirm(tx, subject, pending=pending, sealed=sealed, step=0, now=NOW)
    return secret


def waiting_for_locks(connection: psycopg.Connection) -> int:
    """Count who waits for a lock."""
    waiting = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
    (count,) = waiting.fetchone() or (0,)
    return int(count)


def kept(world: World) -> int:
    """Count the requests that wait."""
    with world.database.read() as tx:
        row = tx.one(Statement("SELECT COUNT(*) FROM parked_requests"), {})
    assert row is not None
    return int(row[0])


def enrolled_for_all(world: World) -> None:
    """Let everybody use the browser's device."""
    with world.database.write() as tx:
        stored = devices.lock(tx, world.ada.device)
        assert stored is not None
        devices.save(
            tx,
            stored,
            replace(stored.device, shared=True),
            stored.assessment,
            rules_version=stored.assessed_with,
            now=NOW,
        )


def test_somebody_elses_sign_in_is_nobodys_reauthentication(browser: Browser):
    a_person(browser.world, "alice")
    signed_in(browser)
    bobs = browser.cookie("__Host-pdp-session") or ""
    browser.world.pass_time(seconds=60)
    page = browser.authorize(prompt="login")
    browser.client.delete_cookie("__Host-pdp-session", domain="id.example.org")
    browser.sign_in(browser.get(page.path), "alice")

    browser.set_cookie("__Host-pdp-session", bobs)
    back = browser.get(page.path.replace("/signin/", "/continue/"))

    assert back.path.startswith("/signin/")
    assert "code" in browser.sign_in(back).answer


@pytest.mark.parametrize("prompt", [None, "consent"])
def test_somebody_elses_consent_gives_nobodys_data_away(browser: Browser, prompt: str | None):
    a_person(browser.world, "alice")
    enrolled_for_all(browser.world)
    with browser.world.database.write() as tx:
        clients.add(tx, a_confidential_client("guest", first_party=False), now=NOW)
    if prompt:
        agreed = browser.submit(browser.sign_in(browser.authorize("guest")), decision="allow")
        assert "code" in agreed.answer
    else:
        signed_in(browser)
    bobs = browser.cookie("__Host-pdp-session") or ""
    browser.world.pass_time(seconds=60)
    asked = browser.authorize("guest", prompt=prompt).path
    browser.client.delete_cookie("__Host-pdp-session", domain="id.example.org")
    alices = browser.sign_in(browser.get(asked.replace("/consent/", "/continue/")), "alice")
    assert alices.path.startswith("/consent/")
    form = alices.forms[0]
    allowed = browser.post(form.action, {**form.values, "decision": "allow"}, follow=False)
    assert "/continue/" in allowed.location

    browser.set_cookie("__Host-pdp-session", bobs)
    back = browser.get(urlsplit(allowed.location).path)

    assert back.path.startswith("/consent/")
    assert "code" in browser.submit(back, decision="allow").answer


def test_a_stolen_password_enrols_no_device(browser: Browser):
    thief = browser.another()
    account = thief.sign_in(thief.get("/signin"))
    assert account.path == "/account"
    csrf_token = account.forms[0].values["csrf_token"]

    page = thief.post("/account/devices/enrol", {"csrf_token": csrf_token})

    assert "/account/devices/enrol" not in account.text
    assert page.status == 403
    assert "pdp device enrol" not in page.text


def test_one_code_sent_many_times_at_once_counts_once_and_breaks_nothing(
    postgresql_url: str, clock: FrozenClock
):
    database = Database.open(postgresql_url)
    browser = Browser(World(database, clock))
    enrolled(browser.world, browser, browser.world.ada.device, a_person(browser.world))
    secret = a_factor(browser.world, "bob")
    page = browser.sign_in(browser.authorize(acr_values="mfa"))
    assert page.path.startswith("/factor/")
    values = {**page.forms[0].values, "code": pyotp.TOTP(secret).at(int(NOW.timestamp()))}
    kinds = ("browser", "session", "device")
    cookies = {name: browser.cookie(f"__Host-pdp-{name}") or "" for name in kinds}

    def send(_number: int) -> int:
        window = browser.another()
        for name, value in cookies.items():
            window.set_cookie(f"__Host-pdp-{name}", value)
        return window.post(page.forms[0].action, values, follow=False).status

    with (
        ThreadPoolExecutor(6) as windows,
        psycopg.connect(postgresql_url.replace("+psycopg", "")) as other,
    ):
        # Somebody holds bob's row until all six wait for it: then they go on together.
        other.execute("SELECT 1 FROM subjects WHERE id = 'usr_bob' FOR UPDATE")
        sent = [windows.submit(send, number) for number in range(6)]
        while waiting_for_locks(other) < len(sent):
            os.sched_yield()
        other.rollback()
        statuses = [each.result() for each in sent]

    assert statuses.count(303) >= 1
    assert set(statuses) <= {303, 401}
    database.close()


def test_a_request_that_is_too_long_goes_back_with_its_error_and_is_not_kept(browser: Browser):
    for page in (
        browser.authorize(login_hint="x" * 16_384),
        browser.post("/authorize", dict(parse_qsl(authorize_query(login_hint="é" * 8192)))),
    ):
        assert page.answer["error"] == "invalid_request"
        assert "16 KiB" in page.answer["error_description"]
        assert page.answer["state"] == "xyz"

    assert kept(browser.world) == 0


def test_a_state_that_is_too_long_is_neither_kept_nor_sent_back(browser: Browser):
    asked = dict(parse_qsl(authorize_query(state="x" * 900_000)))

    page = browser.post("/authorize", asked)

    assert page.answer["error"] == "invalid_request"
    assert len(page.location) < 1000
    assert kept(browser.world) == 0


@pytest.mark.parametrize("method", ["get", "post"])
def test_one_address_has_so_many_requests_kept_and_then_waits(browser: Browser, method: str):
    # Without Redis each process allows half.
    limit = browser.world.runtime.settings.signin.parked_per_address // 2
    query = authorize_query()
    for _ in range(limit):
        browser.world.runtime.rate_limiter.hit(
            f"park:{network_of('')}",
            limit=2 * limit,
            window=browser.world.runtime.settings.signin.window,
            now=browser.world.clock(),
        )
    accept = {"Accept": "text/html"}

    page = (
        browser.get(f"/authorize?{query}", accept)
        if method == "get"
        else browser.post("/authorize", dict(parse_qsl(query)), accept)
    )

    assert page.status == 429
    assert "<h1" in page.text
    assert int(page.headers["Retry-After"]) > 0
    assert kept(browser.world) == 0
    browser.world.pass_time(minutes=5)
    assert browser.authorize().path.startswith("/signin/")


@pytest.mark.parametrize("parameter", ["nonce", "state", "login_hint", "scope", "prompt"])
@pytest.mark.parametrize("control", ["\0", "\x1f", "\n", "\x7f"])
def test_control_characters_are_no_part_of_a_request(
    browser: Browser, parameter: str, control: str
):
    page = browser.authorize(**{parameter: f"a{control}b"})

    assert page.status == 400
    assert kept(browser.world) == 0


def test_claims_may_be_laid_out_in_lines(browser: Browser):
    page = browser.authorize(claims='{\r\n\t"id_token": {}\n}')

    assert page.path.startswith("/signin/")


def test_a_port_that_is_none_is_no_redirect_uri(browser: Browser):
    for port in ("99999", "65536", "٦٦"):
        uri = f"http://127.0.0.1:{port}/callback"
        assert browser.authorize("native", redirect_uri=uri, prompt="none").status == 400
    largest = "http://127.0.0.1:65535/callback"
    right = browser.authorize("native", redirect_uri=largest, prompt="none")
    assert right.answer["error"] == "login_required"


@pytest.fixture
def on_postgresql(postgresql_url: str, clock: FrozenClock) -> Iterator[Browser]:
    """A browser of bob's in front of a server on PostgreSQL, which refuses NUL in text."""
    database = Database.open(postgresql_url)
    browser = Browser(World(database, clock))
    enrolled(browser.world, browser, browser.world.ada.device, a_person(browser.world))
    yield browser
    database.close()


def test_ids_that_are_not_ours_are_unknown_whatever_characters_they_hold(on_postgresql: Browser):
    signed_in(on_postgresql)
    csrf_token = on_postgresql.get("/account").forms[0].values["csrf_token"]

    for odd in ("%00", "a%00b", "req_%00aaaaaaaaaaaaaaaaaaaaaa", "%F0%9F%92%A5", "a" * 5000):
        for path in (
            f"/continue/{odd}",
            f"/signin/{odd}",
            f"/factor/{odd}",
            f"/consent/{odd}",
            f"/remediation/{odd}",
            f"/remediation/{odd}/status",
            f"/enrol/{odd}",
        ):
            assert on_postgresql.get(path).status < 500, path
    for path in ("/account/sessions/revoke", "/account/consents/withdraw"):
        values = {"csrf_token": csrf_token, "session": "a\0b", "client_id": "a\0b"}
        assert on_postgresql.post(path, values).status < 500, path


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 5000,
        b'{"token":"x","proof":"y","platform":[]}',
        b'{"token":"x","proof":"y","platform":{}}',
        b'{"token":"x","token":"y","proof":"z"}',
        b'{"token":"x\\u0000","proof":"y","name":"a\\u0000b"}',
        b"\xff",
        b"",
    ],
)
@pytest.mark.parametrize("path", ["/device/enrol", "/device/assert"])
def test_a_device_that_sends_odd_json_is_told_so(on_postgresql: Browser, path: str, body: bytes):
    answer = on_postgresql.client.post(
        path, data=body, content_type="application/json", base_url="https://id.example.org"
    )

    assert answer.status_code == 400
