"""The gate: passwords never hold every thread, and what is fast never waits for them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from werkzeug.test import Client

from pdp.web.context import RAISED
from pdp.web.door import Door
from pdp.web.gate import Gate, slow_slots
from tests.web.browser import ISSUER

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Application:
    """Answers what it is told to refuse, else once it is let go on; says when it was entered."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, environ, start_response):
        if RAISED in environ:
            start_response(f"{environ[RAISED].code} REFUSED", [])
            return [b"no"]
        self.entered.release()
        assert self.go_on.wait(30)
        if environ["PATH_INFO"].endswith("/broken"):
            raise OSError
        start_response("200 OK", [])
        return [b"ok"]


def _call(gate, path, method="POST"):
    answered = []
    gate({"PATH_INFO": path, "REQUEST_METHOD": method}, lambda *said: answered.append(said))
    return int(answered[0][0].split()[0]), dict(answered[0][1])


@pytest.fixture
def application():
    """An application that is let go on when the test ends, if not before."""
    application = Application()
    yield application
    application.go_on.set()


@pytest.fixture
def full(application):
    """A gate of one slot, which a sign-in holds."""
    gate = Gate(application, slots=1)
    holder = threading.Thread(target=_call, args=(gate, "/signin/req_1"))
    holder.start()
    assert application.entered.acquire(timeout=30)
    yield gate
    application.go_on.set()
    holder.join()


@pytest.mark.parametrize(
    "path", ["/signin", "//signin", "/password/req_1", "/account/password", "/account/confirm/x"]
)
def test_one_password_too_many_is_refused_at_once_wherever_it_is_asked_for(full, path):
    assert _call(full, path)[0] == 503


@pytest.mark.parametrize("path", ["/signin", "/signin/req_1", "/password/req_1"])
def test_the_refusal_is_a_page_for_people_and_waits_for_no_database(browser, path):
    client, form = _refused(browser.app), {"password": "x"}
    with ThreadPoolExecutor(1) as pool, browser.world.database.write():
        asked = pool.submit(client.post, path, base_url=ISSUER, headers=PAGE, data=form)
        answer = asked.result(timeout=10)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<h1>Many people are signing in right now</h1>" in answer.text
    assert "Please try again in 5 seconds." in answer.text


def test_the_refusal_is_problem_details_for_programs(browser):
    answer = _refused(browser.app).post("/signin", base_url=ISSUER)

    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert answer.headers["Retry-After"] == "5"


def _refused(app: Flask) -> Client:
    """A client of the application behind a gate that lets no password in."""
    return Client(Gate(Door(app), slots=0))


@pytest.mark.parametrize(
    ("path", "method"),
    [("/token", "POST"), ("/webhooks/edr", "POST"), ("/signin", "GET"), ("/introspect", "POST")],
)
def test_what_is_fast_goes_on(full, application, path, method):
    application.go_on.set()

    assert _call(full, path, method)[0] == 200


def test_a_slot_is_free_again_after_an_answer_and_after_a_failure(application):
    gate = Gate(application, slots=1)
    application.go_on.set()

    assert _call(gate, "/signin")[0] == 200
    with pytest.raises(OSError):  # noqa: PT011  the application's own
        _call(gate, "/signin/broken")
    assert _call(gate, "/signin")[0] == 200


@pytest.mark.parametrize(("threads", "slots"), [(1, 1), (2, 1), (4, 3), (16, 12), (64, 48)])
def test_some_threads_are_never_passwords(threads, slots):
    assert slow_slots(threads) == slots
